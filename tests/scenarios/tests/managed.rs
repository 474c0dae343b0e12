//! `promote-replica` over clusters that AWS runs: cut at every call, woken twice and late, and never ordering twice.

use domain::{
    card::{OtherRegion, Topology},
    request::Request,
    state::{Pause, State},
};
use promote_replica::{ManagedPass, Report, answer, change_managed_writer, explain_managed, switch_over};
use reconcile::{Desk as _, Failure, Managed as _, Suspected, Waking};
use scenarios::world::{Later, Trouble, World, endpoint};
use serde_json::json;
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// While something is wrong, passes come so often.
const EVERY: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);

/// As `watch-clusters` wakes it when the writer of record does not answer; else as any event does.
fn woken(world: &World, silences: &mut Option<u64>) -> Waking {
    let mut inner = world.see();
    let (now, writer) = (inner.now_ms, inner.state.writer.clone());
    let silent = writer.as_ref().is_some_and(|id| {
        let server = inner.databases.server(id);
        !(server.runs && server.reached)
    });
    *silences = silent.then(|| silences.unwrap_or(now - 3_000));
    let suspicion = silences.zip(writer).map(|(since, member)| Suspected {
        member,
        failures: u32::try_from((now - since) / 1_000).unwrap_or(u32::MAX),
        silent_since_ms: since,
        raised_at_ms: now,
        last_seen_ms: Some(since - 1_000),
        last_lsn: Some(domain::lsn::Lsn(890)),
        synchronous_setting: None,
    });
    Waking { at_ms: now, by: "by watch-clusters".to_owned(), suspicion, ..Waking::default() }
}

fn new_pass(world: &World, waking: Waking) -> ManagedPass<World> {
    let turn = world.turn();
    ManagedPass::new(world.clone(), waking, turn.pass, Arc::default(), turn.deadline_ms)
}

fn pass(world: &World, silences: &mut Option<u64>) -> Option<Result<Report, Failure>> {
    let mut cluster = new_pass(world, woken(world, silences));
    world.run(change_managed_writer(&mut cluster))
}

/// So many passes; how the last ended.
fn passes(world: &World, count: usize) -> String {
    let (mut silences, mut end) = (None, String::new());
    for _ in 0..count {
        end = match pass(world, &mut silences) {
            None => "died".to_owned(),
            Some(Err(failure)) => format!("failed: {}", failure.story()),
            Some(Ok(report)) => format!("{}: {}", report.outcome, report.because),
        };
        world.later(EVERY);
    }
    end
}

/// Runs a world whole, then once for every call and every trouble at it; `judge` says what must be true at each end.
/// That clients never can write in two places, and that AWS never takes two orders, the world itself sees to.
fn walk(name: &str, count: usize, make: impl Fn() -> World, judge: impl Fn(&World, &str)) {
    let whole = make();
    let end = passes(&whole, count);
    judge(&whole, &format!("{name}, whole, {end}"));
    let calls = whole.see().calls.clone();
    // Looks repeat: what is cut in each of the first passes, and around every call that changes something.
    let looks = ["describe", "kept", "lags", "names", "probe", "state"];
    let cut = |number: &usize| *number < 60 || !looks.contains(&calls[*number - 1]) || number.is_multiple_of(17);
    for call in (1..=calls.len()).filter(cut) {
        for trouble in [Trouble::DiesBefore, Trouble::DiesAfter, Trouble::Fails, Trouble::LosesAnswer] {
            let world = make();
            world.see().trouble = Some(trouble(call));
            let end = passes(&world, count + 40);
            judge(&world, &format!("{name}, {:?} {}, {end}", trouble(call), calls[call - 1]));
        }
    }
}

fn writer_is(world: &World, id: &str, target: &str, what: &str) {
    let inner = world.see();
    assert_eq!((inner.state.writer.as_deref(), &inner.state.change), (Some(id), &None), "{what}");
    assert_eq!(inner.databases.open(), [id], "{what}");
    assert_eq!(inner.databases.names.writer.as_deref(), Some(target), "{what}");
    // Aurora's endpoint is moved by AWS: its record stays what it was.
    let moved = if target.contains(".cluster.") { 7 } else { inner.state.epoch };
    assert_eq!(inner.databases.names.epoch, Some(moved), "{what}");
    assert_eq!(inner.ledger.len(), 1, "{what}: {:?}", inner.ledger);
}

