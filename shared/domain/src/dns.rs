//! The records are what the roles say.
//!
//! A change of writer moves the records itself; this is for what no change does:
//! a standby that comes or goes, a record that somebody edited, a move that a
//! change could not make.
//!
//! Never against the lease: nothing is done while a change is open or anybody
//! is at the cluster, and a record of a later epoch than the state item's is
//! left to a person.

pub mod managed;

use crate::{
    decision::Decision,
    failover::{Lease, Member, Observed, Page, Seen, Sql},
    records::RecordsSeen,
    steady::{Steady, Unsteady, steady},
};
use std::{fmt, net::IpAddr, time::Duration};

/// A standby joins the readers when it is no further behind than this: a
/// segment of log, which takes well under a second to replay. What it lags
/// later takes nobody out, since that comes and goes.
const JOINING_LAG: u64 = 16 * 1024 * 1024;

/// A standby leaves the readers when two looks that are this far apart do not
/// find it: a stream that breaks is back after `wal_retrieve_retry_interval`
/// (500 ms).
pub const APART: Duration = Duration::from_secs(1);

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Look again, [`APART`] from now, at everybody.
    LookAgain,
    /// Take the lease; the epoch stays.
    Hold {
        /// The epoch that this look saw.
        epoch: u64,
    },
    /// Move the writer record and its epoch, only if both are as seen.
    MoveWriterRecord {
        /// Address and epoch that the records hold now.
        from: (IpAddr, u64),
        /// Address and epoch they hold afterwards.
        to: (IpAddr, u64),
    },
    /// Let the reader record name these.
    SetReaderRecord(Vec<IpAddr>),
}

/// Why nothing is done now, or at all. Prints as one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Nothing may be done about this cluster now.
    Unsteady(Unsteady),
    /// There is no writer record yet: `deploy-cluster` makes it.
    NotOpenYet,
    /// Route 53 did not say what the records are.
    RecordsUnknown(String),
    /// The writer record is not one that the present epoch may replace.
    RecordNotOurs {
        /// What it names.
        addresses: Vec<IpAddr>,
        /// The epoch that the TXT record carries.
        epoch: Option<u64>,
        /// The epoch of the state item.
        ours: u64,
    },
}

/// Decides what is next, by the looks of this pass, the newest last.
pub fn decide(looks: &[Observed]) -> Decision<Step, Reason> {
    let Some(seen) = looks.last() else { return Decision::Steady };
    let well = match steady(seen) {
        Ok(well) => well,
        Err(unsteady) => return Decision::Wait(Reason::Unsteady(unsteady)),
    };
    let records = match &seen.records {
        Seen::Known(records) => records,
        Seen::NotAsked => return Decision::Wait(Reason::RecordsUnknown("it was not asked".to_owned())),
        Seen::Unavailable(problem) => return Decision::Wait(Reason::RecordsUnknown(problem.clone())),
    };
    let writer = match writer_step(seen, &well, records) {
        Ok(step) => step,
        Err(Reason::NotOpenYet) => return Decision::Wait(Reason::NotOpenYet),
        // The state item is read before the records: a change of writer that
        // begins in between looks like this.
        Err(_) if !was_not_ours_before(looks) => return Decision::Act(vec![Step::LookAgain]),
        Err(reason) => return Decision::Refuse(reason),
    };
    let reader = reader_step(looks, &well, records);
    if reader == Some(Step::LookAgain) {
        return Decision::Act(vec![Step::LookAgain]);
    }
    let steps: Vec<Step> = writer.into_iter().chain(reader).collect();
    match (steps.is_empty(), seen.lease) {
        (true, _) => Decision::Steady,
        (false, Lease::Mine) => Decision::Act(steps),
        (false, _) => Decision::Act(vec![Step::Hold { epoch: seen.state.epoch }]),
    }
}

/// The step that moves the writer record to the member that the state item
/// names and that accepts writes, in this very look.
fn writer_step(seen: &Observed, well: &Steady<'_>, records: &RecordsSeen) -> Result<Option<Step>, Reason> {
    let ours = seen.state.epoch;
    let address = well.writer.card.address;
    match (records.writer.as_slice(), records.epoch) {
        ([], None) => Err(Reason::NotOpenYet),
        ([now], Some(epoch)) if epoch <= ours && *now == address => Ok(None),
        ([now], Some(epoch)) if epoch <= ours => {
            Ok(Some(Step::MoveWriterRecord { from: (*now, epoch), to: (address, ours) }))
        }
        (addresses, epoch) => Err(Reason::RecordNotOurs { addresses: addresses.to_vec(), epoch, ours }),
    }
}

/// Whether an earlier look, [`APART`] from the newest, found the writer record
/// not to be ours, too.
fn was_not_ours_before(looks: &[Observed]) -> bool {
    let newest = looks.last().map_or(0, |seen| seen.looked_at_ms);
    let apart = |seen: &&Observed| Duration::from_millis(newest.saturating_sub(seen.looked_at_ms)) >= APART;
    looks.iter().filter(apart).any(|seen| match (&seen.records, steady(seen)) {
        (Seen::Known(records), Ok(well)) => writer_step(seen, &well, records).is_err(),
        _ => false,
    })
}

