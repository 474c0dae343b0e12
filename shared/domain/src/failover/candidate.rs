//! I7, I8, I9: who takes over.

use super::{Member, Observed, Reason, Sql, StandbySeen};
use crate::lsn::Lsn;
use std::cmp::Reverse;

/// A standby that answered, with what it answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Survivor<'a> {
    pub member: &'a Member,
    pub standby: &'a StandbySeen,
    pub furthest: Lsn,
}

/// The standbys that answered, apart from `from`.
pub(super) fn survivors<'a>(seen: &'a Observed, from: &str) -> Vec<Survivor<'a>> {
    let from = from.to_owned();
    seen.members
        .iter()
        .filter(|member| member.card.id != from)
        .filter_map(|member| match &member.sql {
            Sql::Standby(standby) => {
                Some(Survivor { member, standby, furthest: standby.furthest().unwrap_or_default() })
            }
            _ => None,
        })
        .collect()
}

/// I9: in synchronous mode an acknowledged commit is on at least `k` of the
/// `n` published names, so the furthest of any n - k + 1 of them has it.
///
/// # Errors
///
/// [`Reason::QuorumMissing`] with fewer of the published set in sight;
/// [`Reason::NoStandbyAnswers`] with none at all.
pub(super) fn quorum(seen: &Observed, survivors: &[Survivor<'_>]) -> Result<(), Reason> {
    if survivors.is_empty() {
        return Err(Reason::NoStandbyAnswers);
    }
    let published = &seen.state.synchronous;
    if !published.is_on() {
        return Ok(());
    }
    let needed = (published.names.len() + 1).saturating_sub(published.required as usize);
    let visible = survivors.iter().filter(|survivor| published.names.contains(&survivor.member.card.name)).count();
    if visible < needed {
        return Err(Reason::QuorumMissing { visible, needed, names: published.names.len() });
    }
    Ok(())
}

/// I7: the standby to promote, after all survivors were frozen.
///
/// One order for every pass: furthest position, then tier, then id. Survivors
/// must be copies of one database on one timeline, and none may be ahead of
/// the chosen one, since it could not follow it.
///
/// # Errors
///
/// A [`Reason`] when nobody may be promoted.
pub(super) fn choose<'a>(seen: &'a Observed, from: &str) -> Result<Survivor<'a>, Reason> {
    let survivors = survivors(seen, from);
    quorum(seen, &survivors)?;
    let first = survivors.first().ok_or(Reason::NoStandbyAnswers)?;
    if let Some(other) = survivors.iter().find(|other| other.standby.system_id != first.standby.system_id) {
        return Err(Reason::DifferentDatabases {
            one: first.member.card.id.clone(),
            other: other.member.card.id.clone(),
        });
    }
    let timeline = survivors.iter().map(|survivor| survivor.standby.timeline).max().unwrap_or_default();
    let ahead = survivors
        .iter()
        .filter(|survivor| survivor.standby.timeline == timeline)
        .max_by_key(|survivor| survivor.furthest)
        .ok_or(Reason::NoStandbyAnswers)?;
    let chosen = survivors
        .iter()
        .filter(|survivor| survivor.standby.timeline == timeline && !survivor.member.card.never_promote)
        .max_by_key(|survivor| {
            let card = &survivor.member.card;
            (survivor.furthest, Reverse(card.tier), Reverse(card.id.clone()))
        })
        .ok_or(Reason::NobodyMayBePromoted)?;
    if chosen.furthest < ahead.furthest {
        return Err(Reason::SurvivorAhead {
            survivor: ahead.member.card.id.clone(),
            chosen: chosen.member.card.id.clone(),
            bytes: chosen.furthest.behind(ahead.furthest),
        });
    }
    Ok(*chosen)
}

/// I8: what promoting `chosen` in place of `from` loses against the last known
/// write position, in bytes; `None` when nothing acknowledged can be lost.
///
/// # Errors
///
/// In asynchronous mode: [`Reason::WouldLose`] over the policy's limit, and
/// [`Reason::LossUnknown`] when nobody knows how far the old writer had come.
pub(super) fn lag_gate(
    seen: &Observed,
    from: &str,
    last_known: Option<Lsn>,
    chosen: Lsn,
) -> Result<Option<u64>, Reason> {
    if seen.is_synchronous(from) {
        return Ok(None);
    }
    let allowed = seen.policy.max_lost_bytes;
    match last_known.map(|last| chosen.behind(last)) {
        // watch-clusters, which probes the writer, has not spoken yet.
        None => Err(Reason::LossUnknown { allowed, may_come: seen.suspicion.is_none() }),
        Some(bytes) if bytes > allowed => Err(Reason::WouldLose { bytes, allowed }),
        Some(bytes) => Ok(Some(bytes)),
    }
}
