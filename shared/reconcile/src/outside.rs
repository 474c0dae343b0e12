//! What a pass may ask of the outside, one call at a time.
//!
//! Everything with an order or a condition in it is written against these
//! traits, so that the simulator drives the very code that runs in Lambda. No
//! call decides anything; each may be made twice.
//!
//! | trait | for |
//! |---|---|
//! | [`Desk`] | every cluster: state item, ledger, pages, clock |
//! | [`Outside`] | every cluster on EC2: look, records; nothing that touches a server |
//! | [`Steers`] | clusters that Understudy itself steers: fence, freeze, promote, repoint |
//! | [`Keeper`](crate::Keeper) | clusters whose roles somebody else assigns (I15): its account, its own calls |
//!
//! No cluster has both of the last two: a pass over a cluster with a keeper
//! cannot even be written to promote or to stop.

use crate::{Desk, Failure};
use domain::{
    card::Card,
    failover::{Host, PromotedSeen, Sql, Target},
    lsn::Lsn,
    records::RecordsSeen,
    state::{GuardSeen, Synchronous},
};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// The outside of one cluster on EC2: its hosts, its PostgreSQL servers and its
/// records, beside what every cluster has at its [`Desk`].
#[allow(async_fn_in_trait, reason = "every pass runs on one thread")]
pub trait Outside: Desk {
    /// The card of the cluster.
    fn card(&self) -> &Card;

    /// What a member's boot guard wrote; `None` when it never did.
    async fn guard(&self, member: &str) -> Result<Option<GuardSeen>, Failure>;

    /// Publishes the set that commits wait for, if the lease is the holder's;
    /// with a new floor when one is given.
    async fn publish_synchronous(
        &self,
        epoch: u64,
        holder: &str,
        set: &Synchronous,
        floor: Option<Lsn>,
    ) -> Result<(), Failure>;

    /// What EC2 says of the hosts of all members.
    async fn hosts(&self) -> Result<BTreeMap<String, Host>, Failure>;

    /// What PostgreSQL on a member answers; never an error.
    async fn probe(&self, member: &Target, timeout: Duration) -> Sql;

    /// The three records.
    async fn records(&self) -> Result<RecordsSeen, Failure>;

    /// Moves the writer record and its epoch in one batch, if both are `from`.
    async fn move_writer(&self, from: Option<(IpAddr, u64)>, to: (IpAddr, u64)) -> Result<(), Failure>;

    /// Lets the reader record name exactly these.
    async fn set_readers(&self, addresses: &[IpAddr]) -> Result<(), Failure>;
}

/// The outside of a cluster that Understudy steers: what it may do to servers.
#[allow(async_fn_in_trait, reason = "every pass runs on one thread")]
pub trait Steers: Outside {
    /// Orders a host to stop, without waiting for its operating system.
    async fn stop_host(&self, id: &str) -> Result<(), Failure>;

    /// Cuts a standby from its upstream, and waits until its receiver is gone.
    async fn freeze(&self, member: &Target) -> Result<(), Failure>;

    /// Points a standby at an upstream.
    async fn follow(&self, member: &Target, upstream: IpAddr) -> Result<(), Failure>;

    /// Promotes a standby; one that is promoted says the same again.
    async fn promote(&self, member: &Target) -> Result<PromotedSeen, Failure>;

    /// Commits a row that carries the epoch, waiting for no standby.
    async fn prove(&self, member: &Target, epoch: u64) -> Result<PromotedSeen, Failure>;

    /// Creates physical slots that are missing.
    async fn prepare_slots(&self, member: &Target, slots: &[String]) -> Result<(), Failure>;

    /// Sets `synchronous_standby_names`, and waits until it is read.
    async fn set_synchronous(&self, member: &Target, setting: &str) -> Result<(), Failure>;

    /// `CHECKPOINT`, so that a shutdown that follows is short.
    async fn checkpoint(&self, member: &Target) -> Result<(), Failure>;
}
