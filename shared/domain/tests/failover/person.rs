//! What a person asked for: pauses (I10), approvals (I8), switchovers.

use crate::{BEGIN, check, kit::*};
use domain::{
    failover::{Host, Observed, Reason, Sql, Step, StreamSeen, explain, refusal, undo},
    lsn::Lsn,
    state::{Approval, ChangeKind, GuardSeen, Pause},
};

fn paused(seen: Observed, until_ms: u64) -> Observed {
    seen.with(|seen| seen.state.pause = Some(Pause { until_ms, reason: "kernel update".to_owned() }))
}

#[test]
fn i10_never_while_paused() {
    check(&[
        ("a dead writer stays dead", paused(writer_dead(), NOW + 1), "refuse: paused"),
        (
            "also one that EC2 reads as stopped",
            paused(writer_dead(), NOW + 1).host("i-a", Host::Stopped),
            "refuse: paused",
        ),
        ("after it there is a grace", paused(writer_dead(), NOW - 9_999), "wait: grace"),
        ("which ends", paused(writer_dead(), NOW - 10_000), BEGIN),
        ("a frozen standby stays as it is", paused(healthy().sql("i-b", frozen(900)), NOW + 1), "wait: paused"),
        ("no switchover either", paused(asked("i-b"), NOW + 1), "refuse: paused"),
        ("what was begun is finished", paused(frozen_for_takeover(), NOW + 1), "promote i-b"),
        ("a healthy cluster is not touched anyway", paused(healthy(), NOW + 1), "steady"),
    ]);
    let page = refusal(&writer_dead(), &Reason::Paused { left: std::time::Duration::ZERO, why: "x".to_owned() });
    assert!(page.text.contains(r#"--payload '{"resume":{"cluster":"orders"}}'"#), "{}", page.text);
}

#[test]
fn i10_a_full_disk_is_no_reason() {
    let full = |seen: Observed| {
        seen.with(|seen| {
            seen.members[0].guard =
                Some(GuardSeen { disk_full: true, written_at_ms: NOW - 150_000, ..GuardSeen::default() })
        })
    };
    check(&[
        (
            "the next writer would fill its own",
            full(writer_dead().sql("i-a", Sql::Refused).suspected(9, 9.0)),
            "refuse: disk-full",
        ),
        ("unless a person says so", approved(full(writer_dead()), 6, Some(0), 1), BEGIN),
        (
            "an old word is one of a host that cannot take it back",
            full(writer_dead()).with(|seen| {
                if let Some(guard) = &mut seen.members[0].guard {
                    guard.written_at_ms -= 1;
                }
            }),
            BEGIN,
        ),
        (
            "while it starts again and again",
            full(healthy().sql("i-a", Sql::Alive("57P03".to_owned()))),
            "refuse: disk-full",
        ),
        ("while it still lives, a person is told", full(healthy()), "refuse: disk-full"),
        ("an old change goes on all the same", full(frozen_for_takeover()), "promote i-b"),
    ]);
}

/// A person approved this for the next change.
fn approved(seen: Observed, epoch: u64, data_loss_bytes: Option<u64>, left_ms: i64) -> Observed {
    let expires_at_ms = NOW.saturating_add_signed(left_ms);
    seen.with(|seen| seen.state.approval = Some(Approval { epoch, data_loss_bytes, expires_at_ms }))
}

#[test]
fn i8_an_approval_opens_what_it_names_once() {
    let mib = 1024 * 1024;
    let behind = |bytes: u64| writer_dead().asynchronous().last_lsn(900 + bytes);
    let unknown = || writer_dead().asynchronous();
    let quorum = || writer_dead().suspected(6, 6.0).sql("i-c", silent());
    check(&[
        ("without one it is held", behind(2 * mib), "refuse: would-lose"),
        ("up to the bytes that it names", approved(behind(2 * mib), 6, Some(2 * mib), 1), BEGIN),
        ("one byte more is held", approved(behind(2 * mib + 1), 6, Some(2 * mib), 1), "refuse: would-lose"),
        ("for its epoch", approved(behind(2 * mib), 5, Some(2 * mib), 1), "refuse: would-lose"),
        ("until it expires", approved(behind(2 * mib), 6, Some(2 * mib), 0), "refuse: would-lose"),
        ("an unknown loss needs `any`", approved(unknown(), 6, Some(9 * mib), 1), "refuse: loss-unknown"),
        ("which opens it", approved(unknown(), 6, None, 1), BEGIN),
        (
            "a number does not open a missing quorum",
            approved(quorum().last_lsn(900), 6, Some(9 * mib), 1),
            "refuse: quorum-missing",
        ),
        ("as it does a missing quorum", approved(quorum(), 6, None, 1), "begin 6, freeze i-b"),
        (
            "and log from below the floor",
            approved(writer_dead(), 6, None, 1).with(|seen| seen.state.floor = Some(Lsn(901))),
            BEGIN,
        ),
        (
            "it never stands for evidence",
            approved(quorum(), 6, None, 1).sql("i-b", frozen(900)).changing().with(|seen| {
                let approval = seen.state.approval.take();
                if let Some(change) = &mut seen.state.change {
                    change.approval = approval;
                }
            }),
            "stop i-a",
        ),
        (
            "in a change only its own counts",
            approved(frozen_for_takeover().sql("i-c", silent()), 7, None, 1),
            "refuse: quorum-missing",
        ),
    ]);
    let Some(Step::Begin { change, .. }) = begun(&approved(unknown(), 6, None, 1)) else { panic!("no change begins") };
    assert_eq!(change.approval.map(|approval| approval.epoch), Some(6), "the change takes it with it");
}

fn begun(seen: &Observed) -> Option<Step> {
    match domain::failover::decide(seen) {
        domain::decision::Decision::Act(steps) => steps.into_iter().find(|step| matches!(step, Step::Begin { .. })),
        _ => None,
    }
}

#[test]
fn the_page_of_a_held_failover_offers_the_approval() {
    let seen = writer_dead().asynchronous().last_lsn(900 + 2 * 1024 * 1024);
    let page = refusal(&seen, &Reason::WouldLose { bytes: 2_097_152, allowed: 1_048_576 });
    let command = r#"aws lambda invoke --function-name prod-promote-replica --cli-binary-format raw-in-base64-out --payload '{"approve":{"cluster":"orders","epoch":6,"data_loss_bytes":2097152}}' /dev/stdout"#;
    assert!(page.text.contains(command), "{}", page.text);
}

/// A healthy cluster, and a person asks for a switchover.
fn asked(to: &str) -> Observed {
    healthy().with(|seen| {
        seen.switchover = Some(to.to_owned());
        if let Sql::Writer(answer) = &mut seen.members[0].sql {
            let stream = |name: &str| StreamSeen { name: name.to_owned(), streaming: true, flushed: None };
            answer.streams = vec![stream("orders_b"), stream("orders_c")];
        }
    })
}

#[test]
fn a_switchover_is_refused_with_the_reason() {
    let never = |seen: Observed| seen.with(|seen| seen.members[1].card.never_promote = true);
    let mib = 1024 * 1024;
    check(&[
        ("by id", asked("i-b"), "checkpoint i-a, begin 6"),
        ("by name", asked("orders_b"), "checkpoint i-a, begin 6"),
        ("nobody of that name", asked("i-x"), "refuse: target-unknown"),
        ("the writer itself", asked("i-a"), "refuse: target-is-writer"),
        ("one that may never write", never(asked("i-b")), "refuse: target-never-promoted"),
        ("one that does not answer", asked("i-b").sql("i-b", silent()), "refuse: target-not-following"),
        ("one that is frozen", asked("i-b").sql("i-b", frozen(900)), "refuse: target-not-following"),
        (
            "one that the writer does not feed",
            asked("i-b").with(|seen| {
                if let Sql::Writer(answer) = &mut seen.members[0].sql {
                    answer.streams.remove(0);
                }
            }),
            "refuse: target-not-following",
        ),
        ("one that is as far behind as it may be", asked("i-b").sql("i-a", far(900 + mib)), "checkpoint i-a, begin 6"),
        ("one byte more", asked("i-b").sql("i-a", far(901 + mib)), "refuse: target-lags"),
        ("while the writer is silent it is a failover", asked("i-b").sql("i-a", silent()), "wait: not-suspected"),
    ]);
    let table = [
        (asked("i-x"), "i-x is no member of this cluster that could take over; it has i-b (orders_b), i-c (orders_c)"),
        (asked("i-a"), "i-a is the writer already"),
    ];
    for (seen, sentence) in table {
        let domain::decision::Decision::Refuse(reason) = domain::failover::decide(&seen) else { panic!("{sentence}") };
        assert_eq!((reason.to_string().as_str(), reason.is_answer()), (sentence, true));
    }
}

fn far(lsn: u64) -> Sql {
    let seen = asked("i-b");
    match seen.members[0].sql.clone() {
        Sql::Writer(answer) => Sql::Writer(domain::failover::WriterSeen { lsn: Lsn(lsn), ..answer }),
        other => other,
    }
}

/// The change of a switchover from `i-a` to `i-b` is open.
fn switching() -> Observed {
    healthy().changing().with(|seen| {
        if let Some(change) = &mut seen.state.change {
            change.kind = ChangeKind::Switchover;
            change.to = Some("i-b".to_owned());
            change.began_at_ms = NOW - 5_000;
        }
    })
}

#[test]
fn a_switchover_promotes_only_what_has_all_of_the_log() {
    let ended = |clean: bool, checkpoint: u64| {
        let guard =
            GuardSeen { epoch: 7, holds: true, clean, checkpoint: Some(Lsn(checkpoint)), ..GuardSeen::default() };
        switching()
            .sql("i-a", Sql::Refused)
            .sql("i-b", frozen(900))
            .sql("i-c", frozen(900))
            .with(|seen| seen.members[0].guard = Some(guard.clone()))
    };
    let late = |seen: Observed| {
        seen.with(|seen| {
            if let Some(change) = &mut seen.state.change {
                change.began_at_ms = NOW - 45_001;
            }
        })
    };
    check(&[
        ("the guard is waited for", switching(), "await guard of i-a"),
        ("a refused port is not enough", switching().sql("i-a", Sql::Refused), "await guard of i-a"),
        ("not for ever", late(switching()), "refuse: switchover-failed"),
        ("when it has ended, all are cut", ended(true, 880).sql("i-b", cut(900, "i-a")), "freeze i-b"),
        ("then the target is promoted", ended(true, 880), "promote i-b"),
        (
            "also when another is preferred among equals",
            ended(true, 880).with(|seen| seen.members[1].card.tier = 9),
            "promote i-b",
        ),
        ("not without the record of the shutdown", ended(true, 900), "refuse: switchover-failed"),
        ("nor while another is ahead", ended(true, 880).sql("i-c", frozen(901)), "refuse: switchover-failed"),
        ("nor after a crash", ended(false, 880), "refuse: switchover-failed"),
        ("nor when the target is gone", ended(true, 880).sql("i-b", silent()), "refuse: switchover-failed"),
    ]);
    let steps = undo(&late(switching().sql("i-b", frozen(900))), &Reason::SwitchoverFailed(String::new()));
    assert!(
        matches!(&steps[..], [Step::Follow { .. }, Step::Abandon { .. }]),
        "the writer gets its work back: {steps:?}"
    );
}

#[test]
fn explain_says_whom_why_and_at_what_cost() {
    let told = explain(&healthy());
    assert_eq!(told.now, "nothing: the writer answers and nothing is left to do");
    assert_eq!(
        told.if_the_writer_failed,
        "i-b (eu-west-1b) would be promoted, on evidence CommitsFrozen, at the cost of nothing that was acknowledged \
         and about 4.5 s without writes"
    );
    let told = explain(&healthy().asynchronous());
    assert_eq!(
        told.if_the_writer_failed,
        "i-b (eu-west-1b) would be promoted, on evidence Stopped or SelfFenced, at the cost of 0 bytes of log as of now \
         and about 64.5 s without writes"
    );
    let told = explain(&healthy().sql("i-c", silent()));
    assert!(told.if_the_writer_failed.starts_with("nothing, and a person is paged: 1 of 2"), "{told:?}");
    assert_eq!(told.seen.len(), 3);
    let told = explain(&writer_dead());
    assert!(told.now.starts_with("take the lease and advance epoch 6 to 7"), "{told:?}");
}
