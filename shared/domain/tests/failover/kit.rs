//! A cluster of three as a look sees it, changed by chaining.

use domain::{
    card::CardMember,
    failover::{Host, Lease, Member, Observed, ReceiverSeen, Seen, Sql, StandbySeen, Suspicion, WriterSeen},
    lsn::Lsn,
    policy::Policy,
    records::RecordsSeen,
    state::{Change, Loss, Promoted, State, Synchronous},
};
use std::{net::IpAddr, time::Duration};

pub const NOW: u64 = 1_774_840_330_000;

pub fn address(id: &str) -> IpAddr {
    let last = match id {
        "i-a" => 1,
        "i-b" => 2,
        "i-c" => 3,
        other => panic!("no member {other}"),
    };
    IpAddr::from([10, 0, last, 10])
}

pub fn writer(lsn: u64, timeline: u32) -> Sql {
    Sql::Writer(WriterSeen {
        timeline,
        lsn: Lsn(lsn),
        system_id: 42,
        synchronous_setting: "ANY 1 (\"orders_b\", \"orders_c\")".to_owned(),
        streams: Vec::new(),
        slots: Vec::new(),
    })
}

/// A standby of `upstream` that heard it this many seconds ago.
pub fn streaming(lsn: u64, upstream: &str, silent_s: f64) -> Sql {
    Sql::Standby(StandbySeen {
        timeline: 1,
        known_timeline: 1,
        received: Some(Lsn(lsn)),
        replayed: Some(Lsn(lsn)),
        system_id: 42,
        receiver: Some(ReceiverSeen {
            streaming: true,
            silent_for: Duration::from_secs_f64(silent_s),
            upstream: Some(address(upstream)),
        }),
        upstream: Some(address(upstream)),
    })
}

/// A standby whose WAL receiver is gone, though it still names `upstream`.
pub fn cut(lsn: u64, upstream: &str) -> Sql {
    let mut sql = streaming(lsn, upstream, 0.0);
    if let Sql::Standby(standby) = &mut sql {
        standby.receiver = None;
    }
    sql
}

pub fn frozen(lsn: u64) -> Sql {
    let mut sql = cut(lsn, "i-a");
    if let Sql::Standby(standby) = &mut sql {
        standby.upstream = None;
    }
    sql
}

pub fn silent() -> Sql {
    Sql::Silent("no answer within 900 ms".to_owned())
}

/// `ANY 1` of two, all well: `i-a` writes, `i-b` and `i-c` follow.
pub fn healthy() -> Observed {
    let member = |id: &str, sql| Member {
        card: CardMember {
            name: id.replace("i-", "orders_"),
            id: id.to_owned(),
            address: address(id),
            zone: id.replace("i-", "eu-west-1"),
            never_promote: false,
            tier: 0,
        },
        host: Host::Running,
        sql,
        guard: None,
    };
    Observed {
        fleet: "prod".to_owned(),
        cluster: "orders".to_owned(),
        silent_since_ms: None,
        synchronous_required: 1,
        switchover: None,
        commits_wait: false,
        writer_record: "orders-rw.db.internal".to_owned(),
        looked_at_ms: NOW,
        state: State {
            epoch: 6,
            writer: Some("i-a".to_owned()),
            synchronous: Synchronous { required: 1, names: vec!["orders_b".to_owned(), "orders_c".to_owned()] },
            ..State::unclaimed()
        },
        lease: Lease::Free,
        members: vec![
            member("i-a", writer(900, 1)),
            member("i-b", streaming(900, "i-a", 0.1)),
            member("i-c", streaming(880, "i-a", 0.1)),
        ],
        records: Seen::Known(RecordsSeen {
            writer: vec![address("i-a")],
            epoch: Some(6),
            reader: vec![address("i-b"), address("i-c")],
            ..RecordsSeen::default()
        }),
        suspicion: None,
        policy: Policy::default(),
    }
}

/// The writer's host died: three failed probes in 3.3 s, both standbys deaf.
pub fn writer_dead() -> Observed {
    healthy()
        .sql("i-a", silent())
        .sql("i-b", streaming(900, "i-a", 3.4))
        .sql("i-c", streaming(880, "i-a", 3.4))
        .suspected(3, 3.3)
}

/// The lease is ours and both standbys are frozen.
pub fn frozen_for_takeover() -> Observed {
    writer_dead().sql("i-b", frozen(900)).sql("i-c", frozen(880)).changing()
}

/// `i-b` was promoted and noted; nothing else was done yet.
pub fn promoted() -> Observed {
    let mut seen = frozen_for_takeover().sql("i-b", writer(910, 2));
    if let Some(change) = &mut seen.state.change {
        change.promoted = Some(Promoted { member: "i-b".to_owned(), at: Lsn(905), timeline: [1, 2], at_ms: NOW });
        change.sure = Some("frozen".to_owned());
        change.promoting = Some("i-b".to_owned());
        change.loss = Some(Loss::Nothing);
    }
    seen
}

