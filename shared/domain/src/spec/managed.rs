//! What only clusters that AWS runs have: Aurora and RDS.

use super::{PoolMode, VolumeType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const CLASS: &str = "a DB instance class, such as db.r7g.large";

/// What Aurora and RDS have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Managed {
    /// Minor version of the engine; none given: AWS's default of the major version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Minor version", with = "u32", range(min = 0, max = 99))]
    pub minor_version: Option<u32>,
    /// Whether AWS installs minor versions in the maintenance window.
    #[schemars(title = "Minor upgrades")]
    pub auto_minor_version_upgrade: bool,
    /// Days that automated backups are kept: 1 to 35.
    #[schemars(title = "Backup retention in days", range(min = 1, max = 35))]
    pub backup_retention_days: u32,
    /// When automated backups are made, UTC.
    #[schemars(title = "Backup window", regex(pattern = "^[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]$"), extend("x-allowed" = "a window of half an hour or more, such as 02:00-03:00"))]
    pub backup_window: String,
    /// When AWS maintains the servers, UTC; not during the backup window.
    #[schemars(title = "Maintenance window", regex(pattern = "^(mon|tue|wed|thu|fri|sat|sun):[0-2][0-9]:[0-5][0-9]-(mon|tue|wed|thu|fri|sat|sun):[0-2][0-9]:[0-5][0-9]$"), extend("x-allowed" = "a window of half an hour or more, such as sun:04:00-sun:05:00"))]
    pub maintenance_window: String,
    /// Whether roles may log in with IAM.
    #[schemars(title = "IAM authentication")]
    pub iam_authentication: bool,
    /// A customer key in KMS of the stack's own, rotated by AWS, unless `encryption.kms_key_arn` names one; `false`: AWS's
    /// own key.
    #[schemars(title = "Own key")]
    pub own_key: bool,
    /// Seconds between samples of Enhanced Monitoring: 0 (off), 1, 5, 10, 15, 30 or 60.
    #[schemars(title = "Enhanced Monitoring", range(min = 0, max = 60))]
    pub enhanced_monitoring_s: u32,
    /// Days that Performance Insights keeps: 0 (off), 7, or 31 to 731 in steps of a month (31 days).
    #[schemars(title = "Performance Insights", range(min = 0, max = 731))]
    pub performance_insights_days: u32,
    /// Whether the server's log goes to CloudWatch Logs.
    #[schemars(title = "Log exports")]
    pub log_exports: bool,
    /// An RDS Proxy in front; none given: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "RDS Proxy", with = "Proxy")]
    pub proxy: Option<Proxy>,
    /// Roles beside the owner, that log in with IAM; none given: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Roles", with = "Roles")]
    pub roles: Option<Roles>,
    /// Limits of the alarms.
    #[schemars(title = "Alarms")]
    pub alarms: Alarms,
    /// Hours to which Aurora can be wound back. Aurora has that for MySQL only: always refused, with the way that there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Backtrack", with = "u32", range(min = 0, max = 72))]
    pub backtrack_hours: Option<u32>,
}

impl Default for Managed {
    fn default() -> Self {
        Managed {
            minor_version: None,
            auto_minor_version_upgrade: true,
            backup_retention_days: 30,
            backup_window: "02:00-03:00".into(),
            maintenance_window: "sun:04:00-sun:05:00".into(),
            iam_authentication: true,
            own_key: true,
            enhanced_monitoring_s: 60,
            performance_insights_days: 7,
            log_exports: true,
            proxy: None,
            roles: None,
            alarms: Alarms::default(),
            backtrack_hours: None,
        }
    }
}

/// Amazon RDS Proxy.
///
/// Source: Amazon RDS User Guide, "Amazon RDS Proxy".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Proxy {
    /// `MaxConnectionsPercent`: of the server's connections.
    #[schemars(title = "Connections in percent", range(min = 1, max = 100))]
    pub max_connections_percent: u32,
    /// `IdleClientTimeout`, seconds.
    #[schemars(title = "Idle clients", range(min = 1, max = 28_800))]
    pub idle_client_timeout_s: u32,
}

impl Default for Proxy {
    fn default() -> Self {
        Proxy { max_connections_percent: 90, idle_client_timeout_s: 1_800 }
    }
}

/// How many sessions each role may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Roles {
    /// Of the owner, the application.
    #[schemars(title = "Application", range(min = 1, max = 10_000))]
    pub application: u32,
    /// Of `<owner>_readonly`, which reads all tables.
    #[schemars(title = "Readers", range(min = 1, max = 10_000))]
    pub readonly: u32,
    /// Of `<owner>_admin`, a member of the owner.
    #[schemars(title = "Administrators", range(min = 1, max = 10_000))]
    pub admin: u32,
    /// Of `<owner>_backup`, which reads all data, for `pg_dump`.
    #[schemars(title = "Backups", range(min = 1, max = 10_000))]
    pub backup: u32,
}

