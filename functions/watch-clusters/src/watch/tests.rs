use super::*;
use domain::{
    card::{CardMember, Records, Topology},
    failover::{ReceiverSeen, StandbySeen, StreamSeen, WriterSeen},
    lsn::Lsn,
    policy::Policy,
    state::{Change, Synchronous},
};
use std::{net::IpAddr, time::Duration};

pub(super) fn address(number: u8) -> IpAddr {
    IpAddr::from([10, 0, number, 10])
}

pub(super) fn card() -> Card {
    let member = |number: u8| CardMember {
        name: format!("orders_{number}"),
        id: format!("i-{number}"),
        address: address(number),
        zone: "eu-west-1a".to_owned(),
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
        records: Records { zone_id: "Z1".to_owned(), writer: "w".to_owned(), reader: "r".to_owned(), ttl_s: 1 },
        operator_secret: "arn".to_owned(),
        certificate_authority: "pem".to_owned(),
        synchronous_required: 1,
        members: (1..=3).map(member).collect(),
        policy: Policy::default(),
    }
}

pub(super) fn state() -> State {
    State {
        epoch: 1,
        writer: Some("i-1".to_owned()),
        synchronous: Synchronous::default(),
        holder: None,
        change: None,
        changed_at_ms: 0,
        ..State::unclaimed()
    }
}

pub(super) fn changing() -> State {
    let change = Change { from: "i-1".to_owned(), ..Change::default() };
    State { change: Some(change), ..state() }
}

pub(super) fn held(until_ms: u64, state: State) -> State {
    State { holder: Some(Holder { id: "pass".to_owned(), expires_at_ms: until_ms }), ..state }
}

fn writer(lsn: u64) -> Sql {
    Sql::Writer(WriterSeen {
        timeline: 1,
        lsn: Lsn(lsn),
        system_id: 7,
        synchronous_setting: "ANY 1 (x)".to_owned(),
        streams: vec![StreamSeen { name: "orders_2".to_owned(), streaming: true, flushed: Some(Lsn(lsn - 100)) }],
        slots: vec![],
    })
}

pub(super) fn standby(upstream: Option<IpAddr>) -> Sql {
    let receiver = ReceiverSeen { streaming: true, silent_for: Duration::ZERO, upstream };
    Sql::Standby(StandbySeen {
        timeline: 1,
        known_timeline: 1,
        received: Some(Lsn(700)),
        replayed: Some(Lsn(600)),
        system_id: 7,
        receiver: Some(receiver),
        upstream,
    })
}

pub(super) fn silent() -> Sql {
    Sql::Silent("no answer".to_owned())
}

/// A cluster whose state was read at 0, with a clock that each probe moves by 1 s.
pub(super) struct Kit {
    pub(super) watch: Watch,
    pub(super) now_ms: u64,
}

impl Kit {
    pub(super) fn new(state: State) -> Self {
        let mut watch = Watch::new(card(), Memory::default());
        watch.told_state(state, 0, 0);
        Kit { watch, now_ms: 0 }
    }

    pub(super) fn probe(&mut self, member: usize, sql: Sql) -> Vec<Act> {
        self.now_ms += 1_000;
        self.watch.probed(Probe { member, asked_ms: self.now_ms, took_ms: 10, sql })
    }

    pub(super) fn read(&mut self, state: State) -> Vec<Act> {
        self.now_ms += 1_000;
        self.watch.told_state(state, self.now_ms, self.now_ms + 10)
    }

    /// Probes so often, reads the state as often, and counts what is told.
    pub(super) fn told(&mut self, rounds: u32, member: usize, sql: &Sql, state: &State) -> Vec<Finding> {
        let acts = (0..rounds).flat_map(|_| {
            let mut acts = self.probe(member, sql.clone());
            acts.extend(self.read(state.clone()));
            acts
        });
        let found = |act| match act {
            Act::Tell(finding) => Some(finding),
            _ => None,
        };
        acts.filter_map(found).collect()
    }
}

fn suspicions(acts: &[Act]) -> Vec<u32> {
    let failures = |act: &Act| match act {
        Act::Suspect(suspicion) => Some(suspicion.failures),
        _ => None,
    };
    acts.iter().filter_map(failures).collect()
}

