//! I11: from the promotion to the page.

use super::{
    Host, Ledger, Member, Observed, Reason, Seen, Sql, Step, WriterSeen, candidate,
    mend::{Follow, follow_steps},
};
use crate::{
    decision::Decision,
    records::RecordsSeen,
    state::{Change, ChangeKind, Promoted, Synchronous},
};
use std::{net::IpAddr, time::Duration};

/// Goes on after `new` was promoted: there is no way back.
///
/// What waits for something outside (Route 53's control plane) does not hold up
/// what does not; the phase stays `changing` until all is done.
pub(super) fn go_on(seen: &Observed, change: &Change, new: &Member) -> Decision<Step, Reason> {
    complete(seen, change, new).unwrap_or_else(Decision::Refuse)
}

fn complete(seen: &Observed, change: &Change, new: &Member) -> Result<Decision<Step, Reason>, Reason> {
    let Sql::Writer(answer) = &new.sql else {
        return Ok(lost_again(seen, change, new));
    };
    let Some(promoted) = &change.promoted else {
        return Ok(Decision::Act(vec![Step::Prove { member: new.target(), epoch: seen.state.epoch }]));
    };
    let (steps, problem) = remaining(seen, change, new, answer, promoted);
    if !steps.is_empty() {
        return Ok(Decision::Act(steps));
    }
    // A record that is not as expected holds up nothing but itself.
    if let Some(problem) = problem {
        return Err(problem);
    }
    match &seen.records {
        Seen::Known(_) => Ok(finish(seen, change, new)),
        Seen::Unavailable(problem) => Err(Reason::RecordWaits {
            writer: new.card.id.clone(),
            address: new.card.address,
            problem: problem.clone(),
        }),
        Seen::NotAsked => Ok(Decision::Wait(Reason::NotAsked("Route 53".to_owned()))),
    }
}

/// I11: what is left to do, in order, and what a person must look at after it.
fn remaining(
    seen: &Observed,
    change: &Change,
    new: &Member,
    answer: &WriterSeen,
    promoted: &Promoted,
) -> (Vec<Step>, Option<Reason>) {
    let (mut steps, mut problem) = (Vec::new(), None);
    if change.new_silent_since_ms.is_some() {
        steps.push(Step::NoteSilence(None));
    }
    let synchronous = repaired(seen, change);
    // The set may be applied before it is published: until the change is over nobody is promoted by it.
    if !synchronous.is_setting(&answer.synchronous_setting) {
        steps.push(Step::Apply { member: new.target(), synchronous: synchronous.clone() });
    }
    if seen.state.synchronous != synchronous {
        // What was acknowledged before the promotion is on the new writer, and maybe on nobody else yet.
        steps.push(Step::Publish { synchronous, floor: Some(promoted.at) });
    }
    let Follow { slots, follow } = follow_steps(seen, new, answer);
    steps.extend(slots);
    if let Seen::Known(records) = &seen.records {
        match writer_record(seen, new, records) {
            Ok(step) => steps.extend(step),
            Err(reason) => problem = Some(reason),
        }
    }
    steps.extend(follow);
    if let Some(old) = seen.member(&change.from)
        && seen.policy.stop_old_writer
        && change.kind == ChangeKind::Failover
        && matches!(old.host, Host::Running | Host::Pending)
    {
        steps.push(Step::StopHost(old.target()));
    }
    if let Seen::Known(records) = &seen.records {
        steps.extend(reader_record(seen, new, records));
    }
    (steps, problem)
}

/// How long the new writer may be silent before the change ends without it:
/// longer than a checkpoint or the rush of all clients at once keeps it busy.
const NEW_WRITER_SILENCE: Duration = Duration::from_secs(10);

