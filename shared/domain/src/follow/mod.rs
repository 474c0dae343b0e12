//! Clusters whose roles somebody else assigns: what Understudy does after them.
//!
//! I15: where Patroni owns a cluster, nobody here promotes, freezes, stops or
//! repoints. What is left is to verify who leads, to keep epoch and ledger, to
//! move the records, and to tell a person. Whoever assigns the roles is called
//! the keeper; its word about them is an [`Account`]. The same decision serves
//! every keeper.
//!
//! ```text
//! nothing known ─ Adopt ─► steady ─ Begin ─► MoveWriterRecord, SetReaderRecord, Publish ─ Finish ─► steady
//!                            │  another leads, by PostgreSQL and by the keeper
//!                            └─ nobody leads, or the two differ: Note, wait for the keeper's own time, then a page
//! ```
//!
//! A leader is one that PostgreSQL and the keeper agree on. One look that finds
//! two members out of recovery proves nothing: the answers of one look are up to
//! a probe's time apart.

mod account;
mod explain;
mod finish;
mod loss;
mod reason;
mod step;
mod story;

pub use account::{Account, Fork, Role, StoreHost, Waiting};
pub use explain::{Handover, explain, handover};
pub use reason::Reason;
pub use step::Step;
pub use story::{page, refusal};

use crate::{
    decision::Decision,
    failover::{Lease, Member, Observed, Seen, Sql, WriterSeen},
    state::{Change, ChangeKind, Promoted, Synchronous},
    time::clock,
};
use std::time::Duration;

/// Two looks that are this far apart do not both catch one change half-way.
pub const APART: Duration = Duration::from_secs(1);

/// One cluster with a keeper, as one look saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Led {
    /// What every topology has.
    pub seen: Observed,
    /// What the keeper is called: `Patroni`.
    pub keeper: &'static str,
    /// How long the keeper takes for a change of leader at most.
    pub patience: Duration,
    /// What the keeper says.
    pub account: Seen<Account>,
    /// What its agent on each member says of itself, one sentence each.
    pub heard: Vec<String>,
    /// The hosts of its own store.
    pub store: Vec<StoreHost>,
    /// What a pass waits for, as the item `follow` has it.
    pub waiting: Option<Waiting>,
    /// When `watch-clusters` last found the writer of record out of recovery, in
    /// milliseconds since 1970; `None` when it did not say.
    pub answered_ms: Option<u64>,
}

/// Who leads, and what makes that sure.
#[derive(Debug, Clone, Copy)]
pub struct Leader<'a> {
    /// The member.
    pub member: &'a Member,
    /// What PostgreSQL on it answered.
    pub answer: &'a WriterSeen,
    /// The keeper's account; `None` when no agent of it answered, and every
    /// other member that does follows this one.
    pub account: Option<&'a Account>,
}

impl Led {
    fn account(&self) -> Option<&Account> {
        match &self.account {
            Seen::Known(account) => Some(account),
            Seen::NotAsked | Seen::Unavailable(_) => None,
        }
    }

    /// Whether the keeper has been told to leave the roles as they are.
    #[must_use]
    pub fn keeper_paused(&self) -> bool {
        self.account().is_some_and(|account| account.paused)
    }

