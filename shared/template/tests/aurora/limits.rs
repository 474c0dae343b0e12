//! What AWS takes, and how much of it.

use crate::kit::{global, of_part, properties, resolve, template};
use domain::spec::Spec;
use serde_json::json;
use template::{OBJECT_LIMIT, PARAMETER_LIMIT, Part};

/// The longest name that the spec's check lets pass, and as much of everything as there can be.
fn largest() -> Spec {
    let mut spec = global(&json!({
        "name": "a".repeat(39),
        "network": { "own_vpc": { "endpoints": true } },
        "aurora": { "readers": 15, "dr_readers": 15 },
        "managed": { "proxy": {} },
    }));
    spec.client_cidrs = (0..20).map(|n| format!("10.100.1{n:02}.0/24")).collect();
    spec.postgresql.database = "d".repeat(63);
    spec.postgresql.owner = "o".repeat(63);
    spec
}

#[test]
fn the_largest_cluster_keeps_within_the_limits_of_aws() {
    let spec = largest();
    for part in [Part::Primary, Part::Dr] {
        let made = template(&spec, part);
        let size = made.body().unwrap().len();
        let (name, longest) = made.longest_parameter();
        println!("{part:?}: template {size} bytes, {name} {longest}");
        assert!(size <= OBJECT_LIMIT, "{part:?}: a template of {size} bytes");
        assert!(longest <= PARAMETER_LIMIT, "{name} has {longest} bytes");
        let template = of_part(&spec, part);
        let card = resolve(&template, &properties(&template, "Card")["Value"]).len();
        assert!(card <= longest, "the card has {card} bytes, estimated were {longest}");
        let resources = template["Resources"].as_object().unwrap().len();
        assert!(resources <= 500, "{resources} resources");
    }
}

/// RDS takes identifiers of 63 letters and no two hyphens in a row.
#[test]
fn identifiers_are_as_rds_takes_them() {
    let mut spec = largest();
    // The longest of a fleet is 16.
    let slack = 16 - "prod".len();
    spec.name = "a-b".repeat(13);
    for part in [Part::Primary, Part::Dr] {
        let template = of_part(&spec, part);
        for (name, resource) in template["Resources"].as_object().unwrap() {
            for key in ["DBClusterIdentifier", "DBInstanceIdentifier", "GlobalClusterIdentifier", "DBProxyName"] {
                let Some(identifier) = resource["Properties"][key].as_str() else { continue };
                assert!(identifier.len() + slack <= 63, "{name}: {identifier}");
                assert!(!identifier.contains("--") && !identifier.ends_with('-'), "{name}: {identifier}");
            }
        }
    }
}
