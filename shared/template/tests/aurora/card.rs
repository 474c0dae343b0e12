//! The card: the template writes what functions read.

use crate::kit::{card, global, of_part, render, spec};
use domain::card::{Side, Topology};
use serde_json::json;
use template::Part;

#[test]
fn the_card_says_where_the_cluster_is() {
    let card = card(&render(&spec(&json!({
        "postgresql": { "database": "shop", "port": 6000 },
        "aurora": { "readers": 2 },
        "managed": { "proxy": {} },
        "policy": { "gray_failure_s": 90 },
    }))));
    assert_eq!((card.fleet.as_str(), card.cluster.as_str(), card.region.as_str()), ("prod", "carts", "eu-west-1"));
    assert_eq!((card.topology, card.side), (Topology::AuroraProvisioned, Side::Primary));
    assert_eq!((card.database.as_str(), card.port), ("shop", 6000));
    assert_eq!(card.db_cluster.as_deref(), Some("prod-carts"));
    let ids: Vec<(&str, u32, u8)> = card.instances.iter().map(|one| (one.id.as_str(), one.place, one.tier)).collect();
    assert_eq!(ids, [("prod-carts-1", 1, 0), ("prod-carts-2", 2, 0), ("prod-carts-3", 3, 1)]);
    assert!(card.aws_fails_over && card.isolation.is_none() && card.backups.is_none());
    assert_eq!(card.records.writer, "carts-rw.db.internal");
    assert_eq!(card.records.reader, "carts-ro.db.internal");
    assert_eq!(card.operator_secret, "understudy/prod/carts/operator");
    assert_eq!(card.pooler.as_deref(), Some("Proxy.Endpoint"));
    assert_eq!(card.policy.gray_failure_s, 90);
    assert!(card.other.is_none() && card.pair.is_none() && card.global_cluster.is_none());
}

#[test]
fn each_side_knows_the_other() {
    let spec = global(&json!({ "aurora": { "readers": 1, "dr_readers": 2 } }));
    let first = card(&of_part(&spec, Part::Primary));
    let second = card(&of_part(&spec, Part::Dr));
    assert_eq!((first.side, second.side), (Side::Primary, Side::Dr));
    assert_eq!((first.region.as_str(), second.region.as_str()), ("eu-west-1", "eu-central-1"));
    for card in [&first, &second] {
        assert_eq!(card.global_cluster.as_deref(), Some("prod-carts-global"));
        assert_eq!(card.db_cluster.as_deref(), Some("prod-carts"));
    }
    let (of_first, of_second) = (first.other.unwrap(), second.other.unwrap());
    assert_eq!((of_first.region.as_str(), of_second.region.as_str()), ("eu-central-1", "eu-west-1"));
    let arn = |region| Some(format!("arn:aws:rds:{region}:111122223333:cluster:prod-carts"));
    assert_eq!((of_first.db_cluster_arn, of_second.db_cluster_arn), (arn("eu-central-1"), arn("eu-west-1")));
    assert_eq!(of_first.instances, ["prod-carts-1", "prod-carts-2", "prod-carts-3"]);
    assert_eq!(of_second.instances, ["prod-carts-1", "prod-carts-2"]);
    assert_eq!(second.instances.len(), 3);
    // Both sides can share a hosted zone.
    assert_eq!(
        (first.records.writer.as_str(), second.records.writer.as_str()),
        ("carts-rw.db.internal", "carts-dr-rw.db.internal")
    );
    assert_eq!(second.records.reader, "carts-dr-ro.db.internal");
    assert!(first.pair.is_none());
    let pair = second.pair.unwrap();
    assert_eq!(
        (pair.name.as_str(), pair.alarm.as_str()),
        ("carts.db.internal", "understudy-prod-carts-primary-serves")
    );
    assert_eq!((pair.namespace.as_str(), pair.metric.as_str()), ("Understudy", "PrimaryServes"));
    assert_eq!(pair.health_check, "PrimaryServes.HealthCheckId");
}
