//! Where instances are placed, and who reaches them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Where the members are placed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Private subnets of the fleet's VPC, filled in turn; none given: the fleet's own.
    #[schemars(title = "Subnets", length(max = 5), extend("items" = json!({
        "type": "string", "pattern": "^subnet-[0-9a-f]{8,17}$", "examples": ["subnet-00000000"],
        "x-allowed": "a subnet id, such as subnet-0123456789abcdef0",
    })))]
    pub subnet_ids: Vec<String>,
    /// A VPC of the cluster's own, peered with the fleet's; none given: the fleet's VPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "A VPC of its own", with = "OwnVpc")]
    pub own_vpc: Option<OwnVpc>,
}

/// A VPC made for one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OwnVpc {
    /// Its IPv4 network. Subnet n is its n-th /24, public ones from the 101st.
    #[schemars(title = "Network", extend("x-allowed" = "a private IPv4 network of 16 to 17 bits, such as 10.1.0.0/16"))]
    pub cidr: String,
    /// In how many Availability Zones it has a subnet.
    #[schemars(title = "Availability Zones", range(min = 2, max = 3))]
    pub zones: u32,
    /// How its instances reach packages and AWS.
    #[schemars(title = "NAT")]
    pub nat: Nat,
    /// Interface endpoints for the services that members call, so that none of these calls leaves the VPC.
    #[schemars(title = "Endpoints")]
    pub endpoints: bool,
}

impl Default for OwnVpc {
    fn default() -> Self {
        OwnVpc { cidr: "10.0.0.0/16".into(), zones: 3, nat: Nat::PerZone, endpoints: false }
    }
}

/// NAT gateways of a VPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Nat {
    /// One in each zone: the loss of one leaves the others a way out.
    PerZone,
    /// One for all zones: cheaper, and lost with its zone.
    One,
    /// None: members must find packages and AWS another way.
    None,
}

/// How people reach the instances.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    /// A bastion host; none given: Session Manager only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Bastion", with = "Bastion")]
    pub bastion: Option<Bastion>,
    /// IPv4 networks that may reach port 22 of the members; none given: only the bastion, if there is one.
    #[schemars(title = "Management networks", length(max = 5), extend("items" =
        json!({"type": "string", "examples": ["10.0.0.0/16"], "x-allowed": "an IPv4 network such as 10.0.0.0/16"})))]
    pub management_cidrs: Vec<String>,
    /// IPv4 networks that may read the exporters' ports; none given: only the cluster's own monitoring, if there is one.
    #[schemars(title = "Monitoring networks", length(max = 5), extend("items" =
        json!({"type": "string", "examples": ["10.0.0.0/16"], "x-allowed": "an IPv4 network such as 10.0.0.0/16"})))]
    pub monitoring_cidrs: Vec<String>,
    /// Name of an EC2 key pair for SSH; none given: no key on any instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Key pair", with = "String", length(min = 1, max = 255))]
    pub key_name: Option<String>,
}

/// A host that people log in to first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bastion {
    /// EC2 instance type; none given: t4g.micro or t3.micro, as the members' processors are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        title = "Instance type",
        with = "String",
        regex(pattern = "^[a-z][a-z0-9-]*[0-9][a-z0-9-]*\\.[a-z0-9-]+$")
    )]
    #[schemars(extend("x-allowed" = "an EC2 instance type, such as t3.micro"))]
    pub instance_type: Option<String>,
    /// Addresses (/32) that may reach its port 22.
    #[schemars(title = "Administrators' addresses", length(min = 1, max = 10), extend("items" =
        json!({"type": "string", "examples": ["192.0.2.1/32"], "x-allowed": "one IPv4 address with /32, such as 192.0.2.1/32"})))]
    pub admin_cidrs: Vec<String>,
    /// A public subnet of the fleet's VPC; needed unless the cluster has a VPC of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Public subnet", with = "String", regex(pattern = "^subnet-[0-9a-f]{8,17}$"), extend("x-allowed" = "a subnet id, such as subnet-0123456789abcdef0"))]
    pub subnet_id: Option<String>,
}
