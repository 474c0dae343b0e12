//! After a change of writer: the stack rendered anew with the roles of today, and what of a change is only feared.

use crate::scripted::{Scripted, carts, leads, modified, orders, schedule, shop};
use deploy_cluster::{
    Outcome::{Planned, Ready, Refused, Started, Waiting},
    handle,
    outside::{Change, ChangeSetPhase, Detail},
    reading,
};
use domain::managed::Roles;
use serde_json::{Value, json};
use template::Part;

const UPDATE: &str = "create change set: update, image InTemplate";

/// A cluster that serves; with one more replica, so that a change of writer leaves one that follows nobody.
async fn serving() -> Scripted {
    let mut spec = leads();
    spec["rds"] = json!({ "replicas": 2 });
    let world = Scripted::of(&reading::read_value(spec.clone()).unwrap(), Part::Primary);
    world.ask(&spec).await;
    world.complete_stack();
    world.ask(&schedule()).await;
    world.now().adopt();
    assert_eq!(world.ask(&schedule()).await.outcome, Ready);
    world.now().done.clear();
    world.told();
    world
}

/// What promote-replica leaves behind: another writer on record, and the roles.
fn promoted(world: &Scripted) {
    let mut account = world.now();
    let state = account.state.as_mut().unwrap();
    state.writer = Some("example-leads-2".into());
    state.epoch += 1;
    account.roles(&Roles::default().promoted(2, 3));
    account.databases.names.writer = Some(crate::scripted::endpoint("example-leads-2"));
    account.databases.names.readers.clear();
}

fn anew() -> Value {
    json!({ "render_anew": "leads" })
}

