//! What hosts are told: by their user data once, by the settings whenever they look.

use crate::kit::{parameter, render, spec, user_data};
use domain::spec::Spec;
use serde_json::json;
use std::process::Command;

/// Variables that a shell has after it has read this script.
fn variables(script: &str, root: &std::path::Path) -> Vec<String> {
    let mut shell = Command::new("bash");
    shell.env_clear().env("PATH", std::env::var("PATH").unwrap()).env("ROOT", root);
    let output = shell.args(["-c", &format!("{script}\nset -o posix; unset ROOT; set")]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn assert_has(seen: &[String], expected: &[String]) {
    for line in expected {
        assert!(seen.contains(line), "no line {line} in\n{}", seen.join("\n"));
    }
}

#[test]
fn user_data_says_who_the_host_is_and_runs_the_bootstrap() {
    let template = render(&spec(json!({ "members": { "wal_volume": {} } })));
    let script = user_data(&template, "Member2");
    assert!(script.starts_with("#!/bin/bash\n"));
    let bootstrap = include_str!("../../../../infra/nodes/bootstrap.sh");
    let last = bootstrap.trim_end().lines().last().unwrap();
    assert!(script.trim_end().ends_with(last), "the last line of bootstrap.sh is not the last of the user data");

    let checked = Command::new("bash").args(["-nc", &script]).output().unwrap();
    assert!(checked.status.success() && checked.stderr.is_empty(), "{}", String::from_utf8_lossy(&checked.stderr));

    let (writing, _) = script.split_once("\nEOF_\n").unwrap();
    let root = std::env::temp_dir().join(format!("understudy-user-data-{}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    let seen = variables(&format!("{writing}\nEOF_\n. \"$ROOT/etc/understudy/identity.env\""), &root);
    std::fs::remove_dir_all(&root).unwrap();
    let expected = [
        "ADDRESS=10.100.100.102",
        "BACKUP_VOLUME=",
        "BUCKET=prod-understudy",
        "CLUSTER=orders",
        "DATA_VOLUME=vol-member2data",
        "FLEET=prod",
        "LOGICAL_ID=Member2",
        "MEMBER=orders_2",
        "REGION=eu-west-1",
        "ROLE=member",
        "SETTINGS=/understudy/prod/clusters/orders/settings",
        "STACK=understudy-prod-orders",
        "STATE_TABLE=prod-state",
        "WAL_VOLUME=vol-member2wal",
    ];
    assert_has(&seen, &expected.map(str::to_owned));
}

#[test]
fn settings_say_everything_that_hosts_share() {
    let template = render(&spec(json!({
        "members": { "never_promote": [3] },
        "postgresql": { "max_connections": 300, "parameters": { "log_line_prefix": "'%m' $ `\\ \"x\"" } },
        "client_cidrs": ["10.1.0.0/16", "10.2.0.0/16"],
        "access": {
            "bastion": { "admin_cidrs": ["192.0.2.1/32"], "subnet_id": "subnet-0123456789abcdef9" },
            "management_cidrs": ["10.0.9.0/24"],
            "monitoring_cidrs": ["10.0.10.0/24"],
        },
    })));
    let seen = variables(&parameter(&template, "Settings"), std::path::Path::new("/"));
    let secret = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:understudy/prod/orders";
    let bundle = template::bundle();
    let expected = [
        "ADMIN_CIDRS=192.0.2.1/32".to_owned(),
        "APPLICATION_ROLE=app".to_owned(),
        format!("APPLICATION_SECRET={secret}/application-AbCdEf"),
        "BASTION=10.100.100.10".to_owned(),
        format!("BUNDLE={}", bundle.key),
        format!("BUNDLE_SHA256={}", bundle.sha256),
        "CLIENT_CIDRS='10.1.0.0/16 10.2.0.0/16'".to_owned(),
        "DATABASE=app".to_owned(),
        "FLEET_CIDRS=10.0.0.0/16".to_owned(),
        "LOG_GROUP=/understudy/prod/orders".to_owned(),
        "MANAGEMENT_CIDRS=10.0.9.0/24".to_owned(),
        "MAX_CONNECTIONS=300".to_owned(),
        "MEMBERS='orders_1=10.100.100.101 orders_2=10.100.100.102 orders_3=10.100.100.103'".to_owned(),
        "MONITORING_CIDRS=10.0.10.0/24".to_owned(),
        "NEVER_PROMOTE=orders_3".to_owned(),
        format!("OPERATOR_SECRET={secret}/operator-AbCdEf"),
        "PAGES_TOPIC=arn:aws:sns:eu-west-1:111122223333:prod-pages".to_owned(),
        "PASSWORD_ENCRYPTION=scram-sha-256".to_owned(),
        "PORT=5432".to_owned(),
        "POSTGRESQL_VERSION=15".to_owned(),
        "READER_RECORD=orders-ro.db.internal".to_owned(),
        format!("REPLICATION_SECRET={secret}/replication-AbCdEf"),
        "SYNCHRONOUS_REQUIRED=1".to_owned(),
        format!("TLS_SECRET={secret}/tls-AbCdEf"),
        "TOPOLOGY=ec2-streaming".to_owned(),
        "TTL=20".to_owned(),
        "WRITER_RECORD=orders-rw.db.internal".to_owned(),
    ];
    assert_has(&seen, &expected);

    let read = Command::new("bash")
        .args(["-c", &format!("{}\nbase64 -d <<<\"$PARAMETERS\"", parameter(&template, "Settings"))])
        .output()
        .unwrap();
    let read: serde_json::Value = serde_json::from_slice(&read.stdout).unwrap();
    assert_eq!(read, json!({ "log_line_prefix": "'%m' $ `\\ \"x\"" }));
}

/// Every value but lists is one word, so that whoever reads the file line by line reads the same as a shell.
#[test]
fn settings_hold_nothing_that_a_shell_takes_for_its_own() {
    let mut spec = Spec::new("orders");
    spec.log_days = 0;
    for text in [parameter(&render(&spec), "Settings"), parameter(&render(&crate::kit::largest()), "Settings")] {
        for line in text.lines() {
            let (name, value) = line.split_once('=').unwrap();
            assert!(name.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_'), "{line}");
            let words = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            let harmless = |text: &str| !text.contains(['"', '\'', '$', '`', '\\', ';', '&', '|', '<', '>']);
            assert!(harmless(words.unwrap_or(value)), "{line}");
            assert!(words.is_some() || !value.contains(' '), "{line}");
        }
    }
}
