//! I7, I8: who takes over, and what that loses.

use super::{Described, InstanceSeen, Observed, Reason};
use crate::{
    card::CardInstance,
    failover::Sql,
    lsn::Lsn,
    state::{Change, Loss},
    time::bytes,
};
use std::cmp::Reverse;

/// The best reader of a DB cluster, by one order for every pass: promotion tier (RDS's word of today), then a class
/// that carries the writer's load, then least lag, then identifier. AWS itself chooses by tier and size.
pub(super) fn reader<'a>(seen: &Observed, described: &'a Described, writer: &str) -> Result<&'a InstanceSeen, Reason> {
    let size = described.instance(writer).map_or(0, |instance| weight(&instance.class));
    let others = || described.instances.iter().filter(|instance| instance.id != writer);
    let able = others().filter(|instance| may(seen, described, &instance.id).is_ok());
    let order = |instance: &&InstanceSeen| {
        let card = seen.card.instance(&instance.id);
        let tier = instance.promotion_tier.or(card.map(|card| card.tier)).unwrap_or(15);
        let lag = seen.lags.get(&instance.id).and_then(|lag| lag.ms).unwrap_or(u64::MAX);
        (tier, weight(&instance.class) < size, lag, instance.id.clone())
    };
    able.min_by_key(order).ok_or_else(|| {
        let why: Vec<String> = others().filter_map(|instance| may(seen, described, &instance.id).err()).collect();
        Reason::Nobody(if why.is_empty() { "there is no reader".to_owned() } else { why.join("; ") })
    })
}

/// Whether a reader of a DB cluster may be made its writer now; else why not.
pub(super) fn may(seen: &Observed, described: &Described, id: &str) -> Result<(), String> {
    let Some(instance) = described.instance(id) else { return Err(format!("{id} is no instance of this cluster")) };
    if seen.card.instance(id).is_some_and(|card| card.never_promote) {
        return Err(format!("{id} may never be promoted, by the spec"));
    }
    if let Some(source) = &instance.source {
        return Err(format!("{id} is no member, but a read replica of {source}"));
    }
    if !instance.is_available() {
        return Err(format!("RDS calls {id} {}", instance.status));
    }
    match seen.sql_of(id) {
        Sql::Standby(_) => Ok(()),
        sql => Err(format!("PostgreSQL on {id} {sql}")),
    }
}

/// How much an instance class carries, for comparing: `db.r6g.large` is 4, each size above doubles. A class that grows
/// with its load (`db.serverless`) carries what any does.
fn weight(class: &str) -> u32 {
    match class.rsplit('.').next().unwrap_or_default() {
        "micro" => 1,
        "small" => 2,
        "medium" => 3,
        "large" => 4,
        "xlarge" => 8,
        "serverless" => u32::MAX,
        size => size.strip_suffix("xlarge").and_then(|times| times.parse::<u32>().ok()).map_or(0, |times| times * 8),
    }
}

/// The read replica to promote, with how far it has come: furthest position, then tier, then identifier.
pub(super) fn replica<'a>(
    seen: &'a Observed,
    described: &'a Described,
    from: &str,
) -> Result<(&'a InstanceSeen, Option<Lsn>), Reason> {
    let replicas = || described.instances.iter().filter(|instance| instance.follows(from));
    let known = |instance: &'a InstanceSeen| Some((instance, seen.card.instance(&instance.id)?));
    let allowed = |(_, card): &(&InstanceSeen, &CardInstance)| !card.never_promote;
    let best = replicas().filter_map(known).filter(allowed).filter(|(instance, _)| answers(seen, instance)).max_by_key(
        |(instance, card)| (instance.is_available(), position(seen, instance), Reverse(card.tier), Reverse(&card.id)),
    );
    match best {
        Some((instance, _)) if instance.is_available() => Ok((instance, position(seen, instance))),
        Some((instance, _)) => {
            Err(Reason::CandidateBusy { instance: instance.id.clone(), status: instance.status.clone() })
        }
        None => {
            let why: Vec<String> = replicas().map(|instance| unfit(seen, instance)).collect();
            Err(Reason::Nobody(if why.is_empty() { "there is no read replica".to_owned() } else { why.join("; ") }))
        }
    }
}

