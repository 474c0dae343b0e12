//! The numbers of reference system 4, in the units of RDS.

use crate::kit::{example, of, properties, render, spec};
use domain::spec::check;
use serde_json::{Value, json};

#[test]
fn the_reference_is_sound_and_has_its_numbers() {
    let spec = example("reference-4");
    assert_eq!(check(&spec), []);
    let template = render(&spec);
    let instance = properties(&template, "Instance1");
    let expected = [
        ("DBInstanceClass", json!("db.r6i.xlarge")),
        ("AllocatedStorage", json!("500")),
        ("MaxAllocatedStorage", json!(800)),
        ("StorageType", json!("io1")),
        ("Iops", json!(20_000)),
        ("StorageEncrypted", json!(true)),
        ("MultiAZ", json!(true)),
        ("BackupRetentionPeriod", json!(30)),
        ("PreferredBackupWindow", json!("02:00-03:00")),
        ("EnableIAMDatabaseAuthentication", json!(true)),
        ("EnablePerformanceInsights", json!(true)),
        ("MonitoringInterval", json!(60)),
        ("EnableCloudwatchLogsExports", json!(["postgresql"])),
        ("PubliclyAccessible", json!(false)),
        ("DeletionProtection", json!(true)),
        ("DeleteAutomatedBackups", json!(false)),
    ];
    for (name, value) in expected {
        assert_eq!(instance[name], value, "{name}");
    }
    assert_eq!(properties(&template, "DataKey")["EnableKeyRotation"], true);
}

/// Of 32 GiB and 100 connections, computed: the reference's list is written in the spec only where more connections
/// would leave less to each.
#[test]
fn parameters_follow_from_memory_and_connections() {
    let expected = [
        ("shared_buffers", "1048576"),       // 8 GB
        ("effective_cache_size", "3145728"), // 24 GB
        ("work_mem", "65536"),               // 64 MB
        ("maintenance_work_mem", "2097152"), // 2 GB
        ("wal_buffers", "2048"),             // 16 MB
        ("checkpoint_completion_target", "0.9"),
        ("bgwriter_delay", "200"),
        ("bgwriter_lru_maxpages", "100"),
        ("track_io_timing", "1"),
        ("track_functions", "all"),
        ("log_min_duration_statement", "1000"),
        ("auto_explain.log_min_duration", "5000"),
        ("shared_preload_libraries", "auto_explain,pg_stat_statements,pgaudit"),
        ("rds.force_ssl", "1"),
        ("ssl_min_protocol_version", "TLSv1.3"),
    ];
    let computed = render(&spec(&json!({
        "postgresql": { "max_connections": 100 }, "rds": { "instance_class": "db.r6i.xlarge" },
    })));
    for template in [computed, render(&example("reference-4"))] {
        let parameters = &properties(&template, "InstanceParameters")["Parameters"];
        for (name, value) in expected {
            assert_eq!(parameters[name], value, "{name}");
        }
    }
    assert_eq!(
        properties(&render(&example("reference-4")), "InstanceParameters")["Parameters"]["random_page_cost"],
        "1.0"
    );
}

/// 3 hosts with 150 connections each, and 760 sessions of roles, do not fit into the reference's 100.
#[test]
fn connections_that_do_not_fit_are_refused() {
    let mut spec = example("reference-4");
    spec.postgresql.max_connections = 100;
    let found: Vec<String> = check(&spec).into_iter().map(|finding| finding.problem.path).collect();
    assert_eq!(found, ["/managed/roles", "/rds/pooler/default_pool_size"]);
}

#[test]
fn replicas_have_no_backups_and_inherit_what_rds_gives_them() {
    let template = render(&of(json!({ "replicas": 2 })));
    for name in ["Instance2", "Instance3"] {
        let replica = properties(&template, name);
        assert_eq!(replica["SourceDBInstanceIdentifier"], "prod-leads-1");
        assert_eq!(replica["MultiAZ"], false);
        let none = [
            "BackupRetentionPeriod",
            "PreferredBackupWindow",
            "DBName",
            "MasterUsername",
            "MasterUserPassword",
            "DBSubnetGroupName",
            "KmsKeyId",
            "StorageEncrypted",
            "SourceRegion",
        ];
        for property in none {
            assert_eq!(replica[property], Value::Null, "{name} {property}");
        }
    }
    let zones =
        ["Instance1", "Instance2", "Instance3"].map(|name| properties(&template, name)["AvailabilityZone"].clone());
    assert_eq!(zones, [Value::Null, json!("eu-west-1b"), json!("eu-west-1c")], "a standby moves, a replica does not");
}

#[test]
fn storage_that_grows_by_itself_is_not_told_to_replicas() {
    let storage =
        |max: Value| json!({ "storage": { "size_gib": 400, "type": "gp3", "iops": null, "max_size_gib": max } });
    let size = |rds: Value, name: &str| properties(&render(&of(rds)), name)["AllocatedStorage"].clone();
    assert_eq!(size(storage(json!(800)), "Instance1"), "400");
    assert_eq!(size(storage(json!(800)), "Instance2"), Value::Null);
    assert_eq!(size(storage(Value::Null), "Instance2"), "400");
    let template = render(&of(storage(Value::Null)));
    assert_eq!(properties(&template, "Instance1")["StorageType"], "gp3");
    assert_eq!(properties(&template, "Instance1")["Iops"], Value::Null);
}
