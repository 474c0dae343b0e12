//! The numbers of the reference's list that a template holds.

use crate::kit::{example, of_part, of_type, properties, render, spec};
use serde_json::{Value, json};
use template::Part;

#[test]
fn reference_1_as_it_is() {
    let spec = example("reference-1");
    let template = render(&spec);
    let cluster = properties(&template, "DatabaseCluster");
    let table = [
        ("Engine", json!("aurora-postgresql")),
        ("EngineVersion", json!("16")),
        ("Port", json!(5432)),
        ("BackupRetentionPeriod", json!(30)),
        ("StorageEncrypted", json!(true)),
        ("CopyTagsToSnapshot", json!(true)),
        ("DeletionProtection", json!(true)),
        ("EnableIAMDatabaseAuthentication", json!(true)),
        ("EnableCloudwatchLogsExports", json!(["postgresql"])),
        ("KmsKeyId", json!({ "Fn::GetAtt": ["DataKey", "Arn"] })),
    ];
    for (property, expected) in table {
        assert_eq!(cluster[property], expected, "{property}");
    }
    assert_eq!(properties(&template, "DataKey")["EnableKeyRotation"], true);
    let instances = of_type(&template, "AWS::RDS::DBInstance");
    assert_eq!(instances.len(), 2, "a writer and a reader");
    let mut zones = Vec::new();
    for (name, instance) in instances {
        let table = [
            ("DBInstanceClass", json!("db.r6g.xlarge")),
            ("PubliclyAccessible", json!(false)),
            ("MonitoringInterval", json!(60)),
            ("EnablePerformanceInsights", json!(true)),
            ("PerformanceInsightsKMSKeyId", json!({ "Fn::GetAtt": ["DataKey", "Arn"] })),
        ];
        for (property, expected) in table {
            assert_eq!(instance[property], expected, "{name} {property}");
        }
        zones.push(&instance["AvailabilityZone"]);
    }
    assert_ne!(zones[0], zones[1], "both are lost with one zone");
    let proxy = properties(&template, "Proxy");
    assert_eq!((&proxy["EngineFamily"], &proxy["RequireTLS"]), (&json!("POSTGRESQL"), &json!(true)));
    assert_eq!(proxy["Auth"][0]["AuthScheme"], "SECRETS");
}

/// What goes with a cluster that is deleted: its data never, and the key of its data never.
#[test]
fn what_a_deletion_leaves() {
    let template = render(&spec(&json!({})));
    let policy = |name: &str, which: &str| template["Resources"][name][which].as_str().map(str::to_owned);
    let kept = [
        ("DatabaseCluster", "DeletionPolicy", Some("Snapshot")),
        ("DatabaseCluster", "UpdateReplacePolicy", Some("Snapshot")),
        ("DataKey", "DeletionPolicy", Some("RetainExceptOnCreate")),
        ("DataKey", "UpdateReplacePolicy", Some("Retain")),
        // Of a cluster: its storage is the cluster's.
        ("Instance1", "DeletionPolicy", None),
    ];
    for (name, which, expected) in kept {
        assert_eq!(policy(name, which).as_deref(), expected, "{name} {which}");
    }
}

/// Members are alike: none is told that it writes, and any two can follow each other.
#[test]
fn members_are_symmetric() {
    let template = render(&spec(&json!({ "aurora": { "readers": 4 } })));
    let mut tiers = Vec::new();
    let mut without_names: Vec<Value> = Vec::new();
    for place in 1..=5 {
        let mut instance = properties(&template, &format!("Instance{place}")).clone();
        assert_eq!(instance["DBInstanceIdentifier"], format!("prod-carts-{place}"));
        tiers.push(instance["PromotionTier"].as_u64().unwrap());
        for property in ["DBInstanceIdentifier", "PromotionTier", "AvailabilityZone", "Tags"] {
            instance.as_object_mut().unwrap().remove(property);
        }
        without_names.push(instance);
    }
    assert_eq!(tiers, [0, 0, 1, 2, 2]);
    without_names.dedup();
    assert_eq!(without_names.len(), 1, "{without_names:?}");
}

#[test]
fn choices_of_the_spec() {
    let fields = json!({
        "deletion_protection": false,
        "aurora": { "instance_class": "db.r7g.2xlarge", "readers": 0, "io_optimized": true },
        "managed": {
            "minor_version": 8,
            "backup_retention_days": 7,
            "backup_window": "03:00-04:00",
            "maintenance_window": "mon:05:00-mon:06:00",
            "iam_authentication": false,
            "own_key": false,
            "enhanced_monitoring_s": 0,
            "performance_insights_days": 0,
            "log_exports": false,
            "auto_minor_version_upgrade": false,
        },
    });
    let template = render(&spec(&fields));
    let cluster = properties(&template, "DatabaseCluster");
    let table = [
        ("EngineVersion", json!("15.8")),
        ("StorageType", json!("aurora-iopt1")),
        ("BackupRetentionPeriod", json!(7)),
        ("PreferredBackupWindow", json!("03:00-04:00")),
        ("PreferredMaintenanceWindow", json!("mon:05:00-mon:06:00")),
        ("EnableIAMDatabaseAuthentication", json!(false)),
        ("DeletionProtection", json!(false)),
        ("StorageEncrypted", json!(true)),
        ("KmsKeyId", Value::Null),
        ("EnableCloudwatchLogsExports", Value::Null),
    ];
    for (property, expected) in table {
        assert_eq!(cluster[property], expected, "{property}");
    }
    let instance = properties(&template, "Instance1");
    assert_eq!((&instance["DBInstanceClass"], &instance["MonitoringInterval"]), (&json!("db.r7g.2xlarge"), &json!(0)));
    assert_eq!((&instance["EnablePerformanceInsights"], &instance["MonitoringRoleArn"]), (&json!(false), &Value::Null));
    assert_eq!(instance["AutoMinorVersionUpgrade"], false);
    for kind in ["AWS::KMS::Key", "AWS::Logs::LogGroup", "AWS::Logs::MetricFilter", "AWS::IAM::Role"] {
        assert_eq!(of_type(&template, kind).len(), 0, "{kind}");
    }
}

/// A key of the owner's wins over one of the stack's own.
#[test]
fn the_owners_key() {
    let key = "arn:aws:kms:eu-west-1:111122223333:key/mrk-1";
    let template = render(&spec(&json!({ "encryption": { "kms_key_arn": key } })));
    assert_eq!(of_type(&template, "AWS::KMS::Key").len(), 0);
    let cluster = properties(&template, "DatabaseCluster");
    assert_eq!((&cluster["KmsKeyId"], &cluster["MasterUserSecret"]["KmsKeyId"]), (&json!(key), &json!(key)));
    // Its policy may not know CloudWatch Logs.
    assert_eq!(properties(&template, "DatabaseLogs")["KmsKeyId"], Value::Null);
}

/// Who renders anew needs nothing but the template.
#[test]
fn the_template_holds_its_spec_and_roles() {
    let spec = example("reference-1");
    for part in [Part::Primary, Part::Dr] {
        let noted = &of_part(&spec, part)["Metadata"]["Understudy"];
        assert_eq!(serde_json::from_value::<domain::spec::Spec>(noted["Spec"].clone()).unwrap(), spec);
        let roles: domain::managed::Roles = serde_json::from_value(noted["Roles"].clone()).unwrap();
        assert_eq!(roles, domain::managed::Roles::default());
    }
}
