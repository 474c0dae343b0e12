//! The rules of a change of writer, each on both sides of its limit: a row is
//! a rule in words, the look that tests it, the whole answer.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod evidence;
mod finish;
mod kit;
mod ledger;
mod person;
mod standbys;

use domain::{
    failover::{Host, Lease, Observed, Reason, Seen, Sql, Step, undo},
    lsn::Lsn,
    state::GuardSeen,
};
use kit::*;
use std::time::Duration;

/// Asserts every row of a table: rule, look, whole answer.
pub(crate) fn check(table: &[(&str, Observed, &str)]) {
    for (rule, seen, expected) in table {
        assert_eq!(short(seen), *expected, "{rule}");
    }
}

/// How a change begins.
pub(crate) const BEGIN: &str = "begin 6, freeze i-b, freeze i-c";

#[test]
fn i3_two_witnesses() {
    let receivers = |seconds: f64| {
        writer_dead().sql("i-b", streaming(900, "i-a", seconds)).sql("i-c", streaming(880, "i-a", seconds))
    };
    check(&[
        ("all well, nothing", healthy(), "steady"),
        ("dead by two witnesses, a change begins", writer_dead(), BEGIN),
        ("two failed probes are too few", writer_dead().suspected(2, 2.2), "wait: not-suspected"),
        ("no suspicion, no change", writer_dead().with(|seen| seen.suspicion = None), "wait: not-suspected"),
        (
            "a suspicion of another member does not count",
            writer_dead().with(|seen| {
                if let Some(suspicion) = &mut seen.suspicion {
                    suspicion.member = "i-b".to_owned();
                }
            }),
            "wait: not-suspected",
        ),
        ("receivers silent for exactly the limit are a witness", receivers(3.0), BEGIN),
        ("a moment less is not", receivers(2.999), "wait: still-streaming"),
        (
            "one standby that hears the writer outweighs all probes",
            writer_dead().sql("i-c", streaming(880, "i-a", 0.2)),
            "wait: still-streaming",
        ),
        (
            "for longer, a person is told that the probe path is broken",
            writer_dead().suspected(12, 10.1).sql("i-c", streaming(880, "i-a", 0.2)),
            "refuse: probe-path-broken",
        ),
        (
            "a standby that does not answer may still hear it",
            writer_dead().suspected(5, 5.9).sql("i-c", silent()),
            "wait: witness-silent",
        ),
        ("for a while", writer_dead().suspected(6, 6.0).sql("i-c", silent()).required(2), "begin 6, freeze i-b"),
        (
            "not one that is off",
            writer_dead().sql("i-c", silent()).host("i-c", Host::Stopped).required(2),
            "begin 6, freeze i-b",
        ),
        (
            "receivers that are gone are a witness",
            writer_dead().sql("i-b", cut(900, "i-a")).sql("i-c", cut(880, "i-a")),
            BEGIN,
        ),
        ("too many clients is alive", writer_dead().sql("i-a", Sql::Alive("53300".to_owned())), "wait: alive-but-busy"),
        ("it answers this look, so it is well", writer_dead().sql("i-a", writer(950, 1)), "steady"),
    ]);
}

#[test]
fn i4_damping() {
    let refused = |silent_s| writer_dead().sql("i-a", Sql::Refused).suspected(4, silent_s);
    let failed_over =
        |ago: &[u64]| writer_dead().with(|seen| seen.state.failovers_ms = ago.iter().map(|ago| NOW - ago).collect());
    check(&[
        ("a crashed PostgreSQL may restart by itself", refused(4.9), "wait: local-restart"),
        ("not for ever", refused(5.0), BEGIN),
        ("not on a host that is being stopped", refused(4.9).host("i-a", Host::Stopping), BEGIN),
        (
            "nothing before the records exist",
            writer_dead().with(|seen| {
                (seen.records, seen.state.epoch) = (Seen::Known(Default::default()), 1);
            }),
            "wait: not-open-yet",
        ),
        (
            "a record that somebody deleted since is no reason to wait",
            writer_dead().with(|seen| seen.records = Seen::Known(Default::default())),
            BEGIN,
        ),
        (
            "Route 53 down holds nothing up",
            writer_dead().with(|seen| seen.records = Seen::Unavailable("503".to_owned())),
            BEGIN,
        ),
        ("not within the cool-down", failed_over(&[59_999]), "refuse: cool-down"),
        ("after it", failed_over(&[60_000]), BEGIN),
        ("two failovers within the hour, and a third", failed_over(&[3_599_999, 100_000]), BEGIN),
        ("but no fourth", failed_over(&[3_599_999, 200_000, 100_000]), "refuse: too-many"),
        ("what is an hour old is forgotten", failed_over(&[3_600_000, 200_000, 100_000]), BEGIN),
    ]);
}

