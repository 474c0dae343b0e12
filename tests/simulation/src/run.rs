//! One run: trouble, then calm, then all must be well.

use crate::{
    clock::Ms,
    mutation::Mutation,
    passes::Sim,
    setup::{Setup, TROUBLE},
    story,
    tally::Tally,
    world::World,
};

/// After the trouble, all is well within this: an hour's limit on failovers
/// apart, the longest wait is that of `rejoin-replica` after a failed copy (10 minutes).
const PATIENCE: Ms = 1_500_000;

/// All must be well for so long.
const STAYS: Ms = 6_000;

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What did not hold; empty when all did.
    pub violations: Vec<String>,
    /// Events of the run.
    pub steps: u64,
    /// What was seen how often.
    pub tally: Tally,
}

/// Runs one seed, or what is left of its faults.
#[must_use]
pub fn run(setup: Setup, mutation: Option<Mutation>) -> Outcome {
    drop(story::take_steps());
    let mut world = World::new(setup, mutation);
    world.watch_starts();
    world.schedules();
    let last = world.setup.faults.iter().map(|(_, fault)| fault.at + fault.span.min(60_000)).max().unwrap_or(0);
    world.soon(last.clamp(10_000, TROUBLE) + 1_000, World::calms_down);
    let mut sim = Sim::new(world);
    settles(&mut sim);
    sim.with(|world| {
        world.check_telling();
        let mut tally = std::mem::take(&mut world.tally);
        for (step, count) in story::take_steps() {
            tally.add("steps", step, count);
        }
        Outcome { violations: std::mem::take(&mut world.check.violations), steps: world.steps(), tally }
    })
}

fn settles(sim: &mut Sim) {
    let mut well_since: Option<Ms> = None;
    let mut calm_since: Option<Ms> = None;
    loop {
        let next = sim.with(|world| world.now()) + 1_000;
        if !sim.runs_until(next) {
            return;
        }
        let (calm, now, settled) = sim.with(|world| (world.is_calm(), world.now(), world.settled()));
        if !calm {
            continue;
        }
        let since = *calm_since.get_or_insert(now);
        match settled {
            Ok(()) if now - *well_since.get_or_insert(now) >= STAYS => return,
            Ok(()) => {}
            Err(problem) => {
                well_since = None;
                if now - since > PATIENCE {
                    sim.with(|world| world.violates(format!("{} s after the last fault: {problem}", PATIENCE / 1_000)));
                    return;
                }
            }
        }
    }
}
