//! The smallest schedule of faults that still fails.

use crate::{
    mutation::Mutation,
    run::run,
    setup::{Fault, FaultTree, Setup},
};

/// Simplifications of one fault that are tried, at most.
const MOST_TRIES: u32 = 40;

/// Leaves out faults, then makes the rest simpler, as long as the run fails.
/// The numbers of the faults that are left are what `--keep` takes; simpler
/// values are for reading.
#[must_use]
pub fn shrink(seed: u64, mutation: Option<Mutation>) -> (Setup, Vec<usize>) {
    let (mut setup, mut trees) = Setup::of(seed);
    let wanted = first_kind(&setup, mutation);
    let fails = |setup: &Setup| first_kind(setup, mutation) == wanted;
    let mut place = 0;
    while place < setup.faults.len() {
        let mut fewer = setup.clone();
        fewer.faults.remove(place);
        if fails(&fewer) {
            // What was needed beside it may not be any more.
            (setup, place) = (fewer, 0);
        } else {
            place += 1;
        }
    }
    let kept: Vec<usize> = setup.faults.iter().map(|(number, _)| *number).collect();
    for place in 0..setup.faults.len() {
        let (number, _) = setup.faults[place];
        simplify(&mut setup, place, &mut trees[number], &fails);
    }
    (setup, kept)
}

/// What a run violates first, without numbers and names: a smaller schedule
/// must fail for the same cause.
fn first_kind(setup: &Setup, mutation: Option<Mutation>) -> Option<String> {
    let first = run(setup.clone(), mutation).violations.into_iter().next()?;
    let words = first.split_whitespace().filter(|word| word.chars().all(|letter| letter.is_ascii_alphabetic()));
    Some(words.collect::<Vec<_>>().join(" "))
}

fn simplify(setup: &mut Setup, place: usize, tree: &mut FaultTree, fails: &impl Fn(&Setup) -> bool) {
    let mut best: Fault = tree.current();
    let mut moved = tree.simplify();
    for _ in 0..MOST_TRIES {
        if !moved {
            break;
        }
        let mut simpler = setup.clone();
        simpler.faults[place].1 = tree.current();
        moved = if fails(&simpler) {
            best = tree.current();
            tree.simplify()
        } else {
            tree.complicate()
        };
    }
    setup.faults[place].1 = best;
}
