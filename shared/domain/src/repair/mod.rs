//! Hosts of a cluster with a keeper that are dead: started, rebooted, made anew.
//!
//! Patroni elects, rewinds and restarts PostgreSQL by itself; what it cannot do
//! is bring back a host. Nothing here takes anything away from a cluster that
//! serves: never the leader, one host at a time, never etcd's quorum, never the
//! last standby that commits wait for. What is off cannot lose anything, so
//! that stopped hosts are started whatever else is wrong.
//!
//! What is known of a host that ails is kept in the item `repair#<instance id>`,
//! so that any pass goes on from what any other left:
//!
//! ```text
//! well ─ Note ─► ails ─ (repair_after) Order ─► ordered ─ well again ─► Finish: ledger, page
//!                  └─ well again: Forget            └─ still ails after 10 min: next order, or GiveUp: page
//! ```

mod ailment;
mod incident;
mod reason;
mod story;

pub use ailment::{Ailment, ailment};
pub use incident::{Act, Ended, Given, Incident, SCRIPT, Taken};
pub use reason::Reason;
pub use story::Ledger;

use crate::{
    decision::Decision,
    failover::{Host, Page, Sql},
    follow::{Led, Role},
    rejoin::CommandSeen,
};
use std::{fmt, time::Duration};

/// What was ordered gets so long to show: a boot, its checks, and what a member
/// missed meanwhile.
const SETTLE: Duration = Duration::from_secs(600);

/// A host that was ordered to start is running at once, by EC2's word, and
/// serves later: so long it is not called well.
const BOOT: Duration = Duration::from_secs(60);

/// A host of the cluster, as one look saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSeen {
    /// Instance id.
    pub id: String,
    /// `shop_2`, `shop-etcd-1`.
    pub name: String,
    /// Availability Zone.
    pub zone: String,
    /// Its logical id in the cluster's stack, in part: `Member2`, `Etcd1`.
    pub resource: String,
    /// What EC2 says of it.
    pub host: Host,
    /// Which status check fails, in words.
    pub impaired: Option<String>,
    /// What PostgreSQL on it answered; `None` for a host of the keeper's store.
    pub sql: Option<Sql>,
    /// What the keeper says of it.
    pub role: Option<Role>,
    /// The item.
    pub incident: Option<Incident>,
    /// How far the command of the last order is, when it has one.
    pub command: Option<CommandSeen>,
    /// The command of the last order, when SSM was asked for it and has it.
    pub found: Option<String>,
}

/// Everything a decision about a host rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ward {
    /// The cluster.
    pub led: Led,
    /// Its hosts, members first.
    pub hosts: Vec<HostSeen>,
    /// Whose turn it is.
    pub taken: Option<Taken>,
}

/// One step. Doing it twice is the same as doing it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Note what ails the host, or what became of an order.
    Note(Incident),
    /// It is well, and nothing was done.
    Forget,
    /// Note the order, then give it; then tell.
    Order {
        /// The item as it shall be before the order is given.
        after: Incident,
        /// What is ordered.
        act: Act,
        /// What the person on call is told.
        page: Page,
    },
    /// Nothing more is done: ledger, page, note.
    GiveUp {
        /// The item as it shall be.
        after: Incident,
        /// What the ledger keeps.
        ledger: Box<Ledger>,
        /// What the person on call is told.
        page: Page,
    },
    /// It is well again: ledger, page, and the item is forgotten.
    Finish {
        /// What the ledger keeps.
        ledger: Box<Ledger>,
        /// What the person on call is told.
        page: Page,
    },
}

/// Decides what happens next to a host.
pub fn decide(ward: &Ward, host: &HostSeen) -> Decision<Step, Reason> {
    let found = match ailment(ward, host) {
        Ok(found) => found,
        Err(unclear) => return Decision::Wait(Reason::Unclear(unclear)),
    };
    match (found, &host.incident) {
        (None, None) => Decision::Steady,
        (None, Some(incident)) => well_again(ward, host, incident),
        (Some(found), None) => {
            let now = ward.led.seen.looked_at_ms;
            note(Incident { ailment: found, since_ms: now, began_ms: now, orders: Vec::new(), given_up: false })
        }
        (Some(found), Some(incident)) if found != incident.ailment => {
            note(Incident { ailment: found, since_ms: ward.led.seen.looked_at_ms, given_up: false, ..incident.clone() })
        }
        (Some(found), Some(incident)) => treat(ward, host, found, incident),
    }
}

