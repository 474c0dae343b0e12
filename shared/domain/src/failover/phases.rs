//! The time that a change of writer took, by phase; the loss in seconds.

use crate::{
    state::{Change, Loss},
    time::seconds,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the outage was made of: each is milliseconds from the first silence until the phase was over; `None`: there was
/// no such phase, or nobody measured it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phases {
    /// Until the change began: the silence was seen, witnessed, and waited out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detected_ms: Option<u64>,
    /// Until it was proven that the old writer can acknowledge no more writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fenced_ms: Option<u64>,
    /// Until the promotion was ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_ms: Option<u64>,
    /// Until the new writer had accepted a write, or was seen to do so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted_ms: Option<u64>,
    /// Until the record was moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_moved_ms: Option<u64>,
}

impl Phases {
    /// The phases of a change whose new writer accepted a write at `promoted_at_ms`.
    #[must_use]
    pub fn of(change: &Change, promoted_at_ms: u64) -> Self {
        let until = |moment: u64| moment.saturating_sub(change.silent_since_ms);
        Phases {
            detected_ms: Some(until(change.began_at_ms)),
            fenced_ms: change.fenced_at_ms.map(until),
            ordered_ms: change.ordered_at_ms.map(until),
            promoted_ms: Some(until(promoted_at_ms)),
            record_moved_ms: change.record_moved_at_ms.map(until),
        }
    }

    /// `found down after 4.0 s, fenced after 9.1 s, …`, all from the first silence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let parts = [
            ("found", self.detected_ms),
            ("fenced", self.fenced_ms),
            ("ordered", self.ordered_ms),
            ("promoted", self.promoted_ms),
            ("record moved", self.record_moved_ms),
        ];
        let said = parts.into_iter().filter_map(|(what, ms)| Some(format!("{what} after {}", span(ms?))));
        said.collect::<Vec<_>>().join(", ")
    }
}

/// Milliseconds of acknowledged writes, up to the first silence, that the new writer may lack; none when nothing was
/// lost.
pub(crate) fn rpo_ms(change: &Change) -> Option<u64> {
    if change.loss == Some(Loss::Nothing) { Some(0) } else { change.lost_ms }
}

/// The same in words, to follow on the bytes; empty when nobody knows, or nothing was lost.
pub(crate) fn in_seconds(rpo_ms: Option<u64>) -> String {
    match rpo_ms {
        Some(ms) if ms > 0 => format!(", the last {} of writes before it fell silent", span(ms)),
        _ => String::new(),
    }
}

pub(crate) fn span(ms: u64) -> String {
    seconds(Duration::from_millis(ms))
}
