//! What runs on every member: the boot guard (I12), the guard of a writer, and
//! the copy that makes an old writer a standby. See `infra/nodes`.

use crate::{
    clock::{Event, Ms},
    member::{Guards, Process},
    mutation::Mutation,
    network::AWS,
    story,
    world::World,
};
use domain::{
    lsn::Lsn,
    state::{Change, ChangeKind, GuardSeen},
};

/// How long before the end of its time to live the guard begins the end: as
/// `STOP` in `guard.sh`.
const STOP: Ms = 2_000;

/// It reads the state item so often, and looks at the standbys every second.
const READS: Ms = 2_000;

/// A person looks after a standby that has not streamed for so long.
const PEOPLE: Ms = 60_000;

impl World {
    fn reaches_table(&mut self, member: usize) -> bool {
        let ill = self.aws.ill[0];
        let refused = ill.down > 0 || (ill.throttled > 0 && self.chance(50)) || (ill.slow > 0 && self.chance(50));
        self.net.reaches(member, AWS) && !refused
    }

    /// A turn of `start.sh` while PostgreSQL does not run.
    pub(crate) fn boot_turn(&mut self, member: usize, boot: u32, turn: u32) {
        let again = self.between(1_000, 1_600);
        let me = &self.members[member];
        if me.guards.turn != turn {
            return;
        }
        if me.host.boot != boot || !me.host.up || !matches!(me.process, Process::Down) {
            return;
        }
        if me.host.hung {
            return self.boots_after(member, 200);
        }
        if me.data.standby {
            if !me.disk_full {
                return self.launches(member, boot);
            }
            return self.boots_after(member, again);
        }
        let peer_writes = (0..self.members.len()).any(|peer| {
            let other = &self.members[peer];
            peer != member && other.runs() && other.writer().is_some() && self.net.reaches(member, peer)
        });
        if !self.reaches_table(member) {
            return self.boots_after(member, again);
        }
        let state = &self.aws.table.state;
        let named = state.writer.as_deref() == Some(self.id(member));
        let steady = state.change.is_none();
        let read = (state.epoch, steady, state.writer.clone());
        let free = self.mutation == Some(Mutation::NoBootGuard);
        if (named && steady && !peer_writes) || free {
            let late = self.between(30, 1_900);
            return self.soon(late, move |world| world.boot_ends(member, boot, turn));
        }
        self.holds(member, read);
        self.boots_after(member, again);
    }

    /// It may start: it says so first.
    fn boot_ends(&mut self, member: usize, boot: u32, turn: u32) {
        let me = &self.members[member];
        if me.guards.turn != turn || me.host.boot != boot || !me.host.up || !matches!(me.process, Process::Down) {
            return;
        }
        if me.host.hung {
            // `start.sh` measures how long the table took to answer, and begins again.
            return self.boots_after(member, 200);
        }
        let held = self.members[member].guards.item.as_ref().is_some_and(|item| item.holds);
        if held {
            if !self.reaches_table(member) {
                return self.boots_after(member, 1_000);
            }
            if let Some(item) = &mut self.members[member].guards.item {
                item.holds = false;
            }
        }
        self.members[member].guards.written = None;
        self.launches(member, boot);
    }

    /// It writes what it holds for, once for each thing that it reads.
    fn holds(&mut self, member: usize, read: (u64, bool, Option<String>)) {
        let me = &self.members[member];
        if me.guards.written.as_ref() == Some(&read) {
            return;
        }
        let item = GuardSeen {
            epoch: read.0,
            holds: true,
            clean: me.data.clean,
            checkpoint: Some(Lsn(me.data.checkpoint)),
            timeline: self.branches[me.data.branch].timeline,
            disk_full: me.disk_full,
            written_at_ms: crate::clock::BEGINNING + self.now(),
        };
        story!(self, "{} holds: {item:?}", self.id(member));
        let guards = &mut self.members[member].guards;
        (guards.item, guards.written) = (Some(item), Some(read));
    }

    /// `exec postgres`.
    fn launches(&mut self, member: usize, boot: u32) {
        self.members[member].process = Process::Starting;
        self.changed();
        let recovery = self.between(300, 2_500);
        self.soon(recovery, move |world| world.launched(member, boot));
    }

    fn launched(&mut self, member: usize, boot: u32) {
        let me = &self.members[member];
        if me.host.boot != boot || !me.host.up || !matches!(me.process, Process::Starting) {
            return;
        }
        if me.host.hung {
            return self.soon(200, move |world| world.launched(member, boot));
        }
        if me.disk_full {
            self.members[member].process = Process::Down;
            return self.boots_after(member, 300);
        }
        if me.data.standby { self.starts_as_standby(member) } else { self.starts_as_writer(member) }
    }

