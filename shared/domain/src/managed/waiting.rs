//! Waits that outlive a pass: the item `follow`.

use super::{Observed, Step};
use crate::follow::Waiting;
use std::time::Duration;

/// The writer of record does not answer.
pub(super) const SILENT: &str = "silent";
/// RDS does not answer.
pub(super) const RDS: &str = "rds-silent";
/// RDS and PostgreSQL name different writers.
pub(super) const DIFFER: &str = "writer-differs";
/// Two instances accept writes.
pub(super) const TWO: &str = "two-writers";
/// The writer of record is in recovery.
pub(super) const RECOVERY: &str = "writer-in-recovery";
/// A change was given up for want of a proof: the old writer is cut off, and a person has been told.
pub(super) const NO_EVIDENCE: &str = "no-evidence";

/// A note is confirmed this often: passes come every few seconds while something is wrong.
const CONFIRM: Duration = Duration::from_secs(30);

/// A note that nobody confirmed for so long is of another time. No pass runs when all is well; when something is not,
/// one runs each minute.
const STALE: Duration = Duration::from_secs(300);

/// For how long something has been waited for; or the step that notes it.
///
/// `since_ms`: since when it is so, when that is known to be before this look.
pub(super) fn waited(
    seen: &Observed,
    kind: &str,
    since_ms: Option<u64>,
    about: Option<&str>,
) -> Result<Duration, Step> {
    let now = seen.looked_at_ms;
    let Some(waiting) = seen.waiting.as_ref().filter(|waiting| is_fresh(seen, waiting, kind)) else {
        let (since_ms, about) = (since_ms.unwrap_or(now), about.map(str::to_owned));
        return Err(Step::Note(Waiting { kind: kind.to_owned(), since_ms, confirmed_ms: now, about }));
    };
    if seen.since(waiting.confirmed_ms) > CONFIRM {
        return Err(Step::Note(Waiting { confirmed_ms: now, ..waiting.clone() }));
    }
    Ok(seen.since(since_ms.map_or(waiting.since_ms, |known| known.min(waiting.since_ms))))
}

/// Whether a note is of this wait, and of the one that goes on now: somebody confirmed it lately, and the writer was
/// not found well since.
pub(super) fn is_fresh(seen: &Observed, waiting: &Waiting, kind: &str) -> bool {
    let ended = kind == SILENT && seen.answered_ms.is_some_and(|answered| answered > waiting.since_ms);
    waiting.kind == kind && seen.since(waiting.confirmed_ms) <= STALE && !ended
}

/// What is left of a limit; `None` when it is over.
pub(super) fn left(limit: Duration, waited: Duration) -> Option<Duration> {
    limit.checked_sub(waited).filter(|left| !left.is_zero())
}
