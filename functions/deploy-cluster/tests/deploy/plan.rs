//! What a deployment would change, shown and forgotten.

use crate::scripted::{Scripted, added, modified, orders, schedule};
use deploy_cluster::{
    Outcome::{Planned, Refused, Waiting},
    outside::{Change, ChangeSetPhase},
};
use serde_json::{Value, json};

fn plan(spec: Value) -> Value {
    json!({ "plan": spec })
}

fn changed() -> Value {
    let mut spec = orders();
    spec["policy"] = json!({ "failures": 4 });
    spec
}

#[tokio::test]
async fn a_new_cluster_is_all_added_and_nothing_is_touched() {
    let world = Scripted::new();
    let answer = world.ask(&plan(orders())).await;
    assert_eq!(answer.outcome, Planned, "{}", answer.message);
    assert!(answer.message.contains(" 0 changed, 0 replaced, 0 removed; nothing was executed\n"), "{}", answer.message);
    assert!(answer.message.contains("\n  add          Member1 "), "{}", answer.message);
    assert!(answer.changes.iter().all(|planned| planned.what == "add" && planned.refused.is_none()));
    assert!(answer.changes.iter().any(|planned| planned.kind == "AWS::EC2::Instance"));
    assert!(world.done().is_empty() && world.now().stack.is_none());
}

#[tokio::test]
async fn a_cluster_that_stands_is_compared_and_the_change_set_is_deleted() {
    let world = Scripted::deployed().await;
    world.now().looks_until_made = 3;
    let volume =
        Change { logical_id: "Member2Data".into(), ..modified("AWS::EC2::Volume", "True", "AvailabilityZone") };
    let card = Change { logical_id: "Card".into(), ..modified("AWS::SSM::Parameter", "False", "Value") };
    let alarm = Change { logical_id: "Old".into(), action: "Remove".into(), ..added("AWS::CloudWatch::Alarm") };
    world.now().next_phase = ChangeSetPhase::Ready(vec![volume, card, alarm]);
    let answer = world.ask(&plan(changed())).await;
    let expected = "orders: 0 added, 1 changed, 1 replaced, 1 removed; nothing was executed; \
         a deployment would be refused because of 1 of them\n\
         \x20 change       Card         AWS::SSM::Parameter  (Value)\n\
         \x20 remove       Old          AWS::CloudWatch::Alarm\n\
         \x20 replace      Member2Data  AWS::EC2::Volume  (AvailabilityZone)  REFUSED";
    assert_eq!((answer.outcome, answer.message.as_str()), (Planned, expected));
    let refused = answer.changes[2].refused.as_deref();
    assert_eq!(refused, Some("it would replace Member2Data (AWS::EC2::Volume) because of AvailabilityZone"));
    assert_eq!(world.done(), ["create change set: update, image Kept", "delete change set"]);
}

#[tokio::test]
async fn nothing_to_change_is_said_and_what_cannot_be_compared_too() {
    let world = Scripted::deployed().await;
    world.now().next_phase = ChangeSetPhase::Empty;
    let mut spec = orders();
    spec["deletion_protection"] = json!(false);
    let answer = world.ask(&plan(spec)).await;
    let expected = "orders: 0 added, 0 changed, 0 replaced, 0 removed; nothing was executed; \
                    deletion protection would be turned off";
    assert_eq!((answer.outcome, answer.message.as_str()), (Planned, expected));

    world.now().next_phase = ChangeSetPhase::Failed("no such image".into());
    let answer = world.ask(&plan(changed())).await;
    assert_eq!(
        (answer.outcome, answer.message.as_str()),
        (Refused, "CloudFormation could not prepare the change: no such image")
    );

    world.now().next_phase = ChangeSetPhase::Ready(vec![]);
    world.now().looks_until_made = 99;
    let answer = world.ask(&plan(changed())).await;
    assert_eq!(answer.outcome, Waiting, "{}", answer.message);
    assert!(world.now().change_sets.keys().all(|name| !name.ends_with("-plan")));

    world.now().stack.as_mut().unwrap().status = "UPDATE_IN_PROGRESS".into();
    assert_eq!(world.ask(&plan(changed())).await.outcome, Waiting);
}

#[tokio::test]
async fn a_bad_spec_is_told_as_for_a_deployment() {
    let world = Scripted::new().with(|account| account.calls_left = 0);
    let answer =
        world.ask(&plan(json!({ "name": "orders", "topology": "ec2-streaming", "members": { "count": 9 } }))).await;
    assert_eq!((answer.outcome, answer.problems.len()), (Refused, 1));
    let answer = world.ask(&json!({ "plan": orders(), "deploy": orders() })).await;
    assert_eq!(answer.outcome, Refused);
    assert!(answer.message.ends_with("but confirm beside delete; nothing was done"), "{}", answer.message);
}

/// What a plan leaves when it is cut is never executed, and deleted when nobody can still wait for it.
#[tokio::test]
async fn a_plan_cut_short_anywhere_leaves_nothing_for_long() {
    let base = Scripted::deployed().await;
    base.ask(&orders()).await;
    for lost_answer in [false, true] {
        for cut in 0.. {
            let world = base.copy();
            let before = {
                let account = world.now();
                (account.template.clone(), account.stack.clone())
            };
            world.now().next_phase = ChangeSetPhase::Ready(vec![modified("AWS::SSM::Parameter", "False", "Value")]);
            world.now().calls_left = cut;
            world.now().lost_answer = lost_answer;
            let first = deploy_cluster::handle(&world, &plan(changed())).await;
            let calls_left = std::mem::replace(&mut world.now().calls_left, usize::MAX);

            world.ask(&schedule()).await;
            world.now().now_ms += 6 * 60_000;
            world.ask(&schedule()).await;

            let account = world.now();
            let name = format!("cut after {cut}, answer of the last call lost: {lost_answer}");
            assert_eq!((account.template.clone(), account.stack.clone()), before, "{name}");
            assert!(account.change_sets.keys().all(|name| !name.ends_with("-plan")), "{name}");
            drop(account);
            if first.is_ok() && calls_left > 0 {
                assert!(cut > 4, "the walk had no steps");
                break;
            }
        }
    }
}

#[tokio::test]
async fn the_minute_leaves_a_plan_to_whoever_waits_for_it() {
    let world = Scripted::deployed().await;
    world.ask(&orders()).await;
    world.done();
    let now = world.now().now_ms;
    let plan = (ChangeSetPhase::Ready(vec![]), Value::Null, now);
    world.now().change_sets.insert("understudy-0123456789abcdef-plan".into(), plan);
    world.ask(&schedule()).await;
    assert!(world.done().is_empty());
}
