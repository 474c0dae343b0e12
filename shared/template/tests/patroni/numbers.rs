//! The numbers of the reference lists that a template holds. Where another one is taken, it says which and why.

use crate::kit::{of_type, primary, properties, render, settings, spec, with_dr};
use serde_json::{Value, json};
use template::Part;

fn line(template: &Value, name: &str) -> String {
    let start = format!("{name}=");
    let lines = settings(template);
    let line = lines.iter().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("no line {name}")).trim_matches('"').to_owned()
}

/// Name of a setting, the reference's number, ours, why it is another.
type Row = (&'static str, &'static str, &'static str, &'static str);

#[test]
fn reference_2_patroni_and_pgbouncer() {
    let template = primary(json!({}));
    let table: [Row; 13] = [
        ("PATRONI_TTL", "30", "20", "a leader that is gone is replaced within 30 s only so; Patroni's own least"),
        ("PATRONI_LOOP_WAIT", "10", "5", "loop_wait + 2 * retry_timeout <= ttl"),
        ("PATRONI_RETRY_TIMEOUT", "10", "5", "the same"),
        ("PATRONI_MAXIMUM_LAG", "1048576", "1048576", ""),
        ("PATRONI_WATCHDOG", "false", "true", "a hung agent must not leave a second writer behind"),
        ("POOL_MODE", "transaction", "transaction", ""),
        ("POOL_MAX_CLIENT_CONN", "100", "100", ""),
        ("POOL_SIZE", "20", "20", ""),
        ("POOL_MIN", "5", "5", ""),
        ("POOL_RESERVE", "5", "5", ""),
        ("POOL_RESERVE_TIMEOUT", "3", "3", ""),
        ("POOL_LIFETIME", "3600", "3600", ""),
        ("POOL_IDLE_TIMEOUT", "600", "600", ""),
    ];
    for (name, reference, ours, why) in table {
        assert_eq!(line(&template, name), ours, "{name}");
        assert_eq!(reference == ours, why.is_empty(), "{name}: another number needs a reason");
    }
}

/// The reference's own numbers are possible, all of them.
#[test]
fn reference_2_as_it_is() {
    let template = primary(json!({
        "members": { "count": 3, "instance_type": "t3.micro", "root_volume_gib": 30 },
        "etcd": { "count": 3, "instance_type": "t3.micro", "root_volume_gib": 30 },
        "access": { "bastion": { "admin_cidrs": ["192.0.2.10/32"], "subnet_id": "subnet-0123456789abcdef9" } },
        "patroni": { "ttl": 30, "loop_wait": 10, "retry_timeout": 10, "watchdog": false },
        "balancer": { "interval_s": 10, "healthy": 2, "unhealthy": 2 },
        "synchronous": { "required": 0 },
    }));
    let hosts = of_type(&template, "AWS::EC2::Instance");
    assert_eq!(hosts.len(), 7);
    for (name, host) in hosts {
        assert_eq!(host["InstanceType"], "t3.micro", "{name}");
        let root = &host["BlockDeviceMappings"][0]["Ebs"];
        assert_eq!(root["Encrypted"], true, "{name}");
        // gp3 in place of gp2: the same price or less, and 3000 IOPS at any size.
        assert_eq!(root["VolumeType"], "gp3", "{name}");
        if name != "BastionInstance" {
            assert_eq!(root["VolumeSize"], 30, "{name}");
        }
    }
    for (name, group) in of_type(&template, "AWS::ElasticLoadBalancingV2::TargetGroup") {
        assert_eq!(group["HealthCheckIntervalSeconds"], 10, "{name}");
        assert_eq!((&group["HealthyThresholdCount"], &group["UnhealthyThresholdCount"]), (&json!(2), &json!(2)));
    }
    assert_eq!(line(&template, "PATRONI_TTL"), "30");
    assert_eq!(line(&template, "SYNCHRONOUS_REQUIRED"), "0");
}

/// 24 characters of a set in the reference; here 32, without those that a URL or a shell takes for its own.
#[test]
fn reference_2_passwords() {
    let template = primary(json!({}));
    for (name, secret) in of_type(&template, "AWS::SecretsManager::Secret") {
        assert!(secret["GenerateSecretString"]["PasswordLength"].as_u64().unwrap() >= 24, "{name}");
    }
}

#[test]
fn reference_3_backups() {
    let template = primary(json!({ "backups": {} }));
    let table: [Row; 7] = [
        ("BACKUP_RETENTION_FULL", "2", "2", ""),
        ("BACKUP_RETENTION_DIFF", "7", "7", ""),
        ("BACKUP_PROCESS_MAX", "2", "2", ""),
        ("BACKUP_COMPRESS_LEVEL", "6", "6", ""),
        ("BACKUP_ARCHIVE_TIMEOUT", "60", "60", ""),
        ("BACKUP_PATH", "/pgbackrest", "/pgbackrest", ""),
        ("BACKUP_STANZA", "pgha-dev-postgres", "shop", "the cluster's name"),
    ];
    for (name, reference, ours, why) in table {
        assert_eq!(line(&template, name), ours, "{name}");
        assert_eq!(reference == ours, why.is_empty(), "{name}: another number needs a reason");
    }
    let rules = &properties(&template, "BackupBucket")["LifecycleConfiguration"]["Rules"];
    let text = rules.to_string();
    // IA 30, old versions 90, uploads 7. Not Glacier 90 and 60, nor an end at 365 and 180: the repository would break.
    for number in [r#""TransitionInDays":30"#, r#""NoncurrentDays":90"#, r#""DaysAfterInitiation":7"#] {
        assert!(text.contains(number), "{number}");
    }
    for number in ["GLACIER", "DEEP_ARCHIVE", "ExpirationInDays", "365", "180"] {
        assert!(!text.contains(number), "{number}");
    }
    assert_eq!(properties(&template, "Logs")["RetentionInDays"], 30);
}

#[test]
fn reference_3_second_region_and_monitoring() {
    let mut fields = with_dr(json!({
        "instance_type": "t4g.micro", "data_volume": { "size_gib": 20 },
        "network": { "own_vpc": { "cidr": "10.1.0.0/16", "zones": 2, "nat": "one" } },
    }));
    fields["monitoring"] = json!({});
    fields["members"] = json!({ "count": 2 });
    fields["network"] = json!({ "own_vpc": { "cidr": "10.0.0.0/16", "zones": 2, "nat": "one" } });
    let spec = spec(fields);
    let first = render(&spec, Part::Primary);
    let networks = |template: &Value| -> Vec<String> {
        let subnets = of_type(template, "AWS::EC2::Subnet").into_iter();
        subnets
            .filter(|(name, _)| name.starts_with("Private"))
            .map(|(_, one)| one["CidrBlock"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(networks(&first), ["10.0.1.0/24", "10.0.2.0/24"]);
    assert_eq!(line(&first, "MONITORING_RETENTION_DAYS"), "15");
    assert_eq!(line(&first, "MONITORING_SCRAPE_SECONDS"), "15");
    assert_eq!(properties(&first, "MonitoringData")["Size"], 50);
    assert_eq!(properties(&first, "MonitoringInstance")["InstanceType"], "t4g.small");
    assert_eq!(of_type(&first, "AWS::EC2::Instance").len(), 2 + 3 + 1);
    let second = render(&spec, Part::Dr);
    assert_eq!(networks(&second), ["10.1.1.0/24", "10.1.2.0/24"]);
    assert_eq!(properties(&second, "DrData")["Size"], 20);
    assert_eq!(line(&second, "DR_RETENTION_FULL"), "2");
}
