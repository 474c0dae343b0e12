//! A change of a stack that failed: where and why, and what is done about it.

use crate::scripted::{Scripted, orders, schedule, stack_event};
use deploy_cluster::{
    Outcome::{Refused, Started, Waiting},
    outside::{ResourceSeen, SetupProblem},
};
use serde_json::json;

const CFN: &str = "Received FAILURE signal with UniqueId i-0a1 packages: no network";

/// A first creation whose second member failed.
async fn failed_at_first(status: &str) -> Scripted {
    let world = Scripted::new();
    world.ask(&orders()).await;
    world.fail_stack("Member2", CFN, status);
    world.now().done.clear();
    world
}

fn problem(world: &Scripted, at_ms: u64) {
    let reason = "apt: could not resolve\n  deb.example".to_owned();
    let problem = SetupProblem { step: "packages".into(), reason, at_ms };
    world.now().setup.insert("Member2".into(), problem);
}

const STORY: &str =
    "Member2 (AWS::EC2::Instance) failed: Received FAILURE signal with UniqueId i-0a1 packages: no network";

#[tokio::test]
async fn the_first_cause_is_told_with_what_the_host_says_and_what_can_be_done() {
    let world = failed_at_first("ROLLBACK_IN_PROGRESS").await;
    let now = world.now().now_ms;
    problem(&world, now);
    world.told();
    for event in ["ROLLBACK_IN_PROGRESS", "ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE"] {
        world.ask(&stack_event(event)).await;
    }
    let pages = std::mem::take(&mut world.now().pages);
    let [(subject, text)] = pages.as_slice() else { panic!("{pages:?}") };
    assert_eq!(subject, "orders: creation failed");
    let expected = format!(
        "Seen    {STORY}; the host says of its step packages: apt: could not resolve deb.example\n\
         Now     stack understudy-example-orders is in ROLLBACK_IN_PROGRESS after 1.5 min\n\
         Next    correct the cause and deploy the spec again: what is left of the stack is deleted first, if that is nothing\n"
    );
    assert_eq!(*text, expected);
}

#[tokio::test]
async fn what_a_host_said_in_an_earlier_attempt_is_not_told() {
    let world = failed_at_first("ROLLBACK_FAILED").await;
    let began = world.now().events.last().unwrap().at_ms;
    for (at_ms, told) in [(began - 1, false), (began, true), (0, true)] {
        problem(&world, at_ms);
        let answer = world.ask(&orders()).await;
        assert_eq!(answer.outcome, Refused);
        assert_eq!(answer.message.contains("the host says"), told, "{}", answer.message);
    }
}

/// The events of a lost day: the minute finds it.
#[tokio::test]
async fn a_failure_is_told_by_the_minute_when_its_event_was_lost() {
    let world = failed_at_first("ROLLBACK_COMPLETE").await;
    world.told();
    for _ in 0..3 {
        deploy_cluster::handle(&world, &schedule()).await.unwrap();
    }
    assert_eq!(world.told(), ["orders: creation failed"]);
    // Old news is none.
    let world = failed_at_first("ROLLBACK_COMPLETE").await;
    world.told();
    world.now().now_ms += 4 * 60 * 60 * 1_000;
    deploy_cluster::handle(&world, &schedule()).await.unwrap();
    assert!(world.told().is_empty());
}

#[tokio::test]
async fn a_page_that_could_not_be_sent_is_sent_by_the_next_look() {
    let world = failed_at_first("ROLLBACK_COMPLETE").await.with(|account| account.page_fails = true);
    assert!(deploy_cluster::handle(&world, &schedule()).await.is_err());
    world.now().page_fails = false;
    deploy_cluster::handle(&world, &schedule()).await.unwrap();
    assert_eq!(world.told(), ["orders: creation failed"]);
}

#[tokio::test]
async fn a_stack_that_cannot_go_on_is_left_to_a_person() {
    let delete = "correct the cause, then delete the cluster (data volumes leave a snapshot): \
                  {\"delete\": \"orders\", \"confirm\": \"orders\"}";
    let table = [
        ("CREATE_FAILED", delete),
        ("ROLLBACK_FAILED", delete),
        (
            "UPDATE_ROLLBACK_FAILED",
            "correct the cause, then: aws cloudformation continue-update-rollback --stack-name understudy-example-orders",
        ),
    ];
    for (status, way_out) in table {
        let world = failed_at_first(status).await;
        let answer = world.ask(&orders()).await;
        let expected = format!("stack understudy-example-orders is in {status}: {STORY}; {way_out}");
        assert_eq!((answer.outcome, answer.message), (Refused, expected));
        assert!(world.done().is_empty(), "{status}");
    }
}

#[tokio::test]
async fn a_first_creation_that_left_nothing_is_deleted_and_deployed_again() {
    let resource = |logical_id: &str, status: &str| ResourceSeen {
        logical_id: logical_id.into(),
        kind: "AWS::EC2::Volume".into(),
        status: status.into(),
    };
    let world = failed_at_first("ROLLBACK_COMPLETE").await;
    world.now().resources =
        vec![resource("Member1Data", "DELETE_COMPLETE"), resource("BackupBucket", "DELETE_SKIPPED")];
    let answer = world.ask(&orders()).await;
    assert_eq!(answer.outcome, Waiting, "{}", answer.message);
    assert!(answer.message.ends_with("deploy the spec again in a minute"), "{}", answer.message);
    assert_eq!(world.done(), ["protect false", "delete stack"]);
    world.complete_stack();
    assert_eq!(world.ask(&orders()).await.outcome, Started);

    // The minute has no spec to go on with, and leaves it alone.
    let world = failed_at_first("ROLLBACK_COMPLETE").await;
    deploy_cluster::handle(&world, &schedule()).await.unwrap();
    assert!(world.done().is_empty());

    // Something is left: a person must look.
    let world = failed_at_first("ROLLBACK_COMPLETE").await;
    world.now().resources = vec![resource("Member1Data", "CREATE_COMPLETE")];
    assert_eq!(world.ask(&orders()).await.outcome, Refused);
    assert!(world.done().is_empty());
}

#[tokio::test]
async fn an_update_tells_its_beginning_and_its_end_once() {
    let world = Scripted::deployed().await;
    world.ask(&stack_event("CREATE_COMPLETE")).await;
    assert_eq!(world.told(), ["orders: creation complete"]);
    let mut spec = orders();
    spec["policy"] = json!({ "failures": 4 });
    world.now().next_phase = deploy_cluster::outside::ChangeSetPhase::Ready(vec![]);
    world.ask(&spec).await;
    for _ in 0..2 {
        world.ask(&stack_event("UPDATE_IN_PROGRESS")).await;
    }
    assert_eq!(world.told(), ["orders: update started"]);
    world.complete_stack();
    for event in [stack_event("UPDATE_COMPLETE"), schedule(), stack_event("UPDATE_COMPLETE")] {
        world.ask(&event).await;
    }
    let pages = std::mem::take(&mut world.now().pages);
    assert_eq!(pages, [("orders: update complete".to_owned(), "Done    update of orders in 6.0 min\n".to_owned())]);
}
