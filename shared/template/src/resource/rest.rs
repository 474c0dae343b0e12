//! Secrets Manager, Systems Manager, CloudWatch.

use super::Tag;
use crate::Value;
use serde::Serialize;
use std::{borrow::Cow, collections::BTreeMap};

/// Properties of `AWS::SecretsManager::Secret`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Secret {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// How its text is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generate_secret_string: Option<GenerateSecretString>,
    /// Its text, when there is nothing secret in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_string: Option<Value>,
    /// With which key it is encrypted, when it is not AWS's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
    /// Further Regions that have it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replica_regions: Vec<ReplicaRegion>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// A Region that has a copy of a secret.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReplicaRegion {
    /// The Region.
    pub region: String,
    /// With which key it is encrypted there, when it is not AWS's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
}

/// A text with a generated password in it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GenerateSecretString {
    /// A JSON object to which the password is added.
    pub secret_string_template: String,
    /// Under this key.
    pub generate_string_key: &'static str,
    /// Characters that it does not hold.
    pub exclude_characters: &'static str,
    /// Its length.
    pub password_length: u32,
}

/// Properties of `AWS::SSM::Parameter`, of type `String`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StringParameter {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// `String`.
    pub r#type: &'static str,
    /// How long its text may be, and what it costs.
    pub tier: &'static str,
    /// Its text.
    pub value: Value,
    /// Tags, which this type takes as a map.
    pub tags: BTreeMap<String, String>,
}

/// Properties of `AWS::Logs::LogGroup`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LogGroup {
    /// Its name.
    pub log_group_name: String,
    /// Days that events are kept.
    pub retention_in_days: u32,
    /// With which key they are encrypted, when it is not CloudWatch's own: its ARN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<Value>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Properties of `AWS::Logs::MetricFilter`: counts the events of a group that match.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MetricFilter {
    /// The group.
    pub log_group_name: Value,
    /// What events hold.
    pub filter_pattern: &'static str,
    /// What they become, one.
    pub metric_transformations: Vec<MetricTransformation>,
}

/// What an event of a log becomes.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MetricTransformation {
    /// The metric's name.
    pub metric_name: &'static str,
    /// Its namespace.
    pub metric_namespace: String,
    /// What each counts.
    pub metric_value: &'static str,
    /// What a period counts that had none.
    pub default_value: u32,
}

/// Properties of `AWS::CloudWatch::Alarm`, of one metric.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Alarm {
    /// Its name.
    pub alarm_name: String,
    /// What it means and what to do.
    pub alarm_description: String,
    /// The metric's namespace.
    pub namespace: Cow<'static, str>,
    /// The metric.
    pub metric_name: &'static str,
    /// The metric's dimensions.
    pub dimensions: Vec<Dimension>,
    /// How values of a period become one.
    pub statistic: &'static str,
    /// Seconds of a period.
    pub period: u32,
    /// Periods in a row.
    pub evaluation_periods: u32,
    /// Compared how.
    pub comparison_operator: &'static str,
    /// With what.
    pub threshold: serde_json::Number,
    /// What the absence of values means.
    pub treat_missing_data: &'static str,
    /// Who is told when it rings.
    pub alarm_actions: Vec<Value>,
    /// Who is told when it is over.
    #[serde(rename = "OKActions")]
    pub ok_actions: Vec<Value>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// A dimension of a metric.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Dimension {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: Value,
}
