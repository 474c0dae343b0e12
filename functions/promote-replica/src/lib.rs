//! Replaces a writer that is gone.
//!
//! Woken by EC2 state changes, by alarms and by the suspicion of
//! `watch-clusters`; see `PromoteReplicaFunction` in `infra/template.yaml`.
//! Whatever woke it, it looks for itself; [`domain::failover`] decides.

use domain::failover::{Observed, Page, Reason, Step, decide, undo};
use reconcile::{End, Failure, World, pass};
use serde::Serialize;

/// What this function may call, in IAM's words: the same set as its policy in
/// `infra/template.yaml`, proven equal by a test.
pub const CALLS: [&str; 11] = [
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "ec2:DescribeInstances",
    "ec2:StopInstances",
    "route53:ChangeResourceRecordSets",
    "route53:ListResourceRecordSets",
    "secretsmanager:GetSecretValue",
    "sns:Publish",
    "ssm:GetParameter",
    "ssm:GetParametersByPath",
];

/// One cluster, as this function looks at it and acts on it.
#[allow(async_fn_in_trait, reason = "every pass runs on one thread")]
pub trait Cluster: World<Seen = Observed, Step = Step> {
    /// Gives the lease back, if this pass holds it: the next pass need not
    /// wait until it expires.
    async fn release(&mut self) -> Result<(), Failure>;

    /// Tells the person on call, unless the same kind was told a short time ago.
    async fn page(&mut self, kind: &str, page: &Page) -> Result<(), Failure>;
}

/// What a pass came to: the answer of the function and its last log line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `steady`, `acted`, `waits` or `refused`.
    pub outcome: &'static str,
    /// Why, in one sentence.
    pub because: String,
}

/// Runs one pass over one cluster.
///
/// # Errors
///
/// The first [`Failure`]; the lease is given back all the same, and the next
/// pass goes on from what was done.
pub async fn change_writer<C: Cluster>(cluster: &mut C) -> Result<Report, Failure> {
    let report = settle(cluster).await;
    // Also after a failure: whoever comes next can act at once.
    let released = cluster.release().await;
    let report = report?;
    released?;
    Ok(report)
}

async fn settle<C: Cluster>(cluster: &mut C) -> Result<Report, Failure> {
    match pass(cluster, decide).await? {
        End::Steady { steps: 0 } => {
            Ok(Report { outcome: "steady", because: "the writer answers and nothing is left to do".to_owned() })
        }
        End::Steady { steps } => {
            Ok(Report { outcome: "acted", because: format!("{steps} steps; nothing is left to do") })
        }
        End::Wait(reason) => Ok(Report { outcome: "waits", because: reason.to_string() }),
        End::Refuse(seen, reason) => refuse(cluster, &seen, &reason).await,
    }
}

/// Undoes what may not stay as it is, then tells a person.
async fn refuse<C: Cluster>(cluster: &mut C, seen: &Observed, reason: &Reason) -> Result<Report, Failure> {
    let mut undone = Ok(());
    for step in undo(seen, reason) {
        tracing::info!("undo: {step}");
        // One standby that cannot be freed must not keep the others frozen.
        if let Err(failure) = cluster.perform(&step).await {
            undone = undone.and(Err(failure));
        }
    }
    // The page goes out whether or not all could be undone.
    cluster.page(reason.kind(), &domain::failover::refusal(seen, reason)).await?;
    undone?;
    Ok(Report { outcome: "refused", because: reason.to_string() })
}
