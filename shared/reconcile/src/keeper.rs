//! What a pass may ask where somebody else assigns the roles.

use crate::{Desk, Failure, Looks, Outside};
use domain::{
    failover::{Host, Seen},
    follow::{Account, Handover, Led, StoreHost, Waiting},
    rejoin::{CommandSeen, Order, Sent},
};
use futures_util::future::join3;
use std::{collections::BTreeMap, time::Duration};

/// The item in which a pass notes since when it waits for the keeper.
pub(crate) const WAITING: &str = "follow";

/// What the keeper's agents answered in one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voices {
    /// The account of one of them.
    pub account: Seen<Account>,
    /// What each says of itself, a sentence each.
    pub heard: Vec<String>,
}

/// The outside of a cluster whose roles a keeper assigns (I15): Patroni.
///
/// None of its calls touches a server; the last two ask the keeper, which
/// decides by its own rules.
#[allow(async_fn_in_trait, reason = "every pass runs on one thread")]
pub trait Keeper: Outside {
    /// What the keeper is called.
    fn name(&self) -> &'static str;

    /// How long it takes for a change of leader at most.
    fn patience(&self) -> Duration;

    /// What its agents say; never an error.
    async fn voices(&self) -> Voices;

    /// The hosts of its own store, and what EC2 says of them.
    async fn store(&self) -> Result<Vec<StoreHost>, Failure>;

    /// Asks the keeper to hand the lead over; what it said when that was done.
    async fn hand_over(&self, handover: &Handover) -> Result<String, Failure>;

    /// Tells the keeper to leave the roles as they are, or to go on.
    async fn set_paused(&self, paused: bool) -> Result<(), Failure>;
}

/// What may be done for the hosts of a cluster with a keeper. None of it can
/// stop one.
#[allow(async_fn_in_trait, reason = "every pass runs on one thread")]
pub trait Mends: Keeper {
    /// Which of these instances fail a status check, and which check.
    async fn impaired(&self, ids: &[String]) -> Result<BTreeMap<String, String>, Failure>;
    /// Starts a stopped host.
    async fn start_host(&self, id: &str) -> Result<(), Failure>;
    /// Reboots a host.
    async fn reboot_host(&self, id: &str) -> Result<(), Failure>;
    /// Sends a script to a host, at most once. After a [`Failure::Transient`]
    /// nobody knows whether it was sent.
    async fn send_command(&self, host: &str, order: &Order) -> Result<Sent, Failure>;
    /// The command of this order, if SSM has it.
    async fn find_command(&self, host: &str, order: &Order) -> Result<Option<String>, Failure>;
    /// How far a command is.
    async fn command(&self, host: &str, command: &str) -> Result<CommandSeen, Failure>;
}

/// Looks at a cluster with a keeper: at everything at once.
///
/// # Errors
///
/// The [`Failure`] of reading the state table.
pub async fn look_led<O: Keeper>(looks: &mut Looks<O>) -> Result<Led, Failure> {
    // What the keeper says was the ground of a change; to finish it, it is not needed.
    let finishing = looks.change.is_some();
    let (kept, mut voices, store) = {
        let outside = &looks.outside;
        let quiet = Voices { account: Seen::NotAsked, heard: Vec::new() };
        let voices = async { if finishing { quiet } else { outside.voices().await } };
        join3(outside.kept(WAITING), voices, outside.store()).await
    };
    // PostgreSQL last: its answers are what a change rests on, and age fastest.
    let seen = looks.look().await?;
    if finishing && seen.state.change.is_none() {
        voices = looks.outside.voices().await;
    }
    let outside = &looks.outside;
    let store = store.unwrap_or_else(|failure| {
        tracing::warn!("{}", failure.story());
        let hosts = outside.card().patroni.iter().flat_map(|patroni| &patroni.etcd);
        hosts.map(|card| StoreHost { card: card.clone(), host: Host::Unknown(failure.to_string()) }).collect()
    });
    Ok(Led {
        keeper: outside.name(),
        patience: outside.patience(),
        account: voices.account,
        heard: voices.heard,
        store,
        waiting: kept?.and_then(|kept| serde_json::from_value::<Waiting>(kept).ok()),
        answered_ms: looks.answered_ms(),
        seen,
    })
}

/// Notes since when a pass waits, or that it no longer does. Of two passes that
/// note at once, the first one's word stays.
///
/// # Errors
///
/// The [`Failure`] of reading or writing the item.
pub async fn note_waiting<O: Desk>(outside: &O, waiting: Option<&Waiting>) -> Result<(), Failure> {
    let before = outside.kept(WAITING).await?;
    let after = waiting.map(|waiting| serde_json::json!(waiting));
    if before == after {
        return Ok(());
    }
    match outside.keep(WAITING, before.as_ref(), after.as_ref()).await {
        Err(Failure::LostRace { .. }) => Ok(()),
        done => done,
    }
}
