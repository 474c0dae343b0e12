//! Failovers in a quiet world, cut short everywhere.

use domain::state::Synchronous;
use simulation::{Cut, Stage, Went, member::Ec2, story};

const B: usize = 1;
const C: usize = 2;

/// What must hold when a failover from `i-a` to `i-b` is over, however it came about.
fn assert_taken_over(stage: &Stage, how: &str) {
    assert_eq!(stage.violations(), Vec::<String>::new(), "{how}");
    assert_eq!(stage.writers(), [B], "{how}");
    stage.with(|world| {
        let [_, b, c] = [0, 1, 2].map(|member| world.card.members[member].address);
        assert_eq!((world.aws.zone.writer.as_slice(), world.aws.zone.epoch), (&[b][..], Some(2)), "{how}");
        assert_eq!(world.aws.zone.reader, [c], "{how}");
        assert_eq!(world.members[C].data.upstream, Some(B), "{how}");
        let data = &world.members[B].data;
        assert_eq!(world.branches[data.branch].timeline, 2, "{how}");
        assert_ne!(data.slots & (1 << C), 0, "{how}: a slot for i-c");
        let set = Synchronous { required: 1, names: vec!["orders_c".to_owned()] };
        assert_eq!(world.members[B].writer().map(|writer| writer.applied.clone()), Some(set.clone()), "{how}");
        let state = &world.aws.table.state;
        assert_eq!((state.epoch, state.writer.as_deref(), &state.synchronous), (2, Some("i-b"), &set), "{how}");
        assert!(state.change.is_none() && state.holder.is_none(), "{how}: {state:?}");
        assert_eq!(world.aws.table.ledger.len(), 1, "{how}");
        assert!(matches!(world.members[0].host.ec2, Ec2::Stopping | Ec2::Stopped), "{how}");
    });
}

/// Pages that tell a failover.
fn told(stage: &Stage) -> usize {
    stage.with(|world| world.aws.pages.iter().filter(|page| page.subject.contains("writer moved to")).count())
}

