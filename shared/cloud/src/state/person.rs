//! What a person wrote into the state item: a pause, an approval.

use super::{
    StateTable, UPDATE,
    item::{self, number, text},
    write::Write,
};
use domain::state::{Approval, Pause};
use reconcile::Failure;

/// Nothing changes now, at the epoch that the person was told of.
const STEADY: &str = "#epoch = :epoch AND #phase = :steady";

impl StateTable {
    /// I10: from now until the pause ends, no change of writer begins.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:UpdateItem`; [`Failure::LostRace`] unless the
    /// epoch is `epoch` and the phase steady.
    pub async fn pause(&self, cluster: &str, epoch: u64, pause: &Pause) -> Result<(), Failure> {
        let write = Write {
            set: "#paused_until_ms = :until, #pause_reason = :reason",
            remove: "",
            only_if: STEADY,
            values: vec![
                (":epoch", number(epoch)),
                (":steady", text(item::STEADY)),
                (":until", number(pause.until_ms)),
                (":reason", text(&pause.reason)),
            ],
        };
        self.write(cluster, write).await
    }

    /// Allows the next change of writer to lose acknowledged rows.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:UpdateItem`; [`Failure::LostRace`] unless the
    /// epoch is the approval's and the phase steady.
    pub async fn approve(&self, cluster: &str, approval: &Approval) -> Result<(), Failure> {
        let json = serde_json::to_string(approval)
            .map_err(|error| Failure::Broken { call: UPDATE, what: format!("the approval is not JSON: {error}") })?;
        let write = Write {
            set: "#approval = :approval",
            remove: "",
            only_if: STEADY,
            values: vec![
                (":epoch", number(approval.epoch)),
                (":steady", text(item::STEADY)),
                (":approval", text(&json)),
            ],
        };
        self.write(cluster, write).await
    }
}
