//! I5: why the old writer can acknowledge no more writes.

use crate::{BEGIN, check, kit::*};
use domain::{
    failover::{Host, Observed, Sql, prove},
    lsn::Lsn,
    state::GuardSeen,
};

/// Since so many milliseconds all standbys are cut from the old writer.
fn noted(seen: Observed, ms: u64) -> Observed {
    seen.with(|seen| {
        if let Some(change) = &mut seen.state.change {
            change.frozen_since_ms = Some(NOW - ms);
        }
    })
}

/// The guard of `i-a` wrote this.
fn guarded(seen: Observed, guard: GuardSeen) -> Observed {
    seen.with(|seen| seen.members[0].guard = Some(guard))
}

fn kind(seen: &Observed) -> Option<&'static str> {
    prove(seen, "i-a").map(|evidence| evidence.kind())
}

#[test]
fn i5_evidence_by_stopping() {
    let asynchronous = || writer_dead().asynchronous().last_lsn(900);
    let changing = || asynchronous().changing().last_lsn(900);
    let cut_off = |seen: Observed| seen.sql("i-b", frozen(900)).sql("i-c", frozen(900));
    let heard = |seen: Observed| seen.sql("i-b", streaming(900, "i-a", 0.1));
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
        ("asynchronous: what nobody hears any more is cut at once", asynchronous(), BEGIN),
        (
            "but nothing is cut that still receives: each commit that arrives is one less to lose",
            heard(asynchronous().host("i-a", Host::Stopped).suspected(3, 3.3).last_lsn(900))
                .host("i-a", Host::Running)
                .changing()
                .last_lsn(900),
            "stop i-a",
        ),
        ("it is stopped, and since when all are cut is noted", cut_off(changing()), "frozen true, stop i-a"),
        ("and waited for", noted(cut_off(changing()), 1_000).host("i-a", Host::Stopping), "wait: awaiting-stop"),
        ("then the standbys are frozen", changing().host("i-a", Host::Stopped), "freeze i-b, freeze i-c"),
        (
            "then one is promoted",
            changing().host("i-a", Host::Stopped).sql("i-b", frozen(900)).sql("i-c", frozen(880)),
            "promote i-b",
        ),
        (
            "an id that EC2 does not know proves nothing",
            cut_off(changing()).sql("i-c", silent()).host("i-a", Host::Missing),
            "refuse: no-evidence",
        ),
        (
            "nor does an answer that is not understood",
            cut_off(changing()).sql("i-c", silent()).host("i-a", Host::Unknown("?".to_owned())),
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
    let two_of_two = both.clone().sql("i-c", silent()).required(2);
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
    check(&[("then it is stopped instead", differs.changing().last_lsn(900), "frozen true, stop i-a")]);
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
        ("frozen standbys prove nothing", noted(frozen_for_takeover()), "frozen true, stop i-a"),
        ("stopping proves nothing", noted(frozen_for_takeover()).host("i-a", Host::Stopping), "frozen true"),
        ("stopped does", off.clone(), "promote i-b"),
        ("and what is lost counts", off.last_lsn(901 + 1024 * 1024), "refuse: would-lose"),
    ]);
}

#[test]
fn i5_postgres_down_by_its_guard() {
    let holding = GuardSeen { epoch: 7, holds: true, clean: false, ..GuardSeen::default() };
    let down =
        |guard: GuardSeen| guarded(frozen_for_takeover().asynchronous().last_lsn(900).sql("i-a", Sql::Refused), guard);
    assert_eq!(kind(&down(holding.clone())), Some("PostgresDown"));
    check(&[("that is enough to promote", down(holding.clone()), "promote i-b")]);
    let table = [
        ("of an earlier epoch it may have started since", down(GuardSeen { epoch: 6, ..holding.clone() })),
        ("a guard that does not hold", down(GuardSeen { holds: false, ..holding.clone() })),
        ("a host that does not answer", down(holding.clone()).sql("i-a", silent())),
        ("before the change began", guarded(writer_dead().asynchronous().sql("i-a", Sql::Refused), holding.clone())),
    ];
    for (rule, seen) in table {
        assert_eq!(kind(&seen), None, "{rule}");
    }
    let newer = down(holding.clone()).suspected(9, 9.0).with(|seen| {
        if let Some(suspicion) = &mut seen.suspicion {
            suspicion.last_lsn = Some(Lsn(901 + 1024 * 1024));
        }
    });
    check(&[("so does what a probe saw of it since", newer, "refuse: would-lose")]);
    let further = GuardSeen { checkpoint: Some(Lsn(901 + 1024 * 1024)), ..holding };
    check(&[("what it had written counts as lost", down(further), "refuse: would-lose")]);
}

#[test]
fn i5_self_fenced_is_waited_out() {
    let fenced = |ms: u64| {
        noted(frozen_for_takeover().asynchronous().last_lsn(900), ms).host("i-a", Host::Unknown("503".to_owned()))
    };
    check(&[
        ("20 s of ttl and 15 s of margin", fenced(34_999), "wait: awaiting-fence"),
        ("then it has certainly stopped itself", fenced(35_000), "promote i-b"),
        ("also when EC2 goes on stopping it", fenced(35_000).host("i-a", Host::Stopping), "promote i-b"),
        ("a member out of sight may still be its contact", fenced(99_000).sql("i-c", silent()), "refuse: no-evidence"),
        ("unless that is off", fenced(35_000).sql("i-c", silent()).host("i-c", Host::Stopped), "promote i-b"),
        (
            "one that was not cut makes the time begin anew",
            fenced(35_000).sql("i-c", cut(880, "i-a")),
            "frozen false, freeze i-c",
        ),
        (
            "without a note nothing is known",
            {
                let mut seen = fenced(35_000);
                if let Some(change) = &mut seen.state.change {
                    change.frozen_since_ms = None;
                }
                seen
            },
            "frozen true",
        ),
    ]);
    assert_eq!(kind(&fenced(35_000)), Some("SelfFenced"));
    let longer = fenced(35_000).with(|seen| seen.policy.ttl_s = 21);
    assert_eq!(kind(&longer), None, "the policy's ttl counts");
}
