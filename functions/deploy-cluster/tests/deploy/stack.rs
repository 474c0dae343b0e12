//! From a spec to a stack that is complete.

use crate::scripted::{Scripted, added, claimed, modified, orders, schedule, stack_event};
use deploy_cluster::{
    Outcome::{Ignored, Ready, Refused, Started, Waiting},
    outside::{Certificate, Change, ChangeSetPhase},
};
use serde_json::json;

const CERTIFICATE: &str = "create certificate of orders for orders-rw.db.internal, orders-ro.db.internal";
const CREATE: &str = r#"create change set: new stack, image Is("ami-1")"#;
const UPDATE: &str = "create change set: update, image Kept";
const BUNDLE: &str = "put nodes";
const PROTECT: &str = "protect true";
const EXECUTE: &str = "execute change set";
const DELETE: &str = "delete change set";

#[tokio::test]
async fn a_spec_becomes_a_stack_and_then_records() {
    let world = Scripted::new();

    let answer = world.ask(&orders()).await;
    assert_eq!((answer.outcome, answer.message.as_str()), (Started, "CloudFormation is at work, CREATE_IN_PROGRESS"));
    assert_eq!(world.done(), [CERTIFICATE, BUNDLE, CREATE, PROTECT, EXECUTE]);

    let answer = world.ask(&orders()).await;
    assert_eq!((answer.outcome, answer.message.as_str()), (Waiting, "CloudFormation is at work, CREATE_IN_PROGRESS"));
    assert!(world.done().is_empty());

    world.complete_stack();
    let answer = world.ask(&stack_event("CREATE_COMPLETE")).await;
    assert_eq!(answer.outcome, Ready, "{}", answer.message);
    assert_eq!(
        answer.message,
        "orders-rw.db.internal names orders_1 at 10.0.0.1, orders-ro.db.internal names 2 standbys"
    );
    assert_eq!(world.done(), ["reader record -> [10.0.0.2, 10.0.0.3]", "writer record None -> (10.0.0.1, 1)"]);
}

#[tokio::test]
async fn the_same_spec_again_changes_nothing() {
    let world = Scripted::deployed().await;
    world.ask(&orders()).await;
    world.done();
    for event in [orders(), schedule(), stack_event("CREATE_COMPLETE"), orders()] {
        assert_eq!(world.ask(&event).await.outcome, Ready);
        assert!(world.done().is_empty());
    }
}

#[tokio::test]
async fn a_bad_spec_touches_nothing() {
    let world = Scripted::new();
    world.now().calls_left = 0;
    let answer = world.ask(&json!({ "name": "orders", "topology": "ec2-streaming", "members": { "count": 9 } })).await;
    assert_eq!((answer.outcome, answer.problems.len()), (Refused, 1));
    assert_eq!(answer.cluster.as_deref(), Some("orders"));
    assert_eq!(answer.message, "the spec has 1 problem; nothing was changed");
}

#[tokio::test]
async fn a_change_set_that_is_not_ready_is_left_to_the_next_minute() {
    let world = Scripted::new().with(|account| account.next_phase = ChangeSetPhase::Pending);
    let answer = world.ask(&orders()).await;
    assert_eq!(answer.outcome, Waiting, "{}", answer.message);
    assert_eq!(world.done(), [CERTIFICATE, BUNDLE, CREATE]);

    for (phase, ..) in world.now().change_sets.values_mut() {
        *phase = ChangeSetPhase::Ready(vec![added("AWS::EC2::Instance")]);
    }
    let answer = world.ask(&schedule()).await;
    assert_eq!(answer.outcome, Started, "{}", answer.message);
    assert_eq!(world.done(), [PROTECT, EXECUTE], "the minute knows of the protection, though it has no spec");
}

#[tokio::test]
async fn another_spec_updates_the_stack_and_keeps_the_image() {
    let world = Scripted::deployed().await;
    world.now().next_phase = ChangeSetPhase::Ready(vec![modified("AWS::SSM::Parameter", "False", "Value")]);
    let mut spec = orders();
    spec["policy"] = json!({ "cool_down_s": 120 });

    assert_eq!(world.ask(&spec).await.outcome, Started);
    assert_eq!(world.done(), [UPDATE, EXECUTE]);

    world.complete_stack();
    assert_eq!(world.ask(&spec).await.outcome, Ready);

    // And back: the first change set's name must not stand in the way.
    world.done();
    assert_eq!(world.ask(&orders()).await.outcome, Started);
    assert_eq!(world.done(), [UPDATE, EXECUTE]);
}

