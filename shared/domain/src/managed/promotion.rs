//! The second rung: a read replica of RDS is promoted, after its old writer is proven to be cut off.

use super::{
    Course, Described, Evidence, InstanceSeen, Observed, Reason, Step, choose,
    cluster::two_writers,
    damping::held,
    evidence::{is_isolated, prove},
    waiting,
};
use crate::{
    card::{BackupCard, Isolation},
    decision::Decision,
    failover::Sql,
    state::Change,
};
use std::time::Duration;

/// What was ordered and is not seen is ordered again after this: RDS's answers lag behind by seconds.
const AGAIN: Duration = Duration::from_secs(60);

/// Goes on with a change that is to promote a replica.
pub(super) fn go_on(
    seen: &Observed,
    described: &Described,
    change: &Change,
    course: &Course,
) -> Decision<Step, Reason> {
    if let (Some(ordered), Some(to)) = (change.ordered_at_ms, &course.to) {
        return ordered_before(seen, described, (change, course), ordered, to);
    }
    let Some(from) = described.instance(&change.from) else {
        return Decision::Refuse(Reason::WriterGone(change.from.clone()));
    };
    let stranger = described
        .instances
        .iter()
        .find(|other| other.id != from.id && seen.writes(&other.id).is_some() && !is_isolated(seen, other));
    if let Some(stranger) = stranger {
        return two_writers(seen, &from.id, &stranger.id);
    }
    // The isolated group lets Understudy in. Clients are served again only when they are let in, too.
    if seen.sql_of(&from.id).answers() {
        return Decision::Refuse(Reason::AliveAfterAll(from.id.clone()));
    }
    match prove(seen, &from.id) {
        Some(evidence) => order(seen, described, (change, course), evidence),
        None => cut_off(seen, described, (change, course), from),
    }
}

/// I5 holds. I7, I8 once more, by this look; then the note, then the order.
fn order(
    seen: &Observed,
    described: &Described,
    (change, course): (&Change, &Course),
    evidence: Evidence,
) -> Decision<Step, Reason> {
    let chosen = choose::replica(seen, described, &change.from);
    let cost = chosen.clone().and_then(|(best, furthest)| {
        let cost = choose::cost(seen, &change.from, best, furthest, Some(change))?;
        Ok((best, cost))
    });
    let (best, cost) = match cost {
        Ok(found) => found,
        Err(reason) if change.fenced_at_ms.is_none() && reason.is_passing() => {
            let noted = Change { fenced_at_ms: Some(seen.looked_at_ms), ..change.clone() };
            return Decision::Act(vec![Step::NoteChange(Box::new(noted))]);
        }
        Err(reason) => return held(reason),
    };
    let noted = Change {
        sure: Some(evidence.to_string()),
        promoting: Some(best.id.clone()),
        loss: Some(cost.loss),
        lost_ms: cost.ms,
        loss_because: Some(cost.because),
        fenced_at_ms: change.fenced_at_ms.or(Some(seen.looked_at_ms)),
        ordered_at_ms: Some(seen.looked_at_ms),
        managed: Some(Course { to: Some(best.id.clone()), ..course.clone() }),
        ..change.clone()
    };
    Decision::Act(vec![Step::NoteChange(Box::new(noted)), promote(seen, best, evidence)])
}

fn promote(seen: &Observed, instance: &InstanceSeen, evidence: Evidence) -> Step {
    let BackupCard { retention_days, window } = backups(seen);
    Step::Promote { instance: instance.id.clone(), retention_days, window, evidence }
}

/// What the card wants of backups; without a word of it, what RDS does by itself on a promotion.
pub(super) fn backups(seen: &Observed) -> BackupCard {
    let usual = || BackupCard { retention_days: 1, window: "02:00-03:00".to_owned() };
    seen.card.backups.clone().unwrap_or_else(usual)
}

