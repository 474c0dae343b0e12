//! For tests: a cluster of three in which nothing changes, changed by chaining.

use super::{Unsteady, steady};
use crate::{
    card::CardMember,
    failover::{Host, Lease, Member, Observed, ReceiverSeen, Seen, Sql, StandbySeen, StreamSeen, WriterSeen},
    lsn::Lsn,
    policy::Policy,
    records::RecordsSeen,
    state::{Change, GuardSeen, Pause, State, Synchronous},
};
use std::{net::IpAddr, time::Duration};

pub const NOW: u64 = 1_774_840_330_000;

pub fn address(id: &str) -> IpAddr {
    IpAddr::from([10, 0, id.as_bytes()[2] - b'a' + 1, 10])
}

pub fn writer(streaming: &[&str]) -> Sql {
    let stream =
        |id: &&str| StreamSeen { name: id.replace("i-", "orders_"), streaming: true, flushed: Some(Lsn(900 << 20)) };
    Sql::Writer(WriterSeen {
        timeline: 2,
        lsn: Lsn(900 << 20),
        system_id: 42,
        synchronous_setting: "ANY 1 (\"orders_b\", \"orders_c\")".to_owned(),
        streams: streaming.iter().map(stream).collect(),
        slots: Vec::new(),
    })
}

pub fn standby() -> Sql {
    Sql::Standby(StandbySeen {
        timeline: 2,
        known_timeline: 2,
        received: Some(Lsn(900 << 20)),
        replayed: Some(Lsn(900 << 20)),
        system_id: 42,
        receiver: Some(ReceiverSeen {
            streaming: true,
            silent_for: Duration::from_millis(100),
            upstream: Some(address("i-a")),
        }),
        upstream: Some(address("i-a")),
    })
}

pub fn silent() -> Sql {
    Sql::Silent("no answer within 900 ms".to_owned())
}

/// `i-a` writes, `i-b` and `i-c` follow; epoch 7.
pub fn well() -> Observed {
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
        writer_record: "orders-rw.db.internal".to_owned(),
        looked_at_ms: NOW,
        state: State {
            epoch: 7,
            writer: Some("i-a".to_owned()),
            synchronous: Synchronous { required: 1, names: vec!["orders_b".to_owned(), "orders_c".to_owned()] },
            ..State::unclaimed()
        },
        lease: Lease::Free,
        synchronous_required: 1,
        switchover: None,
        commits_wait: false,
        members: vec![member("i-a", writer(&["i-b", "i-c"])), member("i-b", standby()), member("i-c", standby())],
        records: Seen::Known(RecordsSeen {
            writer: vec![address("i-a")],
            epoch: Some(7),
            reader: vec![address("i-b"), address("i-c")],
            ..RecordsSeen::default()
        }),
        suspicion: None,
        policy: Policy::default(),
    }
}

/// `i-c` is an old writer that waits: its guard holds, at this epoch.
pub fn waiting() -> Observed {
    let guard = GuardSeen { epoch: 7, holds: true, timeline: 1, ..GuardSeen::default() };
    let mut seen = well().sql("i-a", writer(&["i-b"])).sql("i-c", Sql::Refused);
    seen.of("i-c").guard = Some(guard);
    seen
}

pub trait Chain: Sized {
    fn of(&mut self, id: &str) -> &mut Member;
    fn sql(self, id: &str, sql: Sql) -> Self;
    fn records(self, writer: &[&str], epoch: Option<u64>, reader: &[&str]) -> Self;
    fn lease(self, lease: Lease) -> Self;
    fn later(self, span: Duration) -> Self;
    fn but(self, change: impl FnOnce(&mut Self)) -> Self;
}

impl Chain for Observed {
    fn of(&mut self, id: &str) -> &mut Member {
        self.members.iter_mut().find(|member| member.card.id == id).unwrap_or_else(|| panic!("no member {id}"))
    }

    fn sql(mut self, id: &str, sql: Sql) -> Self {
        self.of(id).sql = sql;
        self
    }

    fn records(mut self, writer: &[&str], epoch: Option<u64>, reader: &[&str]) -> Self {
        let addresses = |ids: &[&str]| ids.iter().map(|id| address(id)).collect();
        let (writer, reader) = (addresses(writer), addresses(reader));
        self.records = Seen::Known(RecordsSeen { writer, epoch, reader, ..RecordsSeen::default() });
        self
    }

    fn lease(mut self, lease: Lease) -> Self {
        self.lease = lease;
        self
    }

    fn later(mut self, span: Duration) -> Self {
        self.looked_at_ms += u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self
    }

    fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// Everything that makes a cluster one in which nothing may be done, in words.
pub fn unsteady() -> Vec<(&'static str, Observed)> {
    let change = || Change { from: "i-c".to_owned(), ..Change::default() };
    let paused = |until_ms: u64| Some(Pause { until_ms, reason: "a restart".to_owned() });
    vec![
        ("no member has claimed this cluster yet", waiting().but(|seen| seen.state.writer = None)),
        (
            "a change of writer away from i-c is under way (epoch 7)",
            waiting().but(|seen| seen.state.change = Some(change())),
        ),
        (
            "a change of writer away from i-c is under way (epoch 7)",
            waiting().lease(Lease::Mine).but(|seen| seen.state.change = Some(change())),
        ),
        ("another pass holds the lease, for 4.0 s at most", waiting().lease(Lease::Other(Duration::from_secs(4)))),
        ("paused for 0.0 s more: a restart", waiting().but(|seen| seen.state.pause = paused(NOW + 1))),
        (
            "the state item names i-x as writer, which the card does not know",
            waiting().but(|seen| seen.state.writer = Some("i-x".to_owned())),
        ),
        ("i-b accepts writes, and the state item names i-a as writer", waiting().sql("i-b", writer(&[]))),
        ("i-a, the writer, is not running (the port refuses)", waiting().sql("i-a", Sql::Refused)),
        ("i-a, the writer, is silent (no answer within 900 ms)", waiting().sql("i-a", silent())),
        ("i-a, the writer, answers: 53300", waiting().sql("i-a", Sql::Alive("53300".to_owned()))),
    ]
}

#[test]
fn both_sides_of_every_limit() {
    for (expected, seen) in unsteady() {
        assert_eq!(steady(&seen).map(drop).map_err(|unsteady| unsteady.to_string()), Err(expected.to_owned()));
    }
    let mut ended = well();
    ended.state.pause = Some(Pause { until_ms: NOW, reason: "over".to_owned() });
    for seen in [well(), waiting(), well().lease(Lease::Mine), ended] {
        assert!(steady(&seen).is_ok_and(|well| well.writer.card.id == "i-a"), "{seen:?}");
    }
    let standby_writer = well().sql("i-a", standby());
    assert!(matches!(steady(&standby_writer), Err(Unsteady::NoWriter { .. })));
}
