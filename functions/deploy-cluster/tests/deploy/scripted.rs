//! An account that is a value: it does what AWS would, and writes it down.

mod compare;
mod databases;
mod outside;

pub use databases::{Databases, carts, endpoint, follows, leads};

use deploy_cluster::{
    Answer, Reply,
    deletion::Deletion,
    handle,
    outside::{
        Certificate, Change, ChangeSetPhase, Detail, EventSeen, NetworkSeen, ResourceSeen, Settings, SetupProblem,
        StackSeen,
    },
    placeholder,
};
use domain::{
    card::{Card, CardMember, Records, Registered, Topology},
    failover::{ReceiverSeen, Sql, StandbySeen, StreamSeen, WriterSeen},
    lsn::Lsn,
    policy::Policy,
    records::RecordsSeen,
    spec::Spec,
    state::{State, Synchronous},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Mutex, MutexGuard},
    time::Duration,
};
use template::Part;

/// The account as it is now.
#[derive(Clone)]
pub struct Account {
    pub now_ms: u64,
    pub network: NetworkSeen,
    /// What is in the fleet's bucket.
    pub objects: BTreeMap<String, Vec<u8>>,
    /// Names of secrets beside the certificate.
    pub secrets: BTreeSet<String>,
    pub tls: Option<Certificate>,
    pub state: Option<State>,
    /// What hosts wrote of their setup, by logical id.
    pub setup: BTreeMap<String, SetupProblem>,
    pub deletion: Option<Deletion>,
    pub stack: Option<StackSeen>,
    pub template: Value,
    pub resources: Vec<ResourceSeen>,
    /// Of the stack's last change, the newest first.
    pub events: Vec<EventSeen>,
    /// With when they were made.
    pub change_sets: BTreeMap<String, (ChangeSetPhase, Value, u64)>,
    /// How often a change set is looked at before it is there.
    pub looks_until_made: u32,
    /// Whether a change set is what comparing the templates yields, and not `next_phase`.
    pub compares: bool,
    /// How a change set looks that is made now.
    pub next_phase: ChangeSetPhase,
    pub card: Option<Registered>,
    /// What is of a cluster that AWS runs.
    pub databases: Databases,
    /// Items of the state table that hold one document.
    pub kept: BTreeMap<String, Value>,
    pub records: RecordsSeen,
    pub members: Vec<Sql>,
    /// Marks of what was told: `true` for good.
    pub told: BTreeMap<String, bool>,
    /// Pages: subject and text.
    pub pages: Vec<(String, String)>,
    pub page_fails: bool,
    /// Whether every call lets others go first.
    pub yields: bool,
    /// What was changed, in order.
    pub done: Vec<String>,
    /// Calls until one fails.
    pub calls_left: usize,
    /// Whether the call that fails has had its effect all the same.
    pub lost_answer: bool,
}

/// The outside of a test.
pub struct Scripted {
    settings: Settings,
    account: Mutex<Account>,
}

pub fn address(number: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, number])
}

/// The card of `orders`: members `i-1`, `i-2`, `i-3` at 10.0.0.1 to 3.
pub fn card() -> Card {
    let member = |number: u8| CardMember {
        name: format!("orders_{number}"),
        id: format!("i-{number}"),
        address: address(number),
        zone: "eu-west-1a".into(),
        never_promote: false,
        tier: 0,
    };
    Card {
        patroni: None,
        version: 1,
        fleet: "example".into(),
        cluster: "orders".into(),
        topology: Topology::Ec2Streaming,
        database: "app".into(),
        port: 5432,
        records: Records {
            zone_id: "Z0123456789EXAMPLE".into(),
            writer: "orders-rw.db.internal".into(),
            reader: "orders-ro.db.internal".into(),
            ttl_s: 1,
        },
        operator_secret: "arn:operator".into(),
        certificate_authority: "PEM".into(),
        synchronous_required: 1,
        members: (1..=3).map(member).collect(),
        policy: Policy::default(),
    }
}

/// The state after `i-1` has claimed the cluster.
pub fn claimed(epoch: u64) -> State {
    State {
        epoch,
        writer: Some("i-1".into()),
        synchronous: Synchronous { required: 1, names: vec!["orders_2".into(), "orders_3".into()] },
        holder: None,
        change: None,
        changed_at_ms: 0,
        ..State::unclaimed()
    }
}

