//! What a pass may do to a cluster that has a keeper: nothing to its servers.

use super::Waiting;
use crate::{
    failover::{Ledger, Page, Target},
    state::{Change, Synchronous},
};
use std::{fmt, net::IpAddr};

/// One step. Performing it twice is the same as performing it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Look again, [`super::APART`] from now, at everybody.
    LookAgain,
    /// Note since when something is waited for.
    Note(Waiting),
    /// What was waited for has come.
    Forget,
    /// Write the state of a cluster that has none yet.
    Adopt {
        /// The epoch that this look saw; 0 when there was no item.
        epoch: u64,
        /// Who leads.
        writer: Target,
        /// Its timeline.
        timeline: u32,
        /// Whom its commits wait for.
        synchronous: Synchronous,
    },
    /// I1: advance the epoch and take the lease, only if the epoch still is
    /// `epoch` and nobody holds the lease.
    Begin {
        /// The epoch that this look saw.
        epoch: u64,
        /// The change, all but when it began and what woke the pass.
        change: Box<Change>,
    },
    /// Take the lease; the epoch stays.
    Hold {
        /// The epoch that this look saw.
        epoch: u64,
    },
    /// Publish whom the leader's commits wait for.
    Publish(Synchronous),
    /// The pause that was asked for is over: the keeper assigns roles again.
    EndPause {
        /// The epoch.
        epoch: u64,
    },
    /// Move the writer record and its epoch, only if both are as seen.
    MoveWriterRecord {
        /// Address and epoch that the records hold now; `None` when there are none.
        from: Option<(IpAddr, u64)>,
        /// Address and epoch they hold afterwards.
        to: (IpAddr, u64),
    },
    /// Let the reader record name these.
    SetReaderRecord(Vec<IpAddr>),
    /// Give up a change that is none of a keeper's.
    Abandon,
    /// Write the ledger, send the page, make the phase steady.
    Finish {
        /// Instance id of who writes now.
        writer: String,
        /// What the ledger keeps.
        ledger: Box<Ledger>,
        /// What the person on call is told.
        page: Page,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::LookAgain => write!(f, "look again in {} s", super::APART.as_secs()),
            Step::Note(waiting) => write!(f, "note since when: {}", waiting.kind),
            Step::Forget => f.write_str("forget what was waited for"),
            Step::Adopt { writer, epoch, .. } => write!(f, "name {} writer, epoch {}", writer.id, epoch + 1),
            Step::Begin { epoch, change } => {
                write!(f, "take the lease and advance epoch {epoch} to {}: {} leads no more", epoch + 1, change.from)
            }
            Step::Hold { epoch } => write!(f, "take the lease of epoch {epoch}"),
            Step::Publish(set) => write!(f, "publish that commits wait for {}", set.or_nobody()),
            Step::EndPause { .. } => f.write_str("end the pause, which is over"),
            Step::MoveWriterRecord { to: (address, epoch), .. } => {
                write!(f, "move the writer record to {address}, epoch {epoch}")
            }
            Step::SetReaderRecord(addresses) => {
                let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                write!(f, "let the reader record name {}", list.join(", "))
            }
            Step::Abandon => f.write_str("give up a change that names no new writer"),
            Step::Finish { writer, .. } => write!(f, "write the ledger, send the page, name {writer} writer"),
        }
    }
}
