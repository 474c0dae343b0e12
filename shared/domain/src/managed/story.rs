//! What a change of a managed writer is told by: the ledger item and the page.

use super::{By, Course, Observed, finish::may_stop, records};
use crate::{
    failover::{
        Ledger, Page, Phases, Seen, Sql,
        phases::{in_seconds, rpo_ms, span},
    },
    state::{Approval, Change, ChangeKind, Loss, Promoted},
    time::{bytes, clock},
};

/// The entry of a change that made this instance writer.
pub(super) fn ledger(seen: &Observed, change: &Change, promoted: &Promoted) -> Ledger {
    // The record that AWS moves itself, or that named it before, ends nothing: the first write does.
    let ended = change.record_moved_at_ms.unwrap_or(promoted.at_ms).max(promoted.at_ms);
    // Nobody saw a silence: what was measured is when it was found out, not how long it took.
    let measured = change.silent_since_ms < promoted.at_ms || change.kind == ChangeKind::Switchover;
    Ledger {
        kind: change.kind,
        cluster: seen.card.cluster.clone(),
        epoch: seen.state.epoch,
        from: change.from.clone(),
        to: promoted.member.clone(),
        timeline: promoted.timeline,
        promoted_at_lsn: promoted.at,
        evidence: change.sure.clone().unwrap_or_default(),
        seen: change.seen.clone(),
        synchronous: change.loss == Some(Loss::Nothing),
        silent_since_ms: change.silent_since_ms,
        woken_at_ms: change.woken_at_ms,
        woken_by: change.woken_by.clone(),
        began_at_ms: change.began_at_ms,
        promoted_at_ms: promoted.at_ms,
        record_moved_at_ms: change.record_moved_at_ms,
        finished_at_ms: seen.looked_at_ms,
        rto_ms: measured.then(|| ended.saturating_sub(change.silent_since_ms)),
        phases: if measured { Phases::of(change, promoted.at_ms) } else { Phases::default() },
        rpo_bytes: match change.loss {
            Some(Loss::Nothing) => Some(0),
            Some(Loss::Bytes(lost)) => Some(lost),
            Some(Loss::Unknown) | None => None,
        },
        rpo_ms: rpo_ms(change),
        lossless: change.loss == Some(Loss::Nothing),
        loss_because: change.loss_because.clone(),
        approval: change.approval.clone(),
    }
}

/// The page that tells it.
pub(super) fn page(seen: &Observed, change: &Change, ledger: &Ledger) -> Page {
    let course = change.managed.clone().unwrap_or_default();
    Page::about(&subject(seen, change, ledger, &course))
        .line("Seen", &ledger.seen.join("; "))
        .line("Sure", &ledger.evidence)
        .line("Done", &done(seen, change, ledger, &course))
        .line("Lost", &lost(ledger))
        .line("Took", &took(ledger, &course))
        .line("Now", &now(seen, &ledger.to))
        .line("Next", &next(seen, change, &ledger.to, &course))
}

fn subject(seen: &Observed, change: &Change, ledger: &Ledger, course: &Course) -> String {
    let priority = if change.kind == ChangeKind::Switchover { "P3" } else { "P1" };
    let after = ledger.rto_ms.map_or_else(String::new, |ms| format!(", {} after it fell silent", span(ms)));
    let (cluster, to) = (&ledger.cluster, seen.place(&ledger.to));
    match course.by {
        By::Aws if ledger.from == ledger.to => format!("{priority} {cluster}: {to} taken over by AWS's standby{after}"),
        By::Aws => format!("{priority} {cluster}: writer moved to {to} by AWS{after}"),
        By::GrayFailure => format!("{priority} {cluster}: writer moved to {to}{after}"),
        By::Asked => format!("{priority} {cluster}: writer moved to {to} as asked"),
        By::Promotion => format!("{priority} {cluster}: replica {to} promoted{after}"),
    }
}

fn done(seen: &Observed, change: &Change, ledger: &Ledger, course: &Course) -> String {
    let (to, promoted) = (&ledger.to, clock(ledger.promoted_at_ms));
    let made = match (course.by, change.ordered_at_ms) {
        (By::Aws, _) if ledger.from == *to => {
            let before = course.zone_before.as_deref().unwrap_or("its zone");
            format!("AWS moved {to} from {before} to {}", seen.place(to))
        }
        (By::Promotion, Some(at)) => format!(
            "{} cut off; promotion of {to} ordered {}; it accepted a write at {}, timeline {}, {promoted}",
            ledger.from,
            clock(at),
            ledger.promoted_at_lsn,
            ledger.timeline[1]
        ),
        (By::GrayFailure | By::Asked, Some(at)) => format!(
            "failover to {} ordered {}, once; {to} accepted a write {promoted}",
            course.to.as_deref().unwrap_or(to),
            clock(at)
        ),
        _ => format!("AWS made {to} writer, seen {promoted}; Understudy ordered nothing"),
    };
    let (record, epoch) = (&seen.card.records.writer, ledger.epoch);
    let moved = match ledger.record_moved_at_ms {
        Some(at) => format!("record {record} moved {}, epoch {epoch}", clock(at)),
        None => format!("record {record} names what it should, epoch {epoch}"),
    };
    format!("{made}; {moved}{}", also_done(course))
}