fn identifiers(template: &Value) -> Vec<String> {
    let of = |place: u8| &template["Resources"][format!("Instance{place}")]["Properties"]["DBInstanceIdentifier"];
    (1..=3).map(|place| of(place).as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn the_places_of_the_old_writer_and_its_replicas_are_made_anew() {
    let world = serving().await;
    promoted(&world);
    world.now().compares = true;
    let answer = world.ask(&anew()).await;
    assert_eq!(answer.outcome, Started, "{}", answer.message);
    assert_eq!(world.done(), [UPDATE, "execute change set"]);
    let expected = ["example-leads-1-g2", "example-leads-2", "example-leads-3-g2"];
    assert_eq!(identifiers(&world.now().template), expected);
    // Again, and while CloudFormation works: nothing more.
    assert_eq!(world.ask(&anew()).await.outcome, Waiting);
    world.complete_stack();
    assert_eq!(world.ask(&anew()).await.outcome, Ready);
    let done = world.done();
    assert!(done.iter().all(|done| done.starts_with("reader names")), "{done:?}");
    // A person's deployment of the same spec changes nothing of it.
    let mut spec = leads();
    spec["rds"] = json!({ "replicas": 2 });
    assert_eq!(world.ask(&spec).await.outcome, Ready);
    assert!(world.done().is_empty());
}

#[tokio::test]
async fn the_minute_makes_good_that_nobody_asked() {
    let world = serving().await;
    promoted(&world);
    world.now().compares = true;
    assert_eq!(world.ask(&schedule()).await.outcome, Started);
    assert_eq!(world.done(), [UPDATE, "execute change set"]);
    world.complete_stack();
    assert_eq!(world.ask(&schedule()).await.outcome, Ready);
    // Not in the middle of a change of writer.
    let world = serving().await;
    promoted(&world);
    let change = domain::state::Change { from: "example-leads-1".into(), ..Default::default() };
    world.now().state.as_mut().unwrap().change = Some(change);
    assert_eq!(world.ask(&schedule()).await.outcome, Waiting);
    assert!(world.done().is_empty());
}

#[tokio::test]
async fn a_rendering_cut_short_anywhere_is_finished_by_the_minute() {
    let base = serving().await;
    promoted(&base);
    base.now().compares = true;
    for lost_answer in [false, true] {
        for cut in 0.. {
            let world = base.copy();
            world.now().calls_left = cut;
            world.now().lost_answer = lost_answer;
            let first = handle(&world, &anew()).await;
            let calls_left = std::mem::replace(&mut world.now().calls_left, usize::MAX);
            for _ in 0..4 {
                handle(&world, &schedule()).await.unwrap();
                let busy = world.now().stack.as_ref().is_some_and(|stack| stack.status == "UPDATE_IN_PROGRESS");
                if busy {
                    world.complete_stack();
                }
            }
            let account = world.now();
            let name = format!("cut after {cut}, answer of the last call lost: {lost_answer}");
            assert_eq!(account.stack.as_ref().unwrap().status, "UPDATE_COMPLETE", "{name}");
            assert_eq!(identifiers(&account.template)[0], "example-leads-1-g2", "{name}");
            let executed = account.done.iter().filter(|done| *done == "execute change set").count();
            assert_eq!(executed, 1, "{name}: {:?}", account.done);
            drop(account);
            if first.is_ok() && calls_left > 0 {
                assert!(cut > 12, "the walk had only {cut} steps");
                break;
            }
        }
    }
}

#[tokio::test]
async fn what_would_take_the_writer_is_refused_told_once_and_not_tried_every_minute() {
    let world = serving().await;
    promoted(&world);
    let writer = Change { logical_id: "Instance2".into(), ..modified("AWS::RDS::DBInstance", "True", "Engine") };
    world.now().next_phase = ChangeSetPhase::Ready(vec![writer]);
    let answer = world.ask(&anew()).await;
    let beginning = "the stack with the roles of today would replace Instance2 (AWS::RDS::DBInstance) because of Engine; \
                     nothing was changed";
    assert!(answer.outcome == Refused && answer.message.starts_with(beginning), "{}", answer.message);
    assert_eq!(world.done(), [UPDATE, "delete change set"]);
    let pages = std::mem::take(&mut world.now().pages);
    assert_eq!(pages.len(), 1, "{pages:?}");
    assert_eq!(pages[0].0, "leads: stack not rendered anew");
    assert!(pages[0].1.contains("example-leads-2 writes, and the stack still says otherwise"), "{}", pages[0].1);
    assert!(pages[0].1.contains("{\"render_anew\": \"leads\"}"), "{}", pages[0].1);
    // The minute tries once, and then leaves it to whoever was told.
    for _ in 0..3 {
        world.ask(&schedule()).await;
    }
    let done = world.done();
    assert_eq!(done.iter().filter(|done| *done == UPDATE).count(), 1, "{done:?}");
    assert!(world.told().is_empty());
    // Put right, and asked for again.
    world.now().compares = true;
    assert_eq!(world.ask(&anew()).await.outcome, Started);
}

#[tokio::test]
async fn what_cannot_be_rendered_anew_says_why() {
    let world = Scripted::new();
    let answer = world.ask(&json!({ "render_anew": "orders" })).await;
    let expected = "there is no stack understudy-example-orders to render anew";
    assert_eq!((answer.outcome, answer.message.as_str()), (Refused, expected));
    let world = serving().await;
    world.now().template["Metadata"] = json!({});
    let answer = world.ask(&anew()).await;
    assert!(answer.message.contains("does not say of what spec it was made"), "{}", answer.message);
    assert_eq!(world.told(), ["leads: stack not rendered anew"]);
}

/// With change sets as CloudFormation makes them of whole templates, for every topology with hosts or databases.
#[tokio::test]
async fn client_networks_and_tags_of_what_stands_are_changed_and_its_key_is_not() {
    for spec in [orders(), shop(), leads(), carts()] {
        let world = Scripted::of(&reading::read_value(spec.clone()).unwrap(), Part::Primary);
        world.ask(&spec).await;
        world.complete_stack();
        world.now().compares = true;
        let with = |field: &str, value: Value| {
            let mut other = spec.clone();
            other[field] = value;
            other
        };
        for other in [with("client_cidrs", json!(["10.99.0.0/16"])), with("tags", json!({ "team": "a" }))] {
            let fears = {
                let answer = world.ask(&json!({ "plan": other })).await;
                assert!(answer.changes.iter().all(|planned| planned.refused.is_none()), "{}", answer.message);
                answer.changes.iter().filter(|planned| planned.what == "stays").count()
            };
            assert!(fears > 0, "{}: nothing was feared, so nothing is shown", spec["name"]);
            let answer = world.ask(&other).await;
            assert_eq!(answer.outcome, Started, "{}", answer.message);
            world.complete_stack();
        }
        let key = "arn:aws:kms:eu-west-1:111122223333:key/mrk-0123";
        let mut other = with("encryption", json!({ "kms_key_arn": key }));
        if spec["topology"] != "ec2-streaming" && spec["topology"] != "ec2-patroni" {
            other["managed"] = json!({ "own_key": false });
        }
        if spec.get("dr").is_some() {
            continue;
        }
        let answer = world.ask(&other).await;
        assert_eq!(answer.outcome, Refused, "{}: {}", spec["name"], answer.message);
    }
}

/// How CloudFormation tells of whatever refers to a group whose rules change: it may be replaced.
fn feared() -> Vec<Change> {
    let detail = |target: &str, recreation: &str, source: &str, is_sure| Detail {
        target: target.into(),
        recreation: Some(recreation.into()),
        is_sure,
        source: Some(source.into()),
    };
    let change = |logical_id: &str, kind: &str, replacement: &str, details: Vec<Detail>| Change {
        action: "Modify".into(),
        logical_id: logical_id.into(),
        kind: kind.into(),
        replacement: Some(replacement.into()),
        targets: details.iter().map(|detail| detail.target.clone()).collect(),
        details,
    };
    vec![
        change(
            "MemberSecurityGroup",
            "AWS::EC2::SecurityGroup",
            "False",
            vec![detail("SecurityGroupIngress", "Never", "DirectModification", true)],
        ),
        change(
            "Member1Interface",
            "AWS::EC2::NetworkInterface",
            "Conditional",
            vec![detail("GroupSet", "Conditionally", "ResourceAttribute", false)],
        ),
        change(
            "Member1",
            "AWS::EC2::Instance",
            "Conditional",
            vec![detail("NetworkInterfaces", "Always", "ResourceReference", false)],
        ),
    ]
}

#[tokio::test]
async fn other_client_networks_of_a_cluster_that_stands_are_deployed() {
    let world = Scripted::deployed().await;
    let template = world.now().template.clone();
    for change in feared() {
        let there = &template["Resources"][&change.logical_id];
        assert_eq!(there["Type"], change.kind, "{} of the template", change.logical_id);
        for target in &change.targets {
            let has = !there["Properties"][target].is_null() || change.kind == "AWS::EC2::SecurityGroup";
            assert!(has, "{} has no {target}", change.logical_id);
        }
    }
    world.now().next_phase = ChangeSetPhase::Ready(feared());
    let mut other = orders();
    other["client_cidrs"] = json!(["10.99.0.0/16"]);
    let answer = world.ask(&json!({ "plan": other })).await;
    assert_eq!(answer.outcome, Planned);
    assert!(answer.message.contains("0 added, 1 changed, 0 replaced, 0 removed"), "{}", answer.message);
    assert!(answer.message.contains("\n  stays        Member1 "), "{}", answer.message);
    assert_eq!(world.ask(&other).await.outcome, Started);
}

/// The minute, which has no spec, judges by the template of the change set.
#[tokio::test]
async fn a_change_set_that_was_not_ready_is_judged_by_its_own_template() {
    let world = Scripted::deployed().await;
    world.now().next_phase = ChangeSetPhase::Pending;
    let mut other = orders();
    other["client_cidrs"] = json!(["10.99.0.0/16"]);
    assert_eq!(world.ask(&other).await.outcome, Waiting);
    for (phase, ..) in world.now().change_sets.values_mut() {
        *phase = ChangeSetPhase::Ready(feared());
    }
    assert_eq!(world.ask(&schedule()).await.outcome, Started);
}

#[tokio::test]
async fn a_member_that_would_really_be_another_is_refused_beside_what_is_only_feared() {
    let world = Scripted::deployed().await;
    let mut changes = feared();
    changes[2].details[0].target = "UserData".into();
    changes[2].details[0].source = Some("DirectModification".into());
    changes[2].targets = vec!["UserData".into()];
    world.now().next_phase = ChangeSetPhase::Ready(changes);
    let mut other = orders();
    other["client_cidrs"] = json!(["10.99.0.0/16"]);
    let answer = world.ask(&other).await;
    assert_eq!(answer.outcome, Refused);
    assert!(answer.message.contains("Member1 (AWS::EC2::Instance) because of UserData"), "{}", answer.message);
    assert!(!answer.message.contains("Member1Interface"), "{}", answer.message);
}
