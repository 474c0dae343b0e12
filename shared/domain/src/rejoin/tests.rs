use super::*;
use crate::{
    lsn::Lsn,
    state::GuardSeen,
    steady::kit::{Chain, NOW, silent, standby, unsteady, waiting, well, writer},
};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;

/// What `rejoin.sh` prints of a loss of four transactions.
fn printed() -> String {
    let loss = serde_json::json!({
        "from_lsn": "0/4372C78", "to_lsn": "0/4372DD8", "bytes": 352, "transactions": 4,
        "first_at": "2026-11-21T03:12:06.900000Z", "last_at": "2026-11-21T03:12:07.100000Z",
        "tables": [{"name": "public.rows", "changes": 4}],
    });
    let line = serde_json::json!({
        "outcome": "rewound", "diverged": true, "loss": loss, "saved": "/var/lib/understudy/lost/x", "seconds": 4,
    });
    format!("one line\n{line}\n")
}

fn item() -> Rejoin {
    Rejoin {
        epoch: 7,
        attempt: 1,
        began_at_ms: NOW - 30 * SECOND,
        command: None,
        failed: None,
        no_agent_since_ms: None,
        told_long: false,
    }
}

fn sent() -> Rejoin {
    Rejoin { command: Some("c-1".to_owned()), ..item() }
}

fn failed(attempt: u32, ago_ms: u64) -> Rejoin {
    Rejoin { attempt, failed: Some(Failed { at_ms: NOW - ago_ms, why: "why".to_owned() }), ..sent() }
}

fn of(seen: &Observed, way: &Way) -> Decision<Step, Reason> {
    decide(seen, seen.member("i-c").unwrap_or_else(|| panic!("no i-c")), way)
}

fn with(item: Rejoin) -> Way {
    Way { item: Some(item), ..Way::default() }
}

fn ended(command: CommandSeen) -> Way {
    Way { item: Some(sent()), command: Some(command), found: None }
}

/// What is decided, in a word; of a beginning, the attempt.
fn word(decision: &Decision<Step, Reason>) -> String {
    match decision {
        Decision::Steady => "steady".to_owned(),
        Decision::Wait(reason) => format!("wait: {reason}"),
        Decision::Refuse(reason) => format!("refuse: {reason}"),
        Decision::Act(steps) => match steps.as_slice() {
            [Step::Begin { after, .. }] => format!("begin {} of epoch {}", after.attempt, after.epoch),
            [Step::Note { page: Some(page), .. }] => page.subject.clone(),
            [Step::Note { after, .. }] => format!("note {:?}", after.command.as_deref().unwrap_or_default()),
            [Step::Finish { page, .. }] => page.subject.clone(),
            [Step::Forget(_)] => "forget".to_owned(),
            other => format!("{other:?}"),
        },
    }
}

#[test]
fn an_old_writer_that_waits_is_made_a_standby() {
    let guard = |epoch, holds| Some(GuardSeen { epoch, holds, ..GuardSeen::default() });
    let table = [
        ("all is well", well(), "steady"),
        ("it waits", waiting(), "begin 1 of epoch 7"),
        ("its host stops", waiting().but(|seen| seen.of("i-c").host = Host::Stopping), "wait: EC2 says stopping"),
        ("it is silent", waiting().sql("i-c", silent()), "steady"),
        ("it is crowded", waiting().sql("i-c", Sql::Alive("57P03".to_owned())), "steady"),
        (
            "no guard",
            waiting().but(|seen| seen.of("i-c").guard = None),
            "wait: its boot guard does not say that it holds, at this epoch",
        ),
        (
            "a guard of before",
            waiting().but(|seen| seen.of("i-c").guard = guard(6, true)),
            "wait: its boot guard does not say that it holds, at this epoch",
        ),
        (
            "a guard that let go",
            waiting().but(|seen| seen.of("i-c").guard = guard(7, false)),
            "wait: its boot guard does not say that it holds, at this epoch",
        ),
        ("it is the writer", waiting().but(|seen| seen.state.writer = Some("i-c".to_owned())), "steady"),
        ("it streams all the same", waiting().sql("i-a", writer(&["i-b", "i-c"])), "steady"),
    ];
    for (name, seen, expected) in table {
        assert_eq!(word(&of(&seen, &Way::default())), expected, "{name}");
    }
    for (why, seen) in unsteady() {
        assert_eq!(word(&of(&seen, &Way::default())), format!("wait: {why}"));
    }
}

