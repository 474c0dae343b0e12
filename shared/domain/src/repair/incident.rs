//! What is known of a host that ails, as the state table keeps it.

use super::Ailment;
use crate::{rejoin::Order, time::stamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a member is told to run to be made anew. It saves what only it has,
/// and can be run again wherever it was cut short.
pub const SCRIPT: &str = "bash /opt/understudy/repair.sh";

/// What is known of a host that ails: the item `repair#<instance id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// What ails it.
    pub ailment: Ailment,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// Since when anything ails it.
    pub began_ms: u64,
    /// What was ordered, oldest first.
    #[serde(default)]
    pub orders: Vec<Given>,
    /// Whether a person was told that nothing more is done.
    #[serde(default)]
    pub given_up: bool,
}

/// What was ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// What.
    pub act: Act,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// SSM's id of the command, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// What the command said at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When that was seen, in milliseconds since 1970.
    pub at_ms: u64,
    /// Whether it did what it was sent for.
    pub well: bool,
    /// The last line of what it said.
    pub said: String,
}

/// What can be done for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// `StartInstances`.
    Start,
    /// `RebootInstances`.
    Reboot,
    /// `repair.sh` by SSM: the member's agent restarted, or its data made anew.
    Remake,
}

/// Whose turn it is to be rebooted or made anew: the item `repair-turn`. One
/// host at a time, whoever decides it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Instance id.
    pub id: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

impl Incident {
    /// The command of the last order, as it is sent.
    #[must_use]
    pub fn order(&self) -> Order {
        let at = stamp(self.orders.last().map_or(self.began_ms, |given| given.at_ms));
        Order { comment: format!("Understudy repair, ordered {at}"), script: SCRIPT }
    }

    /// Whether SSM must be asked for the command by its comment.
    #[must_use]
    pub fn is_unsure(&self) -> bool {
        let last = self.orders.last();
        last.is_some_and(|given| given.act == Act::Remake && given.command.is_none() && given.ended.is_none())
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Act::Start => "start it",
            Act::Reboot => "reboot it",
            Act::Remake => "run repair.sh on it",
        })
    }
}
