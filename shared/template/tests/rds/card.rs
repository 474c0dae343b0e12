//! What the card says.

use crate::kit::{card, example, of, render};
use domain::card::{Side, Topology};
use serde_json::json;

#[test]
fn the_card_of_a_cluster_in_one_region() {
    let card = card(&render(&of(json!({}))));
    assert_eq!((card.version, card.fleet.as_str(), card.cluster.as_str()), (1, "prod", "leads"));
    assert_eq!((card.topology, card.side, card.port), (Topology::RdsPostgres, Side::Primary, 5432));
    assert_eq!(card.records.writer, "leads-rw.db.internal");
    assert_eq!((card.db_cluster, card.global_cluster, card.other, card.pair), (None, None, None, None));
    let backups = card.backups.unwrap();
    assert_eq!((backups.retention_days, backups.window.as_str()), (30, "02:00-03:00"));
    assert_eq!(card.pooler, None);
    let tiers: Vec<_> = card.instances.iter().map(|one| (one.id.as_str(), one.tier, one.never_promote)).collect();
    assert_eq!(tiers, [("prod-leads-1", 0, false), ("prod-leads-2", 1, false)]);
}

#[test]
fn aws_fails_over_only_what_has_a_standby() {
    for (multi_az, expected) in [("none", false), ("instance", true)] {
        assert_eq!(card(&render(&of(json!({ "multi_az": multi_az })))).aws_fails_over, expected, "{multi_az}");
    }
}

#[test]
fn no_secret_is_in_a_card_and_it_fits() {
    let template =
        crate::kit::template(&example("reference-4"), template::Part::Primary, &domain::managed::Roles::default());
    let (name, size) = template.longest_parameter();
    assert!(size <= template::PARAMETER_LIMIT, "{name}: {size} bytes");
    assert!(template.longest_user_data() <= template::USER_DATA_LIMIT);
    let card = card(&render(&example("reference-4")));
    assert_eq!(card.operator_secret, "OperatorSecret");
    assert_eq!(card.pooler.as_deref(), Some("Balancer.DNSName"));
}