/// `i-1` writes, and the members with these numbers stream from it.
pub fn serving(streaming: &[u8]) -> Vec<Sql> {
    let stream = |number: &u8| StreamSeen { name: format!("orders_{number}"), streaming: true, flushed: Some(Lsn(7)) };
    let writer = WriterSeen {
        timeline: 1,
        lsn: Lsn(7),
        system_id: 1,
        synchronous_setting: String::new(),
        streams: streaming.iter().map(stream).collect(),
        slots: Vec::new(),
    };
    let standby = |number: u8| {
        let receiver = ReceiverSeen { streaming: true, silent_for: Duration::ZERO, upstream: Some(address(1)) };
        Sql::Standby(StandbySeen {
            timeline: 1,
            known_timeline: 1,
            received: Some(Lsn(7)),
            replayed: Some(Lsn(7)),
            system_id: 1,
            receiver: streaming.contains(&number).then_some(receiver),
            upstream: Some(address(1)),
        })
    };
    vec![Sql::Writer(writer), standby(2), standby(3)]
}

pub fn orders() -> Value {
    json!({ "name": "orders", "topology": "ec2-streaming" })
}

/// A cluster of two Regions.
pub fn shop() -> Value {
    json!({
        "name": "shop", "topology": "ec2-patroni", "backups": {},
        "dr": {
            "primary_region": "us-east-1", "region": "us-west-2",
            "primary_cidr": "10.0.0.0/16", "cidr": "10.1.0.0/16",
        },
    })
}

pub fn schedule() -> Value {
    json!({ "source": "aws.events", "detail-type": "Scheduled Event", "detail": {} })
}

/// A change of the stack of `cluster`.
pub fn event_of(status: &str, cluster: &str) -> Value {
    let arn = format!("arn:aws:cloudformation:eu-west-1:111122223333:stack/understudy-example-{cluster}/1");
    json!({
        "version": "0", "id": "1", "source": "aws.cloudformation", "detail-type": "CloudFormation Stack Status Change",
        "account": "111122223333", "region": "eu-west-1", "time": "2026-11-21T00:00:00Z", "resources": [arn],
        "detail": { "stack-id": arn, "status-details": { "status": status, "status-reason": "" } },
    })
}

pub fn stack_event(status: &str) -> Value {
    event_of(status, "orders")
}

impl Scripted {
    /// An account with the fleet `example` and no cluster.
    pub fn new() -> Self {
        Scripted::of(&Spec::new("orders"), Part::Primary)
    }

    /// The same in the Region that has this part of a cluster.
    pub fn of(spec: &Spec, part: Part) -> Self {
        let fleet = placeholder::fleet(spec, part);
        let settings = Settings {
            fleet: fleet.name,
            region: fleet.region,
            vpc_id: fleet.vpc_id,
            subnet_ids: fleet.subnets.iter().map(|subnet| subnet.id.clone()).collect(),
            zone: fleet.zone,
            functions_security_group_id: fleet.functions_security_group_id,
            pages_topic_arn: fleet.pages_topic_arn,
            state_table: fleet.state_table,
            bucket: fleet.bucket,
        };
        let network = NetworkSeen {
            cidrs: fleet.client_cidrs,
            subnets: fleet.subnets.into_iter().map(Some).collect(),
            route_tables: fleet.route_table_ids,
        };
        let account = Account {
            now_ms: 1_800_000_000_000,
            network,
            objects: BTreeMap::new(),
            secrets: BTreeSet::new(),
            tls: None,
            state: None,
            setup: BTreeMap::new(),
            deletion: None,
            stack: None,
            template: Value::Null,
            resources: Vec::new(),
            events: Vec::new(),
            change_sets: BTreeMap::new(),
            looks_until_made: 0,
            compares: false,
            next_phase: ChangeSetPhase::Ready(vec![added("AWS::EC2::Instance")]),
            card: None,
            databases: Databases::default(),
            kept: BTreeMap::new(),
            records: RecordsSeen::default(),
            members: Vec::new(),
            told: BTreeMap::new(),
            pages: Vec::new(),
            page_fails: false,
            yields: false,
            done: Vec::new(),
            calls_left: usize::MAX,
            lost_answer: false,
        };
        Scripted { settings, account: Mutex::new(account) }
    }

    /// The same with the stack of `orders` complete and the cluster serving.
    pub async fn deployed() -> Self {
        let world = Scripted::new();
        world.ask(&orders()).await;
        world.complete_stack();
        world.now().done.clear();
        world
    }

