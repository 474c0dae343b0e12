//! DB clusters, whose writer AWS changes: Aurora, and Multi-AZ DB clusters of RDS.

use super::{
    By, Course, DbClusterSeen, Described, Observed, Reason, Step, choose,
    damping::{damped, held},
    mend, waiting,
};
use crate::{
    decision::Decision,
    failover::{Sql, WriterSeen},
    follow::APART,
    state::{Change, ChangeKind, Loss, Promoted},
    time::{clock, seconds},
};
use std::time::Duration;

/// A writer that every reader's stream, or nobody at all, speaks against must be silent to us for so long before a
/// person is told that our probe path is broken.
const PROBE_PATH_BROKEN: Duration = Duration::from_secs(30);

/// No change is open. RDS and PostgreSQL say who writes.
pub(super) fn judge(
    seen: &Observed,
    described: &Described,
    cluster: &DbClusterSeen,
    writer: &str,
) -> Decision<Step, Reason> {
    let writes: Vec<&str> = seen.writers().collect();
    if let [one, other, ..] = writes.as_slice() {
        return two_writers(seen, one, other);
    }
    match (cluster.writer.as_deref(), writes.first().copied()) {
        (Some(rds), Some(writes)) if rds == writes && rds == writer => mend::go_on(seen, described, writer),
        (Some(rds), Some(writes)) if rds == writes => moved_by_aws(seen, writer, rds),
        (Some(rds), None) if rds == writer => match seen.sql_of(writer) {
            Sql::NotAsked => mend::go_on(seen, described, writer),
            Sql::Alive(answer) => {
                Decision::Wait(Reason::AliveButBusy { instance: writer.to_owned(), answer: answer.clone() })
            }
            Sql::Standby(_) => in_recovery(seen, writer),
            _ => silent(seen, described, cluster, writer),
        },
        (rds, writes) => differ(seen, rds, writes),
    }
}

/// Two accept writes: in one look that proves nothing, since its answers are up to a probe's time apart.
pub(super) fn two_writers(seen: &Observed, one: &str, other: &str) -> Decision<Step, Reason> {
    match waiting::waited(seen, waiting::TWO, None, None) {
        Err(note) => Decision::Act(vec![Step::Note(note), Step::LookAgain]),
        Ok(waited) if waited < APART => Decision::Act(vec![Step::LookAgain]),
        Ok(_) => Decision::Refuse(Reason::TwoWriters { one: one.to_owned(), other: other.to_owned() }),
    }
}

/// RDS and PostgreSQL disagree: AWS is at it, or one of the two is behind.
pub(super) fn differ(seen: &Observed, rds: Option<&str>, writes: Option<&str>) -> Decision<Step, Reason> {
    let reason = |left| Reason::Differ { rds: rds.map(str::to_owned), writes: writes.map(str::to_owned), left };
    match waiting::waited(seen, waiting::DIFFER, seen.silent_since(), None) {
        Err(note) => Decision::Act(vec![Step::Note(note)]),
        Ok(waited) => match waiting::left(seen.card.policy.aws_failover(), waited) {
            Some(left) => Decision::Wait(reason(left)),
            None => Decision::Refuse(reason(Duration::ZERO)),
        },
    }
}

pub(super) fn in_recovery(seen: &Observed, writer: &str) -> Decision<Step, Reason> {
    match waiting::waited(seen, waiting::RECOVERY, seen.silent_since(), None) {
        Err(note) => Decision::Act(vec![Step::Note(note)]),
        Ok(waited) => match waiting::left(seen.card.policy.aws_failover(), waited) {
            Some(left) => {
                let (instance, status) = (writer.to_owned(), "in recovery".to_owned());
                Decision::Wait(Reason::AwaitingAws { instance, status, left })
            }
            None => Decision::Refuse(Reason::WriterInRecovery(writer.to_owned())),
        },
    }
}

/// AWS (or a person with AWS's tools) moved the writer, and PostgreSQL confirms it: the epoch first.
fn moved_by_aws(seen: &Observed, from: &str, to: &str) -> Decision<Step, Reason> {
    let Some(answer) = seen.writes(to) else { return differ(seen, Some(to), None) };
    let mut lines = vec![old_writer(seen, from)];
    lines.extend(seen.suspicion_of(from).map(|told| format!("{} probes of it failed in a row", told.failures)));
    let change = followed(seen, from, (to, answer), lines);
    Decision::Act(vec![Step::Begin { epoch: seen.state.epoch, change: Box::new(change) }])
}

