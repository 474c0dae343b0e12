//! What PostgreSQL on a member answers, and what it does when it is told to.

use crate::{
    calls::transient, clock::Ms, member::Process, mutation::Mutation, network::FUNCTIONS, story, world::World,
};
use domain::{
    failover::{PromotedSeen, ReceiverSeen, Sql, StandbySeen, StreamSeen, WriterSeen},
    lsn::Lsn,
    state::{Change, Synchronous},
};
use reconcile::Failure;
use std::time::Duration;

/// Bytes of the row that proves a promotion.
const PROOF: u64 = 200;

impl World {
    pub(crate) fn answers(&self, member: usize) -> bool {
        self.members[member].runs() && self.net.reaches(FUNCTIONS, member)
    }

    /// One look at a member that can be reached.
    pub(crate) fn sql(&self, member: usize) -> Sql {
        match &self.members[member].process {
            Process::Down => Sql::Refused,
            Process::Starting => Sql::Alive("SQLSTATE 57P03: the database system is starting up".to_owned()),
            Process::Standby(_) => Sql::Standby(self.standby_seen(member)),
            Process::Writer(_) => Sql::Writer(self.writer_seen(member)),
        }
    }

    fn standby_seen(&self, member: usize) -> StandbySeen {
        let shown = match self.mutation {
            Some(Mutation::TakeLowerLsn) => self.another_standby(member),
            _ => member,
        };
        let hears = self.mutation != Some(Mutation::OneWitness);
        let frozen = self.seem_frozen.contains(&member);
        let data = &self.members[shown].data;
        let now = self.now();
        let (received, replayed) = match self.members[shown].standby() {
            Some(standby) => (standby.received, standby.replayed(now, data.checkpoint, data.lsn)),
            None => (None, data.checkpoint),
        };
        let receiver = self.members[member].standby().and_then(|standby| standby.receiver.as_ref());
        let receiver = receiver.filter(|_| !frozen && hears).map(|receiver| ReceiverSeen {
            streaming: true,
            silent_for: Duration::from_millis(now - receiver.heard),
            upstream: Some(self.aws.addresses[receiver.up]),
        });
        let own = &self.members[member].data;
        StandbySeen {
            timeline: self.branches[own.branch].timeline,
            known_timeline: self.branches[own.branch].timeline,
            received: received.map(Lsn),
            replayed: Some(Lsn(replayed)),
            system_id: 42,
            receiver,
            upstream: own.upstream.filter(|_| !frozen).map(|up| self.aws.addresses[up]),
        }
    }

    fn another_standby(&self, member: usize) -> usize {
        let other = |other: &usize| *other != member && self.members[*other].standby().is_some();
        (0..self.members.len()).find(other).unwrap_or(member)
    }

    fn writer_seen(&self, member: usize) -> WriterSeen {
        let me = &self.members[member];
        let names = |place: usize| self.name(place);
        let streams = me.writer().map_or_else(Vec::new, |writer| {
            let stream = |(down, stream): (usize, &Option<crate::member::Sender>)| {
                let stream = stream.as_ref()?;
                let streaming = stream.flushed.is_some();
                Some(StreamSeen { name: names(down), streaming, flushed: stream.flushed.map(Lsn) })
            };
            writer.streams.iter().enumerate().filter_map(stream).collect()
        });
        let slots = (0..self.members.len()).filter(|place| me.data.slots & (1 << place) != 0);
        WriterSeen {
            timeline: self.branches[me.data.branch].timeline,
            lsn: Lsn(me.data.lsn),
            system_id: 42,
            synchronous_setting: me.writer().map_or_else(String::new, |writer| writer.applied.setting()),
            streams,
            slots: slots.map(names).collect(),
        }
    }

    /// Whether a member takes statements at all.
    pub(crate) fn is_answering(&self, call: &'static str, member: usize) -> Result<(), Failure> {
        match &self.members[member].process {
            Process::Down => Err(transient(call, "connection refused")),
            Process::Starting => Err(transient(call, "the database system is starting up")),
            Process::Standby(_) | Process::Writer(_) => Ok(()),
        }
    }

