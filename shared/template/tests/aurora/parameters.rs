//! PostgreSQL's parameters in Aurora's two groups.

use crate::kit::{properties, render, spec};
use serde_json::{Value, json};

fn cluster(template: &Value) -> Value {
    properties(template, "ClusterParameters")["Parameters"].clone()
}

fn instance(template: &Value) -> Value {
    properties(template, "InstanceParameters")["Parameters"].clone()
}

#[test]
fn the_groups_have_what_the_reference_lists() {
    let template = render(&spec(&json!({
        "postgresql": { "version": 16, "max_connections": 500 },
        "aurora": { "instance_class": "db.r6g.xlarge" },
    })));
    for group in ["ClusterParameters", "InstanceParameters"] {
        assert_eq!(properties(&template, group)["Family"], "aurora-postgresql16");
    }
    let table = [
        ("rds.force_ssl", "1"),
        ("ssl_min_protocol_version", "TLSv1.2"),
        ("password_encryption", "scram-sha-256"),
        ("shared_preload_libraries", "auto_explain,pg_stat_statements,pgaudit"),
        ("log_min_duration_statement", "1000"),
        ("autovacuum", "1"),
        ("track_functions", "all"),
    ];
    for (name, expected) in table {
        assert_eq!(cluster(&template)[name], expected, "{name}");
    }
    // 32 GiB: a quarter over 500 connections is 16 MiB, a sixteenth is 2 GiB.
    let table = [
        ("max_connections", "500"),
        ("work_mem", "16384"),
        ("maintenance_work_mem", "2097152"),
        ("shared_buffers", "SUM({DBInstanceClassMemory/12038},-50003)"),
    ];
    for (name, expected) in table {
        assert_eq!(instance(&template)[name], expected, "{name}");
    }
}

/// Aurora's storage writes no pages: what tunes that, AWS refuses.
#[test]
fn nothing_is_set_that_aurora_refuses() {
    let template = render(&spec(&json!({})));
    for group in [cluster(&template), instance(&template)] {
        for name in group.as_object().unwrap().keys() {
            let refused = ["bgwriter_", "checkpoint_", "wal_buffers", "log_checkpoints", "max_wal_size"];
            assert!(!refused.iter().any(|refused| name.starts_with(refused)), "{name}");
        }
    }
}

#[test]
fn the_specs_own_win_but_for_what_is_not_to_choose() {
    let template = render(&spec(&json!({ "postgresql": { "max_connections": 300, "parameters": {
        "work_mem": "32MB",
        "log_min_duration_statement": "5s",
        "statement_timeout": "1min",
        "track_io_timing": "off",
        "shared_preload_libraries": "pg_cron, pgaudit",
        "rds.force_ssl": "0",
    } } })));
    let (cluster, instance) = (cluster(&template), instance(&template));
    assert_eq!((&instance["work_mem"], &cluster["work_mem"]), (&json!("32768"), &Value::Null));
    assert_eq!(cluster["log_min_duration_statement"], "5000");
    assert_eq!(cluster["statement_timeout"], "60000");
    assert_eq!(cluster["track_io_timing"], "0");
    assert_eq!(cluster["shared_preload_libraries"], "auto_explain,pg_cron,pg_stat_statements,pgaudit");
    assert_eq!(cluster["rds.force_ssl"], "1");
    assert_eq!(instance["max_connections"], "300");
}
