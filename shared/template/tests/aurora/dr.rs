//! The second Region: a secondary cluster of a global one, that needs nothing of the first to take over.

use crate::kit::{example, global, of_part, of_type, properties, render, resolve, spec};
use serde_json::{Value, json};
use template::Part;

#[test]
fn the_first_region_makes_the_global_cluster() {
    let template = of_part(&global(&json!({})), Part::Primary);
    let made = properties(&template, "GlobalCluster");
    assert_eq!(made["GlobalClusterIdentifier"], "prod-carts-global");
    assert_eq!(made["SourceDBClusterIdentifier"], json!({ "Fn::GetAtt": ["DatabaseCluster", "DBClusterArn"] }));
    assert_eq!(made["DeletionProtection"], true);
    // AWS takes no engine beside a source, and no secondary's word in the first.
    assert_eq!(
        (&made["Engine"], &properties(&template, "DatabaseCluster")["GlobalClusterIdentifier"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(of_type(&render(&spec(&json!({}))), "AWS::RDS::GlobalCluster").len(), 0);
}

#[test]
fn the_second_joins_it_and_has_no_master() {
    let template = of_part(&global(&json!({})), Part::Dr);
    let cluster = properties(&template, "DatabaseCluster");
    assert_eq!(cluster["GlobalClusterIdentifier"], "prod-carts-global");
    for absent in ["DatabaseName", "MasterUsername", "MasterUserPassword", "ManageMasterUserPassword"] {
        assert_eq!(cluster[absent], Value::Null, "{absent}");
    }
    // Encrypted with this Region's own key.
    assert_eq!(cluster["KmsKeyId"], json!({ "Fn::GetAtt": ["DataKey", "Arn"] }));
    assert_eq!(of_type(&template, "AWS::RDS::GlobalCluster").len(), 0);
    assert_eq!(of_type(&template, "AWS::SecretsManager::Secret").len(), 0, "they are copies");
}

/// Global databases take no password that RDS makes; a cluster by itself takes no other.
#[test]
fn who_makes_the_masters_password() {
    let alone = render(&spec(&json!({})));
    let cluster = properties(&alone, "DatabaseCluster");
    assert_eq!((&cluster["ManageMasterUserPassword"], &cluster["MasterUserPassword"]), (&json!(true), &Value::Null));
    assert_eq!(of_type(&alone, "AWS::SecretsManager::Secret").len(), 2);

    let first = of_part(&global(&json!({})), Part::Primary);
    let cluster = properties(&first, "DatabaseCluster");
    assert_eq!(cluster["ManageMasterUserPassword"], Value::Null);
    let password = resolve(&first, &cluster["MasterUserPassword"]);
    assert_eq!(password, "{{resolve:secretsmanager:understudy/prod/carts/superuser:SecretString:password}}");
    for (name, secret) in of_type(&first, "AWS::SecretsManager::Secret") {
        assert_eq!(secret["ReplicaRegions"], json!([{ "Region": "eu-central-1" }]), "{name}");
    }
}

/// One name for both Regions, moved by a metric: no control plane of Route 53 is needed to take over.
#[test]
fn the_pair_is_made_in_advance() {
    let template = of_part(&global(&json!({})), Part::Dr);
    let (primary, secondary) = (properties(&template, "PairPrimary"), properties(&template, "PairSecondary"));
    for (record, failover, to) in
        [(primary, "PRIMARY", "carts-rw.db.internal"), (secondary, "SECONDARY", "carts-dr-rw.db.internal")]
    {
        assert_eq!((&record["Name"], &record["Type"]), (&json!("carts.db.internal"), &json!("CNAME")));
        assert_eq!((&record["Failover"], &record["ResourceRecords"]), (&json!(failover), &json!([to])));
        assert_eq!((&record["HostedZoneId"], &record["TTL"]), (&json!("Z1"), &json!("1")));
    }
    assert_ne!(primary["SetIdentifier"], secondary["SetIdentifier"]);
    assert_eq!(primary["HealthCheckId"], json!({ "Fn::GetAtt": ["PrimaryServes", "HealthCheckId"] }));
    assert_eq!(secondary["HealthCheckId"], Value::Null);
    let check = &properties(&template, "PrimaryServes")["HealthCheckConfig"];
    assert_eq!(check["AlarmIdentifier"], json!({ "Name": { "Ref": "PrimaryServesAlarm" }, "Region": "eu-central-1" }));
    // While nobody says anything, the last word holds: nothing moves back by itself.
    assert_eq!(check["InsufficientDataHealthStatus"], "LastKnownStatus");
    let alarm = properties(&template, "PrimaryServesAlarm");
    assert_eq!((&alarm["Period"], &alarm["TreatMissingData"]), (&json!(60), &json!("ignore")));
    assert_eq!((&alarm["ComparisonOperator"], &alarm["Threshold"]), (&json!("LessThanThreshold"), &json!(1)));
    let dimensions = json!([{ "Name": "Fleet", "Value": "prod" }, { "Name": "Cluster", "Value": "carts" }]);
    assert_eq!(alarm["Dimensions"], dimensions);
    assert_eq!(of_type(&of_part(&global(&json!({})), Part::Primary), "AWS::Route53::RecordSet").len(), 0);
}

/// A stack moves nobody: it has no record that a failover changes.
#[test]
fn no_part_has_a_writers_record() {
    for (spec, part) in
        [(global(&json!({})), Part::Primary), (global(&json!({})), Part::Dr), (example("carts"), Part::Primary)]
    {
        for (name, record) in of_type(&of_part(&spec, part), "AWS::Route53::RecordSet") {
            assert!(!record["Name"].as_str().unwrap().contains("-rw."), "{name}");
        }
    }
}

#[test]
fn the_second_has_its_own_class_and_readers() {
    let mut spec = global(&json!({ "aurora": { "instance_class": "db.r7g.xlarge", "readers": 2, "dr_readers": 1 } }));
    spec.dr.as_mut().unwrap().instance_type = Some("db.r7g.large".into());
    for (part, count, class) in [(Part::Primary, 3, "db.r7g.xlarge"), (Part::Dr, 2, "db.r7g.large")] {
        let template = of_part(&spec, part);
        let instances = of_type(&template, "AWS::RDS::DBInstance");
        assert_eq!(instances.len(), count, "{part:?}");
        assert!(instances.iter().all(|(_, instance)| instance["DBInstanceClass"] == class), "{part:?}");
    }
}