/// The step that lets the reader record name the standbys that can be read from.
fn reader_step(looks: &[Observed], well: &Steady<'_>, records: &RecordsSeen) -> Option<Step> {
    let seen = looks.last()?;
    let (mut wanted, mut doubtful) = (Vec::new(), false);
    for member in seen.members.iter().filter(|member| member.card.id != well.writer.card.id) {
        let address = member.card.address;
        if !records.reader.contains(&address) {
            if may_join(well, member) {
                wanted.push(address);
            }
            continue;
        }
        match serves_in_any(looks, &member.card.id) {
            Serves::Yes => wanted.push(address),
            Serves::No => {}
            Serves::OneLook => {
                wanted.push(address);
                doubtful = true;
            }
        }
    }
    if doubtful {
        return Some(Step::LookAgain);
    }
    if wanted.is_empty() {
        // Readers keep working.
        wanted.push(well.writer.card.address);
    }
    wanted.sort();
    let mut now = records.reader.clone();
    now.sort();
    (wanted != now).then_some(Step::SetReaderRecord(wanted))
}

/// Whether a standby streams, by the writer's account, answers, and is near.
fn may_join(well: &Steady<'_>, member: &Member) -> bool {
    let stream = well.answer.streams.iter().find(|stream| stream.streaming && stream.name == member.card.name);
    let near = |stream: &crate::failover::StreamSeen| {
        stream.flushed.is_some_and(|flushed| flushed.behind(well.answer.lsn) <= JOINING_LAG)
    };
    matches!(member.sql, Sql::Standby(_)) && stream.is_some_and(near)
}

enum Serves {
    Yes,
    No,
    /// It does not, but there was only one look.
    OneLook,
}

fn serves_in_any(looks: &[Observed], id: &str) -> Serves {
    let serves = |seen: &Observed| {
        let member = seen.member(id).filter(|member| member.sql.answers());
        member.is_some_and(|member| steady(seen).is_ok_and(|well| well.streams(&member.card.name)))
    };
    match looks.iter().any(serves) {
        true => Serves::Yes,
        false if span(looks) >= APART => Serves::No,
        false => Serves::OneLook,
    }
}

/// From the first look of the pass to the last.
fn span(looks: &[Observed]) -> Duration {
    let times = looks.first().zip(looks.last());
    Duration::from_millis(times.map_or(0, |(first, last)| last.looked_at_ms.saturating_sub(first.looked_at_ms)))
}

impl Reason {
    /// A short word for the kind, by which repeated pages are held back.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Reason::Unsteady(_) => "dns-unsteady",
            Reason::NotOpenYet => "dns-not-open-yet",
            Reason::RecordsUnknown(_) => "dns-records-unknown",
            Reason::RecordNotOurs { .. } => "dns-record-not-ours",
        }
    }

    /// The page of a refusal.
    #[must_use]
    pub fn page(&self, seen: &Observed) -> Page {
        let answers: Vec<String> = seen
            .members
            .iter()
            .map(|member| format!("{} ({}): PostgreSQL {}", member.card.id, member.card.zone, member.sql))
            .collect();
        let record = &seen.writer_record;
        let writer = seen.state.writer.as_deref().and_then(|id| seen.member(id));
        let host = writer.map_or_else(String::new, |writer| {
            format!("; meanwhile clients can use host={} target_session_attrs=read-write", writer.card.address)
        });
        not_ours(&seen.cluster, record, &answers.join("; "), &self.to_string(), &host)
    }
}

/// The page of a writer record that another hand wrote.
fn not_ours(cluster: &str, record: &str, answers: &str, why: &str, host: &str) -> Page {
    Page::about(&format!("P1 {cluster}: the writer record is not ours, and is left alone"))
        .line("Seen", answers)
        .line("Why", why)
        .line("Done", "no record was changed by this pass")
        .line(
            "Next",
            &format!(
                "find out who wrote {record} and its TXT record _understudy.{record}, and delete both if they are \
                 wrong: deploy-cluster makes them anew within a minute{host}"
            ),
        )
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::LookAgain => write!(f, "look again in {} s", APART.as_secs()),
            Step::Hold { epoch } => write!(f, "take the lease of epoch {epoch}"),
            Step::MoveWriterRecord { to: (address, epoch), .. } => {
                write!(f, "move the writer record to {address}, epoch {epoch}")
            }
            Step::SetReaderRecord(addresses) => write!(f, "let the reader record name {}", list(addresses)),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Unsteady(unsteady) => write!(f, "{unsteady}"),
            Reason::NotOpenYet => f.write_str("the cluster has no records yet"),
            Reason::RecordsUnknown(problem) => write!(f, "Route 53 does not say what the records are: {problem}"),
            Reason::RecordNotOurs { addresses, epoch, ours } => {
                let epoch = epoch.map_or_else(|| "no epoch".to_owned(), |epoch| format!("epoch {epoch}"));
                write!(
                    f,
                    "the writer record holds [{}] with {epoch}, not what epoch {ours} may replace",
                    list(addresses)
                )
            }
        }
    }
}

fn list(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests;
