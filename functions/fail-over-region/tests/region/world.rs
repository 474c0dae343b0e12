//! Two small Regions that follow a script, as the second one's fleet sees them.
//!
//! Time passes with every call; the writer that lets clients in writes all the while, so that whatever it acknowledged
//! and nobody else has is a loss that a test can count. Every call is counted, and can be where a pass is cut.

use crate::card::card;
use domain::region::Request;
use domain::{
    card::Topology,
    failover::{Page, PromotedSeen, Sql, StandbySeen, WriterSeen},
    lsn::Lsn,
    managed::{GlobalFailover, GlobalSeen, Roles},
    region::{Cut, DrCard, Place, Position, Server, SideSeen},
    state::State,
};
use fail_over_region::{Pass, Report, Waking, change_region, explain};
use reconcile::{Failure, Turn};
use serde_json::Value;
use std::{
    cell::{RefCell, RefMut},
    collections::BTreeMap,
    future::{Future, pending},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

pub const HERE: &str = "arn:aws:rds:eu-central-1:111122223333:here";
pub const THERE: &str = "arn:aws:rds:eu-west-1:111122223333:there";

/// How long a promotion, or a change of the global writer, takes, milliseconds.
pub const TAKES_MS: u64 = 90_000;

/// What happens at one call, counted from 1 over all passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    DiesBefore(usize),
    DiesAfter(usize),
    Fails(usize),
    LosesAnswer(usize),
}

/// One server of each Region: Aurora's cluster, or an instance.
#[derive(Debug, Clone)]
pub struct Srv {
    pub id: String,
    pub arn: String,
    pub status: String,
    /// Whose copy it is; `None`: it writes.
    pub source: Option<String>,
    pub lsn: u64,
    pub cut: bool,
    /// Clients' sessions that a group does not end.
    pub sessions: u32,
    /// Whether its Region lives.
    pub alive: bool,
    /// Whether SQL reaches it from here.
    pub sql: bool,
}

/// Everything that can be looked up or changed.
pub struct Inner {
    pub now_ms: u64,
    pub here: Srv,
    pub there: Srv,
    pub aurora: bool,
    pub global: GlobalSeen,
    /// Positions by which the copy is behind while it follows.
    pub lag: u64,
    /// The last position that a client was told is safe.
    pub acknowledged: u64,
    /// Orders that AWS is at: when each is done.
    pub promotion: Option<(Place, u64)>,
    pub moving: Option<(String, u64)>,
    /// Whether promotions never end.
    pub stuck: bool,
    /// Whether AWS refuses every order.
    pub refuses: bool,
    pub state: Option<State>,
    pub kept: BTreeMap<String, Value>,
    pub kept_there: BTreeMap<String, Value>,
    pub ledger: BTreeMap<String, Value>,
    pub pages: Vec<Page>,
    pub calls: Vec<String>,
    pub trouble: Option<Trouble>,
    pub told: BTreeMap<String, u64>,
    pub published: Vec<bool>,
    pub orders: Vec<String>,
    pub rendered: Vec<Place>,
    pub backups: u32,
    /// What the preflight finds failing.
    pub failing: Vec<domain::region::Check>,
    /// How long a pass stays.
    pub stays: Duration,
    /// A look after every call found two writers that let clients in.
    pub two_writers: bool,
}

#[derive(Clone)]
pub struct World {
    pub card: Rc<DrCard>,
    pub inner: Rc<RefCell<Inner>>,
}

fn server(id: &str, arn: &str, source: Option<&str>) -> Srv {
    Srv {
        id: id.to_owned(),
        arn: arn.to_owned(),
        status: "available".to_owned(),
        source: source.map(str::to_owned),
        lsn: 1_000,
        cut: false,
        sessions: 0,
        alive: true,
        sql: true,
    }
}

impl World {
    /// All is well: eu-west-1 serves, eu-central-1 follows.
    pub fn well(topology: Topology) -> Self {
        let aurora = topology.is_aurora();
        let inner = Inner {
            now_ms: 1_774_840_000_000,
            here: server("prod-ledger-1", HERE, (!aurora).then_some(THERE)),
            there: server("prod-ledger-1", THERE, None),
            aurora,
            global: GlobalSeen {
                id: "prod-ledger-global".to_owned(),
                status: "available".to_owned(),
                writer: Some(THERE.to_owned()),
                members: vec![THERE.to_owned(), HERE.to_owned()],
                failover: None,
            },
            lag: 5,
            acknowledged: 0,
            promotion: None,
            moving: None,
            stuck: false,
            refuses: false,
            state: None,
            kept: BTreeMap::new(),
            kept_there: BTreeMap::new(),
            ledger: BTreeMap::new(),
            pages: Vec::new(),
            calls: Vec::new(),
            trouble: None,
            told: BTreeMap::new(),
            published: Vec::new(),
            orders: Vec::new(),
            rendered: Vec::new(),
            backups: 0,
            failing: Vec::new(),
            stays: Duration::ZERO,
            two_writers: false,
        };
        World { card: Rc::new(card(topology, false)), inner: Rc::new(RefCell::new(inner)) }
    }

