//! A fleet that follows a script and writes down what it is asked and told.

use domain::{
    card::{Card, CardMember, ManagedCard, Records, Registered, Topology},
    events::Function,
    failover::{Sql, StandbySeen, WriterSeen},
    lsn::Lsn,
    managed::Described,
    policy::Policy,
    state::{GuardSeen, State, Synchronous},
};
use reconcile::Failure;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep};
use watch_clusters::{Cards, Origin, Probed, Report, Watcher, World};

/// 2026-11-21T03:12:00Z.
const BEGIN_MS: u64 = 1_795_230_720_000;

type Answer<T> = Box<dyn Fn(Duration) -> T + Send + Sync>;

/// What a member does with a probe: how long it takes, and what it answers.
pub type Behaviour = Answer<(Duration, Sql)>;

pub struct Script {
    pub cards: Answer<Result<Cards, Failure>>,
    /// What RDS says of a cluster that AWS runs.
    pub rds: Answer<Result<Described, Failure>>,
    /// Whether this Region serves it.
    pub serves: Answer<Result<bool, Failure>>,
    pub members: BTreeMap<String, Behaviour>,
    pub state: Answer<Result<Option<State>, Failure>>,
    /// Whether the guard of `i-orders-1` says that its disk is full.
    pub full_disk: Answer<bool>,
    /// How often a cluster's secret was changed by then; the login read last is of that time.
    pub password: Answer<Result<u32, Failure>>,
    /// How long waking takes, and what comes of it.
    pub wake: Answer<(Duration, Result<(), Failure>)>,
}

#[derive(Default)]
pub struct Notes {
    /// When each member was asked.
    pub probes: BTreeMap<String, Vec<Duration>>,
    /// When RDS was asked.
    pub rds: Vec<Duration>,
    /// When each login was read.
    pub logins: Vec<(Duration, String)>,
    /// What each function was told.
    pub events: Vec<(Duration, Value)>,
    pub woken: Vec<Function>,
    pub documents: Vec<Value>,
}

#[derive(Clone)]
pub struct Scripted {
    begin: Instant,
    script: Arc<Script>,
    pub notes: Arc<Mutex<Notes>>,
}

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub fn down(call: &'static str) -> Failure {
    Failure::Transient { call, source: "503".into() }
}

pub fn card(cluster: &str, number: u8) -> Registered {
    let member = |place: u8| CardMember {
        name: format!("{cluster}_{place}"),
        id: format!("i-{cluster}-{place}"),
        address: IpAddr::from([10, number, place, 10]),
        zone: "eu-west-1a".to_owned(),
        never_promote: false,
        tier: 0,
    };
    Registered::Ec2(Card {
        patroni: None,
        version: 1,
        fleet: "prod".to_owned(),
        cluster: cluster.to_owned(),
        topology: Topology::Ec2Streaming,
        database: "app".to_owned(),
        port: 5432,
        records: Records { zone_id: "Z1".to_owned(), writer: "w".to_owned(), reader: "r".to_owned(), ttl_s: 1 },
        operator_secret: "arn".to_owned(),
        certificate_authority: "pem".to_owned(),
        synchronous_required: 1,
        members: (1..=3).map(member).collect(),
        // Silent members of these tests take as long as this.
        policy: Policy { probe_timeout_ms: 900, ..Policy::default() },
    })
}

pub fn state() -> State {
    State {
        epoch: 1,
        writer: Some("i-orders-1".to_owned()),
        synchronous: Synchronous::default(),
        holder: None,
        change: None,
        changed_at_ms: 0,
        ..State::unclaimed()
    }
}

pub fn writer() -> Sql {
    Sql::Writer(WriterSeen {
        timeline: 1,
        lsn: Lsn(0x900),
        system_id: 7,
        synchronous_setting: String::new(),
        streams: vec![],
        slots: vec![],
    })
}

pub fn standby(upstream: Option<IpAddr>) -> Sql {
    Sql::Standby(StandbySeen {
        timeline: 1,
        known_timeline: 1,
        received: Some(Lsn(0x900)),
        replayed: None,
        system_id: 7,
        receiver: None,
        upstream,
    })
}

pub fn silent() -> (Duration, Sql) {
    (ms(900), Sql::Silent("no answer".to_owned()))
}

