//! Elastic Load Balancing: a Network Load Balancer and what it forwards to.

use super::Tag;
use crate::{Handle, Value};
use serde::Serialize;

/// Properties of `AWS::ElasticLoadBalancingV2::LoadBalancer`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LoadBalancer {
    /// `internal`, or reachable from everywhere.
    pub scheme: &'static str,
    /// `network`.
    pub r#type: &'static str,
    /// One subnet in each Availability Zone where it has an address.
    pub subnets: Vec<Value>,
    /// Who may reach it, and what it may reach. A Network Load Balancer that was made without any never has one.
    pub security_groups: Vec<Value>,
    /// Everything else.
    pub load_balancer_attributes: Vec<Attribute>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Properties of `AWS::ElasticLoadBalancingV2::TargetGroup`: instances of which the healthy ones are reached.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TargetGroup {
    /// The network of the targets.
    pub vpc_id: Value,
    /// `instance`: targets by their ids.
    pub target_type: &'static str,
    /// Protocol.
    pub protocol: &'static str,
    /// The targets' port.
    pub port: u16,
    /// The targets.
    pub targets: Vec<Target>,
    /// `HTTPS`, of which a load balancer does not verify the certificate; or `TCP`.
    pub health_check_protocol: &'static str,
    /// The port that is asked.
    pub health_check_port: String,
    /// The path that is asked for, of HTTPS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check_path: Option<&'static str>,
    /// Seconds between two checks of a target.
    pub health_check_interval_seconds: u32,
    /// Seconds that an answer may take; less than the interval.
    pub health_check_timeout_seconds: u32,
    /// Good answers in a row until a target is healthy.
    pub healthy_threshold_count: u32,
    /// Bad ones in a row until it is not.
    pub unhealthy_threshold_count: u32,
    /// What a good answer is, of HTTPS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matcher: Option<Matcher>,
    /// Everything else.
    pub target_group_attributes: Vec<Attribute>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// A target by its id.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Target {
    /// The instance.
    pub id: Value,
}

/// What a good answer to a health check is.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Matcher {
    /// Status codes of HTTP.
    pub http_code: &'static str,
}

/// Properties of `AWS::ElasticLoadBalancingV2::Listener`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listener {
    /// The load balancer.
    pub load_balancer_arn: Value,
    /// Protocol.
    pub protocol: &'static str,
    /// The port that clients connect to.
    pub port: u16,
    /// What happens to a connection.
    pub default_actions: Vec<ListenerAction>,
}

/// Forwards a connection.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListenerAction {
    /// `forward`.
    pub r#type: &'static str,
    /// To one of these.
    pub target_group_arn: Value,
}

/// An attribute of a load balancer or target group.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Attribute {
    /// Its name.
    pub key: &'static str,
    /// Its value.
    pub value: String,
}

impl Attribute {
    /// An attribute.
    #[must_use]
    pub fn new(key: &'static str, value: impl ToString) -> Self {
        Attribute { key, value: value.to_string() }
    }
}

impl Handle<LoadBalancer> {
    /// Its ARN.
    #[must_use]
    pub fn arn(&self) -> Value {
        self.reference()
    }

    /// The name that clients connect to.
    #[must_use]
    pub fn dns_name(&self) -> Value {
        self.attribute("DNSName")
    }

    /// The end of its ARN, by which metrics know it.
    #[must_use]
    pub fn full_name(&self) -> Value {
        self.attribute("LoadBalancerFullName")
    }
}

impl Handle<TargetGroup> {
    /// Its ARN.
    #[must_use]
    pub fn arn(&self) -> Value {
        self.reference()
    }

    /// The end of its ARN, by which metrics know it.
    #[must_use]
    pub fn full_name(&self) -> Value {
        self.attribute("TargetGroupFullName")
    }
}
