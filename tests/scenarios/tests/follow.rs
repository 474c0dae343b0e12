//! `promote-replica` where Patroni owns the cluster: what Patroni did is
//! followed, cut at every call, overtaken, and never worked against (I15).

use domain::{
    failover::{Host, Seen, Sql},
    state::{Holder, State},
};
use promote_replica::{LedPass, Report, follow_leader};
use reconcile::{Failure, Suspected, Waking};
use scenarios::world::{Trouble, World, account, address, writer};
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};

const MINUTE: Duration = Duration::from_secs(60);

fn led_pass(world: &World, waking: Waking) -> LedPass<World> {
    let turn = world.turn();
    LedPass::new(world.clone(), waking, turn.pass, std::sync::Arc::default(), turn.deadline_ms)
}

/// As `watch-clusters` wakes it: `i-a` is silent for 27 s, and commits waited for `i-b`.
fn woken(world: &World) -> Waking {
    let now = world.see().now_ms;
    woken_at(world, now)
}

/// The same, of a silence that was 27 s old at that time.
fn woken_at(world: &World, at_ms: u64) -> Waking {
    let now = world.see().now_ms;
    Waking {
        at_ms: now,
        by: "by watch-clusters".to_owned(),
        suspicion: Some(Suspected {
            member: "i-a".to_owned(),
            failures: 27,
            silent_since_ms: at_ms - 27_000,
            raised_at_ms: now,
            last_seen_ms: Some(at_ms - 28_000),
            last_lsn: Some(domain::lsn::Lsn(890)),
            synchronous_setting: Some("orders_b".to_owned()),
        }),
        ..Waking::default()
    }
}

/// When the scripted world begins.
const BEGINNING: u64 = 1_774_840_330_000;

/// A pass in a silence that began before the world.
fn pass(world: &World) -> Option<Result<Report, Failure>> {
    let mut cluster = led_pass(world, woken_at(world, BEGINNING));
    world.run(follow_leader(&mut cluster))
}

fn outcome(world: &World) -> &'static str {
    pass(world).map_or("died", |ended| ended.map_or("failed", |report| report.outcome))
}

/// What a pass over a cluster of Patroni's may call; nothing of it touches a server.
const MAY_CALL: [&str; 24] = [
    "adopt",
    "append",
    "begin",
    "finish",
    "guard",
    "hosts",
    "kept",
    "keep",
    "move_writer",
    "note",
    "pause",
    "probe",
    "publish",
    "records",
    "release",
    "resume",
    "send",
    "set_readers",
    "state",
    "store",
    "tell_once",
    "untell",
    "voices",
    "abandon",
];

fn touched_nothing(world: &World) {
    let inner = world.see();
    let calls: BTreeSet<&str> = inner.calls.iter().copied().collect();
    let strange: Vec<&&str> = calls.iter().filter(|call| !MAY_CALL.contains(call)).collect();
    assert!(strange.is_empty(), "{strange:?}");
    assert!(inner.orders.is_empty(), "{:?}", inner.orders);
}

fn is_followed(world: &World, what: &str) {
    let inner = world.see();
    assert_eq!((&inner.state.writer, inner.state.epoch), (&Some("i-b".to_owned()), 8), "{what}");
    assert_eq!((&inner.state.change, &inner.state.holder), (&None, &None), "{what}");
    assert_eq!((&inner.records.writer, inner.records.epoch), (&vec![address("i-b")], Some(8)), "{what}");
    assert_eq!(inner.ledger.len(), 1, "{what}: {:?}", inner.ledger);
    let subjects: Vec<&str> = inner.pages.iter().map(|page| page.subject.as_str()).collect();
    // A pass that dies between the page and the end of the change tells twice.
    // And one whose move failed says so meanwhile.
    assert!((1..=2).contains(&subjects.len()), "{what}: {subjects:?}");
    assert!(subjects.iter().all(|subject| subject.starts_with("P1 orders: writer moved")), "{what}: {subjects:?}");
    let last = subjects.last().is_some_and(|last| last.starts_with("P1 orders: writer moved to i-b (eu-west-1b)"));
    assert!(last, "{what}: {subjects:?}");
}

