//! A small cluster that follows a script, for passes that come after a change
//! of writer: `i-a` writes, `i-b` follows, `i-c` is what the test makes of it.
//!
//! Every call is counted, so that a pass can be cut before or after any one of
//! them, can lose its answer, or can stop there while another pass runs.

mod ssm;

pub use ssm::Command;

use domain::{
    card::{Card, CardMember, Records, Topology},
    failover::{Host, Page, PromotedSeen, ReceiverSeen, Sql, StandbySeen, StreamSeen, Target, WriterSeen},
    lsn::Lsn,
    policy::Policy,
    records::RecordsSeen,
    rejoin::Rejoin,
    state::{Approval, Change, GuardSeen, Holder, Pause, State, Synchronous},
};
use futures_util::FutureExt;
use reconcile::{Failure, Outside, Turn};
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

/// A standby of `i-a`.
#[must_use]
pub fn standby() -> Sql {
    let upstream = Some(address("i-a"));
    Sql::Standby(StandbySeen {
        timeline: 2,
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
            told: BTreeMap::new(),
        };
        World { card: Rc::new(card(&ids)), inner: Rc::new(RefCell::new(inner)) }
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

impl Inner {
    /// Writes that only the holder of the lease may make.
    fn held(&mut self, epoch: u64, holder: &str) -> Result<&mut State, Failure> {
        let mine = self.state.holder.as_ref().is_some_and(|held| held.id == holder);
        if self.state.epoch == epoch && mine { Ok(&mut self.state) } else { Err(lost("dynamodb:UpdateItem")) }
    }
}

fn unused<T>(call: &str) -> Result<T, Failure> {
    Err(Failure::Broken { call: "test", what: format!("{call} is none of this function's calls") })
}

impl Outside for World {
    fn card(&self) -> &Card {
        &self.card
    }

    fn now_ms(&self) -> u64 {
        self.see().now_ms
    }

    async fn sleep(&self, span: Duration) {
        self.later(span);
    }

    async fn state(&self) -> Result<Option<State>, Failure> {
        self.call("state", |inner| Ok(Some(inner.state.clone()))).await
    }

    async fn guard(&self, member: &str) -> Result<Option<GuardSeen>, Failure> {
        self.call("guard", |inner| Ok(inner.guards.get(member).cloned())).await
    }

    async fn begin(&self, _: u64, _: &Holder, _: &Change) -> Result<(), Failure> {
        unused("begin")
    }

    async fn resume(&self, epoch: u64, holder: &Holder) -> Result<(), Failure> {
        self.call("resume", |inner| {
            let now = inner.now_ms;
            let free = |held: &Holder| held.id == holder.id || held.expires_at_ms < now;
            if inner.state.epoch != epoch || !inner.state.holder.as_ref().is_none_or(free) {
                return Err(lost("dynamodb:UpdateItem"));
            }
            inner.state.holder = Some(holder.clone());
            Ok(())
        })
        .await
    }

    async fn note(&self, _: u64, _: &str, _: &Change) -> Result<(), Failure> {
        unused("note")
    }

    async fn publish_synchronous(&self, _: u64, _: &str, _: &Synchronous, _: Option<Lsn>) -> Result<(), Failure> {
        unused("publish_synchronous")
    }

    async fn finish(&self, _: u64, _: &str, _: &str, _: u64, _: &[u64]) -> Result<(), Failure> {
        unused("finish")
    }

    async fn abandon(&self, _: u64, _: &str) -> Result<(), Failure> {
        unused("abandon")
    }

    async fn release(&self, epoch: u64, holder: &str) -> Result<(), Failure> {
        self.call("release", |inner| inner.held(epoch, holder).map(|state| state.holder = None)).await
    }

    async fn pause(&self, _: u64, _: &Pause) -> Result<(), Failure> {
        unused("pause")
    }

    async fn approve(&self, _: &Approval) -> Result<(), Failure> {
        unused("approve")
    }

    async fn tell_once(&self, what: &str, now_ms: u64, every_ms: u64) -> Result<bool, Failure> {
        self.call("tell_once", |inner| {
            if inner.told.get(what).is_some_and(|told| told + every_ms > now_ms) {
                return Ok(false);
            }
            inner.told.insert(what.to_owned(), now_ms);
            Ok(true)
        })
        .await
    }

    async fn untell(&self, what: &str) -> Result<(), Failure> {
        self.call("untell", |inner| {
            inner.told.remove(what);
            Ok(())
        })
        .await
    }

    async fn append(&self, item: &str, entry: &Value) -> Result<bool, Failure> {
        self.call("append", |inner| {
            let new = !inner.ledger.contains_key(item);
            inner.ledger.entry(item.to_owned()).or_insert_with(|| entry.clone());
            Ok(new)
        })
        .await
    }

    async fn hosts(&self) -> Result<BTreeMap<String, Host>, Failure> {
        self.call("hosts", |inner| Ok(inner.hosts.clone())).await
    }

    async fn stop_host(&self, _: &str) -> Result<(), Failure> {
        unused("stop_host")
    }

    async fn probe(&self, member: &Target, _: Duration) -> Sql {
        let answer = self.call("probe", |inner| Ok(inner.sql.get(&member.id).cloned().unwrap_or(Sql::NotAsked)));
        answer.await.unwrap_or_else(|failure| Sql::Silent(failure.to_string()))
    }

    async fn freeze(&self, _: &Target) -> Result<(), Failure> {
        unused("freeze")
    }

    async fn follow(&self, _: &Target, _: IpAddr) -> Result<(), Failure> {
        unused("follow")
    }

    async fn promote(&self, _: &Target) -> Result<PromotedSeen, Failure> {
        unused("promote")
    }

    async fn prove(&self, _: &Target, _: u64) -> Result<PromotedSeen, Failure> {
        unused("prove")
    }

    async fn prepare_slots(&self, _: &Target, _: &[String]) -> Result<(), Failure> {
        unused("prepare_slots")
    }

    async fn set_synchronous(&self, _: &Target, _: &str) -> Result<(), Failure> {
        unused("set_synchronous")
    }

    async fn checkpoint(&self, _: &Target) -> Result<(), Failure> {
        unused("checkpoint")
    }

    async fn records(&self) -> Result<RecordsSeen, Failure> {
        self.call("records", |inner| Ok(inner.records.clone())).await
    }

    async fn move_writer(&self, from: Option<(IpAddr, u64)>, to: (IpAddr, u64)) -> Result<(), Failure> {
        self.call("move_writer", |inner| {
            let records = &mut inner.records;
            let now = records.writer.first().copied().zip(records.epoch);
            if now != Some(to) && now != from {
                return Err(lost("route53:ChangeResourceRecordSets"));
            }
            (records.writer, records.epoch) = (vec![to.0], Some(to.1));
            Ok(())
        })
        .await
    }

    async fn set_readers(&self, addresses: &[IpAddr]) -> Result<(), Failure> {
        self.call("set_readers", |inner| {
            inner.records.reader = addresses.to_vec();
            Ok(())
        })
        .await
    }

    async fn send(&self, page: &Page) -> Result<(), Failure> {
        self.call("send", |inner| {
            inner.pages.push(page.clone());
            Ok(())
        })
        .await
    }
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
