//! The writer is well: what is left to bring in order around it.

use super::{Lease, Member, Observed, Reason, Seen, Sql, Step, WriterSeen, finish};
use crate::{decision::Decision, state::Synchronous};
use std::net::IpAddr;

/// Standbys that a change cut short left frozen, or that were away during it,
/// follow the writer again; the record names it; commits wait for as many standbys as the spec wants.
pub(super) fn go_on(seen: &Observed, writer: &Member, answer: &WriterSeen) -> Decision<Step, Reason> {
    let Follow { slots, follow } = follow_steps(seen, writer, answer);
    let steps = slots.into_iter().chain(follow).chain(synchronous(seen, writer, answer));
    let steps: Vec<Step> = steps.chain(record(seen, writer)).collect();
    let missing = missing_standbys(seen, answer);
    match (steps.is_empty(), seen.lease, missing) {
        (true, _, Some(reason)) if seen.commits_wait => Decision::Refuse(reason),
        (true, ..) if writer.guard.as_ref().is_some_and(|guard| guard.says_disk_full(seen.looked_at_ms)) => {
            Decision::Refuse(Reason::DiskFull(writer.card.id.clone()))
        }
        (true, ..) => Decision::Steady,
        // I10: a person works on the cluster.
        (false, ..) if seen.paused_for().is_some() => Decision::Wait(Reason::Paused {
            left: seen.paused_for().unwrap_or_default(),
            why: seen.state.pause.as_ref().map(|pause| pause.reason.clone()).unwrap_or_default(),
        }),
        (false, Lease::Mine, _) => Decision::Act(steps),
        (false, ..) => Decision::Act(vec![Step::Hold { epoch: seen.state.epoch }]),
    }
}

/// The move of a writer record that still names another member: of a change
/// that ended with a writer that had fallen silent. What else may be wrong with
/// records is left to `update-dns`.
fn record(seen: &Observed, writer: &Member) -> Option<Step> {
    let Seen::Known(records) = &seen.records else { return None };
    let elsewhere = !records.writer.is_empty() && !records.writer.contains(&writer.card.address);
    elsewhere.then(|| finish::writer_record(seen, writer, records).ok().flatten())?
}

/// Steps after which every standby that answers follows one writer.
pub(super) struct Follow {
    /// First its slot must exist there.
    pub slots: Option<Step>,
    /// Then each standby is pointed at it.
    pub follow: Vec<Step>,
}

pub(super) fn follow_steps(seen: &Observed, writer: &Member, answer: &WriterSeen) -> Follow {
    let upstream: IpAddr = writer.card.address;
    let astray: Vec<&Member> = seen
        .members
        .iter()
        .filter(|member| matches!(&member.sql, Sql::Standby(standby) if standby.upstream != Some(upstream)))
        .collect();
    let slots: Vec<String> =
        astray.iter().map(|member| member.card.name.clone()).filter(|name| !answer.slots.contains(name)).collect();
    Follow {
        slots: (!slots.is_empty()).then(|| Step::PrepareSlots { member: writer.target(), slots }),
        follow: astray.iter().map(|member| Step::Follow { standby: member.target(), upstream }).collect(),
    }
}

/// The step that brings `synchronous_standby_names` nearer to what the spec
/// wants, and the published set with it: at every moment the published set
/// covers whatever acknowledges.
///
/// A set grows by standbys that stream, and never shrinks by itself: that would
/// give durability away in silence.
fn synchronous(seen: &Observed, writer: &Member, answer: &WriterSeen) -> Option<Step> {
    let published = &seen.state.synchronous;
    let wanted = wanted(seen, writer, answer)?;
    let apply = || Step::Apply { member: writer.target(), synchronous: wanted.clone() };
    let is_applied = wanted.is_setting(&answer.synchronous_setting);
    // By hand: what is published must not promise what was not kept, until it is kept again.
    let parsed = Synchronous::parse(&answer.synchronous_setting);
    if published.is_on() && !parsed.as_ref().is_some_and(|applied| published.covers(applied)) {
        return Some(Step::Publish { synchronous: parsed.unwrap_or_default(), floor: None });
    }
    if *published == wanted {
        return (!is_applied).then(apply);
    }
    // A setting that is not understood was made by hand: it is left to whoever made it.
    let applied = parsed?;
    let covers_history = published.is_on() && wanted.covers(published) && wanted.covers(&applied);
    if covers_history {
        return Some(Step::Publish { synchronous: wanted, floor: None });
    }
    if !is_applied {
        return Some(apply());
    }
    // What was acknowledged before may be on no standby of the new set yet.
    Some(Step::Publish { synchronous: wanted, floor: Some(answer.lsn) })
}

/// The set that the spec wants now; `None` when it wants none.
fn wanted(seen: &Observed, writer: &Member, answer: &WriterSeen) -> Option<Synchronous> {
    if seen.synchronous_required == 0 {
        return None;
    }
    let published = &seen.state.synchronous;
    let streams = |name: &str| answer.streams.iter().any(|stream| stream.streaming && stream.name == name);
    let others = seen.members.iter().filter(|member| member.card.id != writer.card.id);
    let mut names: Vec<String> = others
        .map(|member| member.card.name.clone())
        .filter(|name| streams(name) || (published.is_on() && published.names.contains(name)))
        .collect();
    names.sort();
    let most = u32::try_from(names.len()).unwrap_or(u32::MAX);
    let required = seen.synchronous_required.max(published.required).min(most);
    (required > 0).then_some(Synchronous { required, names })
}

/// Why commits wait, when they wait for standbys that are not there.
fn missing_standbys(seen: &Observed, answer: &WriterSeen) -> Option<Reason> {
    let applied = Synchronous::parse(&answer.synchronous_setting).filter(Synchronous::is_on)?;
    let streaming = answer.streams.iter().filter(|stream| stream.streaming && applied.names.contains(&stream.name));
    let streaming = streaming.count();
    let required = applied.required as usize;
    (streaming < required).then(|| Reason::CommitsWait {
        writer: seen.state.writer.clone().unwrap_or_default(),
        streaming,
        required,
    })
}