    /// Who leads, if PostgreSQL and the keeper agree on it.
    ///
    /// # Errors
    ///
    /// The [`Reason`] that says what they answer instead; its time left is zero.
    pub fn leader(&self) -> Result<Leader<'_>, Reason> {
        let mut writers = self.seen.members.iter().filter_map(|member| match &member.sql {
            Sql::Writer(answer) => Some((member, answer)),
            _ => None,
        });
        let (first, second) = (writers.next(), writers.next());
        let left = Duration::ZERO;
        match (first, second, &self.account) {
            (Some((first, _)), Some((second, _)), _) => {
                Err(Reason::TwoWriters { one: first.card.id.clone(), other: second.card.id.clone() })
            }
            (Some((member, answer)), None, Seen::Known(account)) => match &account.leader {
                Some(leader) if *leader == member.card.id => Ok(Leader { member, answer, account: Some(account) }),
                leader => Err(Reason::Differ { writes: member.card.id.clone(), leads: leader.clone(), left }),
            },
            (Some((member, answer)), None, _) if self.followed_by_all(member) => {
                Ok(Leader { member, answer, account: None })
            }
            (Some((member, _)), None, Seen::Unavailable(problem)) => {
                Err(Reason::Unconfirmed { writes: member.card.id.clone(), problem: problem.clone(), left })
            }
            (Some((member, _)), None, Seen::NotAsked) => {
                Err(Reason::Unconfirmed { writes: member.card.id.clone(), problem: "not asked".to_owned(), left })
            }
            (None, _, Seen::Known(Account { leader: Some(leader), .. })) => {
                let sql = self.seen.member(leader).map_or("no member of the card".to_owned(), |m| m.sql.to_string());
                Err(Reason::Unreached { leads: leader.clone(), sql, left })
            }
            (None, ..) => Err(Reason::NoLeader { left }),
        }
    }

    /// Whether every other member that answers is a standby of this one, and at
    /// least one is; or there is no other.
    fn followed_by_all(&self, member: &Member) -> bool {
        let others = || self.seen.members.iter().filter(|other| other.card.id != member.card.id);
        let follows = |other: &&Member| match &other.sql {
            Sql::Standby(standby) => standby.upstream == Some(member.card.address),
            _ => false,
        };
        others().next().is_none()
            || (others().any(|other| follows(&other))
                && others().filter(|other| other.sql.answers()).all(|other| follows(&other)))
    }

    /// The writer of the state item leads, and nothing is under way: what must
    /// hold before anything is repaired.
    ///
    /// # Errors
    ///
    /// The [`Reason`] why nothing may be begun.
    pub fn settled(&self) -> Result<Leader<'_>, Reason> {
        if let Lease::Other(left) = self.seen.lease {
            return Err(Reason::LeaseHeld(left));
        }
        if let Some(change) = &self.seen.state.change {
            return Err(Reason::ChangeOpen { from: change.from.clone() });
        }
        let leader = self.leader()?;
        match &self.seen.state.writer {
            Some(writer) if *writer == leader.member.card.id => Ok(leader),
            Some(writer) => Err(Reason::ChangeOpen { from: writer.clone() }),
            None => Err(Reason::NotLedYet),
        }
    }
}

/// Decides what is next, by the looks of this pass, the newest last.
pub fn decide(looks: &[Led]) -> Decision<Step, Reason> {
    let Some(now) = looks.last() else { return Decision::Steady };
    if let Lease::Other(left) = now.seen.lease {
        return Decision::Wait(Reason::LeaseHeld(left));
    }
    if let Some(change) = &now.seen.state.change {
        if now.seen.lease != Lease::Mine {
            return Decision::Act(vec![Step::Hold { epoch: now.seen.state.epoch }]);
        }
        return finish::go_on(now, change);
    }
    match now.leader() {
        // What was waited for has come.
        Ok(_) if now.waiting.is_some() => Decision::Act(vec![Step::Forget]),
        Ok(leader) => led_by(now, leader),
        Err(doubt) => in_doubt(looks, now, doubt),
    }
}

fn led_by(now: &Led, leader: Leader<'_>) -> Decision<Step, Reason> {
    let seen = &now.seen;
    let epoch = seen.state.epoch;
    match &seen.state.writer {
        None => Decision::Act(vec![Step::Adopt {
            epoch,
            writer: leader.member.target(),
            timeline: leader.answer.timeline,
            synchronous: applied(leader.answer),
        }]),
        Some(writer) if *writer == leader.member.card.id => mend(now, leader),
        Some(writer) => begin(now, writer, leader),
    }
}

