//! The card is what the rest of Understudy reads.

use crate::kit::{parameter, render, tls};
use domain::{
    card::{Card, CardMember, Records, Topology},
    policy::Policy,
    spec::Spec,
};

#[test]
fn the_card_is_the_one_that_the_rest_reads() {
    let mut spec = Spec::new("orders");
    spec.members.never_promote = vec![3];
    let template = render(&spec);

    let card: Card = serde_json::from_str(&parameter(&template, "Card")).unwrap();

    let member = |number: u8, zone: &str, never_promote| CardMember {
        name: format!("orders_{number}"),
        id: format!("i-0123456789abcdef{number}"),
        address: format!("10.100.100.10{number}").parse().unwrap(),
        zone: zone.into(),
        never_promote,
        tier: 0,
    };
    let expected = Card {
        patroni: None,
        version: 1,
        fleet: "prod".into(),
        cluster: "orders".into(),
        topology: Topology::Ec2Streaming,
        database: "app".into(),
        port: 5432,
        records: Records {
            zone_id: "Z1".into(),
            writer: "orders-rw.db.internal".into(),
            reader: "orders-ro.db.internal".into(),
            ttl_s: 1,
        },
        operator_secret: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:understudy/prod/orders/operator-AbCdEf"
            .into(),
        certificate_authority: tls().certificate_authority,
        synchronous_required: 1,
        // Two subnets for three members: the third goes where the first is.
        members: vec![member(1, "eu-west-1a", false), member(2, "eu-west-1b", false), member(3, "eu-west-1a", true)],
        policy: Policy::default(),
    };
    assert_eq!(card, expected);
}

/// In a VPC of its own the zones are known only when the stack is made.
#[test]
fn the_card_has_the_zones_of_a_vpc_of_its_own() {
    let spec = crate::kit::spec(serde_json::json!({ "network": { "own_vpc": { "cidr": "10.1.0.0/16" } } }));
    let card: Card = serde_json::from_str(&parameter(&render(&spec), "Card")).unwrap();
    let zones: Vec<&str> = card.members.iter().map(|member| member.zone.as_str()).collect();
    assert_eq!(zones, ["eu-west-1a", "eu-west-1b", "eu-west-1c"]);
}
