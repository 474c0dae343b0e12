//! Decides how the end of a cluster goes on.

use super::{Databases, Deletion, is_there};
use crate::outside::{Certificate, StackSeen};
use domain::{card::Records, decision::Decision, managed::NamesSeen, records::RecordsSeen};
use std::fmt;

/// What one look yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The stack's name.
    pub name: String,
    /// Whether a person asks for it in this call.
    pub asked: bool,
    /// Whether this pass has begun to delete the stack.
    pub began: bool,
    /// The stack.
    pub stack: Option<StackSeen>,
    /// What was noted when a person asked for it.
    pub note: Option<Deletion>,
    /// Whether the stack is a first creation that was rolled back to nothing.
    pub is_empty: bool,
    /// The writer that is being replaced now.
    pub writer_changes: Option<String>,
    /// Where and why a deletion failed.
    pub story: Option<String>,
    /// The records; only looked at when the stack is gone.
    pub records: RecordsSeen,
    /// The CNAMEs of a cluster that AWS ran; only looked at when the stack is gone.
    pub names: NamesSeen,
    /// What stands against it, of a cluster that AWS runs; only looked at when a person asks.
    pub databases: Option<Databases>,
    /// The certificate; only looked at when the stack is gone.
    pub certificate: Option<Certificate>,
}

/// One step towards the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Notes that this stack is to be deleted, and what must be known afterwards.
    Note(StackSeen),
    /// Forgets it.
    Forget,
    /// Takes the protection of a stack away that holds nothing.
    Unprotect,
    /// Deletes the stack of this ARN.
    DeleteStack(String),
    /// Deletes the records.
    RemoveRecords(Records),
    /// Deletes the CNAMEs.
    RemoveNames(Records),
    /// Marks the certificate for deletion.
    DeleteCertificate,
    /// Tells that it is over, and forgets the note.
    Finish(Deletion),
}

/// Why nothing is done now, or at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The cluster is protected from being deleted.
    Protected(String),
    /// RDS protects these.
    ProtectedByRds(String, Vec<String>),
    /// The second Region's side is still there.
    Followed(Vec<String>),
    /// The stack holds the global cluster of others.
    HoldsGlobal(Vec<String>),
    /// CloudFormation works on the stack.
    Busy(String, String),
    /// A change of writer is under way.
    WriterChanges(String),
    /// CloudFormation could not delete the stack.
    Failed(String, Option<String>),
}

/// Decides the next step.
pub fn decide(seen: &Observed) -> Decision<Step, Reason> {
    match (&seen.stack, &seen.note) {
        (None, None) => Decision::Steady,
        (None, Some(note)) => beside(seen, note),
        // Another one of the same name, made since: nobody asked for its end.
        (Some(stack), Some(note)) if note.stack != stack.id => Decision::Act(vec![Step::Forget]),
        (Some(_), None) if !seen.asked => Decision::Steady,
        (Some(stack), note) => whole(seen, stack, note.as_ref()),
    }
}

/// While the stack is there.
fn whole(seen: &Observed, stack: &StackSeen, note: Option<&Deletion>) -> Decision<Step, Reason> {
    let is_planned = stack.status == "REVIEW_IN_PROGRESS";
    let guards = stack.protected && !seen.is_empty && !is_planned;
    match note {
        Some(_) if guards => Decision::Act(vec![Step::Forget]),
        None if guards => Decision::Refuse(Reason::Protected(seen.name.clone())),
        _ if seen.asked && !seen.is_empty && !is_planned && against(seen).is_some() => {
            against(seen).map_or(Decision::Steady, Decision::Refuse)
        }
        None => match &seen.writer_changes {
            Some(from) => Decision::Wait(Reason::WriterChanges(from.clone())),
            None => Decision::Act(vec![Step::Note(stack.clone())]),
        },
        Some(_) if stack.status.ends_with("_IN_PROGRESS") && !is_planned => {
            Decision::Wait(Reason::Busy(seen.name.clone(), stack.status.clone()))
        }
        // Tried again only by a person who has seen why: each minute it would fail the same way.
        Some(_) if stack.status == "DELETE_FAILED" && (seen.began || !seen.asked) => {
            Decision::Refuse(Reason::Failed(seen.name.clone(), seen.story.clone()))
        }
        Some(_) => {
            let unprotect = stack.protected.then_some(Step::Unprotect);
            Decision::Act(unprotect.into_iter().chain([Step::DeleteStack(stack.id.clone())]).collect())
        }
    }
}

