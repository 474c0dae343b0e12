//! What an event can mean.

use super::{Ignored, Order, database, ignored::short};
use crate::{
    lsn::Lsn,
    region,
    request::{BadRequest, Request},
};
use std::fmt;

/// Which thing happened to what. Prints as one sentence without its full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// EC2 changed the state of an instance.
    InstanceState {
        /// Its id.
        instance: String,
        /// EC2's word for the state it is in now.
        state: String,
    },
    /// An alarm of a cluster went off.
    Alarm(Alarm),
    /// A change of a cluster's stack began or ended, well or badly.
    Stack {
        /// The cluster.
        cluster: String,
        /// The stack's ARN, by which CloudFormation knows it also when it is gone.
        id: String,
        /// CloudFormation's word for the state it is in now.
        status: String,
    },
    /// Something happened to a managed database of the account.
    Database {
        /// The cluster's or the instance's identifier in RDS.
        database: String,
        /// The event's id, such as `RDS-EVENT-0071`.
        event: String,
    },
    /// A schedule is due.
    Schedule,
    /// watch-clusters lost the writer of a cluster.
    Suspicion(Suspicion),
    /// watch-clusters found something about a cluster that is not finished.
    Attention {
        /// The cluster.
        cluster: String,
        /// What was found: the event's kind.
        what: String,
    },
    /// The spec of a cluster, or what someone took for one.
    Spec {
        /// The cluster it names, when it names one.
        cluster: Option<String>,
    },
    /// A person asks something of deploy-cluster.
    Order(Order),
    /// A person asks for something.
    Request(Request),
    /// A person asks something of fail-over-region.
    Region(region::Request),
    /// A person asks for something that is not allowed.
    BadRequest(BadRequest),
    /// Nothing that anyone acts on.
    Ignored(Ignored),
}

/// An alarm that went off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// Whom it is about.
    pub subject: Subject,
    /// Whether it was already in ALARM, its actions suppressed until now.
    pub resumed: bool,
}

/// Whom an alarm is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The cluster with this name.
    Cluster(String),
    /// The instance with this id.
    Instance(String),
    /// Someone in the fleet; the alarm does not say who.
    Fleet,
}

/// What watch-clusters saw of a writer that it lost. Only the cluster and the
/// member are needed to look; the rest is for the story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspicion {
    /// The cluster.
    pub cluster: String,
    /// The member that was its writer.
    pub member: String,
    /// Failed probes in a row.
    pub failures: Option<u64>,
    /// When the first of them began, in milliseconds since 1970.
    pub silent_since_ms: Option<u64>,
    /// When this was said, in milliseconds since 1970: what comes late says
    /// nothing about now.
    pub raised_at_ms: Option<u64>,
    /// The writer's last known position.
    pub last_lsn: Option<Lsn>,
    /// When that was, in milliseconds since 1970.
    pub last_lsn_at_ms: Option<u64>,
    /// Its `synchronous_standby_names` that a probe saw last.
    pub synchronous_setting: Option<String>,
    /// How the last probe failed.
    pub problem: Option<String>,
    /// Who leads in its place, where Patroni has made somebody leader.
    pub leader: Option<String>,
}

impl Meaning {
    /// What happened, without what follows from it.
    pub(super) fn what(&self) -> String {
        match self {
            Meaning::InstanceState { instance, state } => {
                format!("EC2 says that {} is {}", short(instance), short(state))
            }
            Meaning::Alarm(alarm) if alarm.resumed => {
                format!("alarm {} is in ALARM and no longer suppressed", short(&alarm.name))
            }
            Meaning::Alarm(alarm) => format!("alarm {} went to ALARM", short(&alarm.name)),
            Meaning::Stack { cluster, status, .. } => format!("the stack of {} is {}", short(cluster), short(status)),
            Meaning::Database { database, event } => {
                format!("RDS says that {} {} ({})", short(database), database::words(event), short(event))
            }
            Meaning::Schedule => "the schedule is due".to_owned(),
            Meaning::Suspicion(seen) => seen.to_string(),
            Meaning::Attention { cluster, what } => {
                format!("watch-clusters says of {}: {}", short(cluster), short(what))
            }
            Meaning::Spec { cluster: Some(cluster) } => format!("this is the spec of {}", short(cluster)),
            Meaning::Spec { cluster: None } => "this is no event".to_owned(),
            Meaning::Order(order) => format!("a person asks for {}", short(&order.to_string())),
            Meaning::Request(request) => format!("a person asks for {}", short(&request.to_string())),
            Meaning::Region(request) => format!("a person asks for {}", short(&request.to_string())),
            Meaning::BadRequest(problem) => format!("a person asks for what is not allowed: {}", short(&problem.0)),
            Meaning::Ignored(reason) => reason.to_string(),
        }
    }
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.what();
        match self {
            Meaning::InstanceState { .. } | Meaning::Database { .. } => write!(f, "{what}: look at its cluster"),
            Meaning::Alarm(Alarm { subject, .. }) => write!(f, "{what}: look at {subject}"),
            Meaning::Stack { cluster, .. } | Meaning::Attention { cluster, .. } => {
                write!(f, "{what}: look at {}", short(cluster))
            }
            Meaning::Schedule => write!(f, "{what}: look at every cluster"),
            Meaning::Suspicion(seen) => write!(f, "{what}: look at {} at once", short(&seen.cluster)),
            Meaning::Spec { cluster: Some(_) } => write!(f, "{what}: check it and deploy it"),
            Meaning::Spec { cluster: None } => write!(f, "{what}: it is checked as a spec, and nothing else is done"),
            Meaning::Order(Order::Plan { .. } | Order::Status { .. } | Order::PlanUpgrade { .. })
            | Meaning::Request(Request::Explain { .. }) => {
                write!(f, "{what}: answer, and do nothing")
            }
            Meaning::Region(request) if !request.changes() => write!(f, "{what}: answer, and do nothing"),
            Meaning::Order(_) | Meaning::Request(_) | Meaning::Region(_) => {
                write!(f, "{what}: do it, or refuse it with the reason")
            }
            Meaning::BadRequest(_) => write!(f, "{what}: refuse it, and do nothing"),
            Meaning::Ignored(_) => write!(f, "ignored: {what}"),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Cluster(cluster) => write!(f, "{}", short(cluster)),
            Subject::Instance(instance) => write!(f, "the cluster of {}", short(instance)),
            Subject::Fleet => f.write_str("every cluster"),
        }
    }
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(leader) = &self.leader {
            let (leader, member, cluster) = (short(leader), short(&self.member), short(&self.cluster));
            return write!(f, "watch-clusters found {leader} leading {cluster} in place of {member}");
        }
        write!(f, "watch-clusters lost {}, the writer of {}", short(&self.member), short(&self.cluster))?;
        if let Some(failures) = self.failures {
            write!(f, ", after {failures} failed probes")?;
        }
        match &self.problem {
            Some(problem) => write!(f, " ({})", short(problem)),
            None => Ok(()),
        }
    }
}
