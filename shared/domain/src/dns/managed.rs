//! The names of a managed cluster are what the roles say.
//!
//! As [`super`]: a change of writer moves the records itself, and this is for what no change does. Never against the
//! lease, and never against a later epoch.

use crate::{
    decision::Decision,
    failover::{Lease, Page, Seen},
    managed::{NamesSeen, Observed, readers, writer_target},
    steady::{Unsteady, quiet},
};
use std::{fmt, time::Duration};

use super::APART;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Look again, [`APART`] from now.
    LookAgain,
    /// Take the lease; the epoch stays.
    Hold {
        /// The epoch that this look saw.
        epoch: u64,
    },
    /// Move the writer's CNAME and its epoch, only if both are as seen.
    MoveWriterRecord {
        /// Target and epoch that the records hold now.
        from: (String, u64),
        /// Target and epoch they hold afterwards.
        to: (String, u64),
    },
    /// Let the readers' CNAMEs be exactly these: identifier and target.
    SetReaders(Vec<(String, String)>),
}

/// Why nothing is done now, or at all. Prints as one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Nothing may be done about this cluster now.
    Unsteady(Unsteady),
    /// RDS did not say where the writer's endpoint is.
    EndpointUnknown(String),
    /// The writer of the state item does not answer as one. `promote-replica` sees to it.
    NoWriter {
        /// The instance.
        writer: String,
        /// What PostgreSQL on it answered.
        sql: String,
    },
    /// There is no writer record yet: `deploy-cluster` makes it.
    NotOpenYet,
    /// Route 53 did not say what the records are.
    RecordsUnknown(String),
    /// The writer record is not one that the present epoch may replace.
    RecordNotOurs {
        /// What it names.
        target: Option<String>,
        /// The epoch that the TXT record carries.
        epoch: Option<u64>,
        /// The epoch of the state item.
        ours: u64,
    },
}

/// Decides what is next, by the looks of this pass, the newest last.
pub fn decide(looks: &[Observed]) -> Decision<Step, Reason> {
    let Some(seen) = looks.last() else { return Decision::Steady };
    let (target, names) = match known(seen) {
        Ok(known) => known,
        Err(reason) => return Decision::Wait(reason),
    };
    let writer = match writer_step(seen, &target, names) {
        Ok(step) => step,
        Err(Reason::NotOpenYet) => return Decision::Wait(Reason::NotOpenYet),
        // The state item is read before the records: a change of writer that begins in between looks like this.
        Err(_) if !was_not_ours_before(looks) => return Decision::Act(vec![Step::LookAgain]),
        Err(reason) => return Decision::Refuse(reason),
    };
    let steps: Vec<Step> = writer.into_iter().chain(readers_step(seen, names)).collect();
    match (steps.is_empty(), seen.lease) {
        (true, _) => Decision::Steady,
        (false, Lease::Mine) => Decision::Act(steps),
        (false, _) => Decision::Act(vec![Step::Hold { epoch: seen.state.epoch }]),
    }
}

/// Where the writer's CNAME shall point, and the records as they are.
fn known(seen: &Observed) -> Result<(String, &NamesSeen), Reason> {
    let writer = quiet(&seen.state, seen.lease, seen.looked_at_ms).map_err(Reason::Unsteady)?;
    let described = match &seen.rds {
        Seen::Known(described) => described,
        Seen::NotAsked => return Err(Reason::EndpointUnknown("RDS was not asked".to_owned())),
        Seen::Unavailable(problem) => return Err(Reason::EndpointUnknown(problem.clone())),
    };
    // A DB cluster's endpoint is moved by AWS; of RDS, the writer must be one in this very look.
    if described.db_cluster.is_none() && seen.writes(writer).is_none() {
        return Err(Reason::NoWriter { writer: writer.to_owned(), sql: seen.sql_of(writer).to_string() });
    }
    let nowhere = || Reason::EndpointUnknown(format!("RDS names no endpoint for {writer}"));
    let target = writer_target(seen).ok_or_else(nowhere)?;
    match &seen.records {
        Seen::Known(names) => Ok((target, names)),
        Seen::NotAsked => Err(Reason::RecordsUnknown("it was not asked".to_owned())),
        Seen::Unavailable(problem) => Err(Reason::RecordsUnknown(problem.clone())),
    }
}