#[test]
fn i1_one_decider() {
    check(&[
        (
            "another pass acts",
            writer_dead().with(|seen| seen.lease = Lease::Other(Duration::from_secs(9))),
            "wait: lease-held",
        ),
        (
            "a change without a holder is taken over",
            frozen_for_takeover().with(|seen| seen.lease = Lease::Free),
            "hold 7",
        ),
        (
            "before the first claim there is nothing to do",
            healthy().with(|seen| seen.state.writer = None),
            "wait: not-claimed",
        ),
    ]);
}

#[test]
fn i7_right_candidate() {
    let never = |seen: Observed, id: &'static str| {
        seen.with(|seen| {
            for member in &mut seen.members {
                member.card.never_promote |= member.card.id == id;
            }
        })
    };
    let tier = |seen: Observed, id: &'static str, tier| {
        seen.with(|seen| {
            for member in seen.members.iter_mut().filter(|member| member.card.id == id) {
                member.card.tier = tier;
            }
        })
    };
    let equal = || frozen_for_takeover().sql("i-c", frozen(900));
    let other_database = |sql: Sql| match sql {
        Sql::Standby(mut standby) => {
            standby.system_id = 43;
            Sql::Standby(standby)
        }
        other => other,
    };
    let replayed = |sql: Sql, lsn| match sql {
        Sql::Standby(mut standby) => {
            standby.received = Some(Lsn(0));
            standby.replayed = Some(Lsn(lsn));
            Sql::Standby(standby)
        }
        other => other,
    };
    let heard_of = |sql: Sql, timeline| match sql {
        Sql::Standby(mut standby) => {
            standby.known_timeline = timeline;
            Sql::Standby(standby)
        }
        other => other,
    };
    let older = |sql: Sql| match sql {
        Sql::Standby(mut standby) => {
            standby.timeline = 0;
            Sql::Standby(standby)
        }
        other => other,
    };
    check(&[
        ("the furthest is promoted", frozen_for_takeover(), "promote i-b"),
        ("whoever it is", frozen_for_takeover().sql("i-c", frozen(901)), "promote i-c"),
        ("among equals the lower id", equal(), "promote i-b"),
        ("but first the lower tier", tier(equal(), "i-b", 1), "promote i-c"),
        ("a tier does not outweigh log", tier(frozen_for_takeover(), "i-b", 1), "promote i-b"),
        (
            "the receive position may have fallen back: the replayed one counts",
            frozen_for_takeover().sql("i-b", replayed(frozen(0), 900)),
            "promote i-b",
        ),
        ("never one that is marked", never(equal(), "i-b"), "promote i-c"),
        ("nor another in its place that is behind it", never(frozen_for_takeover(), "i-b"), "refuse: survivor-ahead"),
        ("nobody when all are marked", never(never(equal(), "i-b"), "i-c"), "refuse: nobody-may-be-promoted"),
        (
            "no copies of different databases",
            frozen_for_takeover().sql("i-c", other_database(frozen(880))),
            "refuse: different-databases",
        ),
        ("not one on an older timeline", frozen_for_takeover().sql("i-b", older(frozen(999))), "promote i-c"),
        (
            "nobody who would take the last writer's number again",
            frozen_for_takeover().with(|seen| seen.state.timeline = 2),
            "refuse: timeline-unknown",
        ),
        (
            "what lies beyond the fork is another history",
            frozen_for_takeover().sql("i-b", heard_of(frozen(900), 2)).with(|seen| {
                (seen.state.timeline, seen.state.timeline_began) = (2, Some(Lsn(899)));
            }),
            "refuse: other-history",
        ),
        (
            "who has heard of it takes the next",
            frozen_for_takeover().with(|seen| seen.state.timeline = 2).sql("i-b", heard_of(frozen(900), 2)),
            "promote i-b",
        ),
    ]);
}

#[test]
fn i8_lag_gate() {
    let mib = 1024 * 1024;
    let behind = |bytes: u64| frozen_for_takeover().asynchronous().host("i-a", Host::Stopped).last_lsn(900 + bytes);
    check(&[
        ("asynchronous: up to the limit", behind(mib), "promote i-b"),
        ("one byte more is a person's choice", behind(mib + 1), "refuse: would-lose"),
        (
            "synchronous: what was not acknowledged is not lost",
            frozen_for_takeover().last_lsn(900 + 9 * mib),
            "promote i-b",
        ),
        (
            "an unknown position may still come from watch-clusters",
            healthy().asynchronous().sql("i-a", Sql::Refused).host("i-a", Host::Stopped),
            "wait: loss-unknown",
        ),
        ("or is a person's choice", writer_dead().asynchronous(), "refuse: loss-unknown"),
        ("it is known before anything begins", writer_dead().asynchronous().last_lsn(901 + mib), "refuse: would-lose"),
    ]);
}

