//! What is wrong with a cluster, beside a writer that does not answer.

use std::fmt;

/// What is found is told again after this long, and then after twice as long
/// every time: what cannot be cured must not wake a function all day.
pub(crate) const TELL_AGAIN_MS: u64 = 10_000;
const TELL_AGAIN_AT_LAST_MS: u64 = 300_000;

/// Something that `promote-replica` should look at, with the member it is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Finding {
    /// A change of writer is open and nobody is at it.
    ChangeUnfinished,
    /// A member that is not the writer of record is out of recovery.
    TwoWriters(String),
    /// The writer of record is in recovery.
    WriterInRecovery(String),
    /// A standby without an upstream.
    StandbyFrozen(String),
    /// A standby with another upstream than the writer.
    StandbyAstray(String),
}

impl Finding {
    /// The event's `detail-type`.
    pub(crate) fn detail_type(&self) -> &'static str {
        match self {
            Finding::ChangeUnfinished => "Understudy Change Unfinished",
            Finding::TwoWriters(_) => "Understudy Two Writers",
            Finding::WriterInRecovery(_) => "Understudy Writer In Recovery",
            Finding::StandbyFrozen(_) => "Understudy Standby Frozen",
            Finding::StandbyAstray(_) => "Understudy Standby Astray",
        }
    }

    /// Instance id of the member it is about.
    pub(crate) fn member(&self) -> Option<&str> {
        match self {
            Finding::ChangeUnfinished => None,
            Finding::TwoWriters(id)
            | Finding::WriterInRecovery(id)
            | Finding::StandbyFrozen(id)
            | Finding::StandbyAstray(id) => Some(id),
        }
    }

    /// The gap between two tellings grows up to this.
    pub(crate) fn longest_gap_ms(&self) -> u64 {
        match self {
            // Clients may be waiting for it.
            Finding::ChangeUnfinished => TELL_AGAIN_MS,
            _ => TELL_AGAIN_AT_LAST_MS,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::ChangeUnfinished => f.write_str("a change of writer is open and nobody holds its lease"),
            Finding::TwoWriters(id) => write!(f, "{id} accepts writes, and the state item names another writer"),
            Finding::WriterInRecovery(id) => write!(f, "{id}, the writer of the state item, is a standby"),
            Finding::StandbyFrozen(id) => write!(f, "standby {id} has no upstream, and no change is under way"),
            Finding::StandbyAstray(id) => write!(f, "standby {id} follows another than the writer"),
        }
    }
}
