//! `update-dns` against a scripted world: cut at every call, overtaken by a
//! change of writer, and with records that are not its own.

use domain::{
    dns::APART,
    failover::Sql,
    state::{Change, Holder},
};
use reconcile::{Failure, Report, Waking};
use scenarios::world::{Trouble, World, address, standby, writer};
use std::{collections::BTreeSet, pin::pin, time::Duration};
use update_dns::{Pass, follow_roles};

const MINUTE: Duration = Duration::from_secs(60);

async fn pass(world: &World) -> Result<Report, Failure> {
    let mut pass = Pass::new(world.clone(), Waking::default(), std::sync::Arc::default(), world.turn());
    follow_roles(&mut pass).await
}

fn outcome(world: &World) -> &'static str {
    world.run(pass(world)).map_or("died", |ended| ended.map_or("failed", |report| report.outcome))
}

/// The record is where a change left it that never came to it, and `i-c` is gone.
fn astray() -> World {
    let world = World::well();
    {
        let mut inner = world.see();
        (inner.records.writer, inner.records.epoch) = (vec![address("i-b")], Some(6));
        inner.records.reader = vec![address("i-a"), address("i-c")];
        inner.sql.insert("i-c".to_owned(), Sql::Silent("no answer".to_owned()));
        inner.sql.insert("i-a".to_owned(), writer(&["i-b"]));
    }
    world
}

fn is_right(world: &World, what: &str) {
    let inner = world.see();
    assert_eq!((&inner.records.writer, inner.records.epoch), (&vec![address("i-a")], Some(7)), "{what}");
    assert_eq!(inner.records.reader, [address("i-b")], "{what}");
    assert_eq!(inner.state.holder, None, "{what}: the lease is not given back");
    assert_eq!(inner.pages.len(), 0, "{what}");
}

#[test]
fn records_that_are_right_are_only_looked_at() {
    let world = World::well();
    assert_eq!(outcome(&world), "steady");
    let calls: BTreeSet<&str> = world.see().calls.iter().copied().collect();
    assert_eq!(calls, BTreeSet::from(["state", "probe", "hosts", "guard", "records"]));
}

#[test]
fn records_that_are_not_follow_the_roles_under_the_lease() {
    let world = astray();
    let began = world.see().now_ms;
    assert_eq!(outcome(&world), "acted");
    is_right(&world, "in one pass");
    let inner = world.see();
    assert!(Duration::from_millis(inner.now_ms - began) >= APART, "two looks, apart");
    let order: Vec<&str> =
        inner.calls.iter().copied().filter(|call| !["probe", "hosts", "guard", "records"].contains(call)).collect();
    // I2: the state is read again under the lease.
    let expected = ["state", "state", "resume", "state", "move_writer", "set_readers", "state", "release"];
    assert_eq!(order, expected);
}

#[test]
fn whatever_is_cut_is_finished_by_the_next_pass() {
    let calm = astray();
    outcome(&calm);
    let calls = calm.see().calls.clone();
    for call in 1..=calls.len() {
        let troubles = [Trouble::DiesBefore, Trouble::DiesAfter, Trouble::Fails, Trouble::LosesAnswer];
        for trouble in troubles.map(|trouble| trouble(call)) {
            let world = astray();
            world.see().trouble = Some(trouble);
            outcome(&world);
            let what = format!("{trouble:?}, {}", calls[call - 1]);
            let holder = world.see().state.holder.clone();
            let until = holder.map_or(0, |holder| holder.expires_at_ms);
            assert!(until <= world.see().now_ms + 10_000, "{what}: a failover would wait until {until}");
            world.later(MINUTE * 5);
            outcome(&world);
            world.later(MINUTE * 5);
            assert_eq!(outcome(&world), "steady", "{what}");
            world.see().state.holder = None;
            is_right(&world, &what);
        }
    }
}

