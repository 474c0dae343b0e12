//! What an event means, and for which function.
//!
//! Events are hints: they come late, twice, out of order or never, so an event
//! only says where to look. It is read from any JSON value by looking up the
//! few fields that are needed; nothing in it is trusted to be there, to have
//! the right type or to be short.

mod alarm;
mod database;
mod envelope;
mod ignored;
mod meaning;
mod order;

pub use database::heard;
pub use ignored::Ignored;
pub use meaning::{Alarm, Meaning, Subject, Suspicion};
pub use order::Order;
pub(crate) use order::cluster as cluster_name;

use crate::{region, request::Request};
use envelope::Envelope;
use serde_json::Value;
use std::fmt;

/// A function of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// From a spec to a stack and its records.
    DeployCluster,
    /// Probes every cluster, for a minute, every minute.
    WatchClusters,
    /// Replaces a writer that is gone.
    PromoteReplica,
    /// Lets the records say what the roles are.
    UpdateDns,
    /// Makes an old writer that comes back a standby.
    RejoinReplica,
    /// Lets the second Region take over, and give back.
    FailOverRegion,
}

impl Function {
    /// All of them.
    pub const ALL: [Function; 6] = [
        Function::DeployCluster,
        Function::WatchClusters,
        Function::PromoteReplica,
        Function::UpdateDns,
        Function::RejoinReplica,
        Function::FailOverRegion,
    ];

