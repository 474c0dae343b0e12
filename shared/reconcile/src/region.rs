//! What a pass over a cluster with a second Region may ask, from that Region.

use crate::{Desk, Failure};
use domain::{
    failover::PromotedSeen,
    managed::{GlobalSeen, Roles},
    region::{Check, Checked, DrCard, Place, Position, Server, SideSeen},
    state::Holder,
};
use serde_json::Value;

/// The outside of one cluster whose second Region this fleet is in.
///
/// Everything about [`Place::Here`] is answered by this Region, and by Route 53. What is about [`Place::There`] is asked
/// of the other Region with a short patience; it may fail for ever, and a failover goes on without.
#[allow(async_fn_in_trait, reason = "every pass runs on one thread")]
pub trait Regions: Desk {
    /// The card.
    fn card(&self) -> &DrCard;

    /// One Region's side: its servers by AWS and by PostgreSQL, whether they are cut off, what its table says.
    async fn side(&self, at: Place) -> Result<SideSeen, Failure>;
    /// Aurora's global cluster, by this Region's API; `None` when there is none.
    async fn global(&self) -> Result<Option<GlobalSeen>, Failure>;
    /// How far this side, whose successor is this server, was behind when that was last known, by what this Region knows.
    async fn risk(&self, successor: Option<&Server>) -> Position;
    /// Whether a person paused the cluster, here.
    async fn is_paused(&self) -> Result<bool, Failure>;

    /// Writes the item `region` of the other Region's table, and lets nobody act there by itself while it does not serve.
    async fn mark(&self, item: &Value) -> Result<(), Failure>;
    /// Cuts clients off from a server, and lets nobody start or repair it. The same again changes nothing.
    async fn cut_off(&self, at: Place, server: &str) -> Result<(), Failure>;
    /// Ends the sessions of clients that were cut off; who is left is seen by the next look.
    async fn end_sessions(&self, at: Place, server: &str) -> Result<(), Failure>;
    /// Takes the cut back.
    async fn let_in(&self, at: Place, server: &str) -> Result<(), Failure>;
    /// Makes a replica a writer of its own. `order` tells one order from another.
    async fn promote(&self, at: Place, server: &str, order: &str) -> Result<(), Failure>;
    /// Moves the writer of Aurora's global cluster to the cluster with this ARN.
    async fn move_global(&self, global: &str, to: &str, allow_data_loss: bool) -> Result<(), Failure>;
    /// Commits a row that carries the epoch.
    async fn prove(&self, at: Place, endpoint: &str, epoch: u64) -> Result<PromotedSeen, Failure>;
    /// Makes the other Region's state item name its writer.
    async fn claim_there(&self, holder: &Holder, writer: &str, promoted: PromotedSeen) -> Result<(), Failure>;
    /// Writes who is what in the other Region's table.
    async fn keep_roles_there(&self, roles: &Roles) -> Result<(), Failure>;
    /// Turns automated backups of a server of this Region on.
    async fn set_backups(&self, server: &str) -> Result<(), Failure>;
    /// Lets this side's own record name its writer.
    async fn point_record(&self, to: &str) -> Result<(), Failure>;
    /// Tells the metric of the pair whether the primary serves.
    async fn publish(&self, primary_serves: bool) -> Result<(), Failure>;
    /// Tells `deploy-cluster` of a Region to render the stack with the roles of today.
    async fn render_anew(&self, at: Place) -> Result<(), Failure>;
}

/// Whether a takeover would work, asked of this Region alone: nothing that has this can name the other one.
#[allow(async_fn_in_trait, reason = "every pass runs on one thread")]
pub trait Preflights: Desk {
    /// The card.
    fn card(&self) -> &DrCard;
    /// Tries one thing that a takeover needs; never an error: what cannot be tried would fail.
    async fn check(&self, check: Check) -> Checked;
    /// Tells the metric whether all checks are well.
    async fn publish_ready(&self, ready: bool) -> Result<(), Failure>;
}
