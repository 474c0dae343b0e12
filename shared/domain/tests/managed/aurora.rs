//! DB clusters: what AWS did is verified; what it does not see is ordered, once.

use crate::kit::*;
use domain::{
    card::Topology,
    decision::Decision,
    failover::{Lease, Seen, Sql},
    managed::{By, Course, Observed, Reason, Step, decide, undo},
    state::{ChangeKind, Loss, Pause},
};

const BEGIN: &str = "begin 6 from prod-carts-1";

/// RDS and PostgreSQL call the second writer, the first is silent.
fn failed_over() -> Observed {
    carts_gray(31_000)
        .cluster(|cluster| cluster.writer = Some("prod-carts-2".to_owned()))
        .sql("prod-carts-2", writer(950))
}

fn gray_changing() -> Observed {
    carts_gray(61_000).changing(ChangeKind::Failover, "prod-carts-1", By::GrayFailure).but(|seen| seen.waiting = None)
}

fn ordered(ago_ms: u64) -> Observed {
    gray_changing().change(|change, course| {
        change.ordered_at_ms = Some(NOW - ago_ms);
        course.to = Some("prod-carts-2".to_owned());
    })
}

#[test]
fn a_change_that_aws_made_is_verified() {
    check(&[
        ("all well", carts(), "steady"),
        (
            "who has never had a writer gets RDS's, when PostgreSQL confirms it",
            carts().but(|seen| seen.state.writer = None),
            "adopt prod-carts-1",
        ),
        (
            "not one that only RDS knows",
            carts().sql("prod-carts-1", reader()).but(|seen| seen.state.writer = None),
            "wait: not-adopted",
        ),
        ("RDS and PostgreSQL agree on another", failed_over(), BEGIN),
        (
            "also when nobody saw a silence",
            failed_over().sql("prod-carts-1", reader()).but(|seen| (seen.suspicion, seen.waiting) = (None, None)),
            BEGIN,
        ),
        (
            "also in a pause: it is only followed",
            failed_over().but(|seen| seen.state.pause = Some(Pause { until_ms: NOW + 9, reason: "x".into() })),
            BEGIN,
        ),
        ("RDS's word alone is none", failed_over().sql("prod-carts-2", reader()), "note writer-differs"),
        (
            "nor is PostgreSQL's",
            failed_over().cluster(|cluster| cluster.writer = Some("prod-carts-1".to_owned())),
            "note writer-differs",
        ),
        (
            "they have time to agree",
            failed_over().sql("prod-carts-2", reader()).waits("writer-differs", 179_000),
            "wait: writer-differs",
        ),
        (
            "and then a person is told",
            failed_over().sql("prod-carts-2", reader()).waits("writer-differs", 180_000),
            "refuse: writer-differs",
        ),
        (
            "two writers in one look prove nothing",
            failed_over().sql("prod-carts-1", writer(900)),
            "note two-writers, look again",
        ),
        (
            "in two looks they do",
            failed_over().sql("prod-carts-1", writer(900)).waits("two-writers", 1_000),
            "refuse: two-writers",
        ),
        (
            "another pass acts",
            failed_over().but(|seen| seen.lease = Lease::Other(std::time::Duration::from_secs(3))),
            "wait: lease-held",
        ),
        ("RDS does not know the DB cluster", carts().rds(|it| it.db_cluster = None), "refuse: writer-gone"),
        (
            "a cluster that sleeps is left alone",
            carts()
                .sql("prod-carts-1", Sql::NotAsked)
                .sql("prod-carts-2", Sql::NotAsked)
                .sql("prod-carts-3", Sql::NotAsked),
            "steady",
        ),
    ]);
    let Decision::Act(steps) = decide(&failed_over()) else { panic!("no act") };
    let [Step::Begin { change, .. }] = steps.as_slice() else { panic!("{steps:?}") };
    assert_eq!((change.kind, change.loss, change.lost_ms), (ChangeKind::Followed, Some(Loss::Nothing), Some(0)));
    assert_eq!(change.silent_since_ms, NOW - 31_000);
    assert_eq!(
        change.promoted.as_ref().map(|promoted| (promoted.member.as_str(), promoted.at_ms)),
        Some(("prod-carts-2", NOW))
    );
}

