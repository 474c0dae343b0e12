//! Alarms, both levels of the reference.

use crate::kit::{example, of, properties, render, today};
use domain::managed::Roles;
use serde_json::{Value, json};
use template::Part;

fn alarm(template: &Value, name: &str) -> (String, String, Value) {
    let alarm = properties(template, &format!("{name}Alarm"));
    let text = |name: &str| alarm[name].as_str().unwrap().to_owned();
    (text("MetricName"), text("ComparisonOperator").replace("Threshold", ""), alarm["Threshold"].clone())
}

#[test]
fn the_references_limits() {
    let template = render(&example("reference-4"));
    let (more, less) = ("GreaterThan", "LessThan");
    let mib = 1_048_576_u64;
    let table = [
        ("Instance1Connections", "DatabaseConnections", more, json!(640)),
        ("Instance1ConnectionsUrgent", "DatabaseConnections", more, json!(760)),
        ("Instance1Storage", "FreeStorageSpace", less, json!(153_600 * mib)),
        ("Instance1StorageUrgent", "FreeStorageSpace", less, json!(102_400 * mib)),
        ("Instance2Lag", "ReplicaLag", more, json!(0.1)),
        ("LagBytes", "ReplicationLagBytes", more, json!(100 * mib)),
        ("LagBytesUrgent", "ReplicationLagBytes", more, json!(500 * mib)),
        ("WriterTransactionIds", "MaximumUsedTransactionIDs", more, json!(500_000_000)),
        ("Instance1Cpu", "CPUUtilization", more, json!(80)),
        ("Poolers", "HealthyHostCount", less, json!(3)),
    ];
    for (name, metric, comparison, threshold) in table {
        assert_eq!(alarm(&template, name), (metric.into(), comparison.into(), threshold), "{name}");
    }
    let second = today(&example("reference-4"), Part::Dr, &Roles::default());
    assert_eq!(alarm(&second, "Instance1Lag").2, json!(1));
}

#[test]
fn every_alarm_pages_and_one_wakes() {
    let template = render(&example("reference-4"));
    let alarms: Vec<(&String, &Value)> = template["Resources"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::CloudWatch::Alarm")
        .collect();
    assert!(alarms.len() > 25, "{}", alarms.len());
    let pages = json!(["arn:aws:sns:us-east-1:111122223333:prod-pages"]);
    for (name, alarm) in &alarms {
        assert_eq!(alarm["Properties"]["AlarmActions"], pages, "{name}");
    }
    let wakes = alarms.iter().filter(|(_, alarm)| {
        alarm["Properties"]["AlarmName"].as_str().unwrap() == "understudy-prod-reference-4-writer-silent"
    });
    assert_eq!(wakes.count(), 1);
}

/// Where nothing is written, RDS's lag grows for five minutes and is none then: that pages nobody.
#[test]
fn a_replica_of_an_idle_writer_is_not_late() {
    let template = render(&of(json!({})));
    let lag = properties(&template, "Instance2LagAlarm");
    assert_eq!((&lag["Statistic"], &lag["EvaluationPeriods"]), (&json!("Minimum"), &json!(6)));
    assert!(!template["Resources"].as_object().unwrap().contains_key("Instance1LagAlarm"));
}