fn answers(seen: &Observed, instance: &InstanceSeen) -> bool {
    matches!(seen.sql_of(&instance.id), Sql::Standby(_))
}

fn unfit(seen: &Observed, instance: &InstanceSeen) -> String {
    let id = &instance.id;
    match seen.card.instance(id) {
        None => format!("{id} is not of the stack"),
        Some(card) if card.never_promote => format!("{id} may never be promoted, by the spec"),
        Some(_) => format!("RDS calls {id} {}, PostgreSQL on it {}", instance.status, seen.sql_of(id)),
    }
}

/// How far a replica has come: promotion replays all that it received.
fn position(seen: &Observed, instance: &InstanceSeen) -> Option<Lsn> {
    let replayed = seen.lags.get(&instance.id).and_then(|lag| lag.replayed);
    match seen.sql_of(&instance.id) {
        Sql::Standby(standby) => standby.furthest().max(replayed),
        _ => replayed,
    }
}

/// What promoting a replica loses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cost {
    pub loss: Loss,
    /// Milliseconds of acknowledged writes.
    pub ms: Option<u64>,
    /// How that is known.
    pub because: String,
}

/// I8: what promoting `chosen` in place of `from` loses: a read replica never waits for anybody, so that what the old
/// writer had acknowledged may be more than the replica has.
///
/// # Errors
///
/// [`Reason::WouldLose`] over the policy's limit, [`Reason::LossUnknown`] when nobody knows how far the old writer had
/// come; a person's approval opens the first up to its number, and with "any" both.
pub(super) fn cost(
    seen: &Observed,
    from: &str,
    chosen: &InstanceSeen,
    furthest: Option<Lsn>,
    change: Option<&Change>,
) -> Result<Cost, Reason> {
    let told = seen.suspicion_of(from).and_then(|suspicion| suspicion.last_lsn);
    let last = told.max(change.and_then(|change| change.last_writer_lsn));
    let lost = last.zip(furthest).map(|(last, furthest)| furthest.behind(last));
    let ms = lost_ms(seen, chosen, lost, change.map(|change| change.silent_since_ms));
    let allowed = seen.card.policy.max_lost_bytes;
    let (id, approval) = (&chosen.id, seen.approval().map(|approval| approval.data_loss_bytes));
    let Some((lost, last)) = lost.zip(last) else {
        if approval == Some(None) {
            let because = format!("no probe saw how far {from} had come; a person approved any loss");
            return Ok(Cost { loss: Loss::Unknown, ms, because });
        }
        return Err(Reason::LossUnknown { allowed, may_come: seen.suspicion.is_none() && approval.is_none() });
    };
    let allowed = match approval {
        Some(None) => u64::MAX,
        Some(Some(approved)) => approved.max(allowed),
        None => allowed,
    };
    if lost > allowed {
        return Err(Reason::WouldLose { bytes: lost, ms, allowed });
    }
    let at = furthest.unwrap_or_default();
    let because = format!("a probe saw {from} at {last} last; {id} has come to {at}, {} less", bytes(lost));
    Ok(Cost { loss: Loss::Bytes(lost), ms, because })
}

/// From the last commit that the replica replayed until the old writer fell silent; nothing, when it has every byte
/// that a probe saw.
fn lost_ms(seen: &Observed, chosen: &InstanceSeen, lost: Option<u64>, noted_ms: Option<u64>) -> Option<u64> {
    if lost == Some(0) {
        return Some(0);
    }
    let replayed_at = seen.looked_at_ms.saturating_sub(seen.lags.get(&chosen.id)?.ms?);
    Some(noted_ms.or(seen.silent_since())?.saturating_sub(replayed_at))
}
