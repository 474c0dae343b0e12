//! When what is found is told, and told again.

use crate::finding::{Finding, TELL_AGAIN_MS};
use std::collections::BTreeMap;

/// What is wrong now, since when, and what of it was told.
#[derive(Default)]
pub(super) struct Tellings {
    wrong_since: BTreeMap<Finding, u64>,
    told: BTreeMap<Finding, Told>,
}

/// When something was told last, and when it is told again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    at_ms: u64,
    again_after_ms: u64,
}

/// What follows from what is wrong.
pub(super) enum Due {
    /// Something is found for the first time: look at the state item anew.
    New,
    /// This is told now.
    Tell(Finding),
}

impl Tellings {
    /// Goes on with what the run before has told.
    pub fn after(told: BTreeMap<Finding, Told>) -> Self {
        Tellings { wrong_since: BTreeMap::new(), told }
    }

    /// What was told.
    pub fn into_told(self) -> BTreeMap<Finding, Told> {
        self.told
    }

    /// What is due of all that is wrong now. `certain` says of a finding whether it is sure, since when it is found.
    pub fn due(&mut self, wrong: Vec<Finding>, now_ms: u64, certain: impl Fn(&Finding, u64) -> bool) -> Vec<Due> {
        self.wrong_since.retain(|finding, _| wrong.contains(finding));
        self.told.retain(|finding, _| wrong.contains(finding));
        let mut due = Vec::new();
        for finding in wrong {
            let since = *self.wrong_since.entry(finding.clone()).or_insert_with(|| {
                due.push(Due::New);
                now_ms
            });
            let lasted = now_ms.saturating_sub(since) >= finding.lasting_ms();
            if lasted && certain(&finding, since) && is_due(&mut self.told, &finding, now_ms) {
                due.push(Due::Tell(finding));
            }
        }
        due
    }
}

fn is_due(told: &mut BTreeMap<Finding, Told>, finding: &Finding, now_ms: u64) -> bool {
    let again_after_ms = match told.get(finding) {
        None => TELL_AGAIN_MS,
        Some(told) if now_ms.saturating_sub(told.at_ms) >= told.again_after_ms => told.again_after_ms * 2,
        Some(_) => return false,
    };
    let again_after_ms = again_after_ms.min(finding.longest_gap_ms());
    told.insert(finding.clone(), Told { at_ms: now_ms, again_after_ms });
    true
}
