//! From a stack that is complete to records that name its members.

use crate::scripted::{Scripted, address, claimed, schedule, serving};
use deploy_cluster::Outcome::{self, Ready, Refused, Waiting};
use domain::{
    failover::Sql,
    records::RecordsSeen,
    state::{Change, State},
};

fn records(writer: &[u8], epoch: Option<u64>, reader: &[u8]) -> RecordsSeen {
    let addresses = |numbers: &[u8]| numbers.iter().copied().map(address).collect();
    RecordsSeen { writer: addresses(writer), epoch, reader: addresses(reader), ..RecordsSeen::default() }
}

fn change() -> Change {
    Change {
        from: "i-9".into(),
        ..serde_json::from_value(serde_json::json!({
            "from": "i-9", "seen": [], "silent_since_ms": 0, "woken_at_ms": 0, "woken_by": "", "began_at_ms": 0,
        }))
        .unwrap()
    }
}

/// What one pass of the minute does and answers, in a world changed from a
/// cluster that serves and has no records.
async fn minute(change: impl FnOnce(&mut crate::scripted::Account)) -> (Outcome, String, Vec<String>) {
    let world = Scripted::deployed().await.with(change);
    let answer = world.ask(&schedule()).await;
    (answer.outcome, answer.message, world.done())
}

const CREATED: [&str; 2] = ["reader record -> [10.0.0.2, 10.0.0.3]", "writer record None -> (10.0.0.1, 1)"];

#[tokio::test]
async fn records_are_created_when_the_cluster_serves() {
    let (outcome, _, done) = minute(|_| {}).await;
    assert_eq!((outcome, done), (Ready, CREATED.map(str::to_owned).to_vec()));
}

#[tokio::test]
async fn one_standby_is_enough_where_a_commit_waits_for_one() {
    let (outcome, _, done) = minute(|account| account.members = serving(&[3])).await;
    assert_eq!((outcome, done), (Ready, vec!["reader record -> [10.0.0.3]".to_owned(), CREATED[1].to_owned()]));
}

#[tokio::test]
async fn nothing_is_created_before_the_cluster_serves() {
    type Change = fn(&mut crate::scripted::Account);
    let table: [(&str, Change, Outcome, &str); 9] = [
        ("nobody claimed", |a| a.state = None, Waiting, "no member has become writer yet"),
        ("nobody again", |a| a.state.as_mut().unwrap().writer = None, Waiting, "no member has become writer yet"),
        (
            "a change of writer",
            |a| a.state.as_mut().unwrap().change = Some(change()),
            Waiting,
            "a change of writer away from i-9 is under way",
        ),
        (
            "a writer of another stack",
            |a| a.state.as_mut().unwrap().writer = Some("i-9".into()),
            Refused,
            "the state names i-9 as writer, which is no member of this cluster",
        ),
        ("no standby", |a| a.members = serving(&[]), Waiting, "0 standbys stream and a commit needs 1"),
        (
            "the writer in recovery",
            |a| a.members[0] = a.members[1].clone(),
            Waiting,
            "orders_1 (i-1) should write, and it is in recovery",
        ),
        (
            "the writer silent",
            |a| a.members[0] = Sql::Silent("no answer in 2 s".into()),
            Waiting,
            "orders_1 (i-1) should write, and it is silent: no answer in 2 s",
        ),
        ("another writes", |a| a.members.swap(0, 1), Waiting, "orders_1 (i-1) should write, and it is in recovery"),
        (
            "two write",
            |a| a.members[1] = a.members[0].clone(),
            Refused,
            "several members accept writes: orders_1 (i-1), orders_2 (i-2)",
        ),
    ];
    for (name, change, outcome, message) in table {
        assert_eq!(minute(change).await, (outcome, message.to_owned(), vec![]), "{name}");
    }
}

/// Both ends must say so: the writer's list of a standby that has just gone lags.
#[tokio::test]
async fn a_standby_counts_only_when_both_ends_say_that_it_streams() {
    let (outcome, message, done) = minute(|account| {
        account.members[1] = Sql::Refused;
        account.members[2] = Sql::Refused;
    })
    .await;
    assert_eq!((outcome, message.as_str(), done), (Waiting, "0 standbys stream and a commit needs 1", vec![]));
}

#[tokio::test]
async fn an_asynchronous_cluster_gets_its_writer_record_without_a_standby() {
    let (outcome, message, done) = minute(|account| {
        account.state.as_mut().unwrap().synchronous.required = 0;
        account.members = serving(&[]);
    })
    .await;
    assert_eq!((outcome, done), (Waiting, vec![CREATED[1].to_owned()]));
    assert_eq!(message, "no standby streams that the reader record could name");
}

#[tokio::test]
async fn records_that_name_the_writer_are_never_touched() {
    // After a failover: another member writes than the one that claimed first.
    let (outcome, _, done) = minute(|account| {
        account.records = records(&[2], Some(2), &[3]);
        account.state = Some(State { writer: Some("i-2".into()), ..claimed(2) });
    })
    .await;
    assert_eq!((outcome, done), (Ready, vec![]));
    // After a failover that was given up: the epoch is advanced, and the writer is where it was.
    let (outcome, _, done) = minute(|account| {
        account.records = records(&[1], Some(1), &[2, 3]);
        account.state = Some(claimed(2));
    })
    .await;
    assert_eq!((outcome, done), (Ready, vec![]));
}

#[tokio::test]
async fn records_of_an_older_stack_are_moved_exactly() {
    // Addresses that nobody has now, and addresses that members of the new stack have been given again.
    for (old, readers) in [(99, [98, 97]), (2, [1, 3]), (3, [98, 2])] {
        let (outcome, _, done) = minute(|account| {
            account.state = Some(claimed(8));
            account.records = records(&[old], Some(7), &readers);
        })
        .await;
        let moved = format!("writer record Some((10.0.0.{old}, 7)) -> (10.0.0.1, 8)");
        assert_eq!((outcome, done), (Ready, vec![CREATED[0].to_owned(), moved]), "{old}");
    }
}

#[tokio::test]
async fn a_reader_record_is_created_beside_a_writer_record() {
    let (outcome, _, done) = minute(|account| account.records = records(&[1], Some(1), &[])).await;
    assert_eq!((outcome, done), (Ready, vec![CREATED[0].to_owned()]));
}

#[tokio::test]
async fn records_that_understudy_did_not_write_are_left_alone() {
    let table = [
        ("without an epoch", records(&[99], None, &[]), "the writer record names 10.0.0.99 without an epoch beside it"),
        (
            "an epoch alone",
            records(&[], Some(1), &[]),
            "epoch 1 has a TXT record, and there is no writer record beside it",
        ),
        ("two addresses", records(&[98, 99], Some(1), &[]), "the writer record names 2 addresses"),
        (
            "of this epoch",
            records(&[2], Some(1), &[]),
            "the writer record names 10.0.0.2 with epoch 1, and the state has epoch 1 only",
        ),
        (
            "of a later epoch",
            records(&[99], Some(2), &[]),
            "the writer record names 10.0.0.99 with epoch 2, and the state has epoch 1 only",
        ),
    ];
    for (name, seen, problem) in table {
        let (outcome, message, done) = minute(|account| account.records = seen).await;
        let expected =
            format!("{problem}; Understudy does not touch what it did not write: delete the records by hand");
        assert_eq!((outcome, message, done), (Refused, expected, vec![]), "{name}");
    }
}