    /// The same, and the owner lets the Region be changed on proof.
    pub fn by_itself(topology: Topology) -> Self {
        World { card: Rc::new(card(topology, true)), ..World::well(topology) }
    }

    /// The first Region is gone: neither its API nor its servers answer.
    pub fn lost(topology: Topology) -> Self {
        let world = World::well(topology);
        world.see().there.alive = false;
        world
    }

    pub fn see(&self) -> RefMut<'_, Inner> {
        self.inner.borrow_mut()
    }

    /// One minute's pass, or a request's.
    pub fn pass(&self, asked: Option<Request>) -> Option<Result<Report, Failure>> {
        let (turn, stays) = (self.turn(), self.see().stays);
        let waking = Waking { by: "by a test".to_owned(), asked, fresh: "1a2b3c4d".to_owned() };
        let mut pass = Pass::new(self.clone(), waking, turn).staying(stays);
        self.run(change_region(&mut pass))
    }

    /// The same, when nothing goes wrong in it.
    pub fn ask(&self, asked: Option<Request>) -> Report {
        match self.pass(asked) {
            Some(Ok(report)) => report,
            other => panic!("{other:?}"),
        }
    }

    pub fn status(&self) -> Report {
        let waking = Waking { by: "by a test".to_owned(), asked: None, fresh: "1a2b3c4d".to_owned() };
        let mut pass = Pass::new(self.clone(), waking, self.turn());
        match self.run(explain(&mut pass)) {
            Some(Ok(report)) => report,
            other => panic!("{other:?}"),
        }
    }

    /// Minutes pass, each with its pass.
    pub fn minutes(&self, count: u32) {
        for _ in 0..count {
            self.later(60_000);
            let _ = self.pass(None);
        }
    }

    pub fn later(&self, ms: u64) {
        let mut inner = self.see();
        // In small steps, so that who writes meanwhile writes.
        for _ in 0..ms / 1_000 {
            inner.now_ms += 1_000;
            inner.tick();
        }
    }

    fn turn(&self) -> Turn {
        let inner = self.see();
        Turn { pass: format!("pass-{}-{}", inner.now_ms, inner.calls.len()), deadline_ms: inner.now_ms + 60_000 }
    }

    /// Runs a pass to its end; `None` when it died.
    pub fn run<T>(&self, pass: impl Future<Output = T>) -> Option<T> {
        match Box::pin(pass).as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(ended) => Some(ended),
            Poll::Pending => None,
        }
    }

    /// One call: counted, and in trouble if it is its turn.
    pub async fn call<T>(
        &self,
        name: &'static str,
        effect: impl FnOnce(&mut Inner) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (number, trouble) = {
            let mut inner = self.see();
            inner.calls.push(name.to_owned());
            inner.now_ms += 10;
            inner.tick();
            (inner.calls.len(), inner.trouble)
        };
        let lost = || Failure::Transient { call: name, source: "the answer was lost".into() };
        match trouble {
            Some(Trouble::DiesBefore(at)) if at == number => pending().await,
            Some(Trouble::Fails(at)) if at == number => return Err(lost()),
            _ => {}
        }
        let answer = effect(&mut self.see());
        self.see().tick();
        match trouble {
            Some(Trouble::DiesAfter(at)) if at == number => pending().await,
            Some(Trouble::LosesAnswer(at)) if at == number => Err(lost()),
            _ => answer,
        }
    }

    /// The same of the other Region, which may not answer.
    pub async fn call_there<T>(
        &self,
        name: &'static str,
        effect: impl FnOnce(&mut Inner) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.call(name, |inner| {
            if !inner.there.alive {
                return Err(Failure::Transient { call: name, source: "eu-west-1: no answer in 3 s".into() });
            }
            effect(inner)
        })
        .await
    }
}

impl Inner {
    pub fn server(&mut self, at: Place) -> &mut Srv {
        match at {
            Place::Here => &mut self.here,
            Place::There => &mut self.there,
        }
    }

    fn is_global_writer(&self, at: Place) -> bool {
        let server = if at == Place::Here { &self.here } else { &self.there };
        self.global.writer.as_deref() == Some(server.arn.as_str())
    }

    fn writes(&self, at: Place) -> bool {
        let server = if at == Place::Here { &self.here } else { &self.there };
        let writer = if self.aurora {
            self.global.writer.as_deref() == Some(server.arn.as_str()) && self.moving.is_none()
        } else {
            server.source.is_none()
        };
        writer && server.alive && !server.cut && server.status == "available"
    }