/// What else a promotion has brought about.
fn also_done(course: &Course) -> &'static str {
    match (course.by == By::Promotion, course.stop_at_ms.is_some(), course.render_at_ms.is_some()) {
        (true, true, true) => "; the old writer is being stopped, the stack is rendered anew with the roles of today",
        (true, false, true) => "; the stack is rendered anew with the roles of today",
        (true, true, false) => "; the old writer is being stopped",
        _ => "",
    }
}

fn lost(ledger: &Ledger) -> String {
    let why = ledger.loss_because.as_deref().unwrap_or("nothing was noted");
    let lost = match (ledger.lossless, ledger.rpo_bytes) {
        (true, _) => "nothing that was acknowledged (0 bytes, 0.0 s)".to_owned(),
        (false, Some(0)) => "nothing up to the last position that a probe saw (0 bytes, 0.0 s)".to_owned(),
        (false, Some(lost)) => format!("{} of log{}", bytes(lost), in_seconds(ledger.rpo_ms)),
        (false, None) => format!("not known{}", in_seconds(ledger.rpo_ms)),
    };
    match &ledger.approval {
        Some(Approval { data_loss_bytes: Some(allowed), .. }) => {
            format!("{lost}: {why}; a loss of up to {} was approved", bytes(*allowed))
        }
        Some(_) => format!("{lost}: {why}; any loss was approved"),
        None => format!("{lost}: {why}"),
    }
}

fn took(ledger: &Ledger, course: &Course) -> String {
    match (ledger.rto_ms, course.by) {
        (None, _) => format!(
            "not measured: nobody saw a silence; found out {} ({})",
            clock(ledger.promoted_at_ms),
            ledger.woken_by
        ),
        (Some(_), By::Asked) => format!("from the request: {} ({})", ledger.phases.sentence(), ledger.woken_by),
        (Some(_), _) => format!("from the first silence: {} ({})", ledger.phases.sentence(), ledger.woken_by),
    }
}

/// Who writes, and who could take over next.
fn now(seen: &Observed, writer: &str) -> String {
    let Some(described) = seen.described() else { return format!("{writer} writes; RDS does not answer") };
    let place = seen.place(writer);
    if described.db_cluster.is_some() {
        let readers = described.instances.iter().filter(|it| it.id != writer);
        let able = readers.filter(|it| matches!(seen.sql_of(&it.id), Sql::Standby(_))).count();
        let able = match able {
            0 => "no reader answers yet".to_owned(),
            1 => "one reader answers".to_owned(),
            many => format!("{many} readers answer"),
        };
        return format!("{place} writes; {able}");
    }
    let instance = described.instance(writer);
    let standby = match instance.map(|instance| instance.multi_az) {
        Some(true) => "RDS keeps a standby of it",
        _ => "RDS keeps NO standby of it",
    };
    let replicas = described.instances.iter().filter(|it| it.follows(writer)).count();
    let kept = instance.map_or(0, |instance| instance.backup_retention_days);
    format!("{place} writes; {standby}; {replicas} read replicas; backups are kept {kept} days")
}

fn next(seen: &Observed, change: &Change, writer: &str, course: &Course) -> String {
    let explain = invoke(seen, &format!("{{\"explain\":\"{}\"}}", seen.card.cluster));
    let mut parts = Vec::new();
    if course.by == By::Promotion {
        let (from, region) = (&change.from, &seen.card.region);
        let old = seen.described().and_then(|described| Some((described, described.instance(from)?)));
        match old {
            Some((_, old)) if matches!(old.status.as_str(), "stopped" | "stopping") => {}
            Some((described, old)) if course.stop_at_ms.is_none() && !may_stop(seen, described, old) => {
                parts.push(format!(
                    "{from} runs on ({}), cut off from its clients; look at what only it has, then: \
                     aws rds stop-db-instance --region {region} --db-instance-identifier {from}",
                    old.status
                ));
            }
            _ => {}
        }
        if let Some(other) = &seen.card.other {
            parts.push(format!(
                "what replicates from {from} in {} has no source any more: deploy-cluster makes it anew there",
                other.region
            ));
        }
        if matches!(&seen.records, Seen::Known(names) if names.writer.is_none())
            && records::writer_target(seen).is_none()
        {
            parts.push(format!("{writer} has no endpoint yet"));
        }
    }
    parts.insert(0, if parts.is_empty() { "nothing urgent".to_owned() } else { "soon".to_owned() });
    format!("{}. What would happen now: {explain}", parts.join("; "))
}

/// How a person asks `promote-replica`.
pub(super) fn invoke(seen: &Observed, payload: &str) -> String {
    format!(
        "aws lambda invoke --function-name {}-promote-replica --cli-binary-format raw-in-base64-out \
         --payload '{payload}' /dev/stdout",
        seen.card.fleet
    )
}