    /// Another one, as this one is now.
    pub fn copy(&self) -> Self {
        Scripted { settings: self.settings.clone(), account: Mutex::new(self.now().clone()) }
    }

    pub fn now(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap()
    }

    pub fn with(self, change: impl FnOnce(&mut Account)) -> Self {
        change(&mut self.now());
        self
    }

    /// Lets CloudFormation finish what it has begun, and the members boot.
    pub fn complete_stack(&self) {
        let mut account = self.now();
        let account = &mut *account;
        let stack = account.stack.as_mut().unwrap();
        assert!(stack.status.ends_with("_IN_PROGRESS") && stack.status != "REVIEW_IN_PROGRESS", "{}", stack.status);
        account.now_ms += 6 * 60_000;
        stack.status = stack.status.replace("_IN_PROGRESS", "_COMPLETE");
        let status = stack.status.clone();
        account.happens("the stack", &status, None);
        if status == "DELETE_COMPLETE" {
            account.stack = None;
            account.card = None;
            account.members = Vec::new();
            return;
        }
        if account.databases.is_managed(&account.template) {
            account.databases.boot(&self.settings, &account.template, &account.kept);
            account.card = account.databases.card.clone().map(Registered::Managed);
            return;
        }
        account.card = Some(Registered::Ec2(card()));
        account.members = serving(&[2, 3]);
        let epoch = account.state.as_ref().map_or(0, |state| state.epoch);
        if account.state.as_ref().is_none_or(|state| state.writer.is_none()) {
            account.state = Some(claimed(epoch + 1));
        }
    }

    /// Lets CloudFormation fail with one resource, and come to this state.
    pub fn fail_stack(&self, logical_id: &str, reason: &str, status: &str) {
        let mut account = self.now();
        let failed = if status.starts_with("DELETE") { "DELETE_FAILED" } else { "CREATE_FAILED" };
        account.now_ms += 90_000;
        account.happens(logical_id, failed, Some(reason));
        account.happens("Member3", failed, Some("Resource creation cancelled"));
        account.happens("the stack", status, Some("The following resource(s) failed to create"));
        account.stack.as_mut().unwrap().status = status.into();
    }

    /// One call, which must succeed, about one cluster.
    pub async fn ask(&self, event: &Value) -> Answer {
        match handle(self, event).await.unwrap() {
            Reply::One(answer) => answer,
            Reply::All { mut clusters } => clusters.pop().unwrap(),
        }
    }

    /// What was changed since the last time this was asked.
    pub fn done(&self) -> Vec<String> {
        std::mem::take(&mut self.now().done)
    }

    /// The subjects of the pages since the last time this was asked.
    pub fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.now().pages).into_iter().map(|(subject, _)| subject).collect()
    }
}

impl Account {
    /// CloudFormation notes what happened to a resource, or to the stack.
    pub fn happens(&mut self, logical_id: &str, status: &str, reason: Option<&str>) {
        let is_stack = logical_id == "the stack";
        let begins =
            is_stack && ["CREATE", "UPDATE", "DELETE"].iter().any(|verb| status == format!("{verb}_IN_PROGRESS"));
        if begins {
            self.events.clear();
        }
        let event = EventSeen {
            id: format!("{}-{}", self.now_ms, self.events.len()),
            logical_id: logical_id.into(),
            kind: if is_stack { "AWS::CloudFormation::Stack" } else { "AWS::EC2::Instance" }.into(),
            status: status.into(),
            reason: reason.map(str::to_owned),
            at_ms: self.now_ms,
            is_stack,
        };
        self.events.insert(0, event);
    }
}

pub fn added(kind: &str) -> Change {
    Change {
        action: "Add".into(),
        logical_id: "Member1".into(),
        kind: kind.into(),
        replacement: None,
        targets: vec![],
        details: vec![],
    }
}

/// A change that is made on purpose: in the property's own definition.
pub fn modified(kind: &str, replacement: &str, target: &str) -> Change {
    let recreation = match replacement {
        "True" => "Always",
        "Conditional" => "Conditionally",
        _ => "Never",
    };
    let detail = Detail {
        target: target.into(),
        recreation: Some(recreation.into()),
        is_sure: true,
        source: Some("DirectModification".into()),
    };
    Change {
        action: "Modify".into(),
        logical_id: "Member1".into(),
        kind: kind.into(),
        replacement: Some(replacement.into()),
        targets: vec![target.into()],
        details: vec![detail],
    }
}