#[test]
fn all_is_well_and_nothing_is_done() {
    let world = World::led();
    assert_eq!(outcome(&world), "steady");
    let calls: BTreeSet<&str> = world.see().calls.iter().copied().collect();
    assert_eq!(calls, BTreeSet::from(["hosts", "kept", "probe", "records", "state", "store", "voices"]));
}

#[test]
fn a_cluster_without_a_state_is_adopted() {
    let world = World::led();
    {
        let mut inner = world.see();
        (inner.has_state, inner.state) = (false, State::unclaimed());
        inner.records = domain::records::RecordsSeen::default();
    }
    assert_eq!(outcome(&world), "acted");
    {
        let inner = world.see();
        assert_eq!((&inner.state.writer, inner.state.epoch), (&Some("i-a".to_owned()), 1));
        assert_eq!(inner.state.synchronous.setting(), "ANY 1 (\"orders_b\")");
        assert!(inner.pages.is_empty() && inner.records.writer.is_empty());
    }
    assert_eq!(outcome(&world), "steady");
    touched_nothing(&world);
}

#[test]
fn a_promotion_of_patronis_is_followed() {
    let world = World::led_elsewhere();
    assert_eq!(outcome(&world), "acted");
    is_followed(&world, "in one pass");
    {
        let inner = world.see();
        assert_eq!(inner.records.reader, [address("i-c")]);
        // I11: the epoch before the record, the ledger before the page, the page before the end.
        let order: Vec<&str> = inner
            .calls
            .iter()
            .copied()
            .filter(|call| ["begin", "move_writer", "note", "set_readers", "append", "send", "finish"].contains(call))
            .collect();
        assert_eq!(order, ["begin", "move_writer", "note", "set_readers", "append", "send", "finish"]);
        let entry = inner.ledger.values().next().unwrap();
        for (name, expected) in [
            ("kind", json!("followed")),
            ("from", json!("i-a")),
            ("to", json!("i-b")),
            ("epoch", json!(8)),
            ("timeline", json!([2, 3])),
            ("promoted_at_lsn", json!("0/384")),
            ("lossless", json!(true)),
            ("rpo_bytes", json!(0)),
        ] {
            assert_eq!(entry[name], expected, "{name}");
        }
        assert!(entry["rto_ms"].as_u64().is_some_and(|rto| (27_000..28_000).contains(&rto)), "{entry}");
        assert_eq!(inner.pages.len(), 1);
        for line in ["Seen", "Sure", "Done", "Lost", "Took", "Now", "Next"] {
            assert!(inner.pages[0].text.lines().any(|text| text.starts_with(line)), "{line}: {}", inner.pages[0].text);
        }
    }
    // Late, doubled and reordered wake-ups change nothing.
    let before = world.see().records.clone();
    for _ in 0..3 {
        world.later(Duration::from_secs(2));
        assert_eq!(outcome(&world), "steady");
    }
    {
        let inner = world.see();
        assert_eq!((inner.pages.len(), inner.state.epoch), (1, 8));
        assert_eq!(inner.records, before);
    }
    touched_nothing(&world);
}

#[test]
fn whatever_is_cut_is_finished_by_the_next_pass() {
    let calm = World::led_elsewhere();
    outcome(&calm);
    let calls = calm.see().calls.clone();
    for call in 1..=calls.len() {
        for trouble in [Trouble::DiesBefore, Trouble::DiesAfter, Trouble::Fails, Trouble::LosesAnswer] {
            let world = World::led_elsewhere();
            let trouble = trouble(call);
            let what = format!("{trouble:?}, {}", calls[call - 1]);
            world.see().trouble = Some(trouble);
            outcome(&world);
            world.see().trouble = None;
            for _ in 0..3 {
                world.later(MINUTE * 2);
                outcome(&world);
            }
            assert_eq!(outcome(&world), "steady", "{what}");
            world.see().state.holder = None;
            is_followed(&world, &what);
            touched_nothing(&world);
        }
    }
}

