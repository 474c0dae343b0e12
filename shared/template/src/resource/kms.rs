//! KMS: keys.

use super::{PolicyDocument, Tag};
use crate::{Handle, Value};
use serde::Serialize;

/// Properties of `AWS::KMS::Key`, a symmetric one.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Key {
    /// What it is for.
    pub description: String,
    /// Whether AWS makes new key material each year; what is encrypted with the old one stays readable.
    pub enable_key_rotation: bool,
    /// Who may use it.
    pub key_policy: PolicyDocument,
    /// Days between its deletion and its end.
    pub pending_window_in_days: u32,
    /// Tags.
    pub tags: Vec<Tag>,
}

impl Handle<Key> {
    /// Its ARN.
    #[must_use]
    pub fn arn(&self) -> Value {
        self.attribute("Arn")
    }
}