/// What stands against deleting databases: it would fail half-way, or take what others follow.
fn against(seen: &Observed) -> Option<Reason> {
    let databases = seen.databases.as_ref()?;
    match databases {
        Databases { followers, .. } if !followers.is_empty() => Some(Reason::Followed(followers.clone())),
        Databases { others, .. } if !others.is_empty() => Some(Reason::HoldsGlobal(others.clone())),
        Databases { protected, .. } if !protected.is_empty() => {
            Some(Reason::ProtectedByRds(seen.name.clone(), protected.clone()))
        }
        _ => None,
    }
}

/// When the stack is gone: what is beside it.
fn beside(seen: &Observed, note: &Deletion) -> Decision<Step, Reason> {
    let RecordsSeen { writer, epoch, reader, .. } = &seen.records;
    let records = note.records.as_ref().filter(|_| !writer.is_empty() || epoch.is_some() || !reader.is_empty());
    let mut steps: Vec<Step> = records.cloned().map(Step::RemoveRecords).into_iter().collect();
    let has_names = seen.names != NamesSeen::default();
    steps.extend(note.records.clone().filter(|_| has_names).map(Step::RemoveNames));
    steps.extend(is_there(seen.certificate.as_ref()).then_some(Step::DeleteCertificate));
    steps.push(Step::Finish(note.clone()));
    Decision::Act(steps)
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Note(stack) => write!(f, "note that {} is to be deleted", stack.id),
            Step::Forget => f.write_str("forget that the cluster is to be deleted"),
            Step::Unprotect => f.write_str("take the protection of an empty stack away"),
            Step::DeleteStack(id) => write!(f, "delete {id}"),
            Step::RemoveNames(records) | Step::RemoveRecords(records) => {
                write!(f, "remove {} and {}", records.writer, records.reader)
            }
            Step::DeleteCertificate => f.write_str("mark the certificate for deletion"),
            Step::Finish(_) => f.write_str("tell that the cluster is gone, and forget it"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Protected(name) => write!(
                f,
                "deletion protection of {name} is on: deploy its spec with \"deletion_protection\": false first; \
                 nothing was changed"
            ),
            Reason::ProtectedByRds(name, resources) => write!(
                f,
                "RDS protects {} of {name} from being deleted: deploy its spec with \"deletion_protection\": false and \
                 wait until that is complete; nothing was changed",
                resources.join(", ")
            ),
            Reason::Followed(followers) => write!(
                f,
                "another Region follows this side ({}): delete the cluster there first; nothing was changed",
                followers.join(", ")
            ),
            Reason::HoldsGlobal(others) => write!(
                f,
                "the global cluster is of this stack, and {} is still in it: delete the cluster there first, or take it \
                 out (aws rds remove-from-global-cluster); nothing was changed",
                others.join(", ")
            ),
            Reason::Busy(name, status) => write!(f, "CloudFormation works on {name}, {status}"),
            Reason::WriterChanges(from) => {
                write!(f, "a change of writer away from {from} is under way; it must end first")
            }
            Reason::Failed(name, story) => {
                let why = story.as_deref().unwrap_or("CloudFormation gives no reason");
                write!(f, "CloudFormation could not delete {name}: {why}; correct the cause and ask for it again")
            }
        }
    }
}
