//! A copy of a whole cluster that follows it (green) and takes over from it (blue), once.
//!
//! The state is the blue/green deployment itself, at RDS. Identifiers and endpoints swap at the switchover: the green
//! databases take the blue ones' names, so that stack, card and records stay true; the old ones are called `-old1`,
//! and are kept until a person deletes them.
//!
//! Source: Amazon RDS User Guide and Amazon Aurora User Guide, "Limitations and considerations for blue/green
//! deployments", and the API Reference of `BlueGreenDeployment`.

mod decide;
mod reason;
mod request;
mod upgrade;

pub use decide::{LAG_BYTES, Step, decide};
pub use reason::Reason;
pub use request::{Action, Request, Wanted, read};
pub use upgrade::{Facts, Plan, Server, plan};

use crate::card::Topology;

/// One cluster as one look saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The cluster.
    pub cluster: String,
    /// How it is built.
    pub topology: Topology,
    /// What a person asks for.
    pub action: Action,
    /// Whether this call has done it.
    pub done: bool,
    /// Why nothing shall be done now, in the words of whoever paused the cluster.
    pub paused: Option<String>,
    /// From whom a change of writer is under way.
    pub writer_changes: Option<String>,
    /// What CloudFormation or RDS is busy with.
    pub busy: Option<String>,
    /// What a blue/green deployment cannot have.
    pub limits: Limits,
    /// The writer, or the cluster of Aurora.
    pub source: Option<Source>,
    /// The deployment of this cluster.
    pub deployment: Option<Deployment>,
    /// How far the green side is behind, bytes; `None`: not known.
    pub lag_bytes: Option<u64>,
}

/// What AWS does not offer blue/green deployments for, as far as this cluster has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// An RDS Proxy stands in front.
    pub proxy: bool,
    /// A second Region follows it.
    pub second_region: bool,
    /// It is a Multi-AZ DB cluster of RDS.
    pub multi_az_cluster: bool,
    /// A replica of a replica, by its name.
    pub cascade: Option<String>,
    /// RDS manages the master password.
    pub managed_password: bool,
    /// Whether `rds.logical_replication` is on; `None`: nobody could be asked.
    pub logical_replication: Option<bool>,
}

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its ARN.
    pub arn: String,
    /// Its engine version: `16.4`.
    pub version: String,
    /// Members that do not stand as `available`, each with what they are.
    pub not_available: Vec<String>,
}

/// A blue/green deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Its id.
    pub id: String,
    /// `PROVISIONING`, `AVAILABLE`, `SWITCHOVER_IN_PROGRESS`, `SWITCHOVER_COMPLETED`, `SWITCHOVER_FAILED`,
    /// `INVALID_CONFIGURATION` or `DELETING`.
    pub status: String,
    /// Why, as far as RDS says.
    pub details: Option<String>,
    /// ARN of what it copies.
    pub source: String,
    /// ARN of the copy.
    pub target: Option<String>,
    /// Tasks of the making, with the status of each.
    pub tasks: Vec<(String, String)>,
}

/// The number before the point of a version: 16 of `16.4`.
#[must_use]
pub fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests;
