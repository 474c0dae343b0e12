//! What a member's way back is told by: the ledger item and the pages.

use super::{Loss, MOST_ATTEMPTS, Outcome, Rejoin, Report, SCRIPT};
use crate::{
    failover::{Member, Observed, Page},
    steady::steady,
    time::{bytes, seconds, stamp},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The tables of a loss that a page names; the ledger has all of the report.
const TABLES: usize = 5;

/// One member that was made a standby, as the ledger keeps it. Times are
/// milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// `rejoin`.
    pub kind: String,
    /// The cluster.
    pub cluster: String,
    /// The epoch at which it was begun.
    pub epoch: u64,
    /// Instance id of the member.
    pub member: String,
    /// Instance id of the writer when this was written.
    pub writer: Option<String>,
    /// Which try of this epoch it was.
    pub attempt: u32,
    /// SSM's id of the command.
    pub command: Option<String>,
    /// When the command was about to be sent.
    pub began_at_ms: u64,
    /// When its end was seen.
    pub finished_at_ms: u64,
    /// What `rejoin.sh` reported; `None` when that cannot be read.
    pub report: Option<Report>,
}

impl Ledger {
    pub(super) fn of(seen: &Observed, member: &Member, item: &Rejoin, report: Option<&Report>) -> Self {
        Ledger {
            kind: "rejoin".to_owned(),
            cluster: seen.cluster.clone(),
            epoch: item.epoch,
            member: member.card.id.clone(),
            writer: seen.state.writer.clone(),
            attempt: item.attempt,
            command: item.command.clone(),
            began_at_ms: item.began_at_ms,
            finished_at_ms: seen.looked_at_ms,
            report: report.cloned(),
        }
    }

    /// Its key in the state table.
    #[must_use]
    pub fn item(&self) -> String {
        format!("ledger#{}#rejoin#{}", stamp(self.began_at_ms), self.epoch)
    }

    /// It as JSON.
    ///
    /// # Errors
    ///
    /// When it cannot be written as such.
    pub fn entry(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::to_value(self)
    }

    pub(super) fn page(&self, seen: &Observed, member: &Member, unreadable: Option<&String>) -> Page {
        let (cluster, id) = (&self.cluster, &self.member);
        let lost = self.report.as_ref().and_then(|report| report.loss.as_ref()).filter(|loss| loss.transactions > 0);
        let subject = match (&self.report, lost) {
            (None, _) => format!("P2 {cluster}: {} is a standby again; what it lost is not known", place(member)),
            (_, None) => format!("P3 {cluster}: {} is a standby again; nothing was lost", place(member)),
            (_, Some(loss)) => format!(
                "P2 {cluster}: {} is a standby again; {} transactions ({} of log) only it had",
                place(member),
                loss.transactions,
                bytes(loss.bytes)
            ),
        };
        let next = match lost {
            Some(_) => {
                let saved = self.report.as_ref().and_then(|report| report.saved.clone()).unwrap_or_default();
                format!(
                    "compare what was lost with what the application knows, and enter it again where it matters; \
                     delete {saved} on {id} when nobody needs it any more"
                )
            }
            None if self.report.is_none() => {
                format!("look at what only {id} had: sudo ls -l /var/lib/understudy/lost on {id}")
            }
            None => "nothing".to_owned(),
        };
        Page::about(&subject)
            .line("Seen", &format!("{id} came back as an old writer; its boot guard kept PostgreSQL from starting"))
            .line("Done", &self.done())
            .line("Lost", &self.lost(unreadable))
            .line("Now", &now(seen))
            .line("Next", &next)
    }

    fn done(&self) -> String {
        let writer = self.writer.as_deref().unwrap_or("the writer");
        let command = self.command.as_deref().unwrap_or("unknown");
        let how = match &self.report {
            Some(report) => {
                let took = seconds(Duration::from_secs(report.seconds));
                match report.outcome {
                    Outcome::Rewound => format!("rewound to {writer} in {took}"),
                    Outcome::Rebuilt => format!("rebuilt from a copy of {writer}'s data in {took}"),
                    Outcome::AlreadyStandby => format!("found to be a standby of {writer} already, after {took}"),
                }
            }
            None => format!("made a standby of {writer}"),
        };
        format!("{how}, epoch {}, attempt {} (SSM command {command})", self.epoch, self.attempt)
    }

    fn lost(&self, unreadable: Option<&String>) -> String {
        let Some(report) = &self.report else {
            let why = unreadable.map_or("it printed nothing", String::as_str);
            return format!("not known: {why}");
        };
        let id = &self.member;
        match &report.loss {
            None => format!("nothing: the log of {id} has nothing that the writer's has not"),
            Some(loss) if loss.transactions == 0 => format!(
                "nothing: {id} had {} of log of its own, {} to {}, without any transaction in it",
                bytes(loss.bytes),
                loss.from_lsn,
                loss.to_lsn
            ),
            Some(loss) => {
                let saved = report.saved.as_deref().map_or("nowhere".to_owned(), |saved| format!("on {id} in {saved}"));
                format!("{}; saved {saved}", told(id, loss))
            }
        }
    }
}

