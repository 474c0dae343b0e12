//! How a cluster stands.

use crate::scripted::{Scripted, orders};
use deploy_cluster::Outcome::Status;
use serde_json::json;

#[tokio::test]
async fn a_look_changes_nothing_and_says_what_there_is() {
    let status = json!({ "status": "orders" });
    let world = Scripted::new();
    let answer = world.ask(&status).await;
    assert_eq!((answer.outcome, answer.message.as_str()), (Status, "there is no stack understudy-example-orders"));

    world.ask(&orders()).await;
    world.done();
    world.now().now_ms += 30_000;
    world.now().happens("Member1Data", "CREATE_COMPLETE", None);
    let answer = world.ask(&status).await;
    let expected = "orders is in CREATE_IN_PROGRESS: 1 resources of the creation are done after 0.0 min; \
                    no writer is on record";
    assert_eq!(answer.message, expected);

    world.complete_stack();
    world.ask(&orders()).await;
    world.done();
    let answer = world.ask(&status).await;
    let expected = "orders is in CREATE_COMPLETE since a creation of 6.5 min; the writer on record is orders_1";
    assert_eq!(answer.message, expected);
    let standing = serde_json::to_value(answer.standing.unwrap()).unwrap();
    assert_eq!(standing["deletion_protection"], true);
    assert_eq!(standing["part"], "primary");
    assert_eq!(standing["writer_record"], json!(["10.0.0.1"]));
    assert_eq!(standing["members"][2], json!(["orders_3", "10.0.0.3"]));

    world.fail_stack("Member2", "too small", "UPDATE_ROLLBACK_COMPLETE");
    let answer = world.ask(&status).await;
    let standing = serde_json::to_value(answer.standing.unwrap()).unwrap();
    assert_eq!(standing["problem"], "Member2 (AWS::EC2::Instance) failed: too small");
    let next = "the cluster is as it was before: correct the cause and deploy the spec again";
    assert_eq!(standing["next"], next);
    assert!(world.done().is_empty());
}
