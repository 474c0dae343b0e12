//! A copy that takes over, and the plan of an upgrade, as requests.

use crate::scripted::{Scripted, leads, orders, schedule};
use deploy_cluster::{
    Outcome::{Deleted, Planned, Ready, Refused, Started, Status, Waiting},
    handle, reading,
};
use domain::{
    blue_green::Server,
    state::{Pause, State},
};
use serde_json::{Value, json};
use template::Part;

fn request(action: &str) -> Value {
    json!({ "blue_green": { "cluster": "leads", "action": action } })
}

async fn serving() -> Scripted {
    let world = Scripted::of(&reading::read_value(leads()).unwrap(), Part::Primary);
    world.ask(&leads()).await;
    world.complete_stack();
    world.ask(&schedule()).await;
    world.now().adopt();
    assert_eq!(world.ask(&schedule()).await.outcome, Ready);
    world.now().done.clear();
    world.told();
    world
}

#[tokio::test]
async fn a_copy_is_made_checked_switched_over_to_once_and_forgotten() {
    let world = serving().await;
    let mut create = request("create");
    create["blue_green"]["engine_version"] = "15.6".into();
    let answer = world.ask(&create).await;
    assert_eq!((answer.outcome, answer.message.as_str()), (Started, "RDS is making the green databases"));
    assert_eq!(world.done(), ["create blue/green of leads from arn:example-leads-1 15.6"]);
    assert_eq!(world.ask(&create).await.outcome, Waiting);
    assert_eq!(world.ask(&request("switch_over")).await.outcome, Waiting);

    world.now().databases.becomes("AVAILABLE");
    let answer = world.ask(&request("status")).await;
    assert_eq!(answer.outcome, Status);
    assert!(answer.message.starts_with("bgd-1 of leads is AVAILABLE: arn:example-leads-1 -> "), "{}", answer.message);
    assert_eq!(world.ask(&create).await.outcome, Ready);
    let answer = world.ask(&request("switch_over")).await;
    let expected = "nobody knows how far the green side is behind; ask again";
    assert_eq!((answer.outcome, answer.message.as_str()), (Refused, expected));
    world.now().databases.green_lag = Some(1_000);
    let answer = world.ask(&request("switch_over")).await;
    assert_eq!((answer.outcome, answer.message.as_str()), (Started, "the green databases are taking over"));
    assert_eq!(world.done(), ["switch over bgd-1 in 300 s"]);
    assert_eq!(world.ask(&request("switch_over")).await.outcome, Waiting);
    assert_eq!(world.ask(&request("delete")).await.outcome, Refused, "not in the middle");

    world.now().databases.becomes("SWITCHOVER_COMPLETED");
    let answer = world.ask(&request("switch_over")).await;
    assert_eq!(answer.outcome, Ready);
    assert!(answer.message.contains("names have swapped") && answer.message.contains("-old1"), "{}", answer.message);
    assert!(world.done().is_empty(), "switched over once");
    let answer = world.ask(&request("delete")).await;
    assert_eq!(answer.outcome, Deleted, "{}", answer.message);
    assert_eq!(world.done(), ["delete bgd-1, its databases: false"]);
    // Stack, card and records are what they were.
    for event in [leads(), schedule()] {
        assert_eq!(world.ask(&event).await.outcome, Ready);
    }
    assert!(world.done().is_empty());
}

#[tokio::test]
async fn a_copy_that_is_not_wanted_is_thrown_away_with_its_databases() {
    let world = serving().await;
    world.ask(&request("create")).await;
    world.now().databases.becomes("AVAILABLE");
    world.done();
    assert_eq!(world.ask(&request("delete")).await.outcome, Deleted);
    assert_eq!(world.done(), ["delete bgd-1, its databases: true"]);
    assert_eq!(world.ask(&request("delete")).await.outcome, Deleted, "again");
    assert!(world.done().is_empty());
}

