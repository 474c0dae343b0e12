//! What a pass may do to a cluster.

use super::{Evidence, Ledger, Page};
use crate::{lsn::Lsn, state::Synchronous};
use std::{fmt, net::IpAddr};

/// A member as a step names it: nothing is left to look up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// EC2 instance id.
    pub id: String,
    /// `application_name` and slot name.
    pub name: String,
    /// Private address.
    pub address: IpAddr,
}

/// A step of a change of writer. Performing one twice is the same as
/// performing it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// I1: advance the epoch and take the lease, only if the epoch still is
    /// `epoch` and nobody holds the lease.
    Begin {
        /// The epoch that this look saw.
        epoch: u64,
        /// The writer to be replaced.
        from: String,
        /// What was seen, for the page.
        seen: Vec<String>,
        /// When the writer fell silent, in milliseconds since 1970.
        silent_since_ms: u64,
        /// Its last known write position.
        last_writer_lsn: Option<Lsn>,
        /// Its `synchronous_standby_names` that a probe saw last.
        synchronous_setting: Option<String>,
    },
    /// Take the lease of a change that another pass left, or to mend
    /// something small; the epoch stays.
    Hold {
        /// The epoch that this look saw.
        epoch: u64,
    },
    /// Take its upstream away from a standby and wait until its WAL receiver is gone.
    Freeze(Target),
    /// Give a standby its upstream, with its own slot.
    Follow {
        /// The standby.
        standby: Target,
        /// Whom it follows.
        upstream: IpAddr,
    },
    /// Stop the instance, without waiting for its operating system.
    StopHost(Target),
    /// `pg_promote`, then prove: out of recovery, timeline, a write accepted.
    Promote {
        /// Who.
        member: Target,
        /// Its timeline before.
        timeline: u32,
        /// The epoch, which the proving write carries.
        epoch: u64,
        /// I5: why the old writer can acknowledge no more writes.
        evidence: Evidence,
        /// What is known to be lost, in bytes.
        lost_bytes: Option<u64>,
    },
    /// Prove a promotion that a pass made and could not note.
    Prove {
        /// Who.
        member: Target,
        /// The epoch, which the proving write carries.
        epoch: u64,
    },
    /// Note since when the new writer does not answer, or that it does.
    NoteSilence(Option<u64>),
    /// Set whom the new writer's commits wait for, and publish it.
    SetSynchronous {
        /// The new writer.
        member: Target,
        /// The set.
        synchronous: Synchronous,
    },
    /// Create the physical slots that the other standbys will use.
    PrepareSlots {
        /// The new writer.
        member: Target,
        /// Slot names.
        slots: Vec<String>,
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
    /// Give up a change before promotion: standbys follow the old writer again.
    Abandon {
        /// Why, for the log.
        because: String,
    },
    /// Write the ledger, send the page, make the phase steady.
    Finish {
        /// Who writes now.
        writer: Target,
        /// What the ledger keeps.
        ledger: Box<Ledger>,
        /// What the person on call is told.
        page: Page,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Begin { epoch, from, .. } => {
                write!(f, "take the lease and advance epoch {epoch} to {} to replace {from}", epoch + 1)
            }
            Step::Hold { epoch } => write!(f, "take the lease of epoch {epoch}"),
            Step::Freeze(target) => write!(f, "freeze {}", target.id),
            Step::Follow { standby, upstream } => write!(f, "let {} follow {upstream}", standby.id),
            Step::StopHost(target) => write!(f, "stop instance {}", target.id),
            Step::Promote { member, evidence, .. } => write!(f, "promote {}, sure because {evidence}", member.id),
            Step::Prove { member, .. } => write!(f, "prove that {} accepts writes", member.id),
            Step::NoteSilence(None) => write!(f, "note that the new writer answers again"),
            Step::NoteSilence(Some(_)) => write!(f, "note that the new writer does not answer"),
            Step::SetSynchronous { member, synchronous } if synchronous.is_on() => {
                write!(f, "let commits on {} wait for {}", member.id, synchronous.setting())
            }
            Step::SetSynchronous { member, .. } => write!(f, "let commits on {} wait for no standby", member.id),
            Step::PrepareSlots { member, slots } => write!(f, "create slots {} on {}", slots.join(", "), member.id),
            Step::MoveWriterRecord { to: (address, epoch), .. } => {
                write!(f, "move the writer record to {address}, epoch {epoch}")
            }
            Step::SetReaderRecord(addresses) => {
                let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                write!(f, "let the reader record name {}", list.join(", "))
            }
            Step::Abandon { because } => write!(f, "give the change up: {because}"),
            Step::Finish { writer, .. } => write!(f, "write the ledger, send the page, name {} writer", writer.id),
        }
    }
}
