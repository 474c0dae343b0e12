//! Aurora Serverless v2.

use crate::kit::{example, properties, render, spec, thresholds};
use serde_json::{Value, json};

fn serverless(fields: &Value) -> Value {
    let mut fields = fields.clone();
    fields["topology"] = json!("aurora-serverless");
    render(&spec(&fields))
}

#[test]
fn the_reference_runs_from_half_a_unit_to_128() {
    let template = render(&example("reference-1-serverless"));
    let scaling = &properties(&template, "DatabaseCluster")["ServerlessV2ScalingConfiguration"];
    assert_eq!(scaling, &json!({ "MinCapacity": 0.5, "MaxCapacity": 128 }));
    for place in ["Instance1", "Instance2"] {
        let instance = properties(&template, place);
        // Tiers 0 and 1 keep the writer's capacity.
        assert_eq!((&instance["DBInstanceClass"], &instance["PromotionTier"]), (&json!("db.serverless"), &json!(0)));
    }
}

#[test]
fn a_cluster_that_may_pause_says_when() {
    let template = serverless(&json!({ "aurora": { "capacity": { "min_half_acu": 0, "max_half_acu": 512 } } }));
    let scaling = &properties(&template, "DatabaseCluster")["ServerlessV2ScalingConfiguration"];
    assert_eq!(scaling, &json!({ "MinCapacity": 0, "MaxCapacity": 256, "SecondsUntilAutoPause": 300 }));
}

/// Aurora moves these with the capacity; a fixed value would hold it where it is.
#[test]
fn what_follows_the_capacity_is_not_set() {
    let template = serverless(&json!({ "aurora": { "capacity": { "min_half_acu": 16, "max_half_acu": 64 } } }));
    let parameters = properties(&template, "InstanceParameters")["Parameters"].as_object().unwrap();
    // A quarter of 16 GiB over 200 connections, down to a power of two.
    assert_eq!(parameters["work_mem"], "16384");
    let followed = ["shared_buffers", "effective_cache_size", "maintenance_work_mem", "autovacuum_work_mem"];
    for name in followed {
        assert!(!parameters.contains_key(name), "{name}");
    }
}

#[test]
fn capacity_has_alarms() {
    let template = serverless(&json!({ "aurora": { "capacity": { "min_half_acu": 1, "max_half_acu": 16 } } }));
    let alarms = thresholds(&template);
    for role in ["writer", "reader"] {
        for (ending, threshold) in [("capacity", 90.0), ("capacity-stays", 7.0)] {
            assert!(alarms.contains(&(format!("{role}-{ending}"), threshold)), "{role} {ending}: {alarms:?}");
        }
    }
    let provisioned = thresholds(&render(&spec(&json!({}))));
    assert!(!provisioned.iter().any(|(name, _)| name.contains("capacity")), "{provisioned:?}");
}