fn note(after: Incident) -> Decision<Step, Reason> {
    Decision::Act(vec![Step::Note(after)])
}

fn well_again(ward: &Ward, host: &HostSeen, incident: &Incident) -> Decision<Step, Reason> {
    if let Some(decision) = attend(ward, host, incident) {
        return decision;
    }
    if incident.orders.is_empty() && !incident.given_up {
        return Decision::Act(vec![Step::Forget]);
    }
    if let Some(last) = incident.orders.last().filter(|given| given.act != Act::Remake) {
        let since = Duration::from_millis(ward.led.seen.looked_at_ms.saturating_sub(last.at_ms));
        if let Some(left) = BOOT.checked_sub(since).filter(|left| !left.is_zero()) {
            return Decision::Wait(Reason::Settling(last.act, left));
        }
    }
    let ledger = Ledger::of(ward, host, incident, true);
    let page = story::well_again(ward, host, incident);
    Decision::Act(vec![Step::Finish { ledger: Box::new(ledger), page }])
}

/// What is to be learnt of a command before anything else.
fn attend(ward: &Ward, host: &HostSeen, incident: &Incident) -> Option<Decision<Step, Reason>> {
    let last = incident.orders.last().filter(|given| given.act == Act::Remake && given.ended.is_none())?;
    let with = |given: Given| {
        let mut after = incident.clone();
        after.orders.pop();
        after.orders.push(given);
        Some(note(after))
    };
    let at_ms = ward.led.seen.looked_at_ms;
    match (&last.command, &host.found, &host.command) {
        (None, Some(command), _) => with(Given { command: Some(command.clone()), ..last.clone() }),
        (Some(_), _, Some(CommandSeen::Succeeded(said))) => {
            with(Given { ended: Some(Ended { at_ms, well: true, said: last_line(said) }), ..last.clone() })
        }
        (Some(_), _, Some(CommandSeen::Failed { status, stderr })) => {
            let said = format!("{status}: {}", last_line(stderr));
            with(Given { ended: Some(Ended { at_ms, well: false, said }), ..last.clone() })
        }
        (Some(_), _, Some(CommandSeen::Running(status))) => Some(Decision::Wait(Reason::Running(status.clone()))),
        _ => None,
    }
}

/// The last line that says something, cut to what a page takes.
fn last_line(text: &str) -> String {
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    line.trim().chars().take(600).collect()
}

fn treat(ward: &Ward, host: &HostSeen, found: Ailment, incident: &Incident) -> Decision<Step, Reason> {
    if let Some(decision) = attend(ward, host, incident) {
        return decision;
    }
    if incident.given_up {
        return Decision::Wait(Reason::GivenUp(found));
    }
    let now = ward.led.seen.looked_at_ms;
    let since = |moment_ms: u64| Duration::from_millis(now.saturating_sub(moment_ms));
    let left = |limit: Duration, moment_ms: u64| limit.checked_sub(since(moment_ms)).filter(|left| !left.is_zero());
    if let Some(last) = incident.orders.last()
        && last.ended.as_ref().is_none_or(|ended| ended.well)
        && let Some(left) = left(SETTLE, last.ended.as_ref().map_or(last.at_ms, |ended| ended.at_ms))
    {
        return Decision::Wait(Reason::Settling(last.act, left));
    }
    let act = found.remedy().filter(|act| incident.orders.iter().all(|given| given.act != *act));
    let Some(act) = act else { return give_up(ward, host, incident) };
    let Some(patience) = ward.led.seen.policy.repair_after() else {
        return Decision::Wait(Reason::ByHand(found));
    };
    if let Some(left) = left(patience, incident.since_ms) {
        return Decision::Wait(Reason::NotYet { ailment: found, left });
    }
    if let Err(reason) = allowed(ward, host, act) {
        return Decision::Wait(reason);
    }
    let mut after = incident.clone();
    after.orders.push(Given { act, at_ms: now, command: None, ended: None });
    let page = story::ordered(ward, host, &after, act);
    Decision::Act(vec![Step::Order { after, act, page }])
}

