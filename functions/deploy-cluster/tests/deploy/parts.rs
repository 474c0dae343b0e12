//! A cluster of two Regions: which part is deployed where, and what it needs.

use crate::scripted::{Scripted, orders, shop, stack_event};
use deploy_cluster::{
    Outcome::{Ready, Refused, Started, Waiting},
    outside::{Certificate, TlsSeen},
    reading,
};
use domain::spec::Spec;
use serde_json::json;
use template::{Part, Tls};

fn spec() -> Spec {
    reading::read_value(shop()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn in_dr() -> Scripted {
    let names = ["operator", "replication", "application", "superuser", "pooler", "patroni", "source"];
    Scripted::of(&spec(), Part::Dr).with(|account| {
        account.secrets = names.iter().map(|name| format!("understudy/example/shop/{name}")).collect();
        let tls = Tls {
            secret_arn: "arn:copy".into(),
            certificate_authority: "PEM".into(),
            peer_authority: Some("PEER".into()),
        };
        let seen = TlsSeen { tls, names: vec![], copy_of: Some("us-east-1".into()), copies: vec![] };
        account.tls = Some(Certificate::There(seen));
    })
}

#[tokio::test]
async fn the_primary_side_copies_its_certificate_and_takes_its_template_from_the_bucket() {
    let world = Scripted::of(&spec(), Part::Primary);
    let answer = world.ask(&shop()).await;
    assert_eq!(answer.outcome, Started, "{}", answer.message);
    let expected = [
        "create certificate of shop for shop-rw.db.internal, shop-ro.db.internal, *.elb.us-east-1.amazonaws.com",
        "copy certificate to us-west-2",
        "put nodes",
        // Over 51,200 bytes.
        "put templates",
        r#"create change set: new stack, image Is("ami-1")"#,
        "protect true",
        "execute change set",
    ];
    assert_eq!(world.done(), expected);
    let names: Vec<String> = world.now().objects.keys().cloned().collect();
    assert!(names[0].starts_with("nodes/") && names[0].ends_with(".tar.gz"), "{names:?}");
    assert!(names[1].starts_with("templates/") && names[1].ends_with(".json"), "{names:?}");

    // Again: nothing is copied or put twice.
    world.ask(&shop()).await;
    assert!(world.done().is_empty());
}

#[tokio::test]
async fn the_second_side_waits_for_the_secrets_of_the_first() {
    let world = in_dr();
    world.now().secrets.remove("understudy/example/shop/patroni");
    world.now().tls = None;
    let answer = world.ask(&shop()).await;
    let expected = "the primary side has not copied all secrets of shop to us-west-2 yet (patroni, tls): \
                    deploy the spec in the primary Region first, then here again";
    assert_eq!((answer.outcome, answer.message.as_str()), (Waiting, expected));
    assert!(world.done().is_empty());
}

#[tokio::test]
async fn the_second_side_is_ready_with_its_stack_and_has_no_records() {
    let world = in_dr();
    assert_eq!(world.ask(&shop()).await.outcome, Started);
    let done = world.done();
    assert_eq!(done.last().map(String::as_str), Some("execute change set"), "{done:?}");
    assert!(!done.iter().any(|done| done.contains("certificate")), "{done:?}");
    world.complete_stack();
    world.now().card = None;
    // Also by an event, which has no spec: the stack's tag says which side it is.
    let event =
        stack_event("CREATE_COMPLETE").to_string().replace("eu-west-1", "us-west-2").replace("-orders/", "-shop/");
    for event in [serde_json::from_str(&event).unwrap(), shop()] {
        let answer = world.ask(&event).await;
        assert_eq!(answer.outcome, Ready, "{}", answer.message);
        assert!(answer.message.starts_with("the standby of shop in us-west-2 is there"), "{}", answer.message);
    }
    assert!(world.done().is_empty());
}

#[tokio::test]
async fn the_second_side_takes_its_records_and_certificate_from_nobody() {
    let world = in_dr();
    let mut spec = shop();
    spec["deletion_protection"] = json!(false);
    world.ask(&spec).await;
    world.complete_stack();
    world.done();
    world.ask(&json!({ "delete": "shop", "confirm": "shop" })).await;
    world.complete_stack();
    world.ask(&json!({ "delete": "shop", "confirm": "shop" })).await;
    assert_eq!(world.done(), ["note deletion", "delete stack", "forget deletion"]);
    assert!(matches!(world.now().tls, Some(Certificate::There(_))));
}

#[tokio::test]
async fn a_secret_that_is_no_copy_is_not_used() {
    let world = in_dr();
    if let Some(Certificate::There(seen)) = &mut world.now().tls {
        seen.copy_of = None;
    }
    let answer = world.ask(&shop()).await;
    assert_eq!(answer.outcome, Refused);
    assert!(
        answer.message.starts_with("secret understudy/example/shop/tls in us-west-2 is no copy"),
        "{}",
        answer.message
    );
}

#[tokio::test]
async fn another_region_is_refused() {
    let world = Scripted::new();
    let answer = world.ask(&shop()).await;
    assert_eq!(answer.outcome, Refused);
    let problem = answer.problems[0].to_string();
    let expected = "/dr: found us-east-1 and us-west-2, allowed is this fleet's Region eu-west-1 as one of the two: \
                    give the spec to the fleets of its Regions";
    assert_eq!(problem, expected);
    assert!(world.done().is_empty());
}

#[tokio::test]
async fn a_vpc_of_its_own_shares_no_address_with_the_fleets() {
    let world = Scripted::new().with(|account| account.network.cidrs = vec!["10.100.0.0/16".into()]);
    let mut spec = orders();
    spec["network"] = json!({ "own_vpc": { "cidr": "10.100.0.0/16" } });
    let answer = world.ask(&spec).await;
    let problems: Vec<String> = answer.problems.iter().map(ToString::to_string).collect();
    let expected = "/network/own_vpc/cidr: found \"10.100.0.0/16\", allowed is a network that shares no address with \
                    10.100.0.0/16 of the fleet's VPC vpc-0123456789abcdef0: they are peered";
    assert_eq!((answer.outcome, problems), (Refused, vec![expected.to_owned()]));

    spec["network"] = json!({ "own_vpc": { "cidr": "10.7.0.0/16" } });
    assert_eq!(world.ask(&spec).await.outcome, Started);
    let template = world.now().template.to_string();
    assert!(template.contains("rtb-0123456789abcdef0"), "no way from the fleet's subnets to the cluster");
}

#[tokio::test]
async fn what_aws_would_not_take_is_refused_before() {
    let names = ["orders-rw.db.internal", "orders-ro.db.internal"].map(str::to_owned).to_vec();
    // The card carries the authority: no spec makes it that long, a certificate made elsewhere may be.
    let tls = Tls { secret_arn: "arn:tls".into(), certificate_authority: "x".repeat(9_000), peer_authority: None };
    let seen = TlsSeen { tls, names, copy_of: None, copies: vec![] };
    let world = Scripted::new().with(|account| account.tls = Some(Certificate::There(seen)));
    let answer = world.ask(&orders()).await;
    assert_eq!(answer.outcome, Refused, "{}", answer.message);
    assert!(answer.problems.is_empty(), "{:?}", answer.problems);
    let beginning = "the parameter /understudy/example/clusters/orders of orders would have ";
    assert!(answer.message.starts_with(beginning), "{}", answer.message);
    assert!(answer.message.contains("and Systems Manager takes 8192: use fewer"), "{}", answer.message);
    assert!(world.now().stack.is_none());
}