/// The change that AWS has made, as it is noted, told and kept.
pub(super) fn followed(seen: &Observed, from: &str, (to, answer): (&str, &WriterSeen), lines: Vec<String>) -> Change {
    let topology = seen.card.topology;
    let told = seen.described().and_then(|described| described.db_cluster.as_ref());
    let sure = told.map_or_else(
        || format!("RDS calls {} available; PostgreSQL on it is out of recovery", seen.place(to)),
        |cluster| format!("RDS calls {} writer of {}; PostgreSQL on it is out of recovery", seen.place(to), cluster.id),
    );
    let why = if topology.is_aurora() {
        "Aurora's instances share one storage, and the new writer reads what the old one had acknowledged"
    } else {
        "AWS acknowledges a commit only when a standby in another zone has it, too"
    };
    let about = waiting::known_before(seen).map(str::to_owned);
    Change {
        kind: ChangeKind::Followed,
        from: from.to_owned(),
        seen: lines,
        silent_since_ms: seen.silent_since().unwrap_or(seen.looked_at_ms),
        sure: Some(sure),
        promoted: Some(Promoted {
            member: to.to_owned(),
            at: answer.lsn,
            timeline: [seen.state.timeline.max(1), answer.timeline],
            at_ms: seen.looked_at_ms,
        }),
        loss: Some(Loss::Nothing),
        loss_because: Some(why.to_owned()),
        lost_ms: Some(0),
        managed: Some(Course {
            by: By::Aws,
            zone_before: about.or_else(|| seen.zone(from).map(str::to_owned)),
            ..Course::default()
        }),
        ..Change::default()
    }
}

pub(super) fn old_writer(seen: &Observed, from: &str) -> String {
    let since = seen.silent_since().map_or_else(String::new, |since| format!(" since {}", clock(since)));
    let known = seen.described().and_then(|described| described.instance(from));
    let status = known.map_or("nothing of it".to_owned(), |instance| instance.status.clone());
    match seen.sql_of(from) {
        Sql::Silent(_) | Sql::Refused => {
            format!("{}, the writer of record, {}{since}; RDS says {status}", seen.place(from), seen.sql_of(from))
        }
        Sql::Standby(_) => format!("{}, the writer of record, is a reader now; RDS says {status}", seen.place(from)),
        sql => format!("{}, the writer of record, {sql}; RDS says {status}", seen.place(from)),
    }
}

/// The writer is silent, and RDS still calls it the writer.
fn silent(seen: &Observed, described: &Described, cluster: &DbClusterSeen, writer: &str) -> Decision<Step, Reason> {
    let policy = &seen.card.policy;
    let silent_for = match waiting::waited(seen, waiting::SILENT, seen.silent_since(), seen.zone(writer)) {
        Err(note) => return Decision::Act(vec![Step::Note(note)]),
        Ok(waited) => waited,
    };
    let status = described.instance(writer).map_or_else(|| "unknown".to_owned(), |instance| instance.status.clone());
    let aws = |limit: Duration, why: &str| aws_first(writer, &status, silent_for, limit, why);
    if cluster.status != "available" || status != "available" {
        return aws(policy.aws_failover(), &format!("RDS is still at it ({} is {})", cluster.id, cluster.status));
    }
    let others: Vec<_> = described.instances.iter().filter(|instance| instance.id != writer).collect();
    if others.is_empty() {
        return aws(policy.aws_failover(), "there is no reader to fail over to");
    }
    // A paused cluster, or one whose endpoints nobody asked: nothing follows.
    if !others.iter().any(|other| seen.sql_of(&other.id).answers()) {
        return match waiting::left(PROBE_PATH_BROKEN, silent_for) {
            Some(left) => Decision::Wait(Reason::AwaitingAws { instance: writer.to_owned(), status, left }),
            None => {
                let because = "no instance answers us, and RDS calls all of them available".to_owned();
                Decision::Refuse(Reason::ProbePathBroken { because })
            }
        };
    }
    if let Some(reason) = still_heard(seen, described, writer, silent_for) {
        return held(reason);
    }
    gray(seen, described, writer, silent_for)
}

