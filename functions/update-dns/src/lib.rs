//! Lets a cluster's records say what the roles are.
//!
//! Woken every five minutes, by managed failovers, by instances that start, and
//! by `watch-clusters` when other standbys than before can be read from; see
//! `UpdateDnsFunction` in `infra/template.yaml`. Whatever woke it, it looks for
//! itself; [`domain::dns`] decides.

use domain::{
    dns::{APART, Reason, Step, decide},
    failover::Observed,
    records::RecordsSeen,
    state::Holder,
};
use reconcile::{End, Failure, Looks, Outside, Report, Silences, Turn, Waking, World, page_once, pass};
use std::sync::Arc;

/// What this function may call, in IAM's words: the same set as its policy in
/// `infra/template.yaml`, proven equal by a test.
pub const CALLS: [&str; 12] = [
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "ec2:DescribeInstances",
    // By Secrets Manager, for secrets with a key of their owner's.
    "kms:Decrypt",
    "route53:ChangeResourceRecordSets",
    "route53:ListResourceRecordSets",
    "secretsmanager:GetSecretValue",
    "sns:Publish",
    "ssm:GetParameter",
    "ssm:GetParametersByPath",
];

/// The lease is held no longer than this, whatever becomes of the pass: a
/// failover must not wait for a record. It may end before the pass does: a
/// move that comes late meets other records than it must replace, and readers
/// that are set late are set right by the next pass.
const HOLD_MS: u64 = 10_000;

/// One pass over one cluster.
pub struct Pass<O> {
    looks: Looks<O>,
    turn: Turn,
    /// The looks of this pass, the newest last.
    seen: Vec<Observed>,
    /// The epoch of the lease that this pass holds.
    held: Option<u64>,
}

impl<O: Outside> Pass<O> {
    /// Begins a pass.
    pub fn new(outside: O, waking: Waking, silences: Arc<Silences>, turn: Turn) -> Self {
        let looks = Looks::new(outside, waking, turn.pass.clone(), silences);
        Pass { looks, turn, seen: Vec::new(), held: None }
    }

    fn holder(&self) -> Holder {
        let holder = self.turn.holder();
        let expires_at_ms = holder.expires_at_ms.min(self.looks.outside.now_ms() + HOLD_MS);
        Holder { expires_at_ms, ..holder }
    }

    /// Gives the lease back, if this pass holds it.
    async fn release(&mut self) -> Result<(), Failure> {
        let Some(epoch) = self.held else { return Ok(()) };
        match self.looks.outside.release(epoch, &self.turn.pass).await {
            // Expired and taken by another pass: there is nothing to give back.
            Ok(()) | Err(Failure::LostRace { .. }) => {
                self.held = None;
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }
}

impl<O: Outside> World for Pass<O> {
    type Seen = Vec<Observed>;
    type Step = Step;

    async fn observe(&mut self) -> Result<Vec<Observed>, Failure> {
        self.seen.push(self.looks.look().await?);
        Ok(self.seen.clone())
    }

    async fn perform(&mut self, step: &Step) -> Result<(), Failure> {
        self.turn.in_time(self.looks.outside.now_ms())?;
        match step {
            Step::LookAgain => {
                self.looks.outside.sleep(APART).await;
                self.looks.ask_anew();
            }
            Step::Hold { epoch } => {
                // Also when the answer is lost: what was taken is given back.
                self.held = Some(*epoch);
                self.looks.outside.resume(*epoch, &self.holder()).await?;
            }
            Step::MoveWriterRecord { from, to } => {
                self.looks.outside.move_writer(Some(*from), *to).await?;
                tracing::info!("record {} moved to {}", self.looks.outside.card().records.writer, to.0);
                let moved = |records: &mut RecordsSeen| (records.writer, records.epoch) = (vec![to.0], Some(to.1));
                self.looks.changed_records(Ok(moved));
            }
            Step::SetReaderRecord(addresses) => {
                self.looks.outside.set_readers(addresses).await?;
                self.looks.changed_records(Ok(|records: &mut RecordsSeen| records.reader = addresses.clone()));
            }
        }
        Ok(())
    }
}

/// Runs one pass over one cluster.
///
/// # Errors
///
/// The first [`Failure`]; the lease is given back all the same, and the next
/// pass goes on from what was done. Records that Route 53 does not show are a
/// failure too: when it lasts, the alarm on this function's errors tells.
pub async fn follow_roles<O: Outside>(cluster: &mut Pass<O>) -> Result<Report, Failure> {
    let report = settle(cluster).await;
    let released = cluster.release().await;
    let report = report?;
    released?;
    Ok(report)
}

async fn settle<O: Outside>(cluster: &mut Pass<O>) -> Result<Report, Failure> {
    let name = cluster.looks.outside.card().cluster.clone();
    match pass(cluster, |looks: &Vec<Observed>| decide(looks)).await? {
        End::Steady { steps: 0 } => Ok(Report::new(&name, "steady", "the records are what the roles say".to_owned())),
        End::Steady { steps } => {
            Ok(Report::new(&name, "acted", format!("{steps} steps; the records are what the roles say")))
        }
        End::Wait(Reason::RecordsUnknown(problem)) => {
            Err(Failure::Transient { call: "route53:ListResourceRecordSets", source: problem.into() })
        }
        End::Wait(reason) => Ok(Report::new(&name, "waits", reason.to_string())),
        End::Refuse(looks, reason) => {
            if let Some(seen) = looks.last() {
                page_once(&cluster.looks.outside, reason.kind(), seen.state.epoch, &reason.page(seen)).await?;
            }
            Ok(Report::new(&name, "refused", reason.to_string()))
        }
    }
}
