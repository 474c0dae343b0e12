//! RDS: Multi-AZ first, then the promotion of a replica, after the old writer is proven to be cut off.

use crate::kit::*;
use domain::{
    decision::Decision,
    failover::Sql,
    managed::{By, Observed, Reason, Step, decide, prove, undo},
    state::{Approval, ChangeKind, Loss, Pause},
};

const BEGIN: &str = "begin 6 from prod-leads-1";
const OLD: &str = "prod-leads-1";
const NEW: &str = "prod-leads-2";
const ACL: &str = "acl-isolated";

fn multi_az(silent_ms: u64) -> Observed {
    let seen = leads_dead().suspected(OLD, 3, silent_ms, Some(900)).waits("silent", silent_ms);
    seen.but(|seen| seen.card.aws_fails_over = true)
}

fn isolated(seen: Observed) -> Observed {
    seen.groups(OLD, ISOLATED, "active").change(|_, course| course.isolated_at_ms = Some(NOW - 400))
}

fn own_subnets(seen: Observed) -> Observed {
    seen.but(|seen| {
        let isolation = seen.card.isolation.as_mut().unwrap();
        (isolation.network_acl, isolation.usual_network_acl) = (Some(ACL.into()), Some("acl-usual".into()));
    })
}

fn cut(seen: Observed) -> Observed {
    own_subnets(isolated(seen)).of(OLD, |it| it.network_acl = Some(ACL.into()))
}

fn ordered(ago_ms: u64) -> Observed {
    cut(leads_changing()).change(|change, course| {
        change.ordered_at_ms = Some(NOW - ago_ms);
        change.loss = Some(Loss::Bytes(0));
        course.to = Some(NEW.into());
    })
}

fn approved(seen: Observed, data_loss_bytes: Option<u64>) -> Observed {
    seen.but(|seen| seen.state.approval = Some(Approval { epoch: 6, data_loss_bytes, expires_at_ms: NOW + 1 }))
}

#[test]
fn three_checks_and_a_witness() {
    let lagging = |seen: Observed, ms| seen.sql(NEW, standby(900, Some(ms)));
    check(&[
        ("all well", leads(), "steady"),
        ("silence is noted", leads_dead().but(|seen| seen.waiting = None), "note silent"),
        ("three failed checks, and a stream that is dead", leads_dead(), BEGIN),
        ("two failed checks", leads_dead().suspected(OLD, 2, 4_000, Some(900)), "wait: not-suspected"),
        ("our own look alone", leads_dead().but(|seen| seen.suspicion = None), "wait: not-suspected"),
        ("the replica hears it", lagging(leads_dead(), 2_999), "wait: still-streaming"),
        ("the replica still hears it after long: our path", lagging(leads_dead().suspected(OLD, 3, 30_001, Some(900)), 2_999), "refuse: probe-path-broken"),
        ("the replica hears nothing", lagging(leads_dead(), 3_000), BEGIN),
        ("no replica answers: one vantage point", leads_dead().sql(NEW, silent()), "wait: no-witness"),
        ("and a person is told", leads_dead().sql(NEW, silent()).suspected(OLD, 3, 31_000, Some(900)), "refuse: probe-path-broken"),
        ("RDS calls it failed", lagging(leads_dead(), 3_000).status(OLD, "failed"), BEGIN),
        ("RDS restarts it: it has time", leads_dead().status(OLD, "rebooting"), "wait: awaiting-aws"),
        ("not for ever", leads_dead().status(OLD, "rebooting").suspected(OLD, 3, 180_000, Some(900)).waits("silent", 180_000), BEGIN),
        ("RDS reads it back as stopped: no probe is needed", leads_dead().status(OLD, "stopped").suspected(OLD, 0, 4_000, Some(900)), BEGIN),
        ("it refuses", leads_dead().sql(OLD, Sql::Refused), BEGIN),
        ("too many clients is alive", leads_dead().sql(OLD, Sql::Alive("too many clients".into())), "wait: alive-but-busy"),
        ("in recovery", leads().sql(OLD, standby(900, None)).waits("writer-in-recovery", 180_000), "refuse: writer-in-recovery"),
        ("RDS does not know it", leads().rds(|it| { it.instances.remove(0); }), "refuse: writer-gone"),
        ("there is no replica", leads_dead().rds(|it| { it.instances.remove(1); }), "wait: awaiting-aws"),
        ("and a person is told", leads_dead().rds(|it| { it.instances.remove(1); }).suspected(OLD, 3, 180_000, Some(900)).waits("silent", 180_000), "refuse: aws-did-nothing"),
    ]);
}

