//! RDS: Multi-AZ first, then the promotion of a replica, after the old writer is proven to be cut off.

use crate::kit::*;
use domain::{
    decision::Decision,
    failover::{Seen, Sql},
    lsn::Lsn,
    managed::{By, Observed, Reason, Step, decide},
    state::{Approval, ChangeKind, Loss, Pause, Promoted},
};

pub const BEGIN: &str = "begin 6 from prod-leads-1";
pub const OLD: &str = "prod-leads-1";
pub const NEW: &str = "prod-leads-2";
pub const ACL: &str = "acl-isolated";

pub fn multi_az(silent_ms: u64) -> Observed {
    let seen = leads_dead().suspected(OLD, 3, silent_ms, Some(900)).waits("silent", silent_ms);
    seen.but(|seen| seen.card.aws_fails_over = true)
}

pub fn isolated(seen: Observed) -> Observed {
    seen.groups(OLD, ISOLATED, "active").change(|_, course| course.isolated_at_ms = Some(NOW - 400))
}

pub fn own_subnets(seen: Observed) -> Observed {
    seen.but(|seen| {
        let isolation = seen.card.isolation.as_mut().unwrap();
        (isolation.network_acl, isolation.usual_network_acl) = (Some(ACL.into()), Some("acl-usual".into()));
    })
}

pub fn cut(seen: Observed) -> Observed {
    own_subnets(isolated(seen)).of(OLD, |it| it.network_acl = Some(ACL.into()))
}

pub fn ordered(ago_ms: u64) -> Observed {
    cut(leads_changing()).change(|change, course| {
        change.ordered_at_ms = Some(NOW - ago_ms);
        change.loss = Some(Loss::Bytes(0));
        course.to = Some(NEW.into());
    })
}

pub fn approved(seen: Observed, data_loss_bytes: Option<u64>) -> Observed {
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
        (
            "the replica still hears it after long: our path",
            lagging(leads_dead().suspected(OLD, 3, 30_001, Some(900)), 2_999),
            "refuse: probe-path-broken",
        ),
        ("the replica hears nothing", lagging(leads_dead(), 3_000), BEGIN),
        ("no replica answers: one vantage point", leads_dead().sql(NEW, silent()), "wait: no-witness"),
        (
            "and a person is told",
            leads_dead().sql(NEW, silent()).suspected(OLD, 3, 31_000, Some(900)),
            "refuse: probe-path-broken",
        ),
        ("RDS calls it failed", lagging(leads_dead(), 3_000).status(OLD, "failed"), BEGIN),
        ("RDS restarts it: it has time", leads_dead().status(OLD, "rebooting"), "wait: awaiting-aws"),
        (
            "not for ever",
            leads_dead().status(OLD, "rebooting").suspected(OLD, 3, 180_000, Some(900)).waits("silent", 180_000),
            BEGIN,
        ),
        (
            "RDS reads it back as stopped: no probe is needed",
            leads_dead().status(OLD, "stopped").suspected(OLD, 0, 4_000, Some(900)),
            BEGIN,
        ),
        ("it refuses", leads_dead().sql(OLD, Sql::Refused), BEGIN),
        (
            "too many clients is alive",
            leads_dead().sql(OLD, Sql::Alive("too many clients".into())),
            "wait: alive-but-busy",
        ),
        (
            "in recovery",
            leads().sql(OLD, standby(900, None)).waits("writer-in-recovery", 180_000),
            "refuse: writer-in-recovery",
        ),
        (
            "RDS does not know it",
            leads().rds(|it| {
                it.instances.remove(0);
            }),
            "refuse: writer-gone",
        ),
        (
            "there is no replica",
            leads_dead().rds(|it| {
                it.instances.remove(1);
            }),
            "wait: awaiting-aws",
        ),
        (
            "and a person is told",
            leads_dead()
                .rds(|it| {
                    it.instances.remove(1);
                })
                .suspected(OLD, 3, 180_000, Some(900))
                .waits("silent", 180_000),
            "refuse: aws-did-nothing",
        ),
    ]);
}