/// Waits while AWS has its time; then says that it did nothing with it.
pub(super) fn aws_first(
    writer: &str,
    status: &str,
    silent_for: Duration,
    limit: Duration,
    why: &str,
) -> Decision<Step, Reason> {
    let (instance, status) = (writer.to_owned(), status.to_owned());
    match waiting::left(limit, silent_for) {
        Some(left) => Decision::Wait(Reason::AwaitingAws { instance, status, left }),
        None => Decision::Refuse(Reason::AwsDidNothing { instance, status, silent_for, why: why.to_owned() }),
    }
}

/// I3: a standby that hears the writer is a witness against us. Aurora's readers have no receiver to ask.
pub(super) fn still_heard(
    seen: &Observed,
    described: &Described,
    writer: &str,
    silent_for: Duration,
) -> Option<Reason> {
    let limit = seen.card.policy.witness_silence();
    let others = described.instances.iter().filter(|instance| instance.id != writer);
    let heard = others.filter_map(|instance| match seen.sql_of(&instance.id) {
        Sql::Standby(standby) => Some((&instance.id, standby.receiver.as_ref()?.silent_for)),
        _ => None,
    });
    let (replica, heard) = heard.filter(|(_, heard)| *heard < limit).min_by_key(|(_, heard)| *heard)?;
    Some(if silent_for > PROBE_PATH_BROKEN {
        let heard = seconds(heard);
        Reason::ProbePathBroken {
            because: format!("replica {replica} heard {writer} {heard} ago, only our probes do not reach it"),
        }
    } else {
        Reason::StillStreaming { replica: replica.clone(), heard }
    })
}

/// RDS calls the cluster and its writer available, and readers answer; the writer does not.
fn gray(seen: &Observed, described: &Described, writer: &str, silent_for: Duration) -> Decision<Step, Reason> {
    let policy = &seen.card.policy;
    let best = match choose::reader(seen, described, writer) {
        Ok(best) => best,
        Err(Reason::Nobody(why)) => return aws_first(writer, "available", silent_for, policy.aws_failover(), &why),
        Err(reason) => return held(reason),
    };
    let instance = writer.to_owned();
    let Some(limit) = policy.gray_failure() else {
        return match waiting::left(policy.aws_failover(), silent_for) {
            Some(left) => Decision::Wait(Reason::AwaitingAws { instance, status: "available".to_owned(), left }),
            None => Decision::Refuse(Reason::GrayFailure { instance, silent_for, best: best.id.clone() }),
        };
    };
    if let Some(left) = waiting::left(limit, silent_for) {
        return Decision::Wait(Reason::GrayFor { instance, left });
    }
    let (failures, needed) = (seen.suspicion_of(writer).map_or(0, |told| told.failures), policy.failures);
    if failures < needed {
        return Decision::Wait(Reason::NotSuspected { instance, failures, needed });
    }
    if let Err(reason) = damped(seen) {
        return held(reason);
    }
    let answering = described.instances.iter().filter(|other| seen.sql_of(&other.id).answers()).count();
    let lines = vec![
        old_writer(seen, writer),
        format!("{failures} probes of it failed in a row"),
        format!("{answering} of {} instances answer; no failover of AWS is under way", described.instances.len()),
    ];
    let course = Course { by: By::GrayFailure, zone_before: seen.zone(writer).map(str::to_owned), ..Course::default() };
    Decision::Act(vec![begin(seen, ChangeKind::Failover, writer, lines, course)])
}

/// I1: the epoch first.
pub(super) fn begin(seen: &Observed, kind: ChangeKind, from: &str, lines: Vec<String>, course: Course) -> Step {
    let told = seen.suspicion_of(from).and_then(|suspicion| suspicion.last_lsn);
    let change = Change {
        kind,
        from: from.to_owned(),
        seen: lines,
        silent_since_ms: seen.silent_since().unwrap_or(seen.looked_at_ms),
        last_writer_lsn: told.or_else(|| seen.writes(from).map(|answer| answer.lsn)),
        approval: seen.approval().cloned(),
        managed: Some(course),
        ..Change::default()
    };
    Step::Begin { epoch: seen.state.epoch, change: Box::new(change) }
}
