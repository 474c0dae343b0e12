//! Builds clusters: spec -> template -> change set -> stack -> records; and ends them.
//!
//! Invoked directly with a spec or a request; woken by the changes of its stacks
//! and every minute, to finish what is unfinished. It does not wait for AWS: a
//! call answers where the cluster stands, and the next one goes on from there.

mod answer;
mod certificate;
pub mod cost;
pub mod deletion;
mod deployment;
mod harm;
pub mod managed;
pub mod operation;
pub mod outside;
mod place;
pub mod placeholder;
pub mod plan;
mod publication;
pub mod reading;
pub mod records;
mod roles;
pub mod stack;
pub mod status;
mod store;
mod telling;

pub use answer::{Answer, Outcome, Reply};

use deployment::Stacked;
use domain::{
    card::Registered,
    events::{Function, Meaning, Order, meaning_for, prefix},
    spec::{Problem, Spec},
};
use outside::Outside;
use reconcile::Failure;
use serde_json::Value;
use std::collections::BTreeSet;
use template::Part;

/// What this function may call, in IAM's words: the same set as its policy in
/// `infra/template.yaml`, proven equal by a test.
pub const CALLS: [&str; 59] = [
    "cloudformation:CreateChangeSet",
    "cloudformation:DeleteChangeSet",
    "cloudformation:DeleteStack",
    "cloudformation:DescribeChangeSet",
    "cloudformation:DescribeStackEvents",
    "cloudformation:DescribeStacks",
    "cloudformation:ExecuteChangeSet",
    "cloudformation:GetTemplate",
    "cloudformation:ListChangeSets",
    "cloudformation:ListStackResources",
    "cloudformation:ListStacks",
    "cloudformation:UpdateTerminationProtection",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "iam:PassRole",
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "rds:AddTagsToResource",
    "rds:CreateBlueGreenDeployment",
    "rds:CreateDBCluster",
    "rds:CreateDBClusterEndpoint",
    "rds:CreateDBInstance",
    "rds:CreateDBInstanceReadReplica",
    "rds:DeleteBlueGreenDeployment",
    "rds:DeleteDBCluster",
    "rds:DeleteDBClusterEndpoint",
    "rds:DeleteDBInstance",
    "rds:DescribeBlueGreenDeployments",
    "rds:DescribeDBClusters",
    "rds:DescribeDBEngineVersions",
    "rds:DescribeDBInstances",
    "rds:DescribeGlobalClusters",
    "rds:ModifyDBCluster",
    "rds:ModifyDBInstance",
    "rds:PromoteReadReplica",
    "rds:PromoteReadReplicaDBCluster",
    "rds:SwitchoverBlueGreenDeployment",
    "route53:ChangeResourceRecordSets",
    "route53:ListResourceRecordSets",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:PutObject",
    "secretsmanager:CreateSecret",
    "secretsmanager:DeleteSecret",
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetSecretValue",
    "secretsmanager:RemoveRegionsFromReplication",
    "secretsmanager:ReplicateSecretToRegions",
    "secretsmanager:RestoreSecret",
    "secretsmanager:TagResource",
    "sns:Publish",
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
        Meaning::Spec { cluster } => {
            let spec = event.get("deploy").unwrap_or(event);
            deploy(outside, spec.clone(), cluster.as_deref()).await.map(Reply::One)
        }
        Meaning::Order(order) => {
            let answer = obey(outside, event, &order).await;
            let cluster = match &order {
                Order::Plan { cluster } => cluster.as_deref().unwrap_or_default(),
                Order::Delete { cluster }
                | Order::Status { cluster }
                | Order::RenderAnew { cluster }
                | Order::PlanUpgrade { cluster, .. } => cluster,
                Order::BlueGreen(request) => &request.cluster,
            };
            told(cluster, answer).map(Reply::One)
        }
        Meaning::Stack { cluster, id, status } => stack_changed(outside, &cluster, &id, &status).await.map(Reply::One),
        Meaning::Schedule => finish_all(outside).await,
        Meaning::BadRequest(problem) => {
            let sentence = format!("{problem}; nothing was done");
            Ok(Reply::One(Answer::of_nobody(Outcome::Refused, sentence)))
        }
        other => Ok(Reply::One(Answer::of_nobody(Outcome::Ignored, other.to_string()))),
    }
}

/// Does what a person asks for, beside deploying a spec.
async fn obey<O: Outside>(outside: &O, event: &Value, order: &Order) -> Result<Answer, Failure> {
    match order {
        Order::Plan { cluster } => match read(event["plan"].clone()) {
            Ok(spec) => plan::plan(outside, &spec).await,
            Err(problems) => Ok(Answer::refused(cluster.as_deref(), problems)),
        },
        Order::Delete { cluster } => deletion::delete(outside, cluster).await,
        Order::Status { cluster } => status::status(outside, cluster).await,
        Order::RenderAnew { cluster } => match managed::anew::render(outside, cluster).await {
            Ok(stacked) => publish(outside, cluster, stacked).await,
            Err(failure) => Err(failure),
        },
        Order::BlueGreen(request) => managed::blue_green::answer(outside, request).await,
        Order::PlanUpgrade { cluster, to } => managed::upgrade::answer(outside, cluster, *to).await,
    }
}

