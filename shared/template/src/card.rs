//! The cluster's card: what the rest of Understudy knows it by.

use crate::{Handle, Template, Value, hosts::Host, resource::StringParameter, site::Site};
use domain::card::{Card, CardHost, CardMember, PatroniCard};
use std::net::{IpAddr, Ipv4Addr};

/// What a text says for now, and the value that it stands for.
pub(crate) type Stands = Vec<(String, Value)>;

/// A stand-in for a value that is known when the stack is made.
pub(crate) fn stand_in(stands: &mut Stands, what: &str, value: Value) -> String {
    let token = format!("<{what}>");
    stands.push((token.clone(), value));
    token
}

/// The same for an address, which must be one: of TEST-NET-1 (RFC 5737), in quotation marks, so that .1 is not found
/// in .10.
fn address(stands: &mut Stands, value: Value) -> IpAddr {
    let number = 1 + stands.iter().filter(|(token, _)| token.starts_with("\"192.0.2.")).count();
    let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, u8::try_from(number).unwrap_or(u8::MAX)));
    stands.push((format!("\"{address}\""), Value::join(["\"".into(), value, "\"".into()])));
    address
}

/// A host that is no member, as the card has it.
pub(crate) fn host(stands: &mut Stands, host: &Host) -> CardHost {
    let name = &host.place.name;
    CardHost {
        name: name.clone(),
        id: stand_in(stands, &format!("{name} instance"), host.instance.id()),
        address: address(stands, host.place.interface.address()),
        zone: stand_in(stands, &format!("{name} zone"), host.place.zone.clone()),
    }
}

/// The card is written as a [`Card`] with stand-ins for what only CloudFormation
/// knows, which then give way to references: it cannot differ from what is read.
pub(crate) fn add(
    template: &mut Template,
    site: &Site<'_>,
    members: &[Host],
    operator_secret: Value,
    patroni: Option<PatroniCard>,
    mut stands: Stands,
) -> Handle<StringParameter> {
    let spec = site.spec;
    let operator_secret = stand_in(&mut stands, "operator", operator_secret);
    let mut on_card = Vec::new();
    for (number, member) in (1u32..).zip(members) {
        let CardHost { name, id, address, zone } = host(&mut stands, member);
        let never_promote = spec.members.never_promote.contains(&number);
        on_card.push(CardMember { name, id, address, zone, never_promote, tier: 0 });
    }
    let card = Card {
        version: 1,
        fleet: site.fleet.name.clone(),
        cluster: spec.name.clone(),
        topology: spec.topology,
        database: spec.postgresql.database.clone(),
        port: spec.postgresql.port,
        records: site.records(),
        operator_secret,
        certificate_authority: site.tls.certificate_authority.clone(),
        synchronous_required: spec.synchronous.required,
        members: on_card,
        policy: spec.policy,
        patroni,
    };
    #[expect(clippy::expect_used, reason = "strings and numbers only: there is nothing that JSON cannot hold")]
    let text = serde_json::to_string(&card).expect("a card is JSON");
    let parameter = StringParameter {
        name: site.card(),
        description: format!("Card of cluster {}: where it is and what may be done to it", spec.name),
        r#type: "String",
        tier: "Intelligent-Tiering",
        value: Value::substitute(&text, &stands),
        tags: site.tag_map(),
    };
    template.add("Card", parameter)
}