#[test]
fn a_gray_failure_is_ordered_away_after_its_time() {
    let stopped = |seen: Observed| seen.cluster(|cluster| cluster.status = "failing-over".to_owned());
    let alone = |seen: Observed| seen.sql("prod-carts-2", silent()).sql("prod-carts-3", silent());
    let heard = |seen: Observed, ms| seen.sql("prod-carts-2", standby(900, Some(ms)));
    check(&[
        ("silence is noted first", carts_gray(4_000).but(|seen| seen.waiting = None), "note silent"),
        ("not yet", carts_gray(59_900), "wait: gray"),
        ("now", carts_gray(60_000), BEGIN),
        ("not by one look of our own", carts_gray(60_000).but(|seen| seen.suspicion = None), "wait: not-suspected"),
        ("nor by two probes", carts_gray(60_000).suspected("prod-carts-1", 2, 60_000, None), "wait: not-suspected"),
        ("not while AWS is at it", stopped(carts_gray(61_000)), "wait: awaiting-aws"),
        ("who takes too long is told of", stopped(carts_gray(180_000)), "refuse: aws-did-nothing"),
        (
            "not when RDS restarts the writer",
            carts_gray(61_000).status("prod-carts-1", "rebooting"),
            "wait: awaiting-aws",
        ),
        ("nobody answers us: that is our path", alone(carts_gray(29_000)), "wait: awaiting-aws"),
        ("and a person is told", alone(carts_gray(61_000)), "refuse: probe-path-broken"),
        ("a standby hears it", heard(carts_gray(29_000), 2_900), "wait: still-streaming"),
        ("and so do clients, perhaps", heard(carts_gray(61_000), 2_900), "refuse: probe-path-broken"),
        ("a standby that hears nothing says nothing for it", heard(carts_gray(61_000), 3_000), BEGIN),
        ("a policy of nobody's", carts_gray(61_000).policy(|policy| policy.gray_failure_s = 0), "wait: awaiting-aws"),
        ("asks a person", carts_gray(180_000).policy(|policy| policy.gray_failure_s = 0), "refuse: gray-failure"),
        (
            "too many clients is alive",
            carts_gray(61_000).sql("prod-carts-1", Sql::Alive("too many clients".into())),
            "wait: alive-but-busy",
        ),
    ]);
}

#[test]
fn damping() {
    let paused =
        |until_ms| carts_gray(61_000).but(|seen| seen.state.pause = Some(Pause { until_ms, reason: "kernel".into() }));
    let after = |ago: &[u64]| {
        let ended = ago.iter().map(|ago| NOW - ago).collect();
        carts_gray(61_000).but(|seen| seen.state.failovers_ms = ended)
    };
    check(&[
        ("never while paused", paused(NOW + 1), "refuse: paused"),
        ("nor in the grace after it", paused(NOW - 9_900), "wait: grace"),
        ("after it", paused(NOW - 10_000), BEGIN),
        ("not in the cool-down", after(&[59_900]), "refuse: cool-down"),
        ("after it, too", after(&[60_000]), BEGIN),
        ("two within an hour", after(&[3_000_000, 2_000_000]), BEGIN),
        ("no fourth within an hour", after(&[3_000_000, 2_000_000, 1_000_000]), "refuse: too-many"),
        ("an hour is an hour", after(&[3_600_000, 2_000_000, 1_000_000]), BEGIN),
    ]);
}

#[test]
fn the_best_reader() {
    let best = |seen: Observed| {
        short(&seen.changing(ChangeKind::Failover, "prod-carts-1", By::GrayFailure).but(|seen| seen.waiting = None))
    };
    let base = || carts_gray(61_000).lag("prod-carts-2", 20).lag("prod-carts-3", 10);
    let to = |id: &str| format!("note change, fail over to prod-carts-{id}");
    assert_eq!(best(base()), to("3"), "least lag");
    assert_eq!(best(base().lag("prod-carts-3", 20)), to("2"), "then the identifier");
    assert_eq!(best(base().of("prod-carts-2", |it| it.promotion_tier = Some(0))), to("2"), "tier before lag");
    assert_eq!(best(base().of("prod-carts-3", |it| it.class = "db.r6g.medium".into())), to("2"), "class before lag");
    let serverless = base().of("prod-carts-1", |it| it.class = "db.r6g.16xlarge".into());
    let serverless = serverless.of("prod-carts-2", |it| it.class = "db.serverless".into());
    assert_eq!(best(serverless), to("2"), "what grows with its load is large enough");
    let small = base().of("prod-carts-2", |it| (it.promotion_tier, it.class) = (Some(0), "db.r6g.medium".into()));
    assert_eq!(best(small), to("2"), "a tier is the owner's word");
    let kept = base().but(|seen| seen.card.instances[2].never_promote = true);
    assert_eq!(best(kept.clone()), to("2"), "never the one that must not");
    assert_eq!(best(kept.status("prod-carts-2", "modifying")), "refuse: nobody-may-take-over");
}

