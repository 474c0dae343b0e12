//! What a person asks for.

use crate::kit::*;
use domain::{
    decision::Decision,
    managed::{By, Observed, decide},
    state::{ChangeKind, Pause},
};

fn asked(seen: Observed, to: &str) -> Observed {
    seen.but(|seen| seen.switchover = Some(to.to_owned()))
}

fn answer(seen: &Observed) -> String {
    match decide(seen) {
        Decision::Refuse(reason) if reason.is_answer() => reason.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_switchover_of_aurora_is_one_order_to_the_named_reader() {
    let changing = || {
        let seen = carts().changing(ChangeKind::Switchover, "prod-carts-1", By::Asked);
        seen.change(|change, _| change.to = Some("prod-carts-3".into()))
    };
    let ordered = |ago| {
        changing().change(|change, course| {
            change.ordered_at_ms = Some(NOW - ago);
            course.to = Some("prod-carts-3".into());
        })
    };
    check(&[
        ("the epoch first", asked(carts(), "prod-carts-3"), "begin 6 from prod-carts-1"),
        (
            "a cool-down is none of a person's",
            asked(carts(), "prod-carts-3").but(|seen| seen.state.failovers_ms = vec![NOW]),
            "begin 6 from prod-carts-1",
        ),
        ("noted, then ordered, to whom was named", changing(), "note change, fail over to prod-carts-3"),
        ("the writer fell silent: another matter", changing().sql("prod-carts-1", silent()), "abandon"),
        ("who was named does not answer any more", changing().sql("prod-carts-3", silent()), "abandon"),
        ("once", ordered(5_000), "wait: awaiting-failover"),
        ("once, whatever comes late", asked(ordered(100_000), "prod-carts-3"), "wait: awaiting-failover"),
        ("nothing came of it", ordered(180_000), "refuse: alive-after-all"),
    ]);
}

#[test]
fn what_cannot_be_is_answered_with_what_can() {
    let paused = carts().but(|seen| seen.state.pause = Some(Pause { until_ms: NOW + 9_000, reason: "x".into() }));
    let kept = carts().but(|seen| seen.card.instances[2].never_promote = true);
    for (seen, to, expected) in [
        (carts(), "prod-carts-1", "prod-carts-1 is the writer already"),
        (carts(), "x", "x is no reader of this cluster; it has prod-carts-2, prod-carts-3"),
        (
            carts().sql("prod-carts-3", silent()),
            "prod-carts-3",
            "PostgreSQL on prod-carts-3 is silent (no answer within 600 ms)",
        ),
        (carts().status("prod-carts-3", "modifying"), "prod-carts-3", "RDS calls prod-carts-3 modifying"),
        (
            carts().cluster(|it| it.status = "upgrading".into()),
            "prod-carts-3",
            "RDS calls prod-carts upgrading; this is allowed when it is available",
        ),
        (kept, "prod-carts-3", "prod-carts-3 may never be promoted, by the spec"),
        (paused, "prod-carts-3", "carts is paused for 9.0 s more"),
    ] {
        assert_eq!(answer(&asked(seen, to)), expected);
    }
    let multi = asked(leads(), "prod-leads-2").but(|seen| seen.card.aws_fails_over = true);
    assert!(answer(&multi).contains("has no way back"), "{}", answer(&multi));
    assert!(answer(&multi).ends_with(
        "aws rds reboot-db-instance --force-failover --region eu-west-1 --db-instance-identifier prod-leads-1"
    ));
    assert!(answer(&asked(leads(), "prod-leads-2")).contains("blue/green"));
}
