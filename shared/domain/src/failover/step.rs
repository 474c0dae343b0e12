//! What a pass may do to a cluster.

use super::{Evidence, Ledger, Page};
use crate::{
    lsn::Lsn,
    state::{Change, ChangeKind, Loss, Promoted, Synchronous},
};
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
    /// `epoch`, nobody holds the lease and nobody paused the cluster.
    Begin {
        /// The epoch that this look saw.
        epoch: u64,
        /// The change, all but when it began and what woke the pass.
        change: Box<Change>,
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
        /// What it loses of what was acknowledged.
        loss: Loss,
    },
    /// Prove a promotion that a pass made and could not note.
    Prove {
        /// Who.
        member: Target,
        /// The epoch, which the proving write carries.
        epoch: u64,
    },
    /// Note a promotion that a pass made and could not note, and that only the
    /// member's guard still tells of.
    NotePromoted(Promoted),
    /// Note since when the new writer does not answer, or that it does.
    NoteSilence(Option<u64>),
    /// Note since when every standby is cut from the old writer, or that one is
    /// not.
    NoteFrozen(Option<u64>),
    /// `CHECKPOINT` on a writer that will be shut down.
    Checkpoint(Target),
    /// Wait, for some seconds, until a member's guard has written that
    /// PostgreSQL has ended there and stays so in this epoch.
    AwaitGuard {
        /// Which member.
        member: Target,
        /// The epoch.
        epoch: u64,
    },
    /// Set whom the writer's commits wait for.
    Apply {
        /// The writer.
        member: Target,
        /// The set.
        synchronous: Synchronous,
    },
    /// Publish whom the writer's commits wait for (I9).
    Publish {
        /// The set.
        synchronous: Synchronous,
        /// Acknowledged commits up to here may be on the writer alone; `None`
        /// leaves the floor where it is.
        floor: Option<Lsn>,
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
        /// Why the writer was changed: only a failover counts for the damping.
        kind: ChangeKind,
        /// What the ledger keeps.
        ledger: Box<Ledger>,
        /// What the person on call is told.
        page: Page,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Begin { epoch, change } => {
                write!(f, "take the lease and advance epoch {epoch} to {} to replace {}", epoch + 1, change.from)
            }
            Step::Hold { epoch } => write!(f, "take the lease of epoch {epoch}"),
            Step::Freeze(target) => write!(f, "freeze {}", target.id),
            Step::Follow { standby, upstream } => write!(f, "let {} follow {upstream}", standby.id),
            Step::StopHost(target) => write!(f, "stop instance {}", target.id),
            Step::Promote { member, evidence, .. } => write!(f, "promote {}, sure because {evidence}", member.id),
            Step::Prove { member, .. } => write!(f, "prove that {} accepts writes", member.id),
            Step::NotePromoted(promoted) => write!(f, "note that {} was promoted", promoted.member),
            Step::NoteSilence(None) => write!(f, "note that the new writer answers again"),
            Step::NoteSilence(Some(_)) => write!(f, "note that the new writer does not answer"),
            Step::NoteFrozen(None) => write!(f, "note that a standby was not cut from the old writer"),
            Step::NoteFrozen(Some(_)) => write!(f, "note that every standby is cut from the old writer"),
            Step::Checkpoint(member) => write!(f, "checkpoint {}", member.id),
            Step::AwaitGuard { member, .. } => write!(f, "wait until PostgreSQL on {} has ended", member.id),
            Step::Apply { member, synchronous } if synchronous.is_on() => {
                write!(f, "let commits on {} wait for {}", member.id, synchronous.setting())
            }
            Step::Apply { member, .. } => write!(f, "let commits on {} wait for no standby", member.id),
            Step::Publish { synchronous, .. } => {
                write!(f, "publish that commits wait for {}", synchronous.or_nobody())
            }
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