#[test]
fn the_writer_is_suspected_at_the_limit_and_every_second_failure_after() {
    let table = [
        ("two failures are one too few", vec![silent(), silent()], vec![]),
        ("three are enough", vec![silent(), Sql::Refused, silent()], vec![3]),
        ("then every second", vec![silent(); 8], vec![3, 5, 7]),
        (
            "too many clients is alive",
            vec![silent(), silent(), Sql::Alive("53300".to_owned()), silent(), silent()],
            vec![],
        ),
        (
            "an answer in between counts anew",
            vec![silent(), silent(), writer(900), silent(), silent(), silent()],
            vec![3],
        ),
        ("what was not asked is neither", vec![silent(), silent(), Sql::NotAsked, silent()], vec![3]),
        ("a standby in its place is no failure", vec![silent(), silent(), standby(None), silent()], vec![]),
    ];
    for (name, answers, expected) in table {
        let mut kit = Kit::new(state());
        let acts: Vec<Act> = answers.into_iter().flat_map(|sql| kit.probe(0, sql)).collect();
        assert_eq!(suspicions(&acts), expected, "{name}");
    }
}

#[test]
fn only_the_writer_of_the_state_item_is_suspected() {
    let mut kit = Kit::new(state());
    let acts: Vec<Act> = (0..9).flat_map(|_| kit.probe(1, silent())).collect();
    assert_eq!(acts, []);
    // It becomes the writer of record, and is down already.
    kit.read(State { writer: Some("i-2".to_owned()), epoch: 2, ..state() });
    assert_eq!(suspicions(&kit.probe(1, silent())), [10]);

    let mut unclaimed = Kit::new(State { writer: None, ..state() });
    let acts: Vec<Act> = (0..9).flat_map(|_| unclaimed.probe(0, silent())).collect();
    assert_eq!(acts, []);
}

#[test]
fn a_suspicion_says_since_when_and_where_it_wrote_last() {
    let mut kit = Kit::new(state());
    kit.probe(0, writer(0x900));
    let acts: Vec<Act> = (0..3).flat_map(|_| kit.probe(0, Sql::Refused)).collect();
    let last_write = Some(LastWrite { lsn: Lsn(0x900), at_ms: 1_000, synchronous_setting: "ANY 1 (x)".to_owned() });
    let expected = Suspicion {
        member: "i-1".to_owned(),
        failures: 3,
        silent_since_ms: 2_000,
        last_write: last_write.clone(),
        problem: "the port refuses connections".to_owned(),
        leader: None,
    };
    assert_eq!(acts, [Act::Suspect(expected), Act::ReadState]);

    // The next run of a warm function counts anew, but still knows the position.
    let mut next = Watch::new(card(), kit.watch.into_memory());
    next.told_state(state(), 0, 0);
    let mut acts = vec![];
    for asked_ms in [1, 2, 3] {
        acts = next.probed(Probe { member: 0, asked_ms, took_ms: 0, sql: silent() });
    }
    let Some(Act::Suspect(suspicion)) = acts.first() else { panic!("{acts:?}") };
    assert_eq!((suspicion.last_write.clone(), suspicion.failures), (last_write, 3));
}

#[test]
fn findings() {
    let up = || Some(address(1));
    let id = |number: u8| format!("i-{number}");
    let table = [
        ("all is well", 1, standby(up()), state(), vec![]),
        ("frozen", 1, standby(None), state(), vec![Finding::StandbyFrozen(id(2))]),
        ("frozen while somebody changes", 1, standby(None), held(u64::MAX, changing()), vec![]),
        ("frozen while somebody mends", 1, standby(None), held(u64::MAX, state()), vec![]),
        ("frozen, the lease expired", 1, standby(None), held(1, state()), vec![Finding::StandbyFrozen(id(2))]),
        ("astray", 1, standby(Some(address(3))), state(), vec![Finding::StandbyAstray(id(2))]),
        ("a second writer", 2, writer(900), state(), vec![Finding::TwoWriters(id(3))]),
        ("the writer in recovery", 0, standby(None), state(), vec![Finding::WriterInRecovery(id(1))]),
        ("a change nobody is at", 1, standby(up()), changing(), vec![Finding::ChangeUnfinished]),
        ("a change whose holder died", 1, standby(None), held(1, changing()), vec![Finding::ChangeUnfinished]),
        ("a change that somebody is at", 1, standby(up()), held(u64::MAX, changing()), vec![]),
        ("not claimed", 2, writer(900), State { writer: None, ..state() }, vec![]),
    ];
    for (name, member, sql, state, expected) in table {
        let mut kit = Kit::new(self::state());
        kit.probe(0, writer(900));
        assert_eq!(kit.told(3, member, &sql, &state), expected, "{name}");
    }
}

