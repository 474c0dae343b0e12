//! Who may act on a cluster, on what epoch: the cluster's item in the state table.

use crate::lsn::Lsn;
use serde::{Deserialize, Serialize};

/// The state item of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Number of the last change of writer, begun or done. Only grows.
    pub epoch: u64,
    /// Instance id of the writer; `None` before the first member claimed the cluster.
    pub writer: Option<String>,
    /// The set of standbys that the writer's commits wait for, as last published.
    pub synchronous: Synchronous,
    /// Who acts now, and until when.
    pub holder: Option<Holder>,
    /// The change of writer that is under way; `None` when the phase is steady.
    pub change: Option<Change>,
    /// When the last change was finished, in milliseconds since 1970.
    pub changed_at_ms: u64,
}

/// PostgreSQL's `synchronous_standby_names`, as `ANY required (names)`.
///
/// Source: PostgreSQL manual, "synchronous_standby_names" (section 20.6.2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Synchronous {
    /// How many standbys must have a commit on disk; 0 is asynchronous.
    pub required: u32,
    /// Member names that count, sorted.
    pub names: Vec<String>,
}

impl Synchronous {
    /// The setting's text; empty when commits wait for nobody.
    #[must_use]
    pub fn setting(&self) -> String {
        if self.required == 0 || self.names.is_empty() {
            return String::new();
        }
        let names: Vec<String> = self.names.iter().map(|name| format!("\"{name}\"")).collect();
        format!("ANY {} ({})", self.required, names.join(", "))
    }

    /// Whether a value of `synchronous_standby_names` means the same as this set.
    #[must_use]
    pub fn is_setting(&self, text: &str) -> bool {
        let squeeze = |text: &str| -> String {
            text.chars().filter(|letter| !letter.is_whitespace() && *letter != '"').collect()
        };
        squeeze(text) == squeeze(&self.setting())
    }

    /// Whether a commit waits for at least one standby.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.required > 0 && !self.names.is_empty()
    }
}

/// The pass that holds the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The pass: its Lambda request id.
    pub id: String,
    /// After this the lease is free, in milliseconds since 1970. Never before
    /// the holder's Lambda deadline, when Lambda kills it.
    pub expires_at_ms: u64,
}

/// A change of writer under way: what the next pass must know to finish it and
/// to tell its whole story. Times are milliseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The writer that is being replaced.
    pub from: String,
    /// Why: what was seen, one sentence for each line of the page.
    pub seen: Vec<String>,
    /// The old writer's last known write position, for the lag gate.
    #[serde(default)]
    pub last_writer_lsn: Option<Lsn>,
    /// When the writer was first found silent, or its stop was first seen.
    pub silent_since_ms: u64,
    /// When the pass that began the change was woken, and by what.
    pub woken_at_ms: u64,
    /// What woke it, in words.
    pub woken_by: String,
    /// When the lease was taken.
    pub began_at_ms: u64,
    /// The set that commits waited for when the change began.
    #[serde(default)]
    pub synchronous: Synchronous,
    /// The old writer's `synchronous_standby_names` that a probe saw last, when
    /// one did: a person may have changed it.
    #[serde(default)]
    pub synchronous_setting: Option<String>,
    /// Whom a pass was about to promote. Noted before `pg_promote`, which cannot
    /// be withdrawn: from then on nobody else may be promoted in its place.
    #[serde(default)]
    pub promoting: Option<String>,
    /// Since when the new writer does not answer, in milliseconds since 1970.
    #[serde(default)]
    pub new_silent_since_ms: Option<u64>,
    /// Why the old writer can acknowledge no more writes; set before promotion.
    #[serde(default)]
    pub sure: Option<String>,
    /// The promotion, once proven.
    #[serde(default)]
    pub promoted: Option<Promoted>,
    /// When the writer record was moved.
    #[serde(default)]
    pub record_moved_at_ms: Option<u64>,
    /// Bytes of log that the new writer lacked against the last known position
    /// of the old one; `None` when that position is not known.
    #[serde(default)]
    pub lost_bytes: Option<u64>,
}

/// A member that has been promoted and proven writable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promoted {
    /// Its instance id.
    pub member: String,
    /// Where its new timeline begins.
    pub at: Lsn,
    /// Its timeline before and after.
    pub timeline: [u32; 2],
    /// When it accepted a write.
    pub at_ms: u64,
}

impl Change {
    /// Whether the old writer's commits waited for standbys by the published
    /// set, as far as anyone saw: only then was nothing acknowledged lost.
    #[must_use]
    pub fn was_synchronous(&self) -> bool {
        let as_published = |setting: &String| self.synchronous.is_setting(setting);
        self.synchronous.is_on() && self.synchronous_setting.as_ref().is_none_or(as_published)
    }
}
