//! Backups by pgBackRest, a standby in a second Region, monitoring.

use super::{DataVolume, Network};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Backups by pgBackRest to a bucket of the cluster's own.
///
/// Source: pgBackRest documentation, "Configuration Reference".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Backups {
    /// `repo1-retention-full`: full backups kept.
    #[schemars(title = "Full backups kept", range(min = 1, max = 520))]
    pub retention_full: u32,
    /// `repo1-retention-diff`: differential backups kept.
    #[schemars(title = "Differential backups kept", range(min = 1, max = 520))]
    pub retention_diff: u32,
    /// When a full backup is taken: systemd's `OnCalendar`, UTC.
    #[schemars(title = "Full backup", length(min = 5, max = 60), extend("x-allowed" = "a calendar event of systemd, such as Sun 02:00"))]
    pub full_at: String,
    /// When a differential one is taken: systemd's `OnCalendar`, UTC.
    #[schemars(title = "Differential backup", length(min = 5, max = 60), extend("x-allowed" = "a calendar event of systemd, such as Mon..Sat 02:00"))]
    pub diff_at: String,
    /// `archive_timeout`, seconds: how much at most is lost with all members at once.
    #[schemars(title = "archive_timeout", range(min = 10, max = 3_600))]
    pub archive_timeout_s: u32,
    /// `process-max`.
    #[schemars(title = "process-max", range(min = 1, max = 64))]
    pub process_max: u32,
    /// `compress-level` of lz4.
    #[schemars(title = "Compression level", range(min = 0, max = 12))]
    pub compress_level: u32,
    /// Days after which objects move to the storage class Standard-IA; 0: never.
    #[schemars(title = "Days until Standard-IA", range(min = 0, max = 3_650))]
    pub infrequent_access_days: u32,
    /// Days after which a version that was deleted or replaced is gone for good.
    #[schemars(title = "Days of old versions", range(min = 1, max = 3_650))]
    pub noncurrent_days: u32,
    /// A dump of the application's database each day, kept so many days on the backup volume; 0: none.
    #[schemars(title = "Days of dumps", range(min = 0, max = 365))]
    pub dump_days: u32,
}

impl Default for Backups {
    fn default() -> Self {
        Backups {
            retention_full: 2,
            retention_diff: 7,
            full_at: "Sun 02:00".into(),
            diff_at: "Mon..Sat 02:00".into(),
            archive_timeout_s: 60,
            process_max: 2,
            compress_level: 6,
            infrequent_access_days: 30,
            noncurrent_days: 90,
            dump_days: 0,
        }
    }
}

/// A standby in a second Region. The same spec is given to the fleets of both Regions; each deploys its part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dr {
    /// The Region of the members.
    #[schemars(title = "Primary Region", regex(pattern = "^[a-z]{2}(-[a-z]+)+-[0-9]$"), example = &"us-east-1", extend("x-allowed" = "a Region, such as us-east-1"))]
    pub primary_region: String,
    /// The Region of the standby.
    #[schemars(title = "DR Region", regex(pattern = "^[a-z]{2}(-[a-z]+)+-[0-9]$"), example = &"us-west-2", extend("x-allowed" = "a Region, such as us-west-2"))]
    pub region: String,
    /// IPv4 network of the members' VPC.
    #[schemars(title = "Primary network", example = &"10.0.0.0/16", extend("x-allowed" = "an IPv4 network such as 10.0.0.0/16"))]
    pub primary_cidr: String,
    /// IPv4 network of the standby's VPC.
    #[schemars(title = "DR network", example = &"10.1.0.0/16", extend("x-allowed" = "an IPv4 network such as 10.1.0.0/16"))]
    pub cidr: String,
    /// The members' VPC, to which the DR side asks for a peering connection; none given: the VPCs are connected already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Primary VPC", with = "String", regex(pattern = "^vpc-[0-9a-f]{8,17}$"), extend("x-allowed" = "a VPC id, such as vpc-0123456789abcdef0"))]
    pub primary_vpc_id: Option<String>,
    /// The peering connection, an output of the DR side's stack: the primary side's routes need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Peering connection", with = "String", regex(pattern = "^pcx-[0-9a-f]{8,17}$"), extend("x-allowed" = "a peering connection's id, such as pcx-0123456789abcdef0"))]
    pub peering_connection_id: Option<String>,
    /// The DR Region's own bucket, an output of the DR side's stack: the primary side's bucket replicates to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(title = "DR bucket", with = "String", regex(pattern = "^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$"), extend("x-allowed" = "an S3 bucket's name"))]
    pub backup_bucket: Option<String>,
    /// EC2 instance type of the standby, or DB instance class; none given: that of the members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        title = "Instance type",
        with = "String",
        regex(pattern = "^(db\\.)?[a-z][a-z0-9-]*[0-9][a-z0-9-]*\\.[a-z0-9-]+$")
    )]
    #[schemars(extend("x-allowed" = "an EC2 instance type, such as m7g.large; of RDS or Aurora a class, such as db.r7g.large"))]
    pub instance_type: Option<String>,
    /// Its data volume; none given: like that of the members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Data volume", with = "DataVolume")]
    pub data_volume: Option<DataVolume>,
    /// Where it is placed in its Region.
    #[serde(default)]
    #[schemars(title = "Network")]
    pub network: Network,
    /// `repo2-retention-full`: full backups kept in the DR Region's own bucket.
    #[serde(default = "Dr::retention_full")]
    #[schemars(title = "Full backups kept", range(min = 1, max = 520))]
    pub retention_full: u32,
}

impl Dr {
    fn retention_full() -> u32 {
        2
    }
}

/// Prometheus, Alertmanager and Grafana on an instance of the cluster's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Monitoring {
    /// EC2 instance type; none given: t4g.small or t3.small, as the members' processors are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        title = "Instance type",
        with = "String",
        regex(pattern = "^[a-z][a-z0-9-]*[0-9][a-z0-9-]*\\.[a-z0-9-]+$")
    )]
    #[schemars(extend("x-allowed" = "an EC2 instance type, such as t3.small"))]
    pub instance_type: Option<String>,
    /// Its volume.
    #[schemars(title = "Volume in GiB", range(min = 20, max = 2_000))]
    pub volume_gib: u32,
    /// Days of metrics that Prometheus keeps.
    #[schemars(title = "Retention in days", range(min = 1, max = 365))]
    pub retention_days: u32,
    /// Seconds between two scrapes, and between two evaluations of the rules.
    #[schemars(title = "Scrape interval", range(min = 5, max = 120))]
    pub scrape_s: u32,
    /// Whether Grafana is installed beside Prometheus.
    #[schemars(title = "Grafana")]
    pub grafana: bool,
}

impl Default for Monitoring {
    fn default() -> Self {
        Monitoring { instance_type: None, volume_gib: 50, retention_days: 15, scrape_s: 15, grafana: true }
    }
}
