//! The alarms of the reference's list, with its limits.

use crate::kit::{fleet, global, of_part, of_type, properties, render, spec, thresholds};
use serde_json::{Value, json};
use template::Part;

#[test]
fn limits_are_the_references() {
    let template = render(&spec(&json!({ "postgresql": { "max_connections": 1_000 } })));
    let mut expected = vec![
        ("failed-logins".to_owned(), 20.0),
        ("reader-lag".to_owned(), 1_000.0),
        ("severe-errors".to_owned(), 0.0),
        ("writer-silent".to_owned(), 1.0),
        ("writer-transaction-ids".to_owned(), 500_000_000.0),
    ];
    for role in ["reader", "writer"] {
        let load = [
            ("connections", 800.0),
            ("connections-urgent", 950.0),
            ("cpu", 80.0),
            ("memory", 268_435_456.0),
            ("read-latency", 0.02),
            ("write-latency", 0.02),
        ];
        expected.extend(load.map(|(ending, threshold)| (format!("{role}-{ending}"), threshold)));
    }
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(thresholds(&template), expected);
}

#[test]
fn limits_are_the_specs() {
    let template = render(&spec(&json!({ "managed": { "alarms": {
        "cpu_percent": 70, "freeable_memory_mib": 8192, "write_latency_ms": 1500, "replica_lag_ms": 50,
    } } })));
    let alarms = thresholds(&template);
    let expected =
        [("writer-cpu", 70.0), ("writer-memory", 8_589_934_592.0), ("writer-write-latency", 1.5), ("reader-lag", 50.0)];
    for (name, threshold) in expected {
        assert!(alarms.contains(&(name.to_owned(), threshold)), "{name}: {alarms:?}");
    }
}

/// By role, not by instance: those change theirs, and readers come and go.
#[test]
fn every_alarm_pages_and_names_no_instance() {
    let template = render(&spec(&json!({ "aurora": { "readers": 3 } })));
    for (name, alarm) in of_type(&template, "AWS::CloudWatch::Alarm") {
        let pages = json!([fleet("eu-west-1").pages_topic_arn]);
        assert_eq!((&alarm["AlarmActions"], &alarm["OKActions"]), (&pages, &pages), "{name}");
        let dimensions = alarm["Dimensions"].as_array().unwrap();
        assert!(!dimensions.iter().any(|dimension| dimension["Name"] == "DBInstanceIdentifier"), "{name}");
    }
    let lag = properties(&template, "ReaderLagAlarm");
    let of_readers = json!([
        { "Name": "DBClusterIdentifier", "Value": { "Ref": "DatabaseCluster" } },
        { "Name": "Role", "Value": "READER" },
    ]);
    assert_eq!((&lag["MetricName"], &lag["Dimensions"]), (&json!("AuroraReplicaLag"), &of_readers));
}

#[test]
fn a_cluster_without_readers_has_no_alarm_on_them() {
    let alarms = thresholds(&render(&spec(&json!({ "aurora": { "readers": 0 } }))));
    assert!(!alarms.iter().any(|(name, _)| name.starts_with("reader-")), "{alarms:?}");
}

/// A Region that only follows has no writer to miss; what it may lose is watched instead.
#[test]
fn the_second_region_is_watched_for_its_lag() {
    let template = of_part(&global(&json!({})), Part::Dr);
    let alarms = thresholds(&template);
    assert!(!alarms.iter().any(|(name, _)| name == "writer-silent"), "{alarms:?}");
    let lag = properties(&template, "RegionLagAlarm");
    assert_eq!((&lag["MetricName"], &lag["Threshold"]), (&json!("AuroraGlobalDBReplicationLag"), &json!(1000)));
    assert_eq!(lag["Dimensions"][1], json!({ "Name": "SourceRegion", "Value": "eu-west-1" }));
}

/// Names that wake promote-replica belong to its own alarm alone.
#[test]
fn one_alarm_wakes_a_function() {
    let template = render(&spec(&json!({})));
    let of_understudy: Vec<&str> = of_type(&template, "AWS::CloudWatch::Alarm")
        .into_iter()
        .filter(|(_, alarm)| alarm["Namespace"] == "Understudy")
        .map(|(name, _)| name)
        .collect();
    assert_eq!(of_understudy, ["WriterSilentAlarm"]);
    assert_eq!(template["Resources"]["WriterSilentAlarm"]["DependsOn"], json!(["Card"]));
}

/// Logs are counted where they are, and kept as long as the spec says.
#[test]
fn the_servers_log_is_kept_and_counted() {
    let template = render(&spec(&json!({ "log_days": 90 })));
    let group = properties(&template, "DatabaseLogs");
    assert_eq!(group["LogGroupName"], "/aws/rds/cluster/prod-carts/postgresql");
    assert_eq!(group["RetentionInDays"], 90);
    assert_eq!(template["Resources"]["DatabaseCluster"]["DependsOn"], json!(["DatabaseLogs"]));
    for (name, metric) in [("DatabaseFailedLogins", "FailedLogins"), ("DatabaseSevereErrors", "SevereErrors")] {
        let counted = &properties(&template, name)["MetricTransformations"][0];
        let alarm = properties(&template, &format!("{metric}Alarm"));
        assert_eq!((&counted["MetricName"], &alarm["MetricName"]), (&json!(metric), &json!(metric)));
        assert_eq!(counted["MetricNamespace"], alarm["Namespace"]);
    }
    let without = render(&spec(&json!({ "log_days": 0 })));
    assert_eq!(without["Resources"]["DatabaseCluster"]["DependsOn"], Value::Null);
    assert_eq!(of_type(&without, "AWS::Logs::LogGroup").len(), 0);
}
