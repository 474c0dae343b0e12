//! Reading specs: all problems at once, each with its place.

use deploy_cluster::reading::{read, read_value};
use domain::spec::{Spec, schema};
use serde_json::{Value, json};

fn problems(spec: Value) -> Vec<String> {
    read_value(spec).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn two_lines_are_a_spec() {
    let spec = read(r#"{ "name": "orders", "topology": "ec2-streaming" }"#).unwrap();
    assert_eq!(spec, Spec::new("orders"));
}

#[test]
fn a_spec_may_name_its_schema() {
    let spec =
        read(r#"{ "$schema": "./cluster.schema.json", "name": "orders", "topology": "ec2-streaming" }"#).unwrap();
    assert_eq!(spec.name, "orders");
}

#[test]
fn a_number_without_a_fraction_is_whole() {
    let spec = read(r#"{ "name": "orders", "topology": "ec2-streaming", "members": { "count": 4.0 } }"#).unwrap();
    assert_eq!(spec.members.count, 4);
}

#[test]
fn what_is_not_json_is_told_by_line_and_column() {
    let problems = read("{\n  \"name\": \"orders\",\n  \"topology\" \"ec2-streaming\"\n}").unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].found.contains("line 3 column 14"), "{}", problems[0]);
}

#[test]
fn what_is_no_object_is_no_spec() {
    for (value, found) in [(json!([]), "[]"), (json!(3), "3"), (json!("orders"), "\"orders\""), (Value::Null, "null")] {
        let problems = problems(value);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(&format!("the document: found {found}, allowed is an object with fields of ")));
    }
}

/// Mistakes of every kind, in one document.
#[test]
fn all_problems_are_told_at_once() {
    let seen = problems(json!({
        "name": "Orders",
        "toplogy": "ec2-streaming",
        "postgresql": { "version": 14, "owner": "understudy" },
        "members": {
            "count": 9,
            "data_volume": { "size_gib": 20, "iops": 20_000, "type": "gp2" },
            "never_promote": [1, "two"],
        },
        "synchronous": { "required": -1 },
        "client_cidrs": ["10.0.0.0/16", 7, "10.0.0.1/16"],
        "policy": { "probe_interval_ms": 500, "failures": "3" },
    }));
    let expected = [
        r#"/client_cidrs/1: found 7, allowed is an IPv4 network such as 10.0.0.0/16"#,
        r#"/client_cidrs/2: found "10.0.0.1/16", allowed is 10.0.0.0/16: the address must be the network's first"#,
        r#"/members/count: found 9, allowed is a whole number from 1 to 5"#,
        r#"/members/data_volume/type: found "gp2", allowed is "gp3", "io1" or "io2""#,
        r#"/members/never_promote/1: found "two", allowed is a whole number from 1 to 5"#,
        r#"/name: found "Orders", allowed is 2 to 40 lower-case letters, digits and single hyphens, beginning with a letter"#,
        r#"/policy/failures: found "3", allowed is a whole number from 2 to 60"#,
        r#"/policy/probe_timeout_ms: found 600, allowed is at most the interval between probes, 500"#,
        r#"/postgresql/owner: found "understudy", allowed is any name but monitor, pgbouncer, postgres, replicator, understudy, which every cluster has already"#,
        r#"/postgresql/version: found 14, allowed is a whole number from 15 to 18"#,
        r#"/synchronous/required: found -1, allowed is a whole number from 0 to 4"#,
        r#"/topology: found nothing, allowed is "ec2-streaming", "ec2-patroni", "aurora-provisioned", "aurora-serverless" or "rds-postgres""#,
    ];
    let (unknown, known): (Vec<String>, Vec<String>) =
        seen.into_iter().partition(|problem| problem.starts_with("/toplogy"));
    assert_eq!(known, expected);
    let [unknown] = unknown.as_slice() else { panic!("{unknown:?}") };
    assert!(unknown.starts_with("/toplogy: found an unknown field, allowed is one of the fields "), "{unknown}");
    assert!(unknown.contains("topology"), "{unknown}");
}

/// The number of members is unreadable, so nothing is said about what depends on it.
#[test]
fn a_field_that_is_unreadable_is_no_reason_to_blame_another() {
    let required = "/synchronous/required";
    let with = |count: Value| {
        json!({
            "name": "orders", "topology": "ec2-streaming", "members": { "count": count }, "synchronous": { "required": 3 },
        })
    };
    let paths = |spec: Value| -> Vec<String> {
        read_value(spec).unwrap_err().into_iter().map(|problem| problem.path).collect()
    };
    assert_eq!(paths(with(json!(3))), [required]);
    assert_eq!(paths(with(json!("many"))), ["/members/count"]);
    assert!(read_value(with(json!(4))).is_ok());
}

/// Every field of every object: `null`, a nested object, a list and a word never get
/// past reading where they do not belong, and never make it stop.
#[test]
fn nonsense_anywhere_is_told_with_its_path() {
    let whole = serde_json::to_value(Spec::new("orders")).unwrap();
    let mut paths = Vec::new();
    collect("", &whole, &mut paths);
    assert!(paths.len() > 25, "{paths:?}");
    for path in &paths {
        for nonsense in [json!(null), json!({ "a": 1 }), json!([[]]), json!("§"), json!(-1), json!(1e300)] {
            let mut spec = whole.clone();
            *spec.pointer_mut(path).unwrap() = nonsense.clone();
            if let Err(problems) = read_value(spec) {
                let told = problems.iter().any(|problem| problem.path.starts_with(path.as_str()));
                assert!(told, "{path} = {nonsense}: {problems:?}");
            } else {
                assert!(*path == "/tags" && nonsense == json!({}), "{path} = {nonsense} was taken for a spec");
            }
        }
    }
}

fn collect(path: &str, value: &Value, paths: &mut Vec<String>) {
    if let Value::Object(fields) = value {
        for (key, value) in fields {
            let path = format!("{path}/{key}");
            collect(&path, value, paths);
            paths.push(path);
        }
    }
}

/// What the schema says a field is by default is what reading makes of its absence.
#[test]
fn the_schema_describes_every_field_and_its_defaults_are_true() {
    let schema = schema();
    let whole = serde_json::to_value(Spec::new("orders")).unwrap();
    let mut fields = 0;
    check_described("", &schema, &mut fields);
    assert!(fields > 35, "{fields}");
    for (name, field) in schema["properties"].as_object().unwrap() {
        if let Some(default) = field.get("default") {
            assert_eq!(&whole[name], default, "{name}");
        }
    }
    assert_eq!(schema["required"], json!(["name", "topology"]));
}

fn check_described(path: &str, field: &Value, count: &mut usize) {
    for (name, inner) in field["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        assert!(inner["description"].as_str().is_some_and(|text| !text.is_empty()), "{path} has no description");
        let pattern = inner.get("pattern").is_some();
        assert_eq!(pattern, pattern && inner.get("x-allowed").is_some(), "{path} has a pattern and no words for it");
        *count += 1;
        check_described(&path, inner, count);
    }
}
