//! A cluster whose writer writes: records, old writers, roles, and what is under way for too long.

use crate::kit::*;
use domain::{
    decision::Decision,
    failover::{Lease, Seen},
    managed::{NamesSeen, Observed, Roles, Step, decide, readers, writer_target},
};

fn mine(seen: Observed) -> Observed {
    seen.but(|seen| seen.lease = Lease::Mine)
}

fn names(seen: Observed, change: impl FnOnce(&mut NamesSeen)) -> Observed {
    seen.but(|seen| {
        let Seen::Known(names) = &mut seen.records else { panic!("no records") };
        change(names);
    })
}

#[test]
fn the_records() {
    let elsewhere =
        |seen: Observed, epoch| names(seen, |names| (names.writer, names.epoch) = (Some("other.db".into()), epoch));
    let moved = "record other to prod-carts/6";
    check(&[
        ("first the lease", elsewhere(carts(), Some(5)), "hold 6"),
        ("then it is moved", mine(elsewhere(carts(), Some(5))), moved),
        ("by an own epoch", mine(elsewhere(carts(), Some(6))), moved),
        ("of a later epoch it is not ours", mine(elsewhere(carts(), Some(7))), "refuse: record-not-ours"),
        ("nor without one", elsewhere(carts(), None), "refuse: record-not-ours"),
        ("nor an epoch without a record", names(carts(), |names| names.writer = None), "refuse: record-not-ours"),
        (
            "the first ones are made",
            mine(names(carts(), |names| *names = NamesSeen::default())),
            "record nothing to prod-carts/6, readers prod-carts",
        ),
        ("an old epoch with the right target stays", names(carts(), |names| names.epoch = Some(2)), "steady"),
        (
            "a final dot and capitals say nothing",
            names(carts(), |names| names.writer = Some("PROD-carts.cluster-lab.eu-west-1.rds.amazonaws.com.".into())),
            "steady",
        ),
        (
            "Route 53 is down: nothing waits for it",
            carts().but(|seen| seen.records = Seen::Unavailable("503".into())),
            "steady",
        ),
        ("of RDS it names the instance", mine(elsewhere(leads(), Some(5))), "record other to prod-leads-1/6"),
    ]);
    assert_eq!(writer_target(&leads()), Some(endpoint("prod-leads-1")));
    assert!(writer_target(&carts()).unwrap().starts_with("prod-carts.cluster-lab"));
}

#[test]
fn the_readers() {
    let ids = |seen: &Observed| readers(seen).into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(ids(&carts()), ["prod-carts"]);
    assert_eq!(ids(&leads()), ["prod-leads-2"]);
    assert_eq!(ids(&leads().sql("prod-leads-2", silent())), ["prod-leads-2"], "one look takes nobody away");
    let gone = leads().sql("prod-leads-2", silent()).status("prod-leads-2", "failed");
    assert_eq!(ids(&gone), ["prod-leads-1"], "readers keep working, on the writer");
    let unlisted = names(leads(), |names| names.readers.clear()).sql("prod-leads-2", silent());
    assert_eq!(ids(&unlisted), ["prod-leads-1"], "who does not answer is not let in");
    let by_arn = leads().of("prod-leads-2", |it| it.source = Some("arn:aws:rds:eu-west-1:1:db:prod-leads-1".into()));
    assert_eq!(ids(&by_arn), ["prod-leads-2"]);
    let other = leads().of("prod-leads-2", |it| it.source = Some("arn:aws:rds:eu-west-1:1:db:prod-leads-11".into()));
    assert_eq!(ids(&other), ["prod-leads-1"], "a name that only begins alike is another");
    check(&[("it is set", mine(gone), "readers prod-leads-1")]);
}

/// `prod-leads-2` writes, `prod-leads-1` is an old writer that is cut off.
fn after(status: &str, acl: bool) -> Observed {
    let seen = mine(leads()).but(|seen| seen.state.writer = Some("prod-leads-2".into()));
    let seen = seen.but(|seen| {
        let isolation = seen.card.isolation.as_mut().unwrap();
        (isolation.network_acl, isolation.usual_network_acl) = (Some("acl-isolated".into()), Some("acl-usual".into()));
    });
    let seen = seen.of("prod-leads-2", |it| it.source = None).sql("prod-leads-2", writer(990));
    let seen = seen.groups("prod-leads-1", ISOLATED, "active").status("prod-leads-1", status);
    let seen = seen.of("prod-leads-1", |it| it.network_acl = acl.then(|| "acl-isolated".into()));
    let seen = seen.sql("prod-leads-1", silent());
    names(seen, |names| {
        (names.writer, names.readers) = (Some(endpoint("prod-leads-2")), vec![endpoint("prod-leads-2")])
    })
}

