use super::*;
use crate::{
    card::{ManagedCard, Records, Side, Topology},
    failover::{Sql, StandbySeen, WriterSeen},
    lsn::Lsn,
    managed::{DbClusterSeen, Described, InstanceSeen, Lag},
    policy::Policy,
    state::{Change, Pause, State},
};
use std::collections::BTreeMap;

const NOW: u64 = 1_774_840_330_000;

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
        records: Records {
            zone_id: "Z1".to_owned(),
            writer: "orders-rw.db.internal".to_owned(),
            reader: "orders-ro.db.internal".to_owned(),
            ttl_s: 1,
        },
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

/// `db-1` writes, `db-2` and `db-3` replicate from it, epoch 7.
fn well() -> Observed {
    let ids = ["db-1", "db-2", "db-3"];
    let instance = |id: &str| InstanceSeen {
        id: id.to_owned(),
        status: "available".to_owned(),
        endpoint: Some(format!("{id}.rds")),
        source: (id != "db-1").then(|| "db-1".to_owned()),
        ..InstanceSeen::default()
    };
    let sql = [writer(), replica(), replica()];
    Observed {
        card: card(),
        looked_at_ms: NOW,
        state: State { epoch: 7, writer: Some("db-1".to_owned()), ..State::unclaimed() },
        lease: Lease::Free,
        rds: Seen::Known(Described { instances: ids.map(instance).into(), ..Described::default() }),
        sql: ids.map(str::to_owned).into_iter().zip(sql).collect(),
        lags: BTreeMap::new(),
        records: Seen::Known(NamesSeen {
            writer: Some("db-1.rds".to_owned()),
            epoch: Some(7),
            readers: vec!["db-2.rds".to_owned(), "db-3.rds".to_owned()],
        }),
        suspicion: None,
        silent_since_ms: None,
        answered_ms: None,
        waiting: None,
        roles: None,
        switchover: None,
    }
}

fn mine() -> Observed {
    Observed { lease: Lease::Mine, ..well() }
}

fn named(seen: Observed, writer: Option<&str>, epoch: Option<u64>, readers: &[&str]) -> Observed {
    let readers = readers.iter().map(|name| (*name).to_owned()).collect();
    Observed { records: Seen::Known(NamesSeen { writer: writer.map(str::to_owned), epoch, readers }), ..seen }
}

const BOTH: &[&str] = &["db-3.rds", "DB-2.rds."];

fn moved(from: &str, epoch: u64) -> Decision<Step, Reason> {
    let step = Step::MoveWriterRecord { from: (from.to_owned(), epoch), to: ("db-1.rds".to_owned(), 7) };
    Decision::Act(vec![step])
}

fn set(ids: &[&str]) -> Decision<Step, Reason> {
    Decision::Act(vec![Step::SetReaders(ids.iter().map(|id| ((*id).to_owned(), format!("{id}.rds"))).collect())])
}

#[test]
fn the_writer_record_names_the_writer_of_the_state_item() {
    let held = || Decision::Act(vec![Step::Hold { epoch: 7 }]);
    let again = || Decision::Act(vec![Step::LookAgain]);
    let table = [
        ("as it should be", well(), Decision::Steady),
        ("in other letters", named(well(), Some("DB-1.rds."), Some(5), BOTH), Decision::Steady),
        ("another: first the lease", named(well(), Some("db-2.rds"), Some(6), BOTH), held()),
        ("of an older epoch", named(mine(), Some("db-2.rds"), Some(6), BOTH), moved("db-2.rds", 6)),
        ("of this epoch, by another hand", named(mine(), Some("db-2.rds"), Some(7), BOTH), moved("db-2.rds", 7)),
        ("of a later epoch: once more", named(mine(), Some("db-2.rds"), Some(8), BOTH), again()),
        ("without an epoch: once more", named(mine(), Some("db-1.rds"), None, BOTH), again()),
        ("no records yet", named(mine(), None, None, &[]), Decision::Wait(Reason::NotOpenYet)),
    ];
    for (name, seen, expected) in table {
        assert_eq!(decide(&[seen]), expected, "{name}");
    }
    let later = |looked_at_ms: u64| Observed { looked_at_ms, ..named(mine(), Some("db-2.rds"), Some(8), BOTH) };
    let refused = decide(&[later(NOW), later(NOW + 1_000)]);
    let Decision::Refuse(reason) = refused else { panic!("{refused:?}") };
    assert!(reason.page(&later(NOW)).text.contains("holds db-2.rds with epoch 8, not what epoch 7 may replace"));
    assert_eq!(decide(&[later(NOW), later(NOW + 900)]), again(), "too soon");
}

