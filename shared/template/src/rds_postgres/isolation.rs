//! What cuts an old writer off from everybody but Understudy, before a replica is promoted in its place.
//!
//! A security group lets no new connection in, but those that are there go on; a network ACL ends them, at once, for a
//! whole subnet. So there is one only where the subnets are the databases' own.

use super::Ground;
use crate::{
    Handle, Template, Value, groups,
    managed::placed::{nothing_out, other_network},
    resource::{NetworkAcl, NetworkAclEntry, PortRange, SecurityGroup},
};

/// The ports that clients choose for themselves.
///
/// Source: Amazon VPC user guide, "Ephemeral ports".
const EPHEMERAL: PortRange = PortRange { from: 1_024, to: 65_535 };

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
    let acl = has_own_subnets(ground).then(|| acl(template, ground, &other));
    Isolation { group, acl }
}

/// Whether nobody else is in the databases' subnets: PgBouncer and its load balancer would be cut off with a writer.
fn has_own_subnets(ground: &Ground<'_>) -> bool {
    let site = ground.site;
    let network = match (site.part, &site.spec.dr) {
        (crate::Part::Dr, Some(dr)) => &dr.network,
        _ => &site.spec.network,
    };
    network.own_vpc.is_some() && !super::pooler::is_wanted(site)
}

/// Lets in only the networks of Understudy's functions. What is not allowed is denied.
fn acl(template: &mut Template, ground: &Ground<'_>, other: &[String]) -> (Value, Value) {
    let site = ground.site;
    let tags = site.named(&format!("{} isolated", site.stack()));
    let acl = template.add("IsolatedAcl", NetworkAcl { vpc_id: ground.placed.network.vpc_id.clone(), tags });
    let port = site.spec.postgresql.port;
    let networks = site.fleet.vpc_cidrs.iter().chain(other);
    for (number, network) in (1_u32..).zip(networks) {
        let ways = [("In", false, PortRange { from: port, to: port }), ("Out", true, EPHEMERAL)];
        for (way, egress, ports) in ways {
            let entry = NetworkAclEntry {
                network_acl_id: acl.id(),
                rule_number: 100 * number,
                rule_action: "allow",
                egress,
                protocol: 6,
                cidr_block: network.clone(),
                port_range: Some(ports),
            };
            template.add(format!("IsolatedAcl{way}{number}"), entry);
        }
    }
    (acl.id(), Value::attribute("Vpc", "DefaultNetworkAcl"))
}
