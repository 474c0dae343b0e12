//! Amazon Aurora and Amazon RDS.

use super::Tag;
use crate::{Handle, Value};
use serde::Serialize;
use std::collections::BTreeMap;

/// Properties of `AWS::RDS::DBSubnetGroup`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DbSubnetGroup {
    /// What it is for.
    #[serde(rename = "DBSubnetGroupDescription")]
    pub description: String,
    /// Subnets of two Availability Zones at least.
    pub subnet_ids: Vec<Value>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Properties of `AWS::RDS::DBClusterParameterGroup`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DbClusterParameterGroup {
    /// What it is for.
    pub description: String,
    /// Engine and major version.
    pub family: String,
    /// The parameters, in RDS's units.
    pub parameters: BTreeMap<String, String>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Properties of `AWS::RDS::DBParameterGroup`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DbParameterGroup {
    /// What it is for.
    pub description: String,
    /// Engine and major version.
    pub family: String,
    /// The parameters, in RDS's units.
    pub parameters: BTreeMap<String, String>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Properties of `AWS::RDS::GlobalCluster`, made around a cluster that is there.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GlobalCluster {
    /// Its identifier.
    pub global_cluster_identifier: String,
    /// The cluster that is its first: its ARN. Engine, version and encryption are that one's.
    #[serde(rename = "SourceDBClusterIdentifier")]
    pub source: Value,
    /// Whether deleting it is refused.
    pub deletion_protection: bool,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// The master's password, made and rotated by RDS.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MasterUserSecret {
    /// With which key it is encrypted.
    pub kms_key_id: Value,
}

/// Capacity of Aurora Serverless v2, in ACU.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServerlessScaling {
    /// The least; 0: it pauses.
    pub min_capacity: serde_json::Number,
    /// The most.
    pub max_capacity: serde_json::Number,
    /// Seconds without a connection after which it pauses, where it may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_until_auto_pause: Option<u32>,
}

/// Properties of `AWS::RDS::DBCluster`: Aurora, or a Multi-AZ DB cluster of RDS.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "RDS's own switches")]
pub struct DbCluster {
    /// Its identifier.
    #[serde(rename = "DBClusterIdentifier")]
    pub identifier: String,
    /// `aurora-postgresql` or `postgres`.
    pub engine: &'static str,
    /// Major version, or major and minor.
    pub engine_version: String,
    /// The application's database; none of a secondary cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_name: Option<String>,
    /// The port of every instance.
    pub port: u16,
    /// The master's name; none of a secondary cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_username: Option<&'static str>,
    /// The master's password: a reference to a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_user_password: Option<Value>,
    /// Whether RDS makes and rotates the master's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manage_master_user_password: Option<bool>,
    /// Where it then is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_user_secret: Option<MasterUserSecret>,
    /// The subnets.
    #[serde(rename = "DBSubnetGroupName")]
    pub subnet_group: Option<Value>,
    /// Who may connect.
    pub vpc_security_group_ids: Vec<Value>,
    /// The cluster's parameters.
    #[serde(rename = "DBClusterParameterGroupName")]
    pub parameter_group: Option<Value>,
    /// Whether the storage is encrypted, always.
    pub storage_encrypted: bool,
    /// With which key; none given: AWS's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<Value>,
    /// `aurora-iopt1`, or a volume type of RDS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_type: Option<&'static str>,
    /// Of a Multi-AZ DB cluster: the class of its instances.
    #[serde(rename = "DBClusterInstanceClass", skip_serializing_if = "Option::is_none")]
    pub instance_class: Option<String>,
    /// Of a Multi-AZ DB cluster: GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocated_storage: Option<u32>,
    /// Of a Multi-AZ DB cluster: provisioned I/O operations a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iops: Option<u32>,
    /// Of a Multi-AZ DB cluster: whether AWS installs minor versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_minor_version_upgrade: Option<bool>,
    /// Of a Multi-AZ DB cluster: that it has no public address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publicly_accessible: Option<bool>,
    /// Of a Multi-AZ DB cluster: seconds between samples of Enhanced Monitoring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitoring_interval: Option<u32>,
    /// Of a Multi-AZ DB cluster: the role that sends them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitoring_role_arn: Option<Value>,
    /// Of a Multi-AZ DB cluster: Performance Insights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub performance_insights_enabled: Option<bool>,
    /// Of a Multi-AZ DB cluster: the key of what it keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub performance_insights_kms_key_id: Option<Value>,
    /// Of a Multi-AZ DB cluster: the days that it keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub performance_insights_retention_period: Option<u32>,
    /// Days that automated backups are kept.
    pub backup_retention_period: u32,
    /// When they are made, UTC.
    pub preferred_backup_window: String,
    /// When AWS maintains it, UTC.
    pub preferred_maintenance_window: String,
    /// Whether snapshots bear the cluster's tags.
    pub copy_tags_to_snapshot: bool,
    /// Whether deleting it is refused.
    pub deletion_protection: bool,
    /// Whether roles may log in with IAM.
    #[serde(rename = "EnableIAMDatabaseAuthentication")]
    pub iam_authentication: bool,
    /// Logs that go to CloudWatch Logs.
    #[serde(rename = "EnableCloudwatchLogsExports", skip_serializing_if = "Vec::is_empty")]
    pub logs_exports: Vec<&'static str>,
    /// Of Serverless v2.
    #[serde(rename = "ServerlessV2ScalingConfiguration", skip_serializing_if = "Option::is_none")]
    pub serverless: Option<ServerlessScaling>,
    /// Of a secondary cluster: the global cluster that it joins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_cluster_identifier: Option<String>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Properties of `AWS::RDS::DBInstance`: of an Aurora cluster, or by itself.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DbInstance {
    /// Its identifier.
    #[serde(rename = "DBInstanceIdentifier")]
    pub identifier: String,
    /// The cluster that it is of.
    #[serde(rename = "DBClusterIdentifier", skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Value>,
    /// The instance that it replicates: its identifier, or the ARN of one in another Region.
    #[serde(rename = "SourceDBInstanceIdentifier", skip_serializing_if = "Option::is_none")]
    pub source: Option<Value>,
    /// The Multi-AZ DB cluster that it replicates: its identifier.
    #[serde(rename = "SourceDBClusterIdentifier", skip_serializing_if = "Option::is_none")]
    pub source_cluster: Option<Value>,
    /// Of a replica of another Region: that Region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_region: Option<String>,
    /// `aurora-postgresql` or `postgres`.
    pub engine: &'static str,
    /// Major version, or major and minor; of a replica its source's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_version: Option<String>,
    /// Its class.
    #[serde(rename = "DBInstanceClass")]
    pub class: String,
    /// The application's database; not of a replica.
    #[serde(rename = "DBName", skip_serializing_if = "Option::is_none")]
    pub database_name: Option<String>,
    /// Its port; an Aurora instance has its cluster's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The master's name; not of a replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_username: Option<&'static str>,
    /// The master's password: a reference to a secret; not of a replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_user_password: Option<Value>,
    /// The subnets.
    #[serde(rename = "DBSubnetGroupName", skip_serializing_if = "Option::is_none")]
    pub subnet_group: Option<Value>,
    /// Its Availability Zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability_zone: Option<Value>,
    /// Whether RDS keeps a synchronous standby in another zone.
    #[serde(rename = "MultiAZ", skip_serializing_if = "Option::is_none")]
    pub multi_az: Option<bool>,
    /// Who may connect.
    #[serde(rename = "VPCSecurityGroups", skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<Value>,
    /// The instance's parameters.
    #[serde(rename = "DBParameterGroupName")]
    pub parameter_group: Option<Value>,
    /// Always false: no public address.
    pub publicly_accessible: bool,
    /// Of Aurora: 0 becomes writer first, 15 last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promotion_tier: Option<u8>,
    /// GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocated_storage: Option<String>,
    /// GiB to which AWS lets it grow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_allocated_storage: Option<u32>,
    /// A volume type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_type: Option<&'static str>,
    /// Provisioned I/O operations a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iops: Option<u32>,
    /// Whether the storage is encrypted; an Aurora instance has its cluster's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_encrypted: Option<bool>,
    /// With which key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<Value>,
    /// Days that automated backups are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_retention_period: Option<u32>,
    /// When they are made, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_backup_window: Option<String>,
    /// When AWS maintains it, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_maintenance_window: Option<String>,
    /// Whether automated backups go with the instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_automated_backups: Option<bool>,
    /// Whether snapshots bear the instance's tags; an Aurora instance has its cluster's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy_tags_to_snapshot: Option<bool>,
    /// Whether deleting it is refused; an Aurora instance has its cluster's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_protection: Option<bool>,
    /// Whether roles may log in with IAM; an Aurora instance has its cluster's.
    #[serde(rename = "EnableIAMDatabaseAuthentication", skip_serializing_if = "Option::is_none")]
    pub iam_authentication: Option<bool>,
    /// Logs that go to CloudWatch Logs; an Aurora instance has its cluster's.
    #[serde(rename = "EnableCloudwatchLogsExports", skip_serializing_if = "Vec::is_empty")]
    pub logs_exports: Vec<&'static str>,
    /// Whether AWS installs minor versions in the maintenance window.
    pub auto_minor_version_upgrade: bool,
    /// Seconds between samples of Enhanced Monitoring; 0: off.
    pub monitoring_interval: u32,
    /// The role that sends them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitoring_role_arn: Option<Value>,
    /// Performance Insights.
    pub enable_performance_insights: bool,
    /// The key of what it keeps.
    #[serde(rename = "PerformanceInsightsKMSKeyId", skip_serializing_if = "Option::is_none")]
    pub performance_insights_key: Option<Value>,
    /// The days that it keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub performance_insights_retention_period: Option<u32>,
    /// The authority that signs its certificate.
    #[serde(rename = "CACertificateIdentifier")]
    pub authority: &'static str,
    /// Tags.
    pub tags: Vec<Tag>,
}

impl Handle<DbCluster> {
    /// Its identifier.
    #[must_use]
    pub fn identifier(&self) -> Value {
        self.reference()
    }

    /// Its ARN.
    #[must_use]
    pub fn arn(&self) -> Value {
        self.attribute("DBClusterArn")
    }

    /// The name that leads to whoever writes.
    #[must_use]
    pub fn endpoint(&self) -> Value {
        self.attribute("Endpoint.Address")
    }

    /// The name that leads to the readers.
    #[must_use]
    pub fn reader_endpoint(&self) -> Value {
        self.attribute("ReadEndpoint.Address")
    }

    /// ARN of the secret that RDS makes for the master.
    #[must_use]
    pub fn master_secret(&self) -> Value {
        self.attribute("MasterUserSecret.SecretArn")
    }
}

impl Handle<DbInstance> {
    /// Its identifier.
    #[must_use]
    pub fn identifier(&self) -> Value {
        self.reference()
    }

    /// Its ARN.
    #[must_use]
    pub fn arn(&self) -> Value {
        self.attribute("DBInstanceArn")
    }

    /// The name that leads to it.
    #[must_use]
    pub fn endpoint(&self) -> Value {
        self.attribute("Endpoint.Address")
    }
}
