//! A change of writer that a person asked for, while the writer is well.
//!
//! The writer's own guard shuts PostgreSQL down when it reads of the change: a
//! shutdown in order sends the last of the log to every standby that is
//! connected. Only when the guard has written that PostgreSQL has ended, and the
//! target has all of its log, is the target promoted. Otherwise the change is
//! given up, and the writer starts again.

use super::{Member, Observed, Reason, Sql, Step, WriterSeen, candidate, takeover};
use crate::{
    decision::Decision,
    state::{Change, ChangeKind, Loss},
};
use std::time::Duration;

/// A writer that has not ended after this long gets its work back: a shutdown
/// waits for its checkpoint, which was made just before.
const LIMIT: Duration = Duration::from_secs(45);

/// Whether a switchover to `to` may begin.
pub(super) fn judge(seen: &Observed, writer: &Member, answer: &WriterSeen, to: &str) -> Decision<Step, Reason> {
    match target(seen, writer, answer, to) {
        Err(reason) => Decision::Refuse(reason),
        Ok(target) => {
            let change = Change {
                kind: ChangeKind::Switchover,
                from: writer.card.id.clone(),
                to: Some(target.card.id.clone()),
                seen: vec![format!("asked to move the writer to {}; {} is well", target.place(), writer.place())],
                silent_since_ms: seen.looked_at_ms,
                last_writer_lsn: Some(answer.lsn),
                synchronous: seen.state.synchronous.clone(),
                synchronous_setting: Some(answer.synchronous_setting.clone()),
                ..Change::default()
            };
            let begin = Step::Begin { epoch: seen.state.epoch, change: Box::new(change) };
            Decision::Act(vec![Step::Checkpoint(writer.target()), begin])
        }
    }
}

fn target<'a>(seen: &'a Observed, writer: &Member, answer: &WriterSeen, to: &str) -> Result<&'a Member, Reason> {
    if let Some(left) = seen.paused_for() {
        let why = seen.state.pause.as_ref().map(|pause| pause.reason.clone()).unwrap_or_default();
        return Err(Reason::Paused { left, why });
    }
    let Some(target) = seen.members.iter().find(|member| member.card.id == to || member.card.name == to) else {
        let others = seen.members.iter().filter(|member| member.card.id != writer.card.id);
        let members = others.map(|member| format!("{} ({})", member.card.id, member.card.name)).collect();
        return Err(Reason::TargetUnknown { to: to.to_owned(), members });
    };
    let id = || target.card.id.clone();
    if target.card.id == writer.card.id {
        return Err(Reason::TargetIsWriter(id()));
    }
    if target.card.never_promote {
        return Err(Reason::TargetNeverPromoted(id()));
    }
    let streams = answer.streams.iter().any(|stream| stream.streaming && stream.name == target.card.name);
    let furthest = match &target.sql {
        Sql::Standby(standby) if streams && standby.upstream == Some(writer.card.address) => standby.furthest(),
        _ => return Err(Reason::TargetNotFollowing { member: id(), sql: target.sql.to_string() }),
    };
    let (bytes, allowed) = (furthest.unwrap_or_default().behind(answer.lsn), seen.policy.max_lost_bytes);
    if bytes > allowed {
        return Err(Reason::TargetLags { member: id(), bytes, allowed });
    }
    Ok(target)
}

/// Goes on with a switchover that has not promoted yet.
pub(super) fn go_on(seen: &Observed, change: &Change, from: &Member) -> Decision<Step, Reason> {
    let Some(target) = change.to.as_deref().and_then(|to| seen.member(to)) else {
        return Decision::Refuse(Reason::SwitchoverFailed("its target is not in the card".to_owned()));
    };
    let guard = from.guard.as_ref().filter(|guard| guard.holds && guard.epoch == seen.state.epoch);
    let Some(guard) = guard.filter(|_| from.sql == Sql::Refused || takeover::is_off(&from.host)) else {
        if seen.since(change.began_at_ms) > LIMIT {
            return Decision::Refuse(Reason::SwitchoverFailed(format!(
                "the guard of {} did not shut PostgreSQL down within {} s; PostgreSQL {}",
                from.card.id,
                LIMIT.as_secs(),
                from.sql
            )));
        }
        return Decision::Act(vec![Step::AwaitGuard { member: from.target(), epoch: seen.state.epoch }]);
    };
    if !guard.clean {
        return Decision::Refuse(Reason::SwitchoverFailed(format!("{} was not shut down in order", from.card.id)));
    }
    let awake = takeover::freeze_steps(seen, &change.from);
    if !awake.is_empty() {
        return Decision::Act(awake);
    }
    let survivors = candidate::survivors(seen, &change.from);
    let Some(chosen) = survivors.iter().find(|survivor| survivor.member.card.id == target.card.id) else {
        return Decision::Refuse(Reason::SwitchoverFailed(format!("{} {}", target.card.id, target.sql)));
    };
    // The shutdown's own record is the last; it begins at this position.
    let end = guard.checkpoint.unwrap_or_default();
    let ahead = survivors.iter().find(|survivor| survivor.furthest > chosen.furthest);
    if guard.checkpoint.is_none() || chosen.furthest <= end || ahead.is_some() {
        return Decision::Refuse(Reason::SwitchoverFailed(format!(
            "{} has the log up to {}, {} ended at {end}",
            target.card.id, chosen.furthest, from.card.id
        )));
    }
    takeover::promote(seen, change, from, *chosen, Loss::Nothing)
}
