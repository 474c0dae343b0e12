//! One page when a takeover would fail, one when it would work again.

use crate::world::World;
use domain::{card::Topology, region::Check};
use fail_over_region::{Report, preflight};

fn hour(world: &World, now: bool) -> Option<Report> {
    world.run(preflight(world, now)).unwrap().unwrap()
}

#[test]
fn it_is_tried_every_hour_and_told_when_it_changes() {
    let world = World::well(Topology::RdsPostgres);
    let first = hour(&world, false).unwrap();
    assert!(first.preflight.unwrap().is_ready());
    assert_eq!(world.see().kept["ready"], true);
    world.later(59 * 60_000);
    assert_eq!(hour(&world, false), None, "not twice in an hour");
    assert!(hour(&world, true).is_some(), "but when a person asks");
    world.see().failing = vec![Check::Keys, Check::Replica];
    for _ in 0..3 {
        world.later(60 * 60_000);
        let report = hour(&world, false).unwrap();
        assert!(report.because.contains("keys") && report.because.contains("replica"), "{}", report.because);
    }
    assert_eq!(world.see().kept["ready"], false);
    {
        let inner = world.see();
        assert_eq!(inner.pages.len(), 1, "{:?}", inner.pages);
        assert!(inner.pages[0].subject.contains("keys, replica"), "{}", inner.pages[0].subject);
        assert!(inner.pages[0].text.contains("enable the key"), "{}", inner.pages[0].text);
    }
    world.see().failing.clear();
    world.later(60 * 60_000);
    hour(&world, false);
    let inner = world.see();
    assert_eq!(inner.pages.len(), 2);
    assert!(inner.pages[1].subject.contains("again"));
}

#[test]
fn nothing_of_the_other_region_is_asked() {
    let world = World::lost(Topology::RdsPostgres);
    hour(&world, true);
    let called = world.see().calls.clone();
    assert!(!called.iter().any(|call| call == "there" || call.ends_with("_there")), "{called:?}");
}
