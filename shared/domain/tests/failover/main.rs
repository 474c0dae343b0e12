//! The rules of a change of writer, each on both sides of its limit: a row is
//! a rule in words, the look that tests it, the whole answer.

mod kit;

use domain::failover::{Host, Lease, Observed, Reason, Seen, Sql, Step, prove, undo};
use domain::{decision::Decision, failover::decide, lsn::Lsn};
use kit::*;
use std::time::Duration;

fn check(table: &[(&str, Observed, &str)]) {
    for (rule, seen, expected) in table {
        assert_eq!(short(seen), *expected, "{rule}");
    }
}

const BEGIN: &str = "begin 6, freeze i-b, freeze i-c";

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
    check(&[
        ("a crashed PostgreSQL may restart by itself", refused(4.9), "wait: local-restart"),
        ("not for ever", refused(5.0), BEGIN),
        ("not on a host that is being stopped", refused(4.9).host("i-a", Host::Stopping), BEGIN),
        (
            "nothing before the records exist",
            writer_dead().with(|seen| seen.records = Seen::Known(Default::default())),
            "wait: not-open-yet",
        ),
        (
            "Route 53 down holds nothing up",
            writer_dead().with(|seen| seen.records = Seen::Unavailable("503".to_owned())),
            BEGIN,
        ),
        (
            "not within the cool-down",
            writer_dead().with(|seen| seen.since_change = Some(Duration::from_millis(59_999))),
            "refuse: cool-down",
        ),
        ("after it", writer_dead().with(|seen| seen.since_change = Some(Duration::from_secs(60))), BEGIN),
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
fn i5_evidence_by_stopping() {
    let asynchronous = || writer_dead().asynchronous().last_lsn(900);
    let changing = || asynchronous().changing().last_lsn(900);
    check(&[
        (
            "stopped is seen without waiting for probes",
            healthy().sql("i-a", Sql::Refused).host("i-a", Host::Stopped),
            BEGIN,
        ),
        (
            "stopping is not stopped",
            healthy().sql("i-a", Sql::Refused).host("i-a", Host::Stopping),
            "wait: not-suspected",
        ),
        ("asynchronous: nothing is frozen before the old writer is off", asynchronous(), "begin 6"),
        ("asynchronous: it is stopped first", changing(), "stop i-a"),
        ("and waited for", changing().host("i-a", Host::Stopping), "wait: awaiting-stop"),
        ("then the standbys are frozen", changing().host("i-a", Host::Stopped), "freeze i-b, freeze i-c"),
        (
            "then one is promoted",
            changing().host("i-a", Host::Stopped).sql("i-b", frozen(900)).sql("i-c", frozen(880)),
            "promote i-b",
        ),
        ("an id that EC2 does not know proves nothing", changing().host("i-a", Host::Missing), "refuse: no-evidence"),
        (
            "nor does an answer that is not understood",
            changing().host("i-a", Host::Unknown("?".to_owned())),
            "refuse: no-evidence",
        ),
    ]);
}

#[test]
fn i5_evidence_by_freezing() {
    let proof = |seen: &Observed| prove(seen, "i-a").map(|evidence| evidence.to_string());
    let both = frozen_for_takeover();
    assert!(proof(&both).is_some_and(|text| text.contains("2 of 2")), "{:?}", proof(&both));
    assert_eq!(proof(&both.clone().sql("i-c", silent())), None, "ANY 1 (2): one frozen leaves one to acknowledge");
    assert_eq!(proof(&both.clone().sql("i-c", cut(880, "i-a"))), None, "a receiver that is gone may come back");
    let two_of_two = both.clone().sql("i-c", silent()).with(|seen| seen.state.synchronous.required = 2);
    assert!(proof(&two_of_two).is_some(), "ANY 2 (2): one frozen leaves too few");
    let differs = both.clone().with(|seen| {
        if let Some(suspicion) = &mut seen.suspicion {
            suspicion.synchronous_setting = Some(String::new());
        }
    });
    assert_eq!(proof(&differs), None, "the writer's setting was changed by hand: nothing follows");
    let same = both.with(|seen| {
        if let Some(suspicion) = &mut seen.suspicion {
            suspicion.synchronous_setting = Some("ANY 1 (orders_b,orders_c)".to_owned());
        }
    });
    assert!(proof(&same).is_some(), "the same setting in other letters");
    check(&[("then it is stopped instead", differs.changing(), "stop i-a")]);
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
    check(&[
        ("ANY 1 (2): both must be seen", writer_dead().sql("i-c", silent()), "refuse: quorum-missing"),
        (
            "also when the writer is off",
            writer_dead().sql("i-c", silent()).host("i-a", Host::Stopped),
            "refuse: quorum-missing",
        ),
        (
            "ANY 2 (2): one is enough",
            writer_dead().sql("i-c", silent()).with(|seen| seen.state.synchronous.required = 2),
            "begin 6, freeze i-b",
        ),
        ("nobody answers", writer_dead().sql("i-b", silent()).sql("i-c", silent()), "refuse: no-standby-answers"),
    ]);
}

#[test]
fn i11_order_after_promotion() {
    let moved = |seen: Observed| {
        seen.with(|seen| {
            seen.records = Seen::Known(domain::records::RecordsSeen {
                writer: vec![address("i-b")],
                epoch: Some(7),
                reader: vec![address("i-c")],
                ..Default::default()
            });
        })
    };
    let repaired = |seen: Observed| {
        seen.with(|seen| {
            seen.state.synchronous.names = vec!["orders_c".to_owned()];
            for member in seen.members.iter_mut().filter(|member| member.card.id == "i-b") {
                if let Sql::Writer(answer) = &mut member.sql {
                    answer.synchronous_setting = "ANY 1 (\"orders_c\")".to_owned();
                    answer.slots = vec!["orders_c".to_owned()];
                }
            }
        })
    };
    let new_silent = |ms: u64| {
        promoted().sql("i-b", silent()).with(|seen| {
            if let Some(change) = &mut seen.state.change {
                change.new_silent_since_ms = Some(NOW - ms);
            }
        })
    };
    let follows = |seen: Observed| seen.sql("i-c", streaming(910, "i-b", 0.0));
    let record = "record 10.0.1.10/6 to 10.0.2.10/7";
    check(&[
        (
            "everything, in order",
            promoted(),
            &format!(
                "wait for [ANY 1 (\"orders_c\")], slots orders_c, {record}, i-c follows 10.0.2.10, stop i-a, readers 10.0.3.10"
            ),
        ),
        (
            "a promotion that nobody noted is proven first",
            promoted().with(|seen| {
                if let Some(change) = &mut seen.state.change {
                    change.promoted = None;
                }
            }),
            "prove i-b",
        ),
        (
            "cut before the record",
            repaired(promoted()),
            &format!("{record}, i-c follows 10.0.2.10, stop i-a, readers 10.0.3.10"),
        ),
        ("cut before the others follow", moved(repaired(promoted())), "i-c follows 10.0.2.10, stop i-a"),
        ("cut before the old host is stopped", follows(moved(repaired(promoted()))), "stop i-a"),
        ("then the page", follows(moved(repaired(promoted()))).host("i-a", Host::Stopping), "finish i-b"),
        (
            "Route 53 down: the rest is done",
            repaired(promoted()).with(|seen| seen.records = Seen::Unavailable("503".to_owned())),
            "i-c follows 10.0.2.10, stop i-a",
        ),
        (
            "then a person is told",
            follows(repaired(promoted()))
                .host("i-a", Host::Stopping)
                .with(|seen| seen.records = Seen::Unavailable("503".to_owned())),
            "refuse: record-waits",
        ),
        (
            "a record of a later epoch is never touched, and holds up nothing else",
            repaired(promoted()).with(|seen| {
                if let Seen::Known(records) = &mut seen.records {
                    records.epoch = Some(8);
                }
            }),
            "i-c follows 10.0.2.10, stop i-a, readers 10.0.3.10",
        ),
        (
            "then a person is told of it",
            follows(repaired(promoted())).host("i-a", Host::Stopping).with(|seen| {
                if let Seen::Known(records) = &mut seen.records {
                    records.epoch = Some(8);
                    records.reader = vec![address("i-c")];
                }
            }),
            "refuse: record-not-ours",
        ),
        (
            "a standby that misses one look stays in the set; readers get the writer",
            promoted().sql("i-c", silent()),
            &format!("wait for [ANY 1 (\"orders_c\")], {record}, stop i-a, readers 10.0.2.10"),
        ),
        (
            "one whose host is off does not: commits wait for none",
            promoted().sql("i-c", silent()).host("i-c", Host::Stopped),
            &format!("wait for [], {record}, stop i-a, readers 10.0.2.10"),
        ),
        (
            "what was published stays, whoever answers",
            repaired(promoted()).sql("i-c", silent()).host("i-c", Host::Stopped),
            &format!("{record}, stop i-a, readers 10.0.2.10"),
        ),
        ("a new writer that misses one look is waited for", promoted().sql("i-b", silent()), "silence true"),
        ("for a while", new_silent(9_999), "wait: new-writer-silent"),
        ("then it is replaced by the same rules as any other", new_silent(10_000), "finish i-b"),
        (
            "when it answers again the count begins anew",
            repaired(new_silent(5_000).sql("i-b", writer(910, 2))),
            &format!("silence false, {record}, i-c follows 10.0.2.10, stop i-a, readers 10.0.3.10"),
        ),
    ]);
}

#[test]
fn i5_a_setting_changed_by_hand_is_not_forgotten_by_the_next_wake_up() {
    let noted = |seen: Observed| {
        seen.with(|seen| {
            seen.suspicion = None;
            if let Some(change) = &mut seen.state.change {
                change.synchronous_setting = Some(String::new());
                change.last_writer_lsn = Some(Lsn(900));
            }
        })
    };
    let off = noted(frozen_for_takeover()).host("i-a", Host::Stopped);
    check(&[
        ("frozen standbys prove nothing", noted(frozen_for_takeover()), "stop i-a"),
        ("stopping proves nothing", noted(frozen_for_takeover()).host("i-a", Host::Stopping), "wait: awaiting-stop"),
        ("stopped does", off.clone(), "promote i-b"),
        ("and what is lost counts", off.last_lsn(901 + 1024 * 1024), "refuse: would-lose"),
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
        (
            "until its instance is off",
            silent_b.clone().host("i-b", Host::Stopped).with(|seen| seen.state.synchronous.required = 2),
            "promote i-c",
        ),
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
        ("another member accepts writes", healthy().sql("i-c", writer(700, 1)), "refuse: two-writers"),
        (
            "the named writer is a standby",
            healthy().sql("i-a", streaming(900, "i-b", 0.0)),
            "refuse: writer-in-recovery",
        ),
        (
            "an old writer that is still up while the change is finished is stopped",
            promoted().sql("i-a", writer(950, 1)),
            "wait for [ANY 1 (\"orders_c\")], slots orders_c, record 10.0.1.10/6 to 10.0.2.10/7, i-c follows 10.0.2.10, stop i-a, readers 10.0.3.10",
        ),
    ]);
}

#[test]
fn the_page_says_what_was_seen_done_and_lost() {
    let mut seen = promoted().host("i-a", Host::Stopping).sql("i-c", streaming(910, "i-b", 0.0)).with(|seen| {
        seen.state.synchronous.names = vec!["orders_c".to_owned()];
        seen.records = Seen::Known(domain::records::RecordsSeen {
            writer: vec![address("i-b")],
            epoch: Some(7),
            reader: vec![address("i-c")],
            ..Default::default()
        });
    });
    if let Sql::Writer(answer) = &mut seen.members[1].sql {
        answer.synchronous_setting = "ANY 1 (\"orders_c\")".to_owned();
    }
    if let Some(change) = &mut seen.state.change {
        change.record_moved_at_ms = Some(NOW + 800);
    }
    let Decision::Act(steps) = decide(&seen) else { panic!("{}", short(&seen)) };
    let [Step::Finish { ledger, page, .. }] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!(page.subject, "P1 orders: writer moved to i-b (eu-west-1b), 4.1 s after it fell silent");
    for line in [
        "Seen    i-a silent",
        "Sure    frozen",
        "Done    promoted i-b at 0/389, timeline 2, epoch 7, 03:12:10.0Z; record orders-rw.db.internal moved 03:12:10.8Z; i-c follows",
        "Lost    nothing that was acknowledged",
        "Took    found down in 3.2 s (suspicion), promoted in 0.1 s, record moved in 0.8 s",
        "Now     one standby left; commits wait for 1 of 1. Old writer i-a: EC2 says stopping; it will not start as writer again",
    ] {
        assert!(page.text.contains(line), "{line}\n---\n{}", page.text);
    }
    assert_eq!((ledger.rto_ms, ledger.rpo_bytes, ledger.timeline, ledger.epoch), (Some(4_100), Some(0), [1, 2], 7));
}
