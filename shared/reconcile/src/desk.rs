//! What a pass may ask of the fleet's own desk: the state table, the topic of the pages, the clock.

use crate::Failure;
use domain::{
    failover::Page,
    state::{Approval, Change, Finished, Holder, Pause, State, Synchronous},
};
use serde_json::Value;
use std::time::Duration;

/// What every cluster has, however it is built: its items in the state table,
/// the topic of its pages, and a clock.
///
/// Every call may fail with [`Failure::Transient`] (also when it had its
/// effect and only the answer was lost) or [`Failure::Broken`]; a conditional
/// one with [`Failure::LostRace`].
#[allow(async_fn_in_trait, reason = "every pass runs on one thread")]
pub trait Desk {
    /// The fleet.
    fn fleet(&self) -> &str;
    /// The cluster.
    fn cluster(&self) -> &str;
    /// The clock of this process, in milliseconds since 1970.
    fn now_ms(&self) -> u64;

    /// Waits.
    async fn sleep(&self, span: Duration);

    /// The state item as of now; `None` when the cluster never had one.
    async fn state(&self) -> Result<Option<State>, Failure>;

    /// I1: takes the lease and advances the epoch, if the epoch is
    /// `expected_epoch`, the phase steady, the lease free and the cluster not
    /// paused (a change that is only followed is made in a pause, too). The
    /// approval in the item goes with it.
    async fn begin(&self, expected_epoch: u64, holder: &Holder, change: &Change) -> Result<(), Failure>;

    /// Takes the lease, if the epoch is `epoch` and the lease free.
    async fn resume(&self, epoch: u64, holder: &Holder) -> Result<(), Failure>;

    /// Writes the change back, if the lease is the holder's.
    async fn note(&self, epoch: u64, holder: &str, change: &Change) -> Result<(), Failure>;

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

    /// Sends a page to the person on call.
    async fn send(&self, page: &Page) -> Result<(), Failure>;

    /// Writes the state of a cluster that has no writer, if it still has none
    /// and the epoch is `epoch` (0: no item); the epoch is advanced by one.
    async fn adopt(&self, epoch: u64, writer: &str, timeline: u32, set: &Synchronous) -> Result<(), Failure>;

    /// An item of the table that holds one JSON document.
    async fn kept(&self, item: &str) -> Result<Option<Value>, Failure>;

    /// Writes that document, or deletes it, if it still is `before`.
    async fn keep(&self, item: &str, before: Option<&Value>, after: Option<&Value>) -> Result<(), Failure>;

    /// Writes an approval, if the epoch is the approval's and the phase steady.
    async fn approve(&self, approval: &Approval) -> Result<(), Failure>;
}
