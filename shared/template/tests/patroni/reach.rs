//! Who may reach whom: every rule there is, so that one more is seen here.

use crate::kit::{primary, reach, render, spec, whole, with_dr};
use serde_json::json;
use std::collections::BTreeSet;
use template::Part;

/// Rules that are expected, one a line.
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_plain_cluster_is_open_to_clients_functions_and_its_own_hosts() {
    let expected = lines(
        "Balancer in 5432-5433 10.0.0.0/16
        Balancer in 6432-6433 10.0.0.0/16
        Balancer out 5432 10.0.0.0/16
        Balancer out 6432 10.0.0.0/16
        Balancer out 8008 10.0.0.0/16
        Etcd in 2379 Etcd
        Etcd in 2379 Member
        Etcd in 2380 Etcd
        Etcd out 2379 Etcd
        Etcd out 2380 Etcd
        Etcd out 443 0.0.0.0/0
        Etcd out 80 0.0.0.0/0
        Member in 5432 10.0.0.0/16
        Member in 5432 Balancer
        Member in 5432 Member
        Member in 5432 sg-functions
        Member in 6432 Balancer
        Member in 8008 Balancer
        Member in 8008 Member
        Member in 8008 sg-functions
        Member out 2379 Etcd
        Member out 443 0.0.0.0/0
        Member out 5432 Member
        Member out 80 0.0.0.0/0
        Member out 8008 Member",
    );
    assert_eq!(reach(&primary(json!({}))), expected);
}

#[test]
fn the_options_add_these_rules_and_no_other() {
    let plain: BTreeSet<String> = reach(&primary(json!({}))).into_iter().collect();
    let whole: BTreeSet<String> = reach(&render(&whole(), Part::Primary)).into_iter().collect();
    assert!(plain.is_subset(&whole));
    let added: Vec<String> = whole.difference(&plain).cloned().collect();
    let expected = lines(
        "Balancer in 5432 10.1.0.0/16
        Bastion in 22 192.0.2.10/32
        Bastion out 22 Etcd
        Bastion out 22 Member
        Bastion out 22 Monitoring
        Bastion out 3000 Monitoring
        Bastion out 443 0.0.0.0/0
        Bastion out 5432 Member
        Bastion out 6432 Member
        Bastion out 80 0.0.0.0/0
        Bastion out 8008 Member
        Bastion out 9090 Monitoring
        Bastion out 9093 Monitoring
        Etcd in 22 Bastion
        Etcd in 2379 Monitoring
        Etcd in 9100 Monitoring
        Member in 22 Bastion
        Member in 5432 10.1.0.0/16
        Member in 5432 Bastion
        Member in 6432 Bastion
        Member in 8008 Bastion
        Member in 8008 Monitoring
        Member in 9100 Monitoring
        Member in 9127 Monitoring
        Member in 9187 Monitoring
        Monitoring in 22 Bastion
        Monitoring in 3000 Bastion
        Monitoring in 9090 Bastion
        Monitoring in 9093 Bastion
        Monitoring out 2379 Etcd
        Monitoring out 443 0.0.0.0/0
        Monitoring out 80 0.0.0.0/0
        Monitoring out 8008 Member
        Monitoring out 9100 Etcd
        Monitoring out 9100 Member
        Monitoring out 9127 Member
        Monitoring out 9187 Member",
    );
    assert_eq!(added, expected);
}

#[test]
fn networks_of_people_and_of_monitoring_reach_what_they_are_for() {
    let plain: BTreeSet<String> = reach(&primary(json!({ "monitoring": {} }))).into_iter().collect();
    let access = json!({ "management_cidrs": ["10.9.0.0/24"], "monitoring_cidrs": ["10.8.0.0/24"] });
    let with: BTreeSet<String> = reach(&primary(json!({ "monitoring": {}, "access": access }))).into_iter().collect();
    let added: Vec<String> = with.difference(&plain).cloned().collect();
    let expected = lines(
        "Etcd in 22 10.9.0.0/24
        Etcd in 9100 10.8.0.0/24
        Member in 22 10.9.0.0/24
        Member in 9100 10.8.0.0/24
        Member in 9127 10.8.0.0/24
        Member in 9187 10.8.0.0/24
        Monitoring in 22 10.9.0.0/24
        Monitoring in 3000 10.9.0.0/24
        Monitoring in 9090 10.9.0.0/24
        Monitoring in 9093 10.9.0.0/24",
    );
    assert_eq!(added, expected);
}

#[test]
fn the_standby_is_open_to_both_networks_and_to_nobody_who_logs_in() {
    let mut fields = with_dr(json!({}));
    fields["access"] = json!({ "management_cidrs": ["10.9.0.0/24"], "monitoring_cidrs": ["10.8.0.0/24"] });
    let template = render(&spec(fields), Part::Dr);
    let expected = lines(
        "Dr in 5432 10.0.0.0/16
        Dr in 5432 10.1.0.0/16
        Dr in 5432 sg-functions
        Dr in 6432 10.1.0.0/16
        Dr in 8008 10.1.0.0/16
        Dr in 9100 10.8.0.0/24
        Dr in 9187 10.8.0.0/24
        Dr out 443 0.0.0.0/0
        Dr out 5432 10.0.0.0/16
        Dr out 80 0.0.0.0/0",
    );
    assert_eq!(reach(&template), expected);
}

/// The port of PostgreSQL is the spec's; the load balancer's stay what clients know.
#[test]
fn another_port_is_another_port_everywhere() {
    let template = primary(json!({ "postgresql": { "port": 5555 } }));
    let rules = reach(&template);
    assert!(rules.contains(&"Member in 5555 Balancer".to_owned()));
    assert!(rules.contains(&"Balancer in 5432-5433 10.0.0.0/16".to_owned()));
    assert!(!rules.iter().any(|rule| rule.starts_with("Member") && rule.contains(" 5432 ")), "{rules:?}");
}

/// A group takes 60 rules a way.
///
/// Source: VPC user guide, "Amazon VPC quotas".
#[test]
fn the_largest_lists_of_networks_fit_into_the_groups() {
    let rules = reach(&render(&crate::limits::largest(), Part::Primary));
    for group in ["Member", "Etcd", "Balancer", "Monitoring", "Bastion"] {
        for way in ["in", "out"] {
            let count = rules.iter().filter(|rule| rule.starts_with(&format!("{group} {way} "))).count();
            assert!(count <= 60, "{group} has {count} rules {way}");
        }
    }
}
