//! Why nothing is done for a host.

use super::{Act, Ailment};
use crate::{follow::Reason as Unsettled, time::seconds};
use std::{fmt, time::Duration};

/// Why nothing is done now. Prints as one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It is on its way to another state, or EC2 does not say.
    Unclear(String),
    /// It has ailed for a shorter time than the policy waits.
    NotYet {
        /// What ails it.
        ailment: Ailment,
        /// For so much longer.
        left: Duration,
    },
    /// The policy leaves repairs to a person.
    ByHand(Ailment),
    /// Somebody paused the cluster.
    Paused,
    /// Nobody leads, or a change is under way.
    Unsettled(Unsettled),
    /// It leads.
    Leads,
    /// Another host is being repaired.
    OneAtATime(String),
    /// Without it etcd has no quorum.
    Quorum {
        /// Other hosts of etcd that run.
        others: usize,
        /// How many must.
        needed: usize,
    },
    /// Without it commits wait.
    LastStandby,
    /// What was ordered has time to show.
    Settling(Act, Duration),
    /// The command runs.
    Running(String),
    /// Everything that can be done was done, and a person told.
    GivenUp(Ailment),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Unclear(what) => write!(f, "not known how it is: {what}"),
            Reason::NotYet { ailment, left } => {
                write!(f, "it {ailment}; repaired in {} at the earliest", seconds(*left))
            }
            Reason::ByHand(ailment) => write!(f, "it {ailment}; repair_after_s is 0, so that a person repairs"),
            Reason::Paused => f.write_str("the cluster is paused"),
            Reason::Unsettled(reason) => write!(f, "{reason}"),
            Reason::Leads => f.write_str("it leads, or is named leader"),
            Reason::OneAtATime(other) => write!(f, "{other} is being repaired"),
            Reason::Quorum { others, needed } => {
                write!(f, "only {others} other hosts of etcd run, and {needed} must")
            }
            Reason::LastStandby => f.write_str("commits wait for it, and no other standby streams"),
            Reason::Settling(act, left) => write!(f, "ordered to {act}; {} left to show", seconds(*left)),
            Reason::Running(status) => write!(f, "repair.sh: {status}"),
            Reason::GivenUp(ailment) => write!(f, "it {ailment}; all that can be done by itself was done"),
        }
    }
}
