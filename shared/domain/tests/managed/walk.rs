//! Walks through worlds that change: each is run once whole, and then once for every step, cut short right before it.
//! The next pass goes on. At most one failover or promotion is ever ordered, and clients never can write in two places.

use crate::{kit::*, world::World};
use domain::{
    managed::Observed,
    state::{Approval, ChangeKind},
};

/// Passes come each five seconds while something is wrong.
const EVERY_MS: u64 = 5_000;

/// Runs a world for so many passes, cut short before its step of this number; how its last pass ended.
fn run(world: &mut World, passes: usize, cut: Option<usize>) -> String {
    let mut end = None;
    for _ in 0..passes {
        let most = match cut {
            Some(cut) if world.steps <= cut => cut - world.steps,
            _ => usize::MAX,
        };
        // One that is cut short at once would be cut short for ever.
        let was = world.steps;
        end = world.pass(most);
        if end.is_none() && world.steps == was {
            world.steps += 1;
        }
        world.pass_time(EVERY_MS);
        world.invariants();
    }
    end.unwrap_or_else(|| "cut short".to_owned())
}

/// Runs a world whole and cut short everywhere, and once so that no pass does more than three steps; `judge` says what
/// must be true at the end of each.
fn walk(name: &str, passes: usize, make: impl Fn() -> World, judge: impl Fn(&World, &str)) {
    let mut whole = make();
    let end = run(&mut whole, passes, None);
    println!("{name}: {} steps, {:?}, {end}", whole.steps, whole.orders);
    judge(&whole, &format!("{name}, whole, {end}"));
    assert!(whole.steps > 3, "{name} walks nowhere");
    for cut in 0..whole.steps {
        let mut world = make();
        let end = run(&mut world, passes + 20, Some(cut));
        judge(&world, &format!("{name}, cut before step {cut}, {end}"));
    }
    let mut world = make();
    for _ in 0..passes * 12 {
        let _ = world.pass(3);
        world.pass_time(EVERY_MS);
    }
    judge(&world, &format!("{name}, three steps a pass"));
}

/// Nobody reaches it any more; clients may.
fn unreached(seen: Observed, id: &str) -> World {
    let mut world = World::new(seen);
    world.server(id).reached = false;
    world
}

fn own_subnets(seen: Observed) -> Observed {
    seen.but(|seen| {
        let isolation = seen.card.isolation.as_mut().unwrap();
        isolation.network_acl = Some("acl-isolated".into());
        isolation.usual_network_acl = Some("acl-usual".into());
    })
}

fn order(world: &World, what: &str) -> usize {
    world.orders.iter().filter(|order| order.starts_with(what)).count()
}

fn writer_is(world: &World, id: &str, name: &str) {
    assert_eq!(world.state.writer.as_deref(), Some(id), "{name}");
    assert!(world.state.change.is_none(), "{name}: {:?}", world.state);
    assert_eq!(world.open(), [id], "{name}");
    assert_eq!(world.ledgers.last().map(|ledger| ledger.to.as_str()), Some(id), "{name}");
}

/// An event that comes twice, or late: whatever wakes a pass, nothing more is ordered.
fn nothing_more(mut world: World, name: &str) {
    let orders = world.orders.clone();
    for _ in 0..5 {
        assert_eq!(world.pass(usize::MAX).as_deref(), Some("steady"), "{name}");
        world.pass_time(EVERY_MS);
    }
    assert_eq!(world.orders, orders, "{name}");
}

#[test]
fn aws_fails_aurora_over() {
    let make = || {
        let mut world = unreached(carts(), "prod-carts-1");
        world.server("prod-carts-1").runs = false;
        world.after(12_000, |world| world.cluster_status = "failing-over".to_owned());
        world.after(31_000, |world| world.failed_over("prod-carts-2"));
        world
    };
    walk("aws fails over", 20, make, |world, name| {
        writer_is(world, "prod-carts-2", name);
        assert_eq!((world.orders.len(), world.ledgers[0].kind), (0, ChangeKind::Followed), "{name}");
        let (rto, rpo) = (world.ledgers[0].rto_ms.unwrap(), (world.ledgers[0].rpo_bytes, world.ledgers[0].rpo_ms));
        assert!((31_000..120_000).contains(&rto), "{name}: {rto}");
        assert_eq!((rpo, world.ledgers[0].lossless), ((Some(0), Some(0)), true), "{name}");
    });
    let mut world = make();
    run(&mut world, 20, None);
    nothing_more(world, "late events");
}

#[test]
fn a_gray_failure() {
    let make = || unreached(carts(), "prod-carts-1");
    walk("gray failure", 40, make, |world, name| {
        // One that was cut short right after the note was never ordered: nobody can know, so that a person is told.
        if order(world, "fail over") == 0 {
            assert!(world.pages.iter().any(|page| page.ends_with("order-unseen")), "{name}: {:?}", world.pages);
            assert_eq!(world.open(), ["prod-carts-1"], "{name}");
            return;
        }
        writer_is(world, "prod-carts-2", name);
        let phases = world.ledgers[0].phases;
        assert!(
            phases.ordered_ms >= phases.detected_ms && phases.promoted_ms > phases.ordered_ms,
            "{name}: {phases:?}"
        );
    });
    let mut world = make();
    run(&mut world, 40, None);
    assert_eq!(order(&world, "fail over"), 1);
    nothing_more(world, "late events");
}

