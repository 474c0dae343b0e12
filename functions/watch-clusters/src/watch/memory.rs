//! What outlives a run, in a function that stays warm.

use super::tellings::Told;
use crate::finding::Finding;
use domain::{failover::Sql, lsn::Lsn, managed::Described};
use std::collections::{BTreeMap, BTreeSet};

/// What the next run should know of a cluster.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    /// Where each member that was out of recovery wrote last.
    pub(super) writes: BTreeMap<String, LastWrite>,
    /// What each member's last answer was, in one word, for the log.
    pub(super) words: BTreeMap<String, &'static str>,
    pub(super) told: BTreeMap<Finding, Told>,
    /// The standbys that could be read from when that was told last, or first known.
    pub(super) readers: Option<BTreeSet<String>>,
    /// Members that were told to be down and have not come back; only on EC2.
    pub(super) down: BTreeSet<String>,
    /// What RDS said last; only of a cluster that AWS runs.
    pub(super) described: Option<Described>,
    /// Since when RDS calls a database busy, in milliseconds since 1970.
    pub(super) busy_since: BTreeMap<String, u64>,
}

/// A writer's position, and whom its commits waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastWrite {
    pub lsn: Lsn,
    pub at_ms: u64,
    pub synchronous_setting: String,
}

impl Memory {
    /// Keeps what a probe found, and logs it when it is another thing than before.
    pub(super) fn remember(&mut self, cluster: &str, id: &str, called: &str, asked_ms: u64, sql: &Sql) {
        if let Sql::Writer(writer) = sql {
            let write =
                LastWrite { lsn: writer.lsn, at_ms: asked_ms, synchronous_setting: writer.synchronous_setting.clone() };
            self.writes.insert(id.to_owned(), write);
        }
        let word = match sql {
            Sql::Writer(_) => "writer",
            Sql::Standby(_) => "standby",
            Sql::Alive(_) => "alive",
            Sql::Refused => "refused",
            Sql::Silent(_) => "silent",
            Sql::NotAsked => return,
        };
        // One line for each change. A member found well at first is no event.
        let before = self.words.insert(id.to_owned(), word);
        let well = matches!(sql, Sql::Writer(_) | Sql::Standby(_));
        if before.map_or(!well, |before| before != word) {
            tracing::info!("{cluster}: {called} {sql}");
        }
    }
}
