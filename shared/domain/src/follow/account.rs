//! What a keeper says of the roles that it assigned.

use crate::{card::CardHost, failover::Host, lsn::Lsn};
use serde::{Deserialize, Serialize};

/// What a keeper says of its cluster, by one of its agents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Name of the member whose agent said so.
    pub by: String,
    /// Instance id of the member that leads; its name, when the card does not
    /// know it; `None` when nobody does.
    pub leader: Option<String>,
    /// Whether the keeper was told to leave the roles as they are.
    pub paused: bool,
    /// The members that the keeper knows.
    pub roles: Vec<Role>,
    /// Earlier timelines, oldest first.
    pub forks: Vec<Fork>,
}

/// One member, in the keeper's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Role {
    /// Instance id; its name, when the card does not know it.
    pub id: String,
    /// `leader`, `replica`, `sync_standby`, `quorum_standby`.
    pub role: String,
    /// `running`, `streaming`, `start failed`.
    pub state: String,
    /// Its timeline.
    pub timeline: Option<u32>,
    /// Bytes of log that it lacks; `None` when the keeper does not know.
    pub lag: Option<u64>,
}

/// A host of the keeper's own store: etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreHost {
    /// What the card says of it.
    pub card: CardHost,
    /// What EC2 says of it.
    pub host: Host,
}

/// The end of one timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// The timeline that ended.
    pub timeline: u32,
    /// Where: what only the old writer had lies behind this position.
    pub ended_at: Lsn,
    /// When the next one began, in milliseconds since 1970.
    pub at_ms: Option<u64>,
    /// Name of the member that began it.
    pub leader: Option<String>,
}

/// What a pass waits for: the item `follow`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The kind of the reason.
    pub kind: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// When a pass last found it so, in milliseconds since 1970.
    #[serde(default)]
    pub confirmed_ms: u64,
    /// What was so when the wait began and may be otherwise at its end: the zone of a managed writer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
}

impl Account {
    /// What the keeper says of one member.
    #[must_use]
    pub fn role(&self, id: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.id == id)
    }

    /// The end of the timeline before this one.
    #[must_use]
    pub fn fork_before(&self, timeline: u32) -> Option<&Fork> {
        self.forks.iter().filter(|turn| turn.timeline < timeline).max_by_key(|turn| turn.timeline)
    }
}

impl Role {
    /// Whether commits wait for it, by the keeper's own bookkeeping.
    #[must_use]
    pub fn is_synchronous(&self) -> bool {
        matches!(self.role.as_str(), "sync_standby" | "quorum_standby")
    }

    /// Whether PostgreSQL on it could not be started, by the keeper's own word.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.state == "crashed" || self.state.ends_with("failed")
    }
}