/// One process sees a member fall silent, come back, lead and fall silent again:
/// the time is the second silence's.
#[test]
fn an_older_silence_is_not_this_one() {
    let silences: std::sync::Arc<reconcile::Silences> = std::sync::Arc::default();
    let pass = |world: &World, waking: Waking| {
        let turn = world.turn();
        let mut cluster = LedPass::new(world.clone(), waking, turn.pass, silences.clone(), turn.deadline_ms);
        world.run(follow_leader(&mut cluster)).unwrap().unwrap().outcome
    };
    let world = World::led_elsewhere();
    assert_eq!(pass(&world, woken(&world)), "acted");
    world.later(MINUTE * 4);
    // It came back as a standby, and Patroni made it leader again; no pass of this process saw it answer.
    {
        let mut inner = world.see();
        inner.state.writer = Some("i-a".to_owned());
        inner.records.writer = vec![address("i-a")];
        inner.elect("i-b");
        inner.sql.insert("i-a".to_owned(), Sql::Silent("no answer".to_owned()));
    }
    assert_eq!(pass(&world, woken(&world)), "acted");
    let rtos: Vec<u64> = world.see().ledger.values().filter_map(|entry| entry["rto_ms"].as_u64()).collect();
    assert!(rtos.len() == 2 && rtos.iter().all(|rto| (27_000..28_000).contains(rto)), "{rtos:?}");
}

/// Two passes, woken by the same event: one of them follows.
#[test]
fn of_two_passes_one_follows() {
    let calm = World::led_elsewhere();
    outcome(&calm);
    let calls = calm.see().calls.len();
    for call in 1..=calls {
        let world = World::led_elsewhere();
        world.see().trouble = Some(Trouble::Stops(call));
        let mut first = led_pass(&world, woken(&world));
        let mut slow = std::pin::pin!(follow_leader(&mut first));
        // A call of a look that hangs is gone on without.
        if futures_util::FutureExt::now_or_never(slow.as_mut()).is_none() {
            world.later(Duration::from_millis(50));
            outcome(&world);
            drop(world.run(slow));
        }
        world.see().trouble = None;
        for _ in 0..2 {
            world.later(MINUTE * 2);
            outcome(&world);
        }
        is_followed(&world, &format!("call {call}"));
        assert_eq!(world.see().pages.len(), 1, "call {call}");
    }
}

#[test]
fn nobody_leads_and_one_page_an_hour_says_so() {
    let world = World::led();
    {
        let mut inner = world.see();
        inner.sql.insert("i-a".to_owned(), Sql::Silent("no answer".to_owned()));
        let mut said = account("i-a");
        said.leader = None;
        inner.account = Seen::Known(said);
    }
    // The first wake-up comes when it is silent for 27 s, and Patroni has 33.
    let mut outcomes = Vec::new();
    for _ in 0..6 {
        outcomes.push(outcome(&world));
        world.later(Duration::from_secs(2));
    }
    assert_eq!(outcomes, ["waits", "waits", "waits", "refused", "refused", "refused"]);
    let pages = world.see().pages.clone();
    assert_eq!(pages.len(), 1);
    assert_eq!(pages[0].subject, "P1 orders: no leader");
    world.later(MINUTE * 55);
    outcome(&world);
    assert_eq!(world.see().pages.len(), 1);
    world.later(MINUTE * 5);
    outcome(&world);
    assert_eq!(world.see().pages.len(), 2, "again after an hour");
    // And then one leads: it is followed, and what was waited for is forgotten.
    world.see().elect("i-b");
    world.see().sql.insert("i-a".to_owned(), Sql::Silent("no answer".to_owned()));
    assert_eq!(outcome(&world), "acted");
    assert_eq!(world.see().state.writer.as_deref(), Some("i-b"));
    assert!(world.see().kept.is_empty(), "{:?}", world.see().kept);
    touched_nothing(&world);
}

