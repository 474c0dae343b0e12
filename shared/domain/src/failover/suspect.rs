//! I3, I4: whether a writer that does not answer is down, and may be replaced.

use super::{Host, Lease, Member, Observed, Reason, Seen, Sql, Step, candidate, takeover};
use crate::{
    decision::Decision,
    state::{Change, ChangeKind, Synchronous},
    time,
};
use std::time::Duration;

/// How long a writer that standbys still hear must be silent to us before a
/// person is told that our probe path is broken: long enough for the standbys'
/// own time-outs (5 s) to have spoken.
const PROBE_PATH_BROKEN: Duration = Duration::from_secs(10);

/// How long the writer must be silent before a standby that does not answer is
/// taken for lost, too: one look at it may be lost, two more are then made.
const MISSING_WITNESS: Duration = Duration::from_secs(6);

/// The writer did not answer this look. Decides whether a change begins.
pub(super) fn judge(seen: &Observed, writer: &Member) -> Decision<Step, Reason> {
    let lines = match witnesses(seen, writer) {
        Ok(lines) => lines,
        Err(reason) => return held(reason),
    };
    if let Some(step) = honest(seen, writer) {
        return Decision::Act(vec![step]);
    }
    match damped(seen, writer) {
        Ok(()) => begin(seen, writer, lines),
        Err(reason) => held(reason),
    }
}

/// I9: the step after which the published set says what a probe saw last of the
/// writer's own setting, when a person changed that by hand: this pass knows it,
/// and a later one, woken by something else, would not.
fn honest(seen: &Observed, writer: &Member) -> Option<Step> {
    let suspicion = seen.suspicion_of(&writer.card.id)?;
    let applied = Synchronous::parse(suspicion.synchronous_setting.as_ref()?).unwrap_or_default();
    let published = &seen.state.synchronous;
    if !published.is_on() || published.covers(&applied) || seen.paused_for().is_some() {
        return None;
    }
    if seen.lease != Lease::Mine {
        return Some(Step::Hold { epoch: seen.state.epoch });
    }
    // What was acknowledged by the set before may be on nobody of this one.
    let floor = suspicion.last_lsn.filter(|_| !applied.covers(published));
    Some(Step::Publish { synchronous: applied, floor })
}

fn held(reason: Reason) -> Decision<Step, Reason> {
    if reason.is_passing() { Decision::Wait(reason) } else { Decision::Refuse(reason) }
}

/// I3: what makes us sure that the writer is down, in sentences for the page.
fn witnesses(seen: &Observed, writer: &Member) -> Result<Vec<String>, Reason> {
    let id = &writer.card.id;
    if matches!(writer.host, Host::Stopped | Host::Terminated) {
        return Ok(vec![format!("{} does not answer; EC2 says {}", writer.place(), writer.host)]);
    }
    let needed = seen.policy.failures;
    let suspicion =
        seen.suspicion_of(id).filter(|suspicion| suspicion.failures >= needed).ok_or_else(|| Reason::NotSuspected {
            member: id.clone(),
            failures: seen.suspicion_of(id).map_or(0, |suspicion| suspicion.failures),
            needed,
        })?;
    let host_may_restart_it = writer.sql == Sql::Refused && writer.host == Host::Running;
    if let Some(left) = seen.policy.local_restart().checked_sub(suspicion.silent_for)
        && host_may_restart_it
        && !left.is_zero()
    {
        return Err(Reason::LocalRestart { member: id.clone(), left });
    }
    let second = second_witness(seen, writer, suspicion.silent_for)?;
    let since = seen.looked_at_ms.saturating_sub(suspicion.silent_for.as_millis() as u64);
    Ok(vec![
        format!(
            "{} silent since {}: {} probes in {}",
            writer.place(),
            time::clock(since),
            suspicion.failures,
            time::seconds(suspicion.silent_for)
        ),
        second,
        format!("EC2 says {}", writer.host),
    ])
}

/// The witness that does not depend on our own path to the writer.
fn second_witness(seen: &Observed, writer: &Member, silent_for: Duration) -> Result<String, Reason> {
    let survivors = candidate::survivors(seen, &writer.card.id);
    let limit = seen.policy.witness_silence();
    let mut heard_before: Option<Duration> = None;
    for survivor in &survivors {
        let Some(receiver) = &survivor.standby.receiver else { continue };
        let of_writer = receiver.upstream.is_none_or(|upstream| upstream == writer.card.address);
        if of_writer && receiver.silent_for < limit {
            let standby = survivor.member.card.id.clone();
            return Err(if silent_for > PROBE_PATH_BROKEN {
                Reason::ProbePathBroken { standby, heard: receiver.silent_for }
            } else {
                Reason::StillStreaming { standby, heard: receiver.silent_for }
            });
        }
        heard_before = Some(heard_before.map_or(receiver.silent_for, |other| other.min(receiver.silent_for)));
    }
    let absent = seen.members.iter().find(|member| {
        member.card.id != writer.card.id
            && !matches!(member.host, Host::Stopped | Host::Terminated)
            && matches!(member.sql, Sql::Silent(_) | Sql::NotAsked)
    });
    if let (Some(member), Some(left)) = (absent, MISSING_WITNESS.checked_sub(silent_for))
        && !left.is_zero()
    {
        return Err(Reason::WitnessSilent { member: member.card.id.clone(), left });
    }
    match (survivors.len(), &writer.host) {
        (0, Host::Stopping | Host::ShuttingDown) => Ok(format!("EC2 says {}", writer.host)),
        (0, _) => Err(Reason::NoStandbyAnswers),
        (count, _) => Ok(match heard_before {
            None => format!("{} lost its stream", standbys(count)),
            Some(silence) => format!("{} heard nothing from it for {}", standbys(count), time::seconds(silence)),
        }),
    }
}