#[test]
fn a_gray_failure_whose_order_has_no_effect() {
    let make = || {
        let mut world = unreached(carts(), "prod-carts-1");
        world.obeys = false;
        world
    };
    walk("no effect", 60, make, |world, name| {
        assert!(order(world, "fail over") <= 1, "{name}");
        assert!(world.pages.iter().any(|page| page.ends_with("order-unseen")), "{name}: {:?}", world.pages);
    });
    let mut world = make();
    run(&mut world, 60, None);
    world.server("prod-carts-1").reached = true;
    assert_eq!(run(&mut world, 5, None), "steady", "it answers again: the change is over");
    assert_eq!((order(&world, "fail over"), world.state.change.is_none()), (1, true));
}

#[test]
fn a_gray_failure_that_ends_by_itself_at_any_moment() {
    for back_ms in (40_000..110_000).step_by(1_000) {
        let make = || {
            let mut world = unreached(carts(), "prod-carts-1");
            world.after(back_ms, |world| world.server("prod-carts-1").reached = true);
            world
        };
        let mut world = make();
        let end = run(&mut world, 80, None);
        assert_eq!(end, "steady", "{back_ms}");
        assert!(world.state.change.is_none() && world.open().len() == 1, "{back_ms}");
    }
}

#[test]
fn a_switchover_of_aurora() {
    let make = || {
        let mut world = World::new(carts());
        world.switchover = Some("prod-carts-3".to_owned());
        world
    };
    walk("switchover", 50, make, |world, name| {
        assert!(world.state.change.is_none(), "{name}");
        let to = if order(world, "fail over") == 1 { "prod-carts-3" } else { "prod-carts-1" };
        assert_eq!((world.state.writer.as_deref(), world.open()), (Some(to), vec![to]), "{name}");
    });
    let mut world = make();
    run(&mut world, 50, None);
    assert_eq!(world.pages, ["P3 carts: writer moved to prod-carts-3 (eu-west-1c) as asked"]);
}

/// A promotion is over: one order, the record, backups, the old writer off, the stack rendered.
fn promoted(world: &World, name: &str) {
    writer_is(world, "prod-leads-2", name);
    assert_eq!(order(world, "promote prod-leads-2"), 1, "{name}: {:?}", world.orders);
    assert_eq!(world.names.writer, Some(endpoint("prod-leads-2")), "{name}");
    assert_eq!(world.names.readers, [endpoint("prod-leads-2")], "{name}");
    assert_eq!(world.roles.as_ref().map(|roles| (roles.writer, roles.generation(1))), Some((2, 2)), "{name}");
    // An order to render that is lost is made good by deploy-cluster, which compares these roles with the stack's.
    let old = &world.servers[0].rds;
    assert_eq!((old.status.as_str(), old.security_groups[0].0.as_str()), ("stopped", ISOLATED), "{name}");
    let ledger = &world.ledgers[0];
    assert_eq!((ledger.rpo_bytes, ledger.rpo_ms), (Some(0), Some(0)), "{name}");
    let phases = ledger.phases;
    assert!(phases.detected_ms <= phases.fenced_ms, "{name}: {phases:?}");
    assert!(phases.fenced_ms <= phases.ordered_ms && phases.ordered_ms < phases.promoted_ms, "{name}: {phases:?}");
    assert!(phases.promoted_ms < phases.record_moved_ms, "{name}: {phases:?}");
    assert_eq!(ledger.rto_ms, phases.record_moved_ms, "{name}");
}

#[test]
fn a_replica_is_promoted_after_its_subnet_is_cut() {
    let make = || unreached(own_subnets(leads()), "prod-leads-1");
    walk("own subnets", 60, make, |world, name| {
        promoted(world, name);
        assert_eq!(world.servers[0].rds.network_acl.as_deref(), Some("acl-usual"), "{name}: the subnet is given back");
        assert!(world.ledgers[0].evidence.contains("network ACL"), "{name}");
    });
    let mut world = make();
    run(&mut world, 60, None);
    assert_eq!(order(&world, "render anew"), 1, "{:?}", world.orders);
    assert!(world.pages[0].starts_with("P1 leads: replica prod-leads-2 (eu-west-1b) promoted"), "{:?}", world.pages);
    nothing_more(world, "late events");
}

/// Where every pass dies early, none may look while RDS restarts the old writer: then nothing proves it, and a person
/// is asked.
fn nobody_saw_it(world: &World, name: &str) -> bool {
    let asked = name.ends_with("three steps a pass") && order(world, "promote") == 0;
    assert!(!asked || world.pages.iter().any(|page| page.ends_with("no-evidence")), "{name}: {:?}", world.pages);
    asked
}

