//! The checker can fail: each of its rules, broken by hand.

use super::*;
use crate::{passes::Sim, setup::Setup, world::World};
use domain::state::{Change, State};

/// A quiet world after some seconds, changed by hand.
fn broken(how: impl FnOnce(&mut World)) -> Vec<String> {
    let mut sim = Sim::new(World::new(Setup::quiet(3, 1), None));
    assert!(sim.runs_until(15_000), "a quiet world is well");
    sim.with(how);
    sim.runs_until(40_000);
    sim.with(|world| world.violations().to_vec())
}

fn assert_found(violations: &[String], words: &str) {
    assert!(violations.iter().any(|violation| violation.contains(words)), "{words:?} is not in {violations:?}");
}

#[test]
fn a_quiet_world_violates_nothing() {
    assert_eq!(broken(|_| ()), Vec::<String>::new());
}

#[test]
fn a_promotion_by_nobody_is_found() {
    assert_found(&broken(|world| world.begins_promotion(1)), "left recovery without a change of writer");
}

#[test]
fn two_members_that_acknowledge_are_found() {
    let violations = broken(|world| {
        world.members[1].data.setting = Some(String::new());
        world.begins_promotion(1);
    });
    assert_found(&violations, "two members can acknowledge commits");
}

/// A change as a pass would have noted it, with evidence that is not true.
fn change(sure: &str) -> Change {
    Change { from: "i-a".to_owned(), sure: Some(sure.to_owned()), ..Change::default() }
}

#[test]
fn evidence_that_is_not_true_is_found() {
    for sure in [
        "EC2 reads i-a back as stopped: nothing on it runs",
        "PostgreSQL on i-a has ended, and its guard starts nothing before epoch 2 is over",
        "commits frozen on 2 of 2 standbys (ANY 1 of 2)",
        "i-a has been cut for 40 s, and its guard stops PostgreSQL after 20.0 s without contact",
        "",
    ] {
        let violations = broken(|world| {
            world.aws.table.state.change = Some(change(sure));
            world.begins_promotion(1);
        });
        assert_found(&violations, "promoted although it is not true");
    }
}

#[test]
fn a_promotion_in_a_pause_is_found() {
    let violations = broken(|world| {
        let until_ms = world.clock(0) + 60_000;
        let pause = Some(Pause { until_ms, reason: "a test".to_owned() });
        world.aws.table.state = State { pause, change: Some(change("")), ..world.aws.table.state.clone() };
        world.begins_promotion(1);
    });
    assert_found(&violations, "while the cluster is paused");
}

#[test]
fn rows_that_a_successor_lacks_are_found() {
    let violations = broken(|world| {
        // The acknowledged rows of the last seconds vanish from the standby.
        world.power_off(0);
        world.members[1].data.lsn -= 1_000_000;
        world.aws.table.state.change = Some(change("EC2 reads i-a back as stopped: nothing on it runs"));
        world.begins_promotion(1);
    });
    assert_found(&violations, "lacks rows acknowledged up to");
}

#[test]
fn an_epoch_that_falls_is_found() {
    let violations = broken(|world| {
        world.aws.table.state.epoch = 9;
        world.check_epoch();
        world.aws.table.state.epoch = 8;
        world.check_epoch();
    });
    assert_found(&violations, "the epoch fell from 9 to 8");
}

#[test]
fn a_healthy_writer_that_is_fenced_is_found() {
    assert_found(&broken(|world| world.check_begin(&change(""))), "is a healthy writer");
    assert_found(&broken(|world| world.check_stop(0)), "the healthy writer i-a is stopped");
}

#[test]
fn a_failover_that_nobody_was_told_of_is_found() {
    let violations = broken(|world| {
        world.check_finish(2, ChangeKind::Failover);
        world.check_telling();
    });
    assert_found(&violations, "was told 0 times");
    assert_found(&violations, "no item in the ledger");
}

#[test]
fn a_record_at_a_standby_is_found() {
    let violations = broken(|world| {
        world.aws.zone.writer = vec![world.aws.addresses[1]];
        world.check_record();
    });
    assert_found(&violations, "the record moves to i-b, a standby");
}

#[test]
fn a_cluster_that_is_not_settled_is_told_apart() {
    let sim = Sim::new(World::new(Setup::quiet(3, 1), None));
    // Nothing streams yet.
    assert!(sim.with(|world| world.settled()).is_err());
}
