//! What a change of a managed writer has come to: the part of a change that only clusters which AWS runs have.

use serde::{Deserialize, Serialize};

/// Who makes a change of a managed writer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// AWS made it (or a person, in AWS's own tools); it is verified and told.
    #[default]
    Aws,
    /// Understudy orders AWS to fail over: RDS calls the writer well, and it is not.
    GrayFailure,
    /// Understudy orders AWS to fail over, since a person asked for it.
    Asked,
    /// Understudy promotes a read replica.
    Promotion,
}

/// How far a change of a managed writer has come. Written into the change before each order, so that a later pass
/// knows what may have been ordered. Times are milliseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// Who makes it.
    pub by: By,
    /// Availability Zone of the writer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_before: Option<String>,
    /// Whom the order names: noted before the order, which cannot be withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Whether a change before this one found no proof: what a person then allows stands in for it at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unproven_before: bool,
    /// When the old writer was about to be given the isolated security group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolated_at_ms: Option<u64>,
    /// When its subnet was about to be given the network ACL that lets nobody in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_at_ms: Option<u64>,
    /// When a restart of the old writer was about to be ordered: it ends the sessions that a security group leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_at_ms: Option<u64>,
    /// Whether RDS was seen restarting the old writer after that.
    #[serde(default)]
    pub restart_seen: bool,
    /// When the same promotion was about to be ordered once more: nothing of the first order was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_at_ms: Option<u64>,
    /// When the new writer's backups were about to be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backups_at_ms: Option<u64>,
    /// When the old writer's stop was about to be ordered, after the promotion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_at_ms: Option<u64>,
    /// When `deploy-cluster` was about to be told to render the stack anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub render_at_ms: Option<u64>,
}