#[test]
fn a_standby_is_astray_only_from_a_writer_that_answers() {
    let mut kit = Kit::new(state());
    kit.probe(0, silent());
    assert_eq!(kit.told(3, 1, &standby(Some(address(3))), &state()), []);
}

#[test]
fn nothing_is_told_before_the_state_was_read_anew_and_it_was_seen_again() {
    let mut kit = Kit::new(state());
    assert_eq!(kit.probe(1, standby(None)), [Act::ReadState], "asked at once");
    assert_eq!(kit.probe(1, standby(None)), [], "not read yet");
    assert_eq!(kit.read(state()), [], "read, but what was seen is older");
    assert_eq!(kit.probe(1, standby(None)), [Act::Tell(Finding::StandbyFrozen("i-2".to_owned()))]);

    // A freeze of a change: the state item, read anew, says so.
    let mut kit = Kit::new(state());
    kit.probe(1, standby(None));
    assert_eq!(kit.read(held(u64::MAX, changing())), []);
    assert_eq!(kit.probe(1, standby(None)), []);
}

#[test]
fn what_lasts_is_told_at_growing_gaps_except_an_unfinished_change() {
    let times = |state: &State, sql: &Sql| {
        let mut kit = Kit::new(state.clone());
        kit.probe(0, writer(900));
        let mut times = vec![];
        // 40 minutes, a round takes two seconds.
        for _ in 0..1_200 {
            if !kit.told(1, 1, sql, state).is_empty() {
                times.push(kit.now_ms / 1_000);
            }
        }
        times.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>()
    };
    assert_eq!(times(&state(), &standby(None))[..8], [10, 20, 40, 80, 160, 300, 300, 300]);
    let unfinished = times(&changing(), &standby(None));
    assert!(unfinished.len() > 230 && unfinished.iter().all(|gap| *gap == 10), "{unfinished:?}");
}

#[test]
fn what_is_cured_is_told_anew_when_it_comes_back_but_a_lease_in_between_cures_nothing() {
    let frozen = standby(None);
    let mut kit = Kit::new(state());
    assert_eq!(kit.told(3, 1, &frozen, &state()).len(), 1);
    assert_eq!(kit.told(1, 1, &frozen, &held(u64::MAX, state())), []);
    assert_eq!(kit.told(1, 1, &frozen, &state()), [], "somebody looked at it, and it is still so");
    assert_eq!(kit.told(1, 1, &standby(Some(address(1))), &state()), []);
    assert_eq!(kit.told(3, 1, &frozen, &state()).len(), 1);
}

#[test]
fn samples() {
    let mut kit = Kit::new(state());
    assert_eq!(kit.watch.sample(), None, "nobody was asked yet");
    kit.probe(0, writer(900));
    kit.probe(0, writer(1_000));
    kit.probe(1, standby(Some(address(1))));
    kit.probe(2, Sql::Alive("starting up".to_owned()));
    // orders_2 by the writer's account (100 behind), not by its own (300 behind).
    let expected = Sample { writer_up: Some(true), members_up: 3, lag_bytes: Some(100), probe_ms: vec![10, 10] };
    assert_eq!(kit.watch.sample(), Some(expected));
    assert_eq!(kit.watch.sample(), None, "nobody was asked since");

    // orders_3 is not connected: by its own account.
    kit.probe(2, standby(Some(address(1))));
    let expected = Sample { writer_up: Some(true), members_up: 3, lag_bytes: Some(300), probe_ms: vec![] };
    assert_eq!(kit.watch.sample(), Some(expected));

    kit.probe(0, silent());
    let expected = Sample { writer_up: Some(false), members_up: 2, lag_bytes: None, probe_ms: vec![] };
    assert_eq!(kit.watch.sample(), Some(expected));
    kit.probe(0, Sql::Alive("shutting down".to_owned()));
    assert_eq!(kit.watch.sample().map(|sample| (sample.writer_up, sample.members_up)), Some((Some(false), 3)));
}
