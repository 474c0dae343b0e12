//! What a pass may ask of a cluster that AWS runs.

use crate::{Desk, Failure};
use domain::{
    card::ManagedCard,
    failover::{PromotedSeen, Sql},
    managed::{Described, Lag, NamesSeen},
};
use std::{collections::BTreeMap, time::Duration};

/// The outside of one managed cluster, in its own Region: RDS, PostgreSQL, the records.
///
/// As of every outside, no call decides anything, and each may be made twice. RDS's calls have no token: whoever
/// orders something looks first, and notes before the order that it was about to be given.
#[allow(async_fn_in_trait, reason = "every pass runs on one thread")]
pub trait Managed: Desk {
    /// The card of the cluster.
    fn card(&self) -> &ManagedCard;

    /// What RDS says of the cluster's instances, DB cluster and global cluster; with the network ACL of the subnets
    /// when the card has an isolation.
    async fn describe(&self) -> Result<Described, Failure>;
    /// What PostgreSQL behind an endpoint's name answers; never an error.
    async fn probe(&self, endpoint: &str, timeout: Duration) -> Sql;
    /// What each replica says of its lag: Aurora by `aurora_replica_status()` on the writer or any reader, RDS by
    /// `pg_last_xact_replay_timestamp()` and positions on the replicas.
    async fn lags(&self, described: &Described) -> BTreeMap<String, Lag>;
    /// Client sessions of others than Understudy and AWS that an instance has; `None` when it does not answer.
    async fn client_sessions(&self, endpoint: &str) -> Option<u32>;

    /// The records.
    async fn names(&self) -> Result<NamesSeen, Failure>;
    /// Moves the writer's CNAME and its epoch in one batch, if both are `from`.
    async fn move_writer(&self, from: Option<(&str, u64)>, to: (&str, u64)) -> Result<(), Failure>;
    /// Lets the readers' weighted CNAMEs be exactly these, by instance identifier and endpoint.
    async fn set_readers(&self, readers: &[(String, String)]) -> Result<(), Failure>;

    /// Gives an instance these security groups and no others.
    async fn set_security_groups(&self, instance: &str, groups: &[String]) -> Result<(), Failure>;
    /// Gives a subnet this network ACL.
    async fn set_network_acl(&self, subnet: &str, acl: &str) -> Result<(), Failure>;
    /// Ends the client sessions of an instance by SQL; how many.
    async fn end_sessions(&self, endpoint: &str) -> Result<u32, Failure>;
    /// Restarts an instance, without a failover.
    async fn reboot(&self, instance: &str) -> Result<(), Failure>;
    /// Stops an instance.
    async fn stop(&self, instance: &str) -> Result<(), Failure>;
    /// Makes a read replica a writer of its own. Irreversible; a second call is refused by RDS.
    async fn promote(&self, instance: &str, retention_days: u32, window: &str) -> Result<(), Failure>;
    /// Sets the automated backups of an instance.
    async fn set_backups(&self, instance: &str, retention_days: u32, window: &str) -> Result<(), Failure>;
    /// Orders a DB cluster to fail over to this instance. A second call fails over again.
    async fn fail_over(&self, db_cluster: &str, to: &str) -> Result<(), Failure>;
    /// Commits a row that carries the epoch.
    async fn prove(&self, endpoint: &str, epoch: u64) -> Result<PromotedSeen, Failure>;
    /// Tells `deploy-cluster` to render the stack anew with the roles of today, which makes the missing replicas.
    async fn render_anew(&self) -> Result<(), Failure>;
}
