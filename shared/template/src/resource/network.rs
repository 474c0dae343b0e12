//! VPCs and what is in them.

use super::Tag;
use crate::Value;
use serde::Serialize;

/// Properties of `AWS::EC2::VPC`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Vpc {
    /// Its IPv4 network.
    pub cidr_block: String,
    /// Whether instances find names in it.
    pub enable_dns_support: bool,
    /// Whether instances get names in it; endpoints with private names need it.
    pub enable_dns_hostnames: bool,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Properties of `AWS::EC2::Subnet`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Subnet {
    /// Its VPC.
    pub vpc_id: Value,
    /// Its IPv4 network.
    pub cidr_block: String,
    /// Its Availability Zone.
    pub availability_zone: Value,
    /// Whether instances get a public address by themselves.
    pub map_public_ip_on_launch: bool,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Properties of `AWS::EC2::InternetGateway`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InternetGateway {
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Properties of `AWS::EC2::VPCGatewayAttachment`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GatewayAttachment {
    /// The VPC.
    pub vpc_id: Value,
    /// Its gateway to the internet.
    pub internet_gateway_id: Value,
}

/// Properties of `AWS::EC2::RouteTable`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RouteTable {
    /// Its VPC.
    pub vpc_id: Value,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Properties of `AWS::EC2::Route`, to one of the targets.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Route {
    /// The table it is in.
    pub route_table_id: Value,
    /// The network it leads to.
    pub destination_cidr_block: String,
    /// By way of the internet gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_id: Option<Value>,
    /// By way of a NAT gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_gateway_id: Option<Value>,
    /// By way of another VPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_peering_connection_id: Option<Value>,
}

/// What a route leads through.
#[derive(Debug, Clone)]
pub enum Through {
    /// The internet gateway.
    Internet(Value),
    /// A NAT gateway.
    Nat(Value),
    /// A peering connection.
    Peering(Value),
}

impl Route {
    /// The route of a table to a network.
    #[must_use]
    pub fn new(route_table_id: Value, destination: &str, through: Through) -> Self {
        let mut route = Route {
            route_table_id,
            destination_cidr_block: destination.to_owned(),
            gateway_id: None,
            nat_gateway_id: None,
            vpc_peering_connection_id: None,
        };
        match through {
            Through::Internet(id) => route.gateway_id = Some(id),
            Through::Nat(id) => route.nat_gateway_id = Some(id),
            Through::Peering(id) => route.vpc_peering_connection_id = Some(id),
        }
        route
    }
}

/// Properties of `AWS::EC2::SubnetRouteTableAssociation`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RouteTableAssociation {
    /// The table.
    pub route_table_id: Value,
    /// The subnet that uses it.
    pub subnet_id: Value,
}

/// Properties of `AWS::EC2::EIP`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Eip {
    /// `vpc`.
    pub domain: &'static str,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Properties of `AWS::EC2::EIPAssociation`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EipAssociation {
    /// The public address.
    pub allocation_id: Value,
    /// The interface that gets it.
    pub network_interface_id: Value,
}

/// Properties of `AWS::EC2::NatGateway`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NatGateway {
    /// Its public address.
    pub allocation_id: Value,
    /// The public subnet it is in.
    pub subnet_id: Value,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Properties of `AWS::EC2::VPCEndpoint`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct VpcEndpoint {
    /// The VPC that reaches the service by it.
    pub vpc_id: Value,
    /// The service.
    pub service_name: Value,
    /// `Gateway` or `Interface`.
    pub vpc_endpoint_type: &'static str,
    /// Of a gateway endpoint: the tables that get a route.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub route_table_ids: Vec<Value>,
    /// Of an interface endpoint: where its interfaces are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subnet_ids: Vec<Value>,
    /// Of an interface endpoint: who may reach it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_group_ids: Vec<Value>,
    /// Of an interface endpoint: whether the service's usual name leads to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_dns_enabled: Option<bool>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Properties of `AWS::EC2::VPCPeeringConnection`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PeeringConnection {
    /// The VPC that asks.
    pub vpc_id: Value,
    /// The VPC that is asked; of the same account it agrees by itself.
    pub peer_vpc_id: String,
    /// Its Region, when it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_region: Option<String>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Properties of `AWS::EC2::NetworkAcl`: without entries it lets nothing in or out.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkAcl {
    /// Its VPC.
    pub vpc_id: Value,
    /// Tags.
    pub tags: Vec<Tag>,
}
