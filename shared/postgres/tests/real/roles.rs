//! Freezing, following, promoting, proving, and what a new writer needs.

use crate::{
    looks::{standby, writer},
    server::{Cluster, Server},
};
use domain::{failover::Sql, lsn::Lsn};
use reconcile::Failure;
use std::time::{Duration, Instant};

const AMPLE: Duration = Duration::from_secs(10);

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[tokio::test]
async fn a_frozen_cluster_acknowledges_nothing_until_it_follows_again() {
    let mut cluster = Cluster::start(2);
    let connector = cluster.connector();
    let target = |number: usize| cluster.members[number].target();
    connector.set_synchronous(&target(0), "ANY 1 (\"orders_2\", \"orders_3\")", AMPLE).await.unwrap();
    cluster.members[0].sql("INSERT INTO t VALUES (1)");

    for number in [1, 2] {
        let started = Instant::now();
        let frozen = connector.freeze(&target(number), AMPLE).await.unwrap();
        println!("freeze: {:?}", started.elapsed());
        assert_eq!((frozen.receiver, frozen.upstream, frozen.timeline), (None, None, 1));
    }
    let mut commit = cluster.members[0].psql("INSERT INTO t VALUES (2)").spawn().unwrap();
    cluster.members[0].eventually("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')");
    let before = standby(connector.probe(&target(1), AMPLE).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(standby(connector.probe(&target(1), AMPLE).await), before, "a frozen standby moved");
    assert_eq!(commit.try_wait().unwrap(), None, "a commit was acknowledged by nobody");

    // Frozen again is frozen still; a restart thaws nothing.
    connector.freeze(&target(1), AMPLE).await.unwrap();
    cluster.members[1].kill();
    cluster.members[1].start(&[]);
    let restarted = standby(connector.probe(&cluster.members[1].target(), AMPLE).await);
    assert_eq!((&restarted.receiver, restarted.upstream), (&None, None));
    assert!(restarted.furthest() >= before.furthest(), "{restarted:?} is behind {before:?}");

    let (upstream, port) = (cluster.members[0].address, cluster.members[0].port);
    connector.follow(&cluster.members[1].target(), upstream, port, "orders_2", AMPLE).await.unwrap();
    assert!(commit.wait().unwrap().success());
    assert_eq!(standby(connector.probe(&cluster.members[1].target(), AMPLE).await).upstream, Some(upstream));
    cluster.members[0].eventually("SELECT active FROM pg_replication_slots WHERE slot_name = 'orders_2'");
}

#[tokio::test]
async fn a_standby_that_is_connecting_is_frozen_too() {
    let mut cluster = Cluster::start(1);
    let connector = cluster.connector();
    // The receiver comes and goes: its upstream is down, then up again the moment after the freeze.
    cluster.members[0].kill();
    let frozen = connector.freeze(&cluster.members[1].target(), AMPLE).await.unwrap();
    cluster.members[0].start(&[]);
    cluster.members[0].sql("INSERT INTO t VALUES (1)");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let later = standby(connector.probe(&cluster.members[1].target(), AMPLE).await);
    assert_eq!((&later.receiver, later.furthest()), (&None, frozen.furthest()));
}

#[tokio::test]
async fn a_promotion_and_what_follows() {
    let mut cluster = Cluster::start(2);
    let connector = cluster.connector();
    let started = Instant::now();
    cluster.members[0].kill();
    let [_, two, three] = &cluster.members[..] else { panic!() };
    for member in [two, three] {
        connector.freeze(&member.target(), AMPLE).await.unwrap();
    }
    println!("both frozen {:?} after the writer's end", started.elapsed());

    let early = connector.prove(&two.target(), 2, "i-2", AMPLE).await.unwrap_err();
    assert!(matches!(early, Failure::LostRace { .. }), "{early:?}");
    let started = Instant::now();
    let promoted = connector.promote(&two.target(), AMPLE).await.unwrap();
    println!("promote: {:?}", started.elapsed());
    assert_eq!(promoted.timeline, 2);
    assert_eq!(promoted.lsn, fork(two), "where the new timeline begins");
    assert_eq!(connector.promote(&two.target(), AMPLE).await.unwrap(), promoted, "promoting twice");

    let proven = connector.prove(&two.target(), 2, "i-2", AMPLE).await.unwrap();
    assert_eq!(proven, promoted);
    connector.prove(&two.target(), 2, "i-2", AMPLE).await.unwrap();
    assert_eq!(two.sql("SELECT epoch, writer FROM understudy.epochs"), "2|i-2");

    for _ in 0..2 {
        connector.prepare_slots(&two.target(), &names(&["orders_1", "orders_3"]), AMPLE).await.unwrap();
    }
    assert_eq!(writer(connector.probe(&two.target(), AMPLE).await).slots, ["orders_1", "orders_3"]);
    connector.follow(&three.target(), two.address, two.port, "orders_3", AMPLE).await.unwrap();
    connector.set_synchronous(&two.target(), "ANY 1 (\"orders_3\")", AMPLE).await.unwrap();
    two.sql("INSERT INTO t VALUES (3)");
    println!("first synchronous commit {:?} after the promotion began", started.elapsed());

    // Frozen at once, it knows that it came to the new timeline, although its control file does not yet.
    let frozen = connector.freeze(&three.target(), AMPLE).await.unwrap();
    assert_eq!(three.sql("SELECT timeline_id FROM pg_control_checkpoint()"), "1");
    assert_eq!(frozen.timeline, 2);

    connector.follow(&three.target(), two.address, two.port, "orders_3", AMPLE).await.unwrap();
    two.eventually("SELECT active FROM pg_replication_slots WHERE slot_name = 'orders_3'");
    let busy = connector.drop_slots(&two.target(), &names(&["orders_3", "orders_1"]), AMPLE).await.unwrap_err();
    assert!(matches!(busy, Failure::Transient { .. }), "{busy:?}");
    assert_eq!(writer(connector.probe(&two.target(), AMPLE).await).slots, ["orders_3"], "one in use hides no other");
    connector.drop_slots(&two.target(), &names(&["orders_1"]), AMPLE).await.unwrap();
}

/// The position at which a server's second timeline begins, from its history file.
fn fork(member: &Server) -> Lsn {
    let history = member.read("pg_wal/00000002.history");
    history.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_proof_waits_for_no_standby() {
    let cluster = Cluster::start(0);
    let connector = cluster.connector();
    let target = cluster.members[0].target();
    connector.set_synchronous(&target, "ANY 1 (\"orders_2\")", AMPLE).await.unwrap();
    connector.prove(&target, 7, "i-1", AMPLE).await.unwrap();
    connector.prove(&target, 7, "i-3", AMPLE).await.unwrap();
    assert_eq!(cluster.members[0].sql("SELECT epoch, writer FROM understudy.epochs"), "7|i-3");
    assert_eq!(cluster.members[0].sql("SHOW synchronous_standby_names"), "ANY 1 (\"orders_2\")");

    for (refused, failure) in [
        ("freeze", connector.freeze(&target, AMPLE).await.unwrap_err()),
        ("follow", connector.follow(&target, cluster.members[0].address, 1, "orders_1", AMPLE).await.unwrap_err()),
    ] {
        assert!(matches!(failure, Failure::LostRace { .. }), "{refused} of a writer: {failure:?}");
    }
    assert_eq!(connector.promote(&target, AMPLE).await.unwrap().timeline, 1, "a writer needs no promotion");
}

#[tokio::test]
async fn what_no_retry_cures() {
    let mut cluster = Cluster::start(1);
    let connector = cluster.connector();
    let [one, two] = &mut cluster.members[..] else { panic!() };
    let upstream = (one.address, one.port);
    let broken = |failure: Failure| match failure {
        Failure::Broken { what, .. } => what,
        other => panic!("not broken: {other:?}"),
    };
    let odd = connector.set_synchronous(&one.target(), "ANY ANY", AMPLE).await.unwrap_err();
    assert!(broken(odd).contains("synchronous_standby_names"));
    assert_eq!(one.sql("SHOW synchronous_standby_names"), "");

    one.sql("DROP TABLE understudy.epochs");
    let missing = broken(connector.prove(&one.target(), 1, "i-1", AMPLE).await.unwrap_err());
    assert!(missing.contains("understudy.epochs"), "{missing}");

    one.sql("REVOKE ALTER SYSTEM ON PARAMETER primary_conninfo FROM understudy");
    two.eventually("SELECT NOT has_parameter_privilege('understudy', 'primary_conninfo', 'ALTER SYSTEM')");
    let denied = broken(connector.freeze(&two.target(), AMPLE).await.unwrap_err());
    assert!(denied.contains("SQLSTATE 42501"), "{denied}");
    assert!(standby(connector.probe(&two.target(), AMPLE).await).receiver.is_some());

    two.append("postgresql.conf", "understudy.replication_conninfo = ''");
    two.sql("SELECT pg_reload_conf()");
    two.eventually("SELECT current_setting('understudy.replication_conninfo') = ''");
    let unset = connector.follow(&two.target(), upstream.0, upstream.1, "orders_2", AMPLE).await.unwrap_err();
    assert!(broken(unset).contains("understudy.replication_conninfo is not set"));
}

#[tokio::test]
async fn a_receiver_that_cannot_be_ended_is_not_frozen() {
    let cluster = Cluster::start(1);
    let connector = cluster.connector();
    let two = &cluster.members[1];
    let receiver = two.sql("SELECT pid FROM pg_stat_wal_receiver");
    std::process::Command::new("kill").args(["-STOP", &receiver]).status().unwrap();
    let limit = Duration::from_secs(2);
    let failure = connector.freeze(&two.target(), limit).await.unwrap_err();
    std::process::Command::new("kill").args(["-CONT", &receiver]).status().unwrap();
    assert!(failure.story().contains("waited 2000 ms for the WAL receiver to end"), "{}", failure.story());
    connector.freeze(&two.target(), AMPLE).await.unwrap();
}

#[tokio::test]
async fn a_lost_slot_is_made_anew() {
    let mut cluster = Cluster::start(1);
    let connector = cluster.connector();
    cluster.members[1].kill();
    let one = &cluster.members[0];
    // Past max_slot_wal_keep_size, 32 MB.
    for _ in 0..4 {
        one.sql("SELECT pg_logical_emit_message(true, 'x', repeat('x', 900000)), pg_switch_wal()");
    }
    one.sql("CHECKPOINT");
    one.eventually("SELECT wal_status = 'lost' FROM pg_replication_slots");
    connector.prepare_slots(&one.target(), &names(&["orders_2"]), AMPLE).await.unwrap();
    assert_eq!(one.sql("SELECT wal_status FROM pg_replication_slots"), "reserved");
    assert!(matches!(connector.probe(&one.target(), AMPLE).await, Sql::Writer(_)));
}

#[tokio::test]
async fn a_standby_whose_replay_waits_for_a_query_is_frozen_when_the_query_is_cancelled() {
    let mut cluster = Cluster::start(1);
    let connector = cluster.connector();
    cluster.members[1].kill();
    cluster.members[1].start(&["max_standby_streaming_delay=6s"]);
    let [one, two] = &cluster.members[..] else { panic!() };
    two.eventually("SELECT to_regclass('t') IS NOT NULL AND EXISTS (SELECT FROM pg_stat_wal_receiver)");
    let mut reader = two.psql("BEGIN; SELECT count(*) FROM t; SELECT pg_sleep(60)").spawn().unwrap();
    two.eventually("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')");
    one.sql("DROP TABLE t");
    two.eventually("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE backend_type = 'startup'");

    // The startup process, which ends the receiver, reads no setting while it waits for the query.
    let failure = connector.freeze(&two.target(), Duration::from_secs(1)).await.unwrap_err();
    assert!(failure.story().contains("the WAL receiver to end"), "{}", failure.story());
    assert_eq!(connector.freeze(&two.target(), AMPLE).await.unwrap().receiver, None);
    assert!(!reader.wait().unwrap().success(), "the query was cancelled");
}

/// The event that takes the writer may restart a standby, which then reports less than it once acknowledged.
#[tokio::test]
async fn a_standby_that_restarted_is_frozen_when_it_has_read_its_own_log() {
    let mut cluster = Cluster::start(1);
    let connector = cluster.connector();
    let delayed = ["recovery_min_apply_delay=1h"];
    cluster.members[1].kill();
    cluster.members[1].start(&delayed);
    let [one, two] = &cluster.members[..] else { panic!() };
    two.eventually("SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')");
    one.sql("CREATE TABLE later ()");
    let acknowledged = one.sql("SELECT pg_current_wal_lsn()").trim().to_owned();
    two.eventually(&format!("SELECT pg_last_wal_receive_lsn() >= '{acknowledged}'"));
    cluster.members[0].kill();
    cluster.members[1].kill();
    cluster.members[1].start(&delayed);
    let two = &cluster.members[1];
    two.eventually("SELECT wait_event = 'RecoveryApplyDelay' FROM pg_stat_activity WHERE backend_type = 'startup'");

    let failure = connector.freeze(&two.target(), Duration::from_secs(1)).await.unwrap_err();
    assert!(failure.story().contains("its own log to be read"), "{}", failure.story());
    cluster.members[1].kill();
    cluster.members[1].start(&[]);
    let frozen = connector.freeze(&cluster.members[1].target(), AMPLE).await.unwrap();
    assert!(frozen.furthest() >= Some(acknowledged.parse().unwrap()), "{frozen:?} is not at {acknowledged}");
}
