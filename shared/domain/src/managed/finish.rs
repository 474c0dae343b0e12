//! From a proven writer to the page.

use super::{
    By, Course, Described, InstanceSeen, Observed, Reason, Step, promotion, records,
    story::{ledger, page},
};
use crate::{
    decision::Decision,
    failover::Seen,
    state::{Change, Promoted},
};

/// Goes on with a change whose new writer is noted.
pub(super) fn go_on(
    seen: &Observed,
    described: &Described,
    change: &Change,
    promoted: &Promoted,
) -> Decision<Step, Reason> {
    // What was waited for has come. Left until after the end, it would tell of this change once more.
    if seen.waiting.is_some() {
        return Decision::Act(vec![Step::Forget]);
    }
    let new = promoted.member.as_str();
    let (mut steps, mut problem) = (Vec::new(), None);
    // First what clients wait for.
    match records::writer_step(seen, described, new) {
        Ok(step) => steps.extend(step),
        Err(reason) => problem = Some(reason),
    }
    steps.extend(records::readers_step(seen, described, new));
    let course = change.managed.clone().unwrap_or_default();
    if course.by == By::Promotion {
        let (note, rest) = after_promotion(seen, described, (change, &course), new);
        // The note is the change as this look read it: before a step that writes more into it.
        steps = note.into_iter().chain(steps).chain(rest).collect();
    }
    match (steps.is_empty(), problem, &seen.records) {
        (false, ..) => Decision::Act(steps),
        (true, Some(problem), _) => Decision::Refuse(problem),
        (true, None, Seen::Unavailable(problem)) => Decision::Refuse(Reason::RecordWaits {
            writer: new.to_owned(),
            target: records::target_of(described, new).unwrap_or_default(),
            problem: problem.clone(),
        }),
        (true, None, _) => {
            let ledger = ledger(seen, change, promoted);
            let page = page(seen, change, &ledger);
            let (writer, kind) = (new.to_owned(), change.kind);
            Decision::Act(vec![Step::Finish { writer, kind, ledger: Box::new(ledger), page }])
        }
    }
}

/// Backups, the old writer, the roles of today: each once; and the note that goes before.
fn after_promotion(
    seen: &Observed,
    described: &Described,
    (change, course): (&Change, &Course),
    new: &str,
) -> (Option<Step>, Vec<Step>) {
    let (now, mut after, mut steps) = (Some(seen.looked_at_ms), course.clone(), Vec::new());
    let wanted = promotion::backups(seen);
    let unlike =
        |instance: &&InstanceSeen| instance.is_available() && instance.backup_retention_days != wanted.retention_days;
    if course.backups_at_ms.is_none() && described.instance(new).filter(unlike).is_some() {
        after.backups_at_ms = now;
        let (instance, retention_days, window) = (new.to_owned(), wanted.retention_days, wanted.window.clone());
        steps.push(Step::SetBackups { instance, retention_days, window });
    }
    let old = described.instance(&change.from);
    if let Some(old) = old.filter(|old| course.stop_at_ms.is_none() && may_stop(seen, described, old)) {
        after.stop_at_ms = now;
        steps.push(Step::Stop { instance: old.id.clone() });
    }
    // Behind a network ACL that lets nobody in, nothing new could stream: `mend` goes on once it is gone.
    if !described.instances.iter().any(|instance| is_cut(seen, instance)) {
        steps.extend(roles_step(seen, new));
        if course.render_at_ms.is_none() {
            after.render_at_ms = now;
            steps.push(Step::RenderAnew);
        }
    }
    let noted = || Change { managed: Some(after.clone()), ..change.clone() };
    ((after != *course).then(|| Step::NoteChange(Box::new(noted()))), steps)
}

/// Whether an old writer can be stopped: RDS stops nothing that has replicas or is busy.
pub(super) fn may_stop(seen: &Observed, described: &Described, old: &InstanceSeen) -> bool {
    seen.card.policy.stop_old_writer
        && old.is_available()
        && !described.instances.iter().any(|other| other.follows(&old.id))
}

/// Whether the subnet of an instance has the network ACL that lets nobody in.
pub(super) fn is_cut(seen: &Observed, instance: &InstanceSeen) -> bool {
    let acl = seen.card.isolation.as_ref().and_then(|isolation| isolation.network_acl.as_ref());
    acl.is_some() && instance.network_acl.as_ref() == acl
}

/// The step that keeps who writes, when the item does not say so: all other places are made anew, as its replicas.
pub(super) fn roles_step(seen: &Observed, writer: &str) -> Option<Step> {
    let now = seen.roles_now();
    let place = seen.card.instance(writer)?.place;
    let places = u32::try_from(seen.card.instances.len()).unwrap_or(u32::MAX);
    let after = (now.writer != place).then(|| now.promoted(place, places))?;
    Some(Step::KeepRoles { before: seen.roles.clone(), after })
}
