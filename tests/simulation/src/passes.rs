//! Lambda: passes begin, wait, end, and die.

use crate::{
    clock::{Event, Ms},
    outside::Port,
    story,
    world::World,
};
use domain::{card::Card, request::Request};
use promote_replica::{Pass, Report, answer, change_writer, explain};
use reconcile::{Failure, Silences, Waking};
use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

/// The function's time-out in `infra/template.yaml`.
const LIMIT: Ms = 60_000;
/// An asynchronous invocation that failed is tried again after this long, once.
const RETRY: Ms = 60_000;

/// What a function is asked for.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    Pass(Waking),
    Explain,
    Answer(Request),
}

impl Asked {
    fn words(&self) -> String {
        match self {
            Asked::Pass(waking) => match &waking.switchover {
                Some(to) => format!("{}: switchover to {to}", waking.by),
                None => waking.by.clone(),
            },
            Asked::Explain => "explain".to_owned(),
            Asked::Answer(request) => format!("{request:?}"),
        }
    }
}

/// An invocation that begins.
pub(crate) struct Start {
    pub asked: Asked,
    /// Invocations of this event before.
    pub tries: u32,
    pub cut: Cut,
}

/// Where a pass is cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nowhere.
    Never,
    /// The call after so many others is not made.
    Before(u32),
    /// That call is made, and its answer never heard.
    After(u32),
}

impl Cut {
    fn words(self) -> String {
        match self {
            Cut::Never => String::new(),
            Cut::Before(call) => format!(" (dies before call {call})"),
            Cut::After(call) => format!(" (dies after call {call})"),
        }
    }
}

impl World {
    /// An event goes to `promote-replica`: it may get lost, come late, or twice.
    pub(crate) fn wakes(&mut self, waking: Waking, after: Ms) {
        let (loss, delay) = (self.setup.loss, self.between(40, 300));
        if self.chance(loss) {
            return;
        }
        let late = if self.chance(loss) { self.between(1_000, 60_000) } else { 0 };
        let twice = self.chance(loss);
        let copy = waking.clone();
        self.soon(after + delay + late, move |world| world.invokes(Asked::Pass(waking), 0));
        if twice {
            let later = self.between(0, 20_000);
            self.soon(after + delay + later, move |world| world.invokes(Asked::Pass(copy), 0));
        }
    }

    /// EC2 tells of a state.
    pub(crate) fn event_of_ec2(&mut self, word: &str) {
        let waking = Waking { by: format!("by EC2's event: {word}"), ..Waking::default() };
        let after = self.between(200, 3_000);
        self.wakes(waking, after);
    }

    /// The schedule, which finds what no event told.
    pub(crate) fn schedule(&mut self, every: Ms) {
        let waking = Waking { by: "by its schedule".to_owned(), ..Waking::default() };
        self.invokes(Asked::Pass(waking), 0);
        self.soon(every, move |world| world.schedule(every));
    }

    pub(crate) fn invokes(&mut self, asked: Asked, tries: u32) {
        let cut = match (self.chance(self.setup.cut), self.rng.bool()) {
            (false, _) => Cut::Never,
            (true, true) => Cut::Before(self.rng.u32(0..40)),
            (true, false) => Cut::After(self.rng.u32(0..40)),
        };
        self.starts.push(Start { asked, tries, cut });
    }
}

type Work = Pin<Box<dyn Future<Output = Result<Report, Failure>>>>;

struct Running {
    work: Work,
    asked: Asked,
    tries: u32,
}

/// A world, and the passes over it.
pub struct Sim {
    world: Rc<RefCell<World>>,
    passes: Vec<Option<Running>>,
    silences: Arc<Silences>,
    card: Rc<Card>,
    /// How the passes ended, for those who drive them by hand.
    pub ended: Vec<Option<Result<Report, String>>>,
}

impl Sim {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(world: World) -> Self {
        let card = world.card.clone();
        let world = Rc::new(RefCell::new(world));
        Sim { world, passes: Vec::new(), silences: Arc::default(), card, ended: Vec::new() }
    }

