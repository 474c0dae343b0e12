//! AWS: services that may be ill, the records, the pages, and EC2's hosts.

use crate::{
    clock::{Event, Ms},
    member::{Ec2, Process},
    story,
    table::Table,
    world::World,
};
use domain::{failover::Page, records::RecordsSeen, rejoin::Rejoin};
use reconcile::Failure;
use std::{collections::BTreeMap, net::IpAddr};

/// The services that passes call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// DynamoDB: also the members' way to the state item.
    Table,
    /// EC2's API.
    Ec2,
    /// Route 53's control plane; its answers to questions never fail.
    Records,
    /// SNS.
    Pages,
    /// SSM Run Command.
    Commands,
}

/// What is wrong with a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Illness {
    /// Nothing is done.
    pub down: u8,
    /// Some calls are refused.
    pub throttled: u8,
    /// Calls are done, their answers are lost.
    pub mute: u8,
    /// Answers take seconds.
    pub slow: u8,
}

/// All of AWS.
#[derive(Debug)]
pub struct Aws {
    /// DynamoDB.
    pub table: Table,
    /// Route 53.
    pub zone: RecordsSeen,
    /// What was sent to the person on call.
    pub pages: Vec<Page>,
    /// By service.
    pub ill: [Illness; 5],
    /// Commands that SSM took.
    pub commands: Vec<crate::rejoin::Command>,
    /// The items of members on their way back.
    pub rejoins: BTreeMap<String, Rejoin>,
    /// Addresses of the members, in order.
    pub addresses: Vec<IpAddr>,
}

impl Aws {
    /// The member that the writer record names.
    pub(crate) fn writer_record(&self) -> Option<usize> {
        let named = self.zone.writer.first()?;
        self.member_at(named)
    }

    pub(crate) fn member_at(&self, address: &IpAddr) -> Option<usize> {
        self.addresses.iter().position(|other| other == address)
    }

    /// One batch: all or nothing.
    pub(crate) fn move_writer(&mut self, from: Option<(IpAddr, u64)>, to: (IpAddr, u64)) -> Result<(), Failure> {
        let now = self.zone.writer.first().copied().zip(self.zone.epoch);
        if now != from {
            return Err(Failure::LostRace {
                call: "route53:ChangeResourceRecordSets",
                what: format!("the writer record (now {now:?})"),
            });
        }
        (self.zone.writer, self.zone.epoch) = (vec![to.0], Some(to.1));
        Ok(())
    }
}

impl World {
    fn becomes(&mut self, member: usize, ec2: Ec2) {
        let now = self.queue.now();
        let host = &mut self.members[member].host;
        (host.before, host.ec2, host.changed) = (host.ec2, ec2, now);
        story!(self, "EC2: {} is {ec2:?}", self.id(member));
        self.changed();
        self.event_of_ec2(ec2);
    }

    /// An order to stop, by a pass or by anybody.
    pub(crate) fn stop_host(&mut self, member: usize) {
        let host = &mut self.members[member].host;
        if !matches!(host.ec2, Ec2::Running | Ec2::Pending) {
            return;
        }
        host.boot += 1;
        let (boot, dead) = (host.boot, host.dead);
        self.becomes(member, Ec2::Stopping);
        // Its processes live on for a part of the time.
        let span = match (dead, self.setup.slow_stops) {
            (true, _) => self.between(20_000, 120_000),
            (false, true) => self.between(5_000, 60_000),
            (false, false) => self.between(1_000, 5_000),
        };
        let dies = self.between(200, span);
        self.soon(dies, move |world| world.loses_power(member, boot));
        self.soon(span, move |world| {
            world.loses_power(member, boot);
            if world.members[member].host.boot == boot {
                world.members[member].host.dead = false;
                world.becomes(member, Ec2::Stopped);
            }
        });
    }

    fn loses_power(&mut self, member: usize, boot: u32) {
        if self.members[member].host.boot == boot {
            self.power_off(member);
        }
    }

    /// Everything on the host ends at once, and nobody is told.
    pub(crate) fn power_off(&mut self, member: usize) {
        let host = &mut self.members[member].host;
        (host.up, host.hung) = (false, false);
        if matches!(self.members[member].process, Process::Starting) {
            self.members[member].process = Process::Down;
            self.members[member].life += 1;
        }
        self.crashes(member);
        self.members[member].guards.written = None;
        self.changed();
    }

    /// Somebody starts a stopped host.
    pub(crate) fn start_host(&mut self, member: usize) {
        if self.members[member].host.ec2 != Ec2::Stopped {
            return;
        }
        self.members[member].host.boot += 1;
        let boot = self.members[member].host.boot;
        self.becomes(member, Ec2::Pending);
        let pending = self.between(1_000, 4_000);
        let booting = pending + self.between(4_000, 15_000);
        let still = move |world: &World| world.members[member].host.boot == boot;
        self.soon(pending, move |world| {
            if still(world) {
                world.becomes(member, Ec2::Running);
            }
        });
        self.soon(booting, move |world| {
            if still(world) {
                world.members[member].host.up = true;
                world.boots_after(member, 100);
            }
        });
    }

    /// `start.sh` runs (again).
    pub(crate) fn boots_after(&mut self, member: usize, span: Ms) {
        let host = self.members[member].host.boot;
        let guards = &mut self.members[member].guards;
        // One `start.sh` at a time: it holds a lock.
        guards.turn += 1;
        let turn = guards.turn;
        self.queue.after(span, Event::Boot { member, host, turn });
    }

    /// What EC2 says of a host; the answer may lag behind by some seconds.
    pub(crate) fn described(&mut self, member: usize) -> Ec2 {
        let lag = if self.chance(self.setup.lagging) { self.between(200, 3_000) } else { 0 };
        let host = &self.members[member].host;
        if self.queue.now() - host.changed < lag { host.before } else { host.ec2 }
    }
}
