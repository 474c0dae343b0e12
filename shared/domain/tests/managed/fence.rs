//! I5: what keeps clients from the old writer, what proves it, and what is undone.

use crate::{kit::*, rds::*};
use domain::{
    decision::Decision,
    failover::Sql,
    managed::{Observed, Reason, decide, prove, undo},
    state::Approval,
};

#[test]
fn the_fence() {
    let began = |seen: Observed, ago: u64| seen.change(|change, _| change.began_at_ms = NOW - ago);
    let restarted =
        |seen: Observed| seen.change(|_, course| (course.restart_at_ms, course.restart_seen) = (Some(NOW - 300), true));
    let one_subnet = |seen: Observed| seen.of(NEW, |it| it.subnet = Some("subnet-1".into()));
    let unknown = |seen: Observed| seen.of(NEW, |it| it.subnet = None);
    let reboot = "note change, reboot prod-leads-1";
    check(&[
        ("first nobody new gets in", leads_changing(), "note change, prod-leads-1 gets sg-isolated"),
        (
            "ordered, not seen yet",
            leads_changing().change(|_, course| course.isolated_at_ms = Some(NOW - 1)),
            "wait: awaiting-isolation",
        ),
        (
            "ordered long ago, not seen",
            leads_changing().change(|_, course| course.isolated_at_ms = Some(NOW - 60_001)),
            "note change, prod-leads-1 gets sg-isolated",
        ),
        (
            "a group that is being added is none",
            isolated(leads_changing()).groups(OLD, ISOLATED, "adding"),
            "wait: awaiting-isolation",
        ),
        (
            "then nobody who was in stays",
            own_subnets(isolated(leads_changing())),
            "note change, subnet-1 gets acl-isolated",
        ),
        (
            "ordered, not seen yet",
            own_subnets(isolated(leads_changing())).change(|_, course| course.cut_at_ms = Some(NOW - 1)),
            "wait: awaiting-isolation",
        ),
        ("a subnet that others are in is not cut", one_subnet(own_subnets(isolated(leads_changing()))), reboot),
        ("nor one that others may be in", unknown(own_subnets(isolated(leads_changing()))), reboot),
        ("without own subnets it is restarted", isolated(leads_changing()), reboot),
        (
            "RDS is at it: that is noted",
            isolated(leads_changing())
                .status(OLD, "rebooting")
                .change(|_, course| course.restart_at_ms = Some(NOW - 1)),
            "note change",
        ),
        ("and waited for", restarted(isolated(leads_changing())).status(OLD, "rebooting"), "wait: awaiting-isolation"),
        (
            "a restart that nobody saw is none",
            isolated(leads_changing()).change(|_, course| course.restart_at_ms = Some(NOW - 1)),
            "wait: awaiting-isolation",
        ),
        ("no proof in time", began(isolated(leads_changing()), 180_000), "refuse: no-evidence"),
        ("no isolated group at all", leads_changing().but(|seen| seen.card.isolation = None), "refuse: no-evidence"),
        ("it answers before the order", cut(leads_changing()).sql(OLD, writer(900)), "refuse: alive-after-all"),
        (
            "it answers that it is full",
            cut(leads_changing()).sql(OLD, Sql::Alive("too many clients".into())),
            "refuse: alive-after-all",
        ),
        ("cut off: the replica is promoted", cut(leads_changing()), "note change, promote prod-leads-2 by SubnetCut"),
        (
            "restarted: promoted",
            restarted(isolated(leads_changing())),
            "note change, promote prod-leads-2 by Restarted",
        ),
        ("stopped: promoted", leads_changing().status(OLD, "stopped"), "note change, promote prod-leads-2 by Stopped"),
        (
            "proven, and the replica is busy: when is noted",
            cut(leads_changing()).status(NEW, "backing-up"),
            "note change",
        ),
        (
            "and it is waited for",
            cut(leads_changing()).status(NEW, "backing-up").change(|change, _| change.fenced_at_ms = Some(NOW - 1)),
            "wait: candidate-busy",
        ),
        (
            "the gate holds here, too",
            cut(leads_changing()).change(|change, _| change.last_writer_lsn = Some(domain::lsn::Lsn(1 << 30))),
            "refuse: would-lose",
        ),
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
        (
            "one group too many",
            cut(leads_changing()).of(OLD, |it| it.security_groups.push((USUAL.into(), "active".into()))),
        ),
        ("no group at all", cut(leads_changing()).of(OLD, |it| it.security_groups.clear())),
        ("another network ACL", cut(leads_changing()).of(OLD, |it| it.network_acl = Some("acl-usual".into()))),
        ("stopping", leads_changing().status(OLD, "stopping")),
        ("failed", leads_changing().status(OLD, "failed")),
        (
            "unknown to RDS",
            leads_changing().rds(|it| {
                it.instances.remove(0);
            }),
        ),
        (
            "a restart before the isolation was active",
            isolated(leads_changing())
                .groups(OLD, ISOLATED, "adding")
                .change(|_, course| (course.restart_at_ms, course.restart_seen) = (Some(1), true)),
        ),
        (
            "a restart of another change",
            isolated(leads_changing()).change(|change, course| {
                change.from = NEW.into();
                (course.restart_at_ms, course.restart_seen) = (Some(1), true);
            }),
        ),
        (
            "an approval of a number",
            isolated(leads_changing()).change(|change, _| {
                change.approval = Some(Approval { epoch: 6, data_loss_bytes: Some(9), expires_at_ms: 1 })
            }),
        ),
    ] {
        assert_eq!(kind(&seen), None, "{name}");
    }
    let any = |seen: Observed| {
        seen.change(|change, _| change.approval = Some(Approval { epoch: 6, data_loss_bytes: None, expires_at_ms: 1 }))
    };
    let late = |seen: Observed| seen.change(|change, _| change.began_at_ms = NOW - 180_000);
    let again = |seen: Observed| seen.change(|_, course| course.unproven_before = true);
    assert_eq!(kind(&any(isolated(leads_changing()))), None, "what can be had is tried first");
    assert_eq!(kind(&late(any(isolated(leads_changing())))), Some("Approved"));
    assert_eq!(kind(&again(any(isolated(leads_changing())))), Some("Approved"), "it was tried by the change before");
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
        (
            "unless a person says so",
            approved(after(), None).but(|seen| seen.waiting.as_mut().unwrap().kind = "silent".into()),
            BEGIN,
        ),
        ("which the note does not hold up", approved(after(), None), "note silent"),
        ("it answers: the note goes", after().sql(OLD, writer(900)), "forget"),
        ("and its clients are let in", after().sql(OLD, writer(900)).but(|seen| seen.waiting = None), "hold 6"),
    ]);
    let held =
        after().sql(OLD, writer(900)).but(|seen| (seen.waiting, seen.lease) = (None, domain::failover::Lease::Mine));
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