fn read(spec: Value) -> Result<Spec, Vec<Problem>> {
    reading::read_value(spec)
}

/// Deploys a spec as far as it goes now.
async fn deploy<O: Outside>(outside: &O, spec: Value, cluster: Option<&str>) -> Result<Answer, Failure> {
    let spec = match read(spec) {
        Ok(spec) => spec,
        Err(problems) => return Ok(Answer::refused(cluster, problems)),
    };
    let answer = match deployment::deploy(outside, &spec, "this spec").await {
        Ok(stacked) => publish(outside, &spec.name, stacked).await,
        Err(failure) => Err(failure),
    };
    told(&spec.name, answer)
}

/// Goes on with one cluster, whose spec is not at hand.
async fn finish<O: Outside>(outside: &O, cluster: &str) -> Result<Answer, Failure> {
    let answer = match deployment::finish(outside, cluster).await {
        Ok(stacked) => publish(outside, cluster, stacked).await,
        Err(failure) => Err(failure),
    };
    told(cluster, answer)
}

/// Goes on with the end of one cluster.
async fn end<O: Outside>(outside: &O, cluster: &str) -> Result<Answer, Failure> {
    told(cluster, deletion::go_on(outside, cluster).await)
}

/// Goes on with a cluster whose stack has begun or ended a change, and tells of it.
async fn stack_changed<O: Outside>(outside: &O, cluster: &str, id: &str, status: &str) -> Result<Answer, Failure> {
    if outside.deletion(cluster).await?.is_some() {
        return end(outside, cluster).await;
    }
    let telling = telling::tell(outside, cluster, id).await;
    let answer = if status.ends_with("_IN_PROGRESS") {
        Ok(Answer::new(cluster, Outcome::Waiting, format!("CloudFormation is at work, {status}")))
    } else {
        finish(outside, cluster).await
    };
    telling.and(answer)
}

/// Goes on with every cluster of the fleet. One that fails holds up no other.
async fn finish_all<O: Outside>(outside: &O) -> Result<Reply, Failure> {
    let prefix = prefix(&outside.settings().fleet);
    let ending: BTreeSet<String> = outside.deletions().await?.into_iter().collect();
    let unsettled = outside.unsettled_stacks().await?;
    let named = unsettled.iter().filter_map(|stack| Some((stack.name.strip_prefix(&prefix)?.to_owned(), stack)));
    let (planned, changing): (Vec<_>, Vec<_>) = named.partition(|(_, stack)| stack.status == "REVIEW_IN_PROGRESS");
    let mut names: BTreeSet<String> = planned.into_iter().map(|(name, _)| name).collect();
    names.extend(outside.cards().await?.into_iter().map(|card| card.cluster().to_owned()));
    let mut clusters = Vec::new();
    let mut failed = Vec::new();
    let mut note = |name: &str, result: Result<Option<Answer>, Failure>| match result {
        Ok(answer) => clusters.extend(answer),
        Err(failure) => failed.push(format!("{name}: {}", failure.story())),
    };
    for name in &ending {
        note(name, end(outside, name).await.map(Some));
    }
    for name in names.difference(&ending) {
        note(name, finish(outside, name).await.map(Some));
    }
    // Without a card yet, or for good: nothing to finish, and perhaps something to tell.
    for (name, stack) in changing {
        if !ending.contains(&name) && !names.contains(&name) && telling::is_news(outside, stack.changed_at_ms) {
            note(&name, telling::tell(outside, &name, &stack.name).await.map(|()| None));
        }
    }
    if failed.is_empty() {
        return Ok(Reply::All { clusters });
    }
    Err(Failure::Broken { call: "deploy-cluster", what: failed.join("; ") })
}

/// The records of a cluster whose stack is complete.
async fn publish<O: Outside>(outside: &O, cluster: &str, stacked: Stacked) -> Result<Answer, Failure> {
    let part = match stacked {
        Stacked::Ended(answer) => return Ok(answer),
        Stacked::Done(part) => part,
    };
    match (outside.card(cluster).await?, part) {
        (Some(Registered::Managed(card)), _) => managed::publish(outside, &card).await,
        (_, Part::Dr) => {
            let here = &outside.settings().region;
            let sentence =
                format!("the standby of {cluster} in {here} is there; the records stay with the primary side");
            Ok(Answer::new(cluster, Outcome::Ready, sentence))
        }
        (Some(Registered::Ec2(card)), Part::Primary) => publication::publish(outside, &card).await,
        (None, Part::Primary) => {
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
