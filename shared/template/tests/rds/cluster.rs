//! A Multi-AZ DB cluster.

use crate::kit::{card, of, of_type, properties, render, resolve};
use serde_json::{Value, json};

fn template() -> Value {
    render(&of(json!({ "multi_az": "cluster", "instance_class": "db.r6gd.xlarge", "replicas": 1 })))
}

#[test]
fn a_cluster_of_three_that_is_awss_own() {
    let template = template();
    let cluster = properties(&template, "DatabaseCluster");
    let expected = [
        ("DBClusterIdentifier", json!("prod-leads")),
        ("Engine", json!("postgres")),
        ("DBClusterInstanceClass", json!("db.r6gd.xlarge")),
        ("AllocatedStorage", json!(500)),
        ("StorageType", json!("io1")),
        ("Iops", json!(20_000)),
        ("BackupRetentionPeriod", json!(30)),
        ("StorageEncrypted", json!(true)),
        ("PubliclyAccessible", json!(false)),
        ("MonitoringInterval", json!(60)),
        ("PerformanceInsightsEnabled", json!(true)),
        ("DatabaseName", json!("app")),
    ];
    for (name, value) in expected {
        assert_eq!(cluster[name], value, "{name}");
    }
    assert_eq!(template["Resources"]["DatabaseCluster"]["DeletionPolicy"], "Snapshot");
    assert_eq!(properties(&template, "ClusterParameters")["Parameters"]["shared_buffers"], "1048576");
}

/// The cluster survives a zone by itself; a replica beside it only reads.
#[test]
fn replicas_are_beside_it_and_never_promoted() {
    let template = template();
    assert_eq!(of_type(&template, "AWS::RDS::DBInstance"), ["Instance2"]);
    let replica = properties(&template, "Instance2");
    assert_eq!(resolve(&template, &replica["SourceDBClusterIdentifier"]), "prod-leads");
    assert_eq!((&replica["MultiAZ"], &replica["BackupRetentionPeriod"]), (&json!(false), &Value::Null));
    let card = card(&template);
    assert_eq!(card.db_cluster.as_deref(), Some("prod-leads"));
    assert!(card.aws_fails_over);
    let instances: Vec<_> = card.instances.iter().map(|one| (one.id.as_str(), one.never_promote)).collect();
    assert_eq!(instances, [("prod-leads-2", true)]);
}

#[test]
fn each_of_its_members_is_watched() {
    let template = template();
    for number in 1..=3 {
        let alarm = properties(&template, &format!("Member{number}StorageAlarm"));
        assert_eq!(alarm["Dimensions"][0]["Value"], format!("prod-leads-instance-{number}"));
    }
}

#[test]
fn without_replicas_there_is_no_instance_group() {
    let template = render(&of(json!({ "multi_az": "cluster", "instance_class": "db.r6gd.xlarge", "replicas": 0 })));
    assert_eq!(of_type(&template, "AWS::RDS::DBInstance"), [""; 0]);
    assert_eq!(of_type(&template, "AWS::RDS::DBParameterGroup"), [""; 0]);
}
