//! Lets a cluster's records say what the roles are.
//!
//! Woken every five minutes, by managed failovers, by instances that start, and
//! by `watch-clusters` when other standbys than before can be read from; see
//! `UpdateDnsFunction` in `infra/template.yaml`. Whatever woke it, it looks for
//! itself; [`domain::dns`] decides, and [`domain::dns::managed`] where AWS runs
//! the cluster.

mod lease;
mod managed;

pub use managed::{ManagedPass, follow_managed_roles};

use domain::{
    dns::{APART, Reason, Step, decide},
    failover::Observed,
    records::RecordsSeen,
};
use lease::Lease;
use reconcile::{End, Failure, Looks, Outside, Report, Silences, Turn, Waking, World, page_once, pass};
use std::sync::Arc;

/// What this function may call, in IAM's words: the same set as its policy in
/// `infra/template.yaml`, proven equal by a test.
pub const CALLS: [&str; 16] = [
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "ec2:DescribeInstances",
    "ec2:DescribeNetworkAcls",
    // By Secrets Manager, for secrets with a key of their owner's.
    "kms:Decrypt",
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "rds:DescribeGlobalClusters",
    "route53:ChangeResourceRecordSets",
    "route53:ListResourceRecordSets",
    "secretsmanager:GetSecretValue",
    "sns:Publish",
    "ssm:GetParameter",
    "ssm:GetParametersByPath",
];

/// One pass over one cluster.
pub struct Pass<O> {
    looks: Looks<O>,
    lease: Lease,
    /// The looks of this pass, the newest last.
    seen: Vec<Observed>,
}

impl<O: Outside> Pass<O> {
    /// Begins a pass.
    pub fn new(outside: O, waking: Waking, silences: Arc<Silences>, turn: Turn) -> Self {
        let looks = Looks::new(outside, waking, turn.pass.clone(), silences);
        Pass { looks, lease: Lease::new(turn), seen: Vec::new() }
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
        self.lease.turn.in_time(self.looks.outside.now_ms())?;
        match step {
            Step::LookAgain => {
                self.looks.outside.sleep(APART).await;
                self.looks.ask_anew();
            }
            Step::Hold { epoch } => self.lease.hold(&self.looks.outside, *epoch).await?,
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
    cluster.lease.released(&cluster.looks.outside, report).await
}

/// What a pass of so many steps came to.
fn acted(cluster: &str, steps: u32) -> Report {
    match steps {
        0 => Report::new(cluster, "steady", "the records are what the roles say".to_owned()),
        steps => Report::new(cluster, "acted", format!("{steps} steps; the records are what the roles say")),
    }
}

fn unknown_records(problem: String) -> Failure {
    Failure::Transient { call: "route53:ListResourceRecordSets", source: problem.into() }
}

async fn settle<O: Outside>(cluster: &mut Pass<O>) -> Result<Report, Failure> {
    let name = cluster.looks.outside.card().cluster.clone();
    match pass(cluster, |looks: &Vec<Observed>| decide(looks)).await? {
        End::Steady { steps } => Ok(acted(&name, steps)),
        End::Wait(Reason::RecordsUnknown(problem)) => Err(unknown_records(problem)),
        End::Wait(reason) => Ok(Report::new(&name, "waits", reason.to_string())),
        End::Refuse(looks, reason) => {
            if let Some(seen) = looks.last() {
                page_once(&cluster.looks.outside, reason.kind(), seen.state.epoch, &reason.page(seen)).await?;
            }
            Ok(Report::new(&name, "refused", reason.to_string()))
        }
    }
}
