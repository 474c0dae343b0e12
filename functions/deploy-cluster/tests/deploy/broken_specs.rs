//! Specs that are wrong, each with everything that is said of it: `broken_specs.json`.
//!
//! A row is the shortest spec of a topology with a change merged into it (RFC 7396).

use deploy_cluster::reading::read_value;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    mistake: String,
    topology: String,
    change: Value,
    problems: Vec<String>,
}

#[test]
fn every_mistake_has_its_sentence() {
    let rows: Vec<Row> = serde_json::from_str(include_str!("broken_specs.json")).unwrap();
    assert!(rows.len() >= 60, "{}", rows.len());
    for Row { mistake, topology, change, problems } in rows {
        let sound = json!({ "name": "orders", "topology": topology });
        if ["ec2-streaming", "ec2-patroni", "aurora-provisioned", "aurora-serverless", "rds-postgres"]
            .contains(&topology.as_str())
        {
            assert!(read_value(sound.clone()).is_ok(), "the shortest spec of {topology} is sound");
        }
        let mut spec = sound;
        merge(&mut spec, change);
        let seen = read_value(spec).expect_err(&mistake);
        let seen: Vec<String> = seen.iter().map(ToString::to_string).collect();
        assert_eq!(seen, problems, "{mistake}");
        assert!(seen.iter().all(|problem| !problem.contains('\n')), "{mistake}: a problem is one line");
    }
}

fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                if value.is_null() {
                    into.remove(&key);
                } else {
                    merge(into.entry(key).or_insert(Value::Object(serde_json::Map::new())), value);
                }
            }
        }
        (into, change) => *into = change,
    }
}
