//! Where the databases are, and who reaches them.

use crate::{
    Handle, Part, Template, Value, groups,
    network::{self, Network},
    resource::{DbSubnetGroup, PeeringConnection, SecurityGroup},
    site::Site,
};
use std::collections::BTreeSet;

/// Nobody: a rule to here is there so that AWS does not add its own, which lets everything out.
pub(crate) const NOBODY: &str = "127.0.0.1/32";

/// What is there before a database.
pub(crate) struct Placed {
    pub(crate) network: Network,
    /// Its private subnets, as RDS wants them.
    pub(crate) subnet_group: Handle<DbSubnetGroup>,
    /// Who may connect: clients, Understudy's functions and the other Region's.
    pub(crate) group: Handle<SecurityGroup>,
    /// The connection with the other Region's network that this part asks for.
    pub(crate) peering: Option<Value>,
}

/// The network of this part, the subnet group and the security group.
pub(crate) fn add(template: &mut Template, site: &Site<'_>) -> Placed {
    let wanted = match (site.part, &site.spec.dr) {
        (Part::Dr, Some(dr)) => &dr.network,
        _ => &site.spec.network,
    };
    let network = network::add(template, site, wanted);
    let subnet_group = DbSubnetGroup {
        description: format!("Subnets of PostgreSQL cluster {}", site.spec.name),
        subnet_ids: network.private.iter().map(|subnet| subnet.id.clone()).collect(),
        tags: site.named(&site.stack()),
    };
    let subnet_group = template.add("DatabaseSubnets", subnet_group);
    let group = security_group(template, site, &network);
    let port = site.spec.postgresql.port;
    groups::from_functions(template, site, &network, ("Database", &group), port, "Postgresql");
    let peering = to_the_other_region(template, site, &network);
    Placed { network, subnet_group, group, peering }
}

/// PostgreSQL's port, and no way out.
fn security_group(template: &mut Template, site: &Site<'_>, network: &Network) -> Handle<SecurityGroup> {
    let port = site.spec.postgresql.port;
    let mut ingress = groups::from_networks(port, site.client_cidrs(), "Clients");
    let known: BTreeSet<&String> = site.client_cidrs().iter().collect();
    let other: Vec<String> = other_network(site).into_iter().filter(|cidr| !known.contains(cidr)).collect();
    ingress.extend(groups::from_networks(port, &other, "Understudy in the other Region"));
    let group = SecurityGroup {
        group_description: format!("Databases of PostgreSQL cluster {}", site.spec.name),
        vpc_id: network.vpc_id.clone(),
        security_group_ingress: ingress,
        security_group_egress: nothing_out(),
        tags: site.named(&site.stack()),
    };
    template.add("DatabaseSecurityGroup", group)
}

/// The rules of a group that opens no connection.
pub(crate) fn nothing_out() -> Vec<crate::resource::NetworkRule> {
    groups::from_networks(443, &[NOBODY.to_owned()], "Nothing is needed")
}

/// The other Region's network, from which its functions look whether a writer can still write.
pub(crate) fn other_network(site: &Site<'_>) -> Option<String> {
    let dr = site.spec.dr.as_ref()?;
    Some(match site.part {
        Part::Primary => dr.cidr.clone(),
        Part::Dr => dr.primary_cidr.clone(),
    })
}

/// The peering connection with the other Region: made by the second Region's part when the spec names the first's VPC,
/// known to the first's when the spec names the connection.
fn to_the_other_region(template: &mut Template, site: &Site<'_>, network: &Network) -> Option<Value> {
    let dr = site.spec.dr.as_ref()?;
    let (peering, cidr) = match (site.part, &dr.primary_vpc_id) {
        (Part::Dr, Some(primary)) => {
            let peering = PeeringConnection {
                vpc_id: network.vpc_id.clone(),
                peer_vpc_id: primary.clone(),
                peer_region: Some(dr.primary_region.clone()),
                tags: site.named(&format!("{} to {}", site.stack(), dr.primary_region)),
            };
            (template.add("PrimaryPeering", peering).id(), &dr.primary_cidr)
        }
        (Part::Dr, None) => (dr.peering_connection_id.as_ref()?.into(), &dr.primary_cidr),
        (Part::Primary, _) => (dr.peering_connection_id.as_ref()?.into(), &dr.cidr),
    };
    network.route(template, std::slice::from_ref(cidr), &peering);
    Some(peering)
}
