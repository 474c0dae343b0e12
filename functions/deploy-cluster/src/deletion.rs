//! The end of a cluster: its stack, then what is beside the stack. Data volumes
//! leave a last snapshot, the state item stays as the ledger.

mod databases;
mod decide;

pub use databases::Databases;
pub use decide::{Observed, Reason, Step, decide};

use crate::{
    answer::{Answer, Outcome},
    certificate::secret_name,
    deployment::{stack_name, unique, what_is_left},
    operation::Operation,
    outside::{Certificate, Outside, StackSeen},
    roles, telling,
};
use domain::{
    card::{Records, Registered},
    managed::NamesSeen,
    records::RecordsSeen,
};
use reconcile::{End, Failure, World, pass};
use serde::{Deserialize, Serialize};
use template::Part;

/// What must be known of a cluster when its stack, and its card with it, is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// The stack's ARN.
    pub stack: String,
    /// Whether it was the standby in the second Region: then the records and the certificate are not its own.
    pub is_dr: bool,
    /// The records that are deleted with it.
    pub records: Option<Records>,
    /// How many volumes leave a last snapshot.
    pub snapshots: usize,
    /// What stays behind, by logical id.
    pub kept: Vec<String>,
    /// When a person asked for it, in milliseconds since 1970.
    pub asked_at_ms: u64,
    /// Whether AWS ran it: then each side has records of its own.
    #[serde(default)]
    pub is_managed: bool,
    /// Whether it had hosts with a certificate of its own.
    #[serde(default)]
    pub has_certificate: bool,
}

/// Deletes a cluster, as far as it goes now, because a person asks for it.
pub(crate) async fn delete<O: Outside>(outside: &O, cluster: &str) -> Result<Answer, Failure> {
    Ending { asked: true, ..Ending::of(outside, cluster) }.run().await
}

/// Goes on with what a person has asked for.
pub(crate) async fn go_on<O: Outside>(outside: &O, cluster: &str) -> Result<Answer, Failure> {
    Ending::of(outside, cluster).run().await
}

/// The end of one cluster in one pass.
struct Ending<'a, O> {
    outside: &'a O,
    cluster: &'a str,
    stack: String,
    asked: bool,
    began: bool,
    note: Option<Deletion>,
}

impl<'a, O: Outside> Ending<'a, O> {
    fn of(outside: &'a O, cluster: &'a str) -> Self {
        Ending { outside, cluster, stack: stack_name(outside, cluster), asked: false, began: false, note: None }
    }

    async fn run(&mut self) -> Result<Answer, Failure> {
        let end = pass(self, decide).await?;
        if let (Some(note), false) = (&self.note, self.asked) {
            telling::tell(self.outside, self.cluster, &note.stack).await?;
        }
        let answer = |outcome, sentence| Answer::new(self.cluster, outcome, sentence);
        Ok(match end {
            End::Steady { .. } => match &self.note {
                Some(note) => answer(Outcome::Deleted, self.rest(note)),
                None => answer(Outcome::Deleted, format!("there is no stack {}: nothing was done", self.stack)),
            },
            End::Wait(reason) if self.began => answer(Outcome::Started, reason.to_string()),
            End::Wait(reason) => answer(Outcome::Waiting, reason.to_string()),
            End::Refuse(_, reason) => answer(Outcome::Refused, reason.to_string()),
        })
    }

    /// What is left of a cluster that is gone.
    fn rest(&self, note: &Deletion) -> String {
        let secret = secret_name(self.outside, self.cluster, "tls");
        let mut rest = format!("stack {} is gone", self.stack);
        if note.snapshots > 0 {
            let what = if note.is_managed { "databases" } else { "volumes" };
            rest.push_str(&format!("; {} {what} left a last snapshot", note.snapshots));
        }
        if !note.kept.is_empty() {
            rest.push_str(&format!("; {} stayed", note.kept.join(", ")));
        }
        if note.is_managed || !note.is_dr {
            rest.push_str("; its records are removed");
        }
        if note.has_certificate {
            rest.push_str(&format!("; secret {secret} can be restored for 30 days"));
        }
        if note.is_managed || !note.is_dr {
            rest.push_str("; the ledger stays");
        }
        rest
    }

