//! The card of a cluster that AWS runs: Aurora or RDS.

use super::{Card, Records, Topology};
use crate::policy::Policy;
use serde::{Deserialize, Deserializer, Serialize, de::Error};

/// The card of one managed cluster, in one Region: an SSM parameter that its own stack makes.
///
/// As [`Card`], it says where things are and what is allowed, never who writes now. Both Regions of a cluster with a
/// second one have a card of their own, each in its own fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedCard {
    /// Shape of this document; 1.
    pub version: u32,
    /// The fleet that looks after the cluster in this Region.
    pub fleet: String,
    /// The cluster's name.
    pub cluster: String,
    /// `aurora-provisioned`, `aurora-serverless` or `rds-postgres`.
    pub topology: Topology,
    /// Which side of the cluster this is.
    pub side: Side,
    /// The Region of this side.
    pub region: String,
    /// The application's database.
    pub database: String,
    /// PostgreSQL's port.
    pub port: u16,
    /// The records: CNAMEs to endpoints of AWS.
    pub records: Records,
    /// ARN of the secret with which functions log in: `{"username","password"}`.
    pub operator_secret: String,
    /// Identifier of the DB cluster: of Aurora, and of a Multi-AZ DB cluster of RDS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub db_cluster: Option<String>,
    /// The instances that the stack made in this Region, in the order of the spec. Others may have been added since.
    pub instances: Vec<CardInstance>,
    /// Whether RDS keeps a synchronous standby of the writer in another zone, or the cluster is Aurora: AWS fails over.
    pub aws_fails_over: bool,
    /// Identifier of Aurora's global cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global_cluster: Option<String>,
    /// The side in the other Region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<OtherRegion>,
    /// What cuts an old writer off; only of `rds-postgres`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// What a promoted replica's automated backups shall be; only of `rds-postgres`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backups: Option<BackupCard>,
    /// The name that follows the serving Region, when there are two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<PairCard>,
    /// Endpoint of the RDS Proxy, or of the PgBouncer tier's load balancer, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooler: Option<String>,
    /// What may be done without asking.
    pub policy: Policy,
}

/// Which side of a cluster that has two Regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// Where the spec puts the writer.
    Primary,
    /// The second Region.
    Dr,
}

/// One instance of a managed cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardInstance {
    /// `DBInstanceIdentifier`: `prod-ledger-2`, and `prod-ledger-2-g3` for the third of this place.
    pub id: String,
    /// Its place in the spec, counted from 1; the same for whatever instance fills it.
    pub place: u32,
    /// Whether it may never become writer.
    #[serde(default)]
    pub never_promote: bool,
    /// Aurora's promotion tier, 0 (first) to 15; of RDS replicas, lower is preferred among equals.
    #[serde(default)]
    pub tier: u8,
}

/// The other Region's side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherRegion {
    /// The Region.
    pub region: String,
    /// ARN of its Aurora cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub db_cluster_arn: Option<String>,
    /// Its instances.
    #[serde(default)]
    pub instances: Vec<String>,
}

/// What cuts an old writer off from its clients, and what gives it back to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// The security groups of normal life.
    pub security_groups: Vec<String>,
    /// The group that lets nobody in but Understudy's functions.
    pub isolated_group: String,
    /// A network ACL that lets nothing in or out, when the subnets are the cluster's own and nobody else is in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_acl: Option<String>,
    /// The network ACL of normal life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual_network_acl: Option<String>,
}

/// Automated backups as the spec wants them of the writer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupCard {
    /// `BackupRetentionPeriod`.
    pub retention_days: u32,
    /// `PreferredBackupWindow`, UTC.
    pub window: String,
}

/// The pair of failover records of one name: PRIMARY is `<name>-rw` of the primary Region, SECONDARY that of the
/// second. Made in advance by the second Region's stack; moved by a metric and a health check, so that no control
/// plane of Route 53 is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairCard {
    /// The name.
    pub name: String,
    /// Name of the CloudWatch alarm, in the second Region, that the health check reads.
    pub alarm: String,
    /// Namespace of the metric that the alarm watches; its dimensions are `Fleet` and `Cluster`, 1: the primary serves.
    pub namespace: String,
    /// Name of that metric.
    pub metric: String,
    /// Id of the health check.
    pub health_check: String,
}

impl ManagedCard {
    /// The instance with this identifier.
    #[must_use]
    pub fn instance(&self, id: &str) -> Option<&CardInstance> {
        self.instances.iter().find(|instance| instance.id == id)
    }

    /// Whether RDS's word for a database means this cluster: its DB cluster, one of its instances, or its global cluster.
    #[must_use]
    pub fn is_called(&self, database: &str) -> bool {
        self.db_cluster.as_deref() == Some(database)
            || self.global_cluster.as_deref() == Some(database)
            || self.instance(database).is_some()
    }
}

/// A card of whatever kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant, reason = "a fleet has some hundred of them, and each is read once a minute")]
pub enum Registered {
    /// On EC2 instances.
    Ec2(Card),
    /// Run by AWS.
    Managed(ManagedCard),
}

impl<'de> Deserialize<'de> for Registered {
    /// By its topology, so that what is wrong with a card is said of the kind that it is.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Kind {
            topology: Topology,
        }
        let value = serde_json::Value::deserialize(deserializer)?;
        let kind = Kind::deserialize(&value).map_err(D::Error::custom)?;
        if kind.topology.is_managed() {
            serde_json::from_value(value).map(Registered::Managed).map_err(D::Error::custom)
        } else {
            serde_json::from_value(value).map(Registered::Ec2).map_err(D::Error::custom)
        }
    }
}

impl Registered {
    /// The fleet.
    #[must_use]
    pub fn fleet(&self) -> &str {
        match self {
            Registered::Ec2(card) => &card.fleet,
            Registered::Managed(card) => &card.fleet,
        }
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> &str {
        match self {
            Registered::Ec2(card) => &card.cluster,
            Registered::Managed(card) => &card.cluster,
        }
    }

    /// How it is built.
    #[must_use]
    pub fn topology(&self) -> Topology {
        match self {
            Registered::Ec2(card) => card.topology,
            Registered::Managed(card) => card.topology,
        }
    }
}
