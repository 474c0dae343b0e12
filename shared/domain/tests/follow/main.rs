//! What Understudy does after Patroni: each rule on both sides of its limit.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]

mod kit;
mod loss;
mod pages;
mod requests;

use domain::{
    decision::Decision,
    failover::{Host, Lease, Seen, Sql},
    follow::{APART, Led, Reason, Step, Waiting, decide},
    lsn::Lsn,
    state::{Change, ChangeKind, Pause, Promoted, Synchronous},
};
use kit::{Chain, NOW, PATIENCE, account, address, dead, moved, silent, standby, well, writer};
use std::time::Duration;

fn one(led: Led) -> Decision<Step, Reason> {
    decide(&[led])
}

/// What is decided, in words.
fn told(decision: &Decision<Step, Reason>) -> String {
    match decision {
        Decision::Steady => "steady".to_owned(),
        Decision::Wait(reason) => format!("wait: {reason}"),
        Decision::Refuse(reason) => format!("page: {reason}"),
        Decision::Act(steps) => steps.iter().map(Step::to_string).collect::<Vec<_>>().join("; "),
    }
}

fn begun(led: Led) -> Change {
    match one(led) {
        Decision::Act(steps) => match steps.into_iter().next() {
            Some(Step::Begin { epoch: 7, change }) => *change,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// With the change open and the lease ours, as after `Begin` and the move.
fn open(led: Led, moved_to: Option<&str>) -> Led {
    let change = begun(led.clone());
    led.but(|led| {
        led.seen.state.epoch = 8;
        led.seen.state.change = Some(change);
        led.seen.lease = Lease::Mine;
        led.account = Seen::NotAsked;
        if let (Some(id), Seen::Known(records)) = (moved_to, &mut led.seen.records) {
            (records.writer, records.epoch) = (vec![address(id)], Some(8));
        }
    })
}

#[test]
fn what_is_done_and_what_is_waited_for() {
    let follow =
        "take the lease and advance epoch 7 to 8: i-a leads no more; move the writer record to 10.0.2.10, epoch 8";
    let unavailable = |led: &mut Led| led.account = Seen::Unavailable("the port refuses".to_owned());
    let table: Vec<(&str, Led, &str)> = vec![
        ("all is well", well(), "steady"),
        (
            "another pass is at it",
            well().but(|l| l.seen.lease = Lease::Other(Duration::from_secs(4))),
            "wait: another pass holds the lease, for 4.0 s at most",
        ),
        (
            "nobody on record, one leads",
            well().but(|l| (l.seen.state.writer, l.seen.state.epoch) = (None, 0)),
            "name i-a writer, epoch 1",
        ),
        ("nobody on record, of an older stack", well().but(|l| l.seen.state.writer = None), "name i-a writer, epoch 8"),
        (
            "nobody on record, nobody leads",
            well()
                .but(|l| {
                    l.seen.state.writer = None;
                    l.account = Seen::Known(account(None));
                })
                .sql("i-a", standby("i-b")),
            "wait: no member has led this cluster yet",
        ),
        (
            "nobody on record, Patroni does not confirm, nobody follows",
            well()
                .but(|l| {
                    l.seen.state.writer = None;
                    unavailable(l);
                })
                .sql("i-b", silent())
                .sql("i-c", Sql::Refused),
            "wait: no member has led this cluster yet",
        ),
        ("Patroni made another leader", moved(), follow),
        ("and the old one answers as its standby", moved().sql("i-a", standby("i-b")), follow),
        ("no Patroni answers, and everybody who does follows it", moved().but(unavailable), follow),
        (
            "no Patroni answers, and nobody confirms",
            moved().but(unavailable).sql("i-c", silent()),
            "note since when: leader-unconfirmed",
        ),
        (
            "no Patroni answers, and one follows another",
            moved().but(unavailable).sql("i-c", standby("i-a")),
            "note since when: leader-unconfirmed",
        ),
        ("nobody leads", dead(), "note since when: no-leader"),
        (
            "the two differ",
            moved().but(|l| l.account = Seen::Known(account(Some("i-c")))),
            "note since when: leader-differs",
        ),
        (
            "Patroni names nobody, one writes",
            moved().but(|l| l.account = Seen::Known(account(None))),
            "note since when: leader-differs",
        ),
        (
            "Patroni names one that is not reached",
            dead().but(|l| l.account = Seen::Known(account(Some("i-a")))),
            "note since when: leader-unreached",
        ),
        ("two write, in one look", well().sql("i-b", writer(5, "", &[])), "look again in 1 s"),
        ("what was waited for has come", well().waits("no-leader", NOW - 5_000), "forget what was waited for"),
        ("a record that names another", well().but(|l| records(l, &["i-c"], Some(7))), "take the lease of epoch 7"),
        (
            "the same, with the lease",
            well().but(|l| {
                records(l, &["i-c"], Some(6));
                l.seen.lease = Lease::Mine;
            }),
            "move the writer record to 10.0.1.10, epoch 7",
        ),
        (
            "a record of a later epoch",
            well().but(|l| records(l, &["i-c"], Some(9))),
            "page: the writer record holds [10.0.3.10] with epoch 9, not what epoch 7 may replace",
        ),
        ("no record: deploy-cluster makes it", well().but(|l| records(l, &[], None)), "steady"),
        ("Route 53 is silent", well().but(|l| l.seen.records = Seen::Unavailable("x".into())), "steady"),
        (
            "commits wait for another",
            well().but(|l| l.seen.lease = Lease::Mine).sql("i-a", writer(4, "shop_c", &["i-c"])),
            "publish that commits wait for ANY 1 (\"shop_c\")",
        ),
        (
            "a pause that is over",
            well().but(|l| {
                pause(l, NOW);
                l.seen.lease = Lease::Mine;
            }),
            "end the pause, which is over",
        ),
        ("a pause that lasts", well().but(|l| pause(l, NOW + 1)), "steady"),
        ("a pause that was ended", well().but(|l| pause(l, 0)), "steady"),
        ("a pause hinders no following", moved().but(|l| pause(l, NOW + 60_000)), follow),
    ];
    for (what, led, expected) in table {
        assert_eq!(told(&one(led)), expected, "{what}");
    }
}

fn records(led: &mut Led, ids: &[&str], epoch: Option<u64>) {
    let Seen::Known(records) = &mut led.seen.records else { panic!("no records") };
    (records.writer, records.epoch) = (ids.iter().map(|id| address(id)).collect(), epoch);
}

fn pause(led: &mut Led, until_ms: u64) {
    led.seen.state.pause = Some(Pause { until_ms, reason: "kernel".to_owned() });
}

/// Patroni gets its own time; then a person is told, and the time outlives the pass.
#[test]
fn waiting_has_an_end() {
    let ms = u64::try_from(PATIENCE.as_millis()).unwrap();
    let differ = || moved().but(|led| led.account = Seen::Known(account(Some("i-c"))));
    let table = [
        ("no-leader", dead()),
        ("leader-differs", differ()),
        ("leader-unreached", dead().but(|led| led.account = Seen::Known(account(Some("i-a"))))),
        ("leader-unconfirmed", moved().sql("i-c", silent()).but(|led| led.account = Seen::Unavailable("x".into()))),
    ];
    for (kind, led) in table {
        let Decision::Wait(reason) = one(led.clone().waits(kind, NOW - ms + 1)) else { panic!("{kind}: no wait") };
        assert_eq!(reason.kind(), kind);
        assert!(reason.to_string().ends_with("; its own time for that runs for 0.0 s more"), "{reason}");
        let Decision::Refuse(reason) = one(led.clone().waits(kind, NOW - ms)) else { panic!("{kind}: no page") };
        assert_eq!(reason.kind(), kind);
        assert!(!reason.to_string().contains("its own time"), "{reason}");
        // Something else was waited for: its time says nothing about this.
        assert!(matches!(one(led.waits("other", 0)), Decision::Act(_)), "{kind}");
    }
}

/// No pass runs when all is well again: a note may be left of an earlier time.
#[test]
fn a_note_of_an_earlier_wait_is_not_this_one() {
    let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap();
    let noted = |confirmed_ms: u64, answered_ms: Option<u64>| {
        let led = dead().but(|led| {
            led.answered_ms = answered_ms;
            led.waiting =
                Some(Waiting { kind: "no-leader".to_owned(), since_ms: NOW - 600_000, confirmed_ms, about: None });
        });
        match one(led) {
            Decision::Act(steps) => match steps.as_slice() {
                [Step::Note(Waiting { since_ms, confirmed_ms: NOW, .. })] => Some(*since_ms),
                other => panic!("{other:?}"),
            },
            Decision::Refuse(_) => None,
            other => panic!("{other:?}"),
        }
    };
    let (half, twice) = (ms(PATIENCE / 2), ms(PATIENCE * 2));
    assert_eq!(noted(NOW - half, None), None, "a page");
    assert_eq!(noted(NOW - half - 1, None), Some(NOW - 600_000), "confirmed anew");
    assert_eq!(noted(NOW - twice, None), Some(NOW - 600_000));
    assert_eq!(noted(NOW - twice - 1, None), Some(NOW - 27_000), "begun anew");
    // The writer answered since.
    assert_eq!(noted(NOW, Some(NOW - 600_000)), None);
    assert_eq!(noted(NOW, Some(NOW - 599_999)), Some(NOW - 27_000), "begun anew");
}

#[test]
fn the_time_without_a_leader_counts_from_the_silence() {
    let noted = |led: Led| match one(led) {
        Decision::Act(steps) => match steps.as_slice() {
            [Step::Note(Waiting { kind, since_ms, confirmed_ms: NOW, about: None })] => (kind.clone(), *since_ms),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(noted(dead()), ("no-leader".to_owned(), NOW - 27_000));
    // As this process saw it first.
    assert_eq!(noted(dead().but(|led| led.seen.silent_since_ms = Some(NOW - 30_000))).1, NOW - 30_000);
    // Nobody told since when.
    assert_eq!(noted(dead().but(|led| led.seen.suspicion = None)).1, NOW);
    assert_eq!(noted(moved().but(|led| led.account = Seen::Known(account(None)))).1, NOW);
}

/// The answers of one look are up to a probe's time apart.
#[test]
fn two_writers_are_told_after_two_looks_apart_and_touched_never() {
    let two = || well().sql("i-b", writer(5, "", &[]));
    let looks = |span| decide(&[two(), two().later(span)]);
    assert_eq!(told(&looks(APART - Duration::from_millis(1))), "look again in 1 s");
    assert_eq!(told(&looks(APART)), "page: i-a and i-b both accept writes, in two looks");
    assert_eq!(told(&decide(&[well(), two().later(APART)])), "look again in 1 s", "one look of two");
    assert_eq!(told(&decide(&[two(), well().later(APART)])), "steady", "it passed");
    let nobody_on_record = two().but(|led| led.seen.state.writer = None);
    assert!(matches!(decide(&[nobody_on_record.clone(), nobody_on_record.later(APART)]), Decision::Refuse(_)));
}

#[test]
fn a_change_that_was_begun_is_finished_by_any_pass() {
    let steps = |led: Led| told(&one(led));
    let not_held = open(moved(), None).but(|led| led.seen.lease = Lease::Free);
    assert_eq!(steps(not_held), "take the lease of epoch 8");
    // Cut before the move.
    let left = "move the writer record to 10.0.2.10, epoch 8; let the reader record name 10.0.3.10; \
                publish that commits wait for ANY 1 (\"shop_c\")";
    assert_eq!(steps(open(moved(), None)), left);
    assert_eq!(
        steps(open(moved(), Some("i-b"))),
        "let the reader record name 10.0.3.10; publish that commits wait for ANY 1 (\"shop_c\")"
    );
    let done = || {
        open(moved(), Some("i-b")).but(|led| {
            let Seen::Known(records) = &mut led.seen.records else { panic!("no records") };
            records.reader = vec![address("i-c")];
            led.seen.state.synchronous = Synchronous { required: 1, names: vec!["shop_c".to_owned()] };
        })
    };
    assert_eq!(steps(done()), "write the ledger, send the page, name i-b writer");
    // The old one comes back as a second writer, or Patroni is gone: this change ends all the same.
    assert_eq!(steps(done().sql("i-a", writer(4, "", &[]))), "write the ledger, send the page, name i-b writer");
    // The new one is lost again: this change ends, the next pass looks who leads.
    for lost in [silent(), Sql::Refused, standby("i-c")] {
        assert_eq!(steps(open(moved(), None).sql("i-b", lost)), "write the ledger, send the page, name i-b writer");
    }
    // Its record waits.
    let waits = done().but(|led| led.seen.records = Seen::Unavailable("throttled".to_owned()));
    assert_eq!(steps(waits), "page: i-b (10.0.2.10) writes, and its record waits for Route 53: throttled");
    let foreign = done().but(|led| records(led, &["i-c"], Some(9)));
    assert_eq!(steps(foreign), "page: the writer record holds [10.0.3.10] with epoch 9, not what epoch 8 may replace");
    // A change of another kind is none of Patroni's.
    let strange = well().but(|led| {
        led.seen.lease = Lease::Mine;
        led.seen.state.change = Some(Change { from: "i-a".to_owned(), ..Change::default() });
    });
    assert_eq!(steps(strange), "give up a change that names no new writer");
}

#[test]
fn a_missing_record_is_made_by_a_change_and_left_to_deploy_cluster_before_the_first() {
    let missing = |led: &mut Led| records(led, &[], None);
    assert!(told(&one(moved().but(missing))).ends_with("move the writer record to 10.0.2.10, epoch 8"));
    let first = moved().but(missing).but(|led| led.seen.state.epoch = 0);
    assert!(!told(&one(first)).contains("move the writer record"));
}

#[test]
fn the_change_says_what_was_seen() {
    let change = begun(moved());
    assert_eq!((change.kind, change.from.as_str(), change.to.as_deref()), (ChangeKind::Followed, "i-a", None));
    assert_eq!(change.silent_since_ms, NOW - 27_000);
    let promoted = Promoted { member: "i-b".to_owned(), at: Lsn(900), timeline: [4, 5], at_ms: NOW };
    assert_eq!(change.promoted, Some(promoted));
    assert_eq!(
        change.sure.as_deref(),
        Some(
            "Patroni on shop_b says that shop_b leads; its history: timeline 4 ended at 03:12:08.0Z at 0/384 by shop_b; \
             PostgreSQL on shop_b is out of recovery on timeline 5"
        )
    );
    assert_eq!(
        change.seen,
        [
            "i-a (eu-west-1a), the writer of record, is silent (no answer within 600 ms) since 03:11:43.0Z; EC2 says running",
            "27 probes of it failed in a row",
        ]
    );
    // A member that was replaced meanwhile, and a look that no suspicion woke.
    let change = begun(moved().but(|led| {
        led.seen.state.writer = Some("i-old".to_owned());
        led.seen.suspicion = None;
    }));
    assert_eq!(change.seen, ["i-old, the writer of record, is no member any more"]);
    assert_eq!(change.silent_since_ms, NOW);
}

#[test]
fn nothing_here_can_touch_a_server() {
    // Every step there is, by name; a new one must be added here, and thought about.
    let touches = |step: &Step| match step {
        Step::LookAgain
        | Step::Note(_)
        | Step::Forget
        | Step::Adopt { .. }
        | Step::Begin { .. }
        | Step::Hold { .. }
        | Step::Publish(_)
        | Step::EndPause { .. }
        | Step::MoveWriterRecord { .. }
        | Step::SetReaderRecord(_)
        | Step::Abandon
        | Step::Finish { .. } => false,
    };
    for led in [well(), moved(), dead(), open(moved(), None), well().host("i-a", Host::Stopped)] {
        if let Decision::Act(steps) = one(led) {
            assert!(!steps.iter().any(touches));
        }
    }
}