/// The new writer fell silent before the change was finished. When it stays
/// so, the change ends with it as the writer of record, so that it is replaced
/// by the same rules, with the same proof, as any other writer.
fn lost_again(seen: &Observed, change: &Change, new: &Member) -> Decision<Step, Reason> {
    match &new.sql {
        Sql::Silent(_) | Sql::Refused => {}
        Sql::Standby(_) => return Decision::Refuse(Reason::WriterInRecovery(new.card.id.clone())),
        _ => return Decision::Wait(Reason::NotAsked(new.card.id.clone())),
    }
    let Some(since) = change.new_silent_since_ms else {
        return Decision::Act(vec![Step::NoteSilence(Some(seen.looked_at_ms))]);
    };
    let silent_for = Duration::from_millis(seen.looked_at_ms.saturating_sub(since));
    if silent_for < NEW_WRITER_SILENCE {
        return Decision::Wait(Reason::NewWriterSilent { member: new.card.id.clone(), silent_for });
    }
    finish(seen, change, new)
}

fn finish(seen: &Observed, change: &Change, new: &Member) -> Decision<Step, Reason> {
    match Ledger::of(seen, change, seen.looked_at_ms) {
        Some(ledger) => {
            let page = ledger.page(seen, &seen.writer_record);
            Decision::Act(vec![Step::Finish {
                writer: new.target(),
                kind: change.kind,
                ledger: Box::new(ledger),
                page,
            }])
        }
        // Promoted, not proven: the next look proves it first.
        None => Decision::Wait(Reason::NotAsked(new.card.id.clone())),
    }
}

/// Whom the new writer's commits wait for: the standbys that are left, as many
/// of them as before if there are so many. Waiting for the dead would hang
/// every commit and block the next promotion (its quorum could never be seen).
///
/// What this change has published stays: one look that misses a standby must
/// not make commits wait for nobody.
fn repaired(seen: &Observed, change: &Change) -> Synchronous {
    let (old, published) = (&change.synchronous, &seen.state.synchronous);
    if !old.is_on() || published != old {
        return published.clone();
    }
    let new = change.promoted.as_ref().map(|promoted| promoted.member.as_str());
    let stays = |member: &&Member| match &member.sql {
        Sql::Standby(_) => true,
        // A person who approved a loss wants writes back, not a wait for who does not answer.
        _ if change.approval.is_some() => false,
        _ => old.names.contains(&member.card.name) && !matches!(member.host, Host::Stopped | Host::Terminated),
    };
    let others =
        seen.members.iter().filter(|member| member.card.id != change.from && Some(member.card.id.as_str()) != new);
    let mut names: Vec<String> = others.filter(stays).map(|left| left.card.name.clone()).collect();
    names.sort();
    let required = old.required.min(u32::try_from(names.len()).unwrap_or(u32::MAX));
    Synchronous { required, names }
}

/// The step that moves the writer record, when it is not there yet.
pub(super) fn writer_record(seen: &Observed, new: &Member, records: &RecordsSeen) -> Result<Option<Step>, Reason> {
    let to = (new.card.address, seen.state.epoch);
    let from = match (records.writer.as_slice(), records.epoch) {
        ([], None) => None,
        ([address], Some(epoch)) if (*address, epoch) == to => return Ok(None),
        ([address], Some(epoch)) if epoch < seen.state.epoch => Some((*address, epoch)),
        (addresses, epoch) => {
            return Err(Reason::RecordNotOurs { addresses: addresses.to_vec(), epoch, ours: seen.state.epoch });
        }
    };
    Ok(Some(Step::MoveWriterRecord { from, to }))
}

/// Readers use the standbys that are left; with none left, the writer, so that
/// they keep working.
fn reader_record(seen: &Observed, new: &Member, records: &RecordsSeen) -> Option<Step> {
    let mut wanted: Vec<IpAddr> =
        candidate::survivors(seen, &new.card.id).iter().map(|left| left.member.card.address).collect();
    if wanted.is_empty() {
        wanted.push(new.card.address);
    }
    wanted.sort();
    let mut now = records.reader.clone();
    now.sort();
    (wanted != now).then_some(Step::SetReaderRecord(wanted))
}
