//! Some hundred seeds, and deliberate bugs that they find.

use simulation::{Mutation, run, setup::Setup, shrink};

#[test]
fn seeds_violate_nothing() {
    let (mut steps, mut failovers) = (0, 0);
    for seed in 0..250 {
        let outcome = run(Setup::of(seed).0, None);
        assert_eq!(outcome.violations, Vec::<String>::new(), "seed {seed}");
        steps += outcome.steps;
        failovers += outcome.tally.of("events", "failovers");
    }
    assert!(steps > 100_000 && failovers > 50, "{steps} steps, {failovers} failovers");
}

#[test]
fn a_seed_is_the_same_every_time() {
    for seed in [3, 4] {
        let [one, other] = [0, 1].map(|_| run(Setup::of(seed).0, None));
        assert_eq!((one.steps, one.tally.0), (other.steps, other.tally.0), "seed {seed}");
    }
}

/// The first seed that finds a bug.
fn found_by(mutation: Mutation, within: u64) -> u64 {
    (0..within)
        .find(|seed| !run(Setup::of(*seed).0, Some(mutation)).violations.is_empty())
        .unwrap_or_else(|| panic!("{mutation:?} is not found by {within} seeds"))
}

#[test]
fn bugs_are_found() {
    for mutation in [
        Mutation::PromoteBeforeFence,
        Mutation::FreezeTooFew,
        Mutation::TrustStopping,
        Mutation::NoBootGuard,
        Mutation::RecordFirst,
        Mutation::PublishNothing,
    ] {
        found_by(mutation, 80);
    }
}

#[test]
fn a_failing_schedule_shrinks_and_still_fails() {
    let mutation = Mutation::PromoteBeforeFence;
    let seed = found_by(mutation, 80);
    let (all, _) = Setup::of(seed);
    let (smallest, kept) = shrink(seed, Some(mutation));
    assert!(!kept.is_empty() && kept.len() <= all.faults.len());
    assert!(!run(smallest, Some(mutation)).violations.is_empty());
    let mut again = all;
    again.faults.retain(|(number, _)| kept.contains(number));
    assert!(!run(again, Some(mutation)).violations.is_empty(), "what --keep replays");
}