#[test]
fn multi_az_is_the_first_rung() {
    let back = |zone: &str| {
        let seen = leads().waits("silent", 71_000).but(|seen| seen.card.aws_fails_over = true);
        seen.of(OLD, |it| it.zone = Some(zone.into()))
    };
    check(&[
        ("AWS has its time", multi_az(179_900), "wait: awaiting-aws"),
        ("whatever RDS calls it", multi_az(179_900).status(OLD, "failed"), "wait: awaiting-aws"),
        ("then the replica's turn comes", multi_az(180_000), BEGIN),
        ("back in another zone: that was a failover", back("eu-west-1b"), BEGIN),
        ("back where it was: a restart", back("eu-west-1a"), "forget"),
    ]);
    let Decision::Act(steps) = decide(&back("eu-west-1b")) else { panic!("no act") };
    let [Step::Begin { change, .. }] = steps.as_slice() else { panic!("{steps:?}") };
    assert_eq!((change.from.as_str(), change.loss, change.silent_since_ms), (OLD, Some(Loss::Nothing), NOW - 71_000));
    assert_eq!(change.managed.as_ref().and_then(|course| course.zone_before.as_deref()), Some("eu-west-1a"));
}

#[test]
fn damping_and_the_lag_gate() {
    let over = || leads_dead().suspected(OLD, 3, 4_000, Some(900 + 1024 * 1024 + 1));
    let pause = Pause { until_ms: NOW + 1, reason: "kernel".into() };
    check(&[
        ("never while paused", leads_dead().but(|seen| seen.state.pause = Some(pause.clone())), "refuse: paused"),
        ("never on a full disk", leads_dead().status(OLD, "storage-full"), "refuse: disk-full"),
        ("also when it still says so itself", leads().sql(OLD, Sql::Alive("starting up".into())).status(OLD, "storage-full"), "refuse: disk-full"),
        ("not in the cool-down", leads_dead().but(|seen| seen.state.failovers_ms = vec![NOW - 1]), "refuse: cool-down"),
        ("at the limit", leads_dead().suspected(OLD, 3, 4_000, Some(900 + 1024 * 1024)), BEGIN),
        ("over the limit", over(), "refuse: would-lose"),
        ("an approval of less", approved(over(), Some(1024 * 1024)), "refuse: would-lose"),
        ("an approval of so much", approved(over(), Some(1024 * 1024 + 1)), BEGIN),
        ("an approval of another epoch", approved(over(), None).but(|seen| seen.state.epoch = 5), "refuse: would-lose"),
        ("an approval that is over", approved(over(), None).but(|seen| seen.looked_at_ms += 1), "refuse: would-lose"),
        ("nobody saw how far it had come", leads_dead().suspected(OLD, 3, 4_000, None), "refuse: loss-unknown"),
        ("any loss is allowed", approved(leads_dead().suspected(OLD, 3, 4_000, None), None), BEGIN),
        ("a person decides, by policy", leads_dead().policy(|policy| policy.promote_replicas = false), "refuse: ask-first"),
        ("and did", approved(leads_dead().policy(|policy| policy.promote_replicas = false), Some(0)), BEGIN),
        ("the replica is being backed up", leads_dead().status(NEW, "backing-up"), "wait: candidate-busy"),
        ("the replica must not", leads_dead().but(|seen| seen.card.instances[1].never_promote = true), "refuse: nobody-may-take-over"),
        ("one that is not of the stack must not either", leads_dead().but(|seen| { seen.card.instances.remove(1); }), "refuse: nobody-may-take-over"),
    ]);
    let Decision::Refuse(Reason::WouldLose { bytes, ms, .. }) = decide(&over().lag(NEW, 5_500)) else { panic!() };
    assert_eq!((bytes, ms), (1024 * 1024 + 1, Some(1_500)), "from the last replayed commit to the silence");
}

