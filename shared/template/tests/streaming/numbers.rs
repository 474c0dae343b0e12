//! The numbers of the reference list that a template holds. What hosts do with the rest is in `infra/nodes`.

use crate::kit::{of_type, parameter, properties, reach, render, spec};
use domain::spec::Spec;
use serde_json::{Value, json};

/// "type size IOPS throughput".
fn volume(template: &Value, name: &str) -> String {
    let volume = properties(template, name);
    let throughput = volume.get("Throughput").map(|mibps| format!(" {mibps} MiB/s")).unwrap_or_default();
    format!("{} {} GiB {} IOPS{throughput}", volume["VolumeType"].as_str().unwrap(), volume["Size"], volume["Iops"])
}

/// The example whose name it has: the reference's own defaults.
#[test]
fn reference_0_as_it_is() {
    let spec: Spec = serde_json::from_str(include_str!("../../../../infra/clusters/reference-0.json")).unwrap();
    let template = render(&spec);
    let hosts = of_type(&template, "AWS::EC2::Instance");
    assert_eq!(hosts.len(), 2, "a primary and a replica");
    for (name, host) in hosts {
        assert_eq!(host["InstanceType"], "r5.large", "{name}");
        let root = &host["BlockDeviceMappings"][0];
        // Ubuntu's name of it.
        assert_eq!(root["DeviceName"], "/dev/sda1", "{name}");
        assert_eq!((&root["Ebs"]["VolumeSize"], &root["Ebs"]["VolumeType"]), (&json!(20), &json!("gp3")), "{name}");
    }
    for member in ["Member1", "Member2"] {
        assert_eq!(volume(&template, &format!("{member}Data")), "gp3 100 GiB 3000 IOPS 125 MiB/s");
        assert_eq!(volume(&template, &format!("{member}Wal")), "gp3 20 GiB 3000 IOPS 125 MiB/s");
        assert_eq!(volume(&template, &format!("{member}Backup")), "gp3 50 GiB 3000 IOPS 125 MiB/s");
    }
    // Two Availability Zones.
    let zones: Vec<&Value> =
        ["Member1Data", "Member2Data"].map(|name| &properties(&template, name)["AvailabilityZone"]).to_vec();
    assert_eq!(zones, ["eu-west-1a", "eu-west-1b"]);
    let rules = reach(&template);
    for rule in ["in 5432 10.0.0.0/16", "in 22 10.0.0.0/16", "in 9187 10.0.0.0/16", "in 5432 sg-member"] {
        assert!(rules.contains(&format!("member {rule}")), "{rule}: {rules:?}");
    }
    let settings = parameter(&template, "Settings");
    // Not MD5, which the reference has: it can be chosen.
    for line in ["POSTGRESQL_VERSION=15", "PORT=5432", "PASSWORD_ENCRYPTION=scram-sha-256", "BACKUP_DUMP_DAYS=7"] {
        assert!(settings.lines().any(|seen| seen == line), "{line}");
    }
}

/// The reference's large example, and its choices.
#[test]
fn reference_0_at_its_largest() {
    let template = render(&spec(json!({
        "postgresql": { "password_encryption": "md5" },
        "members": {
            "count": 2,
            "instance_type": "r5.xlarge",
            "data_volume": { "size_gib": 500, "type": "gp3", "iops": 10_000, "throughput_mibps": 500 },
            "wal_volume": { "size_gib": 100, "type": "gp3", "iops": 5_000, "throughput_mibps": 250 },
            "backup_volume": { "size_gib": 200 },
        },
        "backups": { "dump_days": 14 },
    })));
    assert_eq!(volume(&template, "Member1Data"), "gp3 500 GiB 10000 IOPS 500 MiB/s");
    assert_eq!(volume(&template, "Member2Wal"), "gp3 100 GiB 5000 IOPS 250 MiB/s");
    assert_eq!(volume(&template, "Member1Backup"), "gp3 200 GiB 3000 IOPS 125 MiB/s");
    let settings = parameter(&template, "Settings");
    for line in ["PASSWORD_ENCRYPTION=md5", "BACKUP_DUMP_DAYS=14"] {
        assert!(settings.lines().any(|seen| seen == line), "{line}");
    }
}

/// What the reference's stack shows, by the names that it has here.
#[test]
fn reference_0_outputs() {
    let template = render(&spec(json!({ "members": { "count": 2 } })));
    let table = [
        ("master_endpoint", "WriterRecord"),
        ("replica_endpoint", "ReaderRecord"),
        ("database_port", "Port"),
        ("database_name", "Database"),
        ("master_instance_id", "Member1Instance"),
        ("replica_instance_id", "Member2Instance"),
        ("master_private_ip", "Member1Address"),
        ("replica_private_ip", "Member2Address"),
        ("high_availability_enabled", "HighAvailability"),
        ("replication_status", "Replication"),
        ("connection string", "ConnectionString"),
    ];
    for (reference, ours) in table {
        assert!(!template["Outputs"][ours]["Value"].is_null(), "{reference}");
    }
}
