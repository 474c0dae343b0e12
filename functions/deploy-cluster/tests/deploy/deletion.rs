//! The end of a cluster.

use crate::scripted::{Scripted, card, orders, schedule, stack_event};
use deploy_cluster::{
    Outcome::{Deleted, Refused, Started, Waiting},
    handle,
    outside::{Certificate, ChangeSetPhase},
};
use domain::records::RecordsSeen;
use serde_json::{Value, json};

fn delete() -> Value {
    json!({ "delete": "orders", "confirm": "orders" })
}

/// A cluster that serves and is not protected.
async fn unprotected() -> Scripted {
    let world = Scripted::deployed().await;
    world.ask(&orders()).await;
    let mut spec = orders();
    spec["deletion_protection"] = json!(false);
    world.done();
    // The template only notes the other spec: CloudFormation finds nothing to change.
    let ready = std::mem::replace(&mut world.now().next_phase, ChangeSetPhase::Empty);
    world.ask(&spec).await;
    assert_eq!(world.done(), ["create change set: update, image Kept", "delete change set", "protect false"]);
    world.now().next_phase = ready;
    world.told();
    world
}

#[tokio::test]
async fn a_protected_cluster_is_not_deleted() {
    let world = Scripted::deployed().await;
    world.ask(&orders()).await;
    world.done();
    let answer = world.ask(&delete()).await;
    let expected = "deletion protection of understudy-example-orders is on: deploy its spec with \
                    \"deletion_protection\": false first; nothing was changed";
    assert_eq!((answer.outcome, answer.message.as_str()), (Refused, expected));
    assert!(world.done().is_empty() && world.now().deletion.is_none());
}

#[tokio::test]
async fn the_name_is_needed_twice() {
    let world = Scripted::new().with(|account| account.calls_left = 0);
    for payload in [json!({ "delete": "orders" }), json!({ "delete": "orders", "confirm": "order" })] {
        assert_eq!(world.ask(&payload).await.outcome, Refused);
    }
}

#[tokio::test]
async fn protection_follows_the_spec_in_both_directions() {
    let world = unprotected().await;
    world.ask(&orders()).await;
    assert_eq!(world.done(), ["protect true"]);
    world.ask(&orders()).await;
    assert!(world.done().is_empty());
}

#[tokio::test]
async fn the_stack_goes_first_and_then_what_is_beside_it() {
    let world = unprotected().await;
    let answer = world.ask(&delete()).await;
    assert_eq!(answer.outcome, Started, "{}", answer.message);
    assert_eq!(world.done(), ["note deletion", "delete stack"]);
    assert_eq!(world.ask(&delete()).await.outcome, Waiting);
    assert_eq!(world.ask(&stack_event("DELETE_IN_PROGRESS")).await.outcome, Waiting);
    assert_eq!(world.told(), ["orders: deletion started"]);
    // Nothing is deployed meanwhile, and nothing is published.
    let answer = world.ask(&orders()).await;
    assert_eq!(answer.message, "orders is being deleted: deploy it again when that is over");
    assert!(world.done().is_empty());

    world.complete_stack();
    let answer = world.ask(&stack_event("DELETE_COMPLETE")).await;
    assert_eq!(answer.outcome, Deleted, "{}", answer.message);
    assert!(answer.message.contains("; 3 volumes left a last snapshot; its records are removed"), "{}", answer.message);
    assert_eq!(world.done(), ["remove records", "delete certificate", "forget deletion"]);
    let pages = std::mem::take(&mut world.now().pages);
    assert_eq!(pages.len(), 1, "{pages:?}");
    assert_eq!(pages[0].0, "orders: deletion complete");
    assert!(
        pages[0]
            .1
            .starts_with("Done    deletion of orders in 6.0 min\nNow     stack understudy-example-orders is gone")
    );
    let epoch = world.now().state.as_ref().map(|state| state.epoch);
    assert_eq!(epoch, Some(1), "the state item stays: the epoch only grows");

    // Doubled and late events, and another request: there is nothing left to do.
    for event in [stack_event("DELETE_COMPLETE"), delete(), delete()] {
        handle(&world, &event).await.unwrap();
    }
    world.now().done.retain(|done| done != "unclaim orders");
    assert!(world.done().is_empty() && world.told().is_empty());
    assert_eq!(world.ask(&delete()).await.message, "there is no stack understudy-example-orders: nothing was done");
}

#[tokio::test]
async fn a_cluster_of_a_deleted_ones_name_gets_its_certificate_back() {
    let world = Scripted::new().with(|account| account.tls = Some(Certificate::Marked));
    assert_eq!(world.ask(&orders()).await.outcome, Started);
    assert_eq!(world.done()[0], "restore certificate");
}

#[tokio::test]
async fn a_deletion_that_failed_is_told_and_tried_again_by_a_person_only() {
    let world = unprotected().await;
    world.ask(&delete()).await;
    world.fail_stack("Member1Data", "VolumeInUse", "DELETE_FAILED");
    world.done();
    let answer = world.ask(&stack_event("DELETE_FAILED")).await;
    let expected = "CloudFormation could not delete understudy-example-orders: Member1Data (AWS::EC2::Instance) failed: \
                    VolumeInUse; correct the cause and ask for it again";
    assert_eq!((answer.outcome, answer.message.as_str()), (Refused, expected));
    assert_eq!(world.told(), ["orders: deletion stuck"]);
    assert_eq!(world.ask(&schedule()).await.outcome, Refused);
    assert!(world.done().is_empty());
    assert_eq!(world.ask(&delete()).await.outcome, Started);
    assert_eq!(world.done(), ["delete stack"]);
}

