//! A VPC of the cluster's own.

use crate::kit::{of_type, properties, render, resolve, spec};
use domain::spec::Spec;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn own(fields: Value) -> Value {
    render(&spec(json!({ "network": { "own_vpc": fields } })))
}

/// "table: network through", sorted.
fn routes(template: &Value) -> Vec<String> {
    let route = |(_, route): (&str, &Value)| {
        let through = ["GatewayId", "NatGatewayId", "VpcPeeringConnectionId"];
        let through: Vec<String> =
            through.iter().filter_map(|name| Some(resolve(template, route.get(name)?))).collect();
        let table = resolve(template, &route["RouteTableId"]);
        format!("{table}: {} {}", route["DestinationCidrBlock"].as_str().unwrap(), through.join(" and "))
    };
    let mut routes: Vec<String> = of_type(template, "AWS::EC2::Route").into_iter().map(route).collect();
    routes.sort();
    routes
}

#[test]
fn in_the_fleets_vpc_nothing_of_the_network_is_made() {
    let template = render(&Spec::new("orders"));
    for kind in ["VPC", "Subnet", "Route", "NatGateway", "VPCEndpoint", "VPCPeeringConnection", "EIP"] {
        assert!(of_type(&template, &format!("AWS::EC2::{kind}")).is_empty(), "{kind}");
    }
    assert_eq!(properties(&template, "MemberSecurityGroup")["VpcId"], "vpc-1");
}

#[test]
fn each_zone_has_a_private_and_a_public_subnet_and_a_way_out_of_its_own() {
    let template = own(json!({ "cidr": "10.1.0.0/16", "zones": 3, "nat": "per-zone" }));
    let vpc = properties(&template, "Vpc");
    assert_eq!((&vpc["CidrBlock"], &vpc["EnableDnsSupport"]), (&json!("10.1.0.0/16"), &json!(true)));
    assert_eq!(vpc["EnableDnsHostnames"], true);
    let subnets: BTreeMap<&str, (String, String)> = of_type(&template, "AWS::EC2::Subnet")
        .into_iter()
        .map(|(name, subnet)| {
            assert_eq!(subnet["MapPublicIpOnLaunch"], false, "{name}");
            (name, (resolve(&template, &subnet["CidrBlock"]), resolve(&template, &subnet["AvailabilityZone"])))
        })
        .collect();
    let at = |network: &str, zone: &str| (network.to_owned(), format!("eu-west-1{zone}"));
    let expected = [
        ("PrivateSubnet1", at("10.1.1.0/24", "a")),
        ("PrivateSubnet2", at("10.1.2.0/24", "b")),
        ("PrivateSubnet3", at("10.1.3.0/24", "c")),
        ("PublicSubnet1", at("10.1.101.0/24", "a")),
        ("PublicSubnet2", at("10.1.102.0/24", "b")),
        ("PublicSubnet3", at("10.1.103.0/24", "c")),
    ];
    assert_eq!(subnets, expected.into());
    let expected = [
        "PrivateRoutes1: 0.0.0.0/0 NatGateway1",
        "PrivateRoutes1: 10.0.0.0/16 FleetPeering",
        "PrivateRoutes2: 0.0.0.0/0 NatGateway2",
        "PrivateRoutes2: 10.0.0.0/16 FleetPeering",
        "PrivateRoutes3: 0.0.0.0/0 NatGateway3",
        "PrivateRoutes3: 10.0.0.0/16 FleetPeering",
        "PublicRoutes: 0.0.0.0/0 InternetGateway",
        "rtb-a: 10.1.0.0/16 FleetPeering",
        "rtb-b: 10.1.0.0/16 FleetPeering",
    ];
    assert_eq!(routes(&template), expected);
    assert_eq!(properties(&template, "FleetPeering")["PeerVpcId"], "vpc-1");
    assert_eq!(properties(&template, "MemberSecurityGroup")["VpcId"], json!({ "Ref": "Vpc" }));
    // A volume must be where its instance is.
    for number in 1..=3 {
        let subnet = format!("PrivateSubnet{number}");
        assert_eq!(properties(&template, &format!("Member{number}Interface"))["SubnetId"], json!({ "Ref": subnet }));
        let zone = &properties(&template, &format!("Member{number}Data"))["AvailabilityZone"];
        assert_eq!(zone, &json!({ "Fn::GetAtt": [subnet, "AvailabilityZone"] }));
    }
}