#[test]
fn i9_quorum() {
    let waited = || writer_dead().suspected(6, 6.0);
    check(&[
        ("ANY 1 (2): both must be seen", waited().sql("i-c", silent()), "refuse: quorum-missing"),
        (
            "also when the writer is off",
            writer_dead().sql("i-c", silent()).host("i-a", Host::Stopped),
            "refuse: quorum-missing",
        ),
        ("ANY 2 (2): one is enough", waited().sql("i-c", silent()).required(2), "begin 6, freeze i-b"),
        (
            "a standby from before the set was made may lack what was acknowledged",
            writer_dead().with(|seen| seen.state.floor = Some(Lsn(901))),
            "refuse: below-floor",
        ),
        (
            "also when commits waited for nobody any more",
            writer_dead().asynchronous().last_lsn(900).with(|seen| {
                (seen.synchronous_required, seen.state.floor) = (1, Some(Lsn(901)));
            }),
            "refuse: below-floor",
        ),
        (
            "but not where they never shall",
            writer_dead().asynchronous().last_lsn(900).with(|seen| seen.state.floor = Some(Lsn(901))),
            BEGIN,
        ),
        ("one that reaches the floor does not", writer_dead().with(|seen| seen.state.floor = Some(Lsn(900))), BEGIN),
        ("nobody answers", waited().sql("i-b", silent()).sql("i-c", silent()), "refuse: no-standby-answers"),
    ]);
}

#[test]
fn i7_a_promotion_that_was_begun_is_nobody_elses() {
    let begun = |seen: Observed| {
        seen.with(|seen| {
            if let Some(change) = &mut seen.state.change {
                change.promoting = Some("i-b".to_owned());
            }
        })
    };
    let guarded = |seen: Observed, epoch: u64| {
        seen.sql("i-b", Sql::Refused).with(|seen| {
            let guard = GuardSeen { epoch, holds: true, timeline: 2, ..GuardSeen::default() };
            seen.members[1].guard = Some(guard);
        })
    };
    let silent_b = begun(frozen_for_takeover().host("i-a", Host::Stopped)).sql("i-b", silent());
    check(&[
        ("it is begun again", begun(frozen_for_takeover()), "promote i-b"),
        (
            "also when the old writer answers again, which can acknowledge nothing",
            begun(frozen_for_takeover().sql("i-a", writer(950, 1))),
            "promote i-b",
        ),
        ("also when another has come further", begun(frozen_for_takeover().sql("i-c", frozen(999))), "promote i-b"),
        ("while it does not say how it ended nobody is promoted", silent_b.clone(), "refuse: promotion-unknown"),
        ("or its guard holds, which no standby's does", guarded(silent_b.clone(), 7), "promoted was i-b"),
        ("in this epoch", guarded(silent_b.clone(), 6), "refuse: promotion-unknown"),
        ("or its instance is off", silent_b.clone().host("i-b", Host::Stopped).required(2), "promote i-c"),
    ]);
    assert_eq!(undo(&silent_b, &Reason::PromotionUnknown("i-b".to_owned())), [], "it may have happened");
}

#[test]
fn a_freeze_is_undone_when_the_writer_is_alive() {
    let alive = frozen_for_takeover().sql("i-a", writer(950, 1));
    check(&[
        ("the change stops", alive.clone(), "refuse: alive-after-all"),
        ("standbys found frozen beside a healthy writer are freed", healthy().sql("i-b", frozen(900)), "hold 6"),
        (
            "a record that a change could not move is moved",
            healthy().with(|seen| {
                (seen.lease, seen.state.epoch) = (Lease::Mine, 7);
                if let Seen::Known(records) = &mut seen.records {
                    records.writer = vec![address("i-c")];
                }
            }),
            "record 10.0.3.10/6 to 10.0.1.10/7",
        ),
        (
            "under the lease",
            healthy().sql("i-b", frozen(900)).with(|seen| seen.lease = Lease::Mine),
            "slots orders_b, i-b follows 10.0.1.10",
        ),
    ]);
    let steps = undo(&alive, &Reason::AliveAfterAll("i-a".to_owned()));
    assert!(
        matches!(&steps[..], [Step::Follow { standby: b, .. }, Step::Follow { standby: c, .. }, Step::Abandon { .. }]
            if b.id == "i-b" && c.id == "i-c"),
        "{steps:?}"
    );
    assert_eq!(undo(&promoted(), &Reason::NoStandbyAnswers), [], "after promotion there is no way back");
    assert_eq!(undo(&healthy(), &Reason::NoStandbyAnswers), [], "nothing to undo");
}

#[test]
fn two_writers_are_a_persons_affair() {
    check(&[
        (
            "also during a change, which never takes it for the one that it promoted",
            frozen_for_takeover().sql("i-c", writer(700, 1)),
            "refuse: two-writers",
        ),
        ("another member accepts writes", healthy().sql("i-c", writer(700, 1)), "refuse: two-writers"),
        (
            "the named writer is a standby",
            healthy().sql("i-a", streaming(900, "i-b", 0.0)),
            "refuse: writer-in-recovery",
        ),
        (
            "an old writer that is still up while the change is finished is stopped",
            promoted().sql("i-a", writer(950, 1)),
            "apply [ANY 1 (\"orders_c\")], publish [ANY 1 (\"orders_c\")] above 0/389, slots orders_c, record 10.0.1.10/6 to 10.0.2.10/7, i-c follows 10.0.2.10, stop i-a, readers 10.0.3.10",
        ),
    ]);
}
