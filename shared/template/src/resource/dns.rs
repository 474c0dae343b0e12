//! Route 53.

use super::Tag;
use crate::{Handle, Value};
use serde::Serialize;

/// Properties of `AWS::Route53::RecordSet`, one of a pair of which one answers.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RecordSet {
    /// The hosted zone.
    pub hosted_zone_id: String,
    /// Its name.
    pub name: String,
    /// `CNAME`.
    pub r#type: &'static str,
    /// Time to live, in seconds; text, as CloudFormation wants it.
    #[serde(rename = "TTL")]
    pub ttl: String,
    /// Tells records of one name apart.
    pub set_identifier: &'static str,
    /// `PRIMARY` or `SECONDARY`.
    pub failover: &'static str,
    /// What must be well for it to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check_id: Option<Value>,
    /// The name it stands for.
    pub resource_records: Vec<String>,
}

/// Properties of `AWS::Route53::HealthCheck`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HealthCheck {
    /// What it looks at.
    pub health_check_config: HealthCheckConfig,
    /// Tags.
    pub health_check_tags: Vec<Tag>,
}

/// A health check that reads what a CloudWatch alarm reads.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HealthCheckConfig {
    /// `CLOUDWATCH_METRIC`.
    pub r#type: &'static str,
    /// The alarm.
    pub alarm_identifier: AlarmIdentifier,
    /// What holds while there is no data.
    pub insufficient_data_health_status: &'static str,
}

/// An alarm of any Region.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AlarmIdentifier {
    /// Its name.
    pub name: Value,
    /// Its Region.
    pub region: String,
}

impl Handle<HealthCheck> {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> Value {
        self.attribute("HealthCheckId")
    }
}
