//! `rejoin-replica` where Patroni owns the cluster: dead hosts come back, once,
//! one at a time, cut at every call; nothing that serves is taken away.

use domain::failover::{Host, Seen, Sql};
use reconcile::{Failure, Report, Waking};
use rejoin_replica::repair;
use scenarios::world::{Trouble, World, account, standby, writer};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn pass(world: &World) -> Option<Result<Report, Failure>> {
    let turn = world.turn();
    world.run(async { repair(world.clone(), &Waking::default(), &std::sync::Arc::default(), &turn).await })
}

fn outcome(world: &World) -> &'static str {
    pass(world).map_or("died", |ended| ended.map_or("failed", |report| report.outcome))
}

fn is_off(world: &World, id: &str) {
    let mut inner = world.see();
    inner.hosts.insert(id.to_owned(), Host::Stopped);
    if inner.sql.contains_key(id) {
        inner.sql.insert(id.to_owned(), Sql::Silent("no answer".to_owned()));
        inner.sql.insert("i-a".to_owned(), writer(&["i-b"]));
        let Seen::Known(account) = &mut inner.account else { panic!("no account") };
        // Its key in etcd has expired.
        account.roles.retain(|role| role.id != id);
    }
}

/// As when its host has booted and Patroni brought it back.
fn is_back(world: &World, id: &str) {
    let mut inner = world.see();
    if inner.sql.contains_key(id) {
        inner.sql.insert(id.to_owned(), standby());
        inner.sql.insert("i-a".to_owned(), writer(&["i-b", "i-c"]));
        inner.account = Seen::Known(account("i-a"));
    }
}

fn subjects(world: &World) -> Vec<String> {
    world.see().pages.iter().map(|page| page.subject.clone()).collect()
}

#[test]
fn all_is_well() {
    let world = World::led();
    assert_eq!(outcome(&world), "steady");
    assert!(world.see().orders.is_empty() && !world.see().calls.contains(&"keep"));
    assert!(!world.see().calls.contains(&"records"), "Route 53 is not asked");
}

#[test]
fn a_stopped_member_is_started_once_and_told_when_it_is_back() {
    let world = World::led();
    is_off(&world, "i-c");
    assert_eq!(outcome(&world), "acted", "noted");
    world.later(SECOND * 298);
    assert_eq!(outcome(&world), "waits");
    world.later(SECOND * 5);
    assert_eq!(outcome(&world), "acted");
    assert_eq!(world.see().orders, ["start i-c"]);
    assert_eq!(subjects(&world), ["P2 orders: orders_c (i-c, eu-west-1c) is stopped, started"]);
    for _ in 0..5 {
        world.later(SECOND * 20);
        assert!(["waits", "acted"].contains(&outcome(&world)));
    }
    is_back(&world, "i-c");
    assert_eq!(outcome(&world), "acted");
    assert_eq!(outcome(&world), "steady");
    assert_eq!(world.see().orders, ["start i-c"]);
    let told = subjects(&world);
    assert!(
        told.len() == 2 && told[1].starts_with("P3 orders: orders_c (i-c, eu-west-1c) is back, after 4"),
        "{told:?}"
    );
    let inner = world.see();
    let entry = inner.ledger.values().next().unwrap();
    assert_eq!((&entry["kind"], &entry["well"], &entry["host"]), (&"repair".into(), &true.into(), &"i-c".into()));
    assert!(inner.kept.is_empty(), "{:?}", inner.kept);
}

#[test]
fn whatever_is_cut_is_finished_and_nothing_is_ordered_twice_that_was_noted() {
    let ready = || {
        let world = World::led();
        is_off(&world, "i-c");
        outcome(&world);
        world.later(SECOND * 301);
        world
    };
    let calm = ready();
    let before = calm.see().calls.len();
    outcome(&calm);
    let calls = calm.see().calls[before..].to_vec();
    for call in 1..=calls.len() {
        for trouble in [Trouble::DiesBefore, Trouble::DiesAfter, Trouble::Fails, Trouble::LosesAnswer] {
            let world = ready();
            let trouble = trouble(before + call);
            let what = format!("{trouble:?}, {}", calls[call - 1]);
            world.see().trouble = Some(trouble);
            outcome(&world);
            world.see().trouble = None;
            for _ in 0..4 {
                world.later(SECOND * 301);
                if !world.see().orders.is_empty() {
                    is_back(&world, "i-c");
                }
                outcome(&world);
            }
            // A pass that died after the note and before the call leaves the rest to a person.
            let orders = world.see().orders.clone();
            let given_up = subjects(&world).iter().any(|subject| subject.contains("could not be repaired"));
            assert!(orders.len() == 1 || given_up, "{what}: {orders:?}, {:?}", subjects(&world));
            assert!(orders.iter().all(|order| order == "start i-c") && orders.len() <= 2, "{what}: {orders:?}");
            is_back(&world, "i-c");
            world.see().hosts.insert("i-c".to_owned(), Host::Running);
            outcome(&world);
            assert_eq!(outcome(&world), "steady", "{what}");
            assert!(world.see().kept.is_empty(), "{what}");
        }
    }
}