    /// A turn of the guard of a member that is out of recovery.
    pub(crate) fn guard_turn(&mut self, member: usize, life: u32) {
        let me = &self.members[member];
        if me.life != life || me.writer().is_none() {
            return;
        }
        let now = self.queue.now();
        if me.host.hung {
            let late = self.between(100, 2_000);
            return self.queue.after(late, Event::Guard { member, life });
        }
        let told = self.guard_reads(member, now);
        let ttl = u64::from(self.setup.policy.ttl_s) * 1_000;
        let ignores = self.mutation == Some(Mutation::GuardIgnoresTtl);
        let Some(writer) = self.members[member].writer_mut() else { return };
        let limit = writer.contact + ttl.saturating_sub(STOP);
        let alone = now >= limit && !ignores;
        if (told.is_some() || alone) && !writer.stopping {
            writer.stopping = true;
            let clean = told == Some(true);
            if alone {
                self.tally.count("guard", "SelfFenced");
            }
            story!(self, "the guard of {} stops PostgreSQL (alone: {alone}, in order: {clean})", self.id(member));
            let takes = if clean { self.between(150, 2_500) } else { self.between(50, STOP - 100) };
            self.soon(takes, move |world| world.guard_stops(member, life, clean));
        }
        let next = limit.saturating_sub(now).clamp(200, 1_000);
        self.queue.after(next, Event::Guard { member, life });
    }

    /// What it reads: whether to stop (in order), and whom it is in touch with.
    fn guard_reads(&mut self, member: usize, now: Ms) -> Option<bool> {
        let writer = self.members[member].writer_mut()?;
        // A row alone is no contact: the standby must have said something since the last look.
        let looked = std::mem::replace(&mut writer.looked, now);
        if writer.streams.iter().flatten().any(|stream| stream.flushed.is_some() && stream.heard > looked) {
            writer.contact = looked;
        }
        if now < writer.reads_at || !self.reaches_table(member) {
            return None;
        }
        let state = &self.aws.table.state;
        let me = self.id(member);
        // Whoever is promoted is noted before; any other member is a writer of an earlier change.
        let named = |change: &&Change| {
            change.promoting.as_deref() == Some(me)
                || change.promoted.as_ref().is_some_and(|promoted| promoted.member == me)
        };
        let replaced = state.change.as_ref().filter(|change| !named(change));
        let replaced = replaced.map(|change| if change.from == me { change.kind } else { ChangeKind::Failover });
        let other = state.change.is_none() && state.writer.as_deref() != Some(me);
        let writer = self.members[member].writer_mut()?;
        let before = std::mem::replace(&mut writer.told_to_stop, replaced.is_some());
        writer.reads_at = now + if replaced.is_some() { READS / 2 } else { READS };
        match replaced {
            _ if other => Some(false),
            Some(kind) => before.then_some(kind == ChangeKind::Switchover),
            None => {
                writer.contact = now;
                None
            }
        }
    }

    fn guard_stops(&mut self, member: usize, life: u32, clean: bool) {
        let me = &self.members[member];
        if me.life != life {
            return;
        }
        if me.host.hung {
            return self.soon(100, move |world| world.guard_stops(member, life, clean));
        }
        if clean {
            self.shuts_down(member)
        } else {
            self.crashes(member)
        }
        let hold = self.between(300, 1_200);
        self.boots_after(member, hold);
    }

    /// The people around the cluster: a standby that cannot follow is copied anew
    /// from the writer.
    pub(crate) fn people_look(&mut self) {
        let now = self.queue.now();
        let state = &self.aws.table.state;
        let steady = state.change.is_none();
        let Some(writer) = state.writer.as_deref().and_then(|id| self.place(id)) else { return };
        let sound = steady && self.members[writer].runs() && self.members[writer].writer().is_some();
        for member in (0..self.members.len()).filter(|member| *member != writer) {
            let me = &self.members[member];
            let usable = me.runs() && !me.disk_full && self.net.reaches(member, writer);
            let streams = me.standby().is_some_and(|standby| {
                standby.receiver.as_ref().is_some_and(|receiver| receiver.up == writer) || standby.promoting
            });
            let astray = me.standby().is_some() && !streams && me.data.upstream == Some(writer);
            let since = match (astray, me.guards.astray_since) {
                (false, _) => None,
                (true, since) => Some(since.unwrap_or(now)),
            };
            self.members[member].guards.astray_since = since;
            let due = since.is_some_and(|since| now - since > PEOPLE);
            if sound && usable && due {
                self.copies(member, writer);
            }
        }
    }

    pub(crate) fn copies(&mut self, member: usize, writer: usize) {
        story!(self, "{} is copied anew from {}", self.id(member), self.id(writer));
        self.tally.count("people", "copied anew");
        self.check_set_by_pass(member);
        if !matches!(self.members[member].process, Process::Down) {
            self.crashes(member);
        }
        let (branch, lsn) = (self.members[writer].data.branch, self.members[writer].data.lsn);
        self.members[writer].data.slots |= 1 << member;
        let data = &mut self.members[member].data;
        (data.branch, data.lsn, data.checkpoint) = (branch, lsn, lsn);
        (data.standby, data.upstream, data.setting, data.slots) = (true, Some(writer), None, 0);
        let guards = &mut self.members[member].guards;
        *guards = Guards { turn: guards.turn, ..Guards::default() };
        let copying = self.between(500, 8_000);
        self.boots_after(member, copying);
    }
}
