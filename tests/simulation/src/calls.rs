//! How a call of a pass travels: it may be cut, refused, slow, or done without
//! an answer.

use crate::{
    aws::Service,
    clock::{Event, Ms},
    member::Process,
    network::FUNCTIONS,
    passes::Cut,
    world::World,
};
use domain::card::Card;
use reconcile::Failure;
use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

/// Where a call goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum To {
    Service(Service),
    /// A member, and how long its answer is waited for.
    Member(usize, Ms),
}

/// What one pass sees of the world.
pub(crate) struct Port {
    pub world: Rc<RefCell<World>>,
    pub card: Rc<Card>,
    pub me: usize,
    pub skew: i64,
    pub freezes: Cell<u32>,
    cut: Cut,
    calls: Cell<u32>,
}

struct Trip {
    refused: Option<(Ms, &'static str)>,
    arrive: Ms,
    answer: Ms,
    mute: bool,
}

impl World {
    fn trip(&mut self, to: To) -> Trip {
        let unlucky = self.setup.flaky > 0 && self.rng.u64(0..1_000) < self.setup.flaky;
        let fails = unlucky && self.rng.bool();
        let mut trip = Trip { refused: None, arrive: 0, answer: 0, mute: unlucky && !fails };
        let refused = match to {
            To::Member(member, limit) => {
                (trip.arrive, trip.answer) = (self.between(2, 12), self.between(1, 5));
                let me = &self.members[member];
                if !self.net.reaches(FUNCTIONS, member) || !me.runs() {
                    Some((limit, "no answer in time"))
                } else if matches!(me.process, Process::Down) {
                    Some((3, "connection refused"))
                } else {
                    fails.then_some((limit, "connection cut"))
                }
            }
            To::Service(service) => {
                let (arrive, answer) = match service {
                    Service::Table | Service::Pages => (8, 15),
                    Service::Ec2 | Service::Commands => (60, 90),
                    Service::Records => (50, 150),
                };
                let ill = self.aws.ill[service as usize];
                let slow = if ill.slow > 0 { self.between(300, 4_000) } else { 0 };
                (trip.arrive, trip.answer) = (self.between(1, arrive) + slow, self.between(1, answer) + slow);
                trip.mute |= ill.mute > 0;
                let throttled = ill.throttled > 0 && self.chance(50);
                let late = self.between(300, 4_000);
                if ill.down > 0 {
                    Some((late, "HTTP 500"))
                } else {
                    (throttled || fails).then_some((late, "throttled"))
                }
            }
        };
        trip.refused = refused;
        trip
    }
}

impl Port {
    pub(crate) fn new(world: Rc<RefCell<World>>, card: Rc<Card>, me: usize, skew: i64, cut: Cut) -> Self {
        Port { world, card, me, skew, cut, freezes: Cell::new(0), calls: Cell::new(0) }
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.world.borrow_mut())
    }

    pub(crate) fn wait(&self, span: Ms) -> Wait<'_> {
        let until = self.world.borrow().now() + span;
        Wait { port: self, until, planned: false }
    }

    async fn dies(&self) {
        self.with(|world| world.ends.push(self.me));
        std::future::pending::<()>().await;
    }

    /// Makes a call whose effect is `effect`, done where it arrives, whatever
    /// has become of the pass by then.
    pub(crate) async fn call<T: 'static>(
        &self,
        call: &'static str,
        to: To,
        effect: impl FnOnce(&mut World) -> Result<T, Failure> + 'static,
    ) -> Result<T, Failure> {
        let number = self.calls.replace(self.calls.get() + 1);
        if self.cut == Cut::Before(number) {
            self.dies().await;
        }
        let trip = self.with(|world| world.trip(to));
        if let Some((after, why)) = trip.refused {
            self.wait(after).await;
            return Err(transient(call, why));
        }
        let answer: Rc<RefCell<Option<Result<T, Failure>>>> = Rc::default();
        let slot = answer.clone();
        let arrives = move |world: &mut World| {
            let reached = match to {
                To::Member(member, _) => world.members[member].runs(),
                To::Service(_) => true,
            };
            *slot.borrow_mut() = Some(if reached { effect(world) } else { Err(transient(call, "connection cut")) });
        };
        self.with(|world| world.queue.after(trip.arrive, Event::Do(Box::new(arrives))));
        if self.cut == Cut::After(number) {
            self.wait(trip.arrive + 1).await;
            self.dies().await;
        }
        self.wait(trip.arrive + trip.answer).await;
        let gone = match to {
            To::Member(member, _) => self.with(|world| !world.net.reaches(FUNCTIONS, member)),
            To::Service(_) => false,
        };
        if trip.mute || gone {
            if let To::Member(_, limit) = to {
                self.wait(limit).await;
            } else {
                self.wait(2_000).await;
            }
            self.with(World::check_mishap);
            return Err(transient(call, "the answer was lost"));
        }
        let result = answer.borrow_mut().take();
        result.unwrap_or_else(|| Err(transient(call, "no answer")))
    }
}

pub(crate) fn transient(call: &'static str, why: &str) -> Failure {
    Failure::Transient { call, source: why.into() }
}

/// Waits for a moment of virtual time.
pub(crate) struct Wait<'a> {
    port: &'a Port,
    until: Ms,
    planned: bool,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut world = self.port.world.borrow_mut();
        if world.now() >= self.until {
            return Poll::Ready(());
        }
        let (until, pass) = (self.until, self.port.me);
        let planned = self.planned;
        if !planned {
            world.queue.at(until, Event::Wake { pass, waker: context.waker().clone() });
        }
        drop(world);
        self.planned = true;
        Poll::Pending
    }
}
