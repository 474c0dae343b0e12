//! I13: an old writer that comes back becomes a standby.
//!
//! `rejoin.sh` on the member does it, sent by SSM Run Command; it takes seconds
//! or hours. The state machine is the command itself, with a note of it in the
//! state table (the item `rejoin#<instance id>`), so that any pass goes on from
//! what any other left:
//!
//! ```text
//! nothing ─ Begin ─► noted ─► sent ─► Success ─ Finish: ledger, page ─► nothing
//!                      │        └───► Failed ─► noted, paged; again after 10 min, 3 times an epoch
//!                      └─ cut before the answer: SSM is asked for the command by its comment
//! ```

mod report;
mod story;

pub use report::{Loss, Outcome, Report, TableLoss};
pub use story::Ledger;

use crate::{
    decision::Decision,
    failover::{Host, Member, Observed, Page, Sql},
    steady::{Steady, Unsteady, steady},
    time::{seconds, stamp},
};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// What a member is told to run. Cut short anywhere, it can be run again.
pub const SCRIPT: &str = "bash /opt/understudy/rejoin.sh";

/// How often it is tried at one epoch; then a person must look.
const MOST_ATTEMPTS: u32 = 3;

/// After a failure it is tried again so much later: what was in its way (a
/// writer too busy to answer, a full disk) has had time to go.
const AGAIN_AFTER: Duration = Duration::from_secs(600);

/// A command that lasts longer is told of, once: a copy of all data may take
/// hours, and may as well hang.
const LONG: Duration = Duration::from_secs(3_600);

/// After this a command that SSM does not know was not sent: the invocation
/// that was about to send it has ended (60 s), and SSM's lists have caught up.
const UNSURE: Duration = Duration::from_secs(120);

/// An agent that is not there for this long does not come by itself.
const AGENT_PATIENCE: Duration = Duration::from_secs(600);

/// What is known of a member's way back: the item `rejoin#<instance id>`.
///
/// It is compared as JSON: what is not there is not written, so that an item of
/// an older version reads and writes as the same text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejoin {
    /// The epoch at which it was begun.
    pub epoch: u64,
    /// Which try of this epoch, from 1.
    pub attempt: u32,
    /// When this try was begun, in milliseconds since 1970.
    pub began_at_ms: u64,
    /// SSM's id of the command; `None` until it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// How the command failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Failed>,
    /// Since when SSM does not know the member's agent; then nothing was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_agent_since_ms: Option<u64>,
    /// Whether a person was told that it takes long.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told_long: bool,
}

/// A command that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// When that was seen, in milliseconds since 1970.
    pub at_ms: u64,
    /// The last line of what it said.
    pub why: String,
}

/// A command as it is sent: for SSM, which takes no token, its comment says
/// which one it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// At most 100 characters, different for every try.
    pub comment: String,
    /// What is run.
    pub script: &'static str,
}

/// What became of sending a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// SSM took it, under this id.
    Command(String),
    /// SSM knows no agent on the member, or not yet; nothing was sent.
    NoAgent(String),
}

/// How far a command is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandSeen {
    /// Not ended yet; SSM's word for it.
    Running(String),
    /// Ended well; what it printed.
    Succeeded(String),
    /// Ended badly.
    Failed {
        /// SSM's word for it: `Failed`, `DeliveryTimedOut`, `Undeliverable`.
        status: String,
        /// What it said on stderr.
        stderr: String,
    },
    /// SSM does not know it, or not yet.
    Unknown,
}

/// What a look yields about one member, beside [`Observed`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Way {
    /// The item.
    pub item: Option<Rejoin>,
    /// How far the item's command is, when it has one.
    pub command: Option<CommandSeen>,
    /// The command of the item's order, when SSM was asked for it and has it.
    pub found: Option<String>,
}

/// One step. Doing it twice is the same as doing it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Note the try, then send the command.
    Begin {
        /// The item as it was read.
        before: Option<Rejoin>,
        /// The item as it shall be before the command is sent.
        after: Rejoin,
    },
    /// Send the page, if there is one, then note.
    Note {
        /// The item as it was read.
        before: Rejoin,
        /// The item as it shall be.
        after: Rejoin,
        /// Whom nothing is told, nothing is sent.
        page: Option<Page>,
    },
    /// Write the ledger, send the page, forget the item.
    Finish {
        /// The item as it was read.
        item: Rejoin,
        /// What the ledger keeps.
        ledger: Box<Ledger>,
        /// What the person on call is told.
        page: Page,
    },
    /// Nothing is left to do about it.
    Forget(Rejoin),
}

