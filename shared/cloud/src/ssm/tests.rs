use super::*;
use crate::replay::{Reply, answer, json_error, kind, script};
use domain::{
    card::{Records, Topology},
    policy::Policy,
};
use serde_json::{Value, json};

fn card(cluster: &str) -> Card {
    Card {
        patroni: None,
        version: 1,
        fleet: "lab".into(),
        cluster: cluster.into(),
        topology: Topology::Ec2Streaming,
        database: "orders".into(),
        port: 5432,
        records: Records {
            zone_id: "Z1".into(),
            writer: format!("{cluster}-rw.db.internal"),
            reader: format!("{cluster}-ro.db.internal"),
            ttl_s: 1,
        },
        operator_secret: "arn:aws:secretsmanager:eu-west-1:000000000000:secret:operator".into(),
        certificate_authority: "-----BEGIN CERTIFICATE-----".into(),
        synchronous_required: 1,
        members: vec![],
        policy: Policy::default(),
    }
}

fn parameter(name: &str, value: &str) -> Value {
    json!({ "Name": format!("/understudy/lab/clusters/{name}"), "Type": "String", "Value": value })
}

fn text(card: &Card) -> String {
    serde_json::to_string(card).unwrap()
}

fn page(parameters: &[Value], next: Option<&str>) -> Reply {
    Reply::Http(200, json!({ "Parameters": parameters, "NextToken": next }).to_string())
}

#[tokio::test]
async fn all_pages_are_read_and_an_unreadable_card_hides_no_other() {
    let mut newer: Value = serde_json::to_value(card("newer")).unwrap();
    newer["version"] = json!(2);
    let first = [parameter("users", &text(&card("users"))), parameter("odd", "{}"), parameter("text", "hello")];
    let second = [
        parameter("orders", &text(&card("orders"))),
        parameter("copy", &text(&card("orders"))),
        parameter("newer", &newer.to_string()),
    ];
    let (config, replay) = script([page(&first, Some("t")), page(&second, None)]);
    let found = Ssm::new(&config).cards("lab").await.unwrap();
    assert_eq!(found.cards, [card("orders"), card("users")].map(Registered::Ec2));
    let problems: Vec<(&str, &str)> =
        found.unreadable.iter().map(|bad| (bad.parameter.rsplit('/').next().unwrap(), &*bad.problem)).collect();
    assert_eq!(
        problems,
        [
            ("odd", "it has no version"),
            ("text", "expected value at line 1 column 1"),
            ("copy", "it is the card of cluster orders of fleet lab"),
            ("newer", "it has version 2; this Understudy reads 1"),
        ]
    );
    let asked = replay.asked();
    assert_eq!(asked[0].json(), json!({ "Path": "/understudy/lab/clusters", "MaxResults": 10 }));
    assert_eq!(asked[1].json()["NextToken"], "t");
}

#[tokio::test]
async fn half_a_fleet_is_never_taken_for_a_fleet() {
    let denied = Reply::Http(400, json_error("AccessDeniedException", "not authorized to perform"));
    let (config, _) = script([page(&[parameter("orders", &text(&card("orders")))], Some("t")), denied]);
    let failure = Ssm::new(&config).cards("lab").await.unwrap_err();
    assert_eq!(kind(&failure), "broken");
    assert!(failure.to_string().contains("the parameters below /understudy/lab/clusters/"), "{failure}");
}

#[tokio::test]
async fn one_card_by_name() {
    let (config, replay) = answer(200, json!({ "Parameter": parameter("orders", &text(&card("orders"))) }).to_string());
    assert_eq!(Ssm::new(&config).card("lab", "orders").await.unwrap(), Some(Registered::Ec2(card("orders"))));
    assert_eq!(replay.only().json(), json!({ "Name": "/understudy/lab/clusters/orders" }));

    let (config, _) = answer(400, json_error("ParameterNotFound", ""));
    assert_eq!(Ssm::new(&config).card("lab", "orders").await.unwrap(), None);

    let (config, _) = answer(200, json!({ "Parameter": parameter("orders", "{\"version\":1}") }).to_string());
    let failure = Ssm::new(&config).card("lab", "orders").await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "ssm:GetParameter cannot succeed: parameter /understudy/lab/clusters/orders is not a card: missing field `topology`"
    );
}

/// The shape of a card follows from its topology, and a problem is told of that shape.
#[tokio::test]
async fn a_card_of_a_managed_cluster_is_read_beside_the_others() {
    let managed = json!({
        "version": 1, "fleet": "lab", "cluster": "carts", "topology": "aurora-provisioned", "side": "primary",
        "region": "eu-west-1", "database": "carts", "port": 5432,
        "records": { "zone_id": "Z1", "writer": "carts-rw.db.internal", "reader": "carts-ro.db.internal", "ttl_s": 1 },
        "operator_secret": "arn", "db_cluster": "lab-carts", "aws_fails_over": true, "policy": {},
        "instances": [{ "id": "lab-carts-1", "place": 1 }]
    });
    let mut broken = managed.clone();
    broken["cluster"] = json!("half");
    broken.as_object_mut().unwrap().remove("region");
    let cards = [
        parameter("orders", &text(&card("orders"))),
        parameter("carts", &managed.to_string()),
        parameter("half", &broken.to_string()),
    ];
    let (config, _) = script([page(&cards, None)]);
    let found = Ssm::new(&config).cards("lab").await.unwrap();
    let [Registered::Managed(carts), Registered::Ec2(orders)] = &found.cards[..] else { panic!("{:?}", found.cards) };
    assert_eq!((carts.db_cluster.as_deref(), orders.cluster.as_str()), (Some("lab-carts"), "orders"));
    assert!(carts.is_called("lab-carts-1") && !carts.is_called("lab-other"));
    assert_eq!(found.unreadable[0].problem, "missing field `region`");
}
