//! PostgreSQL starts, ends, and is promoted.

use crate::{
    clock::{Event, Ms},
    member::{Branch, Process, Standby, Writer},
    network::MOST,
    story,
    world::World,
};
use domain::state::Synchronous;
use std::collections::VecDeque;

/// Bytes of one segment of the log.
pub(crate) const SEGMENT: u64 = 16 * 1024 * 1024;

/// Bytes of the record of a shutdown.
const SHUTDOWN_RECORD: u64 = 120;

impl World {
    /// What commits on a member wait for, by what lies on its disk.
    pub(crate) fn setting(&self, member: usize) -> String {
        let default = || {
            let others = (0..self.members.len()).filter(|other| *other != member);
            let mut names: Vec<String> = others.map(|other| self.name(other)).collect();
            names.sort();
            Synchronous { required: self.setup.required, names }.setting()
        };
        self.members[member].data.setting.clone().unwrap_or_else(default)
    }

    pub(crate) fn starts_as_standby(&mut self, member: usize) {
        let now = self.queue.now();
        let reading = self.between(50, 1_500);
        let reading = if self.chance(20) { reading * 4 } else { reading };
        let data = &mut self.members[member].data;
        data.clean = false;
        let checkpoint = data.checkpoint;
        self.members[member].life += 1;
        self.members[member].process = Process::Standby(Standby {
            reads_from: now,
            reads_until: now + reading,
            replayed: checkpoint,
            ..Standby::default()
        });
        story!(self, "{} starts as a standby of {:?}", self.id(member), self.members[member].data.upstream);
        self.connects_after(member, reading);
        self.changed();
    }

    /// Crash recovery is over: it accepts connections.
    pub(crate) fn starts_as_writer(&mut self, member: usize) {
        self.members[member].life += 1;
        self.members[member].data.clean = false;
        story!(self, "{} starts as writer", self.id(member));
        self.becomes_writer(member);
    }

    fn becomes_writer(&mut self, member: usize) {
        let applied = Synchronous::parse(&self.setting(member)).unwrap_or_default();
        let now = self.queue.now();
        self.members[member].process = Process::Writer(Writer {
            applied,
            pending: VecDeque::new(),
            streams: [const { None }; MOST],
            looked: now,
            reads_at: now,
            contact: now,
            told_to_stop: false,
            stopping: false,
        });
        let life = self.members[member].life;
        let first = self.between(0, 2_000);
        self.queue.after(first, Event::Guard { member, life });
        self.changed();
    }

    /// PostgreSQL's processes end at once; what was flushed stays.
    pub(crate) fn crashes(&mut self, member: usize) {
        if matches!(self.members[member].process, Process::Down) {
            return;
        }
        let tail = self.between(0, 60_000);
        let data = &self.members[member].data;
        let replayed = match &self.members[member].process {
            Process::Standby(standby) => standby.replayed(self.queue.now(), data.checkpoint, data.lsn),
            _ => data.lsn,
        };
        let data = &mut self.members[member].data;
        let begins = self.branches[data.branch].parent.map_or(0, |(_, fork)| fork);
        data.checkpoint = data.checkpoint.max(replayed.saturating_sub(tail)).max(begins.min(replayed));
        data.clean = false;
        self.ended(member);
    }

    /// A shutdown in order sends the last of the log to every standby that is
    /// connected and answers.
    pub(crate) fn shuts_down(&mut self, member: usize) {
        let Some(writer) = self.members[member].writer() else { return self.crashes(member) };
        let connected: Vec<(usize, u32)> = (0..self.members.len())
            .filter_map(|down| writer.streams[down].as_ref().map(|stream| (down, stream.conn)))
            .collect();
        let data = &mut self.members[member].data;
        data.checkpoint = data.lsn;
        data.lsn += SHUTDOWN_RECORD;
        data.clean = true;
        let end = data.lsn;
        for (down, conn) in connected {
            if self.net.reaches(member, down) && self.members[down].runs() {
                self.receives(member, down, conn, end);
            }
        }
        self.ended(member);
    }