#[test]
fn readers_are_who_can_be_read_from() {
    let with = |id: &str, sql: Sql, bytes: Option<u64>, readers: &[&str]| {
        let mut seen = named(mine(), Some("db-1.rds"), Some(7), readers);
        seen.sql.insert(id.to_owned(), sql);
        seen.lags.insert(id.to_owned(), Lag { bytes, ..Lag::default() });
        seen
    };
    let silent = || Sql::Silent("no answer".to_owned());
    let mib = |count: u64| Some(count << 20);
    let table = [
        ("one is missing", with("db-3", replica(), None, &["db-2.rds"]), set(&["db-2", "db-3"])),
        ("one that is silent does not join", with("db-3", silent(), None, &["db-2.rds"]), Decision::Steady),
        ("one that is far does not join", with("db-3", replica(), mib(17), &["db-2.rds"]), Decision::Steady),
        ("one that is near joins", with("db-3", replica(), mib(16), &["db-2.rds"]), set(&["db-2", "db-3"])),
        ("one that lags stays", with("db-3", replica(), mib(1024), BOTH), Decision::Steady),
        ("one that is a gibibyte behind leaves", with("db-3", replica(), mib(1025), BOTH), set(&["db-2"])),
        ("a stranger leaves", with("db-3", replica(), None, &["db-2.rds", "db-3.rds", "x"]), set(&["db-2", "db-3"])),
    ];
    for (name, seen, expected) in table {
        assert_eq!(decide(&[seen]), expected, "{name}");
    }
    let mut alone = named(mine(), Some("db-1.rds"), Some(7), &[]);
    if let Seen::Known(described) = &mut alone.rds {
        described.instances.truncate(1);
    }
    assert_eq!(decide(&[alone]), set(&["db-1"]), "readers keep working");
}

#[test]
fn auroras_names_are_its_endpoints_whoever_writes() {
    let mut aurora = named(mine(), Some("db-1.rds"), Some(7), &["db-2.rds"]);
    if let Seen::Known(described) = &mut aurora.rds {
        described.db_cluster = Some(DbClusterSeen {
            id: "orders".to_owned(),
            endpoint: Some("orders.cluster.rds".to_owned()),
            reader_endpoint: Some("orders.cluster-ro.rds".to_owned()),
            ..DbClusterSeen::default()
        });
    }
    // It may pause: nobody was asked.
    aurora.sql.clear();
    let steps = vec![
        Step::MoveWriterRecord { from: ("db-1.rds".to_owned(), 7), to: ("orders.cluster.rds".to_owned(), 7) },
        Step::SetReaders(vec![("orders".to_owned(), "orders.cluster-ro.rds".to_owned())]),
    ];
    assert_eq!(decide(&[aurora]), Decision::Act(steps));
}

#[test]
fn it_waits_while_anybody_is_at_the_cluster_or_nothing_is_known() {
    let state = |change: State| Observed { state: change, ..named(mine(), Some("db-2.rds"), Some(6), &[]) };
    let change = Change { from: "db-1".to_owned(), ..Change::default() };
    let pause = Pause { until_ms: NOW + 1_000, reason: "kernel".to_owned() };
    let mut silent = mine();
    silent.sql.insert("db-1".to_owned(), Sql::Refused);
    let table = [
        ("nobody is named", state(State { writer: None, ..well().state }), "no member has claimed this cluster yet"),
        (
            "a change",
            state(State { change: Some(change), ..well().state }),
            "a change of writer away from db-1 is under way (epoch 7)",
        ),
        ("a pause", state(State { pause: Some(pause), ..well().state }), "paused for 1.0 s more: kernel"),
        (
            "another pass",
            Observed { lease: Lease::Other(Duration::from_secs(2)), ..well() },
            "another pass holds the lease, for 2.0 s at most",
        ),
        ("a silent writer", silent, "db-1, the writer, is not running (the port refuses)"),
        (
            "RDS is silent",
            Observed { rds: Seen::Unavailable("503".to_owned()), ..mine() },
            "where the writer is reached is not known: 503",
        ),
        (
            "Route 53 is silent",
            Observed { records: Seen::Unavailable("503".to_owned()), ..mine() },
            "Route 53 does not say what the records are: 503",
        ),
    ];
    for (name, seen, expected) in table {
        let Decision::Wait(reason) = decide(&[seen]) else { panic!("{name} does not wait") };
        assert_eq!(reason.to_string(), expected, "{name}");
    }
}
