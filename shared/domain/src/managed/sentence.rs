//! The sentences of the reasons: log line, page and test failure.

use super::Reason;
use crate::time::{bytes, seconds};
use std::{fmt, time::Duration};

/// `; a person is told in 3.0 s`, or nothing when that is now.
fn told_in(left: &Duration) -> String {
    if left.is_zero() { String::new() } else { format!("; a person is told in {}", seconds(*left)) }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::LeaseHeld(left) => write!(f, "another pass holds the lease, for {} at most", seconds(*left)),
            Reason::NotAdopted => f.write_str("no instance of this cluster accepts writes yet"),
            Reason::RdsSilent { problem, left } => write!(f, "RDS does not answer: {problem}{}", told_in(left)),
            Reason::WriterGone(id) => write!(f, "RDS does not know {id}, the writer of record"),
            Reason::TwoWriters { one, other } => write!(f, "{one} and {other} both accept writes"),
            Reason::WriterInRecovery(id) => write!(f, "{id} is the writer of record but is in recovery"),
            Reason::AliveButBusy { instance, answer } => write!(f, "{instance} is alive: {answer}"),
            Reason::Differ { rds, writes, left } => {
                let name = |id: &Option<String>| id.clone().unwrap_or_else(|| "nobody".to_owned());
                let (rds, writes) = (name(rds), name(writes));
                write!(f, "RDS calls {rds} the writer, and {writes} accepts writes{}", told_in(left))
            }
            Reason::NotSuspected { instance, failures, needed } => {
                write!(f, "{instance} does not answer this look; {failures} of {needed} failed probes in a row so far")
            }
            Reason::AwaitingAws { instance, status, left } => write!(
                f,
                "{instance} is silent, RDS calls it {status}; AWS has {} left to fail over or to restart it",
                seconds(*left)
            ),
            Reason::AwsDidNothing { instance, status, silent_for, why } => write!(
                f,
                "{instance} has been silent for {}, RDS calls it {status}, and AWS has not failed over: {why}",
                seconds(*silent_for)
            ),
            Reason::GrayFor { instance, left } => write!(
                f,
                "{instance} is silent and RDS calls it available, while readers answer; a failover is ordered in {}",
                seconds(*left)
            ),
            Reason::GrayFailure { instance, silent_for, best } => write!(
                f,
                "{instance} has been silent for {} and RDS calls it available, while readers answer; \
                 by policy a person orders the failover, to {best}",
                seconds(*silent_for)
            ),
            Reason::StillStreaming { replica, heard } => {
                write!(f, "replica {replica} heard the writer {} ago", seconds(*heard))
            }
            Reason::NoWitness(id) => {
                write!(f, "{id} is silent, and no replica answers that could say whether it hears it")
            }
            Reason::ProbePathBroken { because } => write!(f, "probe path broken: {because}"),
            Reason::Nobody(why) => write!(f, "nobody may take over: {why}"),
            Reason::CandidateBusy { instance, status } => {
                write!(f, "{instance}, who would be promoted, is {status}, and RDS promotes only what is available")
            }
            _ => self.late(f),
        }
    }
}

impl Reason {
    /// The sentences of what speaks against a change, and of one that is under way.
    fn late(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Paused { left, why } => write!(f, "paused for {} more: {why}", seconds(*left)),
            Reason::Grace(left) => write!(f, "a pause has just ended: {} of grace left", seconds(*left)),
            Reason::CoolDown(left) => {
                write!(f, "the last change of writer was too recent: {} of cool-down left", seconds(*left))
            }
            Reason::TooMany { failovers, allowed } => {
                write!(f, "{failovers} failovers within an hour, the policy allows {allowed}")
            }
            Reason::DiskFull(id) => write!(
                f,
                "the storage of {id} is full; nobody takes over, since another writer would fill its own in the \
                 same way"
            ),
            Reason::AskFirst { instance, best, bytes: lost } => write!(
                f,
                "{instance} is down, and by policy a person decides whether {best} is promoted, which lacks {}",
                bytes(*lost)
            ),
            Reason::WouldLose { bytes: lost, ms, allowed } => {
                let span = ms.map_or_else(String::new, |ms| format!(" ({})", seconds(Duration::from_millis(ms))));
                let (lost, allowed) = (bytes(*lost), bytes(*allowed));
                write!(f, "taking over would lose {lost} of log{span}, the policy allows {allowed}")
            }
            Reason::LossUnknown { allowed, .. } => write!(
                f,
                "replication is asynchronous and no probe saw how far the old writer had come; the policy allows to \
                 lose {}",
                bytes(*allowed)
            ),
            Reason::AwaitingIsolation { instance, status } => write!(f, "{instance} is being cut off: {status}"),
            Reason::NoEvidence { instance, status, tried } => {
                write!(f, "nothing proves that clients can write to {instance} no more: RDS calls it {status}; {tried}")
            }
            Reason::AliveAfterAll(id) => write!(f, "{id} answers again"),
            Reason::AwaitingFailover { to, left } => {
                write!(f, "the failover to {to} was ordered; AWS has {} left for it", seconds(*left))
            }
            Reason::OrderUnseen { to, since } => write!(
                f,
                "a failover to {to} was ordered {} ago and nothing of it is seen; it is not ordered a second time",
                seconds(*since)
            ),
            Reason::Promoting { instance, status, since } => {
                write!(f, "the promotion of {instance} was ordered {} ago; RDS calls it {status}", seconds(*since))
            }
            Reason::NewWriterSilent { instance, sql } => {
                write!(f, "{instance} was promoted, and PostgreSQL on it {sql}")
            }
            Reason::RecordWaits { writer, target, problem } => {
                write!(f, "{writer} ({target}) writes, and its record waits for Route 53: {problem}")
            }
            Reason::RecordNotOurs { target, epoch, ours } => {
                let target = target.as_deref().unwrap_or("nothing");
                let epoch = epoch.map_or_else(|| "no epoch".to_owned(), |epoch| format!("epoch {epoch}"));
                write!(f, "the writer record holds [{target}] with {epoch}, not what epoch {ours} may replace")
            }
            Reason::FormerRuns { instance, status, subnet } => write!(
                f,
                "{instance}, an old writer, is {status}; the network ACL that keeps its clients from it stays on \
                 subnet {subnet} as long as it runs, and its successor waits for that"
            ),
            Reason::Stuck { what, status, since, told } => {
                let long = if *told { ", longer than the policy takes for normal" } else { "" };
                write!(f, "RDS has called {what} {status} for {}{long}", seconds(*since))
            }
            Reason::Asked(answer) => f.write_str(answer),
            _ => f.write_str(self.kind()),
        }
    }
}
