//! What a pass may ask of the outside, one call at a time.
//!
//! Everything with an order or a condition in it is written against these
//! traits, so that the simulator drives the very code that runs in Lambda. No
//! call decides anything; each may be made twice.
//!
//! | trait | for |
//! |---|---|
//! | [`Outside`] | every cluster: look, state item, records, pages; nothing that touches a server |
//! | [`Steers`] | clusters that Understudy itself steers: fence, freeze, promote, repoint |
//! | [`Keeper`](crate::Keeper) | clusters whose roles somebody else assigns (I15): its account, its own calls |
//!
//! No cluster has both of the last two: a pass over a cluster with a keeper
//! cannot even be written to promote or to stop.

use crate::Failure;
use domain::{
    card::Card,
    failover::{Host, Page, PromotedSeen, Sql, Target},
    lsn::Lsn,
    records::RecordsSeen,
    state::{Approval, Change, Finished, GuardSeen, Holder, Pause, State, Synchronous},
};
use serde_json::Value;
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// The outside of one cluster: its state item, its hosts, its PostgreSQL
/// servers, its records, and the topic of the pages.
///
/// Every call may fail with [`Failure::Transient`] (also when it had its
/// effect and only the answer was lost) or [`Failure::Broken`]; a conditional
/// one with [`Failure::LostRace`].
#[allow(async_fn_in_trait, reason = "every pass runs on one thread")]
pub trait Outside {
    /// The card of the cluster.
    fn card(&self) -> &Card;
    /// The clock of this process, in milliseconds since 1970.
    fn now_ms(&self) -> u64;
    /// Waits.
    async fn sleep(&self, span: Duration);

    /// The state item as of now; `None` when the cluster never had one.
    async fn state(&self) -> Result<Option<State>, Failure>;
    /// What a member's boot guard wrote; `None` when it never did.
    async fn guard(&self, member: &str) -> Result<Option<GuardSeen>, Failure>;
    /// I1: takes the lease and advances the epoch, if the epoch is
    /// `expected_epoch`, the phase steady, the lease free and the cluster not
    /// paused (a change that is only followed is made in a pause, too). The
    /// approval in the item goes with it.
    async fn begin(&self, expected_epoch: u64, holder: &Holder, change: &Change) -> Result<(), Failure>;
    /// Takes the lease, if the epoch is `epoch` and the lease free.
    async fn resume(&self, epoch: u64, holder: &Holder) -> Result<(), Failure>;
    /// Writes the change back, if the lease is the holder's.
    async fn note(&self, epoch: u64, holder: &str, change: &Change) -> Result<(), Failure>;
    /// Publishes the set that commits wait for, if the lease is the holder's;
    /// with a new floor when one is given.
    async fn publish_synchronous(
        &self,
        epoch: u64,
        holder: &str,
        set: &Synchronous,
        floor: Option<Lsn>,
    ) -> Result<(), Failure>;
    /// Ends the change, if the lease is the holder's: the phase is steady, the
    /// lease free.
    async fn finish(&self, epoch: u64, holder: &str, finished: &Finished) -> Result<(), Failure>;
    /// Gives the change up, if the lease is the holder's: the writer stays, the
    /// phase is steady, the lease free. The epoch stays advanced.
    async fn abandon(&self, epoch: u64, holder: &str) -> Result<(), Failure>;
    /// Lets the lease go and keeps the rest, if the lease is the holder's.
    async fn release(&self, epoch: u64, holder: &str) -> Result<(), Failure>;
    /// Writes a pause, if the epoch is `epoch` and the phase steady.
    async fn pause(&self, epoch: u64, pause: &Pause) -> Result<(), Failure>;
    /// Whether `what` is to be told now: `true` for one caller in `every_ms`.
    async fn tell_once(&self, what: &str, now_ms: u64, every_ms: u64) -> Result<bool, Failure>;
    /// Takes that mark back: the telling failed.
    async fn untell(&self, what: &str) -> Result<(), Failure>;
    /// Writes an item of the ledger; `false` when it was there.
    async fn append(&self, item: &str, entry: &Value) -> Result<bool, Failure>;

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

    /// Sends a page to the person on call.
    async fn send(&self, page: &Page) -> Result<(), Failure>;
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
    /// Writes an approval, if the epoch is the approval's and the phase steady.
    async fn approve(&self, approval: &Approval) -> Result<(), Failure>;
}
