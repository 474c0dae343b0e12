//! What would be done now, what would happen if the leader failed, and whether
//! a person may hand the lead to another member.

use super::{Leader, Led, Reason, Step, applied, decide, story::store_line};
use crate::{
    decision::Decision,
    failover::{Explanation, Member, Sql, Target},
    time::{bytes, seconds},
};
use std::time::Duration;

/// From a new leader to a record that names it: a wake-up of `watch-clusters`
/// every two seconds, a look, and the move.
const FOLLOWING: Duration = Duration::from_secs(3);

/// A handover that a person asked for, every name filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// Who leads.
    pub from: Target,
    /// Who shall.
    pub to: Target,
}

/// Says what would be done; nothing is.
#[must_use]
pub fn explain(now: &Led) -> Explanation {
    let mut seen: Vec<String> = now.seen.members.iter().map(|member| line(now, member)).collect();
    seen.extend(now.heard.iter().cloned());
    seen.extend(now.store.iter().map(store_line));
    Explanation { now: at_once(now), if_the_writer_failed: failed(now), seen }
}

fn line(now: &Led, member: &Member) -> String {
    let place = member.place();
    let says = now.account().and_then(|account| account.role(&member.card.id));
    let says = says.map_or_else(
        || format!("{} does not mention it", now.keeper),
        |role| format!("{} says {}, {}", now.keeper, role.role, role.state),
    );
    format!("{place}: EC2 says {}, PostgreSQL {}, {says}", member.host, member.sql)
}

fn at_once(now: &Led) -> String {
    match decide(std::slice::from_ref(now)) {
        Decision::Steady => {
            format!("nothing: {} and PostgreSQL agree on the leader, and nothing is left to do", now.keeper)
        }
        Decision::Wait(reason) => format!("nothing yet: {reason}"),
        Decision::Refuse(reason) => format!("nothing, and a person is paged: {reason}"),
        Decision::Act(steps) => steps.iter().map(Step::to_string).collect::<Vec<_>>().join("; "),
    }
}

/// Who could lead next, best first: those that commits wait for, then those
/// that lack least, by name among equals.
fn candidates<'a>(now: &'a Led, leader: Leader<'a>) -> Vec<(&'a Member, bool, Option<u64>)> {
    let set = applied(leader.answer);
    let streams = |member: &&Member| {
        leader.answer.streams.iter().any(|stream| stream.streaming && stream.name == member.card.name)
    };
    let others = now.seen.members.iter().filter(|member| member.card.id != leader.member.card.id);
    let able = others.filter(|member| !member.card.never_promote && matches!(member.sql, Sql::Standby(_)));
    let mut found: Vec<(&Member, bool, Option<u64>)> = able
        .filter(streams)
        .map(|member| {
            let stream = leader.answer.streams.iter().find(|stream| stream.name == member.card.name);
            let lag = stream.and_then(|stream| stream.flushed).map(|flushed| flushed.behind(leader.answer.lsn));
            (member, set.is_on() && set.names.contains(&member.card.name), lag)
        })
        .collect();
    found.sort_by_key(|(member, synchronous, lag)| (!synchronous, lag.unwrap_or(u64::MAX), member.card.name.clone()));
    found
}

fn failed(now: &Led) -> String {
    let leader = match now.leader() {
        Ok(leader) => leader,
        Err(reason) => return format!("not known: {reason}"),
    };
    let keeper = now.keeper;
    if now.keeper_paused() {
        return format!("nothing: {keeper} is paused, and elects nobody");
    }
    let found = candidates(now, leader);
    let synchronous = found.iter().any(|(_, synchronous, _)| *synchronous);
    let Some((member, is_synchronous, lag)) = found.first() else {
        return format!("nothing: no standby streams that {keeper} could elect");
    };
    let lag = lag.map_or_else(|| "an unknown number of bytes".to_owned(), bytes);
    let cost = match (is_synchronous, synchronous) {
        (true, _) => "a synchronous standby, so nothing that was acknowledged is lost".to_owned(),
        (false, _) => format!("which lacks {lag} now, since commits wait for nobody"),
    };
    let others = found.len() - 1;
    let others = if others == 0 { "nobody else could".to_owned() } else { format!("{others} more could") };
    format!(
        "{keeper} would elect {}, {cost} ({others}); about {} without writes, and the record at most {} later",
        member.place(),
        seconds(now.patience),
        seconds(FOLLOWING)
    )
}

/// Whether the lead can be handed to a member now.
///
/// # Errors
///
/// [`Reason::Asked`], why not; or why nothing is done to the cluster now.
pub fn handover(now: &Led, to: &str) -> Result<Handover, Reason> {
    let no = |why: String| Err(Reason::Asked(why));
    let leader = now.settled()?;
    let Some(member) = now.seen.members.iter().find(|member| member.card.id == to || member.card.name == to) else {
        let names: Vec<&str> = now.seen.members.iter().map(|member| member.card.name.as_str()).collect();
        return no(format!("{to} is no member; {} are", names.join(", ")));
    };
    if member.card.id == leader.member.card.id {
        return no(format!("{to} leads already"));
    }
    if member.card.never_promote {
        return no(format!("{to} may never be promoted, by the spec"));
    }
    let found = candidates(now, leader);
    let Some((_, is_synchronous, _)) = found.iter().find(|(found, ..)| found.card.id == member.card.id) else {
        let name = &leader.member.card.name;
        return no(format!("{to} does not stream from {name}: PostgreSQL on it {}", member.sql));
    };
    if !is_synchronous && found.iter().any(|(_, synchronous, _)| *synchronous) {
        let able: Vec<&str> =
            found.iter().filter(|(_, able, _)| *able).map(|(member, ..)| member.card.name.as_str()).collect();
        return no(format!("commits do not wait for {to}, so that it could lack some; {} is allowed", able.join(", ")));
    }
    Ok(Handover { from: leader.member.target(), to: member.target() })
}
