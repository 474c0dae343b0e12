//! Changes that AWS refuses, or that lose their first Region on the way.

use crate::{
    takeover::{entries, failover, phase, switchover, token},
    world::{HERE, THERE, World},
};
use domain::card::Topology;

#[test]
fn a_switchover_that_aws_refuses_is_undone_and_clients_stay_where_they_are() {
    for (topology, order) in [
        (Topology::RdsPostgres, "promote Here".to_owned()),
        (Topology::AuroraProvisioned, format!("switchover {HERE}")),
    ] {
        let world = World::well(topology);
        world.see().refuses = true;
        let _ = world.pass(switchover());
        world.minutes(14);
        assert_eq!(phase(&world), "standby", "{topology}");
        let inner = world.see();
        assert!(inner.published.iter().all(|serves| *serves), "{topology}: {:?}", inner.published);
        assert_eq!(inner.orders.iter().filter(|given| **given == order).count(), 3, "{topology}: {:?}", inner.orders);
        assert!(!inner.there.cut && !inner.two_writers, "{topology}");
        assert!(inner.pages.iter().any(|page| page.subject.contains("given up")), "{topology}: {:?}", inner.pages);
    }
}

#[test]
fn clients_are_sent_here_from_when_aws_takes_a_planned_order() {
    let world = World::well(Topology::RdsPostgres);
    world.ask(switchover());
    // RDS is at it, and not done.
    assert_eq!(world.see().here.status, "modifying");
    assert_eq!(world.see().published.last(), Some(&false));
    assert_eq!(phase(&world), "taking over");
}

#[test]
fn sessions_that_a_group_does_not_end_do_not_hold_a_switchover() {
    let world = World::well(Topology::RdsPostgres);
    world.see().there.sessions = 2;
    world.ask(switchover());
    world.minutes(3);
    assert_eq!(phase(&world), "serving");
    assert_eq!(world.see().orders, ["cut off There", "end sessions There", "promote Here"]);
}

#[test]
fn one_unanswered_call_does_not_leave_the_fence_out() {
    let world = World::lost(Topology::RdsPostgres);
    let token = token(&world);
    world.ask(failover(Some(&token)));
    world.see().there.alive = true;
    world.minutes(4);
    assert_eq!(phase(&world), "serving");
    let inner = world.see();
    assert_eq!(inner.orders, ["cut off There", "promote Here"]);
    assert!(!inner.two_writers);
}

#[test]
fn a_switchover_that_loses_the_first_region_gives_way_to_an_approved_failover() {
    for minutes in [1, 8] {
        let world = World::well(Topology::RdsPostgres);
        // It never has all: the change waits, and later wants to be undone.
        world.see().here.source = Some("arn:aws:rds:eu-west-1:111122223333:broken".to_owned());
        world.ask(switchover());
        world.see().there.alive = false;
        world.see().here.source = Some(THERE.to_owned());
        world.minutes(minutes);
        assert_eq!(phase(&world), "taking over");
        let token = token(&world);
        let begun = world.ask(failover(Some(&token)));
        assert_eq!(begun.outcome, "waits", "{minutes}: {}", begun.because);
        let again = world.ask(failover(Some(&token)));
        assert!(again.because.contains("is under way"), "{}", again.because);
        world.minutes(4);
        assert_eq!(phase(&world), "serving", "{minutes}");
        let entry = entries(&world).remove(0);
        assert!(!entry.lossless && entry.epoch == 2 && entry.from.is_some(), "{entry:?}");
        assert_eq!(world.see().orders, ["cut off There", "promote Here"]);
    }
}
