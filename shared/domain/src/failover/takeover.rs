//! I5 to I8: from the lease to the promotion.

use super::{Host, Member, Observed, Reason, Sql, Step, candidate, candidate::Survivor, evidence, finish};
use crate::{decision::Decision, state::Change};

/// Goes on with a change whose lease this pass holds.
pub(super) fn go_on(seen: &Observed, change: &Change) -> Decision<Step, Reason> {
    match promoted(seen, change) {
        Some(member) => finish::go_on(seen, change, member),
        None => towards_promotion(seen, change),
    }
}

/// The member that this change promoted, whether or not the pass that did it
/// lived to note it.
pub(super) fn promoted<'a>(seen: &'a Observed, change: &Change) -> Option<&'a Member> {
    match &change.promoted {
        Some(promoted) => seen.member(&promoted.member),
        None => {
            seen.members.iter().find(|member| member.card.id != change.from && matches!(member.sql, Sql::Writer(_)))
        }
    }
}

fn towards_promotion(seen: &Observed, change: &Change) -> Decision<Step, Reason> {
    let Some(from) = seen.member(&change.from) else {
        return Decision::Refuse(Reason::WriterNotInCard(change.from.clone()));
    };
    // First: from here there is no way back, whoever answers again.
    if let Some(begun) = &change.promoting
        && !is_off_for_good(seen, begun)
    {
        return promote_again(seen, change, from, begun);
    }
    // Alive after all. A freeze stops a healthy synchronous writer, so that it
    // is undone at once.
    if matches!(from.sql, Sql::Writer(_) | Sql::Alive(_)) && !is_off(&from.host) {
        return Decision::Refuse(Reason::AliveAfterAll(from.card.id.clone()));
    }
    if !may_freeze(seen, from) {
        return stop(from);
    }
    let awake = freeze_steps(seen, &change.from);
    if !awake.is_empty() {
        return Decision::Act(awake);
    }
    let chosen = match candidate::choose(seen, &change.from) {
        Ok(chosen) => chosen,
        Err(reason) => return stopped_by(reason),
    };
    let lost_bytes = match candidate::lag_gate(seen, &change.from, change.last_writer_lsn, chosen.furthest) {
        Ok(lost) => lost,
        Err(reason) => return stopped_by(reason),
    };
    promote(seen, from, chosen, lost_bytes)
}

fn stopped_by(reason: Reason) -> Decision<Step, Reason> {
    if reason.is_passing() { Decision::Wait(reason) } else { Decision::Refuse(reason) }
}

fn promote(seen: &Observed, from: &Member, chosen: Survivor<'_>, lost_bytes: Option<u64>) -> Decision<Step, Reason> {
    match evidence::prove(seen, &from.card.id) {
        None => stop(from),
        Some(evidence) => Decision::Act(vec![Step::Promote {
            member: chosen.member.target(),
            timeline: chosen.standby.timeline,
            epoch: seen.state.epoch,
            evidence,
            lost_bytes,
        }]),
    }
}

/// A pass noted whom it promotes, and did not live to say more. `pg_promote`
/// cannot be withdrawn, so that nobody else may be promoted now.
fn promote_again(seen: &Observed, change: &Change, from: &Member, begun: &str) -> Decision<Step, Reason> {
    let survivors = candidate::survivors(seen, &change.from);
    match survivors.into_iter().find(|survivor| survivor.member.card.id == begun) {
        Some(chosen) => promote(seen, from, chosen, change.lost_bytes),
        None => Decision::Refuse(Reason::PromotionUnknown(begun.to_owned())),
    }
}

/// Whether a member can no longer come out of recovery by itself.
pub(super) fn is_off_for_good(seen: &Observed, id: &str) -> bool {
    seen.member(id).is_some_and(|member| is_off(&member.host))
}

/// Whether standbys may be cut from `from` now: where the freeze is the proof,
/// or when it is off anyway. Otherwise each commit that still reaches a standby
/// is one less to lose.
pub(super) fn may_freeze(seen: &Observed, from: &Member) -> bool {
    seen.is_synchronous(&from.card.id) || is_off(&from.host)
}

/// The steps after which no standby that answers receives from anybody.
pub(super) fn freeze_steps(seen: &Observed, from: &str) -> Vec<Step> {
    candidate::survivors(seen, from)
        .iter()
        .filter(|survivor| !survivor.member.sql.is_frozen())
        .map(|survivor| Step::Freeze(survivor.member.target()))
        .collect()
}

/// I5, I6: without proof, the proof is made by stopping the old writer, and
/// waited for; what cannot be stopped is left to a person.
fn stop(from: &Member) -> Decision<Step, Reason> {
    match &from.host {
        Host::Running | Host::Pending => Decision::Act(vec![Step::StopHost(from.target())]),
        Host::Stopping | Host::ShuttingDown => Decision::Wait(Reason::AwaitingStop(from.card.id.clone())),
        host => Decision::Refuse(Reason::NoEvidence { member: from.card.id.clone(), host: host.to_string() }),
    }
}

fn is_off(host: &Host) -> bool {
    matches!(host, Host::Stopped | Host::Terminated)
}