#[test]
fn an_old_writer_that_is_cut_off() {
    let once = |seen: Observed| seen.waits("former-prod-leads-1", 1_000);
    let kept = |seen: Observed| seen.but(|seen| seen.roles = Some(Roles { writer: 2, ..Roles::default() }));
    check(&[
        ("it is stopped once more", after("available", true), "note former-prod-leads-1, stop prod-leads-1"),
        ("not in every look", once(after("available", true)), "refuse: former-runs"),
        (
            "an owner who wants it to run is told what waits",
            after("available", true).policy(|policy| policy.stop_old_writer = false),
            "refuse: former-runs",
        ),
        ("it is stopping", after("stopping", true), "note busy-prod-leads-1-stopping"),
        ("it is off: its subnet is given back", after("stopped", true), "note given-back, subnet-1 gets acl-usual"),
        (
            "then the roles are kept and the stack is rendered",
            after("stopped", false),
            "note render, roles 2, render anew, forget",
        ),
        ("which is all", kept(after("stopped", false)), "steady"),
        (
            "without a network ACL it is stopped, too",
            kept(after("available", false)),
            "note former-prod-leads-1, stop prod-leads-1",
        ),
        ("not in every look", once(kept(after("available", false))), "steady"),
        (
            "nor in every pass",
            once(kept(after("available", false))).but(|seen| seen.waiting.as_mut().unwrap().since_ms -= 590_000),
            "steady",
        ),
        (
            "one whose answer is that it writes is no second writer",
            once(kept(after("available", false).sql("prod-leads-1", writer(900)))),
            "steady",
        ),
    ]);
}

#[test]
fn what_is_under_way_for_too_long() {
    let modifying = |ms| leads().status("prod-leads-2", "modifying").waits("busy-prod-leads-2-modifying", ms);
    check(&[
        ("since when is noted", leads().status("prod-leads-2", "modifying"), "note busy-prod-leads-2-modifying"),
        ("it has its time", modifying(1_799_000), "wait: stuck"),
        ("and no more", modifying(1_800_000), "refuse: stuck"),
        ("the policy's", modifying(60_000).policy(|policy| policy.stuck_after_s = 60), "refuse: stuck"),
        (
            "another status is another wait",
            modifying(1_800_000).status("prod-leads-2", "upgrading"),
            "note busy-prod-leads-2-upgrading",
        ),
        ("it is over", modifying(1_800_000).status("prod-leads-2", "available"), "forget"),
        ("a backup may take long", leads().status("prod-leads-2", "backing-up"), "steady"),
        ("a DB cluster, too", carts().cluster(|it| it.status = "upgrading".into()), "note busy-prod-carts-upgrading"),
        (
            "a note that nobody confirmed for long is of another time",
            modifying(1_800_000).but(|seen| seen.waiting.as_mut().unwrap().confirmed_ms -= 300_001),
            "note busy-prod-leads-2-modifying",
        ),
        (
            "one that is a minute old is confirmed",
            modifying(1_800_000).but(|seen| seen.waiting.as_mut().unwrap().confirmed_ms -= 60_000),
            "note busy-prod-leads-2-modifying",
        ),
    ]);
}

/// Since when a wait is noted, by the note that this look makes.
fn noted_since(seen: &Observed) -> u64 {
    match decide(seen) {
        Decision::Act(steps) => match steps.first() {
            Some(Step::Note(waiting)) => waiting.since_ms,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn since_when_something_is_waited_for() {
    let confirmed = |ago: u64| {
        let seen = leads().status("prod-leads-2", "modifying").waits("busy-prod-leads-2-modifying", 900_000);
        seen.but(|seen| seen.waiting.as_mut().unwrap().confirmed_ms = NOW - ago)
    };
    assert_eq!(noted_since(&confirmed(31_000)), NOW - 900_000, "confirmed, since then");
    assert_eq!(noted_since(&confirmed(300_000)), NOW - 900_000, "at the limit");
    assert_eq!(noted_since(&confirmed(300_001)), NOW, "nobody confirmed it: another time");
    let silent = |answered: Option<u64>| {
        let seen = carts().sql("prod-carts-1", silent()).waits("silent", 200_000);
        seen.but(|seen| (seen.answered_ms, seen.silent_since_ms) = (answered, Some(NOW - 9_000)))
    };
    check(&[("it never answered since", silent(Some(NOW - 200_000)), "wait: not-suspected")]);
    assert_eq!(noted_since(&silent(Some(NOW - 100_000))), NOW - 9_000, "it answered since: this silence is another");
}

#[test]
fn the_first_writer_of_rds() {
    let new = |seen: Observed| seen.but(|seen| seen.state.writer = None);
    check(&[
        ("the one that replicates from nobody", new(leads()), "adopt prod-leads-1"),
        ("not before it answers", new(leads().sql("prod-leads-1", silent())), "wait: not-adopted"),
        (
            "not one of two",
            new(leads().of("prod-leads-2", |it| it.source = None).sql("prod-leads-2", writer(1))),
            "wait: not-adopted",
        ),
        (
            "not a replica of another Region",
            new(leads().of("prod-leads-1", |it| it.source = Some("arn:aws:rds:eu-central-1:1:db:x".into()))),
            "wait: not-adopted",
        ),
    ]);
}