    /// Looks at the world, or changes it, between two steps.
    pub fn with<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.world.borrow_mut())
    }

    /// Time goes on up to a moment, or to the first violation; `false` for that.
    pub fn runs_until(&mut self, until: Ms) -> bool {
        loop {
            let event = self.world.borrow_mut().queue.next(until);
            match event {
                None => return true,
                Some(Event::Wake { pass, waker }) => {
                    waker.wake();
                    self.polls(pass);
                }
                Some(event) => self.world.borrow_mut().happens(event),
            }
            self.begins_and_ends();
            if !self.world.borrow().check.violations.is_empty() {
                return false;
            }
        }
    }

    fn begins_and_ends(&mut self) {
        loop {
            let (starts, ends) = {
                let mut world = self.world.borrow_mut();
                if world.starts.is_empty() && world.ends.is_empty() {
                    return;
                }
                (std::mem::take(&mut world.starts), std::mem::take(&mut world.ends))
            };
            for pass in ends {
                self.dies(pass);
            }
            for start in starts {
                self.begins(start);
            }
        }
    }

    /// An invocation begins; its number.
    pub(crate) fn begins(&mut self, start: Start) -> usize {
        let number = self.passes.len();
        let (port, deadline) = {
            let mut world = self.world.borrow_mut();
            story!(world, "pass {number} begins{}: {}", start.cut.words(), start.asked.words());
            world.tally.count("events", "passes");
            let skew = world.skew();
            world.soon(LIMIT, move |world| world.ends.push(number));
            let deadline = world.clock(skew) + LIMIT;
            (Port::new(self.world.clone(), self.card.clone(), number, skew, start.cut), deadline)
        };
        let (silences, asked) = (self.silences.clone(), start.asked.clone());
        let work: Work = Box::pin(async move { work(port, asked, number, silences, deadline).await });
        self.passes.push(Some(Running { work, asked: start.asked, tries: start.tries }));
        self.ended.push(None);
        self.polls(number);
        number
    }

    fn polls(&mut self, number: usize) {
        let Some(Some(running)) = self.passes.get_mut(number) else { return };
        crate::story::it_is(self.world.borrow().now());
        let done = running.work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(result) = done else { return };
        let Some(running) = self.passes[number].take() else { return };
        let mut world = self.world.borrow_mut();
        match &result {
            Ok(report) => {
                story!(world, "pass {number} ends: {}: {}", report.outcome, report.because);
                world.tally.count("outcomes", report.outcome);
                if matches!(report.outcome, "waits" | "refused") {
                    world.tally.count("reasons", crate::reasons::kind(&report.because));
                }
            }
            Err(failure) => {
                story!(world, "pass {number} fails: {}", failure.story());
                world.check_mishap();
                world.tally.count("outcomes", "failed");
                // `main.rs` takes a lost race as an answer.
                if !matches!(failure, Failure::LostRace { .. }) {
                    again(&mut world, running);
                }
            }
        }
        self.ended[number] = Some(result.map_err(|failure| failure.story()));
    }

    fn dies(&mut self, number: usize) {
        if let Some(running) = self.passes.get_mut(number).and_then(Option::take) {
            let mut world = self.world.borrow_mut();
            story!(world, "pass {number} dies");
            world.tally.count("events", "passes that died");
            world.check_mishap();
            again(&mut world, running);
        }
    }
}

/// Lambda tries an event a second time.
fn again(world: &mut World, running: Running) {
    if running.tries == 0 && !world.is_calm() {
        world.soon(RETRY, move |world| world.invokes(running.asked, 1));
    }
}

async fn work(
    port: Port,
    asked: Asked,
    number: usize,
    silences: Arc<Silences>,
    deadline: u64,
) -> Result<Report, Failure> {
    let id = format!("req-{number}");
    match asked {
        Asked::Answer(request) => match answer(&port, &request).await {
            Some(report) => report,
            None => Err(Failure::Broken { call: "simulation", what: format!("nobody answers {request:?}") }),
        },
        Asked::Explain => {
            explain(&mut Pass::new(port, Waking::default(), id, silences, deadline)).await
        }
        Asked::Pass(waking) => {
            let waking = Waking { at_ms: reconcile::Outside::now_ms(&port), ..waking };
            change_writer(&mut Pass::new(port, waking, id, silences, deadline)).await
        }
    }
}
