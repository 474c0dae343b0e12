//! What a server says of itself before another version takes its place.

use crate::server::Cluster;
use domain::blue_green::Server;
use std::time::Duration;

const AMPLE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn what_stands_against_an_upgrade_is_counted() {
    let mut cluster = Cluster::start(1);
    let connector = cluster.connector();
    let one = &cluster.members[0];
    let (logical, server) = connector.before_upgrade(&one.target(), "postgres", AMPLE).await.unwrap();
    assert!(!logical, "its log carries no rows for others");
    // The kit's own table `t` has no key.
    assert_eq!(server, Server { tables_without_key: 1, ..Server::default() });

    for statement in [
        "CREATE TABLE keyed (id int PRIMARY KEY)",
        "CREATE TABLE keyless (id int)",
        "CREATE TABLE odd (id int PRIMARY KEY, does regproc)",
        "CREATE TABLE whole (id int); ALTER TABLE whole REPLICA IDENTITY FULL",
        "SELECT lo_create(0)",
    ] {
        one.sql(statement);
    }
    let (_, server) = connector.before_upgrade(&one.target(), "postgres", AMPLE).await.unwrap();
    assert_eq!((server.tables_without_key, server.reg_columns, server.large_objects), (2, 1, 1));
    assert_eq!((server.prepared_transactions, server.logical_slots), (0, vec![]));
    // The standby follows by streaming, and is soon where the writer is.
    let behind = connector.slowest_follower(&one.target(), AMPLE).await.unwrap();
    assert!(behind.is_some_and(|bytes| bytes < 1 << 24), "{behind:?}");

    let one = &mut cluster.members[0];
    one.kill();
    one.start(&["wal_level=logical"]);
    let one = &cluster.members[0];
    one.sql("SELECT pg_create_logical_replication_slot('cdc', 'test_decoding')");
    one.sql("SELECT pg_create_logical_replication_slot('rds_green', 'test_decoding')");
    let (logical, server) = connector.before_upgrade(&one.target(), "postgres", AMPLE).await.unwrap();
    assert!(logical);
    assert_eq!(server.logical_slots, ["cdc"], "AWS's own goes by itself");
}