#[test]
fn a_command_is_followed_to_its_end() {
    let running = || CommandSeen::Running("InProgress".to_owned());
    let fails = || CommandSeen::Failed { status: "Failed".to_owned(), stderr: "one\nno room\n".to_owned() };
    let old = |item: Rejoin, ago_ms: u64| Rejoin { began_at_ms: NOW - ago_ms, ..item };
    let way = |item, command| Way { item: Some(item), command: Some(command), found: None };
    let long = "P3 orders: i-c (eu-west-1c) is not a standby yet, after 60 min";
    let first = "P2 orders: i-c (eu-west-1c) could not be made a standby, attempt 1 of 3";
    let third = "P2 orders: i-c (eu-west-1c) could not be made a standby, attempt 3 of 3";
    let table = [
        ("it runs", ended(running()), "wait: rejoin.sh: InProgress, for 30.0 s"),
        (
            "for an hour less a moment",
            way(old(sent(), 60 * MINUTE - 1), running()),
            "wait: rejoin.sh: InProgress, for 3600.0 s",
        ),
        ("for an hour", way(old(sent(), 60 * MINUTE), running()), long),
        (
            "that was told",
            way(Rejoin { told_long: true, ..old(sent(), 90 * MINUTE) }, running()),
            "wait: rejoin.sh: InProgress, for 5400.0 s",
        ),
        ("SSM's lists lag", ended(CommandSeen::Unknown), "wait: rejoin.sh: not known to SSM yet, for 30.0 s"),
        ("SSM has lost it", way(old(sent(), 2 * MINUTE), CommandSeen::Unknown), first),
        ("it failed", ended(fails()), first),
        ("it failed again", way(Rejoin { attempt: 2, ..sent() }, fails()), "note \"c-1\""),
        ("and again", way(Rejoin { attempt: 3, ..sent() }, fails()), third),
        ("of an older epoch", way(Rejoin { epoch: 6, ..sent() }, fails()), "note \"c-1\""),
        (
            "it is done",
            ended(CommandSeen::Succeeded(printed())),
            "P2 orders: i-c (eu-west-1c) is a standby again; 4 transactions (352 bytes of log) only it had",
        ),
        (
            "with nothing lost",
            ended(CommandSeen::Succeeded(
                r#"{"outcome":"already-standby","diverged":false,"loss":null,"saved":null,"seconds":0}"#.to_owned(),
            )),
            "P3 orders: i-c (eu-west-1c) is a standby again; nothing was lost",
        ),
        (
            "and says something else",
            ended(CommandSeen::Succeeded("hello\n".to_owned())),
            "P2 orders: i-c (eu-west-1c) is a standby again; what it lost is not known",
        ),
    ];
    // Whatever else happens to the cluster.
    let worlds: Vec<Observed> =
        [waiting(), well()].into_iter().chain(unsteady().into_iter().map(|(_, seen)| seen)).collect();
    for (name, way, expected) in table {
        for seen in &worlds {
            assert_eq!(word(&of(seen, &way)), expected, "{name}");
        }
    }
}

#[test]
fn what_was_noted_and_maybe_not_sent() {
    let old = |ago_ms: u64| with(Rejoin { began_at_ms: NOW - ago_ms, ..item() });
    let found = Way { found: Some("c-9".to_owned()), ..with(item()) };
    let no_agent =
        |since_ms: u64, told_long| with(Rejoin { no_agent_since_ms: Some(NOW - since_ms), told_long, ..item() });
    let told = "P2 orders: i-c (eu-west-1c) cannot be made a standby: SSM does not reach it";
    let table = [
        ("SSM has it", found, waiting(), "note \"c-9\""),
        (
            "SSM may get it",
            old(2 * MINUTE - SECOND),
            waiting(),
            "wait: not known whether the command was sent; that is certain in 1.0 s",
        ),
        ("SSM never got it: the same try", old(2 * MINUTE), waiting(), "begin 1 of epoch 7"),
        ("and nobody wants it any more", old(2 * MINUTE), well(), "forget"),
        (
            "and its host is gone",
            old(2 * MINUTE),
            waiting().but(|seen| seen.of("i-c").host = Host::Stopped),
            "wait: EC2 says stopped",
        ),
        ("SSM had no agent", no_agent(SECOND, false), waiting(), "begin 1 of epoch 7"),
        ("for long", no_agent(10 * MINUTE, false), waiting(), told),
        ("that was told", no_agent(10 * MINUTE, true), waiting(), "begin 1 of epoch 7"),
        ("it streams by now", no_agent(SECOND, false), well(), "forget"),
    ];
    for (name, way, seen, expected) in table {
        assert_eq!(word(&of(&seen, &way)), expected, "{name}");
    }
    assert!(item().is_unsure() && !sent().is_unsure() && !failed(1, 0).is_unsure());
}

