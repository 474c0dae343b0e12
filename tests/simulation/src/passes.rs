//! Lambda: passes begin, wait, end, and die.

use crate::{
    clock::{Event, Ms},
    member::Ec2,
    outside::Port,
    story,
    world::World,
};
use domain::{card::Card, request::Request};
use promote_replica::{Pass, answer, change_writer, explain};
use reconcile::{Desk as _, Failure, Silences, Turn, Waking};
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
    /// `update-dns`.
    Dns(Waking),
    /// `rejoin-replica`.
    Rejoin(Waking),
}

impl Asked {
    /// Under which its outcomes are counted.
    fn group(&self) -> &'static str {
        match self {
            Asked::Pass(_) => "outcomes",
            Asked::Explain | Asked::Answer(_) => "outcomes of requests",
            Asked::Dns(_) => "outcomes of update-dns",
            Asked::Rejoin(_) => "outcomes of rejoin-replica",
        }
    }

    fn words(&self) -> String {
        match self {
            Asked::Pass(waking) => match &waking.switchover {
                Some(to) => format!("{}: switchover to {to}", waking.by),
                None => waking.by.clone(),
            },
            Asked::Dns(waking) => format!("update-dns, {}", waking.by),
            Asked::Rejoin(waking) => format!("rejoin-replica, {}", waking.by),
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
    /// An event goes to a function: it may get lost, come late, or twice.
    pub(crate) fn wakes(&mut self, asked: Asked, after: Ms) {
        let (loss, delay) = (self.setup.loss, self.between(40, 300));
        if self.chance(loss) {
            return;
        }
        let late = if self.chance(loss) { self.between(1_000, 60_000) } else { 0 };
        let twice = self.chance(loss);
        let copy = asked.clone();
        self.soon(after + delay + late, move |world| world.invokes(asked, 0));
        if twice {
            let later = self.between(0, 20_000);
            self.soon(after + delay + later, move |world| world.invokes(copy, 0));
        }
    }

    /// EC2 tells of a state.
    pub(crate) fn event_of_ec2(&mut self, ec2: Ec2) {
        let waking = |word: &str| Waking { by: format!("by EC2's event: {word}"), ..Waking::default() };
        let asked = match ec2 {
            Ec2::Pending => return,
            Ec2::Stopping => vec![Asked::Pass(waking("stopping"))],
            Ec2::Stopped => vec![Asked::Pass(waking("stopped"))],
            Ec2::Running => vec![Asked::Dns(waking("running")), Asked::Rejoin(waking("running"))],
        };
        for asked in asked {
            let after = self.between(200, 3_000);
            self.wakes(asked, after);
        }
    }

    /// The schedules, which find what no event told.
    pub(crate) fn schedules(&mut self) {
        let waking = || Waking { by: "by its schedule".to_owned(), ..Waking::default() };
        let every =
            [(Asked::Pass(waking()), 60_000), (Asked::Dns(waking()), 300_000), (Asked::Rejoin(waking()), 300_000)];
        for (asked, span) in every {
            let first = self.between(0, span);
            self.soon(first, move |world| world.schedule(asked, span));
        }
    }

    fn schedule(&mut self, asked: Asked, every: Ms) {
        self.invokes(asked.clone(), 0);
        self.soon(every, move |world| world.schedule(asked, every));
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

/// How an invocation ended: its outcome, and why.
pub type Ended = Result<(&'static str, String), Failure>;

type Work = Pin<Box<dyn Future<Output = Ended>>>;

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
    pub ended: Vec<Option<Result<(&'static str, String), String>>>,
}

impl Sim {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(world: World) -> Self {
        let card = world.card.clone();
        let world = Rc::new(RefCell::new(world));
        Sim { world, passes: Vec::new(), silences: Arc::default(), card, ended: Vec::new() }
    }

    /// Whether a pass has neither ended nor died.
    pub(crate) fn is_running(&self, pass: usize) -> bool {
        self.passes.get(pass).is_some_and(Option::is_some)
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
            Ok((outcome, because)) => {
                story!(world, "pass {number} ends: {outcome}: {because}");
                world.tally.count(running.asked.group(), outcome);
                if matches!(running.asked, Asked::Pass(_)) && matches!(*outcome, "waits" | "refused") {
                    world.tally.count("reasons", crate::reasons::kind(because));
                }
            }
            Err(failure) => {
                story!(world, "pass {number} fails: {}", failure.story());
                world.check_mishap();
                world.tally.count(running.asked.group(), "failed");
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

async fn work(port: Port, asked: Asked, number: usize, silences: Arc<Silences>, deadline_ms: u64) -> Ended {
    let pass = format!("req-{number}");
    let turn = Turn { pass: pass.clone(), deadline_ms };
    let at_ms = port.now_ms();
    let now = |waking: Waking| Waking { at_ms, ..waking };
    match asked {
        Asked::Answer(request) => match answer(&port, port.card.policy.grace(), &request).await {
            Some(report) => report.map(|report| (report.outcome, report.because)),
            None => Err(Failure::Broken { call: "simulation", what: format!("nobody answers {request:?}") }),
        },
        Asked::Explain => {
            let mut pass = Pass::new(port, Waking::default(), pass, silences, deadline_ms);
            explain(&mut pass).await.map(|report| (report.outcome, report.because))
        }
        Asked::Pass(waking) => {
            let mut pass = Pass::new(port, now(waking), pass, silences, deadline_ms);
            change_writer(&mut pass).await.map(|report| (report.outcome, report.because))
        }
        Asked::Dns(waking) => {
            let mut pass = update_dns::Pass::new(port, now(waking), silences, turn);
            update_dns::follow_roles(&mut pass).await.map(|report| (report.outcome, report.because))
        }
        Asked::Rejoin(waking) => {
            let mut pass = rejoin_replica::Pass::new(port, now(waking), silences, turn);
            rejoin_replica::bring_back(&mut pass).await.map(|report| (report.outcome, report.because))
        }
    }
}