#[tokio::test]
async fn an_update_that_would_harm_a_member_is_refused_and_forgotten() {
    let (instance, volume, interface) = ("AWS::EC2::Instance", "AWS::EC2::Volume", "AWS::EC2::NetworkInterface");
    let (balancer, secret) = ("AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::SecretsManager::Secret");
    let removed = |kind| Change { action: "Remove".into(), ..added(kind) };
    let table = [
        (modified(instance, "True", "ImageId"), "replace Member1 (AWS::EC2::Instance) because of ImageId"),
        (
            modified(instance, "Conditional", "UserData"),
            "stop or replace Member1 (AWS::EC2::Instance) because of UserData",
        ),
        (modified(instance, "False", "InstanceType"), "stop Member1 (AWS::EC2::Instance) because of InstanceType"),
        (removed(instance), "delete Member1 (AWS::EC2::Instance)"),
        (
            modified(volume, "True", "AvailabilityZone"),
            "replace Member1 (AWS::EC2::Volume) because of AvailabilityZone",
        ),
        (removed(volume), "delete Member1 (AWS::EC2::Volume)"),
        (modified(interface, "True", "SubnetId"), "replace Member1 (AWS::EC2::NetworkInterface) because of SubnetId"),
        (removed(interface), "delete Member1 (AWS::EC2::NetworkInterface)"),
        (
            modified(balancer, "True", "Scheme"),
            "replace Member1 (AWS::ElasticLoadBalancingV2::LoadBalancer) because of Scheme",
        ),
        (removed("AWS::S3::Bucket"), "delete Member1 (AWS::S3::Bucket)"),
        (
            modified(secret, "False", "GenerateSecretString"),
            "make another password of Member1 (AWS::SecretsManager::Secret) because of GenerateSecretString",
        ),
        (removed(secret), "delete Member1 (AWS::SecretsManager::Secret)"),
        (
            modified("AWS::EC2::VPC", "Conditional", "CidrBlock"),
            "perhaps replace Member1 (AWS::EC2::VPC) because of CidrBlock",
        ),
        (removed("AWS::EC2::VolumeAttachment"), "delete Member1 (AWS::EC2::VolumeAttachment)"),
    ];
    for (change, harm) in table {
        let world = Scripted::deployed().await;
        let leaves = change.action == "Remove";
        world.now().next_phase = ChangeSetPhase::Ready(vec![change]);
        let mut spec = orders();
        spec["postgresql"] = json!({ "port": 6432 });

        let answer = world.ask(&spec).await;
        let instead = "; a host leaves only with its cluster: keep members.count and etcd.count at least as they are";
        let instead = if leaves { instead } else { "" };
        let sentence = format!("this spec would {harm}; nothing was changed{instead}");
        assert_eq!((answer.outcome, answer.message), (Refused, sentence));
        assert_eq!(world.done(), [UPDATE, DELETE], "{harm}");
    }
}

#[tokio::test]
async fn an_update_that_leaves_members_alone_is_not_harm() {
    let table = [
        modified("AWS::EC2::Instance", "False", "Tags"),
        modified("AWS::EC2::Volume", "False", "Size"),
        modified("AWS::EC2::SecurityGroupIngress", "True", "CidrIp"),
        modified("AWS::CloudWatch::Alarm", "False", "AlarmDescription"),
        added("AWS::EC2::Instance"),
        modified("AWS::ElasticLoadBalancingV2::LoadBalancer", "False", "LoadBalancerAttributes"),
        modified("AWS::SecretsManager::Secret", "False", "Description"),
        modified("AWS::S3::Bucket", "False", "LifecycleConfiguration"),
        // A bastion and a monitoring host serve nobody's data.
        Change { logical_id: "BastionInstance".into(), ..modified("AWS::EC2::Instance", "True", "ImageId") },
        Change { logical_id: "MonitoringData".into(), action: "Remove".into(), ..added("AWS::EC2::Volume") },
    ];
    for change in table {
        let world = Scripted::deployed().await;
        world.now().next_phase = ChangeSetPhase::Ready(vec![change.clone()]);
        let mut spec = orders();
        spec["tags"] = json!({ "team": "a" });
        assert_eq!(world.ask(&spec).await.outcome, Started, "{change:?}");
    }
}

/// The minute must not execute what a person was refused, nor what another spec replaced.
#[tokio::test]
async fn only_the_last_spec_counts() {
    let world = Scripted::deployed().await;
    world.now().next_phase = ChangeSetPhase::Pending;
    let mut first = orders();
    first["policy"] = json!({ "failures": 4 });
    world.ask(&first).await;
    assert_eq!(world.done(), [UPDATE]);

    let mut second = orders();
    second["policy"] = json!({ "failures": 5 });
    world.now().next_phase = ChangeSetPhase::Ready(vec![modified("AWS::SSM::Parameter", "False", "Value")]);
    world.ask(&second).await;
    assert_eq!(world.done(), [DELETE, UPDATE, EXECUTE]);
    assert_eq!(world.now().change_sets.len(), 2, "the two that were executed");
}