#[test]
fn a_failure_is_tried_again_after_ten_minutes_three_times_an_epoch() {
    let six = Rejoin { epoch: 6, ..failed(3, SECOND) };
    let table = [
        ("not yet", failed(1, 10 * MINUTE - SECOND), waiting(), "wait: rejoin.sh failed (why); again in 1.0 s"),
        ("again", failed(1, 10 * MINUTE), waiting(), "begin 2 of epoch 7"),
        ("and again", failed(2, 10 * MINUTE), waiting(), "begin 3 of epoch 7"),
        ("no more", failed(3, 100 * MINUTE), waiting(), "wait: rejoin.sh failed 3 times at this epoch, last: why"),
        ("another epoch, another count", six.clone(), waiting(), "begin 1 of epoch 7"),
        ("done by hand", failed(1, SECOND), well(), "forget"),
        ("done by hand after all", failed(3, SECOND), well(), "forget"),
        ("done by hand at another epoch", six, well(), "forget"),
        (
            "it became the writer",
            failed(3, SECOND),
            well().but(|seen| seen.state.writer = Some("i-c".to_owned())).sql("i-c", writer(&[])).sql("i-a", standby()),
            "forget",
        ),
        (
            "its host is gone",
            failed(1, 20 * MINUTE),
            waiting().but(|seen| seen.of("i-c").host = Host::Stopped),
            "wait: EC2 says stopped",
        ),
    ];
    for (name, item, seen, expected) in table {
        assert_eq!(word(&of(&seen, &with(item))), expected, "{name}");
    }
}

#[test]
fn every_try_has_an_order_of_its_own() {
    let orders =
        [item(), Rejoin { attempt: 2, ..item() }, Rejoin { epoch: 8, ..item() }, Rejoin { began_at_ms: 1, ..item() }];
    let comments: std::collections::BTreeSet<String> = orders.iter().map(|item| item.order().comment).collect();
    assert_eq!(comments.len(), orders.len());
    let longest = Rejoin { epoch: u64::MAX, attempt: u32::MAX, ..item() }.order().comment;
    assert!(longest.len() <= 100, "SSM takes a comment of 100: {longest}");
    assert_eq!(item().order().comment, "Understudy rejoin, epoch 7, attempt 1, begun 2026-03-30T03:11:40.000Z");
}

#[test]
fn an_item_is_read_as_it_was_written() {
    for item in [item(), sent(), failed(2, 5), Rejoin { told_long: true, no_agent_since_ms: Some(1), ..item() }] {
        let text = serde_json::to_string(&item).unwrap_or_default();
        let read: Result<Rejoin, _> = serde_json::from_str(&text);
        assert_eq!(read.ok(), Some(item));
    }
    assert_eq!(
        serde_json::to_string(&item()).unwrap_or_default(),
        r#"{"epoch":7,"attempt":1,"began_at_ms":1774840300000}"#
    );
}

#[test]
fn a_report_is_the_last_line() {
    let report = Report::read(&printed());
    let loss = report.as_ref().ok().and_then(|report| report.loss.clone());
    assert_eq!(
        loss.map(|loss| (loss.from_lsn, loss.bytes, loss.tables[0].changes)),
        Some((Lsn(0x437_2C78), 352, 4)),
        "{report:?}"
    );
    for text in ["", "\n\n", "hello", "{}", r#"{"outcome":"rewound"}"#] {
        assert!(Report::read(text).is_err(), "{text}");
    }
    let table = [
        ("one\ntwo\n", "Failed: two"),
        ("one\nno room on /var\nfailed to run commands: exit status 1\n", "Failed: no room on /var"),
        ("failed to run commands: exit status 1", "Failed: failed to run commands: exit status 1"),
        ("", "Failed, and it said nothing"),
    ];
    for (stderr, expected) in table {
        assert_eq!(report::why("Failed", stderr), expected);
    }
}

