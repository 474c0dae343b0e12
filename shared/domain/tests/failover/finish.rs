//! I11: from the promotion to the page.

use crate::{check, kit::*};
use domain::{
    decision::Decision,
    failover::{Host, Observed, Seen, Sql, Step, decide},
    lsn::Lsn,
    state::Approval,
};

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
            seen.state.floor = Some(Lsn(905));
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
                "apply [ANY 1 (\"orders_c\")], publish [ANY 1 (\"orders_c\")] above 0/389, slots orders_c, {record}, i-c follows 10.0.2.10, stop i-a, readers 10.0.3.10"
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
            &format!(
                "apply [ANY 1 (\"orders_c\")], publish [ANY 1 (\"orders_c\")] above 0/389, {record}, stop i-a, readers 10.0.2.10"
            ),
        ),
        (
            "one whose host is off does not: commits wait for none",
            promoted().sql("i-c", silent()).host("i-c", Host::Stopped),
            &format!("apply [], publish [] above 0/389, {record}, stop i-a, readers 10.0.2.10"),
        ),
        (
            "nor one that does not answer when a person approved a loss",
            promoted().sql("i-c", silent()).with(|seen| {
                if let Some(change) = &mut seen.state.change {
                    change.approval = Some(Approval { epoch: 6, data_loss_bytes: None, expires_at_ms: NOW });
                }
            }),
            &format!("apply [], publish [] above 0/389, {record}, stop i-a, readers 10.0.2.10"),
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