/// Late and doubled events: nothing more is done.
fn nothing_more(world: &World) {
    let done = || {
        let inner = world.see();
        (inner.databases.orders.clone(), inner.pages.len(), inner.state.epoch)
    };
    let before = done();
    for _ in 0..5 {
        let end = passes(world, 1);
        assert!(end.starts_with("steady"), "{end}");
    }
    assert_eq!(done(), before);
}

#[test]
fn all_is_well_and_nothing_is_done() {
    for world in [World::leads(), World::carts()] {
        assert!(passes(&world, 1).starts_with("steady"));
        let calls: BTreeSet<&str> = world.see().calls.iter().copied().collect();
        assert_eq!(calls, BTreeSet::from(["describe", "kept", "lags", "names", "probe", "state"]));
    }
}

#[test]
fn a_cluster_without_a_state_is_adopted() {
    for (world, writer) in [(World::leads(), "prod-leads-1"), (World::carts(), "prod-carts-1")] {
        (world.see().has_state, world.see().state) = (false, State::unclaimed());
        world.see().databases.names.epoch = Some(0);
        passes(&world, 2);
        let inner = world.see();
        assert_eq!((inner.state.writer.as_deref(), inner.state.epoch), (Some(writer), 1));
        assert!(inner.pages.is_empty() && inner.databases.orders.is_empty());
    }
}

fn aurora_fails_over() -> World {
    let world = World::carts();
    {
        let mut inner = world.see();
        let now = inner.now_ms;
        inner.databases.server("prod-carts-1").runs = false;
        inner.databases.at(now + 31_000, Later::FailedOver("prod-carts-2".to_owned()));
    }
    world
}

#[test]
fn a_failover_of_auroras_is_followed() {
    let target = "prod-carts.cluster.rds.amazonaws.com";
    walk("Aurora fails over", 16, aurora_fails_over, |world, what| {
        writer_is(world, "prod-carts-2", target, what);
        assert_eq!(world.see().databases.orders, [""; 0], "{what}");
        let pages: Vec<String> = world.see().pages.iter().map(|page| page.subject.clone()).collect();
        assert!((1..=2).contains(&pages.len()), "{what}: {pages:?}");
    });
    let world = aurora_fails_over();
    passes(&world, 16);
    {
        let inner = world.see();
        let entry = inner.ledger.values().next().unwrap();
        assert_eq!(
            (&entry["kind"], &entry["to"], &entry["lossless"]),
            (&json!("followed"), &json!("prod-carts-2"), &json!(true))
        );
        assert!(entry["rto_ms"].as_u64().is_some_and(|rto| (31_000..60_000).contains(&rto)), "{entry}");
    }
    nothing_more(&world);
}

fn gray() -> World {
    let world = World::carts();
    world.see().databases.server("prod-carts-1").reached = false;
    world
}

#[test]
fn a_gray_failure_is_failed_over_once() {
    let target = "prod-carts.cluster.rds.amazonaws.com";
    walk("gray failure", 40, gray, |world, what| {
        // One that died right between the note and the order never ordered: a person is told, since nobody can know.
        if world.see().databases.ordered("fail over") == 0 {
            assert!(!world.see().pages.is_empty(), "{what}");
            assert_eq!(world.see().databases.open(), ["prod-carts-1"], "{what}");
            return;
        }
        writer_is(world, "prod-carts-2", target, what);
    });
}

fn dead() -> World {
    let world = World::leads();
    world.see().databases.server("prod-leads-1").reached = false;
    world
}

/// The same, and RDS finds out, and cannot help: there is no standby.
fn failed() -> World {
    let world = dead();
    let now = world.see().now_ms;
    world.see().databases.at(now + 60_000, Later::Status("prod-leads-1".to_owned(), "failed"));
    world
}