#[tokio::test]
async fn protection_that_came_back_ends_the_deletion() {
    let world = unprotected().await;
    world.now().calls_left = 7;
    while world.now().deletion.is_none() {
        let _ = handle(&world, &delete()).await;
        world.now().calls_left = 7;
    }
    world.now().calls_left = usize::MAX;
    world.done();
    world.now().stack.as_mut().unwrap().protected = true;
    world.ask(&schedule()).await;
    assert_eq!(world.done(), ["forget deletion"]);
    assert_eq!(world.now().stack.as_ref().unwrap().status, "CREATE_COMPLETE");
}

#[tokio::test]
async fn a_first_creation_that_left_nothing_is_deleted_though_it_is_protected() {
    let world = Scripted::new();
    world.ask(&orders()).await;
    world.fail_stack("Member2", "no", "ROLLBACK_COMPLETE");
    world.done();
    assert_eq!(world.ask(&delete()).await.outcome, Started);
    assert_eq!(world.done(), ["note deletion", "protect false", "delete stack"]);
}

/// Cut after every call, with and without the answer of the last one: the minute comes to the same end.
#[tokio::test]
async fn a_deletion_cut_short_anywhere_is_finished_by_the_minute() {
    let base = unprotected().await;
    let ending = base.copy();
    ending.ask(&delete()).await;
    ending.complete_stack();
    for lost_answer in [false, true] {
        for cut in 0.. {
            let world = base.copy();
            let (first, calls_left) = cut_at(&world, &delete(), cut, lost_answer).await;
            if world.now().deletion.is_none() && first.is_err() {
                // Nobody knows yet: the person, who got no answer, asks again.
                world.ask(&delete()).await;
            }
            come_to_the_end(&world).await;
            check(&world, &format!("the request cut after {cut}, answer lost: {lost_answer}"));
            if first.is_ok() && calls_left > 0 {
                assert!(cut > 5, "the walk had no steps");
                break;
            }
        }
        for cut in 0.. {
            let world = ending.copy();
            let (first, calls_left) = cut_at(&world, &stack_event("DELETE_COMPLETE"), cut, lost_answer).await;
            come_to_the_end(&world).await;
            check(&world, &format!("the end cut after {cut}, answer lost: {lost_answer}"));
            if first.is_ok() && calls_left > 0 {
                assert!(cut > 8, "the walk had no steps");
                break;
            }
        }
    }
}

async fn cut_at(
    world: &Scripted,
    event: &Value,
    cut: usize,
    lost_answer: bool,
) -> (Result<(), reconcile::Failure>, usize) {
    world.now().calls_left = cut;
    world.now().lost_answer = lost_answer;
    let first = handle(world, event).await.map(drop);
    let calls_left = std::mem::replace(&mut world.now().calls_left, usize::MAX);
    (first, calls_left)
}

async fn come_to_the_end(world: &Scripted) {
    for _ in 0..6 {
        handle(world, &schedule()).await.unwrap();
        let deleting = world.now().stack.as_ref().is_some_and(|stack| stack.status == "DELETE_IN_PROGRESS");
        if deleting {
            world.complete_stack();
        }
    }
}

fn check(world: &Scripted, name: &str) {
    let account = world.now();
    assert_eq!((&account.stack, &account.deletion), (&None, &None), "{name}");
    assert_eq!(account.records, RecordsSeen::default(), "{name}");
    assert_eq!(account.tls, Some(Certificate::Marked), "{name}");
    let ends = account.pages.iter().filter(|(subject, _)| subject == "orders: deletion complete").count();
    // A page that was sent by a call that could not say so is sent twice, rather than not at all.
    assert!((1..=2).contains(&ends), "{name}: {:?}", account.pages);
}

/// Two calls at the same time, in every order: the end is the same, and told once or twice.
#[tokio::test]
async fn a_deletion_beside_itself_comes_to_the_same_end() {
    let base = unprotected().await;
    for head_start in 0..20 {
        let world = base.copy().with(|account| account.yields = true);
        let (asking, looking) = (delete(), schedule());
        let later = async {
            for _ in 0..head_start {
                tokio::task::yield_now().await;
            }
            handle(&world, &looking).await
        };
        let (first, second) = tokio::join!(handle(&world, &asking), later);
        first.unwrap();
        second.unwrap();
        world.complete_stack();
        let ended = stack_event("DELETE_COMPLETE");
        let later = async {
            for _ in 0..head_start {
                tokio::task::yield_now().await;
            }
            handle(&world, &looking).await
        };
        let (first, second) = tokio::join!(handle(&world, &ended), later);
        first.unwrap();
        second.unwrap();
        come_to_the_end(&world).await;
        check(&world, &format!("{head_start} calls apart"));
    }
}

#[tokio::test]
async fn the_records_are_those_of_the_card_and_no_others() {
    let world = unprotected().await;
    world.ask(&delete()).await;
    assert_eq!(world.now().deletion.as_ref().unwrap().records, Some(card().records));
}
