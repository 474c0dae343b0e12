//! I7, I8, I9: who takes over, and what that loses.

use super::{Member, Observed, Reason, Sql, StandbySeen};
use crate::{
    lsn::Lsn,
    state::{Loss, Synchronous},
};
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
            Sql::Standby(standby) => Some(Survivor { member, standby, furthest: useful(seen, standby) }),
            _ => None,
        })
        .collect()
}

/// How much of a standby's log counts. On an older timeline than the writer's,
/// what lies beyond the fork is no part of the writer's history.
fn useful(seen: &Observed, standby: &StandbySeen) -> Lsn {
    let furthest = standby.furthest().unwrap_or_default();
    match seen.state.timeline_began {
        Some(began) if standby.timeline < seen.state.timeline => furthest.min(began),
        _ => furthest,
    }
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
    // PostgreSQL would give a second history the number of one that it has not heard of, and nothing
    // could tell the two apart afterwards.
    let taken = seen.state.timeline;
    if chosen.standby.known_timeline.max(chosen.standby.timeline) < taken {
        return Err(Reason::TimelineUnknown { member: chosen.member.card.id.clone(), taken });
    }
    // It would bring back rows that an earlier change counted as lost.
    let any = seen.approval().is_some_and(|approval| approval.data_loss_bytes.is_none());
    if chosen.standby.furthest() > Some(chosen.furthest) && !any {
        return Err(Reason::OtherHistory { member: chosen.member.card.id.clone(), taken });
    }
    Ok(*chosen)
}

/// I8, I9: what promoting `chosen` in place of `from` loses of what was
/// acknowledged.
///
/// In synchronous mode an acknowledged commit is on at least `k` of the `n`
/// published names, so the furthest of any n - k + 1 of them has it, unless it
/// is older than the set: then it is below the floor.
///
/// # Errors
///
/// In synchronous mode, when something may be lost: [`Reason::QuorumMissing`],
/// [`Reason::BelowFloor`] or [`Reason::NotAsPublished`]. In asynchronous mode
/// [`Reason::WouldLose`] over the policy's limit, and [`Reason::LossUnknown`]
/// when nobody knows how far the old writer had come. A person's approval of
/// any loss opens each of them; one of a number of bytes only the first of the
/// last two.
pub(super) fn loss(seen: &Observed, from: &str, last_known: Option<Lsn>, chosen: Lsn) -> Result<Loss, Reason> {
    let lost = last_known.map(|last| chosen.behind(last));
    let reason = match lossless(seen, from, chosen) {
        Ok(true) => return Ok(Loss::Nothing),
        Ok(false) => match lost {
            // watch-clusters, which probes the writer, has not spoken yet.
            None => Reason::LossUnknown {
                allowed: seen.policy.max_lost_bytes,
                may_come: seen.suspicion.is_none() && seen.approval().is_none(),
            },
            Some(bytes) if bytes > seen.policy.max_lost_bytes => {
                Reason::WouldLose { bytes, allowed: seen.policy.max_lost_bytes }
            }
            Some(bytes) => return Ok(Loss::Bytes(bytes)),
        },
        Err(reason) => reason,
    };
    match (seen.approval().map(|approval| approval.data_loss_bytes), lost) {
        (Some(None), lost) => Ok(lost.map_or(Loss::Unknown, Loss::Bytes)),
        // A number is held against what a probe saw: it opens only what that measures.
        (Some(Some(allowed)), Some(bytes)) if matches!(reason, Reason::WouldLose { .. }) && bytes <= allowed => {
            Ok(Loss::Bytes(bytes))
        }
        (Some(Some(allowed)), Some(bytes)) if matches!(reason, Reason::WouldLose { .. }) => {
            Err(Reason::WouldLose { bytes, allowed })
        }
        _ => Err(reason),
    }
}

/// Whether `chosen` has all that was acknowledged; `false` where nothing can be
/// said because commits wait for nobody.
fn lossless(seen: &Observed, from: &str, chosen: Lsn) -> Result<bool, Reason> {
    let published = seen.published();
    if !published.is_on() {
        // Off for want of standbys, in a cluster that shall wait for some: what was kept before is below the floor.
        let below = seen.state.floor.filter(|floor| seen.synchronous_required > 0 && chosen < *floor);
        return below.map_or(Ok(false), |floor| Err(Reason::BelowFloor { bytes: chosen.behind(floor) }));
    }
    if !seen.is_synchronous(from) {
        let off = |text: &String| Synchronous::parse(text).is_some_and(|applied| !applied.is_on());
        // By hand: commits wait for nobody, so the limit for asynchronous replication holds.
        if seen.settings_of(from).any(off) {
            return Ok(false);
        }
        let setting = seen.settings_of(from).next().cloned().unwrap_or_default();
        return Err(Reason::NotAsPublished { member: from.to_owned(), setting, published: published.setting() });
    }
    let needed = (published.names.len() + 1).saturating_sub(published.required as usize);
    let survivors = survivors(seen, from);
    let visible = survivors.iter().filter(|survivor| published.names.contains(&survivor.member.card.name)).count();
    if visible < needed {
        return Err(Reason::QuorumMissing { visible, needed, names: published.names.len() });
    }
    match seen.state.floor {
        Some(floor) if chosen < floor => Err(Reason::BelowFloor { bytes: chosen.behind(floor) }),
        _ => Ok(true),
    }
}
