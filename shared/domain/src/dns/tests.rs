use super::*;
use crate::steady::kit::{Chain, NOW, address, silent, standby, unsteady, well, writer};
use crate::{failover::StreamSeen, lsn::Lsn};

fn mine() -> Observed {
    well().lease(Lease::Mine)
}

fn moved(from: &str, epoch: u64) -> Decision<Step, Reason> {
    Decision::Act(vec![Step::MoveWriterRecord { from: (address(from), epoch), to: (address("i-a"), 7) }])
}

fn readers(ids: &[&str]) -> Decision<Step, Reason> {
    Decision::Act(vec![Step::SetReaderRecord(ids.iter().map(|id| address(id)).collect())])
}

fn not_ours(ids: &[&str], epoch: Option<u64>) -> Decision<Step, Reason> {
    let addresses = ids.iter().map(|id| address(id)).collect();
    Decision::Refuse(Reason::RecordNotOurs { addresses, epoch, ours: 7 })
}

const BOTH: &[&str] = &["i-b", "i-c"];

#[test]
fn the_writer_record_names_the_writer_of_the_state_item() {
    let held = || Decision::Act(vec![Step::Hold { epoch: 7 }]);
    let table = [
        ("as it should be", well(), Decision::Steady),
        ("right, since an older epoch", well().records(&["i-a"], Some(5), BOTH), Decision::Steady),
        ("of an older epoch: first the lease", well().records(&["i-b"], Some(6), BOTH), held()),
        ("of an older epoch", mine().records(&["i-b"], Some(6), BOTH), moved("i-b", 6)),
        ("of this epoch, by another hand", mine().records(&["i-b"], Some(7), BOTH), moved("i-b", 7)),
        ("of a later epoch", mine().records(&["i-b"], Some(8), BOTH), not_ours(&["i-b"], Some(8))),
        ("right, of a later epoch", mine().records(&["i-a"], Some(8), BOTH), not_ours(&["i-a"], Some(8))),
        ("without an epoch", mine().records(&["i-b"], None, BOTH), not_ours(&["i-b"], None)),
        ("an epoch without a record", mine().records(&[], Some(7), BOTH), not_ours(&[], Some(7))),
        ("two addresses", mine().records(&["i-a", "i-b"], Some(7), BOTH), not_ours(&["i-a", "i-b"], Some(7))),
        ("no records yet", mine().records(&[], None, &[]), Decision::Wait(Reason::NotOpenYet)),
        (
            "Route 53 is down",
            mine().but(|seen| seen.records = Seen::Unavailable("503".to_owned())),
            Decision::Wait(Reason::RecordsUnknown("503".to_owned())),
        ),
    ];
    for (name, seen, expected) in table {
        if let Decision::Refuse(_) = expected {
            // A change that began between the two reads of one look.
            assert_eq!(decide(std::slice::from_ref(&seen)), Decision::Act(vec![Step::LookAgain]), "{name}");
            let soon = APART - Duration::from_millis(1);
            assert_eq!(
                decide(&[seen.clone(), seen.clone().later(soon)]),
                Decision::Act(vec![Step::LookAgain]),
                "{name}"
            );
            assert_eq!(decide(&[well(), seen.clone().later(APART)]), Decision::Act(vec![Step::LookAgain]), "{name}");
            assert_eq!(decide(&[seen.clone(), seen.later(APART)]), expected, "{name}");
        } else {
            assert_eq!(decide(&[seen]), expected, "{name}");
        }
    }
}

#[test]
fn nothing_is_done_while_anything_changes() {
    for (why, seen) in unsteady() {
        let seen = seen.records(&["i-c"], Some(6), &[]);
        match decide(&[seen]) {
            Decision::Wait(reason) => assert_eq!(reason.to_string(), why),
            other => panic!("{why}: {other:?}"),
        }
    }
}

/// The writer with a standby that is this far behind.
fn lagging(bytes: u64) -> Sql {
    let mut sql = writer(&["i-b"]);
    if let Sql::Writer(answer) = &mut sql {
        let flushed = Some(Lsn(answer.lsn.0 - bytes));
        answer.streams.push(StreamSeen { name: "orders_c".to_owned(), streaming: true, flushed });
    }
    sql
}

