//! Builds clusters: spec -> template -> change set -> stack -> records.
//!
//! Invoked directly with a spec; woken by the changes of its stacks and every
//! minute, to finish what is unfinished. It never waits for AWS: a call answers
//! where the cluster stands, and the next one goes on from there.

mod answer;
mod deployment;
pub mod outside;
pub mod placeholder;
mod publication;
pub mod reading;
pub mod records;
pub mod stack;

pub use answer::{Answer, Outcome, Reply};

use deployment::Stacked;
use domain::events::{Function, Meaning, meaning_for, prefix};
use outside::Outside;
use reconcile::Failure;
use serde_json::Value;
use std::collections::BTreeSet;

/// What this function may call, in IAM's words: the same set as its policy in
/// `infra/template.yaml`, proven equal by a test.
pub const CALLS: [&str; 21] = [
    "cloudformation:CreateChangeSet",
    "cloudformation:DeleteChangeSet",
    "cloudformation:DescribeChangeSet",
    "cloudformation:DescribeStacks",
    "cloudformation:ExecuteChangeSet",
    "cloudformation:GetTemplate",
    "cloudformation:ListChangeSets",
    "cloudformation:ListStacks",
    "dynamodb:GetItem",
    "dynamodb:UpdateItem",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "iam:PassRole",
    "route53:ChangeResourceRecordSets",
    "route53:ListResourceRecordSets",
    "secretsmanager:CreateSecret",
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetSecretValue",
    "secretsmanager:TagResource",
    "ssm:GetParameter",
    "ssm:GetParametersByPath",
];

/// Handles one event.
///
/// # Errors
///
/// The [`Failure`] of a call that the next one may not make good by itself; a
/// lost race is no error, since the next call looks again.
pub async fn handle<O: Outside>(outside: &O, event: &Value) -> Result<Reply, Failure> {
    let meaning = meaning_for(Function::DeployCluster, &outside.settings().fleet, event);
    tracing::info!("woken: {meaning}");
    match meaning {
        Meaning::Spec { cluster } => deploy(outside, event.clone(), cluster.as_deref()).await.map(Reply::One),
        Meaning::Stack { cluster, .. } => finish(outside, &cluster).await.map(Reply::One),
        Meaning::Schedule => finish_all(outside).await,
        other => Ok(Reply::One(Answer {
            cluster: None,
            outcome: Outcome::Ignored,
            message: other.to_string(),
            problems: Vec::new(),
        })),
    }
}

/// Deploys a spec as far as it goes now.
async fn deploy<O: Outside>(outside: &O, spec: Value, cluster: Option<&str>) -> Result<Answer, Failure> {
    let spec = match reading::read_value(spec) {
        Ok(spec) => spec,
        Err(problems) => return Ok(Answer::refused(cluster, problems)),
    };
    let answer = match deployment::deploy(outside, &spec).await {
        Ok(Stacked::Done) => publish(outside, &spec.name).await,
        Ok(Stacked::Ended(answer)) => Ok(answer),
        Err(failure) => Err(failure),
    };
    told(&spec.name, answer)
}

/// Goes on with one cluster, whose spec is not at hand.
async fn finish<O: Outside>(outside: &O, cluster: &str) -> Result<Answer, Failure> {
    let answer = match deployment::finish(outside, cluster).await {
        Ok(Stacked::Done) => publish(outside, cluster).await,
        Ok(Stacked::Ended(answer)) => Ok(answer),
        Err(failure) => Err(failure),
    };
    told(cluster, answer)
}

/// Goes on with every cluster of the fleet. One that fails holds up no other.
async fn finish_all<O: Outside>(outside: &O) -> Result<Reply, Failure> {
    let prefix = prefix(&outside.settings().fleet);
    let planned = outside.planned_stacks().await?;
    let mut names: BTreeSet<String> =
        planned.iter().filter_map(|stack| stack.strip_prefix(&prefix)).map(str::to_owned).collect();
    names.extend(outside.cards().await?.into_iter().map(|card| card.cluster));
    let mut clusters = Vec::new();
    let mut failed = Vec::new();
    for name in names {
        match finish(outside, &name).await {
            Ok(answer) => clusters.push(answer),
            Err(failure) => failed.push(format!("{name}: {}", failure.story())),
        }
    }
    if failed.is_empty() {
        return Ok(Reply::All { clusters });
    }
    Err(Failure::Broken { call: "deploy-cluster", what: failed.join("; ") })
}

/// The records of a cluster whose stack is complete.
async fn publish<O: Outside>(outside: &O, cluster: &str) -> Result<Answer, Failure> {
    match outside.card(cluster).await? {
        Some(card) => publication::publish(outside, &card).await,
        None => {
            Ok(Answer::new(cluster, Outcome::Waiting, format!("cluster {cluster} has no card; was its stack deleted?")))
        }
    }
}

/// Logs an answer, and takes a lost race for what it is: a reason to look again.
fn told(cluster: &str, answer: Result<Answer, Failure>) -> Result<Answer, Failure> {
    let answer = match answer {
        Err(race @ Failure::LostRace { .. }) => Answer::new(cluster, Outcome::Waiting, race.story()),
        other => other?,
    };
    match answer.outcome {
        Outcome::Refused => tracing::error!("{cluster}: {}", answer.message),
        _ => tracing::info!("{cluster}: {}", answer.message),
    }
    Ok(answer)
}