/// A template may differ where CloudFormation sees no change.
#[tokio::test]
async fn a_change_set_without_changes_is_dropped() {
    let world = Scripted::deployed().await;
    world.now().next_phase = ChangeSetPhase::Empty;
    let mut spec = orders();
    spec["policy"] = json!({ "failures": 4 });
    let answer = world.ask(&spec).await;
    assert_eq!(answer.outcome, Ready, "{}", answer.message);
    assert_eq!(world.done()[..2], [UPDATE, DELETE]);
}

#[tokio::test]
async fn a_change_set_that_failed_is_told_and_can_be_tried_again() {
    let world = Scripted::new().with(|account| account.next_phase = ChangeSetPhase::Failed("no such image".into()));
    let answer = world.ask(&orders()).await;
    let expected = "CloudFormation could not prepare the change: no such image";
    assert_eq!((answer.outcome, answer.message.as_str()), (Refused, expected));
    assert_eq!(world.done(), [CERTIFICATE, BUNDLE, CREATE, DELETE]);

    world.now().next_phase = ChangeSetPhase::Ready(vec![]);
    assert_eq!(world.ask(&orders()).await.outcome, Started);
}

#[tokio::test]
async fn the_writer_of_a_stack_that_is_gone_is_forgotten_before_the_new_one_is_made() {
    let world = Scripted::new().with(|account| account.state = Some(claimed(4)));
    assert_eq!(world.ask(&orders()).await.outcome, Started);
    assert_eq!(world.done(), [CERTIFICATE, BUNDLE, "unclaim orders", CREATE, PROTECT, EXECUTE]);
    assert_eq!(world.now().state.as_ref().unwrap().epoch, 4, "the epoch only grows");
}

#[tokio::test]
async fn an_update_that_was_rolled_back_can_be_tried_again() {
    let world = Scripted::deployed().await;
    world.now().stack.as_mut().unwrap().status = "UPDATE_ROLLBACK_COMPLETE".into();
    let mut spec = orders();
    spec["policy"] = json!({ "failures": 4 });
    world.now().next_phase = ChangeSetPhase::Ready(vec![]);
    assert_eq!(world.ask(&spec).await.outcome, Started);
}

#[tokio::test]
async fn a_subnet_of_another_network_is_a_problem_of_the_spec() {
    let world = Scripted::new();
    let mut spec = orders();
    spec["network"] = json!({ "subnet_ids": ["subnet-0123456789abcdef1", "subnet-99999999"] });
    let answer = world.ask(&spec).await;
    assert_eq!(answer.outcome, Refused);
    let problems: Vec<String> = answer.problems.iter().map(ToString::to_string).collect();
    let expected = r#"/network/subnet_ids/1: found "subnet-99999999", allowed is a subnet of the fleet's VPC vpc-0123456789abcdef0"#;
    assert_eq!(problems, [expected]);
    assert!(world.done().is_empty());
}

#[tokio::test]
async fn a_certificate_for_other_names_is_not_used() {
    let world = Scripted::deployed().await;
    if let Some(Certificate::There(seen)) = &mut world.now().tls {
        seen.names = vec!["orders-rw.old.internal".into()];
    }
    let answer = world.ask(&orders()).await;
    assert_eq!(answer.outcome, Refused);
    assert!(answer.message.contains("understudy/example/orders/tls holds a certificate for orders-rw.old.internal"));
    assert!(world.done().is_empty());
}

#[tokio::test]
async fn the_minute_does_not_invent_a_spec() {
    let world = Scripted::new().with(|account| account.next_phase = ChangeSetPhase::Pending);
    world.ask(&orders()).await;
    world.now().change_sets.clear();
    world.done();
    let answer = world.ask(&schedule()).await;
    assert_eq!(answer.outcome, Waiting);
    assert_eq!(answer.message, "stack understudy-example-orders is empty and has no change set: deploy the spec again");
    assert!(world.done().is_empty());
}

#[tokio::test]
async fn an_event_of_another_function_is_ignored() {
    let world = Scripted::new();
    let event = json!({ "source": "aws.ec2", "detail-type": "EC2 Instance State-change Notification",
        "detail": { "instance-id": "i-0123456789abcdef0", "state": "stopped" } });
    assert_eq!(world.ask(&event).await.outcome, Ignored);
}
