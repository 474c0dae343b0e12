//! A small cluster that follows a script, for passes that come after a change
//! of writer: `i-a` writes, `i-b` follows, `i-c` is what the test makes of it.
//!
//! Every call is counted, so that a pass can be cut before or after any one of
//! them, can lose its answer, or can stop there while another pass runs.

mod databases;
mod led;
mod outside;
mod ssm;

pub use databases::{Databases, Later, Server, endpoint};
pub use ssm::Command;

use domain::{
    card::{Card, CardHost, CardMember, ManagedCard, PatroniCard, Records, Topology},
    failover::{Host, Page, ReceiverSeen, Seen, Sql, StandbySeen, StreamSeen, WriterSeen},
    follow::{Account, Fork, Role},
    lsn::Lsn,
    policy::Policy,
    records::RecordsSeen,
    rejoin::Rejoin,
    state::{GuardSeen, State, Synchronous},
};
use futures_util::FutureExt;
use reconcile::{Failure, Turn};
use serde_json::Value;
use std::{
    cell::{RefCell, RefMut},
    collections::BTreeMap,
    future::{Future, pending, poll_fn},
    net::IpAddr,
    rc::Rc,
    task::Poll,
    time::Duration,
};

/// How long an invocation lives, in milliseconds: the functions' time-out.
const LIFE_MS: u64 = 60_000;

/// What happens at one call, counted from 1 over all passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The pass dies before it.
    DiesBefore(usize),
    /// The pass dies after it, before its answer.
    DiesAfter(usize),
    /// It fails and had no effect.
    Fails(usize),
    /// It has its effect, and its answer is lost.
    LosesAnswer(usize),
    /// The pass stands still before it, until it is polled again.
    Stops(usize),
}

/// The cluster, and what was done to it. A handle: its copies are the same.
#[derive(Clone)]
pub struct World {
    card: Rc<Card>,
    /// Of a cluster that AWS runs.
    managed: Option<Rc<ManagedCard>>,
    inner: Rc<RefCell<Inner>>,
}

/// Everything that can be looked up or changed.
pub struct Inner {
    /// Milliseconds since 1970.
    pub now_ms: u64,
    /// The state item.
    pub state: State,
    /// What the boot guards wrote.
    pub guards: BTreeMap<String, GuardSeen>,
    /// What EC2 says.
    pub hosts: BTreeMap<String, Host>,
    /// What PostgreSQL answers.
    pub sql: BTreeMap<String, Sql>,
    /// The records.
    pub records: RecordsSeen,
    /// The ledger.
    pub ledger: BTreeMap<String, Value>,
    /// Pages that were sent.
    pub pages: Vec<Page>,
    /// The items `rejoin#<id>`.
    pub rejoin: BTreeMap<String, Rejoin>,
    /// Commands that were sent.
    pub commands: Vec<Command>,
    /// How the next commands end: what they print, or why they fail.
    pub endings: Vec<Result<String, String>>,
    /// How long a command runs, in milliseconds.
    pub runs_ms: u64,
    /// Whether SSM has an agent on the members.
    pub has_agent: bool,
    /// The calls, by name.
    pub calls: Vec<&'static str>,
    /// What happens at one of them.
    pub trouble: Option<Trouble>,
    /// Whether the cluster has a state item.
    pub has_state: bool,
    /// What the keeper says, where there is one.
    pub account: Seen<Account>,
    /// Items that hold a document.
    pub kept: BTreeMap<String, Value>,
    /// Which hosts fail a status check.
    pub impaired: BTreeMap<String, String>,
    /// What AWS runs, where it does.
    pub databases: Databases,
    /// Orders that hosts were given: `start i-c`.
    pub orders: Vec<String>,
    /// When what was told last.
    told: BTreeMap<String, u64>,
}

/// The address of a member.
#[must_use]
pub fn address(id: &str) -> IpAddr {
    IpAddr::from([10, 0, id.as_bytes()[2] - b'a' + 1, 10])
}

