//! A member: its host, its data and its PostgreSQL.

use crate::{clock::Ms, network::MOST};
use domain::{
    failover::Host as SaidHost,
    state::{GuardSeen, Synchronous},
};
use std::collections::VecDeque;

/// What EC2 knows of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ec2 {
    /// Starting.
    Pending,
    /// Running, as far as EC2 knows.
    Running,
    /// Being stopped; it may still run.
    Stopping,
    /// Stopped.
    Stopped,
}

impl Ec2 {
    pub(crate) fn said(self) -> SaidHost {
        match self {
            Ec2::Pending => SaidHost::Pending,
            Ec2::Running => SaidHost::Running,
            Ec2::Stopping => SaidHost::Stopping,
            Ec2::Stopped => SaidHost::Stopped,
        }
    }
}

/// The machine.
#[derive(Debug)]
pub struct Host {
    /// What EC2 knows.
    pub ec2: Ec2,
    /// What it knew before, for answers that lag behind.
    pub before: Ec2,
    /// When that changed.
    pub changed: Ms,
    /// Whether its operating system runs; dead hardware does not.
    pub up: bool,
    /// Whether its processes stand still.
    pub hung: bool,
    /// When they last went on.
    pub went_on: Option<Ms>,
    /// Counts boots and ends: what was planned for an earlier one does not happen.
    pub boot: u32,
    /// Its hardware is dead: it runs again only after a stop and a start.
    pub dead: bool,
}

/// What lies on its disk.
#[derive(Debug)]
pub struct Data {
    /// Which history of the log this is, see [`Branch`].
    pub branch: usize,
    /// The end of the log that is on disk.
    pub lsn: u64,
    /// `pg_controldata`'s latest checkpoint.
    pub checkpoint: u64,
    /// Whether PostgreSQL was shut down in order.
    pub clean: bool,
    /// `standby.signal`.
    pub standby: bool,
    /// The upstream in `primary_conninfo`.
    pub upstream: Option<usize>,
    /// `synchronous_standby_names` where it was altered.
    pub setting: Option<String>,
    /// Physical slots, a bit for each member.
    pub slots: u8,
}

/// PostgreSQL's processes.
#[derive(Debug)]
pub enum Process {
    /// None.
    Down,
    /// Starting up: it answers that it does.
    Starting,
    /// In recovery.
    Standby(Standby),
    /// Out of recovery.
    Writer(Writer),
}

/// PostgreSQL in recovery.
#[derive(Debug, Default)]
pub struct Standby {
    /// Until then it reads the log on its own disk.
    pub reads_from: Ms,
    /// See above.
    pub reads_until: Ms,
    /// `pg_last_wal_receive_lsn()`.
    pub received: Option<u64>,
    /// Replayed before the last piece of log came.
    pub replayed: u64,
    /// When that piece is replayed.
    pub replayed_at: Ms,
    /// Replay waits for a query until then, and heeds no reload.
    pub conflict_until: Ms,
    /// Its WAL receiver.
    pub receiver: Option<Receiver>,
    /// The next attempt to connect is planned.
    pub connecting: bool,
    /// `pg_promote` was called.
    pub promoting: bool,
}

/// The receiving end of a stream.
#[derive(Debug)]
pub struct Receiver {
    /// From whom.
    pub up: usize,
    /// The history of the log that comes.
    pub branch: usize,
    /// Number of the connection.
    pub conn: u32,
    /// When a message came last.
    pub heard: Ms,
}

/// PostgreSQL out of recovery.
#[derive(Debug)]
pub struct Writer {
    /// Whom commits wait for, as the server has read it.
    pub applied: Synchronous,
    /// Commits that wait, oldest first.
    pub pending: VecDeque<Commit>,
    /// The sending ends of its streams.
    pub streams: [Option<Sender>; MOST],
    /// When its guard last looked at the standbys, and when it next reads the state item.
    pub looked: Ms,
    /// See above.
    pub reads_at: Ms,
    /// When its guard last reached the state item or saw a standby.
    pub contact: Ms,
    /// Whether its guard read, at its last turn, that it shall end.
    pub told_to_stop: bool,
    /// An end is ordered.
    pub stopping: bool,
}

/// The sending end of a stream.
#[derive(Debug)]
pub struct Sender {
    /// Number of the connection.
    pub conn: u32,
    /// How far the standby has said that it flushed.
    pub flushed: Option<u64>,
    /// When it said anything last.
    pub heard: Ms,
    /// How far log is on its way.
    pub sent: u64,
    /// Whether a piece is on its way.
    pub busy: bool,
}

