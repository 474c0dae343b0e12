//! Clusters of AWS's with a second Region, their end, and how they stand.

use crate::scripted::{Scripted, carts, endpoint, follows, leads, schedule};
use deploy_cluster::{
    Outcome::{Deleted, Ready, Refused, Started, Status, Waiting},
    handle, reading,
};
use domain::{
    card::{OtherRegion, Registered},
    managed::{GlobalSeen, NamesSeen, Roles},
};
use serde_json::{Value, json};
use template::Part;

fn with_dr(mut spec: Value) -> Value {
    spec["dr"] = json!({
        "primary_region": "us-east-1", "region": "us-west-2",
        "primary_cidr": "10.0.0.0/16", "cidr": "10.1.0.0/16",
    });
    spec
}

fn world(spec: &Value, part: Part) -> Scripted {
    let spec = reading::read_value(spec.clone()).unwrap_or_else(|problems| panic!("{problems:?}"));
    Scripted::of(&spec, part)
}

fn copied(world: &Scripted, name: &str) {
    for what in ["superuser", "operator", "application"] {
        world.now().secrets.insert(format!("understudy/example/{name}/{what}"));
    }
}

#[tokio::test]
async fn the_second_side_says_in_plain_words_what_the_first_has_not_made_yet() {
    for (spec, needed) in
        [(with_dr(leads()), "instance example-leads-1"), (with_dr(carts()), "global cluster example-carts-global")]
    {
        let name = spec["name"].as_str().unwrap();
        let world = world(&spec, Part::Dr);
        let answer = world.ask(&spec).await;
        assert_eq!(answer.outcome, Waiting, "{}", answer.message);
        let expected = format!(
            "the primary side of {name} in us-east-1 is not as far as us-west-2 needs it: \
             no copy of secret understudy/example/{name}/superuser is here; \
             no copy of secret understudy/example/{name}/operator is here; \
             no copy of secret understudy/example/{name}/application is here; {needed} is not there; \
             deploy the spec there first, and here when it is ready"
        );
        assert_eq!(answer.message, expected);
        copied(&world, name);
        world.now().databases.elsewhere.insert(needed.into(), "creating".into());
        let answer = world.ask(&spec).await;
        let expected = format!(
            "the primary side of {name} in us-east-1 is not as far as us-west-2 needs it: {needed} is creating; deploy \
             the spec there first, and here when it is ready"
        );
        assert_eq!((answer.outcome, answer.message), (Waiting, expected));
        assert!(world.now().stack.is_none());
        world.now().databases.elsewhere.insert(needed.into(), "available".into());
        assert_eq!(world.ask(&spec).await.outcome, Started);
        // Once it stands, it asks nothing of the first Region any more.
        world.complete_stack();
        world.now().databases.elsewhere.clear();
        world.now().secrets.clear();
        let answer = world.ask(&spec).await;
        assert_eq!(answer.outcome, Ready, "{}", answer.message);
    }
}

/// No set-up, no writer on record, names of its own: whoever follows takes what it has from the first side.
#[tokio::test]
async fn the_second_side_gets_names_of_its_own_and_no_set_up() {
    for (spec, writer) in
        [(with_dr(leads()), endpoint("example-leads-1")), (with_dr(carts()), endpoint("example-carts.cluster"))]
    {
        let name = spec["name"].as_str().unwrap();
        let world = world(&spec, Part::Dr);
        copied(&world, name);
        for needed in ["instance example-leads-1", "global cluster example-carts-global"] {
            world.now().databases.elsewhere.insert(needed.into(), "available".into());
        }
        world.ask(&spec).await;
        world.complete_stack();
        world.done();
        let answer = world.ask(&schedule()).await;
        assert_eq!(answer.outcome, Ready, "{}", answer.message);
        assert!(answer.message.starts_with(&format!("{name}-dr-rw.db.internal names {writer}")), "{}", answer.message);
        let done = world.done();
        assert!(done.iter().all(|done| !done.starts_with("set up") && !done.starts_with("keep")), "{done:?}");
        assert_eq!(world.now().databases.names.epoch, Some(0));
        let pages = std::mem::take(&mut world.now().pages);
        let ready = pages.iter().find(|(subject, _)| *subject == format!("{name}: ready")).unwrap();
        assert!(ready.1.contains("it follows the primary side"), "{}", ready.1);
    }
}

