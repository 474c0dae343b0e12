//! What the hosts of this topology are told, line by line.

use crate::kit::{of_type, primary, properties, settings};
use serde_json::json;

fn told(fields: serde_json::Value, expected: &[&str]) {
    let lines = settings(&primary(fields));
    for line in expected {
        assert!(lines.iter().any(|told| told == line), "no line {line} in\n{}", lines.join("\n"));
    }
}

#[test]
fn the_defaults() {
    let address = |host: &str| format!("{{{host}Interface.PrimaryPrivateIpAddress}}");
    let members = format!(
        "MEMBERS=\"shop_1={} shop_2={} shop_3={}\"",
        address("Member1"),
        address("Member2"),
        address("Member3")
    );
    let etcd = format!(
        "ETCD=\"shop-etcd-1={} shop-etcd-2={} shop-etcd-3={}\"",
        address("Etcd1"),
        address("Etcd2"),
        address("Etcd3")
    );
    told(
        json!({}),
        &[
            "TOPOLOGY=ec2-patroni",
            &members,
            &etcd,
            "SUPERUSER_SECRET={SuperuserSecret}",
            "POOLER_SECRET={PoolerSecret}",
            "PATRONI_SECRET={PatroniSecret}",
            "SCOPE=shop",
            "SYNCHRONOUS_REQUIRED=1",
            "PATRONI_TTL=20",
            "PATRONI_LOOP_WAIT=5",
            "PATRONI_RETRY_TIMEOUT=5",
            "PATRONI_MAXIMUM_LAG=1048576",
            "PATRONI_STRICT=false",
            "PATRONI_WATCHDOG=true",
            "POOL_MODE=transaction",
            "POOL_MAX_CLIENT_CONN=100",
            "POOL_SIZE=20",
            "POOL_MIN=5",
            "POOL_RESERVE=5",
            "POOL_RESERVE_TIMEOUT=3",
            "POOL_LIFETIME=3600",
            "POOL_IDLE_TIMEOUT=600",
            "CLUSTER_CIDRS=\"10.0.0.0/16\"",
        ],
    );
}

#[test]
fn what_the_spec_says() {
    told(
        json!({
            "patroni": {
                "ttl": 45, "loop_wait": 11, "retry_timeout": 12, "maximum_lag_on_failover": 7,
                "synchronous_mode_strict": true, "watchdog": false,
            },
            "pooler": {
                "pool_mode": "session", "max_client_conn": 500, "default_pool_size": 21, "min_pool_size": 6,
                "reserve_pool_size": 7, "reserve_pool_timeout": 4, "server_lifetime": 1800, "server_idle_timeout": 60,
            },
            "network": { "own_vpc": { "cidr": "10.7.0.0/16" } },
        }),
        &[
            "PATRONI_TTL=45",
            "PATRONI_LOOP_WAIT=11",
            "PATRONI_RETRY_TIMEOUT=12",
            "PATRONI_MAXIMUM_LAG=7",
            "PATRONI_STRICT=true",
            "PATRONI_WATCHDOG=false",
            "POOL_MODE=session",
            "POOL_MAX_CLIENT_CONN=500",
            "POOL_SIZE=21",
            "POOL_MIN=6",
            "POOL_RESERVE=7",
            "POOL_RESERVE_TIMEOUT=4",
            "POOL_LIFETIME=1800",
            "POOL_IDLE_TIMEOUT=60",
            "CLUSTER_CIDRS=\"10.7.0.0/16\"",
        ],
    );
}

/// A shell reads them: a line is NAME=value, a value of several words is in quotation marks, and nothing in it is the
/// shell's own.
#[test]
fn every_line_is_one_that_a_shell_reads_as_it_is_meant() {
    let template = crate::kit::render(&crate::limits::largest(), template::Part::Primary);
    let lines = settings(&template);
    assert!(lines.len() > 50);
    let mut names = std::collections::BTreeSet::new();
    for line in lines {
        let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("{line}"));
        assert!(name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_'), "{line}");
        let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        assert!(bare.is_some() || !value.contains(' '), "{line}");
        assert!(!bare.unwrap_or(value).contains(['"', '$', '`', '\\', '\'']), "{line}");
        assert!(names.insert(name.to_owned()), "{name} twice");
    }
}

#[test]
fn hosts_are_spread_over_the_zones() {
    let template = primary(json!({ "etcd": { "count": 5 }, "members": { "count": 4 } }));
    let subnet =
        |host: &str| properties(&template, &format!("{host}Interface"))["SubnetId"].as_str().unwrap().to_owned();
    assert_eq!(
        ["Member1", "Member2", "Member3", "Member4"].map(subnet),
        ["subnet-a", "subnet-b", "subnet-c", "subnet-a"]
    );
    assert_eq!(["Etcd1", "Etcd2", "Etcd3", "Etcd4", "Etcd5"].map(subnet)[..3], ["subnet-a", "subnet-b", "subnet-c"]);
    assert_eq!(of_type(&template, "AWS::EC2::Instance").len(), 9);
}

/// What etcd knows outlives an instance: its host comes back with the address and the data it had.
#[test]
fn etcd_keeps_its_data_on_a_volume_of_its_own() {
    let template = primary(json!({ "etcd": { "root_volume_gib": 40 } }));
    for number in 1..=3 {
        let volume = &template["Resources"][format!("Etcd{number}Data")];
        assert_eq!(volume["DeletionPolicy"], "Snapshot");
        assert_eq!(volume["UpdateReplacePolicy"], "Snapshot");
        assert_eq!(volume["Properties"]["Encrypted"], true);
        let instance = properties(&template, &format!("Etcd{number}Instance"));
        assert_eq!(instance["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"], 40);
        let metadata = json!({ "HttpTokens": "required", "HttpPutResponseHopLimit": 1 });
        assert_eq!(instance["MetadataOptions"], metadata);
        assert!(template["Resources"].get(format!("Etcd{number}StatusAlarm")).is_some());
    }
}