#[test]
fn the_fence() {
    let began = |seen: Observed, ago: u64| seen.change(|change, _| change.began_at_ms = NOW - ago);
    let restarted = |seen: Observed| seen.change(|_, course| (course.restart_at_ms, course.restart_seen) = (Some(NOW - 300), true));
    let one_subnet = |seen: Observed| seen.of(NEW, |it| it.subnet = Some("subnet-1".into()));
    let unknown = |seen: Observed| seen.of(NEW, |it| it.subnet = None);
    let reboot = "note change, reboot prod-leads-1";
    check(&[
        ("first nobody new gets in", leads_changing(), "note change, prod-leads-1 gets sg-isolated"),
        ("ordered, not seen yet", leads_changing().change(|_, course| course.isolated_at_ms = Some(NOW - 1)), "wait: awaiting-isolation"),
        ("ordered long ago, not seen", leads_changing().change(|_, course| course.isolated_at_ms = Some(NOW - 60_001)), "note change, prod-leads-1 gets sg-isolated"),
        ("a group that is being added is none", isolated(leads_changing()).groups(OLD, ISOLATED, "adding"), "wait: awaiting-isolation"),
        ("then nobody who was in stays", own_subnets(isolated(leads_changing())), "note change, subnet-1 gets acl-isolated"),
        ("ordered, not seen yet", own_subnets(isolated(leads_changing())).change(|_, course| course.cut_at_ms = Some(NOW - 1)), "wait: awaiting-isolation"),
        ("a subnet that others are in is not cut", one_subnet(own_subnets(isolated(leads_changing()))), reboot),
        ("nor one that others may be in", unknown(own_subnets(isolated(leads_changing()))), reboot),
        ("without own subnets it is restarted", isolated(leads_changing()), reboot),
        ("RDS is at it: that is noted", isolated(leads_changing()).status(OLD, "rebooting").change(|_, course| course.restart_at_ms = Some(NOW - 1)), "note change"),
        ("and waited for", restarted(isolated(leads_changing())).status(OLD, "rebooting"), "wait: awaiting-isolation"),
        ("a restart that nobody saw is none", isolated(leads_changing()).change(|_, course| course.restart_at_ms = Some(NOW - 1)), "wait: awaiting-isolation"),
        ("no proof in time", began(isolated(leads_changing()), 180_000), "refuse: no-evidence"),
        ("no isolated group at all", leads_changing().but(|seen| seen.card.isolation = None), "refuse: no-evidence"),
        ("it answers before the order", cut(leads_changing()).sql(OLD, writer(900)), "refuse: alive-after-all"),
        ("it answers that it is full", cut(leads_changing()).sql(OLD, Sql::Alive("too many clients".into())), "refuse: alive-after-all"),
        ("cut off: the replica is promoted", cut(leads_changing()), "note change, promote prod-leads-2 by SubnetCut"),
        ("restarted: promoted", restarted(isolated(leads_changing())), "note change, promote prod-leads-2 by Restarted"),
        ("stopped: promoted", leads_changing().status(OLD, "stopped"), "note change, promote prod-leads-2 by Stopped"),
        ("proven, and the replica is busy: when is noted", cut(leads_changing()).status(NEW, "backing-up"), "note change"),
        ("and it is waited for", cut(leads_changing()).status(NEW, "backing-up").change(|change, _| change.fenced_at_ms = Some(NOW - 1)), "wait: candidate-busy"),
        ("the gate holds here, too", cut(leads_changing()).change(|change, _| change.last_writer_lsn = Some(domain::lsn::Lsn(1 << 30))), "refuse: would-lose"),
    ]);
}