/// Why nothing is done now. Prints as one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The cluster is not one in which anything may be begun now.
    Unsteady(Unsteady),
    /// Its host does not run.
    HostNotRunning(Host),
    /// PostgreSQL on it is not down for certain.
    NotDown(String),
    /// Its boot guard has not said, at the present epoch, that it holds: it may
    /// be a standby that restarts.
    NotHeld,
    /// The command runs.
    Running {
        /// SSM's word for how far it is.
        status: String,
        /// Since it was begun.
        lasts: Duration,
    },
    /// It is not known whether the command was sent.
    Unsure(Duration),
    /// It failed, and is tried again.
    AgainIn {
        /// In so long.
        left: Duration,
        /// Why it failed.
        why: String,
    },
    /// It failed as often as it is tried at one epoch.
    GivenUp(String),
}

impl Rejoin {
    /// The command of this try, as it is sent.
    #[must_use]
    pub fn order(&self) -> Order {
        let (epoch, attempt, began) = (self.epoch, self.attempt, stamp(self.began_at_ms));
        Order { comment: format!("Understudy rejoin, epoch {epoch}, attempt {attempt}, begun {began}"), script: SCRIPT }
    }

    /// Whether SSM must be asked for the command by its comment.
    #[must_use]
    pub fn is_unsure(&self) -> bool {
        self.command.is_none() && self.failed.is_none() && self.no_agent_since_ms.is_none()
    }
}

/// Decides what happens next on a member's way back.
pub fn decide(seen: &Observed, member: &Member, way: &Way) -> Decision<Step, Reason> {
    let Some(item) = &way.item else { return begin(seen, member, None, 1) };
    let since = |moment_ms: u64| Duration::from_millis(seen.looked_at_ms.saturating_sub(moment_ms));
    if let Some(failed) = &item.failed {
        return after_failure(seen, member, item, failed, since(failed.at_ms));
    }
    if let Some(command) = &way.command {
        return follow(seen, member, item, command, since(item.began_at_ms));
    }
    if let Some(id) = &way.found {
        let after = Rejoin { command: Some(id.clone()), ..item.clone() };
        return note(item, after, None);
    }
    if let Some(no_agent_since_ms) = item.no_agent_since_ms {
        if since(no_agent_since_ms) >= AGENT_PATIENCE && !item.told_long {
            let after = Rejoin { told_long: true, ..item.clone() };
            return note(item, after, Some(story::no_agent(seen, member, since(no_agent_since_ms))));
        }
        return begin(seen, member, Some(item), item.attempt);
    }
    match UNSURE.checked_sub(since(item.began_at_ms)).filter(|left| !left.is_zero()) {
        Some(left) => Decision::Wait(Reason::Unsure(left)),
        // It never reached SSM: the same try.
        None => begin(seen, member, Some(item), item.attempt),
    }
}

fn note(before: &Rejoin, after: Rejoin, page: Option<Page>) -> Decision<Step, Reason> {
    Decision::Act(vec![Step::Note { before: before.clone(), after, page }])
}

/// Begins a try, if the member waits for it and nothing stands against it.
/// `before` is an item of which nothing runs any more.
fn begin(seen: &Observed, member: &Member, before: Option<&Rejoin>, attempt: u32) -> Decision<Step, Reason> {
    let nothing = || before.map_or(Decision::Steady, |item| Decision::Act(vec![Step::Forget(item.clone())]));
    let well = match steady(seen) {
        _ if before.is_none() && member.sql != Sql::Refused => return Decision::Steady,
        _ if seen.state.writer.as_ref() == Some(&member.card.id) => return nothing(),
        Ok(well) => well,
        Err(unsteady) => return Decision::Wait(Reason::Unsteady(unsteady)),
    };
    if well.streams(&member.card.name) {
        return nothing();
    }
    if let Err(reason) = waits_for_it(seen, member) {
        return Decision::Wait(reason);
    }
    let epoch = seen.state.epoch;
    let same_epoch = before.is_none_or(|item| item.epoch == epoch);
    let no_agent_since_ms = before.filter(|_| same_epoch).and_then(|item| item.no_agent_since_ms);
    let after = Rejoin {
        epoch,
        attempt: if same_epoch { attempt } else { 1 },
        began_at_ms: seen.looked_at_ms,
        command: None,
        failed: None,
        no_agent_since_ms: None,
        told_long: no_agent_since_ms.is_some() && before.is_some_and(|item| item.told_long),
    };
    Decision::Act(vec![Step::Begin { before: before.cloned(), after }])
}