fn standbys(count: usize) -> String {
    match count {
        1 => "the one standby that answers".to_owned(),
        2 => "both standbys".to_owned(),
        _ => format!("all {count} standbys that answer"),
    }
}

/// I4, I7 to I10: what speaks against a change although the writer is down.
fn damped(seen: &Observed, writer: &Member) -> Result<(), Reason> {
    // Later than in its first life, a record that is missing was deleted, and clients may have other ways.
    if let Seen::Known(records) = &seen.records
        && records.writer.is_empty()
        && seen.state.epoch <= 1
    {
        return Err(Reason::NotOpenYet);
    }
    if let Some(pause) = &seen.state.pause {
        if let Some(left) = seen.paused_for() {
            return Err(Reason::Paused { left, why: pause.reason.clone() });
        }
        if let Some(left) = seen.policy.grace().checked_sub(seen.since(pause.until_ms))
            && !left.is_zero()
        {
            return Err(Reason::Grace(left));
        }
    }
    // The next writer has the same log to keep, on a disk of the same size.
    let approved = seen.approval().is_some();
    if writer.guard.as_ref().is_some_and(|guard| guard.says_disk_full(seen.looked_at_ms)) && !approved {
        return Err(Reason::DiskFull(writer.card.id.clone()));
    }
    let since = seen.state.failovers_ms.last().map(|last| seen.since(*last));
    if let Some(left) = since.and_then(|since| seen.policy.cool_down().checked_sub(since))
        && !left.is_zero()
        && !approved
    {
        return Err(Reason::CoolDown(left));
    }
    let failovers = seen.failovers_in_an_hour();
    if failovers >= seen.policy.failovers_per_hour as usize && !approved {
        return Err(Reason::TooMany { failovers, allowed: seen.policy.failovers_per_hour });
    }
    let chosen = candidate::choose(seen, &writer.card.id)?;
    let last = seen.suspicion_of(&writer.card.id).and_then(|suspicion| suspicion.last_lsn);
    candidate::loss(seen, &writer.card.id, last, chosen.furthest)?;
    Ok(())
}

/// From the last message that a standby had of the writer until it fell silent to us: what it acknowledged in between
/// may be on nobody else. `None` when no standby's receiver tells.
fn unheard_ms(seen: &Observed, writer: &Member, silent_since: u64) -> Option<u64> {
    let survivors = candidate::survivors(seen, &writer.card.id);
    let receivers = survivors.iter().filter_map(|survivor| survivor.standby.receiver.as_ref());
    let heard = receivers.map(|receiver| receiver.silent_for).min()?;
    let heard_at = seen.looked_at_ms.saturating_sub(heard.as_millis() as u64);
    Some(silent_since.saturating_sub(heard_at))
}

/// I1: the epoch first. The freeze follows in the same breath, since the epoch
/// is only advanced when nothing changed after this look.
fn begin(seen: &Observed, writer: &Member, lines: Vec<String>) -> Decision<Step, Reason> {
    let suspicion = seen.suspicion_of(&writer.card.id);
    let silent_for = suspicion.map_or(Duration::ZERO, |suspicion| suspicion.silent_for);
    let suspected_since = seen.looked_at_ms.saturating_sub(silent_for.as_millis() as u64);
    let change = Change {
        kind: ChangeKind::Failover,
        from: writer.card.id.clone(),
        seen: lines,
        silent_since_ms: seen.silent_since_ms.map_or(suspected_since, |since| since.min(suspected_since)),
        last_writer_lsn: suspicion.and_then(|suspicion| suspicion.last_lsn),
        synchronous: seen.state.synchronous.clone(),
        synchronous_setting: suspicion.and_then(|suspicion| suspicion.synchronous_setting.clone()),
        approval: seen.approval().cloned(),
        lost_ms: unheard_ms(seen, writer, suspected_since),
        ..Change::default()
    };
    let mut steps = vec![Step::Begin { epoch: seen.state.epoch, change: Box::new(change) }];
    if takeover::may_freeze(seen, writer) {
        steps.extend(takeover::freeze_steps(seen, &writer.card.id));
    }
    Decision::Act(steps)
}