/// A change of writer begins while a pass stands still before any of its calls.
#[test]
fn a_change_that_begins_is_never_worked_against() {
    let calm = astray();
    outcome(&calm);
    let calls = calm.see().calls.clone();
    for call in 1..=calls.len() {
        let world = astray();
        world.see().trouble = Some(Trouble::Stops(call));
        let mut slow = pin!(pass(&world));
        // What EC2, Route 53 or a guard's item do not say in time is gone on without.
        if futures_util::FutureExt::now_or_never(slow.as_mut()).is_some() {
            assert!(["hosts", "records", "guard"].contains(&calls[call - 1]), "call {call}, {}", calls[call - 1]);
            continue;
        }
        let mut begun = false;
        {
            let mut inner = world.see();
            let free = inner.state.holder.is_none();
            // As `begin` has it: only where nobody holds the lease.
            if free {
                begun = true;
                inner.state.epoch = 8;
                inner.state.change = Some(Change { from: "i-a".to_owned(), ..Change::default() });
                inner.state.holder = Some(Holder { id: "other".to_owned(), expires_at_ms: u64::MAX });
                // It promotes i-b, and has moved the record.
                (inner.records.writer, inner.records.epoch) = (vec![address("i-b")], Some(8));
                inner.sql.insert("i-b".to_owned(), writer(&[]));
            }
        }
        let ended = world.run(slow).unwrap();
        let inner = world.see();
        if begun && call <= calls.iter().position(|call| *call == "move_writer").unwrap() {
            assert!(matches!(&ended, Err(Failure::LostRace { .. }) | Ok(Report { outcome: "waits", .. })), "{ended:?}");
        }
        if begun {
            assert_eq!((&inner.records.writer, inner.records.epoch), (&vec![address("i-b")], Some(8)), "call {call}");
            assert_eq!(inner.state.holder.as_ref().map(|holder| &*holder.id), Some("other"), "call {call}");
        }
    }
}

/// Its lease ran out while Route 53 hung, and a failover took over.
#[test]
fn a_move_that_comes_late_moves_nothing() {
    let calm = astray();
    outcome(&calm);
    let at = calm.see().calls.iter().position(|call| *call == "move_writer").unwrap() + 1;
    let world = astray();
    world.see().trouble = Some(Trouble::Stops(at));
    let mut slow = pin!(pass(&world));
    assert!(futures_util::FutureExt::now_or_never(slow.as_mut()).is_none());
    {
        let mut inner = world.see();
        inner.now_ms += 11_000;
        assert!(inner.state.holder.as_ref().is_some_and(|holder| holder.expires_at_ms < inner.now_ms));
        inner.state.epoch = 8;
        inner.state.holder = Some(Holder { id: "other".to_owned(), expires_at_ms: u64::MAX });
        (inner.records.writer, inner.records.epoch) = (vec![address("i-b")], Some(8));
    }
    let ended = world.run(slow).unwrap();
    assert!(matches!(ended, Err(Failure::LostRace { .. })), "{ended:?}");
    let inner = world.see();
    assert_eq!((&inner.records.writer, inner.records.epoch), (&vec![address("i-b")], Some(8)));
    assert_eq!(inner.state.holder.as_ref().map(|holder| &*holder.id), Some("other"), "another's lease stays");
}

#[test]
fn a_record_of_a_later_epoch_is_left_alone_and_told_once() {
    let world = World::well();
    world.see().records.epoch = Some(9);
    let outcomes: Vec<&str> = (0..3)
        .map(|_| {
            world.later(MINUTE);
            outcome(&world)
        })
        .collect();
    assert_eq!(outcomes, ["refused"; 3]);
    let pages = world.see().pages.clone();
    assert_eq!(pages.len(), 1);
    assert_eq!(pages[0].subject, "P1 orders: the writer record is not ours, and is left alone");
    assert_eq!(world.see().records.epoch, Some(9));
    assert!(!world.see().calls.contains(&"resume"));
    world.later(MINUTE * 15);
    outcome(&world);
    assert_eq!(world.see().pages.len(), 2, "again after a quarter of an hour");
}

#[test]
fn a_standby_that_flaps_stays() {
    let world = World::well();
    // Away in the first look only.
    world.see().sql.insert("i-c".to_owned(), Sql::Silent("no answer".to_owned()));
    let again = {
        let calm = World::well();
        calm.see().sql.insert("i-c".to_owned(), Sql::Silent("no answer".to_owned()));
        outcome(&calm);
        let states = |(_, call): &(usize, &&str)| **call == "state";
        let inner = calm.see();
        let (place, _) = inner.calls.iter().enumerate().filter(states).nth(1).unwrap();
        place + 1
    };
    world.see().trouble = Some(Trouble::Stops(again));
    let mut slow = pin!(pass(&world));
    assert!(futures_util::FutureExt::now_or_never(slow.as_mut()).is_none());
    world.see().sql.insert("i-c".to_owned(), standby());
    let ended = world.run(slow).unwrap().unwrap();
    assert_eq!(ended.outcome, "acted", "it looked again");
    assert_eq!(world.see().records.reader, [address("i-b"), address("i-c")]);
    assert!(!world.see().calls.contains(&"resume"));
}

#[test]
fn records_that_nobody_shows_are_a_failure_that_the_alarm_counts() {
    let calm = World::well();
    outcome(&calm);
    let at = calm.see().calls.iter().position(|call| *call == "records").unwrap() + 1;
    let world = World::well();
    world.see().trouble = Some(Trouble::Fails(at));
    let ended = world.run(pass(&world)).unwrap();
    assert!(matches!(&ended, Err(Failure::Transient { call: "route53:ListResourceRecordSets", .. })), "{ended:?}");
}
