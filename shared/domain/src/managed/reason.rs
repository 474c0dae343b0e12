//! Why nothing is done to a managed cluster, or not yet.

use crate::time::{bytes, seconds};
use std::{fmt, time::Duration};

/// Why a pass waits or refuses. Prints as the one sentence that is logged and told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Another pass acts, for this much longer at most.
    LeaseHeld(Duration),
    /// No instance has written to this cluster yet, as far as was seen.
    NotAdopted,
    /// RDS does not answer.
    RdsSilent {
        /// What failed.
        problem: String,
        /// Until a person is told; zero: now.
        left: Duration,
    },
    /// RDS does not know the writer of record.
    WriterGone(String),
    /// Two instances accept writes of clients.
    TwoWriters {
        /// One of them.
        one: String,
        /// The other.
        other: String,
    },
    /// The writer of record is in recovery.
    WriterInRecovery(String),
    /// The writer answers, but could not be asked.
    AliveButBusy {
        /// Which instance.
        instance: String,
        /// What it answered.
        answer: String,
    },
    /// RDS and PostgreSQL name different writers.
    Differ {
        /// Whom RDS names.
        rds: Option<String>,
        /// Who accepts writes.
        writes: Option<String>,
        /// Until a person is told; zero: now.
        left: Duration,
    },
    /// The writer is silent to this look only, or to too few probes.
    NotSuspected {
        /// Which instance.
        instance: String,
        /// Failed probes in a row so far.
        failures: u32,
        /// How many it takes.
        needed: u32,
    },
    /// The writer is silent, and AWS has time to fail over or to restart it.
    AwaitingAws {
        /// Which instance.
        instance: String,
        /// RDS's word for its status.
        status: String,
        /// How much time.
        left: Duration,
    },
    /// The writer is silent, and AWS did nothing in the time that it had.
    AwsDidNothing {
        /// Which instance.
        instance: String,
        /// RDS's word for its status.
        status: String,
        /// Since when.
        silent_for: Duration,
        /// Why nothing is done here.
        why: String,
    },
    /// RDS calls the writer well, it is silent, and readers answer: not for long enough yet.
    GrayFor {
        /// Which instance.
        instance: String,
        /// Until a failover is ordered.
        left: Duration,
    },
    /// The same, and by policy a person orders the failover.
    GrayFailure {
        /// Which instance.
        instance: String,
        /// Since when.
        silent_for: Duration,
        /// The best reader.
        best: String,
    },
    /// A replica heard the writer a moment ago.
    StillStreaming {
        /// Which replica.
        replica: String,
        /// How long ago.
        heard: Duration,
    },
    /// No replica answers that could say whether it hears the writer.
    NoWitness(String),
    /// Our probes do not reach the writer, and everything else says that it lives; or they reach nobody.
    ProbePathBroken {
        /// What speaks for the writer.
        because: String,
    },
    /// Nobody may take over.
    Nobody(String),
    /// Who would take over cannot be promoted in its present status.
    CandidateBusy {
        /// Which replica.
        instance: String,
        /// RDS's word for its status.
        status: String,
    },
    /// A person wants nothing to be done.
    Paused {
        /// For how much longer.
        left: Duration,
        /// Why.
        why: String,
    },
    /// A pause has just ended.
    Grace(Duration),
    /// The last failover was too recent.
    CoolDown(Duration),
    /// Too many failovers.
    TooMany {
        /// Within the last hour.
        failovers: usize,
        /// How many are allowed.
        allowed: u32,
    },
    /// The storage is full.
    DiskFull(String),
    /// By policy a person decides about promotions.
    AskFirst {
        /// Who is down.
        instance: String,
        /// Who would be promoted.
        best: String,
        /// Bytes of log that it lacks.
        bytes: u64,
    },
    /// The replica lacks more log than the policy allows.
    WouldLose {
        /// How much.
        bytes: u64,
        /// Milliseconds of writes, when known.
        ms: Option<u64>,
        /// How much it may.
        allowed: u64,
    },
    /// How much would be lost is not known.
    LossUnknown {
        /// How much may be.
        allowed: u64,
        /// Whether `watch-clusters` may still say how far the old writer had come.
        may_come: bool,
    },
    /// The old writer is being cut off.
    AwaitingIsolation {
        /// The old writer.
        instance: String,
        /// How far that is.
        status: String,
    },
    /// Nothing proves that clients can write to the old writer no more.
    NoEvidence {
        /// The old writer.
        instance: String,
        /// RDS's word for its status.
        status: String,
        /// What was tried.
        tried: String,
    },
    /// The old writer answers again.
    AliveAfterAll(String),
    /// A failover was ordered, and AWS is at it.
    AwaitingFailover {
        /// To whom.
        to: String,
        /// How much time AWS has left.
        left: Duration,
    },
    /// A failover was ordered, and nothing of it is seen. It is never ordered twice.
    OrderUnseen {
        /// To whom.
        to: String,
        /// How long ago.
        since: Duration,
    },
    /// A promotion was ordered, and RDS is at it.
    Promoting {
        /// Whom.
        instance: String,
        /// RDS's word for its status.
        status: String,
        /// How long ago it was ordered.
        since: Duration,
    },
    /// The new writer does not answer.
    NewWriterSilent {
        /// Which instance.
        instance: String,
        /// What it answers.
        sql: String,
    },
    /// Route 53 does not answer: the record waits.
    RecordWaits {
        /// Who writes.
        writer: String,
        /// Name of the endpoint that the record shall have.
        target: String,
        /// What failed.
        problem: String,
    },
    /// The writer record is not one that the present epoch may replace.
    RecordNotOurs {
        /// What it names.
        target: Option<String>,
        /// The epoch that the TXT record carries.
        epoch: Option<u64>,
        /// The epoch of the state item.
        ours: u64,
    },
    /// An old writer runs on, cut off from its clients by the network ACL of its subnet: as long as it does, nothing
    /// else can be made there.
    FormerRuns {
        /// Which instance.
        instance: String,
        /// RDS's word for its status.
        status: String,
        /// Its subnet.
        subnet: String,
    },
    /// RDS has been at something for long.
    Stuck {
        /// What: an instance or a DB cluster.
        what: String,
        /// RDS's word for its status.
        status: String,
        /// For how long.
        since: Duration,
        /// Whether that is too long.
        told: bool,
    },
    /// What a person asked for is not possible; an answer, no page.
    Asked(String),
}

