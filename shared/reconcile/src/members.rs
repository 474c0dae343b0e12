//! What a pass may ask of the members' own shell: one script, by SSM Run Command.

use crate::{Failure, Outside};
use domain::rejoin::{CommandSeen, Order, Rejoin, Sent};

/// The outside of one cluster whose members can be told to run `rejoin.sh`.
///
/// As [`Outside`], no call decides anything. A command has no token by which
/// SSM could tell that it was sent before: hence [`find`](Members::find).
#[allow(async_fn_in_trait, reason = "every pass runs on one thread")]
pub trait Members: Outside {
    /// What is known of a member's way back: the item `rejoin#<instance id>`.
    async fn rejoin(&self, member: &str) -> Result<Option<Rejoin>, Failure>;
    /// Writes that item, if it still is `before`.
    async fn note_rejoin(&self, member: &str, before: Option<&Rejoin>, after: &Rejoin) -> Result<(), Failure>;
    /// Deletes that item, if it still is `before`; one that is gone is a success.
    async fn forget_rejoin(&self, member: &str, before: &Rejoin) -> Result<(), Failure>;

    /// Sends `rejoin.sh` to a member, at most once. After a
    /// [`Failure::Transient`] nobody knows whether it was sent.
    async fn send_command(&self, member: &str, order: &Order) -> Result<Sent, Failure>;
    /// The command of this order, if SSM has it.
    async fn find_command(&self, member: &str, order: &Order) -> Result<Option<String>, Failure>;
    /// How far a command is.
    async fn command(&self, member: &str, command: &str) -> Result<CommandSeen, Failure>;
}
