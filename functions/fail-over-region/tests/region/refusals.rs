//! What is refused, with the reason, and leaves no trace.

use crate::{
    takeover::{failback, failover, phase, switchover, token},
    world::World,
};
use domain::{card::Topology, region::Request};

fn refused(world: &World, asked: Option<Request>, because: &str) {
    let done = || {
        let inner = world.see();
        (inner.orders.clone(), inner.ledger.len())
    };
    let before = done();
    let report = world.ask(asked);
    assert_eq!(report.outcome, "refused", "{}", report.because);
    assert!(report.because.contains(because), "{}", report.because);
    assert_eq!(done(), before);
}

#[test]
fn the_wrong_region_is_refused() {
    let world = World::well(Topology::RdsPostgres);
    let cluster = || "ledger".to_owned();
    let to = || Some("eu-west-1".to_owned());
    refused(&world, Some(Request::Switchover { cluster: cluster(), to: to() }), "here only eu-central-1");
    refused(&world, Some(Request::Failover { cluster: cluster(), to: to(), approval: None }), "here only eu-central-1");
    let here = Some("eu-central-1".to_owned());
    refused(&world, Some(Request::Failback { cluster: cluster(), to: here }), "here only eu-west-1");
}

#[test]
fn twice_is_refused() {
    let world = World::lost(Topology::RdsPostgres);
    let token = token(&world);
    world.ask(failover(Some(&token)));
    refused(&world, failover(Some(&token)), "is under way");
    refused(&world, switchover(), "is under way");
    refused(&world, failback(), "is under way");
    world.minutes(3);
    refused(&world, failover(Some(&token)), "serves already");
    refused(&world, failover(None), "serves already");
    refused(&world, switchover(), "serves already");
    assert_eq!(world.see().orders, ["promote Here"]);
}

#[test]
fn nothing_is_given_back_that_was_not_taken() {
    refused(&World::well(Topology::RdsPostgres), failback(), "does not serve");
    let rebuild = Some(Request::Rebuild { cluster: "ledger".to_owned() });
    refused(&World::well(Topology::RdsPostgres), rebuild, "does not serve");
}

#[test]
fn an_approval_is_for_one_offer_and_a_short_time() {
    let world = World::lost(Topology::RdsPostgres);
    refused(&world, failover(Some("ledger.0.1a2b3c4d")), "nothing is offered");
    let token = token(&world);
    refused(&world, failover(Some("ledger.0.ffffffff")), "is not the newest offer");
    refused(&world, failover(Some("")), "is not the newest offer");
    world.minutes(16);
    refused(&world, failover(Some(&token)), "expired at");
    // A later offer, taken; the first of an epoch that is over is worth nothing.
    let second = crate::takeover::token(&world);
    world.ask(failover(Some(&second)));
    world.minutes(3);
    assert_eq!(phase(&world), "serving");
    refused(&world, failover(Some(&second)), "serves already");
}

#[test]
fn a_late_approval_after_another_change_is_worth_nothing() {
    let world = World::well(Topology::AuroraProvisioned);
    let old = token(&world);
    world.ask(switchover());
    world.minutes(3);
    world.ask(failback());
    world.minutes(3);
    assert_eq!(phase(&world), "standby");
    refused(&world, failover(Some(&old)), "nothing is offered");
}

#[test]
fn health_chooses_between_switchover_and_failover_and_says_so() {
    let world = World::well(Topology::RdsPostgres);
    let report = world.ask(failover(None));
    assert!(report.because.contains("Both sides are well") && report.because.contains("switchover"), "{report:?}");
    let world = World::lost(Topology::RdsPostgres);
    let report = world.ask(failover(None));
    assert!(!report.because.contains("Both sides are well"), "{report:?}");
    refused(&world, switchover(), "ask for {\"failover\"");
    // A writer whose last position could not be read after the fence.
    let world = World::well(Topology::RdsPostgres);
    world.see().there.sql = false;
    refused(&world, switchover(), "last position");
}

#[test]
fn a_successor_that_cannot_take_over_is_told_of() {
    let world = World::lost(Topology::RdsPostgres);
    world.see().here.status = "storage-full".to_owned();
    refused(&world, failover(None), "cannot take over: prod-ledger-1 is storage-full");
    assert!(world.see().pages.last().unwrap().subject.contains("cannot take over"));
    let world = World::lost(Topology::AuroraProvisioned);
    world.see().global.members.clear();
    refused(&world, failover(None), "no member of");
}

#[test]
fn an_old_region_on_ec2_or_aurora_is_not_rebuilt_here() {
    let rebuild = || Some(Request::Rebuild { cluster: "ledger".to_owned() });
    let world = World::well(Topology::AuroraProvisioned);
    world.ask(switchover());
    world.minutes(3);
    refused(&world, rebuild(), "Aurora makes the cluster of eu-west-1 the second side by itself");
    let world = World::well(Topology::Ec2Patroni);
    refused(&world, switchover(), "is begun by hand");
    assert!(world.see().orders.is_empty());
    world.see().there.alive = false;
    let token = token(&world);
    world.ask(failover(Some(&token)));
    world.minutes(3);
    refused(&world, rebuild(), "Back from the second Region");
    refused(&world, failback(), "Back from the second Region");
}

#[test]
fn status_changes_nothing_and_says_what_is_at_risk() {
    let world = World::well(Topology::RdsPostgres);
    let before = world.see().kept.clone();
    let status = world.status().status.unwrap();
    // What the writer wrote between the two looks is in it.
    assert!(status.bytes_at_risk.is_some_and(|bytes| (5..12).contains(&bytes)), "{:?}", status.bytes_at_risk);
    assert_eq!(status.ms_at_risk, Some(800));
    assert!(status.if_failover.starts_with("offered for approval"), "{}", status.if_failover);
    assert!(status.if_switchover.starts_with("next:"), "{}", status.if_switchover);
    assert!(status.if_failback.starts_with("refused:"), "{}", status.if_failback);
    assert_eq!(world.see().kept, before);
    assert!(world.see().pages.is_empty());
}