#[test]
fn i5_what_is_evidence_and_what_is_not() {
    let kind = |seen: &Observed| prove(seen, OLD).map(|evidence| evidence.kind());
    assert_eq!(kind(&cut(leads_changing())), Some("SubnetCut"));
    assert_eq!(kind(&leads_changing().status(OLD, "stopped")), Some("Stopped"));
    for (name, seen) in [
        ("a security group that was swapped", isolated(leads_changing())),
        ("with a network ACL, but not active", cut(leads_changing()).groups(OLD, ISOLATED, "adding")),
        ("a network ACL alone", own_subnets(leads_changing()).of(OLD, |it| it.network_acl = Some(ACL.into()))),
        ("one group too many", cut(leads_changing()).of(OLD, |it| it.security_groups.push((USUAL.into(), "active".into())))),
        ("no group at all", cut(leads_changing()).of(OLD, |it| it.security_groups.clear())),
        ("another network ACL", cut(leads_changing()).of(OLD, |it| it.network_acl = Some("acl-usual".into()))),
        ("stopping", leads_changing().status(OLD, "stopping")),
        ("failed", leads_changing().status(OLD, "failed")),
        ("unknown to RDS", leads_changing().rds(|it| { it.instances.remove(0); })),
        ("a restart before the isolation was active", isolated(leads_changing()).groups(OLD, ISOLATED, "adding").change(|_, course| (course.restart_at_ms, course.restart_seen) = (Some(1), true))),
        ("a restart of another change", isolated(leads_changing()).change(|change, course| { change.from = NEW.into(); (course.restart_at_ms, course.restart_seen) = (Some(1), true); })),
        ("an approval of a number", isolated(leads_changing()).change(|change, _| change.approval = Some(Approval { epoch: 6, data_loss_bytes: Some(9), expires_at_ms: 1 }))),
    ] {
        assert_eq!(kind(&seen), None, "{name}");
    }
    let any = |seen: Observed| seen.change(|change, _| change.approval = Some(Approval { epoch: 6, data_loss_bytes: None, expires_at_ms: 1 }));
    assert_eq!(kind(&any(isolated(leads_changing()))), Some("Approved"));
    assert_eq!(kind(&any(leads_changing())), None, "an approval does not keep clients out");
}

#[test]
fn without_proof_a_person_is_asked_once_and_the_epoch_stays() {
    let seen = isolated(leads_changing()).change(|change, _| change.began_at_ms = NOW - 180_000);
    let Decision::Refuse(reason) = decide(&seen) else { panic!() };
    let words: Vec<String> = undo(&seen, &reason).iter().map(word).collect();
    assert_eq!(words, ["note no-evidence", "abandon"], "it stays cut off");
    let after = || {
        let mut seen = leads_dead().groups(OLD, ISOLATED, "active").waits("no-evidence", 60_000);
        seen.state.epoch = 6;
        seen
    };
    check(&[
        ("no new change is begun", after(), "refuse: no-evidence"),
        ("hours later", after().but(|seen| seen.looked_at_ms += 7_200_000), "refuse: no-evidence"),
        ("unless a person says so", approved(after(), None).but(|seen| seen.waiting.as_mut().unwrap().kind = "silent".into()), BEGIN),
        ("which the note does not hold up", approved(after(), None), "note silent"),
        ("it answers: the note goes", after().sql(OLD, writer(900)), "forget"),
        ("and its clients are let in", after().sql(OLD, writer(900)).but(|seen| seen.waiting = None), "hold 6"),
    ]);
    let held = after().sql(OLD, writer(900)).but(|seen| (seen.waiting, seen.lease) = (None, domain::failover::Lease::Mine));
    assert_eq!(short(&held), "note given-back, prod-leads-1 gets sg-usual");
}

