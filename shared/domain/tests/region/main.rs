//! When the second Region takes over: a row is a rule, with both sides of its limit.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

mod holds;
mod kit;

use domain::{
    card::Topology,
    decision::Decision,
    failover::Seen,
    region::{Change, Cut, Kind, Look, Offer, Phase, Reason, Region, Step, decide},
};
use kit::{HERE, NOW, approve, changing, look, standby, switchover, writer};

const MINUTE: u64 = 60_000;

fn steps(look: &Look) -> Vec<String> {
    match decide(look) {
        Decision::Act(steps) => steps.iter().map(Step::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

fn refused(look: &Look) -> Reason {
    match decide(look) {
        Decision::Refuse(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_approval_is_worth_something_until_its_time_is_up() {
    let offered = |expires_at_ms, epoch| {
        let mut look = look(Topology::RdsPostgres);
        look.there = Seen::Unavailable("no answer".to_owned());
        look.region.offer = Some(Offer { token: "ledger.0.x".to_owned(), epoch, expires_at_ms });
        look.asked = Some(approve("ledger.0.x"));
        look
    };
    assert_eq!(steps(&offered(NOW + 1, 0)), ["note: a failover begins"]);
    assert!(matches!(refused(&offered(NOW, 0)), Reason::BadApproval { .. }));
    assert!(matches!(refused(&offered(NOW + 1, 1)), Reason::BadApproval { .. }), "of another epoch");
}

#[test]
fn a_switchover_is_not_begun_with_more_lag_than_a_minute() {
    let mut look = look(Topology::RdsPostgres);
    look.asked = Some(switchover());
    look.risk.ms = Some(MINUTE);
    assert_eq!(steps(&look), ["note: a switchover begins"]);
    look.risk.ms = Some(MINUTE + 1);
    assert!(matches!(refused(&look), Reason::NotWell { .. }));
}

#[test]
fn proof_must_last_before_anything_is_done_without_asking() {
    let mut look = look(Topology::RdsPostgres);
    kit::policy(&mut look).region_failover = true;
    let limit = u64::try_from(look.card.policy().aws_failover().as_millis()).unwrap();
    kit::side(&mut look.there).servers[0].status = "stopped".to_owned();
    assert_eq!(steps(&look), ["note: prod-ledger-1 is stopped"]);
    look.region.proven_since_ms = Some(NOW - limit + 1);
    assert!(matches!(decide(&look), Decision::Wait(Reason::Proving { .. })));
    look.region.proven_since_ms = Some(NOW - limit);
    assert_eq!(steps(&look), ["note: a failover begins"]);
    look.paused = true;
    assert!(matches!(decide(&look), Decision::Wait(Reason::Paused)));
    look.paused = false;
    kit::policy(&mut look).region_failover = false;
    assert_eq!(decide(&look), Decision::Steady);
}

/// R2, R6: first the fence, then the last position, then the order.
#[test]
fn a_switchover_orders_nothing_before_all_is_here() {
    let mut look = changing(Kind::Switchover, |_| ());
    assert_eq!(
        steps(&look),
        ["say in the other Region that eu-central-1 serves", "note: the old writer is about to be cut off"]
    );
    kit::side(&mut look.there).serves = Some(false);
    look.region.change.as_mut().unwrap().fence_ordered_at_ms = Some(NOW);
    assert_eq!(steps(&look), ["cut clients off from prod-ledger-1 in the other Region"]);
    look.gave_order = true;
    assert!(matches!(decide(&look), Decision::Wait(Reason::Fencing { .. })));
    kit::side(&mut look.there).cut = Cut::Done { because: "cut".to_owned(), at: Some(domain::lsn::Lsn(1_000)) };
    assert_eq!(steps(&look), ["note: cut"]);
    look.region.change = Some(Change {
        sure: Some("cut".to_owned()),
        sure_at_ms: Some(NOW),
        last_lsn: Some(domain::lsn::Lsn(1_000)),
        ..look.region.change.unwrap()
    });
    kit::side(&mut look.here).servers[0].sql = standby(999);
    assert!(matches!(decide(&look), Decision::Wait(Reason::CatchingUp { .. })));
    kit::side(&mut look.here).servers[0].sql = standby(1_000);
    assert_eq!(
        steps(&look),
        ["note: prod-ledger-1 is about to be told, order 1", "promote prod-ledger-1 here (order 1)"]
    );
}

#[test]
fn what_cannot_be_fenced_is_given_up_after_five_minutes_and_an_approved_failover_goes_on_after_two() {
    let limit = |kind, minutes, ms| {
        let mut look = changing(kind, |change| {
            change.began_at_ms = NOW - minutes * MINUTE + ms;
            change.fence_ordered_at_ms = Some(NOW);
            change.approval = (kind == Kind::Failover).then(|| "ledger.0.x".to_owned());
        });
        let there = kit::side(&mut look.there);
        (there.serves, there.cut) = (Some(false), Cut::UnderWay("a session is left".to_owned()));
        look
    };
    assert!(matches!(decide(&limit(Kind::Switchover, 5, 1)), Decision::Wait(Reason::Fencing { .. })));
    assert_eq!(steps(&limit(Kind::Switchover, 5, 0)), ["note: it is given up"]);
    assert!(matches!(decide(&limit(Kind::Failover, 2, 1)), Decision::Wait(Reason::Fencing { .. })));
    assert!(steps(&limit(Kind::Failover, 2, 0))[0].contains("the fence was not complete: a session is left"));
}

/// R3: looked up first; again only when there is no trace, and three times at most.
#[test]
fn an_order_is_given_again_only_when_it_left_no_trace() {
    let ordered = |orders, ago_ms| {
        changing(Kind::Failover, |change| {
            change.approval = Some("ledger.0.x".to_owned());
            change.sure = Some("approved".to_owned());
            change.sure_at_ms = Some(NOW - ago_ms);
            change.orders = orders;
            (change.ordered_at_ms, change.last_order_at_ms) = (Some(NOW - ago_ms), Some(NOW - ago_ms));
        })
    };
    assert!(matches!(decide(&ordered(1, 3 * MINUTE - 1)), Decision::Wait(Reason::Ordered { .. })));
    assert!(steps(&ordered(1, 3 * MINUTE))[1].contains("order 2"));
    assert!(matches!(decide(&ordered(3, 3 * MINUTE)), Decision::Wait(Reason::Ordered { .. })));
    // R7: told after a quarter of an hour.
    assert!(matches!(decide(&ordered(3, 15 * MINUTE - 1)), Decision::Wait(Reason::Ordered { .. })));
    assert!(matches!(refused(&ordered(3, 15 * MINUTE)), Reason::Stuck { orders: 3, .. }));
    let mut busy = ordered(1, 4 * MINUTE);
    kit::side(&mut busy.here).servers[0].status = "modifying".to_owned();
    assert!(matches!(decide(&busy), Decision::Wait(Reason::Ordered { .. })), "RDS is at it");
    // A plan is given up then: the old writer is well.
    let mut plan = ordered(3, 3 * MINUTE);
    plan.region.change.as_mut().unwrap().kind = Kind::Switchover;
    assert_eq!(steps(&plan), ["note: it is given up"]);
}

/// R4.
#[test]
fn who_serves_is_latched_from_the_order_on() {
    let region = |phase, change| Region { phase, change, ..Region::default() };
    let change = |kind, ordered: bool, promoted: bool| {
        let look = changing(kind, |change| {
            change.ordered_at_ms = ordered.then_some(NOW);
            change.promoted = promoted.then(kit::promoted);
        });
        look.region.change
    };
    let table = [
        ("standing by", region(Phase::Standby, None), true),
        ("fencing", region(Phase::Standby, change(Kind::Switchover, false, false)), true),
        ("ordered", region(Phase::Standby, change(Kind::Failover, true, false)), false),
        ("ordered in a plan, and perhaps refused", region(Phase::Standby, change(Kind::Switchover, true, false)), true),
        ("promoted in a plan", region(Phase::Standby, change(Kind::Switchover, true, true)), false),
        ("promoted", region(Phase::Standby, change(Kind::Failover, true, true)), false),
        ("serving", region(Phase::Serving, None), false),
        ("giving back", region(Phase::Serving, change(Kind::Failback, true, false)), false),
        ("given back", region(Phase::Serving, change(Kind::Failback, true, true)), true),
    ];
    for (name, region, primary_serves) in table {
        assert_eq!(region.primary_serves(), primary_serves, "{name}");
    }
}

#[test]
fn two_writers_are_never_made_by_a_region_that_still_answers() {
    // The old writer answers, and a person approved: it is fenced first.
    let look = changing(Kind::Failover, |change| change.approval = Some("ledger.0.x".to_owned()));
    assert!(steps(&look)[0].starts_with("say in the other Region"));
    // A successor that writes already is none.
    let mut look = self::look(Topology::RdsPostgres);
    look.asked = Some(approve("x"));
    let server = &mut kit::side(&mut look.here).servers[0];
    (server.source, server.sql) = (None, writer(1_000));
    assert!(matches!(refused(&look), Reason::NoSuccessor { .. }));
    assert_eq!(kit::side(&mut look.here).servers[0].arn.as_deref(), Some(HERE));
}