#[test]
fn a_standby_joins_the_readers_when_it_streams_answers_and_is_near() {
    let without = || mine().records(&["i-a"], Some(7), &["i-b"]);
    let catching_up = || {
        without().but(|seen| {
            if let Sql::Writer(answer) = &mut seen.of("i-a").sql {
                answer.streams[1].streaming = false;
            }
        })
    };
    let table = [
        ("it streams", without(), readers(BOTH)),
        ("it catches up", catching_up(), Decision::Steady),
        ("it says so, the writer does not", without().sql("i-a", writer(&["i-b"])), Decision::Steady),
        ("it streams and does not answer", without().sql("i-c", silent()), Decision::Steady),
        ("it streams and is crowded", without().sql("i-c", Sql::Alive("53300".to_owned())), Decision::Steady),
        ("near enough", without().sql("i-a", lagging(JOINING_LAG)), readers(BOTH)),
        ("a byte too far", without().sql("i-a", lagging(JOINING_LAG + 1)), Decision::Steady),
        ("there was none", mine().records(&["i-a"], Some(7), &[]), readers(BOTH)),
        ("there was the writer", mine().records(&["i-a"], Some(7), &["i-a"]), readers(BOTH)),
        ("there was a stranger", mine().records(&["i-a"], Some(7), &["i-b", "i-c", "i-z"]), readers(BOTH)),
        ("in another order", mine().records(&["i-a"], Some(7), &["i-c", "i-b"]), Decision::Steady),
    ];
    for (name, seen, expected) in table {
        assert_eq!(decide(&[seen]), expected, "{name}");
    }
}

#[test]
fn a_standby_leaves_the_readers_when_no_look_finds_it() {
    let gone = || mine().sql("i-a", writer(&["i-b"]));
    let deaf = || mine().sql("i-c", silent());
    let crowded = || mine().sql("i-c", Sql::Alive("53300".to_owned()));
    let alone = || mine().sql("i-a", writer(&[]));
    let far = || mine().sql("i-a", lagging(1 << 29));
    let again = || Decision::Act(vec![Step::LookAgain]);
    let table = [
        ("one look is not enough", vec![gone()], again()),
        ("nor are two at once", vec![gone(), gone().later(APART - Duration::from_millis(1))], again()),
        ("it does not stream", vec![gone(), gone().later(APART)], readers(&["i-b"])),
        ("it does not answer", vec![deaf(), deaf().later(APART)], readers(&["i-b"])),
        ("first the one, then the other", vec![gone(), deaf().later(APART)], readers(&["i-b"])),
        ("it is back", vec![gone(), mine().later(APART)], Decision::Steady),
        ("it was there a moment ago", vec![mine(), gone().later(APART)], Decision::Steady),
        ("a third look", vec![gone(), gone().later(APART), gone().later(APART * 2)], readers(&["i-b"])),
        ("crowded is there", vec![crowded(), crowded().later(APART)], Decision::Steady),
        ("far behind is there", vec![far(), far().later(APART)], Decision::Steady),
        ("none is left: the writer", vec![alone(), alone().later(APART)], readers(&["i-a"])),
        (
            "the lease comes after the doubt",
            vec![gone().lease(Lease::Free), gone().lease(Lease::Free).later(APART)],
            Decision::Act(vec![Step::Hold { epoch: 7 }]),
        ),
    ];
    for (name, looks, expected) in table {
        assert_eq!(decide(&looks), expected, "{name}");
    }
    assert_eq!(decide(&[]), Decision::Steady);
}

#[test]
fn both_records_in_one_go() {
    let seen = mine().records(&["i-c"], Some(6), &["i-b"]).sql("i-c", standby());
    let expected = [
        Step::MoveWriterRecord { from: (address("i-c"), 6), to: (address("i-a"), 7) },
        Step::SetReaderRecord(vec![address("i-b"), address("i-c")]),
    ];
    assert_eq!(decide(&[seen]), Decision::Act(expected.to_vec()));
}

#[test]
fn a_page_says_what_to_do() {
    let seen = mine().records(&["i-b"], Some(8), BOTH);
    let looks = [seen.clone(), seen.clone().later(APART)];
    let Decision::Refuse(reason) = decide(&looks) else { panic!("not refused") };
    let page = reason.page(&seen);
    assert_eq!(page.subject, "P1 orders: the writer record is not ours, and is left alone");
    assert!(
        page.text.contains("Why     the writer record holds [10.0.2.10] with epoch 8, not what epoch 7 may replace\n"),
        "{page:?}"
    );
    assert!(page.text.contains("host=10.0.1.10 target_session_attrs=read-write"), "{page:?}");
    assert_eq!((reason.kind(), NOW), ("dns-record-not-ours", seen.looked_at_ms));
}