/// I5: the proof is made. First nobody new gets in, then nobody who was in stays.
fn cut_off(
    seen: &Observed,
    described: &Described,
    (change, course): (&Change, &Course),
    from: &InstanceSeen,
) -> Decision<Step, Reason> {
    let Some(isolation) = &seen.card.isolation else {
        return no_evidence(from, "the card names no isolated security group");
    };
    let note = |course: Course| Step::NoteChange(Box::new(Change { managed: Some(course), ..change.clone() }));
    let over = seen.since(change.began_at_ms) >= seen.card.policy.aws_failover();
    if !is_isolated(seen, from) {
        if course.isolated_at_ms.is_none_or(|at| seen.since(at) > AGAIN) && !over {
            let noted = note(Course { isolated_at_ms: Some(seen.looked_at_ms), ..course.clone() });
            let groups = vec![isolation.isolated_group.clone()];
            return Decision::Act(vec![noted, Step::Isolate { instance: from.id.clone(), groups }]);
        }
        return awaited(from, over, "its security groups are not changed yet");
    }
    if from.security_groups.iter().any(|(_, status)| status != "active") {
        return awaited(from, over, "the isolated security group is not active yet");
    }
    if let Some((subnet, acl)) = cuttable(described, from, isolation) {
        if course.cut_at_ms.is_none_or(|at| seen.since(at) > AGAIN) && !over {
            let noted = note(Course { cut_at_ms: Some(seen.looked_at_ms), ..course.clone() });
            let (subnet, acl) = (subnet.to_owned(), acl.to_owned());
            return Decision::Act(vec![noted, Step::SetNetworkAcl { subnet, acl }]);
        }
        return awaited(from, over, "the network ACL of its subnet is not changed yet");
    }
    // Only RDS's word for it: an instance that is changed or backed up is busy without ending a session.
    let restarting = course.restart_at_ms.is_some() && from.status == "rebooting" && !course.restart_seen;
    if restarting {
        return Decision::Act(vec![note(Course { restart_seen: true, ..course.clone() })]);
    }
    if from.is_available() && course.restart_at_ms.is_none_or(|at| seen.since(at) > AGAIN) && !over {
        let noted = note(Course { restart_at_ms: Some(seen.looked_at_ms), ..course.clone() });
        return Decision::Act(vec![noted, Step::Reboot { instance: from.id.clone() }]);
    }
    awaited(from, over, "it is isolated, connections from before may live, and it has not been restarted since")
}

/// The subnet to cut off, with the network ACL that does so: only where it is the old writer's alone.
fn cuttable<'a>(described: &Described, from: &'a InstanceSeen, isolation: &'a Isolation) -> Option<(&'a str, &'a str)> {
    let (subnet, acl) = (from.subnet.as_deref()?, isolation.network_acl.as_deref()?);
    // Without the usual one nobody could give it back.
    isolation.usual_network_acl.as_ref()?;
    let others = described.instances.iter().filter(|other| other.id != from.id);
    // One whose subnet is not known may be in this one.
    let apart = |other: &InstanceSeen| other.subnet.as_deref().is_some_and(|theirs| theirs != subnet);
    others.into_iter().all(apart).then_some((subnet, acl))
}

/// I6: waits for the proof, for as long as AWS has for a failover of its own; then a person is asked.
fn awaited(from: &InstanceSeen, over: bool, status: &str) -> Decision<Step, Reason> {
    if over {
        return no_evidence(from, status);
    }
    Decision::Wait(Reason::AwaitingIsolation { instance: from.id.clone(), status: status.to_owned() })
}

fn no_evidence(from: &InstanceSeen, tried: &str) -> Decision<Step, Reason> {
    Decision::Refuse(Reason::NoEvidence {
        instance: from.id.clone(),
        status: from.status.clone(),
        tried: tried.to_owned(),
    })
}

/// The promotion was ordered, or about to be: from here there is no way back, whoever answers again.
fn ordered_before(
    seen: &Observed,
    described: &Described,
    (change, course): (&Change, &Course),
    ordered: u64,
    to: &str,
) -> Decision<Step, Reason> {
    let (policy, since) = (&seen.card.policy, seen.since(ordered));
    let Some(new) = described.instance(to) else {
        return Decision::Refuse(Reason::WriterGone(to.to_owned()));
    };
    let status = new.status.clone();
    let settled = matches!(status.as_str(), "available" | "backing-up");
    if let (None, true, Some(_), Some(endpoint)) = (&new.source, settled, seen.writes(to), &new.endpoint) {
        let (instance, endpoint) = (to.to_owned(), endpoint.clone());
        return Decision::Act(vec![Step::Prove { instance, endpoint, epoch: seen.state.epoch }]);
    }
    // RDS refuses a second order for what is no replica any more, and a first one that was lost must not be the last.
    let last = course.again_at_ms.unwrap_or(ordered);
    if new.source.is_some()
        && new.is_available()
        && seen.since(last) > AGAIN
        && let Some(evidence) = prove(seen, &change.from)
    {
        let course = Course { again_at_ms: Some(seen.looked_at_ms), ..course.clone() };
        let noted = Change { managed: Some(course), ..change.clone() };
        return Decision::Act(vec![Step::NoteChange(Box::new(noted)), promote(seen, new, evidence)]);
    }
    let silent = new.source.is_none() && new.is_available() && !matches!(seen.sql_of(to), Sql::Writer(_));
    if silent && waiting::left(policy.aws_failover(), since).is_none() {
        let sql = seen.sql_of(to).to_string();
        return Decision::Refuse(Reason::NewWriterSilent { instance: to.to_owned(), sql });
    }
    if waiting::left(policy.stuck_after(), since).is_some() {
        return Decision::Wait(Reason::Promoting { instance: to.to_owned(), status, since });
    }
    Decision::Refuse(Reason::Stuck { what: to.to_owned(), status, since, told: true })
}
