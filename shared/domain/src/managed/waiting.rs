//! Waits that outlive a pass: the item `follow`.

use super::Observed;
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

/// No wait: in which zone the writer was when all was well. Only of instances with a standby, whose zone alone tells
/// that AWS failed them over.
pub(super) const HOME: &str = "home";

/// A note is confirmed this often: passes come every few seconds while something is wrong.
const CONFIRM: Duration = Duration::from_secs(30);

/// A note that nobody confirmed for so long is of another time. No pass runs when all is well; when something is not,
/// one runs each minute.
const STALE: Duration = Duration::from_secs(300);

/// For how long something has been waited for; or the note to make of it.
///
/// `since_ms`: since when it is so, when that is known to be before this look.
pub(super) fn waited(
    seen: &Observed,
    kind: &str,
    since_ms: Option<u64>,
    about: Option<&str>,
) -> Result<Duration, Waiting> {
    let now = seen.looked_at_ms;
    let Some(waiting) = seen.waiting.as_ref().filter(|waiting| is_fresh(seen, waiting, kind)) else {
        let about = known_before(seen).or(about).map(str::to_owned);
        let since_ms = since_ms.unwrap_or(now);
        return Err(Waiting { kind: kind.to_owned(), since_ms, confirmed_ms: now, about });
    };
    if seen.since(waiting.confirmed_ms) > CONFIRM {
        return Err(Waiting { confirmed_ms: now, ..waiting.clone() });
    }
    Ok(seen.since(since_ms.map_or(waiting.since_ms, |known| known.min(waiting.since_ms))))
}

/// What the note before this one knew, such as the zone in which the writer was.
pub(super) fn known_before(seen: &Observed) -> Option<&str> {
    let noted = seen.waiting.as_ref()?;
    let still = noted.kind == HOME || (noted.kind != NO_EVIDENCE && seen.since(noted.confirmed_ms) <= STALE);
    noted.about.as_deref().filter(|_| still)
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
