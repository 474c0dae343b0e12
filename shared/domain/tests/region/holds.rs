//! What a change rests on must hold when it goes on: the fence, the proof, and the looks that steps are made from.

use crate::{
    kit::{self, NOW, changing},
    refused, steps,
};
use domain::{
    decision::Decision,
    failover::Seen,
    lsn::Lsn,
    region::{Cut, Kind, Look, Reason, decide},
};

const MINUTE: u64 = 60_000;

/// A failover that nobody approved, begun on proof, and ordered so often.
fn proven(orders: u32) -> Look {
    let mut look = changing(Kind::Failover, |change| {
        (change.sure, change.sure_at_ms) = (Some("proven".to_owned()), Some(NOW - 5 * MINUTE));
        change.orders = orders;
        change.ordered_at_ms = (orders > 0).then_some(NOW - 4 * MINUTE);
        change.last_order_at_ms = change.ordered_at_ms;
    });
    let there = kit::side(&mut look.there);
    (there.serves, there.servers[0].status) = (Some(false), "stopped".to_owned());
    look
}

#[test]
fn proof_is_looked_at_again_before_each_order() {
    for orders in [0, 1] {
        let look = proven(orders);
        assert!(steps(&look)[1].starts_with("promote"), "{orders}: {:?}", steps(&look));
        let mut look = proven(orders);
        kit::side(&mut look.there).servers[0].status = "available".to_owned();
        assert_eq!(steps(&look), ["note: it is given up"], "{orders}");
        let mut look = proven(orders);
        look.there = Seen::Unavailable("no answer".to_owned());
        assert_eq!(steps(&look), ["note: it is given up"], "{orders}: silence is no proof");
        look.region.change.as_mut().unwrap().approval = Some("ledger.0.x".to_owned());
        assert!(steps(&look)[1].starts_with("promote"), "{orders}: a person took that on");
    }
    // Its functions are told first, lest they start it between two looks.
    let mut look = proven(0);
    kit::side(&mut look.there).serves = None;
    let told = ["note: the other Region is about to be told", "say in the other Region that eu-central-1 serves"];
    assert_eq!(steps(&look), told);
    // And told again when it is given up.
    let change = look.region.change.as_mut().unwrap();
    (change.done, change.undoing) = (vec!["marked".to_owned()], Some("it was started".to_owned()));
    kit::side(&mut look.there).serves = Some(false);
    assert_eq!(steps(&look), ["say in the other Region that it serves"]);
}

#[test]
fn a_planned_order_is_not_given_once_the_fence_is_open() {
    let ready = |cut| {
        let mut look = changing(Kind::Switchover, |change| {
            (change.sure, change.sure_at_ms) = (Some("cut".to_owned()), Some(NOW));
            (change.fence_ordered_at_ms, change.last_lsn) = (Some(NOW), Some(Lsn(1_000)));
        });
        kit::side(&mut look.here).servers[0].sql = kit::standby(1_000);
        let there = kit::side(&mut look.there);
        (there.serves, there.cut) = (Some(false), cut);
        look
    };
    let done = |at| Cut::Done { because: "cut".to_owned(), at: Some(Lsn(at)) };
    assert!(steps(&ready(done(1_000)))[1].starts_with("promote"));
    assert!(matches!(decide(&ready(Cut::No)), Decision::Wait(Reason::Fencing { .. })));
    // It was open in between, and closed again.
    assert!(matches!(decide(&ready(done(1_001))), Decision::Wait(Reason::CatchingUp { .. })));
    let mut late = ready(Cut::No);
    late.region.change.as_mut().unwrap().sure_at_ms = Some(NOW - 5 * MINUTE);
    assert_eq!(steps(&late), ["note: it is given up"]);
}

/// Once in each look, since the group alone keeps only new clients out.
#[test]
fn sessions_that_are_left_are_ended_again() {
    let mut look = changing(Kind::Switchover, |change| change.fence_ordered_at_ms = Some(NOW));
    look.gave_order = true;
    let there = kit::side(&mut look.there);
    (there.serves, there.cut) = (Some(false), Cut::Sessions("2 sessions are left".to_owned()));
    assert_eq!(steps(&look), ["end sessions left on prod-ledger-1 in the other Region"]);
    look.ended_sessions = true;
    assert!(matches!(decide(&look), Decision::Wait(Reason::Fencing { .. })));
    // Also when this side serves, and the old writer came back.
    look.gave_order = false;
    look.region = domain::region::Region { phase: domain::region::Phase::Serving, ..look.region };
    look.region.change = None;
    assert!(steps(&look)[0].starts_with("tell: P1"), "{:?}", steps(&look));
    look.ended_sessions = false;
    assert_eq!(steps(&look), ["end sessions left on prod-ledger-1 in the other Region"]);
}

#[test]
fn an_approved_failover_leaves_the_fence_out_only_after_a_silence_that_lasts() {
    let silent = |since: Option<u64>| {
        let mut look = changing(Kind::Failover, |change| {
            change.approval = Some("ledger.0.x".to_owned());
            change.silent_since_ms = since;
        });
        look.there = Seen::Unavailable("no answer".to_owned());
        look
    };
    assert_eq!(steps(&silent(None)), ["note: eu-west-1 does not answer: no answer"]);
    assert!(matches!(decide(&silent(Some(NOW - 44_999))), Decision::Wait(Reason::Fencing { .. })));
    assert!(steps(&silent(Some(NOW - 45_000)))[0].contains("nothing there could be fenced"));
}

#[test]
fn nothing_is_made_from_a_look_that_was_not_answered() {
    let done = |kind, names: &[&str]| {
        changing(kind, |change| {
            change.promoted = Some(kit::promoted());
            change.sure = Some("sure".to_owned());
            change.ordered_at_ms = Some(NOW);
            change.done = names.iter().map(|name| (*name).to_owned()).collect();
        })
    };
    let unanswered = || Seen::Unavailable("no answer".to_owned());
    let mut look = done(Kind::Failover, &["publish", "claim", "backups"]);
    assert!(steps(&look)[0].starts_with("write the roles here"), "{:?}", steps(&look));
    look.here = unanswered();
    assert!(matches!(decide(&look), Decision::Wait(Reason::Ordered { .. })));
    let back = || done(Kind::Failback, &["publish", "claim", "roles", "mark"]);
    assert!(steps(&back())[0].starts_with("write the roles here"), "{:?}", steps(&back()));
    let mut look = back();
    look.here = unanswered();
    assert!(matches!(decide(&look), Decision::Wait(Reason::Ordered { .. })));
    let mut look = back();
    look.there = unanswered();
    assert!(matches!(decide(&look), Decision::Wait(Reason::Ordered { .. })));
    // R7: told after a quarter of an hour.
    look.looked_at_ms = NOW + 15 * MINUTE;
    assert!(matches!(refused(&look), Reason::Stuck { .. }));
}
