//! Why nothing is done yet, or cannot be.

use super::Host;
use crate::time::{bytes, seconds};
use std::{fmt, net::IpAddr, time::Duration};

/// Why nothing is done yet, or cannot be. Prints as one sentence: the log line,
/// the page and the test failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Another pass acts.
    LeaseHeld(Duration),
    /// No member has claimed the cluster yet.
    NotClaimed,
    /// The state item names a writer that the card does not know.
    WriterNotInCard(String),
    /// A member that is not the named writer accepts writes.
    TwoWriters {
        /// The writer of the state item.
        named: String,
        /// The other one.
        other: String,
    },
    /// The named writer is a standby.
    WriterInRecovery(String),
    /// It answers, though not with what was asked.
    AliveButBusy {
        /// Which member.
        member: String,
        /// What it answered.
        answer: String,
    },
    /// This look did not ask.
    NotAsked(String),
    /// Fewer failed probes in a row than the policy wants.
    NotSuspected {
        /// Which member.
        member: String,
        /// Failed probes in a row.
        failures: u32,
        /// How many are needed.
        needed: u32,
    },
    /// PostgreSQL is gone, its host is fine: it may come back by itself.
    LocalRestart {
        /// Which member.
        member: String,
        /// How much longer it may take.
        left: Duration,
    },
    /// A standby still hears the writer; it may just have died.
    StillStreaming {
        /// Which standby.
        standby: String,
        /// Since its last message.
        heard: Duration,
    },
    /// A standby hears the writer, we do not.
    ProbePathBroken {
        /// Which standby.
        standby: String,
        /// Since its last message.
        heard: Duration,
    },
    /// The records were not created yet: nobody uses the cluster.
    NotOpenYet,
    /// The last change of writer was a short time ago.
    CoolDown(Duration),
    /// No standby answers.
    NoStandbyAnswers,
    /// Too few of the synchronous set to be sure to see every acknowledged commit.
    QuorumMissing {
        /// How many answer.
        visible: usize,
        /// How many must.
        needed: usize,
        /// Of how many.
        names: usize,
    },
    /// The best standby lacks log from before the published set was made.
    BelowFloor {
        /// How much.
        bytes: u64,
    },
    /// The old writer's setting is not what was published, so that nobody knows
    /// which standbys acknowledged.
    NotAsPublished {
        /// The old writer.
        member: String,
        /// Its `synchronous_standby_names`, as a probe saw it.
        setting: String,
        /// What was published.
        published: String,
    },
    /// I10: a person wants nothing to be done.
    Paused {
        /// For how much longer.
        left: Duration,
        /// Why, in that person's words.
        why: String,
    },
    /// A pause has just ended.
    Grace(Duration),
    /// I10: the disk of the writer is full, as will be the next one's.
    DiskFull(String),
    /// I4: too many failovers within an hour.
    TooMany {
        /// How many.
        failovers: usize,
        /// How many may be.
        allowed: u32,
    },
    /// The writer is well, but its commits wait for standbys that are not there.
    CommitsWait {
        /// The writer.
        writer: String,
        /// Standbys of the set that stream.
        streaming: usize,
        /// How many a commit needs.
        required: usize,
    },
    /// A switchover to nobody of this cluster.
    TargetUnknown {
        /// Who was asked for.
        to: String,
        /// Who could be.
        members: Vec<String>,
    },
    /// A switchover to the writer.
    TargetIsWriter(String),
    /// A switchover to a member that may never write.
    TargetNeverPromoted(String),
    /// A switchover to a member that does not stream from the writer.
    TargetNotFollowing {
        /// Which member.
        member: String,
        /// What PostgreSQL on it answered.
        sql: String,
    },
    /// A switchover to a member that is far behind.
    TargetLags {
        /// Which member.
        member: String,
        /// How far.
        bytes: u64,
        /// How far it may be.
        allowed: u64,
    },
    /// A switchover that was given up.
    SwitchoverFailed(String),
    /// The old writer is cut from everybody, and will have stopped itself.
    AwaitingFence {
        /// The old writer.
        member: String,
        /// How much longer that may take.
        left: Duration,
    },
    /// Two standbys are not copies of one database.
    DifferentDatabases {
        /// One.
        one: String,
        /// The other.
        other: String,
    },
    /// Every standby that answers is marked never to be promoted.
    NobodyMayBePromoted,
    /// The best standby never heard of the last writer's timeline, and would give
    /// its own the same number.
    TimelineUnknown {
        /// Which standby.
        member: String,
        /// The timeline.
        taken: u32,
    },
    /// The best standby has log that is no part of the last writer's history.
    OtherHistory {
        /// Which standby.
        member: String,
        /// The last writer's timeline.
        taken: u32,
    },
    /// A member that may have heard the writer lately did not answer this look.
    WitnessSilent {
        /// Which member.
        member: String,
        /// How much longer it is waited for.
        left: Duration,
    },
    /// A standby that may not be promoted has more log than the best that may.
    SurvivorAhead {
        /// Who is ahead.
        survivor: String,
        /// Who would be promoted.
        chosen: String,
        /// By how much.
        bytes: u64,
    },
    /// The best standby lacks more log than the policy allows.
    WouldLose {
        /// How much.
        bytes: u64,
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
    /// A promotion was begun, and the member does not say whether it was done.
    PromotionUnknown(String),
    /// The new writer does not answer.
    NewWriterSilent {
        /// Which member.
        member: String,
        /// Since when.
        silent_for: Duration,
    },
    /// The old writer answers again.
    AliveAfterAll(String),
    /// The old writer's instance is being stopped.
    AwaitingStop(String),
    /// Nothing proves that the old writer can write no more.
    NoEvidence {
        /// The old writer.
        member: String,
        /// What EC2 says of it.
        host: String,
    },
    /// The new writer works, but Route 53 does not take the record's move.
    RecordWaits {
        /// The new writer.
        writer: String,
        /// Its address.
        address: IpAddr,
        /// What Route 53 answered.
        problem: String,
    },
    /// The records are not as this change may find them.
    RecordNotOurs {
        /// What the writer record names.
        addresses: Vec<IpAddr>,
        /// The epoch that the TXT record carries.
        epoch: Option<u64>,
        /// The epoch of this change.
        ours: u64,
    },
}