#[test]
fn multi_az_is_the_first_rung() {
    let back = |zone: &str| {
        let seen = leads().waits("silent", 71_000).but(|seen| seen.card.aws_fails_over = true);
        seen.of(OLD, |it| it.zone = Some(zone.into()))
    };
    let well = || leads().but(|seen| seen.card.aws_fails_over = true);
    // Noted an hour ago, when it was in eu-west-1a.
    let at_home = |zone: &str| well().waits("home", 3_600_000).of(OLD, |it| it.zone = Some(zone.into()));
    check(&[
        ("AWS has its time", multi_az(179_900), "wait: awaiting-aws"),
        ("whatever RDS calls it", multi_az(179_900).status(OLD, "failed"), "wait: awaiting-aws"),
        ("then the replica's turn comes", multi_az(180_000), BEGIN),
        ("back in another zone: that was a failover", back("eu-west-1b"), BEGIN),
        ("back where it was: a restart", back("eu-west-1a"), "forget"),
        ("all well: where it is, is noted", well(), "note home"),
        ("once", at_home("eu-west-1a"), "steady"),
        ("nobody saw a silence, and it is elsewhere: that was a failover, too", at_home("eu-west-1b"), BEGIN),
        (
            "where it was is not forgotten for another wait",
            at_home("eu-west-1a").status(NEW, "modifying"),
            "note busy-prod-leads-2-modifying",
        ),
    ]);
    let noted = |seen: &Observed| match decide(seen) {
        Decision::Act(steps) => match &steps[0] {
            Step::Note(waiting) => waiting.about.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(noted(&at_home("eu-west-1a").status(NEW, "modifying")).as_deref(), Some("eu-west-1a"));
    let found_late = at_home("eu-west-1a").sql(OLD, silent()).of(OLD, |it| it.zone = Some("eu-west-1b".into()));
    assert_eq!(noted(&found_late).as_deref(), Some("eu-west-1a"), "the first silent look may come after the move");
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
        (
            "also when it still says so itself",
            leads().sql(OLD, Sql::Alive("starting up".into())).status(OLD, "storage-full"),
            "refuse: disk-full",
        ),
        ("not in the cool-down", leads_dead().but(|seen| seen.state.failovers_ms = vec![NOW - 1]), "refuse: cool-down"),
        ("at the limit", leads_dead().suspected(OLD, 3, 4_000, Some(900 + 1024 * 1024)), BEGIN),
        ("over the limit", over(), "refuse: would-lose"),
        ("an approval of less", approved(over(), Some(1024 * 1024)), "refuse: would-lose"),
        ("an approval of so much", approved(over(), Some(1024 * 1024 + 1)), BEGIN),
        ("an approval of another epoch", approved(over(), None).but(|seen| seen.state.epoch = 5), "refuse: would-lose"),
        ("an approval that is over", approved(over(), None).but(|seen| seen.looked_at_ms += 1), "refuse: would-lose"),
        ("nobody saw how far it had come", leads_dead().suspected(OLD, 3, 4_000, None), "refuse: loss-unknown"),
        ("any loss is allowed", approved(leads_dead().suspected(OLD, 3, 4_000, None), None), BEGIN),
        (
            "a person decides, by policy",
            leads_dead().policy(|policy| policy.promote_replicas = false),
            "refuse: ask-first",
        ),
        ("and did", approved(leads_dead().policy(|policy| policy.promote_replicas = false), Some(0)), BEGIN),
        ("the replica is being backed up", leads_dead().status(NEW, "backing-up"), "wait: candidate-busy"),
        (
            "the replica must not",
            leads_dead().but(|seen| seen.card.instances[1].never_promote = true),
            "refuse: nobody-may-take-over",
        ),
        (
            "one that is not of the stack must not either",
            leads_dead().but(|seen| {
                seen.card.instances.remove(1);
            }),
            "refuse: nobody-may-take-over",
        ),
    ]);
    let Decision::Refuse(Reason::WouldLose { bytes, ms, .. }) = decide(&over().lag(NEW, 5_500)) else { panic!() };
    assert_eq!((bytes, ms), (1024 * 1024 + 1, Some(1_500)), "from the last replayed commit to the silence");
}