pub trait Chain: Sized {
    fn sql(self, id: &str, sql: Sql) -> Self;
    fn host(self, id: &str, host: Host) -> Self;
    fn suspected(self, failures: u32, silent_s: f64) -> Self;
    fn last_lsn(self, lsn: u64) -> Self;
    fn changing(self) -> Self;
    fn asynchronous(self) -> Self;
    fn required(self, required: u32) -> Self;
    fn with(self, change: impl FnOnce(&mut Observed)) -> Self;
}

impl Chain for Observed {
    fn sql(self, id: &str, sql: Sql) -> Self {
        self.with(|seen| find(seen, id).sql = sql)
    }

    fn host(self, id: &str, host: Host) -> Self {
        self.with(|seen| find(seen, id).host = host)
    }

    fn suspected(self, failures: u32, silent_s: f64) -> Self {
        self.with(|seen| {
            seen.suspicion = Some(Suspicion {
                member: "i-a".to_owned(),
                failures,
                silent_for: Duration::from_secs_f64(silent_s),
                last_lsn: None,
                synchronous_setting: None,
            });
        })
    }

    fn last_lsn(self, lsn: u64) -> Self {
        self.with(|seen| {
            if let Some(suspicion) = &mut seen.suspicion {
                suspicion.last_lsn = Some(Lsn(lsn));
            }
            if let Some(change) = &mut seen.state.change {
                change.last_writer_lsn = Some(Lsn(lsn));
            }
        })
    }

    fn changing(self) -> Self {
        self.with(|seen| {
            seen.lease = Lease::Mine;
            seen.state.epoch = 7;
            seen.state.change = Some(Change {
                from: "i-a".to_owned(),
                seen: vec!["i-a silent".to_owned()],
                last_writer_lsn: None,
                silent_since_ms: NOW - 3_300,
                woken_at_ms: NOW - 100,
                woken_by: "suspicion".to_owned(),
                began_at_ms: NOW - 50,
                synchronous: seen.state.synchronous.clone(),
                ..Change::default()
            });
        })
    }

    fn asynchronous(self) -> Self {
        self.with(|seen| {
            seen.state.synchronous = Synchronous::default();
            seen.synchronous_required = 0;
            if let Some(change) = &mut seen.state.change {
                change.synchronous = Synchronous::default();
            }
        })
    }

    /// The published set asks for so many, also when the change began.
    fn required(self, required: u32) -> Self {
        self.with(|seen| {
            seen.state.synchronous.required = required;
            if let Some(change) = &mut seen.state.change {
                change.synchronous.required = required;
            }
        })
    }

    fn with(mut self, change: impl FnOnce(&mut Observed)) -> Self {
        change(&mut self);
        self
    }
}

fn find<'a>(seen: &'a mut Observed, id: &str) -> &'a mut Member {
    seen.members.iter_mut().find(|member| member.card.id == id).unwrap_or_else(|| panic!("no member {id}"))
}

/// A decision in one line: what a table can hold.
pub fn short(seen: &Observed) -> String {
    use domain::decision::Decision;
    match domain::failover::decide(seen) {
        Decision::Steady => "steady".to_owned(),
        Decision::Wait(reason) => format!("wait: {}", reason.kind()),
        Decision::Refuse(reason) => format!("refuse: {}", reason.kind()),
        Decision::Act(steps) => {
            let words: Vec<String> = steps.iter().map(word).collect();
            words.join(", ")
        }
    }
}

fn word(step: &domain::failover::Step) -> String {
    use domain::failover::Step;
    match step {
        Step::Begin { epoch, .. } => format!("begin {epoch}"),
        Step::Hold { epoch } => format!("hold {epoch}"),
        Step::Freeze(target) => format!("freeze {}", target.id),
        Step::Follow { standby, upstream } => format!("{} follows {upstream}", standby.id),
        Step::StopHost(target) => format!("stop {}", target.id),
        Step::Promote { member, .. } => format!("promote {}", member.id),
        Step::Prove { member, .. } => format!("prove {}", member.id),
        Step::NoteSilence(since) => format!("silence {}", since.is_some()),
        Step::NotePromoted(promoted) => format!("promoted was {}", promoted.member),
        Step::NoteFrozen(since) => format!("frozen {}", since.is_some()),
        Step::Checkpoint(target) => format!("checkpoint {}", target.id),
        Step::AwaitGuard { member, .. } => format!("await guard of {}", member.id),
        Step::Apply { synchronous, .. } => format!("apply [{}]", synchronous.setting()),
        Step::Publish { synchronous, floor } => {
            let floor = floor.map_or_else(String::new, |floor| format!(" above {floor}"));
            format!("publish [{}]{floor}", synchronous.setting())
        }
        Step::PrepareSlots { slots, .. } => format!("slots {}", slots.join("+")),
        Step::MoveWriterRecord { from, to } => {
            let from = from.map_or_else(|| "nothing".to_owned(), |(address, epoch)| format!("{address}/{epoch}"));
            format!("record {from} to {}/{}", to.0, to.1)
        }
        Step::SetReaderRecord(addresses) => {
            let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            format!("readers {}", list.join("+"))
        }
        Step::Abandon { .. } => "abandon".to_owned(),
        Step::Finish { writer, .. } => format!("finish {}", writer.id),
    }
}
