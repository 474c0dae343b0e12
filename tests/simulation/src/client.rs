//! The application: it commits rows, and remembers what was acknowledged.

use crate::{
    clock::{Event, Ms},
    member::{Commit, Process},
    network::CLIENTS,
    story,
    world::World,
};

/// The record's time to live, which every new connection honours.
const TTL: Ms = 1_000;

/// One session of the application at a time.
#[derive(Debug, Default)]
pub struct Client {
    /// It stays where it is connected as long as it can, whatever the record says.
    pub stubborn: bool,
    /// The member it is connected to, and that member's life.
    at: Option<(usize, u32)>,
    /// Where it wants to connect.
    target: Option<usize>,
    resolved: Ms,
    refusals: u32,
    number: u32,
    waits_since: Option<Ms>,
}

impl Client {
    pub(crate) fn stubborn() -> Self {
        Client { stubborn: true, ..Client::default() }
    }
}

impl World {
    /// A client's turn: it waits, connects, or commits.
    pub(crate) fn client_turn(&mut self, client: usize) {
        let now = self.queue.now();
        let next = self.between(120, 700);
        let patience = if self.clients[client].stubborn { 20_000 } else { 3_000 };
        let me = &mut self.clients[client];
        if let Some(since) = me.waits_since {
            let cut = me.at.is_none_or(|(member, life)| self.members[member].life != life);
            if !cut && now - since < patience {
                return self.queue.after(next, Event::Commit { client });
            }
            (me.waits_since, me.at) = (None, None);
        }
        let connected = me.at.filter(|(member, life)| self.members[*member].life == *life).map(|(member, _)| member);
        let member = match connected {
            Some(member) => Some(member),
            None => self.client_connects(client),
        };
        let pause = match member {
            None => next + 300,
            Some(member) if !self.commits(client, member) => {
                self.clients[client].at = None;
                next + 1_000
            }
            Some(_) => next,
        };
        self.queue.after(pause, Event::Commit { client });
    }

    fn client_connects(&mut self, client: usize) -> Option<usize> {
        let now = self.queue.now();
        let record = self.aws.writer_record();
        let me = &mut self.clients[client];
        let anew = !me.stubborn || me.target.is_none() || me.refusals > 15;
        if anew && (me.target.is_none() || now - me.resolved >= TTL) {
            (me.target, me.resolved, me.refusals) = (record, now, 0);
        }
        let member = me.target?;
        let takes = self.net.reaches(CLIENTS, member)
            && self.members[member].runs()
            && self.members[member].writer().is_some_and(|writer| !writer.stopping);
        let me = &mut self.clients[client];
        if !takes {
            me.refusals += 1;
            return None;
        }
        me.at = Some((member, self.members[member].life));
        Some(member)
    }

    /// Whether the statement went out.
    fn commits(&mut self, client: usize, member: usize) -> bool {
        if !self.net.reaches(CLIENTS, member) || !self.members[member].runs() {
            return false;
        }
        let Process::Writer(writer) = &self.members[member].process else { return false };
        if self.members[member].disk_full {
            story!(self, "{} cannot write its log: the disk is full", self.id(member));
            self.crashes(member);
            self.boots_after(member, 500);
            return false;
        }
        let waits = writer.applied.is_on();
        let bytes = match self.burst.take() {
            Some(bytes) => bytes,
            None => self.between(80, 8_000),
        };
        let now = self.queue.now();
        let me = &mut self.clients[client];
        me.number += 1;
        me.waits_since = Some(now);
        let number = me.number;
        let data = &mut self.members[member].data;
        data.lsn += bytes;
        let commit = Commit { lsn: data.lsn, client, number };
        self.sends_all(member);
        if waits {
            if let Some(writer) = self.members[member].writer_mut() {
                writer.pending.push_back(commit);
            }
        } else {
            self.acknowledges(member, commit);
        }
        true
    }

    /// Acknowledges all commits that have what they wait for.
    pub(crate) fn releases(&mut self, member: usize) {
        let Some(writer) = self.members[member].writer() else { return };
        if writer.pending.is_empty() {
            return;
        }
        let safe = if writer.applied.is_on() { self.flushed_by_enough(member) } else { u64::MAX };
        while let Some(writer) = self.members[member].writer_mut()
            && let Some(commit) = writer.pending.front().copied()
            && commit.lsn <= safe
        {
            writer.pending.pop_front();
            self.acknowledges(member, commit);
        }
    }

    /// The position that as many standbys have flushed as commits wait for.
    fn flushed_by_enough(&self, member: usize) -> u64 {
        let Some(writer) = self.members[member].writer() else { return 0 };
        let counts = |down: &usize| self.counts_for(&writer.applied, *down);
        let streams = (0..self.members.len()).filter(counts);
        let mut flushed: Vec<u64> =
            streams.filter_map(|down| writer.streams[down].as_ref().and_then(|stream| stream.flushed)).collect();
        flushed.sort_unstable_by(|one, other| other.cmp(one));
        flushed.get(writer.applied.required as usize - 1).copied().unwrap_or(0)
    }

    /// The commit is told to its client, if that still listens.
    fn acknowledges(&mut self, member: usize, commit: Commit) {
        let life = self.members[member].life;
        let me = &mut self.clients[commit.client];
        let listens = me.waits_since.is_some() && me.number == commit.number && me.at == Some((member, life));
        if listens && self.net.passes(member, CLIENTS) {
            me.waits_since = None;
            self.check_acknowledged(member, commit.lsn);
        }
    }
}
