use super::*;
use crate::watch::tests::{held, silent};
use domain::{
    card::{Records, Side, Topology},
    failover::{StandbySeen, WriterSeen},
    lsn::Lsn,
    managed::{DbClusterSeen, InstanceSeen},
    policy::Policy,
    state::Change,
};

fn card() -> ManagedCard {
    ManagedCard {
        version: 1,
        fleet: "prod".to_owned(),
        cluster: "orders".to_owned(),
        topology: Topology::RdsPostgres,
        side: Side::Primary,
        region: "eu-west-1".to_owned(),
        database: "app".to_owned(),
        port: 5432,
        records: Records { zone_id: "Z1".to_owned(), writer: "w".to_owned(), reader: "r".to_owned(), ttl_s: 1 },
        operator_secret: "arn".to_owned(),
        db_cluster: None,
        instances: vec![],
        aws_fails_over: true,
        global_cluster: None,
        other: None,
        isolation: None,
        backups: None,
        pair: None,
        pooler: None,
        policy: Policy::default(),
    }
}

fn state() -> State {
    State { epoch: 1, writer: Some("db-1".to_owned()), ..State::unclaimed() }
}

fn described() -> Described {
    let instance = |id: &str, source: Option<&str>| InstanceSeen {
        id: id.to_owned(),
        status: "available".to_owned(),
        endpoint: Some(format!("{id}.rds")),
        source: source.map(str::to_owned),
        ..InstanceSeen::default()
    };
    let instances = vec![instance("db-1", None), instance("db-2", Some("db-1")), instance("db-3", Some("db-1"))];
    Described { instances, ..Described::default() }
}

fn writer() -> Sql {
    Sql::Writer(WriterSeen {
        timeline: 1,
        lsn: Lsn(900),
        system_id: 7,
        synchronous_setting: String::new(),
        streams: vec![],
        slots: vec![],
    })
}

fn replica() -> Sql {
    Sql::Standby(StandbySeen {
        timeline: 1,
        known_timeline: 1,
        received: None,
        replayed: Some(Lsn(600)),
        system_id: 7,
        receiver: None,
        upstream: None,
    })
}

/// So many seconds, each with RDS's word, a probe of every instance and the state read after it; what is told.
fn told(watch: &mut ManagedWatch, from_s: u64, seconds: u64, rds: &Described, sql: &[Sql], state: &State) -> Vec<Act> {
    let mut acts = vec![];
    for now in (from_s..from_s + seconds).map(|second| second * 1_000) {
        acts.extend(watch.told_rds(rds.clone(), now, now + 10));
        for (place, sql) in sql.iter().enumerate() {
            let id = format!("db-{}", place + 1);
            acts.extend(watch.probed(Answer { id, asked_ms: now + 20, took_ms: 5, sql: sql.clone() }));
        }
        acts.extend(watch.told_state(state.clone(), true, now + 500, now + 510));
    }
    acts.retain(|act| *act != Act::ReadState);
    acts
}

fn watch() -> ManagedWatch {
    ManagedWatch::new(card(), Memory::default())
}

fn first(acts: &[Act]) -> String {
    match acts.first() {
        None => "nothing".to_owned(),
        Some(Act::ReadState) => "read the state".to_owned(),
        Some(Act::Suspect(found)) => match &found.leader {
            None => format!("suspects {}, {} failures", found.member, found.failures),
            Some(leader) => format!("{leader} in place of {}", found.member),
        },
        Some(Act::Tell(finding)) => finding.to_string(),
    }
}

