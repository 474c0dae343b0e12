//! A quiet world, driven by hand: for walks through one failover.

use crate::{
    clock::Ms,
    member::Ec2,
    network::MOST,
    passes::{Asked, Cut, Sim, Start},
    setup::Setup,
    world::World,
};
use domain::lsn::Lsn;
use reconcile::{Suspected, Waking};

/// A cluster in which only happens what a test does to it.
pub struct Stage {
    sim: Sim,
    /// Where the writer was when it fell silent.
    last_lsn: u64,
    silent_since: Option<Ms>,
}

/// How a pass went.
#[derive(Debug)]
pub enum Went {
    /// It ended: its outcome, and why.
    Ended(String, String),
    /// It failed.
    Failed(String),
    /// It was cut short.
    Died,
}

impl Stage {
    /// `i-a` writes, the others follow, commits wait for `required` of them;
    /// clients have written for ten seconds.
    #[must_use]
    pub fn new(members: usize, required: u32) -> Self {
        let mut sim = Sim::new(World::new(Setup::quiet(members, required), None));
        sim.runs_until(10_000);
        Stage { sim, last_lsn: 0, silent_since: None }
    }

    /// Looks at the world.
    pub fn with<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        self.sim.with(look)
    }

    /// What did not hold so far.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.with(|world| world.violations().to_vec())
    }

    /// The hardware of `i-a` dies; EC2 says it runs, or has stopped it.
    pub fn loses_writer(&mut self, stopped: bool) {
        let now = self.with(|world| world.now());
        self.silent_since = Some(now);
        self.last_lsn = self.with(|world| {
            let lsn = world.members[0].data.lsn;
            world.members[0].host.dead = true;
            world.power_off(0);
            if stopped {
                world.members[0].host.ec2 = Ec2::Stopped;
            }
            lsn
        });
        self.waits(6_500);
    }

    /// PostgreSQL on a member is killed, and its host with it, or it comes back.
    pub fn switches(&mut self, member: usize, on: bool) {
        self.with(|world| {
            if on {
                let host = &mut world.members[member].host;
                (host.up, host.dead, host.ec2) = (true, false, Ec2::Running);
                world.boots_after(member, 10);
            } else {
                world.power_off(member);
            }
        });
    }

    /// Time goes by.
    pub fn waits(&mut self, span: Ms) {
        let until = self.with(|world| world.now()) + span;
        self.sim.runs_until(until);
    }

    /// A pass, woken by the suspicion of `i-a` if that is silent.
    pub fn pass(&mut self, cut: Cut) -> Went {
        let since = self.silent_since;
        let raised_at_ms = self.with(|world| world.clock(0));
        let suspicion = since.map(|since| Suspected {
            member: "i-a".to_owned(),
            failures: 3,
            silent_since_ms: crate::clock::BEGINNING + since,
            raised_at_ms,
            last_seen_ms: None,
            last_lsn: Some(Lsn(self.last_lsn)),
            synchronous_setting: None,
        });
        let waking = Waking { by: "by a test".to_owned(), suspicion, ..Waking::default() };
        self.asks(Asked::Pass(waking), cut)
    }

    /// A switchover that a person asks for.
    pub fn switchover(&mut self, to: &str, cut: Cut) -> Went {
        let waking = Waking { by: "by a test".to_owned(), switchover: Some(to.to_owned()), ..Waking::default() };
        self.asks(Asked::Pass(waking), cut)
    }

    fn asks(&mut self, asked: Asked, cut: Cut) -> Went {
        // Lambda's second try would be one life more than the test counts.
        let number = self.sim.begins(Start { asked, tries: 1, cut });
        let until = self.with(|world| world.now()) + 61_000;
        while self.sim.is_running(number) && self.with(|world| world.now()) < until {
            self.waits(10);
        }
        match self.sim.ended[number].take() {
            Some(Ok((outcome, because))) => Went::Ended(outcome.to_owned(), because),
            Some(Err(failure)) => Went::Failed(failure),
            None => Went::Died,
        }
    }

    /// Members that are out of recovery.
    #[must_use]
    pub fn writers(&self) -> Vec<usize> {
        self.with(|world| (0..MOST.min(world.members.len())).filter(|m| world.members[*m].writer().is_some()).collect())
    }
}