impl Default for Roles {
    fn default() -> Self {
        Roles { application: 500, readonly: 200, admin: 50, backup: 10 }
    }
}

/// When a person is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Alarms {
    /// Processor, percent.
    #[schemars(title = "CPU in percent", range(min = 1, max = 100))]
    pub cpu_percent: u32,
    /// Freeable memory, MiB.
    #[schemars(title = "Freeable memory in MiB", range(min = 16, max = 1_048_576))]
    pub freeable_memory_mib: u32,
    /// Connections, percent of `max_connections`.
    #[schemars(title = "Connections in percent", range(min = 1, max = 100))]
    pub connections_percent: u32,
    /// The same, urgent.
    #[schemars(title = "Connections in percent, urgent", range(min = 1, max = 100))]
    pub connections_urgent_percent: u32,
    /// Lag of a reader or a local replica, milliseconds.
    #[schemars(title = "Replica lag in ms", range(min = 1, max = 3_600_000))]
    pub replica_lag_ms: u32,
    /// Lag of the second Region, milliseconds.
    #[schemars(title = "Lag of the second Region in ms", range(min = 1, max = 86_400_000))]
    pub region_lag_ms: u32,
    /// Lag of a replica in MiB of log.
    #[schemars(title = "Lag in MiB", range(min = 1, max = 1_048_576))]
    pub lag_mib: u32,
    /// The same, urgent.
    #[schemars(title = "Lag in MiB, urgent", range(min = 1, max = 1_048_576))]
    pub lag_urgent_mib: u32,
    /// Mean time of a write to storage, milliseconds.
    #[schemars(title = "Write latency in ms", range(min = 1, max = 10_000))]
    pub write_latency_ms: u32,
    /// Mean time of a read from storage, milliseconds.
    #[schemars(title = "Read latency in ms", range(min = 1, max = 10_000))]
    pub read_latency_ms: u32,
    /// Free storage, percent of what is allocated; only RDS.
    #[schemars(title = "Free storage in percent", range(min = 1, max = 99))]
    pub free_storage_percent: u32,
    /// The same, urgent.
    #[schemars(title = "Free storage in percent, urgent", range(min = 1, max = 99))]
    pub free_storage_urgent_percent: u32,
    /// Age of the oldest transaction id, millions, of `autovacuum_freeze_max_age`'s 200.
    #[schemars(title = "Transaction ids in millions", range(min = 1, max = 2_000))]
    pub transaction_ids_millions: u32,
    /// Capacity of Serverless v2, percent of its maximum.
    #[schemars(title = "Capacity in percent", range(min = 1, max = 100))]
    pub capacity_percent: u32,
}

impl Default for Alarms {
    fn default() -> Self {
        Alarms {
            cpu_percent: 80,
            freeable_memory_mib: 256,
            connections_percent: 80,
            connections_urgent_percent: 95,
            replica_lag_ms: 1_000,
            region_lag_ms: 1_000,
            lag_mib: 100,
            lag_urgent_mib: 500,
            write_latency_ms: 20,
            read_latency_ms: 20,
            free_storage_percent: 30,
            free_storage_urgent_percent: 20,
            transaction_ids_millions: 500,
            capacity_percent: 90,
        }
    }
}

/// An Aurora cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Aurora {
    /// Class of every instance; only of `aurora-provisioned`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Instance class", with = "String", regex(pattern = "^db\\.[a-z0-9]+\\.[a-z0-9]+$"), extend("x-allowed" = CLASS))]
    pub instance_class: Option<String>,
    /// Capacity; only of `aurora-serverless`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Capacity", with = "Capacity")]
    pub capacity: Option<Capacity>,
    /// Readers beside the writer. 1: the loss of a zone costs less than a minute.
    #[schemars(title = "Readers", range(min = 0, max = 15))]
    pub readers: u32,
    /// Readers of the second Region, beside the one that takes over there; 0 and no instance (`headless`) is not offered.
    #[schemars(title = "Readers of the second Region", range(min = 0, max = 15))]
    pub dr_readers: u32,
    /// I/O-Optimized storage (`aurora-iopt1`), for clusters whose I/O costs more than a quarter of the bill.
    #[schemars(title = "I/O-Optimized")]
    pub io_optimized: bool,
}

impl Default for Aurora {
    fn default() -> Self {
        Aurora { instance_class: None, capacity: None, readers: 1, dr_readers: 0, io_optimized: false }
    }
}

/// Aurora capacity units in halves: 0.5 is written as 0.5.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Capacity {
    /// Least capacity, in half units: 1 is 0.5 ACU, 0 pauses the cluster when nobody is connected.
    #[schemars(title = "Minimum in half ACU", range(min = 0, max = 512))]
    pub min_half_acu: u32,
    /// Most capacity, in half units: 256 is 128 ACU.
    #[schemars(title = "Maximum in half ACU", range(min = 2, max = 512))]
    pub max_half_acu: u32,
}

