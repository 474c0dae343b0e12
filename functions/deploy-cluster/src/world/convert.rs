//! From the words of the `cloud` crate to those of this function.

use cloud::cloudformation;
use deploy_cluster::outside::{
    Change, ChangeSetPhase, Detail, EventSeen, OpenChangeSet, ResourceSeen, StackSeen, UnsettledStack,
};
use template::Part;

pub(super) fn stack(found: cloudformation::Stack) -> StackSeen {
    let is_dr = found.tags.iter().any(|(key, value)| key == "understudy:part" && value == "dr");
    StackSeen {
        id: found.id,
        status: found.status,
        reason: found.reason,
        changed_at: found.changed_at,
        changed_at_ms: found.changed_at_ms,
        parameters: found.parameters,
        protected: found.protected,
        part: if is_dr { Part::Dr } else { Part::Primary },
    }
}

pub(super) fn unsettled(found: cloudformation::Unsettled) -> UnsettledStack {
    let cloudformation::Unsettled { name, status, changed_at_ms } = found;
    UnsettledStack { name, status, changed_at_ms }
}

pub(super) fn resource(found: cloudformation::Resource) -> ResourceSeen {
    let cloudformation::Resource { logical_id, kind, status } = found;
    ResourceSeen { logical_id, kind, status }
}

pub(super) fn event(found: cloudformation::Event) -> EventSeen {
    let cloudformation::Event { id, logical_id, kind, status, reason, at_ms, is_stack } = found;
    EventSeen { id, logical_id, kind, status, reason, at_ms, is_stack }
}

pub(super) fn open_change_set(found: cloudformation::OpenChangeSet) -> OpenChangeSet {
    let cloudformation::OpenChangeSet { name, created_at_ms } = found;
    OpenChangeSet { name, created_at_ms }
}

pub(super) fn phase(found: cloudformation::ChangeSet) -> ChangeSetPhase {
    use cloudformation::ChangeSet;
    match found {
        ChangeSet::Pending => ChangeSetPhase::Pending,
        ChangeSet::Empty => ChangeSetPhase::Empty,
        ChangeSet::Failed(reason) => ChangeSetPhase::Failed(reason),
        ChangeSet::Over => ChangeSetPhase::Over,
        ChangeSet::Ready(changes) => ChangeSetPhase::Ready(changes.into_iter().map(change).collect()),
    }
}

fn change(found: cloudformation::Change) -> Change {
    let cloudformation::Change { action, logical_id, kind, replacement, targets, details } = found;
    Change { action, logical_id, kind, replacement, targets, details: details.into_iter().map(detail).collect() }
}

fn detail(found: cloudformation::Detail) -> Detail {
    let cloudformation::Detail { target, recreation, evaluation, source, cause: _ } = found;
    Detail { target, recreation, is_sure: evaluation.as_deref() == Some("Static"), source }
}
