//! From the epoch to the page.

use super::{Led, Reason, Step, applied, page};
use crate::{
    decision::Decision,
    failover::{Ledger, Member, Observed, Seen, Sql, WriterSeen},
    records::RecordsSeen,
    state::{Change, Promoted},
};
use std::net::IpAddr;

/// Goes on with an open change, whose lease this pass holds.
pub(super) fn go_on(now: &Led, change: &Change) -> Decision<Step, Reason> {
    let seen = &now.seen;
    let Some(promoted) = &change.promoted else { return Decision::Act(vec![Step::Abandon]) };
    let new = seen.member(&promoted.member);
    let Some((new, answer)) = new.and_then(writes) else {
        // The keeper has moved on, or the new leader fell silent: this change
        // ends, and what is true now is followed as any other change.
        return Decision::Act(vec![finish(now, change, promoted)]);
    };
    let (steps, problem) = remaining(seen, new, answer);
    match (steps.is_empty(), problem, &seen.records) {
        (false, ..) => Decision::Act(steps),
        (true, Some(problem), _) => Decision::Refuse(problem),
        (true, None, Seen::Unavailable(problem)) => Decision::Refuse(Reason::RecordWaits {
            writer: new.card.id.clone(),
            address: new.card.address,
            problem: problem.clone(),
        }),
        (true, None, _) => Decision::Act(vec![finish(now, change, promoted)]),
    }
}

fn writes(member: &Member) -> Option<(&Member, &WriterSeen)> {
    match &member.sql {
        Sql::Writer(answer) => Some((member, answer)),
        _ => None,
    }
}

fn remaining(seen: &Observed, new: &Member, answer: &WriterSeen) -> (Vec<Step>, Option<Reason>) {
    let (mut steps, mut problem) = (Vec::new(), None);
    // First what clients wait for.
    if let Seen::Known(records) = &seen.records {
        match writer_record(seen.state.epoch, new, records) {
            Ok(step) => steps.extend(step),
            Err(reason) => problem = Some(reason),
        }
        steps.extend(reader_record(seen, new, records));
    }
    let set = applied(answer);
    if set != seen.state.synchronous {
        steps.push(Step::Publish(set));
    }
    (steps, problem)
}

fn finish(now: &Led, change: &Change, promoted: &Promoted) -> Step {
    let seen = &now.seen;
    let ledger = Ledger::of_promoted(seen, change, promoted, seen.looked_at_ms);
    let page = page(now, change, &ledger);
    Step::Finish { writer: promoted.member.clone(), ledger: Box::new(ledger), page }
}

/// The step that moves the writer record at the epoch `ours`, when it is not
/// there yet.
pub(super) fn writer_record(ours: u64, new: &Member, records: &RecordsSeen) -> Result<Option<Step>, Reason> {
    let to = (new.card.address, ours);
    let from = match (records.writer.as_slice(), records.epoch) {
        // deploy-cluster makes the first ones, once the cluster serves.
        ([], None) if ours <= 1 => return Ok(None),
        ([], None) => None,
        ([address], Some(epoch)) if *address == new.card.address && epoch <= ours => return Ok(None),
        ([address], Some(epoch)) if epoch <= ours => Some((*address, epoch)),
        (addresses, epoch) => {
            return Err(Reason::RecordNotOurs { addresses: addresses.to_vec(), epoch, ours });
        }
    };
    Ok(Some(Step::MoveWriterRecord { from, to }))
}

/// Readers use the standbys that answer; with none, the writer, so that they
/// keep working. Who really streams is seen to by `update-dns`, a moment later.
fn reader_record(seen: &Observed, new: &Member, records: &RecordsSeen) -> Option<Step> {
    if records.reader.is_empty() {
        return None;
    }
    let others = seen.members.iter().filter(|member| member.card.id != new.card.id);
    let mut wanted: Vec<IpAddr> =
        others.filter(|member| matches!(member.sql, Sql::Standby(_))).map(|member| member.card.address).collect();
    if wanted.is_empty() {
        wanted.push(new.card.address);
    }
    wanted.sort();
    let mut now = records.reader.clone();
    now.sort();
    (wanted != now).then_some(Step::SetReaderRecord(wanted))
}

/// Whether a pause that was asked for here is over, and not ended yet: its end
/// is set to zero then.
pub(super) fn own_pause_is_over(seen: &Observed) -> bool {
    seen.state.pause.as_ref().is_some_and(|pause| pause.until_ms > 0 && pause.until_ms <= seen.looked_at_ms)
}