#[tokio::test]
async fn a_standby_that_does_not_answer_is_not_named() {
    let spec = with_dr(leads());
    let world = world(&spec, Part::Dr);
    copied(&world, "leads");
    world.now().databases.elsewhere.insert("instance example-leads-1".into(), "available".into());
    world.ask(&spec).await;
    world.complete_stack();
    world.now().databases.answers.clear();
    let answer = world.ask(&schedule()).await;
    let expected = "no replica answers that the reader record could name";
    assert_eq!((answer.outcome, answer.message.as_str()), (Waiting, expected));
    world.now().databases.answers.insert(endpoint("example-leads-1"), follows());
    assert_eq!(world.ask(&schedule()).await.outcome, Ready);
}

/// A cluster in one Region that serves and may be deleted.
async fn unprotected(spec: &Value) -> Scripted {
    let mut spec = spec.clone();
    spec["deletion_protection"] = json!(false);
    let world = world(&spec, Part::Primary);
    world.ask(&spec).await;
    world.complete_stack();
    world.ask(&schedule()).await;
    world.now().adopt();
    assert_eq!(world.ask(&schedule()).await.outcome, Ready);
    world.now().done.clear();
    world.told();
    world
}

fn delete(name: &str) -> Value {
    json!({ "delete": name, "confirm": name })
}

#[tokio::test]
async fn databases_go_with_their_stack_and_leave_snapshots_and_nothing_of_their_life() {
    let world = unprotected(&leads()).await;
    world.now().roles(&Roles::default());
    assert_eq!(world.ask(&delete("leads")).await.outcome, Started);
    assert_eq!(world.done(), ["note deletion", "delete stack"]);
    world.complete_stack();
    let answer = world.ask(&schedule()).await;
    assert_eq!(answer.outcome, Deleted, "{}", answer.message);
    assert!(answer.message.contains(" databases left a last snapshot"), "{}", answer.message);
    assert!(answer.message.ends_with("; its records are removed; the ledger stays"), "{}", answer.message);
    let expected = ["remove names", "drop item roles", "drop item set-up", "forget deletion"];
    assert_eq!(world.done(), expected, "no certificate, which it never had");
    let account = world.now();
    assert_eq!((&account.databases.names, account.kept.len()), (&NamesSeen::default(), 0));
    assert_eq!(account.state.as_ref().map(|state| state.epoch), Some(1), "the epoch only grows");
}

/// PgBouncer's hosts have a certificate as other hosts have.
#[tokio::test]
async fn a_tier_of_hosts_before_databases_has_a_bundle_and_a_certificate_that_goes_with_it() {
    let mut spec = leads();
    spec["rds"] = json!({ "pooler": {} });
    spec["postgresql"] = json!({ "max_connections": 500 });
    let world = unprotected(&spec).await;
    assert!(world.now().tls.is_some() && world.now().objects.keys().any(|key| key.starts_with("nodes/")));
    world.ask(&delete("leads")).await;
    world.complete_stack();
    world.done();
    let answer = world.ask(&schedule()).await;
    assert_eq!(answer.outcome, Deleted, "{}", answer.message);
    assert!(answer.message.contains("understudy/example/leads/tls can be restored for 30 days"), "{}", answer.message);
    let expected = ["remove names", "delete certificate", "drop item set-up", "forget deletion"];
    assert_eq!(world.done(), expected);
}

