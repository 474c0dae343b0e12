//! An account that is a value: it does what AWS would, and writes it down.

use deploy_cluster::{
    Answer, Reply, handle,
    outside::{
        Change, ChangeSetPhase, ChangeSetSeen, NetworkSeen, NewChangeSet, Outside, Settings, StackSeen, TlsSeen,
    },
    placeholder,
};
use domain::{
    card::{Card, CardMember, Records, Topology},
    failover::{ReceiverSeen, Sql, StandbySeen, StreamSeen, WriterSeen},
    lsn::Lsn,
    policy::Policy,
    records::RecordsSeen,
    state::{State, Synchronous},
};
use reconcile::{Failure, failed};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard},
    time::Duration,
};
use template::Subnet;

/// The account as it is now.
pub struct Account {
    pub network: NetworkSeen,
    pub tls: Option<TlsSeen>,
    pub state: Option<State>,
    pub stack: Option<StackSeen>,
    pub template: Value,
    pub change_sets: BTreeMap<String, (ChangeSetPhase, Value)>,
    /// How a change set looks that is made now.
    pub next_phase: ChangeSetPhase,
    pub card: Option<Card>,
    pub records: RecordsSeen,
    pub members: Vec<Sql>,
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

pub fn schedule() -> Value {
    json!({ "source": "aws.events", "detail-type": "Scheduled Event", "detail": {} })
}

pub fn stack_event(status: &str) -> Value {
    let arn = "arn:aws:cloudformation:eu-west-1:111122223333:stack/understudy-example-orders/1";
    json!({
        "version": "0", "id": "1", "source": "aws.cloudformation", "detail-type": "CloudFormation Stack Status Change",
        "account": "111122223333", "region": "eu-west-1", "time": "2026-11-21T00:00:00Z", "resources": [arn],
        "detail": { "stack-id": arn, "status-details": { "status": status, "status-reason": "" } },
    })
}

impl Scripted {
    /// An account with the fleet `example` and no cluster.
    pub fn new() -> Self {
        let fleet = placeholder::fleet();
        let settings = Settings {
            fleet: fleet.name,
            region: fleet.region,
            vpc_id: fleet.vpc_id,
            subnet_ids: fleet.subnets.iter().map(|subnet| subnet.id.clone()).collect(),
            zone: fleet.zone,
            functions_security_group_id: fleet.functions_security_group_id,
            pages_topic_arn: fleet.pages_topic_arn,
            state_table: fleet.state_table,
        };
        let account = Account {
            network: NetworkSeen { cidrs: fleet.client_cidrs, subnets: fleet.subnets.into_iter().map(Some).collect() },
            tls: None,
            state: None,
            stack: None,
            template: Value::Null,
            change_sets: BTreeMap::new(),
            next_phase: ChangeSetPhase::Ready(vec![added("AWS::EC2::Instance")]),
            card: None,
            records: RecordsSeen::default(),
            members: Vec::new(),
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
        stack.status = stack.status.replace("_IN_PROGRESS", "_COMPLETE");
        account.card = Some(card());
        account.members = serving(&[2, 3]);
        let epoch = account.state.as_ref().map_or(0, |state| state.epoch);
        if account.state.as_ref().is_none_or(|state| state.writer.is_none()) {
            account.state = Some(claimed(epoch + 1));
        }
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

    /// One call: counted, written down if it changes something, and failing when its time has come.
    fn call<T>(
        &self,
        what: Option<String>,
        effect: impl FnOnce(&mut Account) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut account = self.now();
        let cut = || failed::<&str>("any")("the function was cut short");
        if account.calls_left == 0 {
            return Err(cut());
        }
        account.calls_left -= 1;
        let is_last = account.calls_left == 0 && account.lost_answer;
        account.done.extend(what);
        let result = effect(&mut account);
        if is_last { Err(cut()) } else { result }
    }
}

pub fn added(kind: &str) -> Change {
    Change { action: "Add".into(), logical_id: "Member1".into(), kind: kind.into(), replacement: None, targets: vec![] }
}

pub fn modified(kind: &str, replacement: &str, target: &str) -> Change {
    let replacement = Some(replacement.to_owned());
    Change {
        action: "Modify".into(),
        logical_id: "Member1".into(),
        kind: kind.into(),
        replacement,
        targets: vec![target.into()],
    }
}

impl Outside for Scripted {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    async fn network(&self, subnet_ids: &[String]) -> Result<NetworkSeen, Failure> {
        self.call(None, |account| {
            let known = |id: &String| account.network.subnets.iter().flatten().find(|subnet| subnet.id == *id).cloned();
            let subnets: Vec<Option<Subnet>> = subnet_ids.iter().map(known).collect();
            Ok(NetworkSeen { cidrs: account.network.cidrs.clone(), subnets })
        })
    }

    async fn image(&self, parameter: &str) -> Result<String, Failure> {
        assert_eq!(parameter, "/aws/service/debian/release/12/latest/arm64");
        self.call(None, |_| Ok("ami-1".into()))
    }

    async fn tls(&self, _: &str) -> Result<Option<TlsSeen>, Failure> {
        self.call(None, |account| Ok(account.tls.clone()))
    }

    async fn create_tls(&self, cluster: &str, names: &[String]) -> Result<(), Failure> {
        self.call(Some(format!("create certificate of {cluster} for {}", names.join(", "))), |account| {
            assert!(account.tls.is_none(), "a second certificate would shut out members with the first");
            account.tls = Some(TlsSeen { tls: placeholder::tls(), names: names.to_vec() });
            Ok(())
        })
    }

    async fn state(&self, _: &str) -> Result<Option<State>, Failure> {
        self.call(None, |account| Ok(account.state.clone()))
    }

    async fn unclaim(&self, cluster: &str) -> Result<(), Failure> {
        self.call(Some(format!("unclaim {cluster}")), |account| {
            let status = account.stack.as_ref().map_or("", |stack| &stack.status);
            assert!(matches!(status, "" | "REVIEW_IN_PROGRESS"), "its members may be running: {status}");
            account.state.as_mut().unwrap().writer = None;
            Ok(())
        })
    }

    async fn stack(&self, name: &str) -> Result<Option<StackSeen>, Failure> {
        assert_eq!(name, "understudy-example-orders");
        self.call(None, |account| Ok(account.stack.clone()))
    }

    async fn planned_stacks(&self) -> Result<Vec<String>, Failure> {
        self.call(None, |account| {
            let planned = account.stack.as_ref().is_some_and(|stack| stack.status == "REVIEW_IN_PROGRESS");
            Ok(planned.then(|| "understudy-example-orders".to_owned()).into_iter().collect())
        })
    }

    async fn template(&self, _: &str) -> Result<Value, Failure> {
        self.call(None, |account| Ok(account.template.clone()))
    }

    async fn open_change_sets(&self, _: &str) -> Result<Vec<String>, Failure> {
        self.call(None, |account| {
            let open = account.change_sets.iter().filter(|(_, (phase, _))| *phase != ChangeSetPhase::Over);
            Ok(open.map(|(name, _)| name.clone()).collect())
        })
    }

    async fn change_set(&self, _: &str, name: &str) -> Result<Option<ChangeSetSeen>, Failure> {
        self.call(None, |account| {
            let found = account.change_sets.get(name);
            Ok(found.map(|(phase, _)| ChangeSetSeen { name: name.to_owned(), phase: phase.clone() }))
        })
    }

    async fn create_change_set(&self, new: &NewChangeSet) -> Result<(), Failure> {
        let kind = if new.new_stack { "new stack" } else { "update" };
        self.call(Some(format!("create change set: {kind}, image {:?}", new.image)), |account| {
            let exists = account.stack.as_ref().is_some_and(|stack| stack.status != "REVIEW_IN_PROGRESS");
            assert_eq!(exists, !new.new_stack, "CloudFormation refuses the other type");
            if account.stack.is_none() {
                account.stack = Some(StackSeen {
                    id: "stack/1".into(),
                    status: "REVIEW_IN_PROGRESS".into(),
                    reason: None,
                    changed_at: "0".into(),
                    parameters: vec![],
                });
            }
            let body = serde_json::from_str(&new.body).unwrap();
            let phase = account.next_phase.clone();
            account.change_sets.entry(new.name.clone()).or_insert((phase, body));
            Ok(())
        })
    }

    async fn execute_change_set(&self, _: &str, name: &str) -> Result<(), Failure> {
        self.call(Some("execute change set".into()), |account| {
            let (phase, body) = account.change_sets.get_mut(name).unwrap();
            assert!(matches!(phase, ChangeSetPhase::Ready(_)), "{phase:?}");
            *phase = ChangeSetPhase::Over;
            account.template = body.clone();
            let stack = account.stack.as_mut().unwrap();
            let creates = stack.status == "REVIEW_IN_PROGRESS";
            stack.status = if creates { "CREATE_IN_PROGRESS" } else { "UPDATE_IN_PROGRESS" }.into();
            stack.changed_at = (stack.changed_at.parse::<u32>().unwrap() + 1).to_string();
            stack.parameters = vec!["ImageId".into()];
            Ok(())
        })
    }

    async fn delete_change_set(&self, _: &str, name: &str) -> Result<(), Failure> {
        self.call(Some("delete change set".into()), |account| {
            account.change_sets.remove(name);
            Ok(())
        })
    }

    async fn cards(&self) -> Result<Vec<Card>, Failure> {
        self.call(None, |account| Ok(account.card.clone().into_iter().collect()))
    }

    async fn card(&self, _: &str) -> Result<Option<Card>, Failure> {
        self.call(None, |account| Ok(account.card.clone()))
    }

    async fn records(&self, _: &Records) -> Result<RecordsSeen, Failure> {
        self.call(None, |account| Ok(account.records.clone()))
    }

    async fn move_writer(&self, _: &Records, from: Option<(IpAddr, u64)>, to: (IpAddr, u64)) -> Result<(), Failure> {
        self.call(Some(format!("writer record {from:?} -> {to:?}")), |account| {
            let seen = account.records.writer.first().copied().zip(account.records.epoch);
            assert_eq!(seen, from, "Route 53 refuses the batch");
            account.records.writer = vec![to.0];
            account.records.epoch = Some(to.1);
            Ok(())
        })
    }

    async fn set_readers(&self, _: &Records, addresses: &[IpAddr]) -> Result<(), Failure> {
        self.call(Some(format!("reader record -> {addresses:?}")), |account| {
            account.records.reader = addresses.to_vec();
            Ok(())
        })
    }

    async fn probe(&self, _: &Card) -> Result<Vec<Sql>, Failure> {
        self.call(None, |account| Ok(account.members.clone()))
    }
}