/// I1: the epoch first. The record follows in the same breath: it is moved only
/// where it is as it was seen, and clients wait for it.
fn begin(now: &Led, from: &str, leader: Leader<'_>) -> Decision<Step, Reason> {
    let seen = &now.seen;
    let mut steps = vec![Step::Begin { epoch: seen.state.epoch, change: Box::new(change(now, from, leader)) }];
    if let Seen::Known(records) = &seen.records {
        let moved = finish::writer_record(seen.state.epoch + 1, leader.member, records);
        // What stands against it is told by the look that follows.
        steps.extend(moved.ok().flatten());
    }
    Decision::Act(steps)
}

/// The writer of the state item leads: what is left to bring in order.
fn mend(now: &Led, leader: Leader<'_>) -> Decision<Step, Reason> {
    let seen = &now.seen;
    let mut steps = Vec::new();
    if finish::own_pause_is_over(seen) {
        steps.push(Step::EndPause { epoch: seen.state.epoch });
    }
    let set = applied(leader.answer);
    if set != seen.state.synchronous {
        steps.push(Step::Publish(set));
    }
    if let Seen::Known(records) = &seen.records
        && !records.writer.is_empty()
        && records.writer != [leader.member.card.address]
    {
        match finish::writer_record(seen.state.epoch, leader.member, records) {
            Ok(step) => steps.extend(step),
            Err(reason) => return Decision::Refuse(reason),
        }
    }
    match (steps.is_empty(), seen.lease) {
        (true, _) => Decision::Steady,
        (false, Lease::Mine) => Decision::Act(steps),
        (false, _) => Decision::Act(vec![Step::Hold { epoch: seen.state.epoch }]),
    }
}

/// Nobody is agreed on. Waits for the keeper, by a note that outlives the pass.
fn in_doubt(looks: &[Led], now: &Led, doubt: Reason) -> Decision<Step, Reason> {
    if let Reason::TwoWriters { .. } = doubt {
        return if were_two_before(looks, now) {
            Decision::Refuse(doubt)
        } else {
            Decision::Act(vec![Step::LookAgain])
        };
    }
    if now.seen.state.writer.is_none() {
        // It is being made: nobody has relied on it yet.
        return Decision::Wait(Reason::NotLedYet);
    }
    let (kind, confirmed_ms) = (doubt.kind().to_owned(), now.seen.looked_at_ms);
    let since = |moment_ms: u64| Duration::from_millis(confirmed_ms.saturating_sub(moment_ms));
    let Some(waiting) = now.waiting.as_ref().filter(|waiting| is_this_wait(now, waiting, &kind)) else {
        let since_ms = match doubt {
            Reason::NoLeader { .. } => silent_since(&now.seen).unwrap_or(confirmed_ms),
            _ => confirmed_ms,
        };
        return Decision::Act(vec![Step::Note(Waiting { kind, since_ms, confirmed_ms, about: None })]);
    };
    if since(waiting.confirmed_ms) > now.patience / 2 {
        return Decision::Act(vec![Step::Note(Waiting { confirmed_ms, ..waiting.clone() })]);
    }
    let waited = since(waiting.since_ms);
    match now.patience.checked_sub(waited).filter(|left| !left.is_zero()) {
        Some(left) => Decision::Wait(doubt.with_time(left)),
        None => Decision::Refuse(doubt),
    }
}

/// Whether a note is of the wait that goes on now. No pass runs when all is well
/// again, so that one may be left of an earlier time: nobody confirmed it for
/// long, or the writer of record was well since.
fn is_this_wait(now: &Led, waiting: &Waiting, kind: &str) -> bool {
    let unconfirmed = Duration::from_millis(now.seen.looked_at_ms.saturating_sub(waiting.confirmed_ms));
    waiting.kind == kind
        && unconfirmed <= now.patience * 2
        && now.answered_ms.is_none_or(|answered| answered <= waiting.since_ms)
}

fn were_two_before(looks: &[Led], now: &Led) -> bool {
    let apart =
        |led: &&Led| Duration::from_millis(now.seen.looked_at_ms.saturating_sub(led.seen.looked_at_ms)) >= APART;
    looks.iter().filter(apart).any(|led| matches!(led.leader(), Err(Reason::TwoWriters { .. })))
}

