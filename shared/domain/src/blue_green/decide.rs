//! Decides what becomes of a blue/green deployment.

use super::{Action, Deployment, Observed, Reason, Source, Wanted, major};
use crate::{card::Topology, decision::Decision};
use std::fmt;

/// How far the green side may be behind when it is told to take over, bytes: one segment of log. RDS itself waits for
/// the rest with the blue side closed for writing, so that what is behind is an outage.
pub const LAG_BYTES: u64 = 16 << 20;

/// How long RDS tries to switch over before it takes that back, in seconds: its default, and longer than any outage
/// that a person would call a switchover.
const SWITCHOVER_S: u32 = 300;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Makes the deployment.
    Create {
        /// ARN of what is copied.
        source: String,
        /// How the copy shall differ.
        wanted: Wanted,
    },
    /// Lets the green side take over.
    SwitchOver {
        /// The deployment.
        id: String,
        /// Seconds after which RDS gives up and takes it back.
        timeout_s: u32,
    },
    /// Deletes the deployment.
    Delete {
        /// The deployment.
        id: String,
        /// Whether the green databases go with it.
        with_target: bool,
    },
}

/// Decides the next step of what a person asks for.
pub fn decide(seen: &Observed) -> Decision<Step, Reason> {
    match (&seen.action, &seen.deployment) {
        (Action::Status, None) => Decision::Refuse(Reason::NoDeployment(seen.cluster.clone())),
        (Action::Status, Some(_)) => Decision::Steady,
        (Action::Create(wanted), deployment) => create(seen, wanted, deployment.as_ref()),
        (Action::SwitchOver, None) => Decision::Refuse(Reason::NoDeployment(seen.cluster.clone())),
        (Action::SwitchOver, Some(deployment)) => switch_over(seen, deployment),
        // Gone, now or before.
        (Action::Delete, None) => Decision::Steady,
        (Action::Delete, Some(deployment)) => delete(deployment),
    }
}

/// What holds up whatever changes the cluster.
fn held(seen: &Observed) -> Option<Decision<Step, Reason>> {
    if let Some(why) = &seen.paused {
        return Some(Decision::Refuse(Reason::Paused(why.clone())));
    }
    if let Some(from) = &seen.writer_changes {
        return Some(Decision::Wait(Reason::WriterChanges(from.clone())));
    }
    seen.busy.as_ref().map(|what| Decision::Wait(Reason::Busy(what.clone())))
}

fn create(seen: &Observed, wanted: &Wanted, deployment: Option<&Deployment>) -> Decision<Step, Reason> {
    if !seen.topology.is_managed() {
        return Decision::Refuse(Reason::NotManaged(seen.topology));
    }
    if let Some(deployment) = deployment {
        return match deployment.status.as_str() {
            "PROVISIONING" => Decision::Wait(Reason::Provisioning(deployment.tasks.clone())),
            "AVAILABLE" => Decision::Steady,
            status => Decision::Refuse(Reason::InTheWay(status.to_owned(), deployment.details.clone())),
        };
    }
    if let Some(held) = held(seen) {
        return held;
    }
    let Some(source) = &seen.source else { return Decision::Refuse(Reason::NoSource(seen.cluster.clone())) };
    if let Some(reason) = limit(seen, source, wanted) {
        return Decision::Refuse(reason);
    }
    if !source.not_available.is_empty() {
        return Decision::Wait(Reason::Busy(source.not_available.join(", ")));
    }
    Decision::Act(vec![Step::Create { source: source.arn.clone(), wanted: wanted.clone() }])
}