impl Script {
    /// The cluster `orders` and all is well, for ever.
    pub fn well() -> Self {
        let mut script = Script {
            cards: Box::new(|_| Ok(Cards { cards: vec![card("orders", 0)], unreadable: vec![] })),
            rds: Box::new(|_| Err(down("rds:DescribeDBInstances"))),
            serves: Box::new(|_| Ok(true)),
            members: BTreeMap::new(),
            state: Box::new(|_| Ok(Some(state()))),
            full_disk: Box::new(|_| false),
            password: Box::new(|_| Ok(0)),
            wake: Box::new(|_| (Duration::ZERO, Ok(()))),
        };
        script.member("i-orders-1", |_| (ms(5), writer()));
        for standby in ["i-orders-2", "i-orders-3"] {
            script.member(standby, |_| (ms(5), self::standby(Some(IpAddr::from([10, 0, 1, 10])))));
        }
        script
    }

    pub fn member(&mut self, id: &str, behaviour: impl Fn(Duration) -> (Duration, Sql) + Send + Sync + 'static) {
        self.members.insert(id.to_owned(), Box::new(behaviour));
    }

    pub fn watcher(self) -> (Watcher<Scripted>, Scripted) {
        let world = Scripted { begin: Instant::now(), script: Arc::new(self), notes: Arc::default() };
        (Watcher::new(world.clone(), "prod".to_owned()), world)
    }

    /// Runs once, as Lambda would with this time-out.
    pub async fn run(self, timeout: Duration) -> (Report, Scripted) {
        let (watcher, world) = self.watcher();
        let report = run(&watcher, &world, timeout).await.unwrap();
        (report, world)
    }
}

pub async fn run(watcher: &Watcher<Scripted>, world: &Scripted, timeout: Duration) -> Result<Report, Failure> {
    let origin = Origin::of_function("arn:aws:lambda:eu-west-1:111122223333:function:prod-watch-clusters");
    let deadline = world.now_ms() + u64::try_from(timeout.as_millis()).unwrap();
    watcher.run(origin, deadline).await
}

impl Scripted {
    pub fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    async fn answer(&self, access: &u32, who: &str) -> Probed {
        self.notes.lock().unwrap().probes.entry(who.to_owned()).or_default().push(self.now());
        if (self.script.password)(self.now()).is_ok_and(|password| password != *access) {
            return Probed { sql: Sql::Alive("SQLSTATE 28P01".to_owned()), login_refused: true };
        }
        let (takes, sql) = self.script.members[who](self.now());
        sleep(takes).await;
        Probed { sql, login_refused: false }
    }

    /// When events of this kind were sent.
    pub fn told(&self, kind: &str) -> Vec<Duration> {
        let notes = self.notes.lock().unwrap();
        notes.events.iter().filter(|(_, event)| event["detail-type"] == kind).map(|(at, _)| *at).collect()
    }

    pub fn suspicions(&self) -> Vec<Duration> {
        self.told("Understudy Writer Suspected")
    }

    pub fn probes(&self, member: &str) -> Vec<Duration> {
        self.notes.lock().unwrap().probes.get(member).cloned().unwrap_or_default()
    }
}

impl World for Scripted {
    type Access = u32;

    fn now_ms(&self) -> u64 {
        BEGIN_MS + u64::try_from(self.now().as_millis()).unwrap()
    }

    async fn cards(&self) -> Result<Cards, Failure> {
        (self.script.cards)(self.now())
    }

    async fn access(&self, card: &Registered) -> Result<u32, Failure> {
        self.notes.lock().unwrap().logins.push((self.now(), card.cluster().to_owned()));
        (self.script.password)(self.now())
    }

    async fn probe(&self, access: &u32, _: &Card, member: &CardMember) -> Probed {
        self.answer(access, &member.id).await
    }

    async fn describe(&self, _: &ManagedCard) -> Result<Described, Failure> {
        self.notes.lock().unwrap().rds.push(self.now());
        (self.script.rds)(self.now())
    }

    async fn probe_endpoint(&self, access: &u32, _: &ManagedCard, endpoint: &str) -> Probed {
        self.answer(access, endpoint).await
    }

    async fn serves(&self, _: &ManagedCard) -> Result<bool, Failure> {
        (self.script.serves)(self.now())
    }

    async fn state(&self, _: &str) -> Result<Option<State>, Failure> {
        (self.script.state)(self.now())
    }

    async fn guard(&self, _: &str, member: &str) -> Result<Option<GuardSeen>, Failure> {
        let disk_full = member == "i-orders-1" && (self.script.full_disk)(self.now());
        Ok(Some(GuardSeen { disk_full, written_at_ms: World::now_ms(self), ..GuardSeen::default() }))
    }

    async fn wake(&self, function: Function, event: &Value) -> Result<(), Failure> {
        self.notes.lock().unwrap().woken.push(function);
        self.notes.lock().unwrap().events.push((self.now(), event.clone()));
        let (takes, outcome) = (self.script.wake)(self.now());
        sleep(takes).await;
        outcome
    }

    fn measured(&self, document: &Value) {
        self.notes.lock().unwrap().documents.push(document.clone());
    }
}
