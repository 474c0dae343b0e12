//! `rejoin-replica` against a scripted world: cut at every call, twice at once,
//! failing, and overtaken by others. The world itself panics at a second
//! command on a member while one runs.

use domain::failover::Sql;
use reconcile::{Failure, Report, Waking};
use rejoin_replica::{Pass, bring_back};
use scenarios::world::{Trouble, World, writer};
use std::{collections::BTreeSet, pin::pin, time::Duration};

const MINUTE: Duration = Duration::from_secs(60);

fn printed(transactions: u64) -> String {
    let loss = match transactions {
        0 => serde_json::Value::Null,
        some => serde_json::json!({
            "from_lsn": "0/10", "to_lsn": "0/80", "bytes": 112, "transactions": some,
            "first_at": "2026-03-30T03:12:07Z", "last_at": "2026-03-30T03:12:07Z",
            "tables": [{"name": "public.rows", "changes": some}],
        }),
    };
    let report = serde_json::json!({
        "outcome": "rewound", "diverged": transactions > 0, "loss": loss, "saved": "/var/lib/understudy/lost/x",
        "seconds": 4,
    });
    format!("{report}\n")
}

async fn pass(world: &World) -> Result<Report, Failure> {
    let mut pass = Pass::new(world.clone(), Waking::default(), std::sync::Arc::default(), world.turn());
    bring_back(&mut pass).await
}

/// A pass every five minutes, as its schedule has it.
fn passes(world: &World, count: u32) -> Vec<Option<Result<Report, Failure>>> {
    let one = |_| {
        let ended = world.run(pass(world));
        world.later(MINUTE * 5);
        ended
    };
    (0..count).map(one).collect()
}

fn waiting(endings: Vec<Result<String, String>>) -> World {
    let world = World::old_writer_waits();
    world.see().endings = endings;
    world
}

/// What must be so in the end, whatever happened on the way.
fn is_back(world: &World, what: &str) {
    let mut inner = world.see();
    inner.tick();
    assert!(matches!(inner.sql["i-c"], Sql::Standby(_)), "{what}: it is no standby");
    assert_eq!(inner.rejoin.len(), 0, "{what}: {:?}", inner.rejoin);
    assert_eq!(inner.ledger.len(), 1, "{what}: {:?}", inner.ledger);
    assert_eq!(inner.commands.len(), 1, "{what}: {:?}", inner.commands);
}

/// Commands, pages, and members on their way.
fn counts(world: &World) -> [usize; 3] {
    let inner = world.see();
    [inner.commands.len(), inner.pages.len(), inner.rejoin.len()]
}

#[test]
fn an_old_writer_becomes_a_standby_and_one_page_says_what_it_lost() {
    let world = waiting(vec![Ok(printed(3))]);
    let reports = passes(&world, 4);
    let outcomes: Vec<&str> = reports.iter().map(|report| report.as_ref().unwrap().as_ref().unwrap().outcome).collect();
    assert_eq!(outcomes, ["acted", "acted", "steady", "steady"], "{reports:?}");
    is_back(&world, "no trouble");
    let inner = world.see();
    assert_eq!(inner.pages.len(), 1);
    let page = &inner.pages[0];
    assert_eq!(
        page.subject,
        "P2 orders: i-c (eu-west-1c) is a standby again; 3 transactions (112 bytes of log) only it had"
    );
    assert!(page.text.contains("saved on i-c in /var/lib/understudy/lost/x"), "{}", page.text);
    let (key, entry) = inner.ledger.first_key_value().unwrap();
    assert!(key.starts_with("ledger#2026-03-30T03:12:1") && key.ends_with("#rejoin#7"), "{key}");
    assert_eq!(entry["report"]["loss"]["transactions"], 3);
}

