//! What the function answers.

use crate::{plan::Planned, status::Standing};
use domain::spec::Problem;
use serde::Serialize;

/// How a cluster stands after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// A person must choose: the spec, or what was found in its place, is not acceptable.
    Refused,
    /// This call began to create, to update or to delete the stack.
    Started,
    /// Something must happen first; the same call, or the minute's, goes on from there.
    Waiting,
    /// The stack is as the spec says, and its records name its members.
    Ready,
    /// This is what deploying the spec would change; nothing was.
    Planned,
    /// The cluster is gone.
    Deleted,
    /// This is how it stands; nothing was done.
    Status,
    /// The event asks for nothing.
    Ignored,
}

/// The answer about one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The cluster, where one could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// How it stands.
    pub outcome: Outcome,
    /// Why, in one sentence; of a plan, with its table below.
    pub message: String,
    /// Every problem of a refused spec.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// Of a plan: what would be changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Planned>,
    /// Of a question how a cluster stands: all that there is to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<Box<Standing>>,
}

impl Answer {
    pub(crate) fn new(cluster: &str, outcome: Outcome, message: impl Into<String>) -> Self {
        Answer { cluster: Some(cluster.to_owned()), ..Answer::of_nobody(outcome, message) }
    }

    pub(crate) fn of_nobody(outcome: Outcome, message: impl Into<String>) -> Self {
        Answer {
            cluster: None,
            outcome,
            message: message.into(),
            problems: Vec::new(),
            changes: Vec::new(),
            standing: None,
        }
    }

    pub(crate) fn refused(cluster: Option<&str>, problems: Vec<Problem>) -> Self {
        let count = problems.len();
        let message = format!("the spec has {count} problem{}; nothing was changed", if count == 1 { "" } else { "s" });
        Answer { cluster: cluster.map(str::to_owned), problems, ..Answer::of_nobody(Outcome::Refused, message) }
    }
}

/// The answer to one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// About one cluster.
    One(Answer),
    /// About all clusters of the fleet.
    All {
        /// Those that were looked at.
        clusters: Vec<Answer>,
    },
}
