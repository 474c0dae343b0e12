//! How a cluster stands: a look, and nothing else.

use crate::{
    answer::{Answer, Outcome},
    deployment::{is_stuck, stack_name},
    managed::{self, standing::Databases},
    operation::{News, Operation},
    outside::{Outside, StackSeen},
    stack::way_out,
    telling,
};
use domain::{card::Registered, records::RecordsSeen, state::State};
use reconcile::Failure;
use serde::Serialize;
use std::net::IpAddr;
use template::Part;

/// What there is to say of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Its stack's name.
    pub stack: String,
    /// CloudFormation's word for the stack's state.
    pub status: String,
    /// Which side of the cluster it is: `primary` or `dr`.
    pub part: &'static str,
    /// Whether deleting it is refused.
    pub deletion_protection: bool,
    /// Whether it is being deleted by request.
    pub deleting: bool,
    /// Of a change that failed: where and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Of a change that failed: what can be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The writer on record: its instance id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writer: Option<String>,
    /// Number of its last change of writer.
    pub epoch: u64,
    /// Addresses that the writer record names.
    pub writer_record: Vec<IpAddr>,
    /// Addresses that the reader record names.
    pub reader_record: Vec<IpAddr>,
    /// Its members, as the card has them: name and address; of a cluster on EC2.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<(String, IpAddr)>,
    /// Of a cluster that AWS runs: its databases, endpoints and records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub databases: Option<Databases>,
}

/// Looks how a cluster stands.
pub(crate) async fn status<O: Outside>(outside: &O, cluster: &str) -> Result<Answer, Failure> {
    let name = stack_name(outside, cluster);
    let deleting = outside.deletion(cluster).await?.is_some();
    let Some(stack) = outside.stack(&name).await? else {
        let rest = if deleting { "; what is beside it is being removed" } else { "" };
        let sentence = format!("there is no stack {name}{rest}");
        return Ok(Answer::new(cluster, Outcome::Status, sentence));
    };
    let card = outside.card(cluster).await?;
    let state = outside.state(cluster).await?;
    let (mut records, mut databases, mut members) = (RecordsSeen::default(), None, Vec::new());
    match &card {
        Some(Registered::Ec2(card)) => {
            records = outside.records(&card.records).await?;
            members = card.members.iter().map(|member| (member.name.clone(), member.address)).collect();
        }
        Some(Registered::Managed(card)) => {
            databases = Some(managed::standing::look(outside, card, state.as_ref()).await?);
        }
        None => {}
    }
    let operation = Operation::read(&outside.last_change(&stack.id).await?);
    let failed = operation
        .as_ref()
        .filter(|operation| is_stuck(&stack.status) || matches!(operation.news(), Some(News::Failed | News::Stuck)));
    let problem = match failed {
        Some(operation) => Some(telling::story(outside, cluster, operation).await?),
        None => None,
    };
    let message = sentence(cluster, &stack, operation.as_ref(), problem.as_deref(), card.as_ref(), state.as_ref());
    let standing = Standing {
        next: problem.as_ref().map(|_| way_out(&name, &stack.status)),
        problem,
        stack: name,
        part: if stack.part == Part::Dr { "dr" } else { "primary" },
        deletion_protection: stack.protected,
        deleting,
        status: stack.status,
        writer: state.as_ref().and_then(|state| state.writer.clone()),
        epoch: state.as_ref().map_or(0, |state| state.epoch),
        writer_record: records.writer,
        reader_record: records.reader,
        members,
        databases,
    };
    Ok(Answer { standing: Some(Box::new(standing)), ..Answer::new(cluster, Outcome::Status, message) })
}

fn sentence(
    cluster: &str,
    stack: &StackSeen,
    operation: Option<&Operation>,
    problem: Option<&str>,
    card: Option<&Registered>,
    state: Option<&State>,
) -> String {
    let mut sentence = format!("{cluster} is in {}", stack.status);
    if let Some(operation) = operation {
        let (what, minutes) = (operation.what, operation.minutes());
        if operation.news() == Some(News::Started) {
            sentence.push_str(&format!(": {} resources of the {what} are done after {minutes}", operation.ended));
        } else {
            sentence.push_str(&format!(" since a {what} of {minutes}"));
        }
    }
    if let Some(problem) = problem {
        sentence.push_str(&format!("; {problem}"));
    }
    let writer = card.zip(state.and_then(|state| state.writer.as_deref()));
    let named = |(card, id): (&Registered, &str)| match card {
        Registered::Ec2(card) => card.member(id).map_or(id, |member| member.name.as_str()).to_owned(),
        Registered::Managed(_) => id.to_owned(),
    };
    match writer.map(named) {
        Some(writer) => sentence.push_str(&format!("; the writer on record is {writer}")),
        None => sentence.push_str("; no writer is on record"),
    }
    sentence
}
