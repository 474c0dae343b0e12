//! RDS, its servers and their endpoints: databases that change by what is ordered, and by themselves as time passes.
//!
//! What AWS would refuse is refused; what must never be is a panic: two writers that clients can reach, or a second
//! order to fail over or to promote that AWS takes.

mod calls;

use super::World;
use domain::{
    card::{BackupCard, CardInstance, Isolation, ManagedCard, Records, Side, Topology},
    failover::{ReceiverSeen, Sql, StandbySeen, WriterSeen},
    lsn::Lsn,
    managed::{DbClusterSeen, Described, InstanceSeen, NamesSeen},
    policy::Policy,
    records::RecordsSeen,
    state::State,
};
use reconcile::Managed;
use std::{rc::Rc, time::Duration};

const USUAL: &str = "sg-usual";
const ISOLATED: &str = "sg-isolated";
const CUT: &str = "acl-isolated";

/// One server behind an endpoint.
#[derive(Debug, Clone)]
pub struct Server {
    /// What RDS says of it.
    pub rds: InstanceSeen,
    /// Out of recovery.
    pub writes: bool,
    /// Its process runs: it may serve clients though nobody else reaches it.
    pub runs: bool,
    /// The functions and the other servers reach it.
    pub reached: bool,
    /// Clients are connected from before, so that a security group does not stop them.
    pub sessions: bool,
    /// Its timeline.
    pub timeline: u32,
}

/// All that AWS runs.
#[derive(Debug, Clone, Default)]
pub struct Databases {
    /// The servers.
    pub servers: Vec<Server>,
    /// The DB cluster.
    pub cluster: Option<DbClusterSeen>,
    /// The records.
    pub names: NamesSeen,
    /// Orders that AWS took: `promote prod-leads-2`.
    pub orders: Vec<String>,
    /// How long a promotion takes, in milliseconds; `None`: for ever.
    pub promotion_ms: Option<u64>,
    later: Vec<(u64, Later)>,
}

/// What happens by itself.
#[derive(Debug, Clone)]
pub enum Later {
    /// RDS says this of an instance.
    Status(String, &'static str),
    /// A security group holds.
    Group(String),
    /// The sessions of an instance end.
    Ended(String),
    /// A replica writes by itself.
    Promoted(String),
    /// The DB cluster has another writer.
    FailedOver(String),
    /// Nothing runs on it any more.
    Stopped(String),
}

impl Databases {
    /// The server of an instance.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn server(&mut self, id: &str) -> &mut Server {
        self.servers.iter_mut().find(|server| server.rds.id == id).unwrap_or_else(|| panic!("no server {id}"))
    }

    /// Who accepts writes of clients, at worst: also one that nobody but them reaches.
    #[must_use]
    pub fn open(&self) -> Vec<&str> {
        let isolated = |server: &Server| server.rds.security_groups == [(ISOLATED.to_owned(), "active".to_owned())];
        let cut = |server: &Server| server.rds.network_acl.as_deref() == Some(CUT);
        let open = |it: &&Server| it.writes && it.runs && !cut(it) && (it.sessions || !isolated(it));
        self.servers.iter().filter(open).map(|server| server.rds.id.as_str()).collect()
    }

    /// Orders of this kind.
    #[must_use]
    pub fn ordered(&self, what: &str) -> usize {
        self.orders.iter().filter(|order| order.starts_with(what)).count()
    }

    /// Something happens at this time.
    pub fn at(&mut self, ms: u64, what: Later) {
        self.later.push((ms, what));
    }

    /// Lets happen what is due.
    ///
    /// # Panics
    ///
    /// When clients can write in two places, or AWS took two orders.
    pub(super) fn tick(&mut self, now: u64) {
        while let Some(next) =
            (0..self.later.len()).filter(|i| self.later[*i].0 <= now).min_by_key(|i| self.later[*i].0)
        {
            let (_, what) = self.later.remove(next);
            self.happens(what);
            self.check();
        }
        self.check();
    }