/// A commit that a client waits for.
#[derive(Debug, Clone, Copy)]
pub struct Commit {
    /// Where it ends in the log.
    pub lsn: u64,
    /// Whose.
    pub client: usize,
    /// The client's number of it.
    pub number: u32,
}

/// What the boot guard and the guard of a member remember.
#[derive(Debug, Default)]
pub struct Guards {
    /// What the boot guard wrote last, and for what it read in the state item.
    pub written: Option<(u64, bool, Option<String>)>,
    /// The item of the boot guard.
    pub item: Option<GuardSeen>,
    /// Counts turns of `start.sh`: only the last that was planned is taken.
    pub turn: u32,
    /// Since when this standby should stream and does not.
    pub astray_since: Option<Ms>,
}

/// A history of the log: what one promotion began.
#[derive(Debug)]
pub struct Branch {
    /// PostgreSQL's timeline. Two promotions may take the same.
    pub timeline: u32,
    /// From which it forked off, and where.
    pub parent: Option<(usize, u64)>,
    /// The highest acknowledged commit that waited for standbys.
    pub acked_safe: u64,
    /// The highest acknowledged commit of any kind.
    pub acked: u64,
    /// The last positions that probes of `watch-clusters` saw, and when.
    pub probed: VecDeque<(Ms, u64)>,
}

impl Branch {
    /// A history that begins.
    #[must_use]
    pub fn new(timeline: u32, parent: Option<(usize, u64)>) -> Self {
        Branch { timeline, parent, acked_safe: 0, acked: 0, probed: VecDeque::new() }
    }

    /// What probes had seen by a moment.
    #[must_use]
    pub fn probed_by(&self, moment: Ms) -> u64 {
        self.probed.iter().filter(|(at, _)| *at <= moment).map(|(_, lsn)| *lsn).max().unwrap_or(0)
    }

    pub(crate) fn is_probed(&mut self, at: Ms, lsn: u64) {
        self.probed.push_back((at, lsn));
        if self.probed.len() > 30 {
            self.probed.pop_front();
        }
    }
}

/// One member.
#[derive(Debug)]
pub struct Member {
    /// EC2 instance id.
    pub id: String,
    /// Its machine.
    pub host: Host,
    /// Its disk.
    pub data: Data,
    /// Its PostgreSQL.
    pub process: Process,
    /// Counts starts and ends of PostgreSQL.
    pub life: u32,
    /// Its disk is full.
    pub disk_full: bool,
    /// Log takes so much longer to it.
    pub lag: Ms,
    /// Its guards.
    pub guards: Guards,
    /// When it was last found not to be a healthy writer.
    pub unwell_at: Ms,
    /// When no standby was last found to hear it.
    pub unheard_at: Ms,
}

impl Member {
    /// Whether processes on it get anything done.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.host.up && !self.host.hung
    }

    /// PostgreSQL in recovery.
    #[must_use]
    pub fn standby(&self) -> Option<&Standby> {
        if let Process::Standby(standby) = &self.process { Some(standby) } else { None }
    }

    pub(crate) fn standby_mut(&mut self) -> Option<&mut Standby> {
        if let Process::Standby(standby) = &mut self.process { Some(standby) } else { None }
    }

    /// PostgreSQL out of recovery.
    #[must_use]
    pub fn writer(&self) -> Option<&Writer> {
        if let Process::Writer(writer) = &self.process { Some(writer) } else { None }
    }

    pub(crate) fn writer_mut(&mut self) -> Option<&mut Writer> {
        if let Process::Writer(writer) = &mut self.process { Some(writer) } else { None }
    }
}

impl Standby {
    /// `pg_last_wal_replay_lsn()`, when `end` is the end of its log and
    /// `checkpoint` where it began to read.
    pub(crate) fn replayed(&self, now: Ms, checkpoint: u64, end: u64) -> u64 {
        if now < self.reads_until {
            let span = (self.reads_until - self.reads_from).max(1);
            let done = now.saturating_sub(self.reads_from);
            return checkpoint + (end.saturating_sub(checkpoint)) * done / span;
        }
        if now < self.replayed_at.max(self.conflict_until) { self.replayed.min(end) } else { end }
    }

    /// The condition for a known position: see `READ_OUT` in `postgres::standby`.
    pub(crate) fn has_read_out(&self, now: Ms, checkpoint: u64, end: u64) -> bool {
        self.received.is_some_and(|received| received > self.replayed(now, checkpoint, end))
            || (now >= self.reads_until && now >= self.conflict_until)
    }
}
