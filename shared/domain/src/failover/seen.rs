//! What one look at a member yields.

use crate::{lsn::Lsn, time::seconds};
use std::{fmt, net::IpAddr, time::Duration};

/// What EC2 says of a member's host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// Starting.
    Pending,
    /// Running, as far as EC2 knows: dead hardware is called running for minutes.
    Running,
    /// Being stopped; it may still be writing.
    Stopping,
    /// Stopped: nothing on it runs.
    Stopped,
    /// Being terminated; it may still be writing.
    ShuttingDown,
    /// Terminated: it will never run again.
    Terminated,
    /// EC2 does not know the id. Never evidence: a wrong Region says the same.
    Missing,
    /// EC2 did not answer, or answered a state that is not known here.
    Unknown(String),
}

/// What PostgreSQL on a member answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sql {
    /// Out of recovery: it accepts writes.
    Writer(WriterSeen),
    /// In recovery.
    Standby(StandbySeen),
    /// It answered, but could not be asked: too many clients, a failed login,
    /// starting up, shutting down. Alive all the same.
    Alive(String),
    /// The host answered that nothing listens on the port.
    Refused,
    /// Nothing answered in time.
    Silent(String),
    /// This look did not ask.
    NotAsked,
}

/// A member out of recovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterSeen {
    /// Current timeline, from the name of the current WAL file: after a
    /// promotion `pg_control_checkpoint()` shows the old one until a checkpoint.
    pub timeline: u32,
    /// Current write position.
    pub lsn: Lsn,
    /// The database cluster's identifier, the same on all its copies.
    pub system_id: u64,
    /// `synchronous_standby_names` as it is now.
    pub synchronous_setting: String,
    /// Standbys that are connected.
    pub streams: Vec<StreamSeen>,
    /// Physical replication slots.
    pub slots: Vec<String>,
}

/// A row of `pg_stat_replication`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSeen {
    /// `application_name`: the member's name.
    pub name: String,
    /// Whether it is in state `streaming`.
    pub streaming: bool,
    /// Flushed on the standby.
    pub flushed: Option<Lsn>,
}

/// A member in recovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandbySeen {
    /// Timeline it has received (or, when it never streamed, replayed).
    pub timeline: u32,
    /// The highest timeline that it knows of, by its history files: the next
    /// promotion on it takes the number after this.
    pub known_timeline: u32,
    /// `pg_last_wal_receive_lsn()`; falls back to the segment start after a
    /// restart without an upstream, so never trusted alone.
    pub received: Option<Lsn>,
    /// `pg_last_wal_replay_lsn()`.
    pub replayed: Option<Lsn>,
    /// The database cluster's identifier, the same on all its copies.
    pub system_id: u64,
    /// Its WAL receiver, when it has one.
    pub receiver: Option<ReceiverSeen>,
    /// The upstream that `primary_conninfo` names; `None` when it names none:
    /// the standby is frozen.
    pub upstream: Option<IpAddr>,
}

impl StandbySeen {
    /// The furthest position that this standby can replay to: promotion
    /// replays everything received.
    #[must_use]
    pub fn furthest(&self) -> Option<Lsn> {
        self.received.max(self.replayed)
    }
}

/// A member that has left recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromotedSeen {
    /// Its timeline.
    pub timeline: u32,
    /// Where recovery ended and its timeline begins; the current position when
    /// the server has been restarted since and no longer knows.
    pub lsn: Lsn,
}

/// A row of `pg_stat_wal_receiver`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverSeen {
    /// Whether its status is `streaming`.
    pub streaming: bool,
    /// Since the last message from the upstream, by the standby's own clock.
    pub silent_for: Duration,
    /// The upstream's address, `sender_host`, when it is an address.
    pub upstream: Option<IpAddr>,
}

impl Sql {
    /// Whether anything on the member answered.
    #[must_use]
    pub fn answers(&self) -> bool {
        matches!(self, Sql::Writer(_) | Sql::Standby(_) | Sql::Alive(_))
    }
}

impl fmt::Display for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sql::Writer(writer) => write!(f, "accepts writes at {}, timeline {}", writer.lsn, writer.timeline),
            Sql::Standby(standby) => {
                write!(f, "is a standby at {}", standby.furthest().unwrap_or_default())?;
                match (&standby.receiver, standby.upstream) {
                    (_, None) => write!(f, ", frozen"),
                    (None, Some(upstream)) => write!(f, ", without a stream from {upstream}"),
                    (Some(receiver), Some(upstream)) => {
                        write!(f, ", heard {upstream} {} ago", seconds(receiver.silent_for))
                    }
                }
            }
            Sql::Alive(answer) => write!(f, "answers: {answer}"),
            Sql::Refused => f.write_str("is not running (the port refuses)"),
            Sql::Silent(problem) => write!(f, "is silent ({problem})"),
            Sql::NotAsked => f.write_str("was not asked"),
        }
    }
}
