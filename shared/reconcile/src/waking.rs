//! What wakes a pass, and what it says of the writer.

use domain::{failover::Suspicion, lsn::Lsn};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// A suspicion that is older than this when it wakes a pass counts for nothing:
/// a new one comes every two seconds. Clocks of functions differ by less.
const SUSPICION_KEEPS_MS: u64 = 5_000;

/// What woke a pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waking {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// In words, for the page.
    pub by: String,
    /// What `watch-clusters` saw of a silent writer, when it was that.
    pub suspicion: Option<Suspected>,
    /// To which member a person wants the writer moved.
    pub switchover: Option<String>,
    /// `watch-clusters` found commits that wait for standbys.
    pub commits_wait: bool,
    /// Nothing has happened: a schedule was due.
    pub by_schedule: bool,
}

/// The suspicion as it came: with a time instead of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspected {
    /// Instance id.
    pub member: String,
    /// Failed probes in a row.
    pub failures: u32,
    /// When the first of them began, in milliseconds since 1970.
    pub silent_since_ms: u64,
    /// When it was raised, in milliseconds since 1970.
    pub raised_at_ms: u64,
    /// When a probe last found it out of recovery, in milliseconds since 1970.
    pub last_seen_ms: Option<u64>,
    /// Last write position that a probe saw.
    pub last_lsn: Option<Lsn>,
    /// Last `synchronous_standby_names` that a probe saw.
    pub synchronous_setting: Option<String>,
}

/// Since when writers are silent, as this process first saw it. A pass that
/// comes too early (`stopping` is no proof) thus leaves the time to the one
/// that acts, when Lambda gives both to one process; for the story only.
#[derive(Debug, Default)]
pub struct Silences(Mutex<BTreeMap<String, u64>>);

impl Silences {
    /// Notes whether a member answers now; since when it does not.
    pub(crate) fn note(&self, member: &str, answers: bool, now_ms: u64) -> Option<u64> {
        // A lock that a panic poisoned still holds times.
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answers {
            since.remove(member);
            return None;
        }
        Some(*since.entry(member.to_owned()).or_insert(now_ms))
    }

    /// It answered at this time, by somebody else's probe: what was noted before
    /// is another silence, which is over.
    pub(crate) fn answered(&self, member: &str, at_ms: u64) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if since.get(member).is_some_and(|since| *since < at_ms) {
            since.remove(member);
        }
    }
}

impl Waking {
    /// What `watch-clusters` said, unless it came too late.
    pub(crate) fn suspicion_at(&self, now: u64) -> Option<Suspicion> {
        // Lambda may bring it late, or again: the silence that it tells of may be over, and another begun.
        let fresh = |told: &&Suspected| self.at_ms.saturating_sub(told.raised_at_ms) <= SUSPICION_KEEPS_MS;
        let suspicion = self.suspicion.as_ref().filter(fresh)?;
        Some(Suspicion {
            member: suspicion.member.clone(),
            failures: suspicion.failures,
            silent_for: Duration::from_millis(now.saturating_sub(suspicion.silent_since_ms)),
            last_lsn: suspicion.last_lsn,
            synchronous_setting: suspicion.synchronous_setting.clone(),
        })
    }

    /// When `watch-clusters` last found an instance out of recovery, as the suspicion that woke this pass says.
    pub(crate) fn answered_ms(&self, writer: &str) -> Option<u64> {
        self.suspicion.as_ref().filter(|suspicion| suspicion.member == writer)?.last_seen_ms
    }
}