/// Whether the member is an old writer that its boot guard keeps from starting.
fn waits_for_it(seen: &Observed, member: &Member) -> Result<(), Reason> {
    if member.host != Host::Running {
        return Err(Reason::HostNotRunning(member.host.clone()));
    }
    if member.sql != Sql::Refused {
        return Err(Reason::NotDown(member.sql.to_string()));
    }
    match &member.guard {
        Some(guard) if guard.holds && guard.epoch == seen.state.epoch => Ok(()),
        _ => Err(Reason::NotHeld),
    }
}

fn after_failure(
    seen: &Observed,
    member: &Member,
    item: &Rejoin,
    failed: &Failed,
    since: Duration,
) -> Decision<Step, Reason> {
    let streams = |well: Steady<'_>| well.streams(&member.card.name);
    let is_back = seen.state.writer.as_ref() == Some(&member.card.id) || steady(seen).is_ok_and(streams);
    if is_back || item.epoch != seen.state.epoch {
        return begin(seen, member, Some(item), 1);
    }
    if item.attempt >= MOST_ATTEMPTS {
        return Decision::Wait(Reason::GivenUp(failed.why.clone()));
    }
    match AGAIN_AFTER.checked_sub(since).filter(|left| !left.is_zero()) {
        Some(left) => Decision::Wait(Reason::AgainIn { left, why: failed.why.clone() }),
        None => begin(seen, member, Some(item), item.attempt + 1),
    }
}

/// Goes after a command that was sent, whatever else happens to the cluster.
fn follow(
    seen: &Observed,
    member: &Member,
    item: &Rejoin,
    command: &CommandSeen,
    lasts: Duration,
) -> Decision<Step, Reason> {
    match command {
        CommandSeen::Running(_) if lasts >= LONG && !item.told_long => {
            note(item, Rejoin { told_long: true, ..item.clone() }, Some(story::lasts(seen, member, item, lasts)))
        }
        CommandSeen::Running(status) => Decision::Wait(Reason::Running { status: status.clone(), lasts }),
        CommandSeen::Unknown if lasts < UNSURE => {
            Decision::Wait(Reason::Running { status: "not known to SSM yet".to_owned(), lasts })
        }
        CommandSeen::Unknown => fail(seen, member, item, "SSM does not know the command any more".to_owned()),
        CommandSeen::Failed { status, stderr } => fail(seen, member, item, report::why(status, stderr)),
        CommandSeen::Succeeded(stdout) => {
            let report = Report::read(stdout);
            let ledger = Ledger::of(seen, member, item, report.as_ref().ok());
            let page = ledger.page(seen, member, report.as_ref().err());
            Decision::Act(vec![Step::Finish { item: item.clone(), ledger: Box::new(ledger), page }])
        }
    }
}

/// Notes a failure. A person is told of the first at an epoch, and when it is
/// given up; what failed at an older epoch is begun anew at this one.
fn fail(seen: &Observed, member: &Member, item: &Rejoin, why: String) -> Decision<Step, Reason> {
    let last = item.attempt >= MOST_ATTEMPTS;
    let told = item.epoch == seen.state.epoch && (item.attempt == 1 || last);
    let page = told.then(|| story::failed(seen, member, item, &why, last));
    let failed = Some(Failed { at_ms: seen.looked_at_ms, why });
    note(item, Rejoin { failed, ..item.clone() }, page)
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Begin { after, .. } => write!(f, "send rejoin.sh, epoch {}, attempt {}", after.epoch, after.attempt),
            Step::Note { after, .. } => match (&after.failed, &after.command) {
                (Some(failed), _) => write!(f, "note that it failed: {}", failed.why),
                (None, Some(command)) if !after.told_long => write!(f, "note that the command is {command}"),
                _ => write!(f, "tell that it takes long"),
            },
            Step::Finish { .. } => write!(f, "write the ledger and tell"),
            Step::Forget(_) => write!(f, "forget it: nothing is left to do"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Unsteady(unsteady) => write!(f, "{unsteady}"),
            Reason::HostNotRunning(host) => write!(f, "EC2 says {host}"),
            Reason::NotDown(sql) => write!(f, "PostgreSQL {sql}"),
            Reason::NotHeld => f.write_str("its boot guard does not say that it holds, at this epoch"),
            Reason::Running { status, lasts } => write!(f, "rejoin.sh: {status}, for {}", seconds(*lasts)),
            Reason::Unsure(left) => {
                write!(f, "not known whether the command was sent; that is certain in {}", seconds(*left))
            }
            Reason::AgainIn { left, why } => write!(f, "rejoin.sh failed ({why}); again in {}", seconds(*left)),
            Reason::GivenUp(why) => write!(f, "rejoin.sh failed {MOST_ATTEMPTS} times at this epoch, last: {why}"),
        }
    }
}

#[cfg(test)]
mod tests;