    fn check(&self) {
        assert!(self.open().len() <= 1, "clients can write to {:?}", self.open());
        let changes = self.ordered("promote") + self.ordered("fail over");
        assert!(changes <= 1, "{:?}", self.orders);
    }

    fn happens(&mut self, what: Later) {
        match what {
            Later::Status(id, status) => self.server(&id).rds.status = status.to_owned(),
            Later::Group(id) => {
                self.server(&id).rds.security_groups.iter_mut().for_each(|(_, state)| *state = "active".to_owned())
            }
            Later::Ended(id) => self.server(&id).sessions = false,
            Later::Promoted(id) => {
                let server = self.server(&id);
                (server.writes, server.rds.source, server.timeline) = (true, None, server.timeline + 1);
                server.rds.status = "available".to_owned();
            }
            Later::FailedOver(to) => {
                for server in &mut self.servers {
                    server.writes = server.rds.id == to;
                    server.sessions = server.writes;
                }
                if let Some(cluster) = &mut self.cluster {
                    (cluster.writer, cluster.status) = (Some(to), "available".to_owned());
                }
            }
            Later::Stopped(id) => {
                let server = self.server(&id);
                (server.runs, server.rds.status) = (false, "stopped".to_owned());
            }
        }
    }

    fn sql(&self, endpoint: &str) -> Sql {
        let Some(server) = self.servers.iter().find(|server| server.rds.endpoint.as_deref() == Some(endpoint)) else {
            return Sql::Silent(format!("there is no {endpoint}"));
        };
        if !(server.runs && server.reached) {
            return Sql::Silent("no answer within 600 ms".to_owned());
        }
        if server.writes {
            return Sql::Writer(WriterSeen {
                timeline: server.timeline,
                lsn: Lsn(900),
                system_id: 42,
                synchronous_setting: String::new(),
                streams: Vec::new(),
                slots: Vec::new(),
            });
        }
        let source = server.rds.source.as_deref();
        let heard = self.servers.iter().any(|it| Some(it.rds.id.as_str()) == source && it.runs && it.reached);
        let receiver = ReceiverSeen { streaming: true, silent_for: Duration::from_millis(100), upstream: None };
        Sql::Standby(StandbySeen {
            timeline: server.timeline,
            known_timeline: server.timeline,
            received: Some(Lsn(900)),
            replayed: Some(Lsn(900)),
            system_id: 42,
            receiver: heard.then_some(receiver),
            upstream: None,
        })
    }

    fn described(&self) -> Described {
        let instances = self.servers.iter().map(|server| server.rds.clone()).collect();
        Described { instances, db_cluster: self.cluster.clone(), global: None }
    }
}

/// The endpoint of an instance.
#[must_use]
pub fn endpoint(id: &str) -> String {
    format!("{id}.rds.amazonaws.com")
}

fn server(cluster: &str, place: u32, source: Option<&str>) -> Server {
    let id = format!("prod-{cluster}-{place}");
    Server {
        rds: InstanceSeen {
            arn: format!("arn:aws:rds:eu-west-1:111122223333:db:{id}"),
            status: "available".to_owned(),
            endpoint: Some(endpoint(&id)),
            class: "db.r6g.large".to_owned(),
            zone: Some(format!("eu-west-1{}", ["a", "b", "c"][place as usize - 1])),
            source: source.map(str::to_owned),
            backup_retention_days: if source.is_none() { 30 } else { 0 },
            promotion_tier: Some(1),
            security_groups: vec![(USUAL.to_owned(), "active".to_owned())],
            subnet: Some(format!("subnet-{place}")),
            network_acl: Some("acl-usual".to_owned()),
            id,
            ..InstanceSeen::default()
        },
        writes: place == 1,
        runs: true,
        reached: true,
        sessions: place == 1,
        timeline: 1,
    }
}

