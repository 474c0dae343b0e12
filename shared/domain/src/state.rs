//! Who may act on a cluster, on what epoch: the cluster's item in the state table.

use crate::{lsn::Lsn, managed::Course};
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
    /// When the last failovers were finished, in milliseconds since 1970, oldest
    /// first; planned switchovers are not among them.
    pub failovers_ms: Vec<u64>,
    /// The timeline of the last writer that a change made; 0 before the first.
    pub timeline: u32,
    /// Where that timeline began.
    pub timeline_began: Option<Lsn>,
    /// Acknowledged commits up to this position may be on the writer alone,
    /// whatever the published set says: a successor must have come this far.
    pub floor: Option<Lsn>,
    /// I10: until when nothing is done by itself, and why; also when it is over,
    /// since a grace follows.
    pub pause: Option<Pause>,
    /// What a person allowed for the next change of writer.
    pub approval: Option<Approval>,
}

impl State {
    /// A cluster that no member has claimed yet.
    #[must_use]
    pub fn unclaimed() -> Self {
        State {
            epoch: 0,
            writer: None,
            synchronous: Synchronous::default(),
            holder: None,
            change: None,
            changed_at_ms: 0,
            failovers_ms: Vec::new(),
            timeline: 0,
            timeline_began: None,
            floor: None,
            pause: None,
            approval: None,
        }
    }
}

/// What the state item keeps when a change of writer is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Instance id of the writer.
    pub writer: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// When the last failovers were finished; replaces the list in the item.
    pub failovers_ms: Vec<u64>,
    /// The writer's timeline, the highest there is.
    pub timeline: u32,
    /// Where it began.
    pub timeline_began: Lsn,
}

/// A person asked to be left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Until when, in milliseconds since 1970.
    pub until_ms: u64,
    /// Why, in that person's words.
    pub reason: String,
}

/// A person allowed the next change of writer to lose acknowledged rows.
///
/// For one change: the change that begins takes it away with it, whatever
/// becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The epoch that the person was told of; at any other it is worth nothing.
    pub epoch: u64,
    /// Bytes of log that may be lost; `None` is any number, known or not.
    pub data_loss_bytes: Option<u64>,
    /// After this it is worth nothing, in milliseconds since 1970.
    pub expires_at_ms: u64,
}

/// What a member's boot guard wrote: the item `guard#<instance id>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardSeen {
    /// The epoch of the state item that it read when it decided to hold.
    pub epoch: u64,
    /// No process of PostgreSQL is left on the member, and none starts before
    /// the guard has read the state item anew and found the member named writer
    /// in the steady phase.
    pub holds: bool,
    /// PostgreSQL had been shut down in order.
    pub clean: bool,
    /// `pg_controldata`'s "Latest checkpoint location".
    pub checkpoint: Option<Lsn>,
    /// Its timeline.
    pub timeline: u32,
    /// The file system of its data is full.
    pub disk_full: bool,
    /// When the item was last written, by the member's clock, in milliseconds
    /// since 1970.
    pub written_at_ms: u64,
}

impl GuardSeen {
    /// Whether the disk is full now. The guard repeats that every minute, so that
    /// an older word is one of a host that can no longer take it back.
    #[must_use]
    pub fn says_disk_full(&self, now_ms: u64) -> bool {
        const KEEPS_MS: u64 = 150_000;
        self.disk_full && now_ms.saturating_sub(self.written_at_ms) <= KEEPS_MS
    }
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

    /// The setting's text, or a word for none.
    #[must_use]
    pub fn or_nobody(&self) -> String {
        if self.is_on() { self.setting() } else { "nobody".to_owned() }
    }

    /// Reads a value of `synchronous_standby_names`; `None` for one that is not
    /// understood, such as one with `*`. `FIRST k` and a plain list are read as
    /// `ANY k`: they are stricter about whom they wait for.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (required, list) = match text.split_once('(') {
            None => (1, text),
            Some((head, list)) => {
                let list = list.trim_end().strip_suffix(')')?;
                let mut words = head.split_whitespace();
                let first = words.next()?;
                let count = match first.to_ascii_uppercase().as_str() {
                    "ANY" | "FIRST" => words.next()?,
                    _ => first,
                };
                (words.next().is_none().then(|| count.parse().ok())??, list)
            }
        };
        if text.is_empty() {
            return Some(Synchronous::default());
        }
        let name = |name: &str| -> Option<String> {
            let name = name.trim();
            let bare = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(name);
            let plain = bare.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-.".contains(letter));
            (plain && !bare.is_empty()).then(|| bare.to_owned())
        };
        let mut names = list.split(',').map(name).collect::<Option<Vec<_>>>()?;
        names.sort();
        names.dedup();
        Some(Synchronous { required, names })
    }

    /// Whether a value of `synchronous_standby_names` means the same as this set.
    #[must_use]
    pub fn is_setting(&self, text: &str) -> bool {
        let same = |other: Synchronous| (!self.is_on() && !other.is_on()) || *self == other.sorted();
        Synchronous::parse(text).is_some_and(same)
    }

    fn sorted(mut self) -> Self {
        self.names.sort();
        self
    }

    /// Whether what follows from this set, when it is the published one, also
    /// holds for a writer that acknowledges by `applied`: any `n - k + 1` of the
    /// published names that are frozen leave `applied` too few to acknowledge
    /// by, and the same number in sight has every acknowledged commit.
    ///
    /// The worst case leaves `k - 1` of the published names free, all of them
    /// among the applied ones, and every applied name that is not published.
    #[must_use]
    pub fn covers(&self, applied: &Synchronous) -> bool {
        if !self.is_on() {
            // Nothing follows from a set that is off.
            return true;
        }
        let shared = applied.names.iter().filter(|name| self.names.contains(name)).count();
        let free = applied.names.len() - shared + shared.min((self.required as usize).saturating_sub(1));
        applied.is_on() && free < applied.required as usize
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

/// Why a change of writer was begun.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// The writer is gone.
    #[default]
    Failover,
    /// A person asked for it, and the writer is well.
    Switchover,
    /// Whoever assigns the roles made it; it was only followed.
    Followed,
}

/// A change of writer under way: what the next pass must know to finish it and
/// to tell its whole story. Times are milliseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Why it was begun.
    #[serde(default)]
    pub kind: ChangeKind,
    /// The writer that is being replaced.
    pub from: String,
    /// Who shall take over, in a switchover.
    #[serde(default)]
    pub to: Option<String>,
    /// What a person allowed this change to lose.
    #[serde(default)]
    pub approval: Option<Approval>,
    /// Since when every standby in sight is cut from the old writer, in
    /// milliseconds since 1970.
    #[serde(default)]
    pub frozen_since_ms: Option<u64>,
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
    /// What the promotion loses of what was acknowledged; set before it.
    #[serde(default)]
    pub loss: Option<Loss>,
    /// Why it is that, in words; only of a change that was followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_because: Option<String>,
    /// Milliseconds of the old writer's acknowledged writes that the new one may lack; `None` when nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_ms: Option<u64>,
    /// When it was first proven that the old writer can acknowledge no more writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fenced_at_ms: Option<u64>,
    /// When the promotion (or Aurora's failover) was about to be ordered: noted before the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_at_ms: Option<u64>,
    /// What only a cluster that AWS runs has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<Course>,
}

/// What a promotion loses of what the old writer had acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// Nothing: every acknowledged commit was on the standby that took over.
    Nothing,
    /// This many bytes of log, up to the last position that a probe saw.
    Bytes(u64),
    /// Not known; a person allowed it.
    Unknown,
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

#[cfg(test)]
mod tests;