#[test]
fn a_promotion_is_followed_until_it_is_done() {
    let promoted = |seen: Observed| seen.of(NEW, |it| it.source = None).sql(NEW, writer(950));
    check(&[
        ("ordered a moment ago", ordered(10_000), "wait: promoting"),
        ("RDS is at it", ordered(61_000).status(NEW, "modifying"), "wait: promoting"),
        (
            "nothing of it is seen: once more, the same",
            ordered(60_001),
            "note change, promote prod-leads-2 by SubnetCut",
        ),
        (
            "which is noted, too",
            ordered(60_001).change(|_, course| course.again_at_ms = Some(NOW - 1)),
            "wait: promoting",
        ),
        ("not without proof", ordered(60_001).groups(OLD, USUAL, "active"), "wait: promoting"),
        ("an old writer that answers now comes too late", ordered(10_000).sql(OLD, writer(900)), "wait: promoting"),
        (
            "no replica any more, not available yet",
            promoted(ordered(90_000)).status(NEW, "rebooting"),
            "wait: promoting",
        ),
        ("done", promoted(ordered(90_000)), "prove prod-leads-2"),
        ("being backed up it writes, too", promoted(ordered(90_000)).status(NEW, "backing-up"), "prove prod-leads-2"),
        (
            "RDS calls it done, it does not answer",
            ordered(179_000).of(NEW, |it| it.source = None).sql(NEW, silent()),
            "wait: promoting",
        ),
        (
            "for too long",
            ordered(180_000).of(NEW, |it| it.source = None).sql(NEW, silent()),
            "refuse: new-writer-silent",
        ),
        ("stuck: not without end", ordered(1_799_000).status(NEW, "modifying"), "wait: promoting"),
        ("a page, and every pass goes on looking", ordered(1_800_000).status(NEW, "modifying"), "refuse: stuck"),
        ("also after days", promoted(ordered(200_000_000)), "prove prod-leads-2"),
        (
            "gone",
            ordered(10_000).rds(|it| {
                it.instances.remove(1);
            }),
            "refuse: writer-gone",
        ),
    ]);
}

#[test]
fn what_follows_a_promotion() {
    let after = |seen: Observed| {
        let seen = seen.of(NEW, |it| it.source = None).sql(NEW, writer(950)).but(|seen| seen.waiting = None);
        seen.change(|change, course| {
            let (member, at) = (NEW.to_owned(), Lsn(0x384));
            change.promoted = Some(Promoted { member, at, timeline: [1, 2], at_ms: NOW - 10 });
            change.ordered_at_ms = Some(NOW - 60_000);
            course.to = Some(NEW.into());
        })
    };
    let records = "record prod-leads-1 to prod-leads-2/7";
    let backups = "backups of prod-leads-2 30 d";
    let rest = "stop prod-leads-1, roles 2, render anew";
    let down = |seen: Observed| seen.but(|seen| seen.records = Seen::Unavailable("503".into()));
    let table = [
        ("all at once", after(isolated(leads_changing())), format!("note change, {records}, {backups}, {rest}")),
        (
            "behind a network ACL nothing new could stream: the roles are kept later",
            after(cut(leads_changing())),
            format!("note change, {records}, {backups}, stop prod-leads-1"),
        ),
        (
            "backups that are as they should be",
            after(isolated(leads_changing())).of(NEW, |it| it.backup_retention_days = 30),
            format!("note change, {records}, {rest}"),
        ),
        (
            "an owner who wants the old one to run",
            after(isolated(leads_changing())).policy(|policy| policy.stop_old_writer = false),
            format!("note change, {records}, {backups}, roles 2, render anew"),
        ),
        (
            "RDS stops nothing that is busy",
            after(isolated(leads_changing())).status(OLD, "failed"),
            format!("note change, {records}, {backups}, roles 2, render anew"),
        ),
        (
            "Route 53 is down: the rest is done",
            down(after(isolated(leads_changing()))),
            format!("note change, {backups}, {rest}"),
        ),
        (
            "what was waited for is forgotten first",
            after(isolated(leads_changing())).waits("silent", 9),
            "forget".to_owned(),
        ),
    ];
    for (name, seen, expected) in table {
        assert_eq!(short(&seen), expected, "{name}");
    }
}

#[test]
fn a_replica_that_others_promoted() {
    let promoted = |seen: Observed| seen.of(NEW, |it| it.source = None).sql(NEW, writer(950));
    check(&[
        ("beside a writer that is well: two", promoted(leads()).waits("two-writers", 1_000), "refuse: two-writers"),
        ("beside one that is only silent", promoted(leads_dead()), "note writer-differs"),
        ("in place of one that is off", promoted(leads_dead()).status(OLD, "stopped"), BEGIN),
        (
            "one that is cut off is no second writer",
            leads().rds(|it| it.instances[1].source = None).sql(NEW, writer(950)).groups(NEW, ISOLATED, "active"),
            "hold 6",
        ),
    ]);
    assert_eq!(
        ChangeKind::Followed,
        match decide(&promoted(leads_dead()).status(OLD, "stopped")) {
            Decision::Act(steps) => match &steps[0] {
                Step::Begin { change, .. } => {
                    assert_eq!(
                        (change.loss, change.managed.as_ref().map(|it| it.by)),
                        (Some(Loss::Unknown), Some(By::Aws))
                    );
                    change.kind
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    );
}
