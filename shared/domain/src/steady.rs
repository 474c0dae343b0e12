//! What must hold before anything is done around a writer that nobody replaces.
//!
//! `update-dns` and `rejoin-replica` come after the roles, never before them:
//! while a change of writer is open, or anybody is at the cluster, they wait.

use crate::{
    failover::{Lease, Member, Observed, Sql, WriterSeen},
    state::State,
    time::seconds,
};
use std::{fmt, time::Duration};

/// The writer of a cluster in which nothing changes.
#[derive(Debug, Clone, Copy)]
pub struct Steady<'a> {
    /// The member that the state item names.
    pub writer: &'a Member,
    /// What it answered, out of recovery.
    pub answer: &'a WriterSeen,
}

/// Why nothing may be done now. Prints as one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsteady {
    /// No member has claimed the cluster yet.
    NotClaimed,
    /// A change of writer is open.
    ChangeOpen {
        /// The writer that is being replaced.
        from: String,
        /// The epoch of the change.
        epoch: u64,
    },
    /// Another pass acts, for this much longer at most.
    LeaseHeld(Duration),
    /// I10: a person wants nothing to be done.
    Paused {
        /// For how much longer.
        left: Duration,
        /// Why, in that person's words.
        why: String,
    },
    /// The state item names a writer that the card does not know.
    WriterNotInCard(String),
    /// Another member accepts writes. `promote-replica` tells a person.
    TwoWriters {
        /// The writer of the state item.
        named: String,
        /// The other one.
        other: String,
    },
    /// The named writer does not answer as one. `promote-replica` sees to it.
    NoWriter {
        /// The writer of the state item.
        member: String,
        /// What it answered.
        sql: String,
    },
}

/// The writer, if nothing changes and nobody is at the cluster.
///
/// # Errors
///
/// [`Unsteady`], why nothing may be done.
pub fn steady(seen: &Observed) -> Result<Steady<'_>, Unsteady> {
    let named = quiet(&seen.state, seen.lease, seen.looked_at_ms)?;
    let writer = seen.member(named).ok_or_else(|| Unsteady::WriterNotInCard(named.to_owned()))?;
    let second = |other: &&Member| other.card.id != named && matches!(other.sql, Sql::Writer(_));
    if let Some(other) = seen.members.iter().find(second) {
        return Err(Unsteady::TwoWriters { named: named.to_owned(), other: other.card.id.clone() });
    }
    match &writer.sql {
        Sql::Writer(answer) => Ok(Steady { writer, answer }),
        sql => Err(Unsteady::NoWriter { member: named.to_owned(), sql: sql.to_string() }),
    }
}

/// The writer of the state item, if nothing changes and nobody is at the cluster.
///
/// # Errors
///
/// [`Unsteady`], why nothing may be done.
pub fn quiet(state: &State, lease: Lease, now_ms: u64) -> Result<&str, Unsteady> {
    let named = state.writer.as_deref().ok_or(Unsteady::NotClaimed)?;
    if let Some(change) = &state.change {
        return Err(Unsteady::ChangeOpen { from: change.from.clone(), epoch: state.epoch });
    }
    if let Lease::Other(left) = lease {
        return Err(Unsteady::LeaseHeld(left));
    }
    match state.pause.as_ref().filter(|pause| pause.until_ms > now_ms) {
        Some(pause) => {
            let left = Duration::from_millis(pause.until_ms - now_ms);
            Err(Unsteady::Paused { left, why: pause.reason.clone() })
        }
        None => Ok(named),
    }
}

impl Steady<'_> {
    /// Whether a member streams, by the writer's own account.
    #[must_use]
    pub fn streams(&self, name: &str) -> bool {
        self.answer.streams.iter().any(|stream| stream.streaming && stream.name == name)
    }
}

impl fmt::Display for Unsteady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unsteady::NotClaimed => f.write_str("no member has claimed this cluster yet"),
            Unsteady::ChangeOpen { from, epoch } => {
                write!(f, "a change of writer away from {from} is under way (epoch {epoch})")
            }
            Unsteady::LeaseHeld(left) => write!(f, "another pass holds the lease, for {} at most", seconds(*left)),
            Unsteady::Paused { left, why } => write!(f, "paused for {} more: {why}", seconds(*left)),
            Unsteady::WriterNotInCard(id) => {
                write!(f, "the state item names {id} as writer, which the card does not know")
            }
            Unsteady::TwoWriters { named, other } => {
                write!(f, "{other} accepts writes, and the state item names {named} as writer")
            }
            Unsteady::NoWriter { member, sql } => write!(f, "{member}, the writer, {sql}"),
        }
    }
}

#[cfg(test)]
pub(crate) mod kit;