/// What was lost, as a sentence without its full stop.
fn told(id: &str, loss: &Loss) -> String {
    let when = match (&loss.first_at, &loss.last_at) {
        (Some(first), Some(last)) if first != last => format!(", committed there between {first} and {last}"),
        (Some(at), _) | (_, Some(at)) => format!(", committed there at {at}"),
        (None, None) => String::new(),
    };
    let mut tables: Vec<String> =
        loss.tables.iter().take(TABLES).map(|table| format!("{} ({} rows)", table.name, table.changes)).collect();
    if loss.tables.len() > TABLES {
        tables.push(format!("{} more tables", loss.tables.len() - TABLES));
    }
    let tables = if tables.is_empty() { "no table".to_owned() } else { tables.join(", ") };
    format!(
        "what only {id} had: {} transactions{when}, in {} to {} ({} of log), which changed {tables}",
        loss.transactions,
        loss.from_lsn,
        loss.to_lsn,
        bytes(loss.bytes)
    )
}

/// `rejoin.sh` failed.
pub(super) fn failed(seen: &Observed, member: &Member, item: &Rejoin, why: &str, last: bool) -> Page {
    let again = if last {
        format!("it is not tried again at epoch {}; ", item.epoch)
    } else {
        format!("it is tried again in 10 min by itself, {MOST_ATTEMPTS} times in all; ")
    };
    let subject = format!(
        "P2 {}: {} could not be made a standby, attempt {} of {MOST_ATTEMPTS}",
        seen.cluster,
        place(member),
        item.attempt
    );
    Page::about(&subject)
        .line("Seen", &format!("rejoin.sh on {} ended: {why}", member.card.id))
        .line("Done", &format!("nothing; {} does not start as writer, and its old data is kept", member.card.id))
        .line("Now", &now(seen))
        .line("Next", &format!("{again}by hand: {}", by_hand(member)))
}

/// `rejoin.sh` runs for long.
pub(super) fn lasts(seen: &Observed, member: &Member, item: &Rejoin, lasts: Duration) -> Page {
    let (id, command) = (&member.card.id, item.command.as_deref().unwrap_or_default());
    let subject = format!("P3 {}: {} is not a standby yet, after {} min", seen.cluster, place(member), minutes(lasts));
    Page::about(&subject)
        .line("Seen", &format!("rejoin.sh on {id} runs since {}", stamp(item.began_at_ms)))
        .line("Done", "nothing: a copy of all data may take that long")
        .line("Now", &now(seen))
        .line(
            "Next",
            &format!(
                "look how far it is: journalctl -t understudy on {id}; to end it: aws ssm cancel-command{} \
                 --command-id {command}",
                region(member)
            ),
        )
}

/// SSM has had no agent on the member for long.
pub(super) fn no_agent(seen: &Observed, member: &Member, since: Duration) -> Page {
    let id = &member.card.id;
    let subject = format!("P2 {}: {} cannot be made a standby: SSM does not reach it", seen.cluster, place(member));
    Page::about(&subject)
        .line("Seen", &format!("SSM has known no agent on {id} for {} min; EC2 says {}", minutes(since), member.host))
        .line("Done", &format!("nothing; {id} does not start as writer"))
        .line("Now", &now(seen))
        .line(
            "Next",
            &format!("look at amazon-ssm-agent on {id}, and at its way to AWS; or on {id} itself, as root: {SCRIPT}"),
        )
}

fn now(seen: &Observed) -> String {
    let well = match steady(seen) {
        Ok(well) => well,
        Err(unsteady) => return unsteady.to_string(),
    };
    let others = seen.members.iter().filter(|other| well.streams(&other.card.name));
    let standbys = match others.count() {
        0 => "no standby streams".to_owned(),
        1 => "one standby streams".to_owned(),
        count => format!("{count} standbys stream"),
    };
    let set = &seen.state.synchronous;
    let commits = if set.is_on() {
        format!("commits wait for {} of {}", set.required, set.names.len())
    } else if seen.synchronous_required > 0 {
        "commits wait for NO standby until one of them is published".to_owned()
    } else {
        "replication is asynchronous".to_owned()
    };
    format!("{} writes; {standbys} from it; {commits}", place(well.writer))
}

fn place(member: &Member) -> String {
    format!("{} ({})", member.card.id, member.card.zone)
}

fn minutes(span: Duration) -> u64 {
    span.as_secs() / 60
}

fn region(member: &Member) -> String {
    let region = member.card.zone.trim_end_matches(char::is_alphabetic);
    if region.is_empty() { String::new() } else { format!(" --region {region}") }
}

fn by_hand(member: &Member) -> String {
    format!(
        "aws ssm send-command{} --document-name AWS-RunShellScript --instance-ids {} \
         --parameters 'commands=[\"{SCRIPT}\"],executionTimeout=[\"43200\"]'",
        region(member),
        member.card.id
    )
}
