//! What is read again and again beside the members: the login, the state item.

use super::{Heard, Run, tell};
use crate::World;
use domain::{
    card::{Registered, Topology},
    state::State,
};
use reconcile::Failure;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep, timeout},
};

/// The state item is read so often, and at once when what is seen contradicts it.
const STATE_EVERY: Duration = Duration::from_secs(5);

/// What the writer's guard wrote of its disk is read so often.
const GUARD_EVERY: Duration = Duration::from_secs(30);

/// But no more often than this, whatever is seen.
const STATE_AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// A login that was refused, or could not be read, is read again after this
/// long: a wrong password must not turn into a storm of calls.
const LOGIN_AT_MOST_EVERY: Duration = Duration::from_secs(10);

/// Reads the login once, and again when it was refused.
pub(super) async fn keep_login<W: World>(
    run: Arc<Run<W>>,
    card: Registered,
    logins: watch::Sender<Option<W::Access>>,
    refused: Arc<Notify>,
) {
    let mut problem = String::new();
    loop {
        match run.world.access(&card).await {
            Ok(access) => {
                logins.send_replace(Some(access));
                problem.clear();
            }
            Err(failure) => {
                let fate = if logins.borrow().is_some() { "goes on with the last login" } else { "is not watched" };
                tell(&mut problem, format!("{} {fate}: {}", card.cluster(), failure.story()));
            }
        }
        sleep(LOGIN_AT_MOST_EVERY).await;
        if problem.is_empty() {
            refused.notified().await;
            tracing::warn!("{}: login refused; reading its secret again", card.cluster());
        }
    }
}

/// Reads the state item at every turn, and when it is called stale.
pub(super) async fn keep_state<W: World>(
    run: Arc<Run<W>>,
    card: Registered,
    heard: mpsc::UnboundedSender<Heard>,
    stale: Arc<Notify>,
) {
    let cluster = card.cluster();
    // I15: nobody claims a cluster of Patroni's or of AWS's by itself, and none of its members has a boot guard.
    let guarded = card.topology() == Topology::Ec2Streaming;
    let (mut problem, mut next_guard) = (String::new(), Instant::now());
    loop {
        let asked_ms = run.world.now_ms();
        match read_state(&run.world, &card).await {
            Ok((state, serves)) if state.is_some() || !guarded => {
                problem.clear();
                let state = Box::new(state.unwrap_or_else(State::unclaimed));
                let (writer, answered_ms) = (state.writer.clone(), run.world.now_ms());
                if heard.send(Heard::State { state, serves, asked_ms, answered_ms }).is_err() {
                    return;
                }
                if let Some(member) = writer.filter(|_| guarded && Instant::now() >= next_guard) {
                    next_guard = Instant::now() + GUARD_EVERY;
                    // What cannot be read now is read in a minute.
                    if let Ok(Some(guard)) = run.world.guard(cluster, &member).await {
                        drop(heard.send(Heard::Disk { member, full: guard.says_disk_full(run.world.now_ms()) }));
                    }
                }
            }
            // Not claimed yet: there is no writer to suspect.
            Ok(_) => problem.clear(),
            Err(failure) => tell(&mut problem, format!("{cluster}: its writer is not known anew: {}", failure.story())),
        }
        sleep(STATE_AT_MOST_EVERY).await;
        drop(timeout(STATE_EVERY - STATE_AT_MOST_EVERY, stale.notified()).await);
    }
}

/// The state item, and whether this Region serves the cluster.
async fn read_state<W: World>(world: &Arc<W>, card: &Registered) -> Result<(Option<State>, bool), Failure> {
    let serves = match card {
        Registered::Managed(card) if card.other.is_some() => world.serves(card).await?,
        _ => true,
    };
    Ok((world.state(card.cluster()).await?, serves))
}