impl Reason {
    /// A short word for the kind, by which repeated pages are held back.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Reason::LeaseHeld(_) => "lease-held",
            Reason::NotAdopted => "not-adopted",
            Reason::RdsSilent { .. } => "rds-silent",
            Reason::WriterGone(_) => "writer-gone",
            Reason::TwoWriters { .. } => "two-writers",
            Reason::WriterInRecovery(_) => "writer-in-recovery",
            Reason::AliveButBusy { .. } => "alive-but-busy",
            Reason::Differ { .. } => "writer-differs",
            Reason::NotSuspected { .. } => "not-suspected",
            Reason::AwaitingAws { .. } => "awaiting-aws",
            Reason::AwsDidNothing { .. } => "aws-did-nothing",
            Reason::GrayFor { .. } => "gray",
            Reason::GrayFailure { .. } => "gray-failure",
            Reason::StillStreaming { .. } => "still-streaming",
            Reason::NoWitness(_) => "no-witness",
            Reason::ProbePathBroken { .. } => "probe-path-broken",
            Reason::Nobody(_) => "nobody-may-take-over",
            Reason::CandidateBusy { .. } => "candidate-busy",
            Reason::Paused { .. } => "paused",
            Reason::Grace(_) => "grace",
            Reason::CoolDown(_) => "cool-down",
            Reason::TooMany { .. } => "too-many",
            Reason::DiskFull(_) => "disk-full",
            Reason::AskFirst { .. } => "ask-first",
            Reason::WouldLose { .. } => "would-lose",
            Reason::LossUnknown { .. } => "loss-unknown",
            Reason::AwaitingIsolation { .. } => "awaiting-isolation",
            Reason::NoEvidence { .. } => "no-evidence",
            Reason::AliveAfterAll(_) => "alive-after-all",
            Reason::AwaitingFailover { .. } => "awaiting-failover",
            Reason::OrderUnseen { .. } => "order-unseen",
            Reason::Promoting { .. } => "promoting",
            Reason::NewWriterSilent { .. } => "new-writer-silent",
            Reason::RecordWaits { .. } => "record-waits",
            Reason::RecordNotOurs { .. } => "record-not-ours",
            Reason::FormerRuns { .. } => "former-runs",
            Reason::Stuck { .. } => "stuck",
            Reason::Asked(_) => "asked",
        }
    }

    /// Whether waiting may cure it, so that nobody is paged.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Reason::NotSuspected { .. }
                | Reason::AliveButBusy { .. }
                | Reason::StillStreaming { .. }
                | Reason::NoWitness(_)
                | Reason::CandidateBusy { .. }
                | Reason::Grace(_)
                | Reason::LossUnknown { may_come: true, .. }
        )
    }

    /// Whether it answers who asked, so that nobody is paged.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        matches!(self, Reason::Asked(_))
    }

    /// After so long the same is told again.
    #[must_use]
    pub fn tell_again(&self) -> Duration {
        match self {
            Reason::TwoWriters { .. }
            | Reason::RecordWaits { .. }
            | Reason::NoEvidence { .. }
            | Reason::WouldLose { .. }
            | Reason::LossUnknown { .. }
            | Reason::AskFirst { .. }
            | Reason::AwsDidNothing { .. } => Duration::from_secs(15 * 60),
            _ => Duration::from_secs(60 * 60),
        }
    }
}

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
                "the storage of {id} is full; nobody takes over, since another writer would fill its own in the same way"
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
                "replication is asynchronous and no probe saw how far the old writer had come; the policy allows to lose {}",
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
                "{instance}, an old writer, is {status}; the network ACL that keeps its clients from it stays on subnet \
                 {subnet} as long as it runs, and its successor waits for that"
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