/// PostgreSQL restarted in place, and no pass saw it well again; later it dies.
#[test]
fn a_wait_that_ended_unseen_is_not_gone_on_with() {
    let world = World::led();
    let outcome = |world: &World| {
        let mut cluster = led_pass(world, woken(world));
        world.run(follow_leader(&mut cluster)).unwrap().unwrap().outcome
    };
    {
        let mut inner = world.see();
        inner.sql.insert("i-a".to_owned(), Sql::Silent("no answer".to_owned()));
        let mut said = account("i-a");
        said.leader = None;
        inner.account = Seen::Known(said);
    }
    assert_eq!(outcome(&world), "waits");
    // Probes found it well meanwhile: woken() says that it answered 28 s ago.
    world.later(MINUTE);
    assert_eq!(outcome(&world), "waits");
    assert_eq!(world.see().pages.len(), 0);
}

#[test]
fn two_writers_are_paged_and_nothing_is_touched() {
    let world = World::led();
    world.see().sql.insert("i-c".to_owned(), writer(&[]));
    assert_eq!(outcome(&world), "refused");
    assert_eq!(outcome(&world), "refused");
    let pages = world.see().pages.clone();
    assert_eq!(pages.len(), 1);
    assert_eq!(pages[0].subject, "P1 orders: TWO WRITERS");
    let calls: BTreeSet<&str> = world.see().calls.iter().copied().collect();
    for call in ["begin", "move_writer", "set_readers", "resume", "adopt"] {
        assert!(!calls.contains(call), "{call}");
    }
    touched_nothing(&world);
}

#[test]
fn a_leader_that_only_one_side_names_is_waited_for_then_paged() {
    let world = World::led_elsewhere();
    world.see().account = Seen::Known(account("i-c"));
    assert_eq!(outcome(&world), "waits");
    world.later(Duration::from_secs(34));
    assert_eq!(outcome(&world), "refused");
    assert_eq!(world.see().pages[0].subject, "P1 orders: PostgreSQL and the keeper name different leaders");
    assert_eq!(world.see().state.epoch, 7);
    assert_eq!(world.see().records.writer, [address("i-a")]);
    touched_nothing(&world);
}

#[test]
fn a_record_somebody_else_changed_is_set_right() {
    let world = World::led();
    world.see().records.writer = vec![address("i-c")];
    assert_eq!(outcome(&world), "acted");
    let inner = world.see();
    assert_eq!(inner.records.writer, [address("i-a")]);
    assert_eq!((inner.records.epoch, inner.pages.len()), (Some(7), 0));
    assert_eq!(inner.state.holder, None);
}

#[test]
fn another_pass_is_left_alone() {
    let world = World::led_elsewhere();
    let expires_at_ms = world.see().now_ms + 30_000;
    world.see().state.holder = Some(Holder { id: "other".to_owned(), expires_at_ms });
    assert_eq!(outcome(&world), "waits");
    assert_eq!(world.see().state.holder.as_ref().map(|holder| &*holder.id), Some("other"));
}

/// `update-dns` needs to know nothing of Patroni.
#[test]
fn readers_follow_who_streams() {
    let world = World::led();
    {
        let mut inner = world.see();
        inner.sql.insert("i-a".to_owned(), writer(&["i-b"]));
        inner.sql.insert("i-c".to_owned(), Sql::Silent("no answer".to_owned()));
        inner.hosts.insert("i-c".to_owned(), Host::Stopped);
        inner.records.writer = vec![address("i-b")];
    }
    let mut dns = update_dns::Pass::new(world.clone(), Waking::default(), std::sync::Arc::default(), world.turn());
    let report = world.run(update_dns::follow_roles(&mut dns)).unwrap().unwrap();
    assert_eq!(report.outcome, "acted");
    let records = world.see().records.clone();
    assert_eq!((records.writer, records.reader), (vec![address("i-a")], vec![address("i-b")]));
}