    /// What must be known when the stack is gone.
    async fn note(&self, stack: &StackSeen) -> Result<Deletion, Failure> {
        let template = self.outside.template(&self.stack).await?;
        let with_policy = |wanted: &str| -> Vec<String> {
            let resources = template["Resources"].as_object().into_iter().flatten();
            let policy =
                |resource: &serde_json::Value| resource["DeletionPolicy"].as_str().unwrap_or_default().to_owned();
            let has = resources.filter(|(_, resource)| policy(resource).starts_with(wanted));
            has.map(|(name, _)| name.clone()).collect()
        };
        let hosts = template["Resources"].as_object().into_iter().flat_map(|resources| resources.values());
        let has_hosts = hosts.into_iter().any(|resource| resource["Type"] == "AWS::EC2::Instance");
        let card = self.outside.card(self.cluster).await?;
        let is_dr = stack.part == Part::Dr;
        let is_managed = matches!(card, Some(Registered::Managed(_)));
        let records = match card {
            Some(Registered::Ec2(card)) => Some(card.records).filter(|_| !is_dr),
            Some(Registered::Managed(card)) => Some(card.records),
            None => None,
        };
        Ok(Deletion {
            stack: stack.id.clone(),
            is_dr,
            records,
            snapshots: with_policy("Snapshot").len(),
            kept: with_policy("Retain"),
            asked_at_ms: self.outside.now_ms(),
            is_managed,
            has_certificate: !is_dr && has_hosts,
        })
    }

    /// Where and why the deletion failed.
    async fn story(&self, stack: &StackSeen) -> Result<Option<String>, Failure> {
        if stack.status != "DELETE_FAILED" {
            return Ok(None);
        }
        match Operation::read(&self.outside.last_change(&stack.id).await?) {
            Some(operation) => telling::story(self.outside, self.cluster, &operation).await.map(Some),
            None => Ok(None),
        }
    }
}

impl<O: Outside> World for Ending<'_, O> {
    type Seen = Observed;
    type Step = Step;

    async fn observe(&mut self) -> Result<Observed, Failure> {
        let note = self.outside.deletion(self.cluster).await?;
        if note.is_some() {
            self.note.clone_from(&note);
        }
        let stack = self.outside.stack(&self.stack).await?;
        let mut seen = Observed {
            name: self.stack.clone(),
            asked: self.asked,
            began: self.began,
            is_empty: false,
            writer_changes: None,
            story: None,
            records: RecordsSeen::default(),
            names: NamesSeen::default(),
            certificate: None,
            databases: None,
            stack,
            note,
        };
        match (&seen.stack, &seen.note) {
            (Some(stack), _) => {
                let failed_at_first = stack.status == "ROLLBACK_COMPLETE";
                seen.is_empty = failed_at_first && what_is_left(self.outside, &self.stack).await?.is_empty();
                seen.story = self.story(stack).await?;
                let state = self.outside.state(self.cluster).await?;
                seen.writer_changes = state.and_then(|state| state.change).map(|change| change.from);
                if self.asked {
                    seen.databases = databases::look(self.outside, self.cluster, &self.stack).await?;
                }
            }
            (None, Some(note)) if note.is_managed => {
                if let Some(records) = &note.records {
                    seen.names = self.outside.names(records).await?;
                }
                if note.has_certificate {
                    seen.certificate = self.outside.tls(self.cluster).await?;
                }
            }
            (None, Some(note)) if !note.is_dr => {
                if let Some(records) = &note.records {
                    seen.records = self.outside.records(records).await?;
                }
                seen.certificate = self.outside.tls(self.cluster).await?;
            }
            (None, _) => {}
        }
        Ok(seen)
    }

    async fn perform(&mut self, step: &Step) -> Result<(), Failure> {
        let (outside, cluster) = (self.outside, self.cluster);
        match step {
            Step::Note(stack) => {
                let note = self.note(stack).await?;
                outside.note_deletion(cluster, &note).await
            }
            Step::Forget => {
                outside.forget_deletion(cluster).await?;
                self.note = None;
                Ok(())
            }
            Step::Unprotect => outside.protect(&self.stack, false).await,
            Step::DeleteStack(id) => {
                // A token once used is the same request, and another try needs another.
                outside.delete_stack(id, &format!("delete-{}-{}", unique(id), outside.now_ms())).await?;
                self.began = true;
                Ok(())
            }
            Step::RemoveRecords(records) => outside.remove_records(records).await,
            Step::RemoveNames(records) => outside.remove_names(records).await,
            Step::DeleteCertificate => outside.delete_tls(cluster).await,
            Step::Finish(note) => {
                roles::forget(outside, cluster).await?;
                telling::tell_end(outside, cluster, &note.stack, &self.rest(note)).await?;
                outside.forget_deletion(cluster).await
            }
        }
    }
}

/// Whether a certificate is there that goes with its cluster.
fn is_there(certificate: Option<&Certificate>) -> bool {
    matches!(certificate, Some(Certificate::There(seen)) if seen.copy_of.is_none())
}