#[test]
fn one_running_host_at_a_time_and_every_stopped_one_at_once() {
    let world = World::led();
    is_off(&world, "i-x");
    is_off(&world, "i-c");
    {
        let mut inner = world.see();
        // Two that fail a check: the second waits until the first has settled.
        inner.impaired.insert("i-y".to_owned(), "instance status check fails".to_owned());
        inner.impaired.insert("i-z".to_owned(), "instance status check fails".to_owned());
    }
    outcome(&world);
    world.later(SECOND * 301);
    outcome(&world);
    // etcd has one of three left: none of the impaired is touched, the stopped ones are started.
    assert_eq!(world.see().orders, ["start i-c", "start i-x"]);
    is_back(&world, "i-c");
    world.see().impaired.remove("i-z");
    world.later(SECOND * 60);
    outcome(&world);
    assert_eq!(world.see().orders, ["start i-c", "start i-x", "reboot i-y"]);
    world.see().impaired.insert("i-b".to_owned(), "system status check fails".to_owned());
    world.later(SECOND * 60);
    outcome(&world);
    world.later(SECOND * 301);
    outcome(&world);
    assert_eq!(world.see().orders.len(), 3, "i-y has its turn");
    world.see().impaired.remove("i-y");
    outcome(&world);
    outcome(&world);
    assert_eq!(world.see().orders.last().map(String::as_str), Some("reboot i-b"));
}

#[test]
fn the_leader_is_never_touched_and_no_host_is_while_nobody_leads() {
    let world = World::led();
    {
        let mut inner = world.see();
        inner.impaired.insert("i-a".to_owned(), "instance status check fails".to_owned());
        inner.sql.insert("i-c".to_owned(), Sql::Refused);
        let Seen::Known(account) = &mut inner.account else { panic!("no account") };
        account.roles.retain(|role| role.id != "i-c");
    }
    world.see().sql.insert("i-a".to_owned(), writer(&["i-b"]));
    outcome(&world);
    // Nobody leads when its time has come.
    world.later(SECOND * 301);
    world.see().sql.insert("i-a".to_owned(), Sql::Silent("no answer".to_owned()));
    assert_eq!(outcome(&world), "waits");
    assert!(world.see().orders.is_empty());
    world.see().sql.insert("i-a".to_owned(), writer(&["i-b"]));
    outcome(&world);
    assert_eq!(world.see().orders, ["bash /opt/understudy/repair.sh i-c"]);
    world.later(SECOND * 3_600);
    outcome(&world);
    assert!(world.see().orders.iter().all(|order| !order.contains("i-a")));
}

#[test]
fn a_member_that_patroni_cannot_start_is_made_anew_by_ssm() {
    let world = World::led();
    let fail = |world: &World| {
        let mut inner = world.see();
        inner.sql.insert("i-a".to_owned(), writer(&["i-b"]));
        inner.sql.insert("i-c".to_owned(), Sql::Refused);
        let Seen::Known(account) = &mut inner.account else { panic!("no account") };
        account
            .roles
            .iter_mut()
            .filter(|role| role.id == "i-c")
            .for_each(|role| role.state = "start failed".to_owned());
    };
    fail(&world);
    outcome(&world);
    world.later(SECOND * 301);
    world.see().endings.push(Err("the copy does not fit".to_owned()));
    outcome(&world);
    assert_eq!(world.see().orders, ["bash /opt/understudy/repair.sh i-c"]);
    world.later(SECOND * 10);
    outcome(&world);
    let told = subjects(&world);
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[1], "P2 orders: orders_c (i-c, eu-west-1c) could not start PostgreSQL, and could not be repaired");
    let text = world.see().pages[1].text.clone();
    assert!(text.contains("Failed: the copy does not fit"), "{text}");
    world.later(SECOND * 3_600);
    outcome(&world);
    assert_eq!(subjects(&world).len(), 2, "once");
    assert_eq!(world.see().orders.len(), 1, "once");

    // Without an agent nothing was ordered, and the next pass tries again.
    let world = World::led();
    fail(&world);
    outcome(&world);
    world.later(SECOND * 301);
    world.see().has_agent = false;
    assert_eq!(outcome(&world), "failed");
    world.see().has_agent = true;
    world.later(SECOND * 60);
    outcome(&world);
    assert_eq!(world.see().commands.len(), 1);
    // It ends well, and Patroni says streaming again.
    world.later(SECOND * 10);
    {
        let mut inner = world.see();
        inner.account = Seen::Known(account("i-a"));
        inner.tick();
    }
    outcome(&world);
    assert_eq!(outcome(&world), "steady");
    assert!(subjects(&world).last().is_some_and(|subject| subject.starts_with("P3 orders: orders_c")));
}

#[test]
fn a_terminated_host_is_told_once() {
    let world = World::led();
    world.see().hosts.insert("i-z".to_owned(), Host::Terminated);
    for _ in 0..4 {
        outcome(&world);
        world.later(SECOND * 301);
    }
    assert_eq!(subjects(&world), ["P2 orders: orders-etcd-3 (i-z, eu-west-1a) is gone, and must be made anew"]);
    assert!(world.see().pages[0].text.contains("stack understudy-prod-orders has it as Etcd3"));
    assert!(world.see().orders.is_empty());
}

#[test]
fn a_paused_cluster_is_left_alone() {
    let world = World::led();
    is_off(&world, "i-c");
    let until_ms = world.see().now_ms + 3_600_000;
    world.see().state.pause = Some(domain::state::Pause { until_ms, reason: "kernel".to_owned() });
    outcome(&world);
    world.later(SECOND * 900);
    assert_eq!(outcome(&world), "waits");
    assert!(world.see().orders.is_empty());
    world.later(SECOND * 3_600);
    outcome(&world);
    assert_eq!(world.see().orders, ["start i-c"]);
}
