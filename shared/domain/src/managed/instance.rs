//! RDS for PostgreSQL: Multi-AZ is the first rung, a read replica the second.

use super::{
    By, Course, Described, InstanceSeen, Observed, Reason, Step, choose,
    cluster::{aws_first, begin, differ, followed, in_recovery, old_writer, still_heard, two_writers},
    damping::{damped, held},
    evidence::is_isolated,
    mend, waiting,
};
use crate::{
    decision::Decision,
    failover::Sql,
    state::{ChangeKind, Loss},
    time::seconds,
};
use std::time::Duration;

/// No change is open.
pub(super) fn judge(seen: &Observed, described: &Described, writer: &str) -> Decision<Step, Reason> {
    let Some(instance) = described.instance(writer) else {
        return Decision::Refuse(Reason::WriterGone(writer.to_owned()));
    };
    // One that is cut off from its clients is no second writer for them.
    let stranger = described
        .instances
        .iter()
        .find(|other| other.id != writer && seen.writes(&other.id).is_some() && !is_isolated(seen, other));
    match (seen.sql_of(writer), stranger) {
        (Sql::Writer(_), Some(other)) => two_writers(seen, writer, &other.id),
        (Sql::Writer(_) | Sql::NotAsked, None) => mend::go_on(seen, described, writer),
        (_, Some(other)) => promoted_by_others(seen, instance, other),
        (Sql::Standby(_), None) => in_recovery(seen, writer),
        (Sql::Alive(_), None) if instance.status == "storage-full" => {
            Decision::Refuse(Reason::DiskFull(writer.to_owned()))
        }
        (Sql::Alive(answer), None) => {
            Decision::Wait(Reason::AliveButBusy { instance: writer.to_owned(), answer: answer.clone() })
        }
        (Sql::Silent(_) | Sql::Refused, None) => silent(seen, described, instance),
    }
}

/// A person promoted a replica by hand. Where the old writer is off, that is followed as a change of AWS's; otherwise a
/// person must say which of the two it is.
fn promoted_by_others(seen: &Observed, from: &InstanceSeen, to: &InstanceSeen) -> Decision<Step, Reason> {
    let Some(answer) = seen.writes(&to.id).filter(|_| from.status == "stopped" && to.source.is_none()) else {
        return differ(seen, Some(&from.id), Some(&to.id));
    };
    let mut change = followed(seen, &from.id, (&to.id, answer), vec![old_writer(seen, &from.id)]);
    let why = format!("{} was promoted outside of Understudy: nobody measured what {} had beyond it", to.id, from.id);
    (change.loss, change.loss_because, change.lost_ms) = (Some(Loss::Unknown), Some(why), None);
    change.sure = Some(format!("RDS reads {} back as stopped; PostgreSQL on {} is out of recovery", from.id, to.id));
    Decision::Act(vec![Step::Begin { epoch: seen.state.epoch, change: Box::new(change) }])
}

/// What RDS calls a database that does not come back by itself.
fn is_lost(status: &str) -> bool {
    matches!(status, "stopped" | "failed" | "inaccessible-encryption-credentials" | "incompatible-restore")
        || status.starts_with("incompatible-network")
}

/// The writer does not answer this look.
fn silent(seen: &Observed, described: &Described, from: &InstanceSeen) -> Decision<Step, Reason> {
    let (policy, id, status) = (&seen.card.policy, from.id.as_str(), from.status.as_str());
    if status == "storage-full" {
        return Decision::Refuse(Reason::DiskFull(id.to_owned()));
    }
    if let Some(decision) = given_up(seen, from) {
        return decision;
    }
    let silent_for = match waiting::waited(seen, waiting::SILENT, seen.silent_since(), from.zone.as_deref()) {
        Err(note) => return Decision::Act(vec![Step::Note(note)]),
        Ok(waited) => waited,
    };
    let replicas = described.instances.iter().any(|other| other.follows(id));
    if !replicas {
        return aws_first(id, status, silent_for, policy.aws_failover(), "there is no read replica to promote");
    }
    // First rung: its own standby, or its own restart. A promotion takes minutes, too, and has no way back.
    let has_time = seen.card.aws_fails_over || !(from.is_available() || is_lost(status));
    if has_time && let Some(left) = waiting::left(policy.aws_failover(), silent_for) {
        return Decision::Wait(Reason::AwaitingAws { instance: id.to_owned(), status: status.to_owned(), left });
    }
    match second_rung(seen, described, from, silent_for) {
        Ok(step) => Decision::Act(vec![step]),
        Err(reason) => held(reason),
    }
}

