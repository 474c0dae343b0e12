//! What is wrong with a cluster, beside a writer that does not answer.

use domain::events::Function;
use std::{collections::BTreeSet, fmt};

/// What is found is told again after this long, and then after twice as long
/// every time: what cannot be cured must not wake a function all day.
pub(crate) const TELL_AGAIN_MS: u64 = 10_000;
const TELL_AGAIN_AT_LAST_MS: u64 = 300_000;
const TELL_BUSY_AGAIN_MS: u64 = 60_000;

/// What comes and goes by itself is told only when it has lasted this long: a
/// restart of PostgreSQL, or a stream that breaks and is back.
const LASTING_MS: u64 = 10_000;

/// Something that another function should look at, with the member it is about.
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
    /// The guard of the writer says that its data disk is full.
    DiskFull(String),
    /// This writer's commits wait for more standbys than stream.
    CommitsWait(String),
    /// Commits could wait for more standbys than the published set has.
    SynchronousSetBehind,
    /// The host of a member that is not the writer answers, PostgreSQL does not run.
    MemberDown(String),
    /// A member that is not the writer does not answer at all; only where Patroni leads.
    MemberSilent(String),
    /// Patroni or AWS has made this member leader, and the state item names another.
    LeaderMoved(String),
    /// Patroni or AWS has made this member leader, and the state item names nobody.
    NotAdopted(String),
    /// The pause that was asked for is over, and Patroni may not know it.
    PauseOver,
    /// A member that was down streams from the writer.
    MemberBack(String),
    /// RDS does not know the writer of record any more.
    WriterGone(String),
    /// This instance of RDS replicates from nobody, and is not the writer of record: an old one.
    FormerWriter(String),
    /// For a minute RDS has called this database busy, or worse.
    DatabaseBusy(String),
    /// Other standbys than before can be read from: the names of those that
    /// stream from the writer and answer.
    ReadersChanged(BTreeSet<String>),
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
            Finding::DiskFull(_) => "Understudy Disk Full",
            Finding::CommitsWait(_) => "Understudy Commits Wait",
            Finding::SynchronousSetBehind => "Understudy Synchronous Set Behind",
            Finding::MemberDown(_) | Finding::MemberSilent(_) => "Understudy Member Down",
            Finding::LeaderMoved(_) => "Understudy Leader Moved",
            Finding::NotAdopted(_) => "Understudy Not Adopted",
            Finding::PauseOver => "Understudy Pause Over",
            Finding::MemberBack(_) => "Understudy Member Back",
            Finding::WriterGone(_) => "Understudy Writer Gone",
            Finding::FormerWriter(_) => "Understudy Former Writer",
            Finding::DatabaseBusy(_) => "Understudy Database Busy",
            Finding::ReadersChanged(_) => "Understudy Readers Changed",
        }
    }

    /// Whom to tell.
    pub(crate) fn function(&self) -> Function {
        Function::told_of(self.detail_type())
    }

    /// Instance id of the member it is about.
    pub(crate) fn member(&self) -> Option<&str> {
        match self {
            Finding::ChangeUnfinished
            | Finding::SynchronousSetBehind
            | Finding::PauseOver
            | Finding::ReadersChanged(_) => None,
            Finding::TwoWriters(id)
            | Finding::WriterInRecovery(id)
            | Finding::StandbyFrozen(id)
            | Finding::StandbyAstray(id)
            | Finding::DiskFull(id)
            | Finding::CommitsWait(id)
            | Finding::MemberDown(id)
            | Finding::MemberSilent(id)
            | Finding::LeaderMoved(id)
            | Finding::NotAdopted(id)
            | Finding::MemberBack(id)
            | Finding::WriterGone(id)
            | Finding::FormerWriter(id)
            | Finding::DatabaseBusy(id) => Some(id),
        }
    }

    /// How long it must last before it is told.
    pub(crate) fn lasting_ms(&self) -> u64 {
        match self {
            Finding::CommitsWait(_)
            | Finding::MemberBack(_)
            | Finding::MemberSilent(_)
            | Finding::ReadersChanged(_) => LASTING_MS,
            _ => 0,
        }
    }

    /// The gap between two tellings grows up to this.
    pub(crate) fn longest_gap_ms(&self) -> u64 {
        match self {
            // Clients may be waiting for it.
            Finding::ChangeUnfinished | Finding::LeaderMoved(_) | Finding::NotAdopted(_) | Finding::WriterGone(_) => {
                TELL_AGAIN_MS
            }
            // Whoever looks notes since when: a note that nobody confirms is forgotten.
            Finding::FormerWriter(_) | Finding::DatabaseBusy(_) => TELL_BUSY_AGAIN_MS,
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
            Finding::DiskFull(id) => write!(f, "the data disk of {id}, the writer, is full"),
            Finding::CommitsWait(id) => write!(f, "commits on {id} wait for more standbys than stream"),
            Finding::SynchronousSetBehind => {
                f.write_str("a standby streams that commits could wait for, and the published set lacks it")
            }
            Finding::MemberDown(id) => write!(f, "PostgreSQL does not run on {id}, and its host answers"),
            Finding::MemberSilent(id) => write!(f, "{id} does not answer"),
            Finding::LeaderMoved(id) => write!(f, "{id} leads, and the state item names another writer"),
            Finding::NotAdopted(id) => write!(f, "{id} leads, and the state item names no writer"),
            Finding::PauseOver => f.write_str("the pause that was asked for is over"),
            Finding::WriterGone(id) => write!(f, "RDS does not know {id}, the writer of the state item, any more"),
            Finding::FormerWriter(id) => write!(f, "{id} replicates from nobody, and is not the writer of record"),
            Finding::DatabaseBusy(id) => write!(f, "RDS has not called {id} available for a minute"),
            Finding::MemberBack(id) => write!(f, "{id} was down and streams from the writer again"),
            Finding::ReadersChanged(names) if names.is_empty() => f.write_str("no standby can be read from any more"),
            Finding::ReadersChanged(names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                write!(f, "other standbys than before can be read from: {}", names.join(", "))
            }
        }
    }
}