    /// `ALTER SYSTEM` of `primary_conninfo`, and a reload.
    pub(crate) fn sets_upstream(
        &mut self,
        call: &'static str,
        member: usize,
        upstream: Option<usize>,
    ) -> Result<(), Failure> {
        self.is_answering(call, member)?;
        let now = self.now();
        let me = &mut self.members[member];
        let Some(standby) = me.standby() else {
            return Err(Failure::LostRace { call, what: format!("the role of {}: it is not in recovery", me.id) });
        };
        if me.disk_full {
            return Err(transient(call, "SQLSTATE 53100: no space left on device"));
        }
        // The startup process heeds the reload, unless replay waits for a query.
        let heeds = standby.conflict_until.saturating_sub(now);
        me.data.upstream = upstream;
        let life = me.life;
        story!(self, "{} shall follow {upstream:?}", self.id(member));
        let reload: Ms = self.between(4, 25);
        self.soon(heeds + reload, move |world| world.heeds_upstream(member, life));
        self.changed();
        Ok(())
    }

    fn heeds_upstream(&mut self, member: usize, life: u32) {
        if self.members[member].life != life {
            return;
        }
        if self.members[member].host.hung {
            return self.soon(100, move |world| world.heeds_upstream(member, life));
        }
        let upstream = self.members[member].data.upstream;
        let Some(standby) = self.members[member].standby_mut() else { return };
        if standby.receiver.as_ref().is_some_and(|receiver| Some(receiver.up) != upstream) {
            self.receiver_ends(member, None);
        }
        if upstream.is_some() {
            self.connects_after(member, 20);
        }
    }

    /// As `FROZEN` and `READ_OUT` in `postgres::standby`.
    pub(crate) fn is_frozen(&self, member: usize) -> bool {
        let me = &self.members[member];
        let now = self.now();
        me.standby().is_some_and(|standby| {
            standby.receiver.is_none()
                && me.data.upstream.is_none()
                && standby.has_read_out(now, me.data.checkpoint, me.data.lsn)
        })
    }

    pub(crate) fn promoted(&self, call: &'static str, member: usize) -> Result<PromotedSeen, Failure> {
        let me = &self.members[member];
        if me.writer().is_none() {
            return Err(Failure::LostRace { call, what: format!("the role of {}: it is in recovery", me.id) });
        }
        let branch = &self.branches[me.data.branch];
        let fork = branch.parent.map_or(me.data.lsn, |(_, fork)| fork);
        Ok(PromotedSeen { timeline: branch.timeline, lsn: Lsn(fork) })
    }

    pub(crate) fn proves(&mut self, call: &'static str, member: usize, epoch: u64) -> Result<PromotedSeen, Failure> {
        self.is_answering(call, member)?;
        let seen = self.promoted(call, member)?;
        if self.members[member].disk_full {
            self.crashes(member);
            self.boots_after(member, 500);
            return Err(transient(call, "the server closed the connection"));
        }
        story!(self, "{} accepts the row of epoch {epoch}", self.id(member));
        self.members[member].data.lsn += PROOF;
        self.sends_all(member);
        Ok(seen)
    }

    /// `ALTER SYSTEM` of `synchronous_standby_names`; sessions read it a moment later.
    pub(crate) fn sets_synchronous(
        &mut self,
        call: &'static str,
        member: usize,
        setting: String,
    ) -> Result<(), Failure> {
        self.is_answering(call, member)?;
        if self.members[member].disk_full {
            return Err(transient(call, "SQLSTATE 53100: no space left on device"));
        }
        let applied = Synchronous::parse(&setting)
            .ok_or_else(|| Failure::Broken { call, what: format!("{setting:?} is malformed") })?;
        self.members[member].data.setting = Some(setting);
        self.check_set_by_pass(member);
        let life = self.members[member].life;
        let reload = self.between(3, 15);
        self.soon(reload, move |world| {
            if world.members[member].life != life {
                return;
            }
            story!(world, "commits on {} wait for {:?}", world.id(member), applied.setting());
            if let Some(writer) = world.members[member].writer_mut() {
                writer.applied = applied;
            }
            world.releases(member);
            world.changed();
        });
        Ok(())
    }

    /// A mutation: the record moves before anybody is promoted.
    pub(crate) fn record_first(&mut self, change: &Change, epoch: u64) {
        let from = self.place(&change.from).unwrap_or(0);
        let to = (from + 1) % self.members.len();
        self.aws.zone.writer = vec![self.aws.addresses[to]];
        self.aws.zone.epoch = Some(epoch);
        self.check_record();
    }

    /// The record names a member that has been promoted, and its epoch only grows.
    pub(crate) fn check_record(&mut self) {
        let Some(member) = self.aws.writer_record() else { return };
        let epoch = self.aws.zone.epoch.unwrap_or(0);
        if self.members[member].data.standby {
            self.violates(format!("the record moves to {}, a standby", self.id(member)));
        }
        if epoch < self.record_epoch {
            self.violates(format!("the epoch of the record falls to {epoch}"));
        }
        self.record_epoch = epoch;
    }
}