impl Default for Capacity {
    fn default() -> Self {
        Capacity { min_half_acu: 1, max_half_acu: 256 }
    }
}

/// RDS for PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rds {
    /// Class of every instance.
    #[schemars(title = "Instance class", regex(pattern = "^db\\.[a-z0-9]+\\.[a-z0-9]+$"), extend("x-allowed" = CLASS))]
    pub instance_class: String,
    /// Storage of every instance.
    #[schemars(title = "Storage")]
    pub storage: Storage,
    /// What AWS keeps ready in another zone.
    #[schemars(title = "Multi-AZ")]
    pub multi_az: MultiAz,
    /// Read replicas in this Region, which Understudy can promote.
    #[schemars(title = "Replicas", range(min = 0, max = 5))]
    pub replicas: u32,
    /// PgBouncer on hosts of its own, behind a load balancer; none given: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "PgBouncer", with = "PoolerTier")]
    pub pooler: Option<PoolerTier>,
}

impl Default for Rds {
    fn default() -> Self {
        Rds {
            instance_class: "db.r6i.xlarge".into(),
            storage: Storage::default(),
            multi_az: MultiAz::Instance,
            replicas: 1,
            pooler: None,
        }
    }
}

/// What AWS keeps ready in another zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MultiAz {
    /// Nothing: a replica is promoted, in minutes.
    None,
    /// A synchronous standby: 60 to 120 s.
    Instance,
    /// A DB cluster of three: under 35 s. Its readers are AWS's own; `replicas` are beside it.
    Cluster,
}

/// Storage of an RDS instance. It can grow, and never shrinks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// GiB.
    #[schemars(title = "Size in GiB", range(min = 20, max = 65_536))]
    pub size_gib: u32,
    /// Type.
    #[schemars(title = "Type")]
    pub r#type: VolumeType,
    /// Provisioned I/O operations a second; none given: the type's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(title = "IOPS", with = "u32", range(min = 1_000, max = 256_000))]
    pub iops: Option<u32>,
    /// AWS lets it grow up to this, GiB; none given: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Largest size in GiB", with = "u32", range(min = 22, max = 65_536))]
    pub max_size_gib: Option<u32>,
}

impl Default for Storage {
    fn default() -> Self {
        Storage { size_gib: 500, r#type: VolumeType::Io1, iops: Some(20_000), max_size_gib: Some(800) }
    }
}

/// PgBouncer on hosts of its own, in its own words.
///
/// Source: PgBouncer documentation, "config".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PoolerTier {
    /// How many hosts, each in another zone while there are zones.
    #[schemars(title = "Count", range(min = 1, max = 5))]
    pub count: u32,
    /// EC2 instance type.
    #[schemars(title = "Instance type", regex(pattern = "^[a-z][a-z0-9-]*[0-9][a-z0-9-]*\\.[a-z0-9-]+$"))]
    #[schemars(extend("x-allowed" = "an EC2 instance type, such as t4g.small"))]
    pub instance_type: String,
    /// `pool_mode`.
    #[schemars(title = "pool_mode")]
    pub pool_mode: PoolMode,
    /// `max_client_conn`, each host.
    #[schemars(title = "max_client_conn", range(min = 10, max = 20_000))]
    pub max_client_conn: u32,
    /// `default_pool_size`, each host.
    #[schemars(title = "default_pool_size", range(min = 1, max = 1_000))]
    pub default_pool_size: u32,
    /// `min_pool_size`, each host.
    #[schemars(title = "min_pool_size", range(min = 0, max = 1_000))]
    pub min_pool_size: u32,
    /// `reserve_pool_size`, each host.
    #[schemars(title = "reserve_pool_size", range(min = 0, max = 1_000))]
    pub reserve_pool_size: u32,
    /// `reserve_pool_timeout`, seconds.
    #[schemars(title = "reserve_pool_timeout", range(min = 0, max = 60))]
    pub reserve_pool_timeout: u32,
    /// `query_timeout`, seconds; 0: none.
    #[schemars(title = "query_timeout", range(min = 0, max = 86_400))]
    pub query_timeout: u32,
    /// `client_idle_timeout` and `server_idle_timeout`, seconds.
    #[schemars(title = "Idle time", range(min = 0, max = 86_400))]
    pub idle_timeout: u32,
    /// `server_lifetime`, seconds.
    #[schemars(title = "server_lifetime", range(min = 60, max = 86_400))]
    pub server_lifetime: u32,
}

impl Default for PoolerTier {
    fn default() -> Self {
        PoolerTier {
            count: 3,
            instance_type: "t4g.small".into(),
            pool_mode: PoolMode::Session,
            max_client_conn: 10_000,
            default_pool_size: 100,
            min_pool_size: 25,
            reserve_pool_size: 50,
            reserve_pool_timeout: 3,
            query_timeout: 30,
            idle_timeout: 900,
            server_lifetime: 3_600,
        }
    }
}
