//! What RDS, the zone and PostgreSQL hold of a cluster that AWS runs.

use super::{Account, claimed};
use deploy_cluster::outside::Settings;
use domain::{
    blue_green::{Deployment, Server, Source},
    card::{CardInstance, ManagedCard, Records, Registered, Side, Topology},
    failover::{ReceiverSeen, Sql, StandbySeen, WriterSeen},
    lsn::Lsn,
    managed::{DbClusterSeen, Described, InstanceSeen, NamesSeen, ROLES, Roles},
    policy::Policy,
    spec::Spec,
    state::State,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

#[derive(Clone, Default)]
pub struct Databases {
    pub card: Option<ManagedCard>,
    pub rds: Described,
    pub names: NamesSeen,
    /// By endpoint.
    pub answers: BTreeMap<String, Sql>,
    /// Whether the set-up finds a closed port.
    pub closed: bool,
    /// What is in the other Region, by its words, with its status.
    pub elsewhere: BTreeMap<String, String>,
    pub source: Option<Source>,
    pub manages_password: bool,
    pub server: Option<(bool, Server)>,
    pub green_lag: Option<u64>,
    pub blue_green: Option<Deployment>,
}

/// One Multi-AZ instance and a replica.
pub fn leads() -> Value {
    json!({ "name": "leads", "topology": "rds-postgres" })
}

/// A writer and a reader of Aurora.
pub fn carts() -> Value {
    json!({ "name": "carts", "topology": "aurora-provisioned", "aurora": { "instance_class": "db.r7g.large" } })
}

/// The name of an instance's endpoint.
pub fn endpoint(id: &str) -> String {
    format!("{id}.lab.eu-west-1.rds.amazonaws.com")
}

impl Account {
    /// The cluster of this account.
    pub fn cluster(&self) -> String {
        let card = self.card.as_ref().map(|card| card.cluster().to_owned());
        let named = self.template["Metadata"]["Understudy"]["Spec"]["name"].as_str().map(str::to_owned);
        card.or(named).unwrap_or_else(|| "orders".into())
    }

    pub fn roles(&mut self, roles: &Roles) {
        self.kept.insert(ROLES.into(), serde_json::to_value(roles).unwrap());
    }

    /// What promote-replica's pass does when it finds a new cluster that answers.
    pub fn adopt(&mut self) {
        let Some(Registered::Managed(card)) = &self.card else { panic!("no card") };
        let writer = card.instances[0].id.clone();
        let epoch = self.state.as_ref().map_or(0, |state| state.epoch) + 1;
        self.state = Some(State { writer: Some(writer), ..claimed(epoch) });
    }
}

impl Databases {
    pub fn is_managed(&self, template: &Value) -> bool {
        let topology = &template["Metadata"]["Understudy"]["Spec"]["topology"];
        ["rds-postgres", "aurora-provisioned", "aurora-serverless"].iter().any(|managed| topology == managed)
    }

    /// What a stack of this template makes.
    pub fn boot(&mut self, settings: &Settings, template: &Value, kept: &BTreeMap<String, Value>) {
        let spec: Spec = serde_json::from_value(template["Metadata"]["Understudy"]["Spec"].clone()).unwrap();
        let is_dr = spec.dr.as_ref().is_some_and(|dr| dr.region == settings.region);
        let roles: Roles =
            kept.get(ROLES).map(|kept| serde_json::from_value(kept.clone()).unwrap()).unwrap_or_default();
        let (fleet, name) = (&settings.fleet, &spec.name);
        let is_aurora = spec.topology.is_aurora();
        let count = if is_aurora { 1 + spec.aurora().readers } else { 1 + spec.rds().replicas };
        let ids: Vec<String> = (1..=count).map(|place| roles.instance_id(fleet, name, place)).collect();
        let writer = roles.instance_id(fleet, name, roles.writer);
        let side = if is_dr { "-dr" } else { "" };
        let record = |end: &str| format!("{name}{side}-{end}.db.internal");
        let instance = |(at, id): (usize, &String)| CardInstance {
            id: id.clone(),
            place: u32::try_from(at).unwrap() + 1,
            never_promote: false,
            tier: 0,
        };
        let db_cluster = is_aurora.then(|| format!("{fleet}-{name}"));
        self.card = Some(ManagedCard {
            version: 1,
            fleet: fleet.clone(),
            cluster: name.clone(),
            topology: spec.topology,
            side: if is_dr { Side::Dr } else { Side::Primary },
            region: settings.region.clone(),
            database: "app".into(),
            port: 5432,
            records: Records { zone_id: "Z0".into(), writer: record("rw"), reader: record("ro"), ttl_s: 1 },
            operator_secret: "arn:operator".into(),
            db_cluster: db_cluster.clone(),
            instances: ids.iter().enumerate().map(instance).collect(),
            aws_fails_over: true,
            global_cluster: None,
            other: None,
            isolation: None,
            backups: None,
            pair: None,
            pooler: None,
            policy: Policy::default(),
        });
        self.answers =
            ids.iter().map(|id| (endpoint(id), if *id == writer && !is_dr { writes() } else { follows() })).collect();
        let seen = |id: &String| InstanceSeen {
            id: id.clone(),
            arn: format!("arn:aws:rds:{}:111122223333:db:{id}", settings.region),
            status: "available".into(),
            endpoint: Some(endpoint(id)),
            source: (!is_aurora && *id != writer).then(|| writer.clone()),
            ..InstanceSeen::default()
        };
        self.rds.instances = ids.iter().map(seen).collect();
        self.rds.db_cluster = db_cluster.map(|id| DbClusterSeen {
            arn: format!("arn:{id}"),
            status: "available".into(),
            endpoint: Some(endpoint(&format!("{id}.cluster"))),
            reader_endpoint: Some(endpoint(&format!("{id}.cluster-ro"))),
            writer: Some(writer.clone()),
            id,
            ..DbClusterSeen::default()
        });
        if let Some(cluster) = &self.rds.db_cluster {
            self.answers.insert(cluster.endpoint.clone().unwrap(), if is_dr { follows() } else { writes() });
            self.answers.insert(cluster.reader_endpoint.clone().unwrap(), follows());
        }
        let arn = self.rds.db_cluster.as_ref().map_or(format!("arn:{writer}"), |cluster| cluster.arn.clone());
        self.source = Some(Source { arn, version: format!("{}.4", spec.postgresql.version), not_available: vec![] });
        self.server = Some((true, Server::default()));
        assert_ne!(spec.topology, Topology::Ec2Streaming);
    }

    pub fn make_green(&mut self, source: &str) {
        assert!(self.blue_green.is_none(), "RDS would make a second one");
        self.blue_green = Some(Deployment {
            id: "bgd-1".into(),
            status: "PROVISIONING".into(),
            details: None,
            source: source.into(),
            target: None,
            tasks: vec![],
        });
    }

    pub fn switch_over(&mut self) {
        let deployment = self.blue_green.as_mut().unwrap();
        assert!(["AVAILABLE", "SWITCHOVER_FAILED"].contains(&deployment.status.as_str()), "{}", deployment.status);
        deployment.status = "SWITCHOVER_IN_PROGRESS".into();
    }

    /// RDS comes to this status.
    pub fn becomes(&mut self, status: &str) {
        self.blue_green.as_mut().unwrap().status = status.into();
    }
}

pub fn writes() -> Sql {
    Sql::Writer(WriterSeen {
        timeline: 1,
        lsn: Lsn(7),
        system_id: 1,
        synchronous_setting: String::new(),
        streams: vec![],
        slots: vec![],
    })
}

pub fn follows() -> Sql {
    let receiver = ReceiverSeen { streaming: true, silent_for: Duration::ZERO, upstream: None };
    Sql::Standby(StandbySeen {
        timeline: 1,
        known_timeline: 1,
        received: Some(Lsn(7)),
        replayed: Some(Lsn(7)),
        system_id: 1,
        receiver: Some(receiver),
        upstream: None,
    })
}