    /// What AWS and the clients do meanwhile.
    pub fn tick(&mut self) {
        if let Some((at, done)) = self.promotion
            && done <= self.now_ms
            && !self.stuck
        {
            self.promotion = None;
            let server = self.server(at);
            (server.source, server.status) = (None, "available".to_owned());
        }
        if let Some((to, done)) = self.moving.clone()
            && done <= self.now_ms
            && !self.stuck
        {
            self.moving = None;
            self.global.failover = None;
            self.global.writer = Some(to);
        }
        self.two_writers |= self.writes(Place::Here) && self.writes(Place::There);
        for (at, copy) in [(Place::There, Place::Here), (Place::Here, Place::There)] {
            if self.writes(at) {
                self.server(at).lsn += 1;
                self.acknowledged = self.server(at).lsn;
            }
            let (lsn, alive, arn, lag) = {
                let busy = self.writes(at);
                let from = self.server(at);
                let (lsn, alive, arn) = (from.lsn, from.alive, from.arn.clone());
                (lsn, alive, arn, if busy { self.lag } else { 0 })
            };
            // Aurora's own switchover waits until all is there.
            let aurora = self.aurora && self.global.writer.as_deref() == Some(arn.as_str());
            let follows = aurora || self.server(copy).source.as_deref() == Some(arn.as_str());
            if follows && alive && self.server(copy).alive {
                let has = self.server(copy).lsn;
                self.server(copy).lsn = has.max(lsn.saturating_sub(lag));
            }
        }
    }

    pub fn seen(&mut self, at: Place) -> SideSeen {
        let aurora = self.aurora;
        let writes_in_aurora = self.is_global_writer(at);
        let kept = if at == Place::Here { &self.kept } else { &self.kept_there };
        let serves = kept.get("region").and_then(|item| item.get("serves")).and_then(Value::as_bool);
        let roles = kept.get("roles").and_then(|item| serde_json::from_value::<Roles>(item.clone()).ok());
        let server = self.server(at);
        let writer = if aurora { writes_in_aurora } else { server.source.is_none() };
        let sql = match (server.sql && server.alive && server.status == "available", writer) {
            (false, _) => Sql::Silent("no answer".to_owned()),
            (true, true) => Sql::Writer(WriterSeen {
                timeline: 1,
                lsn: Lsn(server.lsn),
                system_id: 42,
                synchronous_setting: String::new(),
                streams: Vec::new(),
                slots: Vec::new(),
            }),
            (true, false) => Sql::Standby(StandbySeen {
                timeline: 1,
                known_timeline: 1,
                received: Some(Lsn(server.lsn)),
                replayed: Some(Lsn(server.lsn)),
                system_id: 42,
                receiver: None,
                upstream: None,
            }),
        };
        let cut = match (server.cut, server.status == "available") {
            (false, _) => Cut::No,
            (true, true) if server.sessions > 0 => Cut::Sessions(format!("{} sessions are left", server.sessions)),
            (true, true) => Cut::Done { because: "no client can reach it".to_owned(), at: Some(Lsn(server.lsn)) },
            (true, false) => Cut::UnderWay("the group is not active yet".to_owned()),
        };
        let seen = Server {
            id: server.id.clone(),
            arn: Some(server.arn.clone()),
            status: server.status.clone(),
            writer: None,
            endpoint: Some(format!("{}.example", server.id)),
            source: server.source.clone(),
            sql,
        };
        SideSeen { servers: vec![seen], cut, can_cut: !aurora, serves, roles }
    }

    fn refused(&self) -> Result<(), Failure> {
        let refused = || Failure::Broken { call: "rds", what: "it is refused".to_owned() };
        if self.refuses { Err(refused()) } else { Ok(()) }
    }

    pub fn promote(&mut self, at: Place) -> Result<(), Failure> {
        self.orders.push(format!("promote {at:?}"));
        self.refused()?;
        let now = self.now_ms;
        let server = self.server(at);
        if server.source.is_some() && server.status == "available" {
            server.status = "modifying".to_owned();
            self.promotion = Some((at, now + TAKES_MS));
        }
        Ok(())
    }

    pub fn move_global(&mut self, to: &str, loses: bool) -> Result<(), Failure> {
        self.orders.push(format!("{} {to}", if loses { "failover" } else { "switchover" }));
        self.refused()?;
        if self.moving.is_some() {
            return Err(Failure::Broken { call: "rds:SwitchoverGlobalCluster", what: "it is under way".to_owned() });
        }
        if !loses && !self.there.alive {
            return Err(Failure::Broken { call: "rds:SwitchoverGlobalCluster", what: "the writer is gone".to_owned() });
        }
        self.moving = Some((to.to_owned(), self.now_ms + TAKES_MS));
        self.global.failover = Some(GlobalFailover {
            status: "failing-over".to_owned(),
            to: Some(to.to_owned()),
            allows_data_loss: loses,
        });
        Ok(())
    }

    pub fn proven(&mut self, at: Place) -> Result<PromotedSeen, Failure> {
        let aurora_writer = self.aurora && self.is_global_writer(at);
        let aurora = self.aurora;
        let server = self.server(at);
        if if aurora { aurora_writer } else { server.source.is_none() } {
            Ok(PromotedSeen { timeline: 2, lsn: Lsn(server.lsn) })
        } else {
            Err(Failure::Transient { call: "postgres:prove", source: "in recovery".into() })
        }
    }

    pub fn risk(&self) -> Position {
        Position { bytes: Some(self.lag), ms: Some(800), by: "the replica's lag".to_owned() }
    }
}