    /// Its connections end with it, as far as anybody can tell them.
    fn ended(&mut self, member: usize) {
        story!(self, "PostgreSQL on {} ends at {}", self.id(member), self.members[member].data.lsn);
        let process = std::mem::replace(&mut self.members[member].process, Process::Down);
        self.members[member].life += 1;
        self.check.ended(member);
        let told = self.members[member].host.up;
        match process {
            Process::Writer(writer) => {
                for (down, stream) in writer.streams.iter().enumerate() {
                    if let Some(stream) = stream
                        && told
                        && self.net.passes(member, down)
                    {
                        let conn = stream.conn;
                        self.soon(5, move |world| world.receiver_ends(down, Some(conn)));
                    }
                }
            }
            Process::Standby(standby) => {
                if let Some(receiver) = standby.receiver
                    && told
                    && self.net.passes(member, receiver.up)
                {
                    self.soon(5, move |world| world.sender_ends(receiver.up, member, receiver.conn));
                }
            }
            Process::Down | Process::Starting => {}
        }
        self.changed();
    }

    /// `pg_promote`: from here it cannot be withdrawn.
    pub(crate) fn begins_promotion(&mut self, member: usize) {
        let now = self.queue.now();
        let work = self.between(40, 200);
        let Some(standby) = self.members[member].standby_mut() else { return };
        if standby.promoting {
            return;
        }
        standby.promoting = true;
        let wait = standby.reads_until.max(standby.conflict_until).max(standby.replayed_at).saturating_sub(now);
        let life = self.members[member].life;
        self.receiver_ends(member, None);
        self.soon(wait + work, move |world| world.ends_promotion(member, life));
    }

    fn ends_promotion(&mut self, member: usize, life: u32) {
        if self.members[member].life != life {
            return;
        }
        if self.members[member].host.hung {
            return self.soon(100, move |world| world.ends_promotion(member, life));
        }
        let data = &self.members[member].data;
        let (parent, fork) = (data.branch, data.lsn);
        let timeline = self.branches[parent].timeline + 1;
        self.branches.push(Branch::new(timeline, Some((parent, fork))));
        let tip = self.branches.len() - 1;
        story!(self, "{} is promoted: timeline {timeline} forks off at {fork}", self.id(member));
        let data = &mut self.members[member].data;
        (data.branch, data.standby, data.checkpoint) = (tip, false, fork);
        data.lsn += SHUTDOWN_RECORD;
        self.becomes_writer(member);
        self.check_promotion(member);
    }

    /// How far `branch` is part of the history that ends at `end` on `tip`;
    /// `None` when it is not.
    pub(crate) fn shared(&self, branch: usize, tip: usize, end: u64) -> Option<u64> {
        let (mut at, mut limit) = (tip, end);
        loop {
            if at == branch {
                return Some(limit);
            }
            let (parent, fork) = self.branches[at].parent?;
            (at, limit) = (parent, limit.min(fork));
        }
    }

    /// Up to where the history of `branch` is also that of `tip`, which ends at `end`.
    pub(crate) fn common(&self, branch: usize, tip: usize, end: u64) -> u64 {
        let (mut at, mut limit) = (branch, u64::MAX);
        loop {
            if let Some(shared) = self.shared(at, tip, end) {
                return shared.min(limit);
            }
            let Some((parent, fork)) = self.branches[at].parent else { return 0 };
            (at, limit) = (parent, limit.min(fork));
        }
    }

    /// Whether the log of `down` is a part of that of `up`.
    pub(crate) fn can_follow(&self, down: usize, up: usize) -> bool {
        let (down, up) = (&self.members[down].data, &self.members[up].data);
        self.shared(down.branch, up.branch, up.lsn).is_some_and(|limit| down.lsn <= limit)
    }

    /// Does something a little later.
    pub(crate) fn soon(&mut self, after: Ms, what: impl FnOnce(&mut World) + 'static) {
        self.queue.after(after, Event::Do(Box::new(what)));
    }
}