#[tokio::test]
async fn an_end_cut_short_anywhere_is_finished_by_the_minute() {
    let base = unprotected(&leads()).await;
    let ending = base.copy();
    ending.ask(&delete("leads")).await;
    ending.complete_stack();
    for (base, event) in [(&base, delete("leads")), (&ending, schedule())] {
        for lost_answer in [false, true] {
            for cut in 0.. {
                let world = base.copy();
                world.now().calls_left = cut;
                world.now().lost_answer = lost_answer;
                let first = handle(&world, &event).await;
                let calls_left = std::mem::replace(&mut world.now().calls_left, usize::MAX);
                if world.now().deletion.is_none() && world.now().stack.is_some() {
                    world.ask(&delete("leads")).await;
                }
                for _ in 0..4 {
                    handle(&world, &schedule()).await.unwrap();
                    let goes = world.now().stack.as_ref().is_some_and(|stack| stack.status == "DELETE_IN_PROGRESS");
                    if goes {
                        world.complete_stack();
                    }
                }
                let account = world.now();
                let name = format!("cut after {cut}, answer of the last call lost: {lost_answer}");
                assert_eq!((&account.stack, &account.deletion), (&None, &None), "{name}");
                assert_eq!((&account.databases.names, account.kept.len()), (&NamesSeen::default(), 0), "{name}");
                drop(account);
                if first.is_ok() && calls_left > 0 {
                    assert!(cut > 5, "the walk had only {cut} steps");
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn the_protection_of_rds_is_taken_away_by_a_deployment_first() {
    let world = unprotected(&leads()).await;
    // As when the update that takes it away was rolled back, and the stack's own protection was not.
    world.now().template["Resources"]["Instance1"]["Properties"]["DeletionProtection"] = json!(true);
    let answer = world.ask(&delete("leads")).await;
    let expected = "RDS protects Instance1 of understudy-example-leads from being deleted: deploy its spec with \
                    \"deletion_protection\": false and wait until that is complete; nothing was changed";
    assert_eq!((answer.outcome, answer.message.as_str()), (Refused, expected));
    assert!(world.done().is_empty() && world.now().deletion.is_none());
}

#[tokio::test]
async fn what_another_region_follows_is_deleted_there_first() {
    let replica = "arn:aws:rds:us-west-2:111122223333:db:example-leads-1";
    let world = unprotected(&leads()).await;
    world.now().databases.rds.instances[0].replicas = vec!["example-leads-2".into(), replica.into()];
    let answer = world.ask(&delete("leads")).await;
    let expected =
        format!("another Region follows this side ({replica}): delete the cluster there first; nothing was changed");
    assert_eq!((answer.outcome, answer.message), (Refused, expected));

    let world = unprotected(&carts()).await;
    let member = |region: &str| format!("arn:aws:rds:{region}:111122223333:cluster:example-carts");
    let global = |writer: &str| GlobalSeen {
        id: "example-carts-global".into(),
        status: "available".into(),
        writer: Some(member(writer)),
        members: vec![member("eu-west-1"), member("eu-central-1")],
        failover: None,
    };
    world.now().databases.rds.global = Some(global("eu-west-1"));
    let answer = world.ask(&delete("carts")).await;
    assert!(answer.outcome == Refused && answer.message.contains("follows this side"), "{}", answer.message);
    // The other Region writes now, and the global cluster is of this stack all the same.
    world.now().databases.rds.global = Some(global("eu-central-1"));
    world.now().template["Resources"]["GlobalCluster"] = json!({ "Type": "AWS::RDS::GlobalCluster" });
    let answer = world.ask(&delete("carts")).await;
    assert!(
        answer.outcome == Refused && answer.message.starts_with("the global cluster is of this stack"),
        "{}",
        answer.message
    );
    // A second side that writes nothing holds nobody up.
    world.now().template["Resources"].as_object_mut().unwrap().remove("GlobalCluster");
    assert_eq!(world.ask(&delete("carts")).await.outcome, Started);
}

#[tokio::test]
async fn a_look_at_databases_says_roles_generations_and_the_other_side() {
    let world = unprotected(&leads()).await;
    {
        let mut account = world.now();
        account.state.as_mut().unwrap().writer = Some("example-leads-2".into());
        account.roles(&Roles::default().promoted(2, 2));
        let Some(Registered::Managed(card)) = &mut account.card else { panic!() };
        card.other = Some(OtherRegion { region: "us-west-2".into(), db_cluster_arn: None, instances: vec![] });
        card.instances.push(domain::card::CardInstance {
            id: "example-leads-3".into(),
            place: 3,
            never_promote: false,
            tier: 0,
        });
    }
    world.done();
    let answer = world.ask(&json!({ "status": "leads" })).await;
    assert_eq!(answer.outcome, Status);
    assert!(answer.message.ends_with("; the writer on record is example-leads-2"), "{}", answer.message);
    let databases = serde_json::to_value(answer.standing.unwrap()).unwrap()["databases"].clone();
    let instance = |at: usize, key: &str| databases["instances"][at][key].clone();
    assert_eq!((instance(0, "role"), instance(0, "generation")), (json!("left over"), json!(2)));
    assert_eq!((instance(1, "role"), instance(1, "generation")), (json!("writer"), json!(1)));
    assert_eq!(instance(1, "endpoint"), json!(endpoint("example-leads-2")));
    assert_eq!((instance(2, "id"), instance(2, "status")), (json!("example-leads-3"), json!("not there")));
    assert_eq!(databases["writer_record"], json!(endpoint("example-leads-1")));
    assert_eq!(databases["other"], json!({ "region": "us-west-2", "this_side_serves": true }));
    assert!(world.done().is_empty());

    let aurora = unprotected(&carts()).await;
    let answer = aurora.ask(&json!({ "status": "carts" })).await;
    let databases = serde_json::to_value(answer.standing.unwrap()).unwrap()["databases"].clone();
    assert_eq!(databases["db_cluster"], json!(["example-carts", "available"]));
    let endpoints = [endpoint("example-carts.cluster"), endpoint("example-carts.cluster-ro")];
    assert_eq!(databases["endpoints"], json!(endpoints));
    assert_eq!(databases["instances"][0]["role"], "writer");
}