fn finished(stdout: &str) -> (Ledger, Page) {
    let way = ended(CommandSeen::Succeeded(stdout.to_owned()));
    match of(&well(), &way) {
        Decision::Act(steps) => match steps.into_iter().next() {
            Some(Step::Finish { ledger, page, .. }) => (*ledger, page),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_loss_is_told_with_everything_a_person_needs() {
    let (ledger, page) = finished(&printed());
    let expected = "\
Seen    i-c came back as an old writer; its boot guard kept PostgreSQL from starting
Done    rewound to i-a in 4.0 s, epoch 7, attempt 1 (SSM command c-1)
Lost    what only i-c had: 4 transactions, committed there between 2026-11-21T03:12:06.900000Z and \
2026-11-21T03:12:07.100000Z, in 0/4372C78 to 0/4372DD8 (352 bytes of log), which changed public.rows (4 rows); \
saved on i-c in /var/lib/understudy/lost/x
Now     i-a (eu-west-1a) writes; 2 standbys stream from it; commits wait for 1 of 2
Next    compare what was lost with what the application knows, and enter it again where it matters; delete \
/var/lib/understudy/lost/x on i-c when nobody needs it any more
";
    assert_eq!(page.text, expected);
    assert!(page.subject.len() <= 100 && page.subject.is_ascii(), "{}", page.subject);
    assert_eq!(ledger.item(), "ledger#2026-03-30T03:11:40.000Z#rejoin#7");
    assert_eq!(ledger.entry().map(|entry| entry["report"]["loss"]["transactions"].clone()).ok(), Some(4.into()));
}

#[test]
fn what_was_not_lost_is_said_as_plainly() {
    let of = |diverged: bool, loss: &str| {
        let line = format!(r#"{{"outcome":"rebuilt","diverged":{diverged},"loss":{loss},"saved":null,"seconds":61}}"#);
        finished(&line).1
    };
    let none = of(false, "null");
    assert!(none.text.contains("Done    rebuilt from a copy of i-a's data in 61.0 s, epoch 7"), "{}", none.text);
    assert!(
        none.text.contains("Lost    nothing: the log of i-c has nothing that the writer's has not\n"),
        "{}",
        none.text
    );
    let empty = r#"{"from_lsn":"0/10","to_lsn":"0/80","bytes":112,"transactions":0,"first_at":null,"last_at":null,"tables":[]}"#;
    let empty = of(true, empty);
    assert!(empty.subject.starts_with("P3 "), "{}", empty.subject);
    assert!(
        empty.text.contains("nothing: i-c had 112 bytes of log of its own, 0/10 to 0/80, without any transaction"),
        "{}",
        empty.text
    );
}

#[test]
fn a_failure_is_told_with_the_command_to_run_by_hand() {
    let way = ended(CommandSeen::Failed { status: "Failed".to_owned(), stderr: "no room".to_owned() });
    let Decision::Act(steps) = of(&waiting(), &way) else { panic!("nothing is done") };
    let [Step::Note { before, after, page: Some(page) }] = steps.as_slice() else { panic!("{steps:?}") };
    assert_eq!((before, &after.failed), (&sent(), &Some(Failed { at_ms: NOW, why: "Failed: no room".to_owned() })));
    let expected = "\
Seen    rejoin.sh on i-c ended: Failed: no room
Done    nothing; i-c does not start as writer, and its old data is kept
Now     i-a (eu-west-1a) writes; one standby streams from it; commits wait for 1 of 2
Next    it is tried again in 10 min by itself, 3 times in all; by hand: aws ssm send-command --region eu-west-1 \
--document-name AWS-RunShellScript --instance-ids i-c \
--parameters 'commands=[\"bash /opt/understudy/rejoin.sh\"],executionTimeout=[\"43200\"]'
";
    assert_eq!(page.text, expected);
}
