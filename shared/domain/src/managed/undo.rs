//! What is undone when a change may not go on before its order.

use super::{By, Observed, Reason, Step, evidence::is_isolated, finish::is_cut, waiting};
use crate::{failover::Lease, follow::Waiting, state::Change};

/// The steps that undo a change which may not go on: its old writer is let in to its clients again, and the change is
/// given up. Empty when there is nothing to undo, or no way back: an order cannot be withdrawn.
#[must_use]
pub fn undo(seen: &Observed, because: &Reason) -> Vec<Step> {
    let Some(change) = &seen.state.change else { return Vec::new() };
    let by = change.managed.as_ref().map_or(By::Aws, |course| course.by);
    if seen.lease != Lease::Mine || change.promoted.is_some() || matches!(because, Reason::RdsSilent { .. }) {
        return Vec::new();
    }
    let abandon = Step::Abandon { because: because.to_string() };
    if change.ordered_at_ms.is_some() {
        // A failover that had no effect, and a writer that is well: this change is over.
        let idle = by != By::Promotion && matches!(because, Reason::AliveAfterAll(_));
        return if idle { vec![abandon] } else { Vec::new() };
    }
    match (by, because) {
        (By::Aws, _) => Vec::new(),
        // It stays cut off: it is silent, a person is asked, and the answer may rest on that.
        (By::Promotion, Reason::NoEvidence { tried, .. }) => vec![Step::Note(asked(seen, tried)), abandon],
        // Somebody else promoted the replica: the old writer is not let in beside it.
        (By::Promotion, Reason::TwoWriters { .. }) => vec![abandon],
        (By::Promotion, _) => given_back(seen, change).into_iter().chain([abandon]).collect(),
        (By::GrayFailure | By::Asked, _) => vec![abandon],
    }
}

fn asked(seen: &Observed, tried: &str) -> Waiting {
    Waiting {
        kind: waiting::NO_EVIDENCE.to_owned(),
        since_ms: seen.looked_at_ms,
        confirmed_ms: seen.looked_at_ms,
        about: Some(tried.to_owned()),
    }
}

fn given_back(seen: &Observed, change: &Change) -> Vec<Step> {
    let (Some(isolation), Some(described)) = (&seen.card.isolation, seen.described()) else { return Vec::new() };
    let Some(from) = described.instance(&change.from) else { return Vec::new() };
    let begun = change.managed.as_ref().is_some_and(|course| course.isolated_at_ms.is_some());
    let mut steps = Vec::new();
    if let (true, Some(subnet), Some(acl)) = (is_cut(seen, from), &from.subnet, &isolation.usual_network_acl) {
        steps.push(Step::SetNetworkAcl { subnet: subnet.clone(), acl: acl.clone() });
    }
    // Also one whose groups are only about to change, as far as is seen.
    if begun || is_isolated(seen, from) {
        steps.push(Step::Isolate { instance: from.id.clone(), groups: isolation.security_groups.clone() });
    }
    steps
}
