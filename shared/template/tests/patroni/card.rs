//! The card, as the rest of Understudy reads it.

use crate::kit::{primary, properties, text};
use domain::card::{Card, Topology};
use serde_json::json;

#[test]
fn the_card_is_the_one_that_the_rest_reads() {
    let template = primary(json!({
        "patroni": { "ttl": 30, "loop_wait": 10, "retry_timeout": 10 },
        "members": { "never_promote": [3] },
    }));
    let card = text(&template, &properties(&template, "Card")["Value"]);
    // Addresses are only known once the stack is made, and are read as addresses.
    let mut number = 0;
    let mut read = String::new();
    for part in card.split('"') {
        if part.contains("Interface.PrimaryPrivateIpAddress") {
            number += 1;
            read += &format!("10.0.1.{number}");
        } else {
            read += part;
        }
        read += "\"";
    }
    let card: Card = serde_json::from_str(read.trim_end_matches('"')).unwrap();

    assert_eq!(card.topology, Topology::Ec2Patroni);
    let members: Vec<(&str, &str, bool)> =
        card.members.iter().map(|one| (one.name.as_str(), one.id.as_str(), one.never_promote)).collect();
    assert_eq!(
        members,
        [("shop_1", "{Member1}", false), ("shop_2", "{Member2}", false), ("shop_3", "{Member3}", true)]
    );
    assert_eq!(card.operator_secret, "{OperatorSecret}");
    assert_eq!(card.synchronous_required, 1);
    let patroni = card.patroni.unwrap();
    assert_eq!(patroni.port, 8008);
    assert_eq!(patroni.api_secret, "{PatroniSecret}");
    assert_eq!(Some(patroni.peer_authority), crate::kit::tls(template::Part::Primary).peer_authority);
    assert_eq!((patroni.ttl_s, patroni.loop_wait_s), (30, 10));
    assert_eq!(patroni.balancer, "{Balancer.DNSName}");
    let etcd: Vec<(&str, &str, &str)> =
        patroni.etcd.iter().map(|one| (one.name.as_str(), one.id.as_str(), one.zone.as_str())).collect();
    let expected = [
        ("shop-etcd-1", "{Etcd1Instance}", "eu-west-1a"),
        ("shop-etcd-2", "{Etcd2Instance}", "eu-west-1b"),
        ("shop-etcd-3", "{Etcd3Instance}", "eu-west-1b"),
    ];
    assert_eq!(etcd, expected);
}