#[test]
fn what_is_found() {
    let well = || vec![writer(), replica(), replica()];
    let changing = State { change: Some(Change { from: "db-1".to_owned(), ..Change::default() }), ..state() };
    let mut without_writer = described();
    without_writer.instances.remove(0);
    let mut old_writer = described();
    old_writer.instances[2].source = None;
    let table = [
        (
            "an old writer is left",
            old_writer,
            vec![writer(), replica(), silent()],
            state(),
            "db-3 replicates from nobody, and is not the writer of record",
        ),
        ("all is well", described(), well(), state(), "nothing"),
        (
            "the writer is silent",
            described(),
            vec![silent(), replica(), replica()],
            state(),
            "suspects db-1, 3 failures",
        ),
        ("a replica is silent", described(), vec![writer(), silent(), replica()], state(), "nothing"),
        (
            "two write",
            described(),
            vec![writer(), writer(), replica()],
            state(),
            "db-2 accepts writes, and the state item names another writer",
        ),
        ("AWS failed over", described(), vec![replica(), writer(), replica()], state(), "db-2 in place of db-1"),
        (
            "none writes",
            described(),
            vec![replica(), replica(), replica()],
            state(),
            "db-1, the writer of the state item, is a standby",
        ),
        (
            "RDS does not know the writer",
            without_writer,
            vec![Sql::NotAsked, replica(), replica()],
            state(),
            "RDS does not know db-1, the writer of the state item, any more",
        ),
        ("nobody is named", described(), well(), State::unclaimed(), "db-1 leads, and the state item names no writer"),
        (
            "a change is open",
            described(),
            vec![silent(), replica(), replica()],
            changing.clone(),
            "a change of writer is open and nobody holds its lease",
        ),
        ("somebody is at it", described(), vec![writer(), writer(), replica()], held(u64::MAX, changing), "nothing"),
    ];
    for (name, rds, sql, state, expected) in table {
        let acts = told(&mut watch(), 1, 9, &rds, &sql, &state);
        let said: Vec<&Act> = acts
            .iter()
            .filter(|act| !matches!(act, Act::Suspect(found) if name == "a change is open" && found.leader.is_none()))
            .collect();
        let said: Vec<Act> = said.into_iter().cloned().collect();
        assert_eq!(first(&said), expected, "{name}: {acts:?}");
    }
}

#[test]
fn a_suspicion_has_the_last_position() {
    let mut watch = watch();
    assert_eq!(told(&mut watch, 1, 5, &described(), &[writer(), replica(), replica()], &state()), []);
    let acts = told(&mut watch, 6, 3, &described(), &[silent(), replica(), replica()], &state());
    let [Act::Suspect(found)] = &acts[..] else { panic!("{acts:?}") };
    assert_eq!((found.silent_since_ms, found.last_write.as_ref().map(|write| write.at_ms)), (6_020, Some(5_020)));
}

#[test]
fn readers_that_come_and_go_are_told_after_ten_seconds() {
    let mut watch = watch();
    told(&mut watch, 1, 3, &described(), &[writer(), replica(), replica()], &state());
    let acts = told(&mut watch, 4, 20, &described(), &[writer(), replica(), silent()], &state());
    assert_eq!(acts, [Act::Tell(Finding::ReadersChanged(["db-2".to_owned()].into()))]);
    // Of Aurora, AWS keeps the reader endpoint.
    let mut aurora = described();
    aurora.db_cluster =
        Some(DbClusterSeen { id: "db".to_owned(), status: "available".to_owned(), ..Default::default() });
    let mut watch = self::watch();
    told(&mut watch, 1, 3, &aurora, &[writer(), replica(), replica()], &state());
    assert_eq!(told(&mut watch, 4, 20, &aurora, &[writer(), replica(), silent()], &state()), []);
}

#[test]
fn a_busy_database_is_told_after_a_minute_across_runs() {
    let mut busy = described();
    busy.instances[2].status = "modifying".to_owned();
    let sql = [writer(), replica(), replica()];
    let mut first = watch();
    assert_eq!(told(&mut first, 1, 50, &busy, &sql, &state()), []);
    let mut second = ManagedWatch::new(card(), first.into_memory());
    let acts = told(&mut second, 51, 130, &busy, &sql, &state());
    let finding = Act::Tell(Finding::DatabaseBusy("db-3".to_owned()));
    assert_eq!(acts.iter().filter(|act| **act == finding).count(), acts.len());
    assert!((3..=5).contains(&acts.len()), "{acts:?}");
    // A backup is no trouble.
    busy.instances[2].status = "backing-up".to_owned();
    assert_eq!(told(&mut second, 200, 100, &busy, &sql, &state()), []);
}

#[test]
fn the_metrics() {
    let mut watch = watch();
    assert_eq!(watch.sample(0), None);
    told(&mut watch, 1, 1, &described(), &[writer(), replica(), replica()], &state());
    let expected = Sample { writer_up: Some(true), members_up: 3, lag_bytes: Some(300), probe_ms: vec![] };
    assert_eq!(watch.sample(2_000), Some(expected));
    assert_eq!(watch.sample(2_000), None, "nobody looks");
    told(&mut watch, 2, 1, &described(), &[silent(), replica(), silent()], &state());
    let expected = Sample { writer_up: Some(false), members_up: 1, lag_bytes: None, probe_ms: vec![] };
    assert_eq!(watch.sample(3_000), Some(expected));
}