fn outcome(went: Went) -> (String, String) {
    match went {
        Went::Ended(outcome, because) => (outcome, because),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_dead_writer_is_replaced_in_the_right_order() {
    story::listen();
    let mut stage = Stage::new(3, 1);
    stage.loses_writer(false);
    story::begin(true);
    let went = stage.pass(Cut::Never);
    let lines = story::lines();
    story::begin(false);
    assert_eq!(outcome(went).0, "acted");
    assert_taken_over(&stage, "no cut");
    assert_eq!(told(&stage), 1);
    let order = [
        "take the lease and advance",
        "freeze i-b",
        "freeze i-c",
        "promote i-b",
        "let commits on i-b wait",
        "publish that commits wait",
        "create slots orders_c",
        "move the writer record",
        "let i-c follow",
        "stop instance i-a",
        "let the reader record",
        "write the ledger",
    ];
    let steps: Vec<&str> = lines.iter().filter_map(|line| line.split_once("step: ").map(|(_, step)| step)).collect();
    assert_eq!(steps.len(), order.len(), "{steps:#?}");
    for (step, expected) in steps.iter().zip(order) {
        assert!(step.starts_with(expected), "{step:?} is not {expected:?}");
    }
}

/// Calls of a failover that nothing cuts short: as many places to cut it.
fn calls() -> u32 {
    let mut stage = Stage::new(3, 1);
    stage.loses_writer(false);
    (0..200)
        .find(|call| {
            let mut stage = Stage::new(3, 1);
            stage.loses_writer(false);
            !matches!(stage.pass(Cut::Before(*call)), Went::Died)
        })
        .unwrap_or(200)
}

/// Every call of a failover cut before or after its effect, the next pass cut
/// at every call again, and a third that lives. The second cuts are thinned
/// out, so that the whole walk takes seconds without optimization too.
#[test]
fn a_failover_cut_short_anywhere_is_finished_by_the_next_pass() {
    let calls = calls();
    assert!((30..150).contains(&calls), "{calls} calls");
    let thin = if cfg!(debug_assertions) { 9 } else { 1 };
    let cuts = || (0..calls).flat_map(|call| [Cut::Before(call), Cut::After(call)]);
    let mut walked = 0_usize;
    for stopped in [false, true] {
        for (place, first) in cuts().enumerate() {
            let seconds = cuts().chain([Cut::Never]).enumerate();
            for (_, second) in seconds.filter(|(other, _)| (other + place) % thin == 0) {
                walk(stopped, first, second);
                walked += 1;
            }
        }
    }
    assert!(walked > 1_000, "{walked} walks");
}

fn walk(stopped: bool, first: Cut, second: Cut) {
    let how = format!("stopped {stopped}, {first:?}, {second:?}");
    let mut stage = Stage::new(3, 1);
    stage.loses_writer(stopped);
    let one = stage.pass(first);
    // The lease of a dead pass has to expire.
    stage.waits(63_000);
    let two = stage.pass(second);
    stage.waits(63_000);
    let three = stage.pass(Cut::Never);
    assert!(matches!(three, Went::Ended(..)), "{how}: {three:?}");
    assert_taken_over(&stage, &how);
    // Only a pass that dies between page and phase tells a failover again.
    let died = [&one, &two].iter().filter(|went| matches!(went, Went::Died)).count();
    assert!((1..=1 + died).contains(&told(&stage)), "{how}: told {} times", told(&stage));
}

#[test]
fn a_second_wake_up_changes_nothing() {
    let mut stage = Stage::new(3, 1);
    stage.loses_writer(false);
    drop(stage.pass(Cut::Never));
    for _ in 0..3 {
        stage.waits(5_000);
        assert_eq!(outcome(stage.pass(Cut::Never)).0, "steady");
        assert_taken_over(&stage, "again");
    }
    assert_eq!(told(&stage), 1);
}

#[test]
fn a_pass_that_died_holds_the_lease_as_far_as_anybody_knows() {
    let mut stage = Stage::new(3, 1);
    stage.loses_writer(false);
    assert!(matches!(stage.pass(Cut::After(12)), Went::Died));
    let (outcome, because) = outcome(stage.pass(Cut::Never));
    assert_eq!(outcome, "waits");
    assert!(because.contains("holds the lease"), "{because}");
}

#[test]
fn the_quorum_missing_nothing_is_touched_and_a_person_is_told_once() {
    let mut stage = Stage::new(3, 1);
    stage.switches(C, false);
    stage.loses_writer(false);
    for _ in 0..3 {
        assert_eq!(outcome(stage.pass(Cut::Never)).0, "refused");
        stage.waits(5_000);
    }
    stage.with(|world| {
        assert_eq!((world.aws.table.state.epoch, world.members[B].data.upstream), (1, Some(0)), "nothing was touched");
        let subjects: Vec<&str> = world.aws.pages.iter().map(|page| page.subject.as_str()).collect();
        assert_eq!(subjects, ["P1 orders: not acting: quorum-missing"]);
    });
}

#[test]
fn asynchronous_waits_for_the_old_writer_to_be_off() {
    let mut stage = Stage::new(3, 0);
    stage.loses_writer(false);
    let (outcome_now, because) = outcome(stage.pass(Cut::Never));
    assert_eq!(outcome_now, "waits", "{because}");
    assert!(because.contains("no proof"), "{because}");
    assert_eq!(stage.writers(), [] as [usize; 0]);
    // EC2's event of the end of the stop wakes the pass that acts.
    stage.waits(130_000);
    assert_eq!(outcome(stage.pass(Cut::Never)).0, "steady");
    assert_eq!(stage.writers(), [B]);
    let page = stage.with(|world| world.aws.pages.last().map(|page| page.text.clone())).unwrap_or_default();
    assert!(page.contains("Lost    nothing up to the last position"), "{page}");
}

#[test]
fn a_switchover_cut_short_anywhere_ends_well() {
    for cut in (0..40).flat_map(|call| [Cut::Before(call), Cut::After(call)]) {
        let mut stage = Stage::new(3, 1);
        drop(stage.switchover("i-c", cut));
        for _ in 0..4 {
            stage.waits(63_000);
            drop(stage.pass(Cut::Never));
        }
        assert_eq!(stage.violations(), Vec::<String>::new(), "{cut:?}");
        let writers = stage.writers();
        assert!(writers == [0] || writers == [C], "{cut:?}: {writers:?}");
        let open = stage.with(|world| world.aws.table.state.change.is_some());
        assert!(!open, "{cut:?}");
    }
}

#[test]
fn a_healthy_cluster_is_left_alone() {
    let mut stage = Stage::new(3, 1);
    assert_eq!(outcome(stage.pass(Cut::Never)).0, "steady");
    stage.with(|world| assert!(world.aws.pages.is_empty() && world.aws.table.state.epoch == 1));
}
