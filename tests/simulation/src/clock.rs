//! Virtual time: what happens when, and the only clock there is.

use crate::world::World;
use std::{cmp::Ordering, collections::BinaryHeap, task::Waker};

/// Milliseconds of virtual time; 0 is when a run begins.
pub type Ms = u64;

/// What the clocks of this world show at 0: milliseconds since 1970.
pub const BEGINNING: u64 = 1_774_840_330_000;

/// Something that happens.
pub(crate) enum Event {
    /// A pass that waits goes on.
    Wake { pass: usize, waker: Waker },
    /// Anything rare.
    Do(Box<dyn FnOnce(&mut World)>),
    /// A client commits.
    Commit { client: usize },
    /// Log arrives at a standby.
    Log { up: usize, down: usize, conn: u32, to: u64, again: bool },
    /// A standby's acknowledgement arrives at its upstream.
    Ack { up: usize, down: usize, conn: u32, to: u64, again: bool },
    /// The two ends of a stream exchange a sign of life, or time out.
    Beat { up: usize, down: usize, conn: u32 },
    /// A standby tries to connect to its upstream.
    Connect { down: usize, life: u32 },
    /// The boot guard of a member looks.
    Boot { member: usize, host: u32, turn: u32 },
    /// The guard of a running writer looks.
    Guard { member: usize, life: u32 },
    /// `watch-clusters` probes a member.
    Probe { member: usize, run: u32 },
    /// `watch-clusters` reads the state item.
    ReadState { run: u32 },
    /// The checker and the people around the cluster look.
    Turn,
    /// A fault begins.
    Fault { index: usize },
}

struct Due {
    at: Ms,
    number: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// The earliest is the greatest; among equals, the one that was planned first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// Everything that will happen.
#[derive(Default)]
pub(crate) struct Queue {
    now: Ms,
    planned: u64,
    due: BinaryHeap<Due>,
}

impl Queue {
    pub(crate) fn now(&self) -> Ms {
        self.now
    }

    /// How many things were planned so far.
    pub(crate) fn steps(&self) -> u64 {
        self.planned
    }

    pub(crate) fn at(&mut self, at: Ms, event: Event) {
        self.planned += 1;
        self.due.push(Due { at: at.max(self.now), number: self.planned, event });
    }

    pub(crate) fn after(&mut self, span: Ms, event: Event) {
        self.at(self.now + span, event);
    }

    /// The next thing up to `until`; the time becomes its time, or `until`.
    pub(crate) fn next(&mut self, until: Ms) -> Option<Event> {
        if self.due.peek().is_none_or(|due| due.at > until) {
            self.now = until;
            return None;
        }
        let due = self.due.pop()?;
        self.now = due.at;
        Some(due.event)
    }
}
