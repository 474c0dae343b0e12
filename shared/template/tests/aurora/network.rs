//! Where the databases are, and who reaches them.

use crate::kit::{example, global, of_part, of_type, properties, render, resolve, spec};
use serde_json::{Value, json};
use template::Part;

/// Every rule of every security group: "group in|out port other-end", sorted.
fn reach(template: &Value) -> Vec<String> {
    let mut seen = Vec::new();
    let mut note = |group: &str, way: &str, rule: &Value, end: &Value| {
        assert_eq!((&rule["IpProtocol"], &rule["FromPort"]), (&json!("tcp"), &rule["ToPort"]), "{group}");
        let group = group.trim_end_matches(".GroupId").trim_end_matches("SecurityGroup");
        let end = resolve(template, end);
        let end = end.trim_end_matches(".GroupId").trim_end_matches("SecurityGroup");
        seen.push(format!("{group} {way} {} {end}", rule["FromPort"]));
    };
    for (name, group) in of_type(template, "AWS::EC2::SecurityGroup") {
        for (way, rules) in [("in", "SecurityGroupIngress"), ("out", "SecurityGroupEgress")] {
            for rule in group[rules].as_array().unwrap() {
                note(name, way, rule, &rule["CidrIp"]);
            }
        }
    }
    for (_, rule) in of_type(template, "AWS::EC2::SecurityGroupIngress") {
        note(&resolve(template, &rule["GroupId"]), "in", rule, &rule["SourceSecurityGroupId"]);
    }
    for (_, rule) in of_type(template, "AWS::EC2::SecurityGroupEgress") {
        note(&resolve(template, &rule["GroupId"]), "out", rule, &rule["DestinationSecurityGroupId"]);
    }
    seen.sort();
    seen
}

#[test]
fn only_clients_and_functions_reach_a_database() {
    let template = render(&spec(&json!({ "client_cidrs": ["10.9.0.0/16"] })));
    let nobody = "Database out 443 127.0.0.1/32";
    assert_eq!(reach(&template), ["Database in 5432 10.9.0.0/16", "Database in 5432 sg-functions", nobody]);
}

#[test]
fn the_port_is_the_specs() {
    let template = render(&spec(&json!({ "postgresql": { "port": 6000 } })));
    assert!(reach(&template).contains(&"Database in 6000 172.31.0.0/16".to_owned()));
    assert_eq!(properties(&template, "DatabaseCluster")["Port"], 6000);
}

#[test]
fn a_proxy_stands_between() {
    let template = render(&spec(&json!({ "managed": { "proxy": {} }, "postgresql": { "port": 6000 } })));
    let rules = reach(&template);
    for rule in ["Proxy in 5432 172.31.0.0/16", "Proxy out 6000 Database", "Database in 6000 Proxy"] {
        assert!(rules.contains(&rule.to_owned()), "{rule}: {rules:?}");
    }
}

/// The other Region's functions ask an old writer whether it still writes.
#[test]
fn both_regions_let_the_others_functions_in() {
    let spec = global(&json!({}));
    for (part, other) in [(Part::Primary, "10.1.0.0/16"), (Part::Dr, "10.0.0.0/16")] {
        let rules = reach(&of_part(&spec, part));
        assert!(rules.contains(&format!("Database in 5432 {other}")), "{part:?}: {rules:?}");
    }
}

/// Two rules to one network would make the stack fail.
#[test]
fn no_network_is_let_in_twice() {
    let spec = global(&json!({ "client_cidrs": ["10.1.0.0/16", "10.0.0.0/16"] }));
    for part in [Part::Primary, Part::Dr] {
        let rules = reach(&of_part(&spec, part));
        let mut once = rules.clone();
        once.dedup();
        assert_eq!(rules, once);
    }
}

/// Reference 1: three zones with public and private subnets, a NAT gateway each, endpoints of three services.
#[test]
fn reference_1_has_a_vpc_of_its_own() {
    let template = render(&example("reference-1"));
    assert_eq!(properties(&template, "Vpc")["CidrBlock"], "10.0.0.0/16");
    assert_eq!(of_type(&template, "AWS::EC2::NatGateway").len(), 3);
    assert_eq!(of_type(&template, "AWS::EC2::Subnet").len(), 6);
    let subnets: Vec<&Value> =
        properties(&template, "DatabaseSubnets")["SubnetIds"].as_array().unwrap().iter().collect();
    let private = [1, 2, 3].map(|number| json!({ "Ref": format!("PrivateSubnet{number}") }));
    assert_eq!(subnets, private.iter().collect::<Vec<_>>());
    let mut endpoints: Vec<String> = of_type(&template, "AWS::EC2::VPCEndpoint")
        .into_iter()
        .map(|(_, endpoint)| resolve(&template, &endpoint["ServiceName"]))
        .collect();
    endpoints.sort();
    let expected = ["logs", "s3", "secretsmanager"].map(|service| format!("com.amazonaws.eu-west-1.{service}"));
    assert_eq!(endpoints, expected);
}

#[test]
fn the_fleets_vpc_by_default() {
    let template = render(&spec(&json!({})));
    assert_eq!(of_type(&template, "AWS::EC2::VPC").len(), 0);
    assert_eq!(properties(&template, "DatabaseSubnets")["SubnetIds"], json!(["subnet-a", "subnet-b", "subnet-c"]));
    let zones = [1, 2].map(|place| &properties(&template, &format!("Instance{place}"))["AvailabilityZone"]);
    assert_eq!(zones, ["eu-west-1a", "eu-west-1b"]);
}

/// The way between the Regions: asked for by the second, then known to the first.
#[test]
fn regions_are_peered_when_the_spec_says_so() {
    let mut spec = global(&json!({}));
    for part in [Part::Primary, Part::Dr] {
        assert_eq!(of_type(&of_part(&spec, part), "AWS::EC2::Route").len(), 0, "{part:?}");
    }
    let dr = spec.dr.as_mut().unwrap();
    dr.primary_vpc_id = Some("vpc-0123456789abcdef0".into());
    dr.peering_connection_id = Some("pcx-0123456789abcdef0".into());
    let second = of_part(&spec, Part::Dr);
    assert_eq!(properties(&second, "PrimaryPeering")["PeerRegion"], "eu-west-1");
    let to = |template: &Value| of_type(template, "AWS::EC2::Route")[0].1["DestinationCidrBlock"].clone();
    assert_eq!((to(&second), to(&render(&spec))), (json!("10.0.0.0/16"), json!("10.1.0.0/16")));
}