#[test]
fn one_nat_gateway_serves_all_zones_and_none_leaves_no_public_subnet() {
    let template = own(json!({ "zones": 2, "nat": "one" }));
    let out: Vec<String> = routes(&template).into_iter().filter(|route| route.contains("0.0.0.0/0 Nat")).collect();
    assert_eq!(out, ["PrivateRoutes1: 0.0.0.0/0 NatGateway1", "PrivateRoutes2: 0.0.0.0/0 NatGateway1"]);

    let template = own(json!({ "zones": 2, "nat": "none" }));
    for kind in ["NatGateway", "InternetGateway", "EIP"] {
        assert!(of_type(&template, &format!("AWS::EC2::{kind}")).is_empty(), "{kind}");
    }
    assert_eq!(of_type(&template, "AWS::EC2::Subnet").len(), 2);
}

#[test]
fn a_bastion_has_a_public_subnet_also_without_nat() {
    let template = render(&spec(json!({
        "network": { "own_vpc": { "nat": "none" } },
        "access": { "bastion": { "admin_cidrs": ["192.0.2.1/32"] } },
    })));
    assert_eq!(properties(&template, "BastionInterface")["SubnetId"], json!({ "Ref": "PublicSubnet1" }));
    assert!(of_type(&template, "AWS::EC2::NatGateway").is_empty());
}

/// S3 and DynamoDB always: their endpoints cost nothing.
#[test]
fn aws_is_reached_by_endpoints_of_every_service_that_hosts_call() {
    let services = |template: &Value| -> Vec<String> {
        let mut services: Vec<String> = of_type(template, "AWS::EC2::VPCEndpoint")
            .into_iter()
            .map(|(_, endpoint)| {
                let name = resolve(template, &endpoint["ServiceName"]);
                format!("{} {}", endpoint["VpcEndpointType"].as_str().unwrap(), name.rsplit('.').next().unwrap())
            })
            .collect();
        services.sort();
        services
    };
    let template = own(json!({}));
    assert_eq!(services(&template), ["Gateway dynamodb", "Gateway s3"]);
    assert_eq!(properties(&template, "S3Endpoint")["RouteTableIds"].as_array().unwrap().len(), 3);

    let template = own(json!({ "endpoints": true }));
    let expected = [
        "Gateway dynamodb",
        "Gateway s3",
        "Interface cloudformation",
        "Interface ec2messages",
        "Interface logs",
        "Interface monitoring",
        "Interface secretsmanager",
        "Interface ssm",
        "Interface ssmmessages",
    ];
    assert_eq!(services(&template), expected);
    assert_eq!(properties(&template, "SsmEndpoint")["PrivateDnsEnabled"], true);
    let rules = crate::kit::reach(&template);
    let endpoints: Vec<&String> = rules.iter().filter(|rule| rule.starts_with("endpoint in")).collect();
    assert_eq!(endpoints, ["endpoint in 443 10.0.0.0/16"]);
}

/// The first boot of a host fetches everything that it runs.
#[test]
fn hosts_are_made_when_there_is_a_way_out() {
    let template = own(json!({ "endpoints": true }));
    let after = &template["Resources"]["Member2"]["DependsOn"];
    let after: Vec<&str> = after.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for name in ["PrivateDefaultRoute2", "PublicDefaultRoute", "PrivateSubnet2Routes", "S3Endpoint", "SsmEndpoint"] {
        assert!(after.contains(&name), "{name} is not among {after:?}");
    }
}
