//! Why nothing is done to a managed cluster, or not yet.

use std::time::Duration;

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