#[test]
fn a_replica_is_promoted_once_behind_a_proof() {
    let target = endpoint("prod-leads-2");
    walk("promotion", 80, dead, |world, what| {
        writer_is(world, "prod-leads-2", &target, what);
        let inner = world.see();
        assert_eq!(inner.databases.ordered("promote"), 1, "{what}: {:?}", inner.databases.orders);
        assert!(inner.databases.ordered("render anew") >= 1, "{what}: {:?}", inner.databases.orders);
        assert_eq!(inner.kept["roles"]["writer"], 2, "{what}: {:?}", inner.kept);
    });
    let world = dead();
    passes(&world, 80);
    {
        let inner = world.see();
        let at = |what: &str| inner.databases.orders.iter().position(|order| order.starts_with(what));
        assert!(at("isolate prod-leads-1") < at("cut subnet-1") && at("cut subnet-1") < at("promote"));
        let entry = inner.ledger.values().next().unwrap();
        assert_eq!((&entry["from"], &entry["to"]), (&json!("prod-leads-1"), &json!("prod-leads-2")));
        for line in ["Seen", "Sure", "Done", "Lost", "Next"] {
            let page = inner.pages.last().unwrap();
            assert!(page.text.lines().any(|text| text.starts_with(line)), "{line}: {}", page.text);
        }
    }
}

/// Its subnet stays cut off while the old writer may run there: a person is told, and the new one serves.
#[test]
fn an_old_writer_that_cannot_be_stopped_stays_cut_off() {
    let target = endpoint("prod-leads-2");
    walk("a failed writer", 80, failed, |world, what| {
        writer_is(world, "prod-leads-2", &target, what);
        let inner = world.see();
        assert_eq!(inner.databases.ordered("promote"), 1, "{what}: {:?}", inner.databases.orders);
        let old = inner.databases.servers[0].rds.clone();
        let told = inner.pages.iter().any(|page| page.subject.contains("an old writer runs on"));
        assert!(told || old.status == "stopped", "{what}: {:?}", inner.pages);
        assert!(old.status == "stopped" || old.network_acl.as_deref() == Some("acl-isolated"), "{what}: {old:?}");
    });
}

/// Two passes, woken by the same event, one of them slow at any call.
#[test]
fn of_two_passes_one_orders() {
    for (make, count, what) in [(gray as fn() -> World, 40, "fail over"), (dead, 80, "promote")] {
        let calm = make();
        passes(&calm, count);
        let calls = calm.see().calls.clone();
        let changes = ["begin", "note", "fail_over", "promote", "prove", "move_writer", "finish", "keep", "send"];
        for call in (1..=calls.len()).filter(|call| changes.contains(&calls[call - 1])) {
            let world = make();
            world.see().trouble = Some(Trouble::Stops(call));
            let mut silences = None;
            for _ in 0..count + 20 {
                let mut first = new_pass(&world, woken(&world, &mut silences));
                let mut slow = std::pin::pin!(change_managed_writer(&mut first));
                if futures_util::FutureExt::now_or_never(slow.as_mut()).is_none() {
                    world.later(Duration::from_millis(50));
                    drop(pass(&world, &mut silences));
                    drop(world.run(slow));
                }
                world.later(EVERY);
            }
            let inner = world.see();
            assert!(inner.databases.ordered(what) <= 1, "call {call}: {:?}", inner.databases.orders);
            assert_eq!(inner.state.change, None, "call {call}");
            assert_eq!(inner.databases.open().len(), 1, "call {call}");
        }
    }
}

#[test]
fn one_that_is_modifying_for_ever_ends_in_one_page() {
    for (world, id) in [(World::leads(), "prod-leads-2"), (World::carts(), "prod-carts-3")] {
        world.see().databases.server(id).rds.status = "modifying".to_owned();
        let mut silences = None;
        for minute in 0..60 {
            let ended = pass(&world, &mut silences).unwrap().unwrap();
            let expected = if minute < 30 { "waits" } else { "refused" };
            assert!(ended.outcome == expected || minute == 30, "{minute}: {ended:?}");
            world.later(MINUTE);
        }
        let inner = world.see();
        assert_eq!(inner.pages.len(), 1, "{:?}", inner.pages);
        assert!(inner.pages[0].subject.starts_with("P2"), "{}", inner.pages[0].subject);
        assert!(inner.pages[0].text.contains(id), "{}", inner.pages[0].text);
        assert_eq!((&inner.state.change, inner.databases.orders.len()), (&None, 0));
    }
}