    /// Its package, its folder, and its name in AWS after the fleet's.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Function::DeployCluster => "deploy-cluster",
            Function::WatchClusters => "watch-clusters",
            Function::PromoteReplica => "promote-replica",
            Function::UpdateDns => "update-dns",
            Function::RejoinReplica => "rejoin-replica",
            Function::FailOverRegion => "fail-over-region",
        }
    }

    /// Whom `watch-clusters` tells what it found, by the kind of the event.
    #[must_use]
    pub fn told_of(kind: &str) -> Function {
        match kind {
            "Understudy Member Down" | "Understudy Member Back" => Function::RejoinReplica,
            "Understudy Readers Changed" => Function::UpdateDns,
            _ => Function::PromoteReplica,
        }
    }

    /// Whether this function acts on events of this meaning.
    fn takes(self, meaning: &Meaning) -> bool {
        match (self, meaning) {
            (_, Meaning::Schedule | Meaning::Ignored(_))
            | (
                Function::DeployCluster,
                Meaning::Stack { .. } | Meaning::Spec { .. } | Meaning::Order(_) | Meaning::BadRequest(_),
            ) => true,
            (Function::PromoteReplica, Meaning::InstanceState { state, .. }) => goes_down(state),
            (Function::UpdateDns | Function::RejoinReplica, Meaning::InstanceState { state, .. }) => state == "running",
            (function, Meaning::Attention { what, .. }) => function == Function::told_of(what),
            (
                Function::PromoteReplica,
                Meaning::Alarm(_) | Meaning::Suspicion(_) | Meaning::Request(_) | Meaning::BadRequest(_),
            )
            | (Function::FailOverRegion, Meaning::Region(_) | Meaning::BadRequest(_)) => true,
            (function, Meaning::Database { event, .. }) => database::hears(function, event),
            _ => false,
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What names of this fleet's stacks and alarms begin with. Names of fleets have
/// no dash, so that what follows is the cluster and never the rest of a fleet.
#[must_use]
pub fn prefix(fleet: &str) -> String {
    format!("understudy-{fleet}-")
}

/// What an event means for a function of the fleet, whichever way it came.
#[must_use]
pub fn meaning_for(function: Function, fleet: &str, event: &Value) -> Meaning {
    let meaning = match read(fleet, event) {
        Meaning::Ignored(Ignored::NotAnEvent) => direct(function, event),
        meaning => meaning,
    };
    if function.takes(&meaning) {
        return meaning;
    }
    Meaning::Ignored(Ignored::NotFor { function, what: meaning.what() })
}

/// What a payload without an envelope asks of the function it was sent to.
fn direct(function: Function, payload: &Value) -> Meaning {
    match function {
        Function::DeployCluster => match order::read(payload) {
            Ok(order::Asked::Spec(cluster)) => Meaning::Spec { cluster },
            Ok(order::Asked::Order(order)) => Meaning::Order(order),
            Err(problem) => Meaning::BadRequest(problem),
        },
        Function::PromoteReplica => match Request::read(payload) {
            Some(Ok(request)) => Meaning::Request(request),
            Some(Err(problem)) => Meaning::BadRequest(problem),
            None => Meaning::Ignored(Ignored::NotAnEvent),
        },
        Function::FailOverRegion => match region::Request::read(payload) {
            Some(Ok(request)) => Meaning::Region(request),
            Some(Err(problem)) => Meaning::BadRequest(problem),
            None => Meaning::Ignored(Ignored::NotAnEvent),
        },
        Function::WatchClusters | Function::UpdateDns | Function::RejoinReplica => {
            Meaning::Ignored(Ignored::NotAnEvent)
        }
    }
}

/// What an event says, whoever it is for.
fn read(fleet: &str, event: &Value) -> Meaning {
    let envelope = match Envelope::read(event) {
        Ok(envelope) => envelope,
        Err(reason) => return Meaning::Ignored(reason),
    };
    let meaning = match (envelope.source, envelope.kind) {
        ("aws.ec2", "EC2 Instance State-change Notification") => instance(&envelope),
        ("aws.cloudwatch", kind) => alarm::read(fleet, kind, &envelope),
        ("aws.cloudformation", "CloudFormation Stack Status Change") => stack(fleet, &envelope),
        ("aws.events" | "aws.scheduler", "Scheduled Event") => Ok(Meaning::Schedule),
        ("aws.rds", "RDS DB Cluster Event" | "RDS DB Instance Event") => database::read(fleet, &envelope),
        ("understudy.watch-clusters", kind) => watched(kind, &envelope),
        _ => Err(envelope.unknown()),
    };
    meaning.unwrap_or_else(Meaning::Ignored)
}

/// Whether an instance in this state stops serving, or has stopped.
fn goes_down(state: &str) -> bool {
    matches!(state, "stopping" | "stopped" | "shutting-down" | "terminated")
}

fn instance(envelope: &Envelope) -> Result<Meaning, Ignored> {
    let instance = envelope.detail("/instance-id")?;
    if !instance
        .strip_prefix("i-")
        .is_some_and(|id| !id.is_empty() && id.bytes().all(|digit| digit.is_ascii_hexdigit()))
    {
        return Err(Ignored::Malformed { field: "/instance-id" });
    }
    let state = envelope.detail("/state")?;
    Ok(Meaning::InstanceState { instance: instance.to_owned(), state: state.to_owned() })
}

fn stack(fleet: &str, envelope: &Envelope) -> Result<Meaning, Ignored> {
    let arn = envelope.detail("/stack-id")?;
    let status = envelope.detail("/status-details/status")?;
    let name = arn.split('/').nth(1).ok_or(Ignored::Malformed { field: "/stack-id" })?;
    envelope.at_home(arn)?;
    let Some(cluster) = name.strip_prefix(&prefix(fleet)).filter(|cluster| !cluster.is_empty()) else {
        return Err(Ignored::OtherStack { stack: name.to_owned() });
    };
    if status.ends_with("_IN_PROGRESS") && !BEGINNINGS.contains(&status) {
        return Err(Ignored::StackBusy { stack: name.to_owned(), status: status.to_owned() });
    }
    Ok(Meaning::Stack { cluster: cluster.to_owned(), id: arn.to_owned(), status: status.to_owned() })
}

/// Where a change of a stack begins, and where its end is known already. What
/// else is in progress (a clean-up, an import) tells nobody anything.
const BEGINNINGS: [&str; 5] = [
    "CREATE_IN_PROGRESS",
    "UPDATE_IN_PROGRESS",
    "DELETE_IN_PROGRESS",
    "ROLLBACK_IN_PROGRESS",
    "UPDATE_ROLLBACK_IN_PROGRESS",
];

/// Kinds that tell what was last seen of a writer.
const SUSPICIONS: [&str; 2] = ["Understudy Writer Suspected", "Understudy Leader Moved"];

/// What watch-clusters tells another function.
fn watched(kind: &str, envelope: &Envelope) -> Result<Meaning, Ignored> {
    let cluster = envelope.detail("/cluster")?.to_owned();
    let detail = envelope.payload;
    match envelope.detail("/member") {
        Ok(member) if SUSPICIONS.contains(&kind) => Ok(Meaning::Suspicion(Suspicion {
            cluster,
            member: member.to_owned(),
            failures: detail.pointer("/failures").and_then(Value::as_u64),
            silent_since_ms: detail.pointer("/silent_since_ms").and_then(Value::as_u64),
            last_lsn: envelope::text(detail, "/last_lsn").and_then(|text| text.parse().ok()),
            raised_at_ms: detail.pointer("/raised_at_ms").and_then(Value::as_u64),
            last_lsn_at_ms: detail.pointer("/last_lsn_at_ms").and_then(Value::as_u64),
            // Empty is a setting, too: commits wait for nobody.
            synchronous_setting: detail.pointer("/synchronous_setting").and_then(Value::as_str).map(str::to_owned),
            problem: envelope::text(detail, "/problem").map(str::to_owned),
            leader: envelope::text(detail, "/leader").map(str::to_owned),
        })),
        _ => Ok(Meaning::Attention { cluster, what: kind.to_owned() }),
    }
}

#[cfg(test)]
mod tests;
