//! I5 to I8: from the lease to the promotion.

use super::{Host, Member, Observed, Reason, Sql, Step, candidate, candidate::Survivor, evidence, finish, switchover};
use crate::{
    decision::Decision,
    lsn::Lsn,
    state::{Change, ChangeKind, Loss, Promoted},
};
use std::net::IpAddr;

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
        // Only who was noted before: another one out of recovery is a writer from before, not of this change.
        None => {
            let begun = change.promoting.as_deref().and_then(|id| seen.member(id));
            begun.filter(|member| matches!(member.sql, Sql::Writer(_)))
        }
    }
}

fn towards_promotion(seen: &Observed, change: &Change) -> Decision<Step, Reason> {
    let Some(from) = seen.member(&change.from) else {
        return Decision::Refuse(Reason::WriterNotInCard(change.from.clone()));
    };
    let stranger = seen.members.iter().find(|member| {
        member.card.id != change.from
            && Some(&member.card.id) != change.promoting.as_ref()
            && matches!(member.sql, Sql::Writer(_))
    });
    if let Some(stranger) = stranger {
        let (named, other) = (change.from.clone(), stranger.card.id.clone());
        return Decision::Refuse(Reason::TwoWriters { named, other });
    }
    // First: from here there is no way back, whoever answers again.
    if let Some(begun) = &change.promoting
        && !is_off_for_good(seen, begun)
    {
        return promote_again(seen, change, from, begun);
    }
    if change.kind == ChangeKind::Switchover {
        return switchover::go_on(seen, change, from);
    }
    // Alive after all. A freeze stops a healthy synchronous writer, so that it
    // is undone at once.
    if matches!(from.sql, Sql::Writer(_) | Sql::Alive(_)) && !is_off(&from.host) {
        return Decision::Refuse(Reason::AliveAfterAll(from.card.id.clone()));
    }
    if !may_freeze(seen, from) {
        return without_proof(seen, change, from);
    }
    let awake = freeze_steps(seen, &change.from);
    if !awake.is_empty() {
        // Who may have received in the meantime makes the time that proves begin anew.
        let anew = change.frozen_since_ms.map(|_| Step::NoteFrozen(None));
        return Decision::Act(anew.into_iter().chain(awake).collect());
    }
    let chosen = match candidate::choose(seen, &change.from) {
        Ok(chosen) => chosen,
        Err(reason) => return stopped_by(reason),
    };
    let loss = match candidate::loss(seen, &change.from, last_position(seen, change, from), chosen.furthest) {
        Ok(loss) => loss,
        Err(reason) => return stopped_by(reason),
    };
    promote(seen, change, from, chosen, loss)
}

/// How far the old writer had come, as far as anyone knows: what a probe saw
/// before the change began or since, and what its guard found when PostgreSQL
/// had ended. A writer that only hung may have gone on in between.
fn last_position(seen: &Observed, change: &Change, from: &Member) -> Option<Lsn> {
    let told = seen.suspicion_of(&from.card.id).and_then(|suspicion| suspicion.last_lsn);
    let ended = from.guard.as_ref().filter(|guard| guard.holds).and_then(|guard| guard.checkpoint);
    change.last_writer_lsn.max(told).max(ended)
}

fn stopped_by(reason: Reason) -> Decision<Step, Reason> {
    if reason.is_passing() { Decision::Wait(reason) } else { Decision::Refuse(reason) }
}

pub(super) fn promote(
    seen: &Observed,
    change: &Change,
    from: &Member,
    chosen: Survivor<'_>,
    loss: Loss,
) -> Decision<Step, Reason> {
    match evidence::prove(seen, &from.card.id) {
        None => without_proof(seen, change, from),
        Some(evidence) => Decision::Act(vec![Step::Promote {
            member: chosen.member.target(),
            timeline: chosen.standby.timeline,
            epoch: seen.state.epoch,
            evidence,
            loss,
        }]),
    }
}

