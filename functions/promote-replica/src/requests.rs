//! What a person asked for: a pause, its end, an approval.
//!
//! Each is one conditional write. It is refused in one sentence that says what
//! is allowed, and then nothing was changed.

use crate::Report;
use domain::{
    request::Request,
    state::{Approval, Pause, State},
    time,
};
use reconcile::{Desk, Failure, Keeper};
use std::time::Duration;

/// An approval that nobody used is worth nothing after this: what was at risk
/// when it was given is not what is at risk an hour later.
const APPROVAL_MS: u64 = 15 * 60 * 1000;

/// Does what a request asks for; `None` for one that a pass answers
/// ([`crate::explain`], [`crate::change_writer`]).
///
/// # Errors
///
/// The [`Failure`] of reading or writing the state item.
pub async fn answer<D: Desk>(desk: &D, grace: Duration, request: &Request) -> Option<Result<Report, Failure>> {
    match request {
        Request::Explain { .. } | Request::Switchover { .. } => None,
        Request::Pause { minutes, reason, .. } => {
            let until_ms = desk.now_ms() + minutes * 60_000;
            Some(pause(desk, Pause { until_ms, reason: reason.clone() }).await)
        }
        Request::Resume { .. } => Some(resume(desk, grace).await),
        Request::Approve { epoch, data_loss_bytes, .. } => Some(approve(desk, *epoch, *data_loss_bytes).await),
    }
}

/// The same for a cluster with a keeper; `None` for one that a pass answers
/// ([`crate::explain_led`], [`crate::hand_over`]).
///
/// # Errors
///
/// The [`Failure`] of the state item, or of the keeper's own call.
pub async fn answer_led<O: Keeper>(outside: &O, request: &Request) -> Option<Result<Report, Failure>> {
    match request {
        Request::Explain { .. } | Request::Switchover { .. } => None,
        Request::Pause { minutes, reason, .. } => {
            let until_ms = outside.now_ms() + minutes * 60_000;
            Some(pause_keeper(outside, Pause { until_ms, reason: reason.clone() }).await)
        }
        Request::Resume { .. } => Some(resume_keeper(outside).await),
        Request::Approve { .. } => {
            let (cluster, keeper) = (&outside.card().cluster, outside.name());
            let because = format!(
                "{keeper} decides who leads {cluster}, by its own limits (maximum_lag_on_failover, synchronous mode), and \
                 takes no approval; to let it elect a member that lacks something, on a member: \
                 patronictl failover --candidate NAME"
            );
            Some(Ok(Report::new(cluster, "refused", because)))
        }
    }
}

/// First the state item, by which repairs wait; then the keeper.
async fn pause_keeper<O: Keeper>(outside: &O, pause: Pause) -> Result<Report, Failure> {
    let (cluster, keeper) = (&outside.card().cluster, outside.name());
    let state = match steady(outside).await? {
        Ok(state) => state,
        Err(refused) => return Ok(refused),
    };
    match outside.pause(state.epoch, &pause).await {
        Err(Failure::LostRace { what, .. }) => return Ok(overtaken(cluster, &what)),
        written => written?,
    }
    outside.set_paused(true).await?;
    let because = format!(
        "{keeper} is paused until {}: it elects nobody, and nothing is repaired; whoever is made leader by hand is followed",
        time::clock(pause.until_ms)
    );
    Ok(Report::new(cluster, "acted", because))
}

/// First the keeper: what it does not hear is asked for again. It may have been
/// paused by its own tools, of which the state item knows nothing.
async fn resume_keeper<O: Keeper>(outside: &O) -> Result<Report, Failure> {
    let (cluster, keeper) = (&outside.card().cluster, outside.name());
    let state = match steady(outside).await? {
        Ok(state) => state,
        Err(refused) => return Ok(refused),
    };
    outside.set_paused(false).await?;
    match outside.pause(state.epoch, &Pause { until_ms: 0, reason: String::new() }).await {
        Err(Failure::LostRace { what, .. }) => Ok(overtaken(cluster, &what)),
        Err(failure) => Err(failure),
        Ok(()) => Ok(Report::new(cluster, "acted", format!("{keeper} is not paused any more"))),
    }
}

async fn pause<D: Desk>(desk: &D, pause: Pause) -> Result<Report, Failure> {
    let cluster = desk.cluster();
    let state = match steady(desk).await? {
        Ok(state) => state,
        Err(refused) => return Ok(refused),
    };
    match desk.pause(state.epoch, &pause).await {
        Err(Failure::LostRace { what, .. }) => Ok(overtaken(cluster, &what)),
        Err(failure) => Err(failure),
        Ok(()) => Ok(Report::new(
            cluster,
            "acted",
            format!("paused until {}: nothing is done by itself before, whatever happens", time::clock(pause.until_ms)),
        )),
    }
}

async fn resume<D: Desk>(desk: &D, grace: Duration) -> Result<Report, Failure> {
    let cluster = desk.cluster();
    let now = desk.now_ms();
    let state = match steady(desk).await? {
        Ok(state) => state,
        Err(refused) => return Ok(refused),
    };
    let Some(pause) = state.pause.filter(|pause| pause.until_ms > now) else {
        return Ok(Report::new(cluster, "refused", format!("{cluster} is not paused")));
    };
    // The pause ends now, and its grace begins.
    match desk.pause(state.epoch, &Pause { until_ms: now, ..pause }).await {
        Err(Failure::LostRace { what, .. }) => Ok(overtaken(cluster, &what)),
        Err(failure) => Err(failure),
        Ok(()) => {
            let grace = grace.as_secs();
            Ok(Report::new(cluster, "acted", format!("resumed; no failover begins in the next {grace} s")))
        }
    }
}

async fn approve<D: Desk>(desk: &D, epoch: u64, data_loss_bytes: Option<u64>) -> Result<Report, Failure> {
    let cluster = desk.cluster();
    let state = match steady(desk).await? {
        Ok(state) => state,
        Err(refused) => return Ok(refused),
    };
    if state.epoch != epoch {
        let because = format!(
            "an approval for epoch {epoch} is worth nothing: {cluster} is at epoch {}; only what the newest page offers is allowed",
            state.epoch
        );
        return Ok(Report::new(cluster, "refused", because));
    }
    let expires_at_ms = desk.now_ms() + APPROVAL_MS;
    match desk.approve(&Approval { epoch, data_loss_bytes, expires_at_ms }).await {
        Err(Failure::LostRace { what, .. }) => Ok(overtaken(cluster, &what)),
        Err(failure) => Err(failure),
        Ok(()) => Ok(Report::new(
            cluster,
            "acted",
            format!(
                "approved for the next change of writer, once, until {}; the next pass uses it if the writer is gone",
                time::clock(expires_at_ms)
            ),
        )),
    }
}

/// The state, if nothing changes now; else the answer that says so.
async fn steady<D: Desk>(desk: &D) -> Result<Result<State, Report>, Failure> {
    let cluster = desk.cluster();
    let state = desk.state().await?.unwrap_or_else(State::unclaimed);
    if state.writer.is_none() {
        return Ok(Err(Report::new(cluster, "refused", format!("no member has claimed {cluster} yet"))));
    }
    match &state.change {
        None => Ok(Ok(state)),
        Some(change) => {
            let because = format!(
                "a change of writer away from {} is under way (epoch {}); this is allowed when it is over",
                change.from, state.epoch
            );
            Ok(Err(Report::new(cluster, "refused", because)))
        }
    }
}

fn overtaken(cluster: &str, what: &str) -> Report {
    Report::new(cluster, "refused", format!("{what} changed at this very moment; ask again"))
}
