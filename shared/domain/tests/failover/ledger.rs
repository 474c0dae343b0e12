//! What the ledger measures: the outage by phase, the loss in bytes and in seconds.

use crate::kit::*;
use domain::{
    decision::Decision,
    failover::{Ledger, Observed, Phases, Step, decide},
    state::{Change, Loss},
};

fn ledger(seen: &Observed) -> Ledger {
    let change = seen.state.change.as_ref().unwrap();
    Ledger::of(seen, change, seen.looked_at_ms).unwrap()
}

fn changed(edit: impl FnOnce(&mut Change)) -> Observed {
    promoted().with(|seen| edit(seen.state.change.as_mut().unwrap()))
}

#[test]
fn the_phases_of_an_outage() {
    let seen = changed(|change| {
        (change.fenced_at_ms, change.ordered_at_ms) = (Some(NOW - 20), Some(NOW - 20));
        change.record_moved_at_ms = Some(NOW + 500);
    });
    let expected = Phases {
        detected_ms: Some(3_250),
        fenced_ms: Some(3_280),
        ordered_ms: Some(3_280),
        promoted_ms: Some(3_300),
        record_moved_ms: Some(3_800),
    };
    assert_eq!((ledger(&seen).phases, ledger(&seen).rto_ms), (expected, Some(3_800)));
    let page = ledger(&seen).page(&seen, "orders-rw.db.internal");
    let took = "found down in 3.2 s (suspicion), fenced in 0.0 s, promoted in 0.0 s, record moved in 0.5 s";
    assert!(page.text.contains(took), "{}", page.text);
    // What an older pass noted has no such times.
    assert_eq!(ledger(&promoted()).phases.ordered_ms, None);
}

#[test]
fn the_loss_in_seconds() {
    assert_eq!(ledger(&changed(|change| change.lost_ms = Some(900))).rpo_ms, Some(0), "nothing was lost");
    let lost = changed(|change| (change.loss, change.lost_ms) = (Some(Loss::Bytes(312)), Some(900)));
    assert_eq!((ledger(&lost).rpo_bytes, ledger(&lost).rpo_ms), (Some(312), Some(900)));
    let page = ledger(&lost).page(&lost, "orders-rw.db.internal");
    let line = "312 bytes of log up to the last position that a probe saw of the old writer, the last 0.9 s of writes before it fell silent";
    assert!(page.text.contains(line), "{}", page.text);
    let unknown = changed(|change| (change.loss, change.lost_ms) = (Some(Loss::Bytes(312)), None));
    assert_eq!(ledger(&unknown).rpo_ms, None);
    assert!(!ledger(&unknown).page(&unknown, "x").text.contains("s of writes"));
}

#[test]
fn what_nobody_may_have_is_measured_when_the_change_begins() {
    let begun = |seen: Observed| match decide(&seen) {
        Decision::Act(steps) => match steps.into_iter().next() {
            Some(Step::Begin { change, .. }) => change.lost_ms,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    // Both heard it 3.4 s ago; it fell silent to us 3.3 s ago.
    assert_eq!(begun(writer_dead()), Some(100));
    assert_eq!(begun(writer_dead().sql("i-c", streaming(880, "i-a", 3.1))), Some(0), "one heard it after that");
    let deaf = writer_dead().sql("i-b", cut(900, "i-a")).sql("i-c", cut(900, "i-a"));
    assert_eq!(begun(deaf), None, "nobody knows");
}
