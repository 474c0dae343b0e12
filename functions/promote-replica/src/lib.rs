//! Replaces a writer that is gone.
//!
//! Woken by EC2 state changes, by alarms and by the suspicion of
//! `watch-clusters`; see `PromoteReplicaFunction` in `infra/template.yaml`.
//! Whatever woke it, it looks for itself; [`domain::failover`] decides.
//!
//! Where Patroni owns a cluster (I15) nothing is replaced here: the change that
//! Patroni made is followed ([`follow_leader`]; [`domain::follow`] decides).
//!
//! Where AWS runs a cluster, AWS fails over first ([`change_managed_writer`];
//! [`domain::managed`] decides).

mod lease;
mod led;
mod managed;
mod perform;
mod records;
mod requests;

pub use led::{LedPass, explain_led, follow_leader, hand_over};
pub use managed::{ManagedPass, change_managed_writer, explain_managed, switch_over};
pub use requests::{answer, answer_led};

use domain::failover::{Explanation, Page, decide, undo};
use lease::AtDesk;
use reconcile::{Desk, End, Failure, Looks, Outside, Silences, Steers, TELL_AGAIN, Turn, Waking, World, pass};
use serde::Serialize;
use std::{sync::Arc, time::Duration};

/// What this function may call, in IAM's words: the same set as its policy in
/// `infra/template.yaml`, proven equal by a test.
pub const CALLS: [&str; 24] = [
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "ec2:DescribeInstances",
    "ec2:DescribeNetworkAcls",
    "ec2:ReplaceNetworkAclAssociation",
    "ec2:StopInstances",
    // By Secrets Manager, for secrets with a key of their owner's.
    "kms:Decrypt",
    "lambda:InvokeFunction",
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "rds:DescribeGlobalClusters",
    "rds:FailoverDBCluster",
    "rds:ModifyDBInstance",
    "rds:PromoteReadReplica",
    "rds:RebootDBInstance",
    "rds:StopDBInstance",
    "route53:ChangeResourceRecordSets",
    "route53:ListResourceRecordSets",
    "secretsmanager:GetSecretValue",
    "sns:Publish",
    "ssm:GetParameter",
    "ssm:GetParametersByPath",
];

/// One cluster, as this function looks at it and acts on it.
#[allow(async_fn_in_trait, reason = "every pass runs on one thread")]
pub trait Cluster: World {
    /// Tells the person on call, unless the same kind was told within this time.
    async fn page(&mut self, kind: &str, again: Duration, page: &Page) -> Result<(), Failure>;
}

/// One pass over one cluster.
pub struct Pass<O> {
    looks: Looks<O>,
    /// When Lambda ends this invocation, in milliseconds since 1970.
    deadline_ms: u64,
    holds_lease: bool,
}

impl<O: Outside> Pass<O> {
    pub(crate) fn at_desk(&mut self) -> AtDesk<'_, O> {
        AtDesk {
            desk: &self.looks.outside,
            turn: Turn { pass: self.looks.pass.clone(), deadline_ms: self.deadline_ms },
            waking: &mut self.looks.waking,
            state: &mut self.looks.state,
            change: &mut self.looks.change,
            holds_lease: &mut self.holds_lease,
        }
    }

    /// Begins a pass. `pass` names it as the holder of a lease: no other pass
    /// may have that name, not even Lambda's second try of the same event.
    pub fn new(outside: O, waking: Waking, pass: String, silences: Arc<Silences>, deadline_ms: u64) -> Self {
        Pass { looks: Looks::new(outside, waking, pass, silences), deadline_ms, holds_lease: false }
    }
}

/// What a pass came to: the answer of the function and its last log line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The cluster; empty when the call was about none.
    pub cluster: String,
    /// `steady`, `acted`, `waits`, `refused` or `explained`.
    pub outcome: &'static str,
    /// Why, in one sentence.
    pub because: String,
    /// What was asked for with `{"explain": "orders"}`.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
}

impl Report {
    /// A report without an explanation.
    #[must_use]
    pub fn new(cluster: &str, outcome: &'static str, because: String) -> Self {
        Report { cluster: cluster.to_owned(), outcome, because, explanation: None }
    }

    /// The report of what would be done.
    fn explained(cluster: &str, explanation: Explanation) -> Self {
        let because = format!("now: {}; if the writer failed: {}", explanation.now, explanation.if_the_writer_failed);
        Report { explanation: Some(explanation), ..Report::new(cluster, "explained", because) }
    }
}

/// Runs one pass over one cluster.
///
/// # Errors
///
/// The first [`Failure`]; the lease is given back all the same, and the next
/// pass goes on from what was done.
pub async fn change_writer<O: Steers>(cluster: &mut Pass<O>) -> Result<Report, Failure> {
    let report = settle(cluster).await;
    and_release(report, cluster.at_desk()).await
}

/// Also after a failure the lease is given back: whoever comes next can act at once.
async fn and_release<D: Desk>(report: Result<Report, Failure>, mut desk: AtDesk<'_, D>) -> Result<Report, Failure> {
    let released = desk.give_back().await;
    let report = report?;
    released?;
    Ok(report)
}

async fn settle<O: Steers>(cluster: &mut Pass<O>) -> Result<Report, Failure> {
    let name = cluster.looks.outside.card().cluster.clone();
    match pass(cluster, decide).await? {
        End::Steady { steps: 0 } => {
            Ok(Report::new(&name, "steady", "the writer answers and nothing is left to do".to_owned()))
        }
        End::Steady { steps } => Ok(Report::new(&name, "acted", format!("{steps} steps; nothing is left to do"))),
        End::Wait(reason) => Ok(Report::new(&name, "waits", reason.to_string())),
        End::Refuse(_, reason) if reason.is_answer() => Ok(Report::new(&name, "refused", reason.to_string())),
        End::Refuse(seen, reason) => {
            let page = domain::failover::refusal(&seen, &reason);
            // The members' own steps are found again without a change.
            let undo = undo(&seen, &reason);
            refuse(cluster, undo, |_| false, (reason.kind(), TELL_AGAIN), &page).await?;
            Ok(Report::new(&name, "refused", reason.to_string()))
        }
    }
}

/// What a pass would do now; nothing is done.
///
/// # Errors
///
/// The [`Failure`] of the look.
pub async fn explain<O: Steers>(cluster: &mut Pass<O>) -> Result<Report, Failure> {
    let seen = cluster.observe().await?;
    Ok(Report::explained(&seen.cluster, domain::failover::explain(&seen)))
}

/// Undoes what may not stay as it is, then tells a person. A step that `ends` the change is left to the next pass when
/// one before it failed, so that somebody goes on.
async fn refuse<C: Cluster>(
    cluster: &mut C,
    undo: Vec<C::Step>,
    ends: fn(&C::Step) -> bool,
    (kind, again): (&str, Duration),
    page: &Page,
) -> Result<(), Failure> {
    let mut undone = Ok(());
    for step in undo {
        if undone.is_err() && ends(&step) {
            tracing::warn!("left to the next pass: {step}");
            continue;
        }
        tracing::info!("undo: {step}");
        // One standby that cannot be freed must not keep the others frozen.
        if let Err(failure) = cluster.perform(&step).await {
            undone = undone.and(Err(failure));
        }
    }
    // The page goes out whether or not all could be undone.
    cluster.page(kind, again, page).await?;
    undone
}