/// A pass noted whom it promotes, and did not live to say more. `pg_promote`
/// cannot be withdrawn, so that nobody else may be promoted now.
fn promote_again(seen: &Observed, change: &Change, from: &Member, begun: &str) -> Decision<Step, Reason> {
    let survivors = candidate::survivors(seen, &change.from);
    match survivors.into_iter().find(|survivor| survivor.member.card.id == begun) {
        Some(chosen) => promote(seen, change, from, chosen, change.loss.unwrap_or(Loss::Unknown)),
        None => match promoted_by_its_guard(seen, begun) {
            Some(promoted) => Decision::Act(vec![Step::NotePromoted(promoted)]),
            None => Decision::Refuse(Reason::PromotionUnknown(begun.to_owned())),
        },
    }
}

/// A promotion that nobody noted, and whose PostgreSQL ended since: the guard
/// of a standby never holds, so that one which holds in this epoch was promoted.
fn promoted_by_its_guard(seen: &Observed, begun: &str) -> Option<Promoted> {
    let guard = seen.member(begun)?.guard.as_ref();
    let guard = guard.filter(|guard| guard.holds && guard.epoch == seen.state.epoch)?;
    Some(Promoted {
        member: begun.to_owned(),
        at: guard.checkpoint.unwrap_or_default(),
        timeline: [guard.timeline.saturating_sub(1), guard.timeline],
        at_ms: seen.looked_at_ms,
    })
}

/// Whether a member can no longer come out of recovery by itself.
pub(super) fn is_off_for_good(seen: &Observed, id: &str) -> bool {
    seen.member(id).is_some_and(|member| is_off(&member.host))
}

/// Whether standbys may be cut from `from` now: where the freeze is the proof,
/// when it is off anyway, or when no standby hears it any more. Otherwise each
/// commit that still reaches a standby is one less to lose.
pub(super) fn may_freeze(seen: &Observed, from: &Member) -> bool {
    seen.is_synchronous(&from.card.id) || is_off(&from.host) || !is_heard(seen, from)
}

/// Whether a standby in sight heard `from` within the time after which its
/// receiver counts as a witness.
fn is_heard(seen: &Observed, from: &Member) -> bool {
    let receivers = seen.members.iter().filter_map(|member| match &member.sql {
        Sql::Standby(standby) => standby.receiver.as_ref(),
        _ => None,
    });
    let of_from = |upstream: Option<IpAddr>| upstream.is_none_or(|upstream| upstream == from.card.address);
    receivers.into_iter().any(|heard| of_from(heard.upstream) && heard.silent_for < seen.policy.witness_silence())
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
/// waited for; meanwhile it stops itself, when it is cut from everybody.
fn without_proof(seen: &Observed, change: &Change, from: &Member) -> Decision<Step, Reason> {
    let note = (change.frozen_since_ms.is_none() && evidence::all_cut(seen, &change.from))
        .then_some(Step::NoteFrozen(Some(seen.looked_at_ms)));
    let stops = match &from.host {
        Host::Running | Host::Pending => Some(Step::StopHost(from.target())),
        _ => None,
    };
    let steps: Vec<Step> = note.into_iter().chain(stops).collect();
    if !steps.is_empty() {
        return Decision::Act(steps);
    }
    match (&from.host, evidence::cut_for(seen, &change.from)) {
        (Host::Stopping | Host::ShuttingDown, _) => Decision::Wait(Reason::AwaitingStop(from.card.id.clone())),
        (_, Some(cut_for)) => {
            let needed = seen.policy.ttl() + evidence::SELF_FENCE_MARGIN;
            let left = needed.saturating_sub(cut_for);
            Decision::Wait(Reason::AwaitingFence { member: from.card.id.clone(), left })
        }
        (host, None) => Decision::Refuse(Reason::NoEvidence { member: from.card.id.clone(), host: host.to_string() }),
    }
}

pub(super) fn is_off(host: &Host) -> bool {
    matches!(host, Host::Stopped | Host::Terminated)
}
