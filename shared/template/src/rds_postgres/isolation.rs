//! What cuts an old writer off from everybody, before a replica is promoted in its place.
//!
//! A security group lets no new connection in, but those that are there go on; a network ACL ends them, at once, for a
//! whole subnet. So there is one only where the subnets are the databases' own.

use super::Ground;
use crate::{
    Handle, Template, Value, groups,
    managed::placed::{nothing_out, other_network},
    resource::{NetworkAcl, SecurityGroup},
};

pub(super) struct Isolation {
    pub(super) group: Handle<SecurityGroup>,
    /// The ACL, and that of normal life.
    pub(super) acl: Option<(Value, Value)>,
}

pub(super) fn add(template: &mut Template, ground: &Ground<'_>) -> Isolation {
    let site = ground.site;
    let (port, network) = (site.spec.postgresql.port, &ground.placed.network);
    let other: Vec<String> = other_network(site).into_iter().collect();
    let group = SecurityGroup {
        group_description: format!("Old writers of PostgreSQL cluster {}: nobody but Understudy", site.spec.name),
        vpc_id: network.vpc_id.clone(),
        security_group_ingress: groups::from_networks(port, &other, "Understudy in the other Region"),
        security_group_egress: nothing_out(),
        tags: site.named(&format!("{} isolated", site.stack())),
    };
    let group = template.add("IsolatedSecurityGroup", group);
    groups::from_functions(template, site, network, ("Isolated", &group), port, "Postgresql");
    let acl = has_own_subnets(ground).then(|| acl(template, ground));
    Isolation { group, acl }
}

/// Whether nobody else is in the databases' subnets: PgBouncer and its load balancer would be cut off with a writer, and
/// the connections of an RDS Proxy would live on, since an ACL sees nothing inside a subnet.
fn has_own_subnets(ground: &Ground<'_>) -> bool {
    let site = ground.site;
    let network = match (site.part, &site.spec.dr) {
        (crate::Part::Dr, Some(dr)) => &dr.network,
        _ => &site.spec.network,
    };
    network.own_vpc.is_some() && !super::pooler::is_wanted(site) && site.spec.managed().proxy.is_none()
}

/// Lets nothing in and nothing out: what is not allowed is denied, and it has no entry. Understudy's functions come from
/// networks that clients may be in, too, so they are no exception; they have looked, through the group, before.
fn acl(template: &mut Template, ground: &Ground<'_>) -> (Value, Value) {
    let tags = ground.site.named(&format!("{} isolated", ground.site.stack()));
    let acl = template.add("IsolatedAcl", NetworkAcl { vpc_id: ground.placed.network.vpc_id.clone(), tags });
    (acl.id(), Value::attribute("Vpc", "DefaultNetworkAcl"))
}
