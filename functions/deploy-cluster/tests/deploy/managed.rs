//! Clusters that AWS runs: from a spec to records and a page, and what stands in the way.

use crate::scripted::{Scripted, carts, endpoint, event_of, follows, leads, modified, schedule};
use deploy_cluster::{
    Outcome::{Planned, Ready, Refused, Started, Waiting},
    handle,
    outside::{Change, ChangeSetPhase},
    reading,
};
use domain::{managed::NamesSeen, spec::Spec, state::State};
use serde_json::{Value, json};
use template::Part;

const CREATE: &str = "create change set: new stack, image InTemplate";

fn spec(spec: &Value) -> Spec {
    reading::read_value(spec.clone()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn writer_name(name: &str, epoch: u64) -> String {
    format!("writer name None -> ({:?}, {epoch})", endpoint(name))
}

/// The minute and promote-replica, until the cluster is ready.
async fn come_to_ready(world: &Scripted) {
    for _ in 0..10 {
        let busy = world
            .now()
            .stack
            .as_ref()
            .is_some_and(|stack| stack.status.ends_with("_IN_PROGRESS") && stack.status != "REVIEW_IN_PROGRESS");
        if busy {
            world.complete_stack();
        }
        if world.ask(&schedule()).await.outcome == Ready {
            return;
        }
        let mut account = world.now();
        if account.card.is_some() && account.kept.contains_key("set-up") && account.state.is_none() {
            account.adopt();
        }
    }
    panic!("it does not come to an end");
}

#[tokio::test]
async fn a_spec_becomes_databases_then_roles_then_records_and_a_page() {
    let world = Scripted::of(&spec(&leads()), Part::Primary);
    let answer = world.ask(&leads()).await;
    assert_eq!(answer.outcome, Started, "{} {:?}", answer.message, answer.problems);
    // No certificate and no bundle: there are no hosts.
    let done = world.done();
    assert!(done.iter().all(|done| !done.contains("certificate") && done != "put nodes"), "{done:?}");
    assert!(done.contains(&CREATE.to_owned()), "{done:?}");

    world.complete_stack();
    let answer = world.ask(&event_of("CREATE_COMPLETE", "leads")).await;
    let expected = "no writer is on record yet: promote-replica writes it down as soon as there is one";
    assert_eq!((answer.outcome, answer.message.as_str()), (Waiting, expected));
    assert_eq!(world.done(), [format!("set up app at {}", endpoint("example-leads-1")), "keep item set-up".into()]);
    assert_eq!(world.told(), ["leads: creation complete"]);

    world.now().adopt();
    let answer = world.ask(&schedule()).await;
    assert_eq!(answer.outcome, Ready, "{}", answer.message);
    let (first, second) = (endpoint("example-leads-1"), endpoint("example-leads-2"));
    assert_eq!(answer.message, format!("leads-rw.db.internal names {first}, leads-ro.db.internal names {second}"));
    let readers = format!("reader names -> [(\"example-leads-2\", {second:?})]");
    assert_eq!(world.done(), [readers, writer_name("example-leads-1", 1)]);
    let pages = std::mem::take(&mut world.now().pages);
    assert_eq!(pages[0].0, "leads: ready");
    assert!(pages[0].1.contains("clients: host=leads-rw.db.internal port=5432 dbname=app"), "{}", pages[0].1);

    for event in [schedule(), leads(), event_of("CREATE_COMPLETE", "leads")] {
        assert_eq!(world.ask(&event).await.outcome, Ready);
        assert!(world.done().is_empty() && world.told().is_empty());
    }
}

#[tokio::test]
async fn aurora_is_named_by_its_own_endpoints() {
    let world = Scripted::of(&spec(&carts()), Part::Primary);
    world.ask(&carts()).await;
    come_to_ready(&world).await;
    let names = world.now().databases.names.clone();
    assert_eq!(names.writer, Some(endpoint("example-carts.cluster")));
    assert_eq!(names.readers, [endpoint("example-carts.cluster-ro")]);
    assert_eq!(names.epoch, Some(1));
}

#[tokio::test]
async fn a_creation_cut_short_anywhere_is_finished_by_the_minute() {
    for spec_value in [leads(), carts()] {
        let stack = Scripted::of(&spec(&spec_value), Part::Primary);
        stack.ask(&spec_value).await;
        stack.complete_stack();
        stack.now().done.clear();
        let adopted = stack.copy();
        adopted.ask(&schedule()).await;
        adopted.now().adopt();
        // Both stretches: from the stack to the set-up, and from the writer on record to the page.
        for (base, least) in [(&stack, 12), (&adopted, 12)] {
            for lost_answer in [false, true] {
                for cut in 0.. {
                    let world = base.copy();
                    world.now().calls_left = cut;
                    world.now().lost_answer = lost_answer;
                    let first = handle(&world, &schedule()).await;
                    let calls_left = std::mem::replace(&mut world.now().calls_left, usize::MAX);
                    come_to_ready(&world).await;
                    let name = format!("cut after {cut}, answer of the last call lost: {lost_answer}");
                    let account = world.now();
                    assert!(account.databases.names.writer.is_some(), "{name}");
                    assert_eq!(
                        (account.databases.names.epoch, account.databases.names.readers.len()),
                        (Some(1), 1),
                        "{name}"
                    );
                    let moved = account.done.iter().filter(|done| done.starts_with("writer name")).count();
                    assert_eq!(moved, 1, "{name}: {:?}", account.done);
                    let ready = account.pages.iter().filter(|(subject, _)| subject.ends_with(": ready")).count();
                    assert!((1..=2).contains(&ready), "{name}: {:?}", account.pages);
                    drop(account);
                    if first.is_ok() && calls_left > 0 {
                        assert!(cut > least, "the walk had only {cut} steps");
                        break;
                    }
                }
            }
        }
    }
}

/// From here on each test changes one thing of a cluster whose writer has just been written down.
async fn adopted() -> Scripted {
    let world = Scripted::of(&spec(&leads()), Part::Primary);
    world.ask(&leads()).await;
    world.complete_stack();
    world.ask(&schedule()).await;
    world.now().adopt();
    world.now().done.clear();
    world.told();
    world
}

#[tokio::test]
async fn nothing_is_named_before_it_answers() {
    type Change = fn(&mut crate::scripted::Account);
    let table: [(&str, Change, &str); 5] = [
        (
            "the writer follows",
            |a| drop(a.databases.answers.insert(endpoint("example-leads-1"), follows())),
            "example-leads-1.lab.eu-west-1.rds.amazonaws.com should answer as a writer, and it is in recovery",
        ),
        (
            "the replica is silent",
            |a| drop(a.databases.answers.remove(&endpoint("example-leads-2"))),
            "no replica answers that the reader record could name",
        ),
        (
            "the replica is being made",
            |a| a.databases.rds.instances[1].status = "creating".into(),
            "no replica answers that the reader record could name",
        ),
        (
            "the writer has no endpoint",
            |a| a.databases.rds.instances[0].endpoint = None,
            "example-leads-1 is available and has no endpoint yet",
        ),
        (
            "a change of writer",
            |a| {
                let change = domain::state::Change { from: "example-leads-1".into(), ..Default::default() };
                a.state.as_mut().unwrap().change = Some(change);
            },
            "a change of writer away from example-leads-1 is under way",
        ),
    ];
    for (name, change, message) in table {
        let world = adopted().await.with(change);
        let answer = world.ask(&schedule()).await;
        assert_eq!((answer.outcome, answer.message.as_str()), (Waiting, message), "{name}");
        assert!(world.done().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn names_that_point_into_the_cluster_are_left_to_others_and_foreign_ones_to_a_person() {
    let names = |writer: &str, epoch| NamesSeen {
        writer: Some(writer.to_owned()),
        epoch,
        readers: vec![endpoint("example-leads-2")],
    };
    let after = |change: NamesSeen| async move {
        let world = adopted().await;
        world.now().databases.names = change;
        world.now().state.as_mut().unwrap().epoch = 3;
        let answer = world.ask(&schedule()).await;
        (answer.outcome, answer.message, world.done())
    };
    // Not where the writer of record is: promote-replica's business.
    let (outcome, _, done) = after(names(&endpoint("example-leads-2"), Some(2))).await;
    assert_eq!((outcome, done), (Ready, vec![]));
    // Of an older stack of this name.
    let (outcome, _, done) = after(names("old.example.com", Some(2))).await;
    let moved = format!("writer name Some((\"old.example.com\", 2)) -> ({:?}, 3)", endpoint("example-leads-1"));
    assert_eq!((outcome, done), (Ready, vec![moved]));
    for (foreign, why) in [
        (names("old.example.com", None), "the writer record names old.example.com without an epoch beside it"),
        (names("old.example.com", Some(3)), "names old.example.com with epoch 3, and the state has epoch 3 only"),
    ] {
        let (outcome, message, done) = after(foreign).await;
        assert_eq!((outcome, done), (Refused, vec![]), "{message}");
        assert!(message.contains(why) && message.ends_with("delete the records by hand"), "{message}");
    }
}

#[tokio::test]
async fn a_set_up_that_fails_is_tried_by_every_minute_and_told_after_ten() {
    let world = Scripted::of(&spec(&leads()), Part::Primary);
    world.ask(&leads()).await;
    world.complete_stack();
    world.now().databases.closed = true;
    world.done();
    let answer = world.ask(&schedule()).await;
    assert_eq!(answer.outcome, Waiting);
    let beginning = "its roles and its database could not be made: postgres:set-up failed for now: connection refused";
    assert!(answer.message.starts_with(beginning), "{}", answer.message);
    assert!(world.done().is_empty());
    world.told();
    world.now().now_ms += 20 * 60_000;
    world.ask(&schedule()).await;
    world.ask(&schedule()).await;
    assert_eq!(world.told(), ["leads: not ready"]);
    world.now().databases.closed = false;
    world.ask(&schedule()).await;
    assert_eq!(world.done().len(), 2, "the set-up and its note");
}

#[tokio::test]
async fn another_set_of_roles_is_set_up_again_and_the_same_is_not() {
    let world = Scripted::of(&spec(&leads()), Part::Primary);
    world.ask(&leads()).await;
    come_to_ready(&world).await;
    world.now().next_phase = ChangeSetPhase::Ready(vec![modified("AWS::SSM::Parameter", "False", "Value")]);
    let mut limited = leads();
    limited["managed"] = json!({ "roles": { "application": 60, "readonly": 20, "admin": 5, "backup": 5 } });
    world.done();
    world.ask(&limited).await;
    come_to_ready(&world).await;
    let done = world.done();
    assert_eq!(done.iter().filter(|done| done.starts_with("set up app")).count(), 1, "{done:?}");
    assert!(!done.iter().any(|done| done.starts_with("writer name")), "{done:?}");
}

#[tokio::test]
async fn a_cluster_of_a_deleted_ones_name_starts_from_nothing() {
    let world = Scripted::of(&spec(&leads()), Part::Primary);
    {
        let mut account = world.now();
        let roles = domain::managed::Roles::default().promoted(2, 2);
        account.roles(&roles);
        account.kept.insert("set-up".into(), json!({ "version": 1 }));
        account.kept.insert("region".into(), json!({}));
        account.state = Some(State { epoch: 4, ..State::unclaimed() });
    }
    world.ask(&leads()).await;
    let done = world.done();
    assert_eq!(done[..3], ["drop item roles", "drop item set-up", "drop item region"]);
    let template = world.now().template.to_string();
    assert!(!template.contains("example-leads-1-g2"), "yesterday's generations");
}

#[tokio::test]
async fn a_major_upgrade_is_no_deployment() {
    let world = Scripted::of(&spec(&leads()), Part::Primary);
    world.ask(&leads()).await;
    come_to_ready(&world).await;
    world.done();
    let mut newer = leads();
    newer["postgresql"] = json!({ "version": 17 });
    for event in [newer.clone(), json!({ "plan": newer })] {
        let answer = world.ask(&event).await;
        let expected = "leads has PostgreSQL 15.4, and this spec says 17: a deployment makes no major upgrade; \
                        {\"plan_upgrade\": {\"cluster\": \"leads\", \"to\": 17}} says how it is made; nothing was changed";
        assert_eq!((answer.outcome, answer.message.as_str()), (Refused, expected));
    }
    assert!(world.done().is_empty());
    // Upgraded by another way: now the spec says what is.
    world.now().databases.source.as_mut().unwrap().version = "17.2".into();
    world.now().next_phase = ChangeSetPhase::Ready(vec![modified("AWS::RDS::DBInstance", "False", "EngineVersion")]);
    assert_eq!(world.ask(&newer).await.outcome, Started);
}

#[tokio::test]
async fn what_would_replace_a_database_its_key_or_its_network_is_refused() {
    for (kind, target) in [
        ("AWS::RDS::DBInstance", "MasterUsername"),
        ("AWS::RDS::DBCluster", "StorageEncrypted"),
        ("AWS::RDS::GlobalCluster", "GlobalClusterIdentifier"),
        ("AWS::RDS::DBSubnetGroup", "DBSubnetGroupName"),
        ("AWS::RDS::DBProxy", "DBProxyName"),
        ("AWS::KMS::Key", "KeySpec"),
    ] {
        for replacement in ["True", "Conditional"] {
            let world = adopted().await;
            let change = Change { logical_id: "It".into(), ..modified(kind, replacement, target) };
            world.now().next_phase = ChangeSetPhase::Ready(vec![change]);
            let mut other = leads();
            other["log_days"] = json!(7);
            let answer = world.ask(&other).await;
            assert_eq!(answer.outcome, Refused, "{kind} {replacement}");
            assert!(answer.message.contains(&format!("replace It ({kind}) because of {target}")), "{}", answer.message);
            assert!(world.done().last().is_some_and(|done| done == "delete change set"));
            let answer = world.ask(&json!({ "plan": other })).await;
            assert_eq!(answer.outcome, Planned);
            assert!(answer.message.contains("REFUSED"), "{}", answer.message);
        }
    }
}