/// Why AWS would not make one, or would break it on the way.
fn limit(seen: &Observed, source: &Source, wanted: &Wanted) -> Option<Reason> {
    let limits = &seen.limits;
    let (now, then) = (major(&source.version), wanted.engine_version.as_deref().and_then(major));
    let upgrades = now.zip(then).is_some_and(|(now, then)| now != then);
    // RDS copies by physical replication unless the major version differs; Aurora always by logical.
    let is_logical = upgrades || seen.topology.is_aurora();
    if let Some((now, then)) = now.zip(then).filter(|(now, then)| then < now) {
        return Some(Reason::Older { now, then });
    }
    if limits.proxy {
        return Some(Reason::Proxy);
    }
    if limits.second_region {
        return Some(Reason::SecondRegion);
    }
    if limits.multi_az_cluster {
        return Some(Reason::MultiAzCluster);
    }
    if let Some(replica) = &limits.cascade {
        return Some(Reason::Cascade(replica.clone()));
    }
    if limits.managed_password {
        return Some(Reason::ManagedPassword);
    }
    let names_groups = wanted.parameter_group.is_some()
        && (wanted.cluster_parameter_group.is_some() || seen.topology == Topology::RdsPostgres);
    if upgrades && !names_groups {
        return Some(Reason::NoParameterGroup { to: then.unwrap_or_default(), aurora: seen.topology.is_aurora() });
    }
    match limits.logical_replication {
        _ if !is_logical => None,
        Some(true) => None,
        Some(false) => Some(Reason::NoLogicalReplication),
        None => Some(Reason::NotAsked),
    }
}

fn switch_over(seen: &Observed, deployment: &Deployment) -> Decision<Step, Reason> {
    match deployment.status.as_str() {
        // Once, whoever asks how often.
        "SWITCHOVER_COMPLETED" => return Decision::Steady,
        "SWITCHOVER_IN_PROGRESS" => return Decision::Wait(Reason::SwitchingOver),
        "PROVISIONING" => return Decision::Wait(Reason::Provisioning(deployment.tasks.clone())),
        "AVAILABLE" => {}
        // RDS took it back. That this call meets it again says that nobody has looked at why.
        "SWITCHOVER_FAILED" if !seen.done => {}
        status => return Decision::Refuse(Reason::NotReady(status.to_owned(), deployment.details.clone())),
    }
    if seen.done {
        return Decision::Wait(Reason::SwitchingOver);
    }
    if let Some(held) = held(seen) {
        return held;
    }
    if let Some(source) = seen.source.as_ref().filter(|source| source.arn != deployment.source) {
        return Decision::Refuse(Reason::AnotherSource {
            writer: source.arn.clone(),
            source: deployment.source.clone(),
        });
    }
    match seen.lag_bytes {
        None => Decision::Refuse(Reason::LagUnknown),
        Some(bytes) if bytes > LAG_BYTES => Decision::Refuse(Reason::Behind(bytes)),
        Some(_) => Decision::Act(vec![Step::SwitchOver { id: deployment.id.clone(), timeout_s: SWITCHOVER_S }]),
    }
}

fn delete(deployment: &Deployment) -> Decision<Step, Reason> {
    let step = |with_target| Decision::Act(vec![Step::Delete { id: deployment.id.clone(), with_target }]);
    match deployment.status.as_str() {
        "DELETING" => Decision::Wait(Reason::Deleting),
        "SWITCHOVER_IN_PROGRESS" => Decision::Refuse(Reason::NotReady(deployment.status.clone(), None)),
        // The green databases serve now; the old ones are no longer part of it.
        "SWITCHOVER_COMPLETED" => step(false),
        _ => step(true),
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Create { source, wanted: Wanted { engine_version: Some(version), .. } } => {
                write!(f, "make a green copy of {source} with engine version {version}")
            }
            Step::Create { source, .. } => write!(f, "make a green copy of {source}"),
            Step::SwitchOver { id, timeout_s } => write!(f, "switch over {id} within {timeout_s} s"),
            Step::Delete { id, with_target: true } => write!(f, "delete {id} and its green databases"),
            Step::Delete { id, with_target: false } => write!(f, "delete {id}, and no database"),
        }
    }
}
