//! Cut short after every call, with and without the answer of the last one:
//! the next calls come to the same end.

use crate::scripted::{Scripted, address, claimed, orders, schedule, stack_event};
use deploy_cluster::{Outcome::Ready, handle};
use domain::records::RecordsSeen;
use serde_json::Value;

/// Calls the function until the cluster is ready, while CloudFormation works between the calls.
async fn go_on(world: &Scripted, event: &Value) {
    for _ in 0..10 {
        if world.ask(event).await.outcome == Ready {
            return;
        }
        let busy = world
            .now()
            .stack
            .as_ref()
            .is_some_and(|stack| stack.status.ends_with("_IN_PROGRESS") && stack.status != "REVIEW_IN_PROGRESS");
        if busy {
            world.complete_stack();
        }
    }
    panic!("it does not come to an end");
}

/// Runs `start` cut after 0, 1, 2... calls, goes on with `then`, and checks the end.
async fn walk(world: impl Fn() -> Scripted, start: &Value, then: &Value, end: &[&str]) {
    for lost_answer in [false, true] {
        for cut in 0.. {
            let world = world();
            world.now().calls_left = cut;
            world.now().lost_answer = lost_answer;
            let first = handle(&world, start).await;
            let calls_left = std::mem::replace(&mut world.now().calls_left, usize::MAX);

            go_on(&world, then).await;

            let account = world.now();
            let name = format!("cut after {cut}, answer of the last call lost: {lost_answer}");
            assert_eq!(account.records.writer, [address(1)], "{name}");
            assert_eq!(account.records.reader, [address(2), address(3)], "{name}");
            assert_eq!(account.done, end, "{name}");
            drop(account);
            if first.is_ok() && calls_left > 0 {
                assert!(cut > 5, "the walk had no steps");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_deployment_cut_short_anywhere_is_finished_by_the_same_call() {
    let end = [
        "create certificate of orders for orders-rw.db.internal, orders-ro.db.internal",
        "put nodes",
        "unclaim orders",
        r#"create change set: new stack, image Is("ami-1")"#,
        "protect true",
        "execute change set",
        "reader record -> [10.0.0.2, 10.0.0.3]",
        "writer record Some((10.0.0.2, 4)) -> (10.0.0.1, 5)",
    ];
    let left_over = || {
        Scripted::new().with(|account| {
            account.state = Some(claimed(4));
            let (writer, reader) = (vec![address(2)], vec![address(1)]);
            account.records = RecordsSeen { writer, epoch: Some(4), reader, ..RecordsSeen::default() };
        })
    };
    walk(left_over, &orders(), &orders(), &end).await;
}

#[tokio::test]
async fn the_records_of_a_complete_stack_are_finished_by_the_minute() {
    let end = ["reader record -> [10.0.0.2, 10.0.0.3]", "writer record None -> (10.0.0.1, 1)"];
    let complete = Scripted::deployed().await;
    let (stack, template, card) = {
        let account = complete.now();
        (account.stack.clone(), account.template.clone(), account.card.clone())
    };
    let world = || {
        Scripted::new().with(|account| {
            account.stack = stack.clone();
            account.template = template.clone();
            account.card = card.clone();
            account.state = Some(claimed(1));
            account.members = crate::scripted::serving(&[2, 3]);
        })
    };
    walk(world, &stack_event("CREATE_COMPLETE"), &schedule(), &end).await;
}
