//! The load balancer and what it asks of whom.

use crate::kit::{of_type, primary, properties, text, texts};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Listener port -> target port and the path that is asked for.
fn ways(template: &Value) -> BTreeMap<u64, (u64, String)> {
    let listeners = of_type(template, "AWS::ElasticLoadBalancingV2::Listener");
    let way = |listener: &Value| {
        assert_eq!(listener["Protocol"], "TCP");
        assert_eq!(text(template, &listener["LoadBalancerArn"]), "{Balancer}");
        let action = &listener["DefaultActions"][0];
        assert_eq!(action["Type"], "forward");
        let group = text(template, &action["TargetGroupArn"]);
        let group = properties(template, group.trim_matches(['{', '}']));
        let path = group["HealthCheckPath"].as_str().unwrap().to_owned();
        (listener["Port"].as_u64().unwrap(), (group["Port"].as_u64().unwrap(), path))
    };
    listeners.into_iter().map(|(_, listener)| way(listener)).collect()
}

#[test]
fn each_port_leads_to_those_whom_patroni_calls_so() {
    let template = primary(json!({ "postgresql": { "port": 5440 } }));
    let expected = BTreeMap::from([
        (5432, (5440, "/primary".to_owned())),
        (5433, (5440, "/replica".to_owned())),
        (6432, (6432, "/primary".to_owned())),
        (6433, (6432, "/replica".to_owned())),
    ]);
    assert_eq!(ways(&template), expected);
}

#[test]
fn every_member_is_a_target_and_is_asked_by_https() {
    let template = primary(json!({ "balancer": { "interval_s": 10, "healthy": 3, "unhealthy": 4 } }));
    let groups = of_type(&template, "AWS::ElasticLoadBalancingV2::TargetGroup");
    assert_eq!(groups.len(), 4);
    for (name, group) in groups {
        let targets: Vec<String> =
            group["Targets"].as_array().unwrap().iter().map(|target| text(&template, &target["Id"])).collect();
        assert_eq!(targets, ["{Member1}", "{Member2}", "{Member3}"], "{name}");
        assert_eq!(group["TargetType"], "instance");
        assert_eq!(group["HealthCheckProtocol"], "HTTPS");
        assert_eq!(group["HealthCheckPort"], "8008");
        assert_eq!(group["HealthCheckIntervalSeconds"], 10);
        assert_eq!(group["HealthyThresholdCount"], 3);
        assert_eq!(group["UnhealthyThresholdCount"], 4);
        assert_eq!(group["Matcher"], json!({ "HttpCode": "200" }));
        let attributes = group["TargetGroupAttributes"].as_array().unwrap();
        let attribute = |key: &str| {
            let found = attributes.iter().find(|attribute| attribute["Key"] == key);
            found.unwrap_or_else(|| panic!("{name} has no {key}"))["Value"].as_str().unwrap()
        };
        assert_eq!(attribute("preserve_client_ip.enabled"), "false");
        assert_eq!(attribute("deregistration_delay.timeout_seconds"), "5");
        assert_eq!(attribute("deregistration_delay.connection_termination.enabled"), "true");
        assert_eq!(attribute("target_health_state.unhealthy.connection_termination.enabled"), "true");
    }
}

/// The shortest interval that a spec may have is 5 s.
#[test]
fn an_answer_may_take_less_than_the_time_between_two() {
    let template = primary(json!({ "balancer": { "interval_s": 5 } }));
    for (_, group) in of_type(&template, "AWS::ElasticLoadBalancingV2::TargetGroup") {
        let (timeout, interval) = (&group["HealthCheckTimeoutSeconds"], &group["HealthCheckIntervalSeconds"]);
        assert!(timeout.as_u64().unwrap() < interval.as_u64().unwrap());
    }
}

/// Of two subnets in one zone, one: more are refused.
#[test]
fn it_is_internal_in_one_subnet_of_each_zone_and_crosses_zones() {
    let template = primary(json!({}));
    let balancer = properties(&template, "Balancer");
    assert_eq!(balancer["Scheme"], "internal");
    assert_eq!(balancer["Type"], "network");
    assert_eq!(texts(&template, &balancer["Subnets"]), ["subnet-a", "subnet-b"]);
    assert_eq!(texts(&template, &balancer["SecurityGroups"]), ["{BalancerSecurityGroup.GroupId}"]);
    let expected = json!([
        { "Key": "load_balancing.cross_zone.enabled", "Value": "true" },
        // A stack that could not be rolled back or deleted would be worse.
        { "Key": "deletion_protection.enabled", "Value": "false" },
    ]);
    assert_eq!(balancer["LoadBalancerAttributes"], expected);
}

#[test]
fn an_alarm_says_when_it_sees_no_writer() {
    let template = primary(json!({}));
    let alarm = properties(&template, "BalancerWriterAlarm");
    assert_eq!(alarm["Namespace"], "AWS/NetworkELB");
    assert_eq!(alarm["MetricName"], "HealthyHostCount");
    assert_eq!(alarm["ComparisonOperator"], "LessThanThreshold");
    assert_eq!(alarm["Threshold"], 1);
    let of: Vec<String> =
        alarm["Dimensions"].as_array().unwrap().iter().map(|one| text(&template, &one["Value"])).collect();
    assert_eq!(of, ["{Balancer.LoadBalancerFullName}", "{WriterTargetGroup.TargetGroupFullName}"]);
    assert_eq!(alarm["AlarmActions"], json!(["arn:aws:sns:eu-west-1:111122223333:prod-pages"]));
}

#[test]
fn the_stack_shows_how_clients_and_people_come_in() {
    let template = primary(json!({
        "access": { "bastion": { "admin_cidrs": ["192.0.2.10/32"], "subnet_id": "subnet-0123456789abcdef9" } },
    }));
    let output = |name: &str| text(&template, &template["Outputs"][name]["Value"]);
    assert_eq!(output("NlbDnsName"), "{Balancer.DNSName}");
    let ports = ["BalancerWriterPort", "BalancerReaderPort", "BalancerPooledWriterPort", "BalancerPooledReaderPort"];
    assert_eq!(ports.map(output), ["5432", "5433", "6432", "6433"]);
    assert_eq!(
        output("PatroniApiUrls"),
        "https://{Member1Interface.PrimaryPrivateIpAddress}:8008 \
         https://{Member2Interface.PrimaryPrivateIpAddress}:8008 \
         https://{Member3Interface.PrimaryPrivateIpAddress}:8008"
    );
    assert_eq!(
        output("SshViaBastion"),
        "ssh -J admin@{BastionAddress} admin@{Member1Interface.PrimaryPrivateIpAddress}"
    );
    let groups = ["MemberSecurityGroupId", "EtcdSecurityGroupId", "BalancerSecurityGroupId"];
    assert_eq!(
        groups.map(output),
        ["{MemberSecurityGroup.GroupId}", "{EtcdSecurityGroup.GroupId}", "{BalancerSecurityGroup.GroupId}"]
    );
    for name in ["Member3Instance", "Member3Address", "Etcd3Instance", "Etcd3Address", "BastionPublicAddress"] {
        output(name);
    }
}