#[tokio::test]
async fn an_order_that_is_cut_short_is_never_given_twice() {
    let base = serving().await;
    base.ask(&request("create")).await;
    base.now().databases.becomes("AVAILABLE");
    base.now().databases.green_lag = Some(0);
    base.done();
    let fresh = serving().await;
    for (base, action, order) in [(&fresh, "create", "create blue/green"), (&base, "switch_over", "switch over")] {
        for lost_answer in [false, true] {
            for cut in 0.. {
                let world = base.copy();
                world.now().calls_left = cut;
                world.now().lost_answer = lost_answer;
                let first = handle(&world, &request(action)).await;
                let calls_left = std::mem::replace(&mut world.now().calls_left, usize::MAX);
                for _ in 0..2 {
                    world.ask(&request(action)).await;
                }
                let given = world.done().iter().filter(|done| done.starts_with(order)).count();
                assert_eq!(given, 1, "{action} cut after {cut}, answer lost: {lost_answer}");
                if first.is_ok() && calls_left > 0 {
                    assert!(cut > 5, "the walk had only {cut} steps");
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn refusals_are_those_of_every_change() {
    let world = serving().await;
    let until_ms = world.now().now_ms + 60_000;
    world.now().state.as_mut().unwrap().pause = Some(Pause { until_ms, reason: "month end".into() });
    let answer = world.ask(&request("create")).await;
    assert_eq!((answer.outcome, answer.message.as_str()), (Refused, "the cluster is paused: month end"));
    world.now().now_ms += 120_000;
    world.now().stack.as_mut().unwrap().status = "UPDATE_IN_PROGRESS".into();
    assert_eq!(world.ask(&request("create")).await.outcome, Waiting);
    world.now().stack.as_mut().unwrap().status = "UPDATE_COMPLETE".into();
    world.now().databases.manages_password = true;
    let answer = world.ask(&request("create")).await;
    assert!(answer.outcome == Refused && answer.message.contains("master password"), "{}", answer.message);
    world.now().databases.manages_password = false;
    world.now().databases.rds.instances[1].replicas = vec!["example-leads-9".into()];
    let answer = world.ask(&request("create")).await;
    assert!(answer.message.contains("example-leads-2 has some"), "{}", answer.message);
    assert!(world.done().is_empty());

    let on_ec2 = Scripted::deployed().await;
    let answer = on_ec2.ask(&json!({ "blue_green": { "cluster": "orders", "action": "create" } })).await;
    assert!(
        answer.outcome == Refused && answer.message.ends_with("this cluster is ec2-streaming"),
        "{}",
        answer.message
    );
    let answer = Scripted::new().ask(&request("create")).await;
    assert_eq!((answer.outcome, answer.message.as_str()), (Refused, "there is no cluster leads"));
}

#[tokio::test]
async fn a_request_that_makes_no_sense_touches_nothing() {
    for broken in [
        json!({ "blue_green": "leads" }),
        json!({ "blue_green": { "cluster": "leads" } }),
        json!({ "blue_green": { "cluster": "leads", "action": "promote" } }),
        json!({ "blue_green": { "cluster": "*", "action": "create" } }),
        json!({ "blue_green": { "cluster": "leads", "action": "delete", "engine_version": "17" } }),
        json!({ "plan_upgrade": { "cluster": "leads" } }),
        json!({ "plan_upgrade": { "cluster": "leads", "to": 17.5 } }),
        json!({ "plan_upgrade": { "cluster": "leads", "to": 17, "now": true } }),
        json!({ "render_anew": ["leads"] }),
        json!({ "render_anew": "leads", "confirm": "leads" }),
    ] {
        let world = Scripted::new().with(|account| account.calls_left = 0);
        let answer = world.ask(&broken).await;
        assert_eq!(answer.outcome, Refused, "{broken}");
        assert!(answer.message.ends_with("nothing was done"), "{broken}: {}", answer.message);
    }
}

#[tokio::test]
async fn an_upgrade_is_planned_and_nothing_is_touched() {
    let plan = |to: u32| json!({ "plan_upgrade": { "cluster": "leads", "to": to } });
    let world = serving().await;
    let logical_slots = vec!["cdc".to_owned()];
    world.now().databases.server = Some((true, Server { logical_slots, ..Server::default() }));
    let answer = world.ask(&plan(17)).await;
    assert_eq!(answer.outcome, Planned);
    for part in [
        "leads from PostgreSQL 15.4 to 17, by a blue/green deployment",
        "RDS upgrades 15.4 to 17.2; take 17.2",
        "CHECK  logical slots that must be dropped first: cdc",
        "example-leads-2 are copied with the writer",
        "   1. put right every check above that is not well",
    ] {
        assert!(answer.message.contains(part), "no {part:?} in {}", answer.message);
    }
    let answer = world.ask(&plan(15)).await;
    assert_eq!((answer.outcome, answer.message.as_str()), (Refused, "leads has PostgreSQL 15.4 already"));
    world.now().databases.server = None;
    let answer = world.ask(&plan(18)).await;
    assert!(answer.message.contains("CHECK  RDS upgrades 15.4 to no version 18"), "{}", answer.message);
    assert!(answer.message.contains("CHECK  the server was not reached"), "{}", answer.message);
    assert!(world.done().is_empty());
    let on_ec2 = Scripted::deployed().await;
    on_ec2.now().state = Some(State::unclaimed());
    let answer = on_ec2.ask(&json!({ "plan_upgrade": { "cluster": orders()["name"], "to": 17 } })).await;
    assert!(answer.outcome == Refused && answer.message.starts_with("orders is ec2-streaming"), "{}", answer.message);
}