fn writer_step(seen: &Observed, target: &str, names: &NamesSeen) -> Result<Option<Step>, Reason> {
    let ours = seen.state.epoch;
    match (&names.writer, names.epoch) {
        (None, None) => Err(Reason::NotOpenYet),
        (Some(now), Some(epoch)) if epoch <= ours && same(now, target) => Ok(None),
        (Some(now), Some(epoch)) if epoch <= ours => {
            Ok(Some(Step::MoveWriterRecord { from: (now.clone(), epoch), to: (target.to_owned(), ours) }))
        }
        (target, epoch) => Err(Reason::RecordNotOurs { target: target.clone(), epoch, ours }),
    }
}

/// Whether an earlier look, [`APART`] from the newest, found the writer record not to be ours, too.
fn was_not_ours_before(looks: &[Observed]) -> bool {
    let newest = looks.last().map_or(0, |seen| seen.looked_at_ms);
    let apart = |seen: &&Observed| Duration::from_millis(newest.saturating_sub(seen.looked_at_ms)) >= APART;
    looks.iter().filter(apart).any(|seen| match known(seen) {
        Ok((target, names)) => matches!(writer_step(seen, &target, names), Err(Reason::RecordNotOurs { .. })),
        Err(_) => false,
    })
}

fn readers_step(seen: &Observed, names: &NamesSeen) -> Option<Step> {
    let wanted = readers(seen);
    let mut targets: Vec<String> = wanted.iter().map(|(_, target)| plain(target)).collect();
    let mut now: Vec<String> = names.readers.iter().map(|name| plain(name)).collect();
    targets.sort();
    now.sort();
    (!wanted.is_empty() && targets != now).then_some(Step::SetReaders(wanted))
}

/// Whether two names are one: DNS knows no case, and a final dot says nothing.
fn same(one: &str, other: &str) -> bool {
    plain(one) == plain(other)
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

impl Reason {
    /// A short word for the kind, by which repeated pages are held back.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Reason::Unsteady(_) => "dns-unsteady",
            Reason::EndpointUnknown(_) => "dns-endpoint-unknown",
            Reason::NoWriter { .. } => "dns-no-writer",
            Reason::NotOpenYet => "dns-not-open-yet",
            Reason::RecordsUnknown(_) => "dns-records-unknown",
            Reason::RecordNotOurs { .. } => "dns-record-not-ours",
        }
    }

    /// The page of a refusal.
    #[must_use]
    pub fn page(&self, seen: &Observed) -> Page {
        let answers: Vec<String> = seen.sql.iter().map(|(id, sql)| format!("{id}: PostgreSQL {sql}")).collect();
        let record = &seen.card.records.writer;
        let host = writer_target(seen).map_or_else(String::new, |it| format!("; meanwhile clients can use host={it}"));
        super::not_ours(&seen.card.cluster, record, &answers.join("; "), &self.to_string(), &host)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::LookAgain => write!(f, "look again in {} s", APART.as_secs()),
            Step::Hold { epoch } => write!(f, "take the lease of epoch {epoch}"),
            Step::MoveWriterRecord { to: (target, epoch), .. } => {
                write!(f, "move the writer record to {target}, epoch {epoch}")
            }
            Step::SetReaders(readers) => {
                let list: Vec<&str> = readers.iter().map(|(id, _)| id.as_str()).collect();
                write!(f, "let the reader record name {}", list.join(", "))
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Unsteady(unsteady) => write!(f, "{unsteady}"),
            Reason::EndpointUnknown(problem) => write!(f, "where the writer is reached is not known: {problem}"),
            Reason::NoWriter { writer, sql } => write!(f, "{writer}, the writer, {sql}"),
            Reason::NotOpenYet => f.write_str("the cluster has no records yet"),
            Reason::RecordsUnknown(problem) => write!(f, "Route 53 does not say what the records are: {problem}"),
            Reason::RecordNotOurs { target, epoch, ours } => {
                let epoch = epoch.map_or_else(|| "no epoch".to_owned(), |epoch| format!("epoch {epoch}"));
                let target = target.as_deref().unwrap_or("nothing");
                write!(f, "the writer record holds {target} with {epoch}, not what epoch {ours} may replace")
            }
        }
    }
}

#[cfg(test)]
mod tests;