fn give_up(ward: &Ward, host: &HostSeen, incident: &Incident) -> Decision<Step, Reason> {
    let after = Incident { given_up: true, ..incident.clone() };
    let ledger = Ledger::of(ward, host, incident, false);
    let page = story::given_up(ward, host, incident);
    Decision::Act(vec![Step::GiveUp { after, ledger: Box::new(ledger), page }])
}

/// What stands against an act: what it could take away.
fn allowed(ward: &Ward, host: &HostSeen, act: Act) -> Result<(), Reason> {
    let led = &ward.led;
    if led.seen.paused_for().is_some() || led.keeper_paused() {
        return Err(Reason::Paused);
    }
    if act == Act::Start {
        return Ok(());
    }
    let leader = led.settled().map_err(Reason::Unsettled)?;
    let is_named = |id: Option<&String>| id == Some(&host.id);
    let named = leader.account.and_then(|account| account.leader.as_ref());
    if leader.member.card.id == host.id || is_named(led.seen.state.writer.as_ref()) || is_named(named) {
        return Err(Reason::Leads);
    }
    if let Some(taken) = ward.taken.as_ref().filter(|taken| taken.id != host.id && is_busy(ward, taken)) {
        return Err(Reason::OneAtATime(taken.id.clone()));
    }
    match &host.sql {
        None => quorum_without(ward, host),
        Some(_) => standbys_without(ward, host),
    }
}

/// Whether the host whose turn it is may still be on its way back.
fn is_busy(ward: &Ward, taken: &Taken) -> bool {
    let settles = ward.led.seen.looked_at_ms.saturating_sub(taken.at_ms) < millis(SETTLE);
    let other = ward.hosts.iter().find(|host| host.id == taken.id);
    let open = other.and_then(|host| host.incident.as_ref()).and_then(|incident| incident.orders.last());
    let runs = open.is_some_and(|given| given.act == Act::Remake && given.command.is_some() && given.ended.is_none());
    runs || (settles && open.is_some())
}

/// etcd goes on without this host.
fn quorum_without(ward: &Ward, host: &HostSeen) -> Result<(), Reason> {
    let store = || ward.hosts.iter().filter(|other| other.sql.is_none());
    let runs = |other: &&HostSeen| other.id != host.id && other.host == Host::Running && other.impaired.is_none();
    let (others, needed) = (store().filter(runs).count(), store().count() / 2 + 1);
    if others >= needed { Ok(()) } else { Err(Reason::Quorum { others, needed }) }
}

/// Commits do not wait without this member, or it is none that they wait for.
fn standbys_without(ward: &Ward, host: &HostSeen) -> Result<(), Reason> {
    let leader = ward.led.settled().map_err(Reason::Unsettled)?;
    let streams = || leader.answer.streams.iter().filter(|stream| stream.streaming);
    let is_one = streams().any(|stream| stream.name == host.name);
    let members = |name: &str| ward.hosts.iter().any(|other| other.name == name && other.name != host.name);
    let others = streams().filter(|stream| members(&stream.name)).count();
    let required = ward.led.seen.synchronous_required as usize;
    if is_one && others < required { Err(Reason::LastStandby) } else { Ok(()) }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Note(after) => match after.orders.last().and_then(|given| given.ended.as_ref()) {
                Some(ended) => write!(f, "note how its command ended: {}", ended.said),
                None => write!(f, "note that it {}", after.ailment),
            },
            Step::Forget => f.write_str("forget it: it is well by itself"),
            Step::Order { act, after, .. } => write!(f, "{act}, since it {}", after.ailment),
            Step::GiveUp { .. } => f.write_str("tell that nothing more is done"),
            Step::Finish { .. } => f.write_str("write the ledger and tell that it is well again"),
        }
    }
}

#[cfg(test)]
mod tests;
