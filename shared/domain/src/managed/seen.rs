//! What one look at a managed cluster yields: RDS's words, and PostgreSQL's.

use super::Roles;
use crate::{
    card::ManagedCard,
    failover::{Lease, Seen, Sql, Suspicion},
    follow::Waiting,
    lsn::Lsn,
    state::State,
};
use std::collections::BTreeMap;

/// One cluster as one look saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The card.
    pub card: ManagedCard,
    /// When this look was taken, in milliseconds since 1970.
    pub looked_at_ms: u64,
    /// The state item.
    pub state: State,
    /// Who holds the lease.
    pub lease: Lease,
    /// What RDS says.
    pub rds: Seen<Described>,
    /// What PostgreSQL on each instance answered, by its identifier.
    pub sql: BTreeMap<String, Sql>,
    /// What each replica says of its lag, by its identifier.
    pub lags: BTreeMap<String, Lag>,
    /// The records.
    pub records: Seen<NamesSeen>,
    /// What `watch-clusters` said when it woke this pass.
    pub suspicion: Option<Suspicion>,
    /// When the writer of record was first found silent, in milliseconds since 1970.
    pub silent_since_ms: Option<u64>,
    /// When `watch-clusters` last found the writer of record out of recovery, in milliseconds since 1970; `None` when
    /// it did not say.
    pub answered_ms: Option<u64>,
    /// Since when passes wait, and for what.
    pub waiting: Option<Waiting>,
    /// Who fills which place today: the item `roles`; `None` before anybody wrote it, when all is as the spec has it.
    pub roles: Option<Roles>,
    /// To which instance a person wants the writer moved, in this call.
    pub switchover: Option<String>,
}

/// How far a replica is behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// Bytes, when the writer's position is known.
    pub bytes: Option<u64>,
    /// Milliseconds.
    pub ms: Option<u64>,
    /// The last position that it replayed.
    pub replayed: Option<Lsn>,
}

/// What RDS says of a cluster, in one Region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Described {
    /// The instances: of the DB cluster, or of the card and those that replicate from them.
    pub instances: Vec<InstanceSeen>,
    /// The DB cluster: Aurora, or a Multi-AZ DB cluster.
    pub db_cluster: Option<DbClusterSeen>,
    /// Aurora's global cluster.
    pub global: Option<GlobalSeen>,
}

/// `DescribeDBInstances`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceSeen {
    /// `DBInstanceIdentifier`.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// `DBInstanceStatus`: `available`, `modifying`, `rebooting`, `stopped`, `failed`.
    pub status: String,
    /// Name of its endpoint, when it has one yet.
    pub endpoint: Option<String>,
    /// `DBInstanceClass`.
    pub class: String,
    /// Availability Zone.
    pub zone: Option<String>,
    /// Whether it has a synchronous standby.
    pub multi_az: bool,
    /// Whom it replicates from, as an identifier, or an ARN in another Region; `None`: from nobody.
    pub source: Option<String>,
    /// Who replicates from it, identifiers or ARNs.
    pub replicas: Vec<String>,
    /// `BackupRetentionPeriod`; 0: no automated backups.
    pub backup_retention_days: u32,
    /// Aurora's promotion tier.
    pub promotion_tier: Option<u8>,
    /// Security groups with their status, `active` once they hold.
    pub security_groups: Vec<(String, String)>,
    /// The subnet that it is in, when its zone has exactly one of its subnet group.
    pub subnet: Option<String>,
    /// The network ACL that this subnet has now, when it was asked for.
    pub network_acl: Option<String>,
}

/// `DescribeDBClusters`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DbClusterSeen {
    /// `DBClusterIdentifier`.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// `Status`: `available`, `failing-over`, `modifying`, `promoting`.
    pub status: String,
    /// Name of the writer endpoint.
    pub endpoint: Option<String>,
    /// Name of the reader endpoint.
    pub reader_endpoint: Option<String>,
    /// Identifier of the instance that RDS calls writer now.
    pub writer: Option<String>,
    /// Whether it pauses by itself when nobody uses it (Serverless v2, `MinCapacity` 0): who asks PostgreSQL wakes it.
    pub pauses: bool,
}

/// `DescribeGlobalClusters`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GlobalSeen {
    /// `GlobalClusterIdentifier`.
    pub id: String,
    /// `Status`.
    pub status: String,
    /// ARN of the member that writes.
    pub writer: Option<String>,
    /// ARNs of all members.
    pub members: Vec<String>,
    /// `FailoverState`: status, from, to, whether data may be lost; `None` when none is under way.
    pub failover: Option<GlobalFailover>,
}

/// `GlobalCluster.FailoverState`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GlobalFailover {
    /// `pending`, `failing-over`, `cancelling`.
    pub status: String,
    /// ARN of the member that is to write.
    pub to: Option<String>,
    /// Whether it is a failover that may lose data.
    pub allows_data_loss: bool,
}

/// The records of a managed cluster as they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamesSeen {
    /// Target of the writer's CNAME, without a final dot; `None` when there is no such record.
    pub writer: Option<String>,
    /// Epoch of the last move of the writer's record.
    pub epoch: Option<u64>,
    /// Targets of the readers' CNAMEs (weighted, one for each), sorted.
    pub readers: Vec<String>,
}

impl Described {
    /// The instance with this identifier.
    #[must_use]
    pub fn instance(&self, id: &str) -> Option<&InstanceSeen> {
        self.instances.iter().find(|instance| instance.id == id)
    }
}

impl InstanceSeen {
    /// Whether RDS says that it can be worked with.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.status == "available"
    }
}