/// Every call of the whole story, with every trouble: what a pass leaves, the
/// next one finishes, with one command, one ledger item, and one page.
#[test]
fn whatever_is_cut_is_finished_by_the_next_pass() {
    let calm = waiting(vec![Ok(printed(3))]);
    passes(&calm, 4);
    let calls = calm.see().calls.clone();
    assert!(calls.len() > 20, "{calls:?}");
    let mut told_twice = BTreeSet::new();
    for runs in [Duration::from_secs(4), MINUTE * 7] {
        for call in 1..=calls.len() {
            let troubles = [Trouble::DiesBefore, Trouble::DiesAfter, Trouble::Fails, Trouble::LosesAnswer];
            for trouble in troubles.map(|trouble| trouble(call)) {
                let world = waiting(vec![Ok(printed(3))]);
                world.see().trouble = Some(trouble);
                world.see().runs_ms = u64::try_from(runs.as_millis()).unwrap();
                passes(&world, 12);
                let what = format!("{trouble:?}, a command of {runs:?}, {}", world.see().calls[call - 1]);
                is_back(&world, &what);
                let inner = world.see();
                match inner.pages.len() {
                    1 => {}
                    // It was sent, and the pass could not say so.
                    2 => drop(told_twice.insert(inner.calls[call - 1])),
                    other => panic!("{what}: {other} pages"),
                }
            }
        }
    }
    assert_eq!(told_twice, BTreeSet::from(["send", "forget_rejoin"]));
}

/// One pass stands still before some call while another runs to its end.
#[test]
fn two_passes_at_once_send_one_command_and_one_page() {
    let calm = waiting(vec![Ok(printed(3))]);
    passes(&calm, 4);
    let calls = calm.see().calls.len();
    for call in 1..=calls {
        let world = waiting(vec![Ok(printed(3))]);
        world.see().trouble = Some(Trouble::Stops(call));
        for _ in 0..4 {
            let mut slow = pin!(pass(&world));
            // `None`: it stands still. The other one comes in between.
            if futures_util::FutureExt::now_or_never(slow.as_mut()).is_none() {
                let other = world.run(pass(&world)).unwrap();
                world.later(Duration::from_secs(5));
                let ended = world.run(slow).unwrap();
                for ended in [other, ended] {
                    assert!(matches!(ended, Ok(_) | Err(Failure::LostRace { .. })), "call {call}: {ended:?}");
                }
            }
            world.later(MINUTE * 5);
        }
        is_back(&world, &format!("stopped before call {call}"));
        assert_eq!(world.see().pages.len(), 1, "stopped before call {call}: {:?}", world.see().pages);
    }
}

#[test]
fn a_failure_is_tried_three_times_and_told_twice() {
    let fails = || Err("one\nno room on /var\n".to_owned());
    let world = waiting(vec![fails(), fails(), fails(), Ok(printed(0))]);
    passes(&world, 30);
    let inner = world.see();
    let sent: Vec<u64> = inner.commands.iter().map(|command| command.sent_at_ms / 60_000).collect();
    assert_eq!(sent.len(), 3, "{sent:?}");
    assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= 10), "{sent:?}");
    let subjects: Vec<&str> = inner.pages.iter().map(|page| page.subject.as_str()).collect();
    let expected = [1, 3].map(|n| format!("P2 orders: i-c (eu-west-1c) could not be made a standby, attempt {n} of 3"));
    assert_eq!(subjects, expected);
    assert!(inner.pages[0].text.contains("ended: Failed: no room on /var"), "{}", inner.pages[0].text);
    assert!(inner.pages[1].text.contains("it is not tried again at epoch 7; by hand: aws ssm send-command"));
    assert_eq!(inner.ledger.len(), 0);
}

