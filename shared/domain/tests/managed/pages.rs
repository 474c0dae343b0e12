//! The pages, whole.

use crate::{kit::*, rds::*};
use domain::{
    decision::Decision,
    failover::{Ledger, Page, Phases, Seen},
    lsn::Lsn,
    managed::{By, Observed, Step, decide, explain, refusal},
    state::{ChangeKind, Loss, Promoted},
};

fn finished(seen: &Observed) -> (Ledger, Page) {
    match decide(seen) {
        Decision::Act(steps) => match steps.into_iter().next() {
            Some(Step::Finish { ledger, page, .. }) => (*ledger, page),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn refused(seen: &Observed) -> Page {
    match decide(seen) {
        Decision::Refuse(reason) => refusal(seen, &reason),
        other => panic!("{other:?}"),
    }
}

const EXPLAIN: &str = "What would happen now: aws lambda invoke --function-name prod-promote-replica \
--cli-binary-format raw-in-base64-out --payload '{\"explain\":\"CLUSTER\"}' /dev/stdout";

/// `prod-leads-2` was promoted, everything is done but the end.
fn promoted_leads() -> Observed {
    let seen = cut(leads_changing()).of(NEW, |it| (it.source, it.backup_retention_days) = (None, 30));
    let seen = seen.sql(NEW, writer(950)).status(OLD, "stopping").of(OLD, |it| it.network_acl = None);
    let seen = seen.change(|change, course| {
        change.seen = vec!["prod-leads-1 (eu-west-1a), the writer of record, is silent".into()];
        (change.silent_since_ms, change.began_at_ms) = (NOW - 70_000, NOW - 65_900);
        (change.fenced_at_ms, change.ordered_at_ms) = (Some(NOW - 60_000), Some(NOW - 60_000));
        change.sure = Some("prod-leads-1 is cut off".into());
        (change.loss, change.lost_ms) = (Some(Loss::Bytes(312)), Some(400));
        change.loss_because = Some("a probe saw prod-leads-1 at 0/4BC last".into());
        let at = Promoted { member: NEW.into(), at: Lsn(0x384), timeline: [1, 2], at_ms: NOW - 15_000 };
        (change.promoted, change.record_moved_at_ms) = (Some(at), Some(NOW - 14_500));
        (course.to, course.isolated_at_ms) = (Some(NEW.into()), Some(NOW - 65_000));
        (course.stop_at_ms, course.render_at_ms) = (Some(NOW - 14_000), Some(NOW - 14_000));
    });
    seen.but(|seen| {
        let Seen::Known(names) = &mut seen.records else { panic!("no records") };
        (names.writer, names.epoch, names.readers) = (Some(endpoint(NEW)), Some(7), vec![endpoint(NEW)]);
        seen.roles = Some(domain::managed::Roles::default().promoted(2, 2));
        seen.waiting = None;
    })
}

#[test]
fn a_replica_was_promoted() {
    let (ledger, page) = finished(&promoted_leads());
    let phases = Phases {
        detected_ms: Some(4_100),
        fenced_ms: Some(10_000),
        ordered_ms: Some(10_000),
        promoted_ms: Some(55_000),
        record_moved_ms: Some(55_500),
    };
    assert_eq!((ledger.phases, ledger.rto_ms), (phases, Some(55_500)));
    assert_eq!((ledger.rpo_bytes, ledger.rpo_ms, ledger.lossless), (Some(312), Some(400), false));
    assert_eq!(page.subject, "P1 leads: replica prod-leads-2 (eu-west-1b) promoted, 55.5 s after it fell silent");
    let expected = "\
Seen    prod-leads-1 (eu-west-1a), the writer of record, is silent
Sure    prod-leads-1 is cut off
Done    prod-leads-1 cut off; promotion of prod-leads-2 ordered 03:11:10.0Z; it accepted a write at 0/384, timeline 2, \
03:11:55.0Z; record leads-rw.db.internal moved 03:11:55.5Z, epoch 7; the old writer is being stopped, the stack is \
rendered anew with the roles of today
Lost    312 bytes of log, the last 0.4 s of writes before it fell silent: a probe saw prod-leads-1 at 0/4BC last
Took    from the first silence: found after 4.1 s, fenced after 10.0 s, ordered after 10.0 s, promoted after 55.0 s, \
record moved after 55.5 s (by watch-clusters)
Now     prod-leads-2 (eu-west-1b) writes; RDS keeps NO standby of it; 0 read replicas; backups are kept 30 days
Next    nothing urgent. EXPLAIN
";
    assert_eq!(page.text, expected.replace("EXPLAIN", &EXPLAIN.replace("CLUSTER", "leads")));
}

#[test]
fn aurora_failed_over() {
    let seen = carts_gray(31_000).cluster(|it| it.writer = Some("prod-carts-2".into()));
    let seen = seen.sql("prod-carts-2", writer(950));
    let Decision::Act(steps) = decide(&seen) else { panic!() };
    let [Step::Begin { change, .. }] = steps.as_slice() else { panic!("{steps:?}") };
    let mut open = seen.clone().changing(ChangeKind::Followed, "prod-carts-1", By::Aws);
    open.state.change = Some(domain::state::Change {
        began_at_ms: NOW + 100,
        woken_by: "by watch-clusters".into(),
        ..(**change).clone()
    });
    open.waiting = None;
    let (ledger, page) = finished(&open);
    assert_eq!((ledger.rto_ms, ledger.phases.promoted_ms), (Some(31_000), Some(31_000)));
    assert_eq!(page.subject, "P1 carts: writer moved to prod-carts-2 (eu-west-1b) by AWS, 31.0 s after it fell silent");
    let expected = "\
Seen    prod-carts-1 (eu-west-1a), the writer of record, is silent (no answer within 600 ms) since 03:11:39.0Z; RDS \
says available; 3 probes of it failed in a row
Sure    RDS calls prod-carts-2 (eu-west-1b) writer of prod-carts; PostgreSQL on it is out of recovery
Done    AWS made prod-carts-2 writer, seen 03:12:10.0Z; Understudy ordered nothing; record carts-rw.db.internal names \
what it should, epoch 7
Lost    nothing that was acknowledged (0 bytes, 0.0 s): Aurora's instances share one storage, and the new writer reads \
what the old one had acknowledged
Took    from the first silence: found after 31.1 s, promoted after 31.0 s (by watch-clusters)
Now     prod-carts-2 (eu-west-1b) writes; one reader answers
Next    nothing urgent. EXPLAIN
";
    assert_eq!(page.text, expected.replace("EXPLAIN", &EXPLAIN.replace("CLUSTER", "carts")));
}

#[test]
fn a_change_that_nobody_saw_silent_has_no_time() {
    let seen = carts().cluster(|it| it.writer = Some("prod-carts-2".into()));
    let seen = seen.sql("prod-carts-1", reader()).sql("prod-carts-2", writer(950));
    let Decision::Act(steps) = decide(&seen) else { panic!() };
    let [Step::Begin { change, .. }] = steps.as_slice() else { panic!("{steps:?}") };
    let mut open = seen.clone().changing(ChangeKind::Followed, "prod-carts-1", By::Aws);
    open.state.change = Some((**change).clone());
    let (ledger, page) = finished(&open);
    assert_eq!((ledger.rto_ms, ledger.phases), (None, Phases::default()));
    assert!(page.text.contains("not measured: nobody saw a silence"), "{}", page.text);
    assert_eq!(page.subject, "P1 carts: writer moved to prod-carts-2 (eu-west-1b) by AWS");
}

#[test]
fn nothing_proves_it() {
    let seen = isolated(leads_changing()).change(|change, _| change.began_at_ms = NOW - 180_000);
    let page = refused(&seen);
    assert_eq!(page.subject, "P1 leads: writer down, not proven to be cut off: no-evidence");
    for part in [
        "prod-leads-1 (eu-west-1a): RDS says available, PostgreSQL is silent (no answer within 600 ms)",
        "prod-leads-2 (eu-west-1b): RDS says available, replica of prod-leads-1, PostgreSQL is a reader at 0/384, 40 ms behind",
        "Why     nothing proves that clients can write to prod-leads-1 no more: RDS calls it available; it is isolated",
        "aws rds stop-db-instance --region eu-west-1 --db-instance-identifier prod-leads-1",
        "loses whatever connections from before still write to prod-leads-1: aws lambda invoke",
        "--payload '{\"approve\":{\"cluster\":\"leads\",\"epoch\":7,\"data_loss_bytes\":\"any\"}}'",
    ] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
}

#[test]
fn every_page_names_a_next_step_and_has_a_short_subject() {
    let over = leads_dead().suspected(OLD, 3, 4_000, Some(1 << 30));
    let stuck = leads().status(NEW, "modifying").waits("busy-prod-leads-2-modifying", 1_800_000);
    let waits = carts().changing(ChangeKind::Followed, "prod-carts-1", By::Aws).change(|change, _| {
        change.promoted = Some(Promoted { member: "prod-carts-2".into(), at: Lsn(1), timeline: [1, 1], at_ms: NOW });
    });
    let waits = waits.but(|seen| seen.records = Seen::Unavailable("503".into()));
    for (seen, next) in [
        (over, "\"data_loss_bytes\":1073740924}}"),
        (stuck, "aws rds describe-events --region eu-west-1 --duration 120 --source-identifier prod-leads-2"),
        (waits, "clients can use host=prod-carts.cluster-lab.eu-west-1.rds.amazonaws.com themselves"),
        (leads_dead().policy(|policy| policy.promote_replicas = false), "to promote prod-leads-2, once, after"),
        (leads_dead().status(OLD, "storage-full"), "aws rds modify-db-instance --region eu-west-1"),
        (
            carts_gray(180_000).policy(|policy| policy.gray_failure_s = 0),
            "aws rds failover-db-cluster --region eu-west-1 --db-cluster-identifier prod-carts \
             --target-db-instance-identifier prod-carts-2",
        ),
        (carts_gray(180_000).cluster(|it| it.status = "failing-over".into()), "to fail over by hand: aws rds failover"),
    ] {
        let page = refused(&seen);
        assert!(page.subject.len() <= 100, "{}", page.subject);
        let names: Vec<&str> = page.text.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(names, ["Seen", "Why", "Done", "Next"], "{}", page.text);
        assert!(page.text.contains(next), "{next}: {}", page.text);
    }
}

#[test]
fn what_would_happen() {
    let of = |seen: &Observed| explain(seen).if_the_writer_failed;
    assert_eq!(
        of(&carts()),
        "AWS would fail over, most likely to prod-carts-2 (eu-west-1b), which loses nothing, since the storage is shared \
         (0 bytes, 0.0 s), in about 60.0 s; Understudy verifies it; if RDS went on calling it available, a failover to \
         prod-carts-2 would be ordered after 60.0 s of silence, once, and done about 123.0 s after the silence began"
    );
    let behind = leads().sql(NEW, standby(588, Some(100)));
    assert_eq!(
        of(&behind),
        "replica prod-leads-2 (eu-west-1b) would be promoted, on evidence Restarted (security group and a restart), at \
         the cost of 312 bytes of log and 0.0 s as of now and at least 186.0 s without writes"
    );
    assert!(of(&own_subnets(leads())).contains("SubnetCut (security group and network ACL)"));
    let multi = behind.but(|seen| seen.card.aws_fails_over = true);
    assert!(of(&multi).starts_with("RDS would let its standby take over, which loses nothing"), "{}", of(&multi));
    assert!(of(&multi).contains("; if that fails: replica prod-leads-2"), "{}", of(&multi));
    let far = leads().sql(OLD, writer(1 << 30));
    assert!(of(&far).starts_with("nothing before a person approves: prod-leads-2 lacks 1024.0 MiB"), "{}", of(&far));
    let alone = leads().rds(|it| {
        it.instances.remove(1);
    });
    assert_eq!(of(&alone), "nothing, and a person is paged: nobody may take over: there is no read replica");
    assert_eq!(explain(&leads()).now, "nothing: RDS and PostgreSQL agree on the writer, and nothing is left to do");
    assert_eq!(explain(&leads()).seen.len(), 2);
}
