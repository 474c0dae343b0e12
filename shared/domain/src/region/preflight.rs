//! Whether a takeover would work now: tried every hour, with this Region's own calls and none of the other's.

use super::DrCard;
use crate::{failover::Page, time::clock};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The item of the state table that holds the last verdict.
pub const PREFLIGHT: &str = "preflight";

/// One thing that a takeover needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// The copies of the secrets are here, and can be read.
    Secrets,
    /// The key of this Region encrypts.
    Keys,
    /// The image of hosts is there.
    Images,
    /// There is room for the instances that are made after a takeover.
    Quotas,
    /// The replica is there, well, and not too far behind.
    Replica,
    /// The pair of records, its health check and the alarm are there and right, and may be read.
    Records,
    /// Backups of this side can be made.
    Backups,
}

impl Check {
    /// All of them.
    pub const ALL: [Check; 7] =
        [Check::Secrets, Check::Keys, Check::Images, Check::Quotas, Check::Replica, Check::Records, Check::Backups];

    /// What a person does about it.
    fn cure(self) -> &'static str {
        match self {
            Check::Secrets => {
                "deploy the first Region's stack anew: it replicates them; look at the replication status"
            }
            Check::Keys => "enable the key, and let its policy allow the fleet's functions and RDS to use it",
            Check::Images => "correct image in the spec: hosts that fail could not be made anew",
            Check::Quotas => "ask for more in Service Quotas, in this Region",
            Check::Replica => "look at the replica's events, and at the writer's log and slots",
            Check::Records => "deploy this Region's stack anew: it makes the pair, the health check and the alarm",
            Check::Backups => "look at backup_retention and at the deploy of this Region's stack",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Check::Secrets => "secrets",
            Check::Keys => "keys",
            Check::Images => "images",
            Check::Quotas => "quotas",
            Check::Replica => "replica",
            Check::Records => "records",
            Check::Backups => "backups",
        })
    }
}

/// What one check came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Which.
    pub check: Check,
    /// Whether a takeover would go well, for all that it says.
    pub ok: bool,
    /// What was found.
    pub found: String,
}

/// All checks of one hour: the item [`PREFLIGHT`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preflight {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What each came to.
    pub checks: Vec<Checked>,
    /// Since when it would fail, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since_ms: Option<u64>,
}

impl Preflight {
    /// Those that failed.
    pub fn failing(&self) -> impl Iterator<Item = &Checked> {
        self.checks.iter().filter(|checked| !checked.ok)
    }

    /// Whether a takeover would work.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.checks.is_empty() && self.failing().next().is_none()
    }
}

/// What a verdict changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As before.
    Same,
    /// It would fail now, by other checks than before.
    Fails,
    /// It is well again.
    WellAgain,
}

/// The verdict of new checks, beside the last one: one page when it would fail, one when it is well again.
#[must_use]
pub fn judge(before: Option<&Preflight>, at_ms: u64, checks: Vec<Checked>) -> (Preflight, Verdict) {
    let mut now = Preflight { at_ms, checks, failing_since_ms: None };
    let names = |preflight: &Preflight| preflight.failing().map(|checked| checked.check).collect::<Vec<_>>();
    let failing = names(&now);
    let failed = before.map(names).unwrap_or_default();
    if !failing.is_empty() {
        now.failing_since_ms = before.and_then(|before| before.failing_since_ms).or(Some(at_ms));
    }
    let verdict = match (failing.is_empty(), failed.is_empty()) {
        (false, _) if failing != failed => Verdict::Fails,
        (true, false) => Verdict::WellAgain,
        _ => Verdict::Same,
    };
    (now, verdict)
}

/// The page that tells a verdict.
#[must_use]
pub fn preflight_page(card: &DrCard, now: &Preflight, verdict: Verdict) -> Page {
    let (cluster, region) = (card.cluster(), card.region());
    if verdict == Verdict::WellAgain {
        return Page::about(&format!("P3 {cluster}: {region} could take over again"))
            .line("Seen", &format!("all checks of {} are well", clock(now.at_ms)));
    }
    let names: Vec<String> = now.failing().map(|checked| checked.check.to_string()).collect();
    let mut page = Page::about(&format!("P2 {cluster}: {region} could not take over now: {}", names.join(", ")));
    for checked in now.failing() {
        page = page.line("Seen", &format!("{}: {}", checked.check, checked.found));
    }
    page = page.line("Now", "the first Region serves; a takeover would fail, or lose more than it should");
    for checked in now.failing() {
        page = page.line("Next", &format!("{}: {}", checked.check, checked.check.cure()));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(failing: &[Check]) -> Vec<Checked> {
        let of = |check: Check| Checked { check, ok: !failing.contains(&check), found: "x".to_owned() };
        Check::ALL.map(of).to_vec()
    }

    #[test]
    fn it_is_told_once_when_it_would_fail_and_once_when_it_is_well_again() {
        let hours = [
            (&[][..], Verdict::Same),
            (&[Check::Keys], Verdict::Fails),
            (&[Check::Keys], Verdict::Same),
            (&[Check::Keys, Check::Replica], Verdict::Fails),
            (&[], Verdict::WellAgain),
            (&[], Verdict::Same),
        ];
        let mut last: Option<Preflight> = None;
        for (hour, (failing, expected)) in hours.into_iter().enumerate() {
            let (now, verdict) = judge(last.as_ref(), hour as u64, checks(failing));
            assert_eq!(verdict, expected, "hour {hour}");
            assert_eq!(now.is_ready(), failing.is_empty(), "hour {hour}");
            last = Some(now);
        }
        assert_eq!(last.and_then(|last| last.failing_since_ms), None);
    }

    #[test]
    fn no_check_is_no_verdict() {
        assert!(!Preflight::default().is_ready());
    }
}
