//! The resource types that clusters are made of.

mod ec2;
mod iam;
mod rest;

pub use ec2::*;
pub use iam::*;
pub use rest::*;

use crate::{Handle, Value};
use serde::Serialize;

macro_rules! resources {
    ($($properties:ident = $type:literal),+ $(,)?) => {
        /// Properties of a resource, under their type's name.
        #[derive(Debug, Clone, Serialize)]
        #[serde(tag = "Type", content = "Properties")]
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
    Role = "AWS::IAM::Role",
    InstanceProfile = "AWS::IAM::InstanceProfile",
    Secret = "AWS::SecretsManager::Secret",
    StringParameter = "AWS::SSM::Parameter",
    Alarm = "AWS::CloudWatch::Alarm",
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

impl Handle<SecurityGroup> {
    /// The group's id.
    #[must_use]
    pub fn group_id(&self) -> Value {
        self.attribute("GroupId")
    }
}

impl Handle<NetworkInterface> {
    /// The interface's id.
    #[must_use]
    pub fn id(&self) -> Value {
        self.reference()
    }

    /// The interface's private address, which it keeps for life.
    #[must_use]
    pub fn address(&self) -> Value {
        self.attribute("PrimaryPrivateIpAddress")
    }
}

impl Handle<Volume> {
    /// The volume's id.
    #[must_use]
    pub fn id(&self) -> Value {
        self.reference()
    }
}

impl Handle<Instance> {
    /// The instance's id.
    #[must_use]
    pub fn id(&self) -> Value {
        self.reference()
    }
}

impl Handle<Role> {
    /// The role's name.
    #[must_use]
    pub fn name(&self) -> Value {
        self.reference()
    }
}

impl Handle<InstanceProfile> {
    /// The profile's name.
    #[must_use]
    pub fn name(&self) -> Value {
        self.reference()
    }
}

impl Handle<StringParameter> {
    /// The parameter's name.
    #[must_use]
    pub fn name(&self) -> Value {
        self.reference()
    }

    /// The parameter's text.
    #[must_use]
    pub fn value(&self) -> Value {
        self.attribute("Value")
    }
}

impl Handle<Secret> {
    /// The secret's ARN.
    #[must_use]
    pub fn arn(&self) -> Value {
        self.reference()
    }
}