impl Reason {
    /// Whether waiting may cure it, so that nobody is paged.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Reason::LeaseHeld(_)
                | Reason::NotClaimed
                | Reason::AliveButBusy { .. }
                | Reason::NotAsked(_)
                | Reason::NotSuspected { .. }
                | Reason::LocalRestart { .. }
                | Reason::StillStreaming { .. }
                | Reason::NotOpenYet
                | Reason::LossUnknown { may_come: true, .. }
                | Reason::NewWriterSilent { .. }
                | Reason::AwaitingStop(_)
                | Reason::AwaitingFence { .. }
                | Reason::Grace(_)
                | Reason::WitnessSilent { .. }
        )
    }

    /// Whether it refuses what a person asked for: the answer says so, and
    /// nobody is paged.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        matches!(
            self,
            Reason::TargetUnknown { .. }
                | Reason::TargetIsWriter(_)
                | Reason::TargetNeverPromoted(_)
                | Reason::TargetNotFollowing { .. }
                | Reason::TargetLags { .. }
        )
    }

    /// A short word for the kind, by which repeated pages are held back.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Reason::LeaseHeld(_) => "lease-held",
            Reason::NotClaimed => "not-claimed",
            Reason::WriterNotInCard(_) => "writer-not-in-card",
            Reason::TwoWriters { .. } => "two-writers",
            Reason::WriterInRecovery(_) => "writer-in-recovery",
            Reason::AliveButBusy { .. } => "alive-but-busy",
            Reason::NotAsked(_) => "not-asked",
            Reason::NotSuspected { .. } => "not-suspected",
            Reason::LocalRestart { .. } => "local-restart",
            Reason::StillStreaming { .. } => "still-streaming",
            Reason::ProbePathBroken { .. } => "probe-path-broken",
            Reason::NotOpenYet => "not-open-yet",
            Reason::CoolDown(_) => "cool-down",
            Reason::NoStandbyAnswers => "no-standby-answers",
            Reason::QuorumMissing { .. } => "quorum-missing",
            Reason::BelowFloor { .. } => "below-floor",
            Reason::NotAsPublished { .. } => "not-as-published",
            Reason::Paused { .. } => "paused",
            Reason::Grace(_) => "grace",
            Reason::DiskFull(_) => "disk-full",
            Reason::TooMany { .. } => "too-many",
            Reason::CommitsWait { .. } => "commits-wait",
            Reason::TargetUnknown { .. } => "target-unknown",
            Reason::TargetIsWriter(_) => "target-is-writer",
            Reason::TargetNeverPromoted(_) => "target-never-promoted",
            Reason::TargetNotFollowing { .. } => "target-not-following",
            Reason::TargetLags { .. } => "target-lags",
            Reason::SwitchoverFailed(_) => "switchover-failed",
            Reason::AwaitingFence { .. } => "awaiting-fence",
            Reason::DifferentDatabases { .. } => "different-databases",
            Reason::NobodyMayBePromoted => "nobody-may-be-promoted",
            Reason::TimelineUnknown { .. } => "timeline-unknown",
            Reason::OtherHistory { .. } => "other-history",
            Reason::WitnessSilent { .. } => "witness-silent",
            Reason::SurvivorAhead { .. } => "survivor-ahead",
            Reason::WouldLose { .. } => "would-lose",
            Reason::LossUnknown { .. } => "loss-unknown",
            Reason::PromotionUnknown(_) => "promotion-unknown",
            Reason::NewWriterSilent { .. } => "new-writer-silent",
            Reason::AliveAfterAll(_) => "alive-after-all",
            Reason::AwaitingStop(_) => "awaiting-stop",
            Reason::NoEvidence { .. } => "no-evidence",
            Reason::RecordWaits { .. } => "record-waits",
            Reason::RecordNotOurs { .. } => "record-not-ours",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::LeaseHeld(left) => write!(f, "another pass holds the lease for {} more", seconds(*left)),
            Reason::NotClaimed => write!(f, "no member has claimed the cluster yet"),
            Reason::WriterNotInCard(id) => {
                write!(f, "the state item names {id} as writer, which the card does not know")
            }
            Reason::TwoWriters { named, other } => {
                write!(f, "{other} accepts writes although {named} is the writer")
            }
            Reason::WriterInRecovery(id) => write!(f, "{id} is named writer but is in recovery"),
            Reason::AliveButBusy { member, answer } => write!(f, "{member} is alive: {answer}"),
            Reason::NotAsked(what) => write!(f, "{what} was not asked in this look"),
            Reason::NotSuspected { member, failures, needed } => {
                write!(f, "{member} does not answer this look; {failures} of {needed} failed probes in a row so far")
            }
            Reason::LocalRestart { member, left } => {
                write!(
                    f,
                    "PostgreSQL on {member} is gone, its host is fine: {} left to restart by itself",
                    seconds(*left)
                )
            }
            Reason::StillStreaming { standby, heard } => {
                write!(f, "standby {standby} heard the writer {} ago", seconds(*heard))
            }
            Reason::ProbePathBroken { standby, heard } => write!(
                f,
                "probe path broken: standby {standby} heard the writer {} ago, only our probes do not reach it",
                seconds(*heard)
            ),
            Reason::NotOpenYet => write!(f, "the cluster's records do not exist yet"),
            Reason::CoolDown(left) => {
                write!(f, "the last change of writer was too recent: {} of cool-down left", seconds(*left))
            }
            Reason::NoStandbyAnswers => write!(f, "no standby answers"),
            Reason::QuorumMissing { visible, needed, names } => write!(
                f,
                "{visible} of {names} synchronous standbys answer, {needed} must, \
                 or an acknowledged commit could be lost"
            ),
            Reason::BelowFloor { bytes: lost } => write!(
                f,
                "the best standby lacks {} of log from before the set of synchronous standbys was made; \
                 acknowledged commits may be among it",
                bytes(*lost)
            ),
            Reason::NotAsPublished { member, setting, published } => write!(
                f,
                "synchronous_standby_names on {member} was {setting}, published is {published}: \
                 nobody knows which standbys acknowledged"
            ),
            Reason::Paused { left, why } => write!(f, "paused for {} more: {why}", seconds(*left)),
            Reason::Grace(left) => write!(f, "a pause has just ended: {} of grace left", seconds(*left)),
            Reason::DiskFull(id) => {
                write!(
                    f,
                    "the data disk of {id} is full; nobody takes over, since another writer would fill its own in the same way"
                )
            }
            Reason::TooMany { failovers, allowed } => {
                write!(f, "{failovers} failovers within an hour, the policy allows {allowed}")
            }
            Reason::CommitsWait { writer, streaming, required } => write!(
                f,
                "commits on {writer} wait: {streaming} of the synchronous standbys stream, a commit needs {required}"
            ),
            Reason::TargetUnknown { to, members } => {
                write!(f, "{to} is no member of this cluster that could take over; it has {}", members.join(", "))
            }
            Reason::TargetIsWriter(id) => write!(f, "{id} is the writer already"),
            Reason::TargetNeverPromoted(id) => write!(f, "{id} is marked never to be promoted"),
            Reason::TargetNotFollowing { member, sql } => {
                write!(f, "{member} does not stream from the writer: it {sql}")
            }
            Reason::TargetLags { member, bytes: behind, allowed } => {
                write!(f, "{member} is {} behind the writer, a switchover allows {}", bytes(*behind), bytes(*allowed))
            }
            Reason::SwitchoverFailed(why) => write!(f, "the switchover was given up: {why}"),
            Reason::AwaitingFence { member, left } => write!(
                f,
                "{member} cannot be stopped, but is cut from every standby: its guard will certainly have \
                 stopped PostgreSQL in {}",
                seconds(*left)
            ),
            Reason::DifferentDatabases { one, other } => {
                write!(f, "{one} and {other} are not copies of one database (system identifiers differ)")
            }
            Reason::NobodyMayBePromoted => write!(f, "every standby that answers is marked never to be promoted"),
            Reason::TimelineUnknown { member, taken } => write!(
                f,
                "{member}, the best standby, never heard of timeline {taken}, the last writer's, and would give its \
                 own history the same number"
            ),
            Reason::OtherHistory { member, taken } => write!(
                f,
                "{member}, the best standby, has log from before timeline {taken} that the last writer never had"
            ),
            Reason::WitnessSilent { member, left } => write!(
                f,
                "{member}, which may still hear the writer, did not answer this look; it is waited for for {} more",
                seconds(*left)
            ),
            Reason::SurvivorAhead { survivor, chosen, bytes: ahead } => {
                write!(f, "{survivor} has {} more log than {chosen}, the best that may be promoted", bytes(*ahead))
            }
            Reason::WouldLose { bytes: lost, allowed } => {
                write!(f, "taking over would lose {} of log, the policy allows {}", bytes(*lost), bytes(*allowed))
            }
            Reason::LossUnknown { allowed, .. } => write!(
                f,
                "replication is asynchronous and no probe saw how far the old writer had come; the policy allows to lose {}",
                bytes(*allowed)
            ),
            Reason::PromotionUnknown(id) => {
                write!(f, "a promotion of {id} was begun and {id} does not say whether it was done")
            }
            Reason::NewWriterSilent { member, silent_for } => {
                write!(f, "the new writer {member} has not answered for {}", seconds(*silent_for))
            }
            Reason::AliveAfterAll(id) => write!(f, "{id} answers again"),
            Reason::AwaitingStop(id) => write!(f, "instance {id} is being stopped; `stopping` is no proof yet"),
            Reason::NoEvidence { member, host } => {
                write!(f, "nothing proves that {member} can write no more: EC2 says {host}")
            }
            Reason::RecordWaits { writer, address, problem } => {
                write!(f, "{writer} ({address}) is the writer, but its record waits for Route 53: {problem}")
            }
            Reason::RecordNotOurs { addresses, epoch, ours } => {
                let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                let epoch = epoch.map_or_else(|| "no epoch".to_owned(), |epoch| format!("epoch {epoch}"));
                write!(
                    f,
                    "the writer record holds [{}] with {epoch}, not what epoch {ours} may replace",
                    list.join(", ")
                )
            }
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Pending => f.write_str("pending"),
            Host::Running => f.write_str("running"),
            Host::Stopping => f.write_str("stopping"),
            Host::Stopped => f.write_str("stopped"),
            Host::ShuttingDown => f.write_str("shutting-down"),
            Host::Terminated => f.write_str("terminated"),
            Host::Missing => f.write_str("nothing of this id"),
            Host::Unknown(answer) => write!(f, "nothing we understand ({answer})"),
        }
    }
}
