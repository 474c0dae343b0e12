//! EC2.

use super::Tag;
use crate::Value;
use serde::Serialize;

/// Properties of `AWS::EC2::SecurityGroup`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SecurityGroup {
    /// What it is for.
    pub group_description: String,
    /// The network it guards.
    pub vpc_id: Value,
    /// The networks that may connect.
    pub security_group_ingress: Vec<NetworkRule>,
    /// What may be reached from inside; without it, everything.
    pub security_group_egress: Vec<NetworkRule>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// A rule within a group's `SecurityGroupIngress` or `SecurityGroupEgress`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkRule {
    /// What it is for.
    pub description: String,
    /// Protocol.
    pub ip_protocol: &'static str,
    /// First port.
    pub from_port: u16,
    /// Last port.
    pub to_port: u16,
    /// The network that connects, or is reached.
    pub cidr_ip: String,
}

/// Properties of `AWS::EC2::SecurityGroupIngress`: one group that may connect.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SecurityGroupIngress {
    /// The group that lets it in.
    pub group_id: Value,
    /// What it is for.
    pub description: String,
    /// Protocol.
    pub ip_protocol: &'static str,
    /// First port.
    pub from_port: u16,
    /// Last port.
    pub to_port: u16,
    /// The group that connects.
    pub source_security_group_id: Value,
}

/// Properties of `AWS::EC2::SecurityGroupEgress`: one group that may be reached.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SecurityGroupEgress {
    /// The group that lets it out.
    pub group_id: Value,
    /// What it is for.
    pub description: String,
    /// Protocol.
    pub ip_protocol: &'static str,
    /// First port.
    pub from_port: u16,
    /// Last port.
    pub to_port: u16,
    /// The group reached.
    pub destination_security_group_id: Value,
}

/// Properties of `AWS::EC2::NetworkInterface`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkInterface {
    /// What it is for.
    pub description: String,
    /// Its subnet, which gives it its address.
    pub subnet_id: Value,
    /// Its security groups.
    pub group_set: Vec<Value>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Properties of `AWS::EC2::Volume`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Volume {
    /// Must be that of the instance.
    pub availability_zone: Value,
    /// Size in GiB.
    pub size: u32,
    /// Volume type.
    pub volume_type: String,
    /// Provisioned I/O operations per second.
    pub iops: u32,
    /// Provisioned throughput in MiB/s, gp3 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throughput: Option<u32>,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// With which key, when it is not AWS's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Properties of `AWS::EC2::Instance`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Instance {
    /// Machine image.
    pub image_id: Value,
    /// Instance type.
    pub instance_type: String,
    /// What it may do.
    pub iam_instance_profile: Value,
    /// The key pair of the people who log in by SSH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_name: Option<String>,
    /// Its network interfaces.
    pub network_interfaces: Vec<AttachedInterface>,
    /// The volume it boots from.
    pub block_device_mappings: Vec<BlockDevice>,
    /// Further volumes. Attached by this resource and not by an
    /// `AWS::EC2::VolumeAttachment`: that one would wait for the instance's
    /// signal, and the signal for the volume.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<AttachedVolume>,
    /// How it reads its identity.
    pub metadata_options: MetadataOptions,
    /// Whether volumes get the instance's tags.
    pub propagate_tags_to_volume_on_creation: bool,
    /// What it runs at its first boot.
    pub user_data: Value,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// A network interface of an instance.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttachedInterface {
    /// Its number; `0` is the primary one.
    pub device_index: &'static str,
    /// The interface.
    pub network_interface_id: Value,
}

/// A volume that is made with the instance.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BlockDevice {
    /// The image's name of the device.
    pub device_name: &'static str,
    /// The volume.
    pub ebs: Ebs,
}

/// A volume that is made with the instance.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ebs {
    /// Size in GiB.
    pub volume_size: u32,
    /// Volume type.
    pub volume_type: &'static str,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// With which key, when it is not AWS's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
    /// Whether it goes with the instance.
    pub delete_on_termination: bool,
}

/// A volume that exists already.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttachedVolume {
    /// Device name.
    pub device: &'static str,
    /// The volume.
    pub volume_id: Value,
}

/// How an instance reads its metadata.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MetadataOptions {
    /// Whether a session token is needed (IMDSv2).
    pub http_tokens: &'static str,
    /// How many network hops an answer survives.
    pub http_put_response_hop_limit: u32,
}
