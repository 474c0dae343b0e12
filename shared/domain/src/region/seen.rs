//! What one look at both Regions yields.

use super::{DrCard, Position, Region, Request};
use crate::{
    failover::{Seen, Sql},
    lsn::Lsn,
    managed::{GlobalSeen, Roles},
};
use std::fmt;

/// One of the two Regions, as the second one's fleet sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The second Region: this fleet's own.
    Here,
    /// The first Region.
    There,
}

/// Both Regions as one look saw them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The card.
    pub card: DrCard,
    /// When this look was taken, in milliseconds since 1970.
    pub looked_at_ms: u64,
    /// The item.
    pub region: Region,
    /// What a person asks in this call.
    pub asked: Option<Request>,
    /// By whom or what this pass was woken.
    pub woken_by: String,
    /// Something that nobody knows before: what an offer's token ends in.
    pub fresh: String,
    /// Whether a person paused the cluster, here or there.
    pub paused: bool,
    /// Whether this pass has ordered something of AWS that a look may not show yet.
    pub gave_order: bool,
    /// Whether the sessions that this look may show were ended since the last one.
    pub ended_sessions: bool,
    /// This Region's side.
    pub here: Seen<SideSeen>,
    /// The other one's; unavailable when its API does not answer.
    pub there: Seen<SideSeen>,
    /// Aurora's global cluster, as this Region's API has it.
    pub global: Seen<Option<GlobalSeen>>,
    /// How far this side was behind when that was last known.
    pub risk: Position,
}

impl Look {
    /// The side in one of the Regions, when it was seen.
    #[must_use]
    pub fn side(&self, place: Place) -> Option<&SideSeen> {
        match self.seen(place) {
            Seen::Known(side) => Some(side),
            Seen::NotAsked | Seen::Unavailable(_) => None,
        }
    }

    fn seen(&self, place: Place) -> &Seen<SideSeen> {
        match place {
            Place::Here => &self.here,
            Place::There => &self.there,
        }
    }

    /// The Region's name.
    #[must_use]
    pub fn name(&self, place: Place) -> &str {
        match place {
            Place::Here => self.card.region(),
            Place::There => self.card.other_region(),
        }
    }

    /// Why a side was not seen.
    #[must_use]
    pub fn silence(&self, place: Place) -> String {
        match self.seen(place) {
            Seen::Unavailable(why) => format!("{} does not answer: {why}", self.name(place)),
            Seen::NotAsked => format!("{} was not asked", self.name(place)),
            Seen::Known(_) => format!("{} answers", self.name(place)),
        }
    }

    /// Who is what in a Region; as the spec has it, when nothing else was ever written.
    #[must_use]
    pub fn roles(&self, place: Place) -> Roles {
        self.side(place).and_then(|side| side.roles.clone()).unwrap_or_default()
    }

    /// Aurora's global cluster, when it was seen.
    #[must_use]
    pub fn global(&self) -> Option<&GlobalSeen> {
        match &self.global {
            Seen::Known(global) => global.as_ref(),
            Seen::NotAsked | Seen::Unavailable(_) => None,
        }
    }
}

/// One Region's side of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SideSeen {
    /// Its servers, the one that writes or would write first. Of Aurora the cluster comes first: its id is the
    /// cluster's, and its endpoint the writer's.
    pub servers: Vec<Server>,
    /// Whether clients are cut off from the first of them.
    pub cut: Cut,
    /// Whether there is a way to cut them off.
    pub can_cut: bool,
    /// What the item `region` of its own table says; `None`: there is none.
    pub serves: Option<bool>,
    /// Who is what, by the item `roles` of its own table; of RDS only.
    pub roles: Option<Roles>,
}

impl SideSeen {
    /// Who writes, or would write.
    #[must_use]
    pub fn first(&self) -> Option<&Server> {
        self.servers.first()
    }

    /// Whether none of its servers can acknowledge a write, by the word of AWS; why.
    #[must_use]
    pub fn is_down(&self) -> Option<String> {
        const ENDED: [&str; 5] = ["stopped", "failed", "terminated", "deleted", "inaccessible-encryption-credentials"];
        let down = |server: &Server| ENDED.contains(&server.status.as_str());
        if self.servers.is_empty() || !self.servers.iter().all(down) {
            return None;
        }
        let words: Vec<String> =
            self.servers.iter().map(|server| format!("{} is {}", server.id, server.status)).collect();
        Some(words.join(", "))
    }
}

/// One server, or Aurora's cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Identifier.
    pub id: String,
    /// ARN, of what RDS runs.
    pub arn: Option<String>,
    /// AWS's word: `available`, `modifying`, `stopped`, `running`.
    pub status: String,
    /// Of Aurora's cluster: the instance that writes now.
    pub writer: Option<String>,
    /// Where clients connect.
    pub endpoint: Option<String>,
    /// Whom it replicates from, as AWS says it; `None`: from nobody. Of EC2 what PostgreSQL says stands in for it.
    pub source: Option<String>,
    /// What PostgreSQL on it answered.
    pub sql: Sql,
}

impl Server {
    /// Whether AWS calls it well.
    #[must_use]
    pub fn is_available(&self) -> bool {
        // What RDS does to a database that goes on serving, too.
        const WELL: [&str; 5] =
            ["available", "running", "backing-up", "storage-optimization", "configuring-enhanced-monitoring"];
        WELL.contains(&self.status.as_str())
    }

    /// The position up to which it would be promoted, or has written.
    #[must_use]
    pub fn position(&self) -> Option<Lsn> {
        match &self.sql {
            Sql::Writer(writer) => Some(writer.lsn),
            // What RDS will replay before it promotes: all that was received.
            Sql::Standby(standby) => standby.furthest(),
            _ => None,
        }
    }

    /// Whether it is a writer of its own, by AWS and by PostgreSQL where that answers.
    #[must_use]
    pub fn is_writer(&self) -> bool {
        self.source.is_none() && self.is_available() && !matches!(self.sql, Sql::Standby(_))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.id, self.status)?;
        match &self.sql {
            Sql::NotAsked => Ok(()),
            sql => write!(f, ", PostgreSQL {sql}"),
        }
    }
}

/// Whether clients are cut off from a writer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cut {
    /// No.
    #[default]
    No,
    /// It was ordered; what is missing.
    UnderWay(String),
    /// New clients are kept out, and sessions of old ones are left; how many.
    Sessions(String),
    /// Yes: why that is certain, and where it stopped, when that can be read.
    Done {
        /// Why.
        because: String,
        /// Its last position.
        at: Option<Lsn>,
    },
}
