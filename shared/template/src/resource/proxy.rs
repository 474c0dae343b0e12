//! Amazon RDS Proxy.

use super::Tag;
use crate::{Handle, Value};
use serde::Serialize;

/// Properties of `AWS::RDS::DBProxy`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DbProxy {
    /// Its name.
    #[serde(rename = "DBProxyName")]
    pub name: String,
    /// `POSTGRESQL`.
    pub engine_family: &'static str,
    /// Whose passwords it knows.
    pub auth: Vec<ProxyAuth>,
    /// The role with which it reads them: its ARN.
    pub role_arn: Value,
    /// Where it is.
    pub vpc_subnet_ids: Vec<Value>,
    /// Who may reach it, and what it reaches.
    pub vpc_security_group_ids: Vec<Value>,
    /// Whether clients must speak TLS.
    #[serde(rename = "RequireTLS")]
    pub require_tls: bool,
    /// Seconds after which it drops a client that says nothing.
    pub idle_client_timeout: u32,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// A role that may come through a proxy.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProxyAuth {
    /// `SECRETS`.
    pub auth_scheme: &'static str,
    /// `{"username","password"}`.
    pub secret_arn: Value,
    /// `DISABLED`, or `REQUIRED`: clients log in with IAM and no password.
    #[serde(rename = "IAMAuth")]
    pub iam_auth: &'static str,
    /// How clients prove that they know the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_password_auth_type: Option<&'static str>,
}

/// Properties of `AWS::RDS::DBProxyTargetGroup`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DbProxyTargetGroup {
    /// The proxy.
    #[serde(rename = "DBProxyName")]
    pub proxy: Value,
    /// `default`, the only name there is.
    pub target_group_name: &'static str,
    /// The cluster behind it.
    #[serde(rename = "DBClusterIdentifiers", skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<Value>,
    /// The instance behind it, when it is of no cluster.
    #[serde(rename = "DBInstanceIdentifiers", skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<Value>,
    /// Its connections.
    #[serde(rename = "ConnectionPoolConfigurationInfo")]
    pub pool: ConnectionPool,
}

/// Connections of a proxy to its servers.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ConnectionPool {
    /// Of the server's `max_connections`, in percent.
    pub max_connections_percent: u32,
}

impl Handle<DbProxy> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> Value {
        self.reference()
    }

    /// The name that clients connect to.
    #[must_use]
    pub fn endpoint(&self) -> Value {
        self.attribute("Endpoint")
    }
}
