//! What a pass may do to a cluster that AWS runs.

use super::{Evidence, Roles};
use crate::{
    failover::{Ledger, Page},
    follow::Waiting,
    state::{Change, ChangeKind},
};
use std::fmt;

/// One step, every name filled in. Performing it twice is the same as performing it once, but for the two orders that
/// RDS has no token for ([`Step::FailOver`], [`Step::Promote`]): a [`Step::NoteChange`] that says so precedes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Look again, [`crate::follow::APART`] from now, at everybody.
    LookAgain,
    /// Note since when something is waited for.
    Note(Waiting),
    /// What was waited for has come.
    Forget,
    /// Write the state of a cluster that has none yet.
    Adopt {
        /// The epoch that this look saw; 0 when there was no item.
        epoch: u64,
        /// Identifier of the instance that writes.
        writer: String,
        /// Its timeline.
        timeline: u32,
    },
    /// I1: advance the epoch and take the lease, only if the epoch still is `epoch`, nobody holds the lease and (but
    /// for a change that is only followed) nobody paused the cluster.
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
    /// Write the change back as it is here: it is the one that this look read, with more in it. Always the first step
    /// after a look that writes into the change.
    NoteChange(Box<Change>),
    /// Give an instance these security groups and no others: the isolated one, or those of normal life.
    Isolate {
        /// `DBInstanceIdentifier`.
        instance: String,
        /// Ids of the groups.
        groups: Vec<String>,
    },
    /// Give a subnet this network ACL.
    SetNetworkAcl {
        /// Id of the subnet.
        subnet: String,
        /// Id of the network ACL.
        acl: String,
    },
    /// Restart an instance in place.
    Reboot {
        /// `DBInstanceIdentifier`.
        instance: String,
    },
    /// Stop an instance.
    Stop {
        /// `DBInstanceIdentifier`.
        instance: String,
    },
    /// Order a DB cluster to fail over.
    FailOver {
        /// `DBClusterIdentifier`.
        db_cluster: String,
        /// `DBInstanceIdentifier` of who shall write.
        to: String,
    },
    /// Make a read replica a writer of its own.
    Promote {
        /// `DBInstanceIdentifier`.
        instance: String,
        /// `BackupRetentionPeriod` from then on.
        retention_days: u32,
        /// `PreferredBackupWindow`, UTC.
        window: String,
        /// I5: why the old writer can acknowledge no more writes of clients.
        evidence: Evidence,
    },
    /// Commit a row with the epoch on the new writer, and note the promotion in the change: where its timeline began
    /// (and the one before it, one less), and when.
    Prove {
        /// `DBInstanceIdentifier`.
        instance: String,
        /// Name of its endpoint.
        endpoint: String,
        /// The epoch.
        epoch: u64,
    },
    /// Set the automated backups of an instance.
    SetBackups {
        /// `DBInstanceIdentifier`.
        instance: String,
        /// `BackupRetentionPeriod`.
        retention_days: u32,
        /// `PreferredBackupWindow`, UTC.
        window: String,
    },
    /// Write the item `roles`, if it still is as it was seen.
    KeepRoles {
        /// What it held; `None`: there was none.
        before: Option<Roles>,
        /// What it holds afterwards.
        after: Roles,
    },
    /// Tell `deploy-cluster` to render the stack anew with the roles of today.
    RenderAnew,
    /// Move the writer's CNAME and its epoch, only if both are as seen.
    MoveWriterRecord {
        /// Target and epoch that the records hold now; `None` when there are none.
        from: Option<(String, u64)>,
        /// Target and epoch that they hold afterwards.
        to: (String, u64),
    },
    /// Let the readers' CNAMEs be exactly these: identifier and target.
    SetReaders(Vec<(String, String)>),
    /// Give the change up: the writer stays, the phase is steady.
    Abandon {
        /// Why, for the log.
        because: String,
    },
    /// Write the ledger, send the page, make the phase steady.
    Finish {
        /// Identifier of the instance that writes.
        writer: String,
        /// Why the writer was changed: only a switchover does not count for the damping.
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
            Step::LookAgain => write!(f, "look again in {} s", crate::follow::APART.as_secs()),
            Step::Note(waiting) => write!(f, "note since when: {}", waiting.kind),
            Step::Forget => f.write_str("forget what was waited for"),
            Step::Adopt { writer, epoch, .. } => write!(f, "name {writer} writer, epoch {}", epoch + 1),
            Step::Begin { epoch, change } => {
                write!(f, "take the lease and advance epoch {epoch} to {}: away from {}", epoch + 1, change.from)
            }
            Step::Hold { epoch } => write!(f, "take the lease of epoch {epoch}"),
            Step::NoteChange(change) => write!(f, "note how far the change away from {} has come", change.from),
            Step::Isolate { instance, groups } => {
                write!(f, "give {instance} the security groups {} and no others", groups.join(", "))
            }
            Step::SetNetworkAcl { subnet, acl } => write!(f, "give subnet {subnet} the network ACL {acl}"),
            Step::Reboot { instance } => write!(f, "restart {instance}"),
            Step::Stop { instance } => write!(f, "stop {instance}"),
            Step::FailOver { db_cluster, to } => write!(f, "order {db_cluster} to fail over to {to}"),
            Step::Promote { instance, evidence, .. } => write!(f, "promote {instance}, sure because {evidence}"),
            Step::Prove { instance, .. } => write!(f, "prove that {instance} accepts writes"),
            Step::SetBackups { instance, retention_days, window } => {
                write!(f, "let {instance} be backed up at {window} UTC and keep that {retention_days} days")
            }
            Step::KeepRoles { after, .. } => write!(f, "keep that place {} writes", after.writer),
            Step::RenderAnew => f.write_str("have the stack rendered anew with the roles of today"),
            Step::MoveWriterRecord { to: (target, epoch), .. } => {
                write!(f, "move the writer record to {target}, epoch {epoch}")
            }
            Step::SetReaders(readers) => {
                let list: Vec<&str> = readers.iter().map(|(id, _)| id.as_str()).collect();
                write!(f, "let the reader record name {}", list.join(", "))
            }
            Step::Abandon { because } => write!(f, "give the change up: {because}"),
            Step::Finish { writer, .. } => write!(f, "write the ledger, send the page, name {writer} writer"),
        }
    }
}
