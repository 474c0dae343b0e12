//! The cluster's card: what the rest of Understudy knows it by.

use super::{Secrets, Site, members::Member};
use crate::{Handle, Template, Value, resource::StringParameter};
use domain::card::{Card, CardMember};
use std::net::{IpAddr, Ipv4Addr};

/// The card is written as a [`Card`] with stand-ins for what only CloudFormation
/// knows, which then give way to references: it cannot differ from what is read.
pub(super) fn add(
    template: &mut Template,
    site: &Site<'_>,
    members: &[Member],
    secrets: &Secrets,
) -> Handle<StringParameter> {
    let spec = site.spec;
    let mut values = vec![("<operator>".to_owned(), secrets.operator.arn())];
    let mut on_card = Vec::new();
    for (number, member) in (1u8..).zip(members) {
        let id = format!("<instance {number}>");
        // TEST-NET-1 (RFC 5737), in quotation marks, so that .1 is not found in .10.
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, number));
        values.push((id.clone(), member.instance.id()));
        values.push((format!("\"{address}\""), Value::join(["\"".into(), member.interface.address(), "\"".into()])));
        on_card.push(CardMember {
            name: member.name.clone(),
            id,
            address,
            zone: member.zone.clone(),
            never_promote: spec.members.never_promote.contains(&u32::from(number)),
            tier: 0,
        });
    }
    let card = Card {
        patroni: None,
        version: 1,
        fleet: site.fleet.name.clone(),
        cluster: spec.name.clone(),
        topology: spec.topology,
        database: spec.postgresql.database.clone(),
        port: spec.postgresql.port,
        records: site.records(),
        operator_secret: "<operator>".into(),
        certificate_authority: site.tls.certificate_authority.clone(),
        synchronous_required: spec.synchronous.required,
        members: on_card,
        policy: spec.policy,
    };
    #[expect(clippy::expect_used, reason = "strings and numbers only: there is nothing that JSON cannot hold")]
    let text = serde_json::to_string(&card).expect("a card is JSON");
    let parameter = StringParameter {
        name: Card::parameter(&site.fleet.name, &spec.name),
        description: format!("Card of cluster {}: where it is and what may be done to it", spec.name),
        r#type: "String",
        value: Value::substitute(&text, &values),
        tags: site.tag_map(),
    };
    template.add("Card", parameter)
}