/// Since when the writer of the state item is silent, as far as anyone knows.
fn silent_since(seen: &Observed) -> Option<u64> {
    let writer = seen.state.writer.as_deref()?;
    let told = seen.suspicion.as_ref().filter(|suspicion| suspicion.member == writer);
    let told = told
        .map(|told| seen.looked_at_ms.saturating_sub(u64::try_from(told.silent_for.as_millis()).unwrap_or(u64::MAX)));
    match (told, seen.silent_since_ms) {
        (Some(told), Some(own)) => Some(told.min(own)),
        (told, own) => told.or(own),
    }
}

/// The set that commits wait for now; one that is not understood, such as `*`,
/// counts as none.
fn applied(answer: &WriterSeen) -> Synchronous {
    Synchronous::parse(&answer.synchronous_setting).unwrap_or_default()
}

/// The change that the keeper has made, as it is noted, told and kept.
fn change(now: &Led, from: &str, leader: Leader<'_>) -> Change {
    let seen = &now.seen;
    let silent_since_ms = silent_since(seen);
    let suspicion = seen.suspicion.as_ref().filter(|suspicion| suspicion.member == from);
    let fork = leader.account.and_then(|account| account.fork_before(leader.answer.timeline));
    let old_timeline = fork.map_or(leader.answer.timeline.saturating_sub(1), |fork| fork.timeline);
    let mut lines = vec![old_writer(seen, from, silent_since_ms)];
    let failures = suspicion.map_or(0, |suspicion| suspicion.failures);
    lines.extend((failures > 0).then(|| format!("{failures} probes of it failed in a row")));
    let (loss, why) = loss::judge(now, from, leader, fork);
    Change {
        kind: ChangeKind::Followed,
        from: from.to_owned(),
        to: seen.switchover.clone(),
        seen: lines,
        silent_since_ms: silent_since_ms.unwrap_or(seen.looked_at_ms),
        last_writer_lsn: suspicion.and_then(|suspicion| suspicion.last_lsn),
        synchronous: seen.state.synchronous.clone(),
        synchronous_setting: suspicion.and_then(|suspicion| suspicion.synchronous_setting.clone()),
        sure: Some(sure(now, leader)),
        promoted: Some(Promoted {
            member: leader.member.card.id.clone(),
            at: fork.map_or(leader.answer.lsn, |fork| fork.ended_at),
            timeline: [old_timeline, leader.answer.timeline],
            at_ms: seen.looked_at_ms,
        }),
        loss: Some(loss),
        loss_because: Some(why),
        ..Change::default()
    }
}

fn old_writer(seen: &Observed, from: &str, silent_since_ms: Option<u64>) -> String {
    let Some(member) = seen.member(from) else { return format!("{from}, the writer of record, is no member any more") };
    let since = silent_since_ms.map_or_else(String::new, |since| format!(" since {}", clock(since)));
    match &member.sql {
        Sql::Silent(_) | Sql::Refused => {
            format!("{}, the writer of record, {}{since}; EC2 says {}", member.place(), member.sql, member.host)
        }
        sql => format!("{}, the writer of record, {sql}; EC2 says {}", member.place(), member.host),
    }
}

/// What makes us sure of the new leader, in one line.
fn sure(now: &Led, leader: Leader<'_>) -> String {
    let (name, timeline) = (&leader.member.card.name, leader.answer.timeline);
    let Some(account) = leader.account else {
        return format!(
            "{name} is out of recovery on timeline {timeline}, and every other member that answers \
             follows it; no {} answered",
            now.keeper
        );
    };
    let history = account.fork_before(timeline).map_or_else(String::new, |fork| {
        let at = fork.at_ms.map_or_else(String::new, |at| format!(" at {}", clock(at)));
        let by = fork.leader.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
        format!("; its history: timeline {} ended{at} at {}{by}", fork.timeline, fork.ended_at)
    });
    format!(
        "{} on {} says that {name} leads{history}; PostgreSQL on {name} is out of recovery on timeline {timeline}",
        now.keeper, account.by
    )
}