/// A writer from which these stream.
#[must_use]
pub fn writer(streaming: &[&str]) -> Sql {
    let stream = |id: &&str| StreamSeen { name: name(id), streaming: true, flushed: Some(Lsn(900)) };
    Sql::Writer(WriterSeen {
        timeline: 2,
        lsn: Lsn(900),
        system_id: 42,
        synchronous_setting: "ANY 1 (\"orders_b\")".to_owned(),
        streams: streaming.iter().map(stream).collect(),
        slots: Vec::new(),
    })
}

/// What Patroni says when this member leads.
#[must_use]
pub fn account(leader: &str) -> Account {
    let role = |id: &str| Role {
        id: id.to_owned(),
        role: if id == leader { "leader" } else { "replica" }.to_owned(),
        state: if id == leader { "running" } else { "streaming" }.to_owned(),
        timeline: Some(2),
        lag: Some(0),
    };
    Account {
        by: name(leader),
        leader: Some(leader.to_owned()),
        paused: false,
        roles: ["i-a", "i-b", "i-c"].map(role).into(),
        forks: vec![Fork { timeline: 1, ended_at: Lsn(100), at_ms: None, leader: Some(name("i-a")) }],
    }
}

/// A standby of `i-a`.
#[must_use]
pub fn standby() -> Sql {
    let upstream = Some(address("i-a"));
    Sql::Standby(StandbySeen {
        timeline: 2,
        known_timeline: 2,
        received: Some(Lsn(900)),
        replayed: Some(Lsn(900)),
        system_id: 42,
        receiver: Some(ReceiverSeen { streaming: true, silent_for: Duration::from_millis(100), upstream }),
        upstream,
    })
}

fn name(id: &str) -> String {
    id.replace("i-", "orders_")
}

impl World {
    /// All is well: `i-a` writes, `i-b` and `i-c` follow, epoch 7.
    #[must_use]
    pub fn well() -> Self {
        let ids = ["i-a", "i-b", "i-c"];
        let sql = [writer(&["i-b", "i-c"]), standby(), standby()];
        let inner = Inner {
            now_ms: 1_774_840_330_000,
            state: State {
                epoch: 7,
                writer: Some("i-a".to_owned()),
                synchronous: Synchronous { required: 1, names: vec![name("i-b"), name("i-c")] },
                ..State::unclaimed()
            },
            guards: BTreeMap::new(),
            hosts: ids.map(|id| (id.to_owned(), Host::Running)).into(),
            sql: ids.map(str::to_owned).into_iter().zip(sql).collect(),
            records: RecordsSeen {
                writer: vec![address("i-a")],
                epoch: Some(7),
                reader: vec![address("i-b"), address("i-c")],
                ..RecordsSeen::default()
            },
            ledger: BTreeMap::new(),
            pages: Vec::new(),
            rejoin: BTreeMap::new(),
            commands: Vec::new(),
            endings: Vec::new(),
            runs_ms: 4_000,
            has_agent: true,
            calls: Vec::new(),
            trouble: None,
            has_state: true,
            account: Seen::NotAsked,
            kept: BTreeMap::new(),
            impaired: BTreeMap::new(),
            databases: Databases::default(),
            orders: Vec::new(),
            told: BTreeMap::new(),
        };
        World { card: Rc::new(card(&ids)), managed: None, inner: Rc::new(RefCell::new(inner)) }
    }

    /// The same, and Patroni owns it: `i-a` leads on timeline 2, three hosts of etcd run.
    #[must_use]
    pub fn led() -> Self {
        let world = World::well();
        let etcd = |id: &str, number: u8| CardHost {
            name: format!("orders-etcd-{number}"),
            id: id.to_owned(),
            address: IpAddr::from([10, 0, number, 20]),
            zone: "eu-west-1a".to_owned(),
        };
        let etcd = vec![etcd("i-x", 1), etcd("i-y", 2), etcd("i-z", 3)];
        {
            let mut inner = world.see();
            inner.hosts.extend(etcd.iter().map(|host| (host.id.clone(), Host::Running)));
            inner.account = Seen::Known(account("i-a"));
            inner.state.synchronous = Synchronous { required: 1, names: vec![name("i-b")] };
        }
        let patroni = PatroniCard {
            port: 8008,
            api_secret: "arn:patroni".to_owned(),
            peer_authority: "pem".to_owned(),
            ttl_s: 20,
            loop_wait_s: 5,
            balancer: "orders.elb.eu-west-1.amazonaws.com".to_owned(),
            etcd,
        };
        let card = Card { topology: Topology::Ec2Patroni, patroni: Some(patroni), ..(*world.card).clone() };
        World { card: Rc::new(card), ..world }
    }

