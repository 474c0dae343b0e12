//! SNS: topics, and who may publish to them.

use super::{PolicyDocument, Tag};
use crate::{Handle, Value};
use serde::Serialize;

/// Properties of `AWS::SNS::Topic`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Topic {
    /// Its name.
    pub topic_name: String,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Properties of `AWS::SNS::TopicPolicy`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TopicPolicy {
    /// The topics.
    pub topics: Vec<Value>,
    /// What is allowed and what is not.
    pub policy_document: PolicyDocument,
}

impl Handle<Topic> {
    /// Its ARN.
    #[must_use]
    pub fn arn(&self) -> Value {
        self.reference()
    }
}
