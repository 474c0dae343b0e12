//! I4, I10: what speaks against a change although the writer is down.

use super::{Observed, Reason, waiting};
use crate::{decision::Decision, state::Approval};
use std::time::Duration;

/// Whether a change may begin now.
pub(super) fn damped(seen: &Observed) -> Result<(), Reason> {
    let policy = &seen.card.policy;
    if let Some(pause) = &seen.state.pause {
        if let Some(left) = seen.paused_for() {
            return Err(Reason::Paused { left, why: pause.reason.clone() });
        }
        if let Some(left) = waiting::left(policy.grace(), seen.since(pause.until_ms)) {
            return Err(Reason::Grace(left));
        }
    }
    if seen.approval().is_some() {
        return Ok(());
    }
    if let Some(last) = seen.state.failovers_ms.last()
        && let Some(left) = waiting::left(policy.cool_down(), seen.since(*last))
    {
        return Err(Reason::CoolDown(left));
    }
    let failovers = seen.failovers_in_an_hour();
    if failovers >= policy.failovers_per_hour as usize {
        return Err(Reason::TooMany { failovers, allowed: policy.failovers_per_hour });
    }
    Ok(())
}

/// A reason that passes is waited for; any other is told.
pub(super) fn held<Step>(reason: Reason) -> Decision<Step, Reason> {
    if reason.is_passing() { Decision::Wait(reason) } else { Decision::Refuse(reason) }
}

impl Observed {
    /// I10: how much longer a person wants nothing to be done.
    #[must_use]
    pub fn paused_for(&self) -> Option<Duration> {
        let left = self.state.pause.as_ref()?.until_ms.saturating_sub(self.looked_at_ms);
        (left > 0).then(|| Duration::from_millis(left))
    }

    /// What a person allowed to be lost: with the change, or for the next one.
    pub(super) fn approval(&self) -> Option<&Approval> {
        let of_change = self.state.change.as_ref().map(|change| change.approval.as_ref());
        of_change.unwrap_or_else(|| {
            let waiting = self.state.approval.as_ref();
            waiting.filter(|approval| approval.epoch == self.state.epoch && approval.expires_at_ms > self.looked_at_ms)
        })
    }

    /// Failovers that ended within the last hour.
    pub(super) fn failovers_in_an_hour(&self) -> usize {
        let hour = Duration::from_secs(3_600);
        self.state.failovers_ms.iter().filter(|ended| self.since(**ended) < hour).count()
    }
}