    /// Patroni lost `i-a`, and made `i-b` leader on timeline 3.
    #[must_use]
    pub fn led_elsewhere() -> Self {
        let world = World::led();
        {
            let mut inner = world.see();
            inner.elect("i-b");
            inner.sql.insert("i-a".to_owned(), Sql::Silent("no answer".to_owned()));
        }
        world
    }

    /// `i-c` came back as an old writer, and its boot guard keeps it from starting.
    #[must_use]
    pub fn old_writer_waits() -> Self {
        let world = World::well();
        {
            let mut inner = world.see();
            let guard = GuardSeen { epoch: 7, holds: true, timeline: 1, ..GuardSeen::default() };
            inner.guards.insert("i-c".to_owned(), guard);
            inner.sql.insert("i-a".to_owned(), writer(&["i-b"]));
            inner.sql.insert("i-c".to_owned(), Sql::Refused);
        }
        world
    }

    /// Everything in it, to look at or to change.
    ///
    /// # Panics
    ///
    /// While somebody else looks.
    pub fn see(&self) -> RefMut<'_, Inner> {
        self.inner.borrow_mut()
    }

    /// Lets time pass.
    pub fn later(&self, span: Duration) {
        self.see().now_ms += u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    }

    /// A new invocation; its name is the time.
    #[must_use]
    pub fn turn(&self) -> Turn {
        let inner = self.see();
        Turn { pass: format!("pass-{}-{}", inner.now_ms, inner.calls.len()), deadline_ms: inner.now_ms + LIFE_MS }
    }

    /// Runs a pass to its end; `None` when it died.
    pub fn run<T>(&self, pass: impl Future<Output = T>) -> Option<T> {
        pass.now_or_never()
    }

    /// One call: counted, and in trouble if it is its turn.
    async fn call<T>(
        &self,
        name: &'static str,
        effect: impl FnOnce(&mut Inner) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (number, trouble) = {
            let mut inner = self.see();
            inner.calls.push(name);
            inner.now_ms += 10;
            inner.tick();
            (inner.calls.len(), inner.trouble)
        };
        let lost = || Failure::Transient { call: name, source: "the answer was lost".into() };
        match trouble {
            Some(Trouble::DiesBefore(at)) if at == number => pending().await,
            Some(Trouble::Fails(at)) if at == number => return Err(lost()),
            Some(Trouble::Stops(at)) if at == number => once_later().await,
            _ => {}
        }
        let answer = effect(&mut self.see());
        match trouble {
            Some(Trouble::DiesAfter(at)) if at == number => pending().await,
            Some(Trouble::LosesAnswer(at)) if at == number => Err(lost()),
            _ => answer,
        }
    }
}

/// Ready at the second poll.
async fn once_later() {
    let mut polled = false;
    poll_fn(|_| match std::mem::replace(&mut polled, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

fn lost(call: &'static str) -> Failure {
    Failure::LostRace { call, what: "what it was to change".to_owned() }
}

fn card(ids: &[&str]) -> Card {
    let member = |id: &&str| CardMember {
        name: name(id),
        id: (*id).to_owned(),
        address: address(id),
        zone: id.replace("i-", "eu-west-1"),
        never_promote: false,
        tier: 0,
    };
    Card {
        patroni: None,
        version: 1,
        fleet: "prod".to_owned(),
        cluster: "orders".to_owned(),
        topology: Topology::Ec2Streaming,
        database: "orders".to_owned(),
        port: 5432,
        records: Records {
            zone_id: "Z1".to_owned(),
            writer: "orders-rw.db.internal".to_owned(),
            reader: "orders-ro.db.internal".to_owned(),
            ttl_s: 1,
        },
        operator_secret: "arn".to_owned(),
        certificate_authority: "pem".to_owned(),
        synchronous_required: 1,
        members: ids.iter().map(member).collect(),
        policy: Policy::default(),
    }
}