/// What could not be cut off is tried again after this.
const TRY_AGAIN: Duration = Duration::from_secs(900);

/// A change was given up for want of a proof. It is not begun again and again: its epoch is what a person approves.
fn given_up(seen: &Observed, from: &InstanceSeen) -> Option<Decision<Step, Reason>> {
    let noted = seen.waiting.as_ref().filter(|noted| noted.kind == waiting::NO_EVIDENCE)?;
    if seen.approval().is_some() || from.status == "stopped" {
        return None;
    }
    let tried = noted.about.clone().unwrap_or_default();
    let reason = Reason::NoEvidence { instance: from.id.clone(), status: from.status.clone(), tried };
    // As long as it is isolated it is this silence: a writer that answered was given back.
    if is_isolated(seen, from) {
        return Some(Decision::Refuse(reason));
    }
    match waiting::waited(seen, waiting::NO_EVIDENCE, None, None) {
        Err(_) if !waiting::is_fresh(seen, noted, waiting::NO_EVIDENCE) => None,
        Err(note) => Some(Decision::Act(vec![Step::Note(note)])),
        Ok(waited) => (waited < TRY_AGAIN).then_some(Decision::Refuse(reason)),
    }
}

/// I3 to I8: what must hold before a replica is promoted; the step that begins it.
fn second_rung(
    seen: &Observed,
    described: &Described,
    from: &InstanceSeen,
    silent_for: Duration,
) -> Result<Step, Reason> {
    let (policy, id) = (&seen.card.policy, from.id.as_str());
    let (failures, needed) = (seen.suspicion_of(id).map_or(0, |told| told.failures), policy.failures);
    // RDS's own word for a database that is off needs no probes.
    if failures < needed && from.status != "stopped" {
        return Err(Reason::NotSuspected { instance: id.to_owned(), failures, needed });
    }
    let witness = witness(seen, described, from, silent_for)?;
    damped(seen)?;
    let (best, furthest) = choose::replica(seen, described, id)?;
    let cost = choose::cost(seen, id, best, furthest, None)?;
    if !policy.promote_replicas && seen.approval().is_none() {
        let bytes = match cost.loss {
            Loss::Bytes(bytes) => bytes,
            Loss::Nothing | Loss::Unknown => 0,
        };
        return Err(Reason::AskFirst { instance: id.to_owned(), best: best.id.clone(), bytes });
    }
    let lines = vec![
        old_writer(seen, id),
        format!("{failures} probes of it failed in a row, silent for {}", seconds(silent_for)),
        witness,
    ];
    // An earlier change isolated it, and was given up for want of a proof.
    let unproven_before = is_isolated(seen, from);
    let course = Course { by: By::Promotion, zone_before: from.zone.clone(), unproven_before, ..Course::default() };
    Ok(begin(seen, ChangeKind::Failover, id, lines, course))
}

/// I3: the witness that does not share our path to the writer: RDS's word for it, or a replica whose stream is dead.
fn witness(
    seen: &Observed,
    described: &Described,
    from: &InstanceSeen,
    silent_for: Duration,
) -> Result<String, Reason> {
    if let Some(reason) = still_heard(seen, described, &from.id, silent_for) {
        return Err(reason);
    }
    if !from.is_available() {
        return Ok(format!("RDS calls it {}", from.status));
    }
    let replicas = described.instances.iter().filter(|other| other.follows(&from.id));
    let heard = replicas.filter_map(|replica| match seen.sql_of(&replica.id) {
        Sql::Standby(standby) => Some((&replica.id, standby.receiver.as_ref().map(|receiver| receiver.silent_for))),
        _ => None,
    });
    let latest = heard.min_by_key(|(_, silence)| silence.unwrap_or(Duration::MAX));
    match latest {
        Some((replica, Some(silence))) => {
            Ok(format!("replica {replica} has heard nothing from it for {}", seconds(silence)))
        }
        Some((replica, None)) => Ok(format!("replica {replica} has lost its stream")),
        None if silent_for > Duration::from_secs(30) => Err(Reason::ProbePathBroken {
            because: "no instance answers us, and RDS calls the writer available".to_owned(),
        }),
        None => Err(Reason::NoWitness(from.id.clone())),
    }
}
