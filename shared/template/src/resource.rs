//! The resource types that clusters are made of.

mod balancing;
mod dns;
mod ec2;
mod iam;
mod kms;
mod messaging;
mod network;
mod proxy;
mod rds;
mod rest;
mod storage;

pub use balancing::*;
pub use dns::*;
pub use ec2::*;
pub use iam::*;
pub use kms::*;
pub use messaging::*;
pub use network::*;
pub use proxy::*;
pub use rds::*;
pub use rest::*;
pub use storage::*;

use crate::{Handle, Value};
use serde::Serialize;

macro_rules! resources {
    ($($properties:ident = $type:literal),+ $(,)?) => {
        /// Properties of a resource, under their type's name.
        #[derive(Debug, Clone, Serialize)]
        #[serde(tag = "Type", content = "Properties")]
        #[expect(clippy::large_enum_variant, reason = "a template has some hundred of them, for some milliseconds")]
        pub enum Resource {
            $(
                #[doc = concat!("`", $type, "`.")]
                #[serde(rename = $type)]
                $properties($properties),
            )+
        }
        $(
            impl From<$properties> for Resource {
                fn from(properties: $properties) -> Self {
                    Resource::$properties(properties)
                }
            }
        )+
    };
}

resources! {
    SecurityGroup = "AWS::EC2::SecurityGroup",
    SecurityGroupIngress = "AWS::EC2::SecurityGroupIngress",
    SecurityGroupEgress = "AWS::EC2::SecurityGroupEgress",
    NetworkInterface = "AWS::EC2::NetworkInterface",
    Volume = "AWS::EC2::Volume",
    Instance = "AWS::EC2::Instance",
    Vpc = "AWS::EC2::VPC",
    Subnet = "AWS::EC2::Subnet",
    InternetGateway = "AWS::EC2::InternetGateway",
    GatewayAttachment = "AWS::EC2::VPCGatewayAttachment",
    RouteTable = "AWS::EC2::RouteTable",
    Route = "AWS::EC2::Route",
    RouteTableAssociation = "AWS::EC2::SubnetRouteTableAssociation",
    Eip = "AWS::EC2::EIP",
    EipAssociation = "AWS::EC2::EIPAssociation",
    NatGateway = "AWS::EC2::NatGateway",
    VpcEndpoint = "AWS::EC2::VPCEndpoint",
    PeeringConnection = "AWS::EC2::VPCPeeringConnection",
    LoadBalancer = "AWS::ElasticLoadBalancingV2::LoadBalancer",
    TargetGroup = "AWS::ElasticLoadBalancingV2::TargetGroup",
    Listener = "AWS::ElasticLoadBalancingV2::Listener",
    Bucket = "AWS::S3::Bucket",
    BucketPolicy = "AWS::S3::BucketPolicy",
    Topic = "AWS::SNS::Topic",
    TopicPolicy = "AWS::SNS::TopicPolicy",
    Role = "AWS::IAM::Role",
    AttachedPolicy = "AWS::IAM::Policy",
    InstanceProfile = "AWS::IAM::InstanceProfile",
    Secret = "AWS::SecretsManager::Secret",
    StringParameter = "AWS::SSM::Parameter",
    LogGroup = "AWS::Logs::LogGroup",
    MetricFilter = "AWS::Logs::MetricFilter",
    Alarm = "AWS::CloudWatch::Alarm",
    NetworkAcl = "AWS::EC2::NetworkAcl",
    Key = "AWS::KMS::Key",
    DbSubnetGroup = "AWS::RDS::DBSubnetGroup",
    DbClusterParameterGroup = "AWS::RDS::DBClusterParameterGroup",
    DbParameterGroup = "AWS::RDS::DBParameterGroup",
    DbCluster = "AWS::RDS::DBCluster",
    DbInstance = "AWS::RDS::DBInstance",
    GlobalCluster = "AWS::RDS::GlobalCluster",
    DbProxy = "AWS::RDS::DBProxy",
    DbProxyTargetGroup = "AWS::RDS::DBProxyTargetGroup",
    RecordSet = "AWS::Route53::RecordSet",
    HealthCheck = "AWS::Route53::HealthCheck",
}

/// A tag of a resource.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// Handles whose `Ref` is what other resources name them by.
macro_rules! by_reference {
    ($($(#[$doc:meta])* $kind:ident . $method:ident),+ $(,)?) => {
        $(
            impl Handle<$kind> {
                $(#[$doc])*
                #[must_use]
                pub fn $method(&self) -> Value {
                    self.reference()
                }
            }
        )+
    };
}

by_reference! {
    /// The interface's id.
    NetworkInterface.id,
    /// The volume's id.
    Volume.id,
    /// The instance's id.
    Instance.id,
    /// The role's name.
    Role.name,
    /// The profile's name.
    InstanceProfile.name,
    /// The parameter's name.
    StringParameter.name,
    /// The secret's ARN.
    Secret.arn,
    /// The group's name.
    LogGroup.name,
    /// The VPC's id.
    Vpc.id,
    /// The subnet's id.
    Subnet.id,
    /// The gateway's id.
    InternetGateway.id,
    /// The route table's id.
    RouteTable.id,
    /// The public address.
    Eip.address,
    /// The gateway's id.
    NatGateway.id,
    /// The connection's id.
    PeeringConnection.id,
    /// The alarm's name.
    Alarm.name,
    /// The list's id.
    NetworkAcl.id,
    /// The group's name.
    DbSubnetGroup.name,
    /// The group's name.
    DbClusterParameterGroup.name,
    /// The group's name.
    DbParameterGroup.name,
    /// The global cluster's identifier.
    GlobalCluster.identifier,
}

impl Handle<SecurityGroup> {
    /// The group's id.
    #[must_use]
    pub fn group_id(&self) -> Value {
        self.attribute("GroupId")
    }
}

impl Handle<Role> {
    /// The role's ARN.
    #[must_use]
    pub fn arn(&self) -> Value {
        self.attribute("Arn")
    }
}

impl Handle<NetworkInterface> {
    /// The interface's private address, which it keeps for life.
    #[must_use]
    pub fn address(&self) -> Value {
        self.attribute("PrimaryPrivateIpAddress")
    }
}

impl Handle<Subnet> {
    /// The subnet's Availability Zone.
    #[must_use]
    pub fn zone(&self) -> Value {
        self.attribute("AvailabilityZone")
    }
}

impl Handle<Eip> {
    /// What associates it with something.
    #[must_use]
    pub fn allocation_id(&self) -> Value {
        self.attribute("AllocationId")
    }
}