#[test]
fn a_promotion_that_never_ends_is_told_of_and_never_ordered_again_in_vain() {
    let world = dead();
    world.see().databases.promotion_ms = None;
    let mut silences = None;
    for _ in 0..240 {
        drop(pass(&world, &mut silences));
        world.later(EVERY * 3);
    }
    let inner = world.see();
    assert_eq!(inner.databases.ordered("promote"), 1);
    assert!(!inner.pages.is_empty() && inner.pages.len() <= 6, "{:?}", inner.pages);
}

#[test]
fn paused_nothing_is_done() {
    for world in [dead(), gray()] {
        let until_ms = world.see().now_ms + 3_600_000;
        world.see().state.pause = Some(Pause { until_ms, reason: "kernel".to_owned() });
        passes(&world, 60);
        let inner = world.see();
        assert_eq!((inner.state.epoch, inner.databases.orders.len()), (7, 0));
        assert!(!inner.calls.contains(&"begin") || inner.state.change.is_none());
    }
}

#[test]
fn where_another_region_serves_nothing_is_looked_at_or_done() {
    let other = OtherRegion { region: "eu-central-1".to_owned(), db_cluster_arn: None, instances: vec![] };
    let world = dead().but(|card| card.other = Some(other));
    world.see().kept.insert("region".to_owned(), json!({"serves": false}));
    passes(&world, 60);
    let inner = world.see();
    assert_eq!((inner.state.epoch, inner.pages.len(), inner.databases.orders.len()), (7, 0, 0));
    assert!(!inner.calls.contains(&"probe"));
    drop(inner);
    let waking = Waking { switchover: Some("prod-leads-2".to_owned()), ..Waking::default() };
    let report = world.run(switch_over(&mut new_pass(&world, waking))).unwrap().unwrap();
    assert_eq!((report.outcome, report.because.contains("another Region")), ("refused", true));
}

#[test]
fn one_that_may_pause_is_not_woken_by_a_schedule() {
    let world = World::carts().but(|card| card.topology = Topology::AuroraServerless);
    if let Some(cluster) = &mut world.see().databases.cluster {
        cluster.pauses = true;
    }
    let waking = Waking { by_schedule: true, ..Waking::default() };
    let report = world.run(change_managed_writer(&mut new_pass(&world, waking))).unwrap().unwrap();
    assert_eq!(report.outcome, "steady", "{report:?}");
    assert!(!world.see().calls.contains(&"probe") && !world.see().calls.contains(&"lags"));
    // Whatever else happens is worth a look.
    assert!(passes(&world, 1).starts_with("steady"));
    assert!(world.see().calls.contains(&"probe"));
}

#[test]
fn what_a_person_asks_for() {
    let world = World::carts();
    let ask = |request: Request| {
        let grace = world.card().policy.grace();
        world.run(answer(&world, grace, &request)).unwrap().unwrap().unwrap()
    };
    let cluster = || "carts".to_owned();
    let paused = ask(Request::Pause { cluster: cluster(), minutes: 5, reason: "kernel".to_owned() });
    assert_eq!(paused.outcome, "acted", "{paused:?}");
    assert_eq!(ask(Request::Resume { cluster: cluster() }).outcome, "acted");
    assert_eq!(ask(Request::Resume { cluster: cluster() }).outcome, "refused");
    assert_eq!(ask(Request::Approve { cluster: cluster(), epoch: 6, data_loss_bytes: None }).outcome, "refused");
    assert_eq!(ask(Request::Approve { cluster: cluster(), epoch: 7, data_loss_bytes: None }).outcome, "acted");
    let explained = world.run(explain_managed(&mut new_pass(&world, Waking::default()))).unwrap().unwrap();
    assert!(explained.outcome == "explained" && explained.explanation.is_some());
    assert!(world.see().databases.orders.is_empty());
    // I11: a switchover is one order of AWS's, verified and told.
    world.later(MINUTE);
    let to = |to: &str| Waking { at_ms: world.now_ms(), switchover: Some(to.to_owned()), ..Waking::default() };
    let nobody = world.run(switch_over(&mut new_pass(&world, to("prod-carts-9")))).unwrap().unwrap();
    assert_eq!((nobody.outcome, world.see().databases.orders.len()), ("refused", 0));
    drop(world.run(switch_over(&mut new_pass(&world, to("prod-carts-3")))));
    passes(&world, 20);
    writer_is(&world, "prod-carts-3", "prod-carts.cluster.rds.amazonaws.com", "switchover");
}