#[test]
fn a_replica_is_promoted_after_a_restart() {
    let make = || unreached(leads(), "prod-leads-1");
    walk("restart", 60, make, |world, name| {
        if nobody_saw_it(world, name) {
            return;
        }
        promoted(world, name);
        assert!(world.ledgers[0].evidence.contains("restarted"), "{name}");
    });
}

#[test]
fn an_old_writer_that_comes_back_at_any_moment() {
    for back_ms in (0..90_000).step_by(1_000) {
        for subnets in [true, false] {
            let seen = if subnets { own_subnets(leads()) } else { leads() };
            let mut world = unreached(seen, "prod-leads-1");
            world.after(back_ms, |world| world.server("prod-leads-1").reached = true);
            run(&mut world, 60, None);
            let name = format!("back after {back_ms} ms");
            if order(&world, "promote") == 1 {
                promoted(&world, &name);
            } else {
                assert_eq!(
                    (world.state.writer.as_deref(), world.open()),
                    (Some("prod-leads-1"), vec!["prod-leads-1"]),
                    "{name}"
                );
                assert_eq!(world.servers[0].rds.security_groups[0].0, USUAL, "{name}");
                assert_ne!(world.servers[0].rds.network_acl.as_deref(), Some("acl-isolated"), "{name}");
                assert!(world.state.change.is_none(), "{name}");
            }
        }
    }
}

#[test]
fn multi_az_first_then_the_replica() {
    let multi = || leads().but(|seen| seen.card.aws_fails_over = true);
    let make = || {
        let mut world = unreached(multi(), "prod-leads-1");
        world.status_after("prod-leads-1", "rebooting", 10_000);
        world.after(71_000, |world| {
            let server = world.server("prod-leads-1");
            (server.reached, server.rds.zone) = (true, Some("eu-west-1b".to_owned()));
            server.rds.status = "available".to_owned();
        });
        world
    };
    walk("multi-az", 40, make, |world, name| {
        writer_is(world, "prod-leads-1", name);
        assert_eq!((world.orders.len(), world.ledgers.len()), (0, 1), "{name}");
        let rto = world.ledgers[0].rto_ms.unwrap();
        assert!((71_000..140_000).contains(&rto), "{name}: {rto}");
    });
    walk(
        "multi-az fails",
        90,
        || unreached(multi(), "prod-leads-1"),
        |world, name| {
            if nobody_saw_it(world, name) {
                return;
            }
            promoted(world, name);
            assert!(world.ledgers[0].phases.detected_ms >= Some(180_000), "{name}");
        },
    );
}

#[test]
fn a_promotion_that_is_stuck_ends_in_a_page() {
    let mut world = unreached(own_subnets(leads()), "prod-leads-1");
    world.promotion_ms = None;
    let end = run(&mut world, 420, None);
    assert_eq!((end.as_str(), order(&world, "promote")), ("refuse: stuck", 1));
    assert!(world.pages.iter().any(|page| page.ends_with("stuck")), "{:?}", world.pages);
    let server = world.server("prod-leads-2");
    (server.rds.source, server.writes) = (None, true);
    server.rds.status = "available".to_owned();
    run(&mut world, 40, None);
    promoted(&world, "after hours");
}

#[test]
fn without_proof_a_person_decides_and_the_promotion_follows() {
    let make = || {
        let mut world = unreached(leads(), "prod-leads-1");
        world.obeys = false;
        world
    };
    let mut world = make();
    let end = run(&mut world, 120, None);
    assert_eq!((end.as_str(), order(&world, "promote"), world.state.epoch), ("refuse: no-evidence", 0, 7));
    let approval = Approval { epoch: 7, data_loss_bytes: None, expires_at_ms: world.now + 900_000 };
    world.state.approval = Some(approval);
    // What a person vouches for: the old writer serves nobody.
    world.server("prod-leads-1").sessions = false;
    run(&mut world, 40, None);
    promoted(&world, "approved");
    assert_eq!((world.state.epoch, world.state.approval.is_none()), (8, true), "used once");
    assert!(world.ledgers[0].approval.is_some());
    for back in [false, true] {
        let mut world = make();
        run(&mut world, 120, None);
        world.server("prod-leads-1").reached = back;
        let end = run(&mut world, 100, None);
        assert_eq!(end, if back { "steady" } else { "refuse: no-evidence" });
        assert_eq!((world.state.epoch, world.open()), (7, vec!["prod-leads-1"]));
        let group = &world.servers[0].rds.security_groups[0].0;
        assert_eq!(group, if back { USUAL } else { ISOLATED }, "clients are let in when it answers");
    }
}

#[test]
fn route_53_is_down_and_the_promotion_happens_all_the_same() {
    let make = || {
        let mut world = unreached(own_subnets(leads()), "prod-leads-1");
        world.route53_down_until = NOW + 300_000;
        world
    };
    walk("route 53 down", 100, make, promoted);
    let mut world = make();
    run(&mut world, 50, None);
    assert_eq!(world.open(), ["prod-leads-2"], "promoted before the record moves");
    assert!(world.pages.iter().any(|page| page.ends_with("record-waits")), "{:?}", world.pages);
}