#[test]
fn an_order_is_noted_first_and_never_given_twice() {
    let both =
        |seen: Observed| seen.cluster(|it| it.writer = Some("prod-carts-2".into())).sql("prod-carts-2", writer(950));
    check(&[
        ("noted, then ordered", gray_changing(), "note change, fail over to prod-carts-2"),
        ("after the note nobody knows whether it was given: it is waited for", ordered(0), "wait: awaiting-failover"),
        ("for as long as AWS has", ordered(179_900), "wait: awaiting-failover"),
        ("then a person is told", ordered(180_000), "refuse: order-unseen"),
        ("an hour later still nothing is ordered", ordered(3_600_000), "refuse: order-unseen"),
        ("RDS is still at it", ordered(180_000).cluster(|it| it.status = "failing-over".into()), "refuse: stuck"),
        ("done", both(ordered(20_000)), "note change, prove prod-carts-2"),
        (
            "AWS chose another",
            ordered(20_000).cluster(|it| it.writer = Some("prod-carts-3".into())).sql("prod-carts-3", writer(950)),
            "note change, prove prod-carts-3",
        ),
        ("AWS was faster than the order", both(gray_changing()), "note change, prove prod-carts-2"),
        (
            "AWS is at it: nothing is ordered into that",
            gray_changing().cluster(|it| it.status = "failing-over".into()),
            "wait: awaiting-aws",
        ),
        (
            "RDS names another already, which does not write yet",
            gray_changing().cluster(|it| it.writer = Some("prod-carts-2".into())),
            "wait: awaiting-aws",
        ),
        ("it answers before the order", gray_changing().sql("prod-carts-1", writer(900)), "refuse: alive-after-all"),
        (
            "just after the order that means nothing",
            ordered(5_000).sql("prod-carts-1", writer(900)),
            "wait: awaiting-failover",
        ),
        (
            "when nothing came of it, the change is over",
            ordered(180_000).sql("prod-carts-1", writer(900)),
            "refuse: alive-after-all",
        ),
        ("without the lease it is taken first", ordered(0).but(|seen| seen.lease = Lease::Free), "hold 7"),
    ]);
    let Decision::Act(steps) = decide(&gray_changing()) else { panic!("no act") };
    let Step::NoteChange(noted) = &steps[0] else { panic!("{steps:?}") };
    assert_eq!((noted.ordered_at_ms, noted.promoting.as_deref()), (Some(NOW), Some("prod-carts-2")));
    assert_eq!(noted.managed.as_ref().map(|course| course.by), Some(By::GrayFailure));
}

#[test]
fn what_is_undone() {
    let words = |seen: &Observed| match decide(seen) {
        Decision::Refuse(reason) => undo(seen, &reason).iter().map(word).collect::<Vec<_>>().join(", "),
        other => panic!("{other:?}"),
    };
    assert_eq!(words(&gray_changing().sql("prod-carts-1", writer(900))), "abandon");
    assert_eq!(words(&ordered(180_000)), "", "an order cannot be withdrawn");
    assert_eq!(words(&ordered(180_000).sql("prod-carts-1", writer(900))), "abandon");
    let silent_rds =
        gray_changing().but(|seen| seen.rds = Seen::Unavailable("503".into())).waits("rds-silent", 180_000);
    assert_eq!(words(&silent_rds), "", "what nobody can see is left as it is");
    assert_eq!(undo(&carts(), &Reason::NotAdopted), Vec::new());
}

#[test]
fn rds_does_not_answer() {
    let down = |seen: Observed| seen.but(|seen| seen.rds = Seen::Unavailable("503".into()));
    check(&[
        ("that is noted", down(carts()), "note rds-silent"),
        ("waited for", down(carts()).waits("rds-silent", 179_000), "wait: rds-silent"),
        ("and told", down(carts()).waits("rds-silent", 180_000), "refuse: rds-silent"),
        ("nothing is ordered by a change either", down(gray_changing()).waits("rds-silent", 1_000), "wait: rds-silent"),
        ("it answers again", carts().waits("rds-silent", 1_000), "forget"),
    ]);
}

#[test]
fn a_multi_az_db_cluster_is_treated_alike() {
    let seen = carts_gray(61_000).but(|seen| seen.card.topology = Topology::RdsPostgres);
    let seen = seen.sql("prod-carts-2", standby(900, None)).sql("prod-carts-3", standby(900, Some(61_000)));
    assert_eq!(short(&seen), BEGIN);
    let Decision::Act(steps) = decide(&seen) else { panic!("no act") };
    let [Step::Begin { change, .. }] = steps.as_slice() else { panic!("{steps:?}") };
    assert!(matches!(&change.managed, Some(Course { by: By::GrayFailure, to: None, .. })));
}