#[test]
fn another_epoch_begins_anew() {
    let world = waiting(vec![Err("x".to_owned()), Err("x".to_owned()), Err("x".to_owned()), Ok(printed(0))]);
    passes(&world, 30);
    assert_eq!(world.see().commands.len(), 3);
    {
        let mut inner = world.see();
        inner.state.epoch = 8;
        if let Some(guard) = inner.guards.get_mut("i-c") {
            guard.epoch = 8;
        }
    }
    passes(&world, 3);
    let inner = world.see();
    assert_eq!((inner.commands.len(), inner.ledger.len(), inner.rejoin.len()), (4, 1, 0));
    assert_eq!(inner.pages.last().unwrap().subject, "P3 orders: i-c (eu-west-1c) is a standby again; nothing was lost");
}

#[test]
fn a_member_made_a_standby_by_hand_is_left_alone() {
    let world = waiting(vec![Err("x".to_owned())]);
    passes(&world, 2);
    assert_eq!(world.see().rejoin.len(), 1);
    world.see().sql.insert("i-c".to_owned(), scenarios::world::standby());
    world.see().sql.insert("i-a".to_owned(), writer(&["i-b", "i-c"]));
    passes(&world, 10);
    let inner = world.see();
    assert_eq!((inner.rejoin.len(), inner.commands.len(), inner.pages.len()), (0, 1, 1));
}

#[test]
fn an_agent_that_is_not_there_yet_costs_no_try_and_one_that_stays_away_one_page() {
    let world = waiting(vec![Ok(printed(0))]);
    world.see().has_agent = false;
    passes(&world, 2);
    assert_eq!(counts(&world), [0, 0, 1]);
    passes(&world, 10);
    assert_eq!(world.see().pages.len(), 1);
    assert_eq!(
        world.see().pages[0].subject,
        "P2 orders: i-c (eu-west-1c) cannot be made a standby: SSM does not reach it"
    );
    world.see().has_agent = true;
    passes(&world, 3);
    is_back(&world, "the agent came");
    assert_eq!(world.see().pages.len(), 2);
    let entry = world.see().ledger.values().next().unwrap().clone();
    assert_eq!(entry["attempt"], 1);
}

#[test]
fn a_command_that_lasts_is_told_of_once() {
    let world = waiting(vec![Ok(printed(0))]);
    world.see().runs_ms = 3 * 3_600_000;
    passes(&world, 30);
    let subjects: Vec<String> = world.see().pages.iter().map(|page| page.subject.clone()).collect();
    assert_eq!(subjects, ["P3 orders: i-c (eu-west-1c) is not a standby yet, after 60 min"]);
    passes(&world, 10);
    is_back(&world, "after three hours");
    assert_eq!(world.see().pages.len(), 2);
}

/// I2: between the look and the command a change of writer begins.
#[test]
fn nothing_is_sent_when_the_state_is_another_by_then() {
    let calm = waiting(vec![]);
    world_run(&calm);
    let noted = calm.see().calls.iter().position(|call| *call == "note_rejoin").unwrap();
    let world = waiting(vec![]);
    // It stands still before it reads the state item for the second time.
    world.see().trouble = Some(Trouble::Stops(noted));
    let mut slow = pin!(pass(&world));
    assert!(futures_util::FutureExt::now_or_never(slow.as_mut()).is_none());
    world.see().state.epoch = 8;
    let ended = world.run(slow).unwrap();
    assert!(matches!(ended, Err(Failure::LostRace { .. })), "{ended:?}");
    assert_eq!(counts(&world), [0, 0, 0]);
}

fn world_run(world: &World) {
    world.run(pass(world)).unwrap().unwrap();
}

#[test]
fn a_cluster_that_is_well_is_looked_at_and_left_alone() {
    let world = World::well();
    let report = world.run(pass(&world)).unwrap().unwrap();
    assert_eq!((report.outcome, &*report.because), ("steady", "no member waits to be made a standby"));
    let calls: BTreeSet<&str> = world.see().calls.iter().copied().collect();
    assert_eq!(calls, BTreeSet::from(["state", "probe", "hosts", "guard", "rejoin"]), "nothing but looks");
}