fn card(topology: Topology, cluster: &str, places: u32) -> ManagedCard {
    let instance = |place| CardInstance { id: format!("prod-{cluster}-{place}"), place, never_promote: false, tier: 1 };
    let aurora = topology.is_aurora();
    let isolation = Isolation {
        security_groups: vec![USUAL.to_owned()],
        isolated_group: ISOLATED.to_owned(),
        network_acl: Some(CUT.to_owned()),
        usual_network_acl: Some("acl-usual".to_owned()),
    };
    ManagedCard {
        version: 1,
        fleet: "prod".to_owned(),
        cluster: cluster.to_owned(),
        topology,
        side: Side::Primary,
        region: "eu-west-1".to_owned(),
        database: "app".to_owned(),
        port: 5432,
        records: Records {
            zone_id: "Z1".to_owned(),
            writer: format!("{cluster}-rw.db.internal"),
            reader: format!("{cluster}-ro.db.internal"),
            ttl_s: 1,
        },
        operator_secret: "arn".to_owned(),
        db_cluster: aurora.then(|| format!("prod-{cluster}")),
        instances: (1..=places).map(instance).collect(),
        aws_fails_over: aurora,
        global_cluster: None,
        other: None,
        isolation: (!aurora).then_some(isolation),
        backups: (!aurora).then(|| BackupCard { retention_days: 30, window: "02:00-03:00".to_owned() }),
        pair: None,
        pooler: None,
        policy: Policy::default(),
    }
}

impl World {
    /// RDS, one instance without a standby and its replica, in subnets of their own: `prod-leads-1` writes, epoch 7.
    #[must_use]
    pub fn leads() -> Self {
        let servers = vec![server("leads", 1, None), server("leads", 2, Some("prod-leads-1"))];
        let names = NamesSeen {
            writer: Some(endpoint("prod-leads-1")),
            epoch: Some(7),
            readers: vec![endpoint("prod-leads-2")],
        };
        World::managed(card(Topology::RdsPostgres, "leads", 2), Databases { servers, names, ..Databases::default() })
    }

    /// Aurora with two readers: `prod-carts-1` writes, epoch 7.
    #[must_use]
    pub fn carts() -> Self {
        let cluster = DbClusterSeen {
            id: "prod-carts".to_owned(),
            arn: "arn:aws:rds:eu-west-1:111122223333:cluster:prod-carts".to_owned(),
            status: "available".to_owned(),
            endpoint: Some("prod-carts.cluster.rds.amazonaws.com".to_owned()),
            reader_endpoint: Some("prod-carts.cluster-ro.rds.amazonaws.com".to_owned()),
            writer: Some("prod-carts-1".to_owned()),
            pauses: false,
        };
        let names = NamesSeen {
            writer: cluster.endpoint.clone(),
            epoch: Some(7),
            readers: cluster.reader_endpoint.iter().cloned().collect(),
        };
        let servers = (1..=3).map(|place| server("carts", place, None)).collect();
        let databases = Databases { servers, names, cluster: Some(cluster), ..Databases::default() };
        World::managed(card(Topology::AuroraProvisioned, "carts", 3), databases)
    }

    fn managed(card: ManagedCard, databases: Databases) -> Self {
        let world = World::well();
        {
            let mut inner = world.see();
            inner.state =
                State { epoch: 7, writer: Some(card.instances[0].id.clone()), timeline: 1, ..State::unclaimed() };
            inner.records = RecordsSeen::default();
            inner.databases = Databases { promotion_ms: Some(40_000), ..databases };
        }
        World { managed: Some(Rc::new(card)), ..world }
    }

    /// The same, with another card.
    #[must_use]
    pub fn but(self, edit: impl FnOnce(&mut ManagedCard)) -> Self {
        let mut card = Managed::card(&self).clone();
        edit(&mut card);
        World { managed: Some(Rc::new(card)), ..self }
    }
}
