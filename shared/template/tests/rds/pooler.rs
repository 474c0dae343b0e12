//! PgBouncer on hosts of its own.

use crate::kit::{example, of, of_type, properties, render, resolve, spec, today, with_dr};
use domain::managed::Roles;
use serde_json::{Value, json};
use template::Part;

fn settings(template: &Value) -> String {
    resolve(template, &properties(template, "Settings")["Value"])
}

#[test]
fn the_references_settings() {
    let text = settings(&render(&example("reference-4")));
    let expected = [
        "TOPOLOGY=rds-postgres",
        "WRITER_RECORD=reference-4-rw.insurance-lead-gen.internal",
        "DATABASE=insurance_lead_gen",
        "POOL_MODE=session",
        "POOL_MAX_CLIENT_CONN=10000",
        "POOL_SIZE=100",
        "POOL_MIN=25",
        "POOL_RESERVE=50",
        "POOL_RESERVE_TIMEOUT=3",
        "POOL_QUERY_TIMEOUT=30",
        "POOL_CLIENT_IDLE_TIMEOUT=900",
        "POOL_IDLE_TIMEOUT=900",
        "POOL_LIFETIME=3600",
        "APPLICATION_SECRET=ApplicationSecret",
        "CLUSTER_CIDRS=\"10.0.0.0/16\"",
    ];
    for line in expected {
        assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
    }
}

#[test]
fn three_hosts_in_three_zones_behind_an_internal_load_balancer() {
    let template = render(&of(json!({ "pooler": {} })));
    let subnets =
        [1, 2, 3].map(|number| properties(&template, &format!("Pooler{number}Interface"))["SubnetId"].clone());
    assert_eq!(subnets, ["subnet-a", "subnet-b", "subnet-c"]);
    assert_eq!(properties(&template, "Pooler1Instance")["InstanceType"], "t4g.small");
    let balancer = properties(&template, "Balancer");
    assert_eq!((&balancer["Scheme"], &balancer["Type"]), (&json!("internal"), &json!("network")));
    assert_eq!(properties(&template, "PoolerListener")["Port"], 6432);
    let targets = properties(&template, "PoolerTargetGroup");
    assert_eq!(targets["Targets"].as_array().unwrap().len(), 3);
    assert_eq!((&targets["HealthCheckProtocol"], &targets["HealthCheckPath"]), (&json!("TCP"), &Value::Null));
    assert_eq!(template["Outputs"]["PoolerEndpoint"]["Value"], json!({ "Fn::GetAtt": ["Balancer", "DNSName"] }));
}

#[test]
fn its_hosts_read_two_secrets_and_reach_the_databases() {
    let template = render(&of(json!({ "pooler": {} })));
    let policy = properties(&template, "PoolerRole")["Policies"][0]["PolicyDocument"]["Statement"].clone();
    let secrets: Vec<&Value> = policy
        .as_array()
        .unwrap()
        .iter()
        .filter(|statement| statement["Action"].to_string().contains("secretsmanager:GetSecretValue"))
        .collect();
    assert_eq!(secrets.len(), 1);
    let arns: Vec<String> =
        secrets[0]["Resource"].as_array().unwrap().iter().map(|arn| resolve(&template, arn)).collect();
    assert_eq!(arns, ["ApplicationSecret", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:tls"]);
    let rule = properties(&template, "DatabaseFromPoolerPostgresql");
    assert_eq!(rule["FromPort"], 5432);
    let clients = properties(&template, "BalancerSecurityGroup")["SecurityGroupIngress"].clone();
    assert_eq!((&clients[0]["CidrIp"], &clients[0]["FromPort"]), (&json!("172.31.0.0/16"), &json!(6432)));
    assert_eq!(properties(&template, "PoolerSecurityGroup")["SecurityGroupIngress"], json!([]));
}

#[test]
fn an_image_for_the_hosts_processors() {
    let with =
        |instance_type: &str| spec(&json!({ "rds": { "pooler": { "instance_type": instance_type } } })).architecture();
    assert_eq!(with("t4g.small"), domain::spec::Architecture::Arm64);
    assert_eq!(with("t3.small"), domain::spec::Architecture::X86);
}

#[test]
fn there_is_none_unless_asked_for_and_none_in_the_second_region() {
    assert_eq!(of_type(&render(&of(json!({}))), "AWS::EC2::Instance"), [""; 0]);
    let mut spec = with_dr();
    spec.rds.as_mut().unwrap().pooler = Some(domain::spec::PoolerTier::default());
    assert_eq!(of_type(&today(&spec, Part::Dr, &Roles::default()), "AWS::EC2::Instance"), [""; 0]);
}

/// Hosts follow the record: who writes is nothing they are told.
#[test]
fn a_change_of_writer_changes_nothing_of_them() {
    let spec = of(json!({ "pooler": {} }));
    let (before, after) = (render(&spec), today(&spec, Part::Primary, &Roles::default().promoted(2, 2)));
    for name in ["Settings", "Pooler1Instance", "PoolerTargetGroup", "Balancer"] {
        assert_eq!(properties(&before, name), properties(&after, name), "{name}");
    }
}