#[test]
fn what_is_undone_when_it_answers() {
    let seen = cut(leads_changing()).sql(OLD, writer(900));
    let words: Vec<String> = undo(&seen, &Reason::AliveAfterAll(OLD.into())).iter().map(word).collect();
    assert_eq!(words, ["subnet-1 gets acl-usual", "prod-leads-1 gets sg-usual", "abandon"]);
    let barely = leads_changing().sql(OLD, writer(900)).change(|_, course| course.isolated_at_ms = Some(NOW - 1));
    let words: Vec<String> = undo(&barely, &Reason::AliveAfterAll(OLD.into())).iter().map(word).collect();
    assert_eq!(words, ["prod-leads-1 gets sg-usual", "abandon"], "also what was only ordered");
    assert_eq!(undo(&ordered(5).sql(OLD, writer(900)), &Reason::AliveAfterAll(OLD.into())), Vec::new(), "no way back");
}

#[test]
fn a_promotion_is_followed_until_it_is_done() {
    let promoted = |seen: Observed| seen.of(NEW, |it| it.source = None).sql(NEW, writer(950));
    check(&[
        ("ordered a moment ago", ordered(10_000), "wait: promoting"),
        ("RDS is at it", ordered(61_000).status(NEW, "modifying"), "wait: promoting"),
        ("nothing of it is seen: once more, the same", ordered(60_001), "note change, promote prod-leads-2 by SubnetCut"),
        ("which is noted, too", ordered(60_001).change(|_, course| course.again_at_ms = Some(NOW - 1)), "wait: promoting"),
        ("not without proof", ordered(60_001).groups(OLD, USUAL, "active"), "wait: promoting"),
        ("an old writer that answers now comes too late", ordered(10_000).sql(OLD, writer(900)), "wait: promoting"),
        ("no replica any more, not available yet", promoted(ordered(90_000)).status(NEW, "rebooting"), "wait: promoting"),
        ("done", promoted(ordered(90_000)), "prove prod-leads-2"),
        ("being backed up it writes, too", promoted(ordered(90_000)).status(NEW, "backing-up"), "prove prod-leads-2"),
        ("RDS calls it done, it does not answer", ordered(179_000).of(NEW, |it| it.source = None).sql(NEW, silent()), "wait: promoting"),
        ("for too long", ordered(180_000).of(NEW, |it| it.source = None).sql(NEW, silent()), "refuse: new-writer-silent"),
        ("stuck: not without end", ordered(1_799_000).status(NEW, "modifying"), "wait: promoting"),
        ("a page, and every pass goes on looking", ordered(1_800_000).status(NEW, "modifying"), "refuse: stuck"),
        ("also after days", promoted(ordered(200_000_000)), "prove prod-leads-2"),
        ("gone", ordered(10_000).rds(|it| { it.instances.remove(1); }), "refuse: writer-gone"),
    ]);
}

#[test]
fn a_replica_that_others_promoted() {
    let promoted = |seen: Observed| seen.of(NEW, |it| it.source = None).sql(NEW, writer(950));
    check(&[
        ("beside a writer that is well: two", promoted(leads()).waits("two-writers", 1_000), "refuse: two-writers"),
        ("beside one that is only silent", promoted(leads_dead()), "note writer-differs"),
        ("in place of one that is off", promoted(leads_dead()).status(OLD, "stopped"), BEGIN),
        ("one that is cut off is no second writer", leads().rds(|it| it.instances[1].source = None).sql(NEW, writer(950)).groups(NEW, ISOLATED, "active"), "hold 6"),
    ]);
    assert_eq!(ChangeKind::Followed, match decide(&promoted(leads_dead()).status(OLD, "stopped")) {
        Decision::Act(steps) => match &steps[0] {
            Step::Begin { change, .. } => {
                assert_eq!((change.loss, change.managed.as_ref().map(|it| it.by)), (Some(Loss::Unknown), Some(By::Aws)));
                change.kind
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    });
}
