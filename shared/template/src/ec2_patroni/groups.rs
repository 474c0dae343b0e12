//! Who may reach whom.
//!
//! Clients reach PostgreSQL by the records, directly, and everything by the load balancer: PgBouncer and Patroni's
//! API are open to nobody else. The load balancer has a group of its own, so that members can tell what comes through
//! it, whose addresses are its own since it does not pass on those of clients.

use super::{ETCD_CLIENT, ETCD_PEER, PATRONI, POOLER, POOLER_EXPORTER, balancer};
use crate::{
    Handle, Template,
    groups::{
        self, NODE_EXPORTER, POSTGRES_EXPORTER, connect, from_functions, from_networks, let_in, people_and_exporters,
    },
    network::Network,
    resource::{NetworkRule, SecurityGroup},
    site::Site,
};
use domain::spec::Dr;

/// The groups of the hosts that every cluster of this topology has.
pub(super) struct Groups {
    pub(super) member: Handle<SecurityGroup>,
    pub(super) etcd: Handle<SecurityGroup>,
    pub(super) balancer: Handle<SecurityGroup>,
}

pub(super) fn add(template: &mut Template, site: &Site<'_>, network: &Network) -> Groups {
    let groups = Groups {
        member: members(template, site, network),
        etcd: etcd(template, site, network),
        balancer: balancer(template, site, network),
    };
    let port = site.spec.postgresql.port;
    let (member, etcd) = (("Member", &groups.member), ("Etcd", &groups.etcd));
    connect(template, member, etcd, ETCD_CLIENT, "Client", "Patroni asks etcd who leads");
    connect(template, etcd, etcd, ETCD_CLIENT, "Client", "A host that comes anew asks the others");
    connect(template, etcd, etcd, ETCD_PEER, "Peer", "etcd among itself");
    for (port, what) in [(port, "Postgresql"), (POOLER, "Pooler"), (PATRONI, "Patroni")] {
        let (id, why) = (format!("MemberFromBalancer{what}"), "The load balancer, and its health checks");
        let_in(template, &id, &groups.member, port, groups.balancer.group_id(), why);
    }
    groups
}

fn members(template: &mut Template, site: &Site<'_>, network: &Network) -> Handle<SecurityGroup> {
    let port = site.spec.postgresql.port;
    let mut ingress = from_networks(port, site.client_cidrs(), "Clients");
    ingress.extend(people_and_exporters(site, &[NODE_EXPORTER, POSTGRES_EXPORTER, POOLER_EXPORTER]));
    if let Some(dr) = &site.spec.dr {
        // Of another Region, where a group of this one has no name.
        ingress.extend(from_networks(port, std::slice::from_ref(&dr.cidr), "Standby in the second Region"));
    }
    let group = groups::add(template, site, network, "MemberSecurityGroup", "Members", ingress);
    let end = ("Member", &group);
    connect(template, end, end, port, "Postgresql", "Replication and peers");
    connect(template, end, end, PATRONI, "Patroni", "Agents ask each other before an election");
    from_functions(template, site, network, end, port, "Postgresql");
    from_functions(template, site, network, end, PATRONI, "Patroni");
    group
}

fn etcd(template: &mut Template, site: &Site<'_>, network: &Network) -> Handle<SecurityGroup> {
    let ingress = people_and_exporters(site, &[NODE_EXPORTER]);
    groups::add(template, site, network, "EtcdSecurityGroup", "etcd", ingress)
}

/// It calls nobody but the members.
fn balancer(template: &mut Template, site: &Site<'_>, network: &Network) -> Handle<SecurityGroup> {
    let mut ingress = Vec::new();
    for first in [balancer::WRITER, balancer::POOLED_WRITER] {
        // Each with the next one, of the standbys: two rules a network, as a group takes 60.
        let both = |rule: NetworkRule| NetworkRule { to_port: first + 1, ..rule };
        ingress.extend(from_networks(first, site.client_cidrs(), "Clients").into_iter().map(both));
    }
    if let Some(dr) = &site.spec.dr {
        let standby = from_networks(balancer::WRITER, std::slice::from_ref(&dr.cidr), "Standby in the second Region");
        ingress.extend(standby);
    }
    let ports = [site.spec.postgresql.port, POOLER, PATRONI];
    let egress = ports.into_iter().flat_map(|port| from_networks(port, &network.cidrs, "Members"));
    let group = SecurityGroup {
        group_description: format!("Load balancer of PostgreSQL cluster {}", site.spec.name),
        vpc_id: network.vpc_id.clone(),
        security_group_ingress: ingress,
        security_group_egress: egress.collect(),
        tags: site.named(&format!("{} balancer", site.stack())),
    };
    template.add("BalancerSecurityGroup", group)
}

/// The group of the standby in the second Region: PostgreSQL from both networks, what it offers once it is the writer
/// from its own; nobody logs in but by Session Manager.
pub(super) fn standby(template: &mut Template, site: &Site<'_>, network: &Network, dr: &Dr) -> Handle<SecurityGroup> {
    let port = site.spec.postgresql.port;
    let here = std::slice::from_ref(&dr.cidr);
    let there = std::slice::from_ref(&dr.primary_cidr);
    let everywhere = ["0.0.0.0/0".to_owned()];
    let mut ingress = from_networks(port, here, "Clients in this Region");
    ingress.extend(from_networks(port, there, "Clients and members in the first Region"));
    ingress.extend(from_networks(POOLER, here, "Clients in this Region"));
    ingress.extend(from_networks(PATRONI, here, "Patroni in this Region"));
    for exporter in [NODE_EXPORTER, POSTGRES_EXPORTER] {
        ingress.extend(from_networks(exporter, &site.spec.access.monitoring_cidrs, "Monitoring"));
    }
    let mut egress = from_networks(443, &everywhere, "AWS APIs and packages");
    egress.extend(from_networks(80, &everywhere, "Packages, signed"));
    egress.extend(from_networks(port, there, "The writer it follows"));
    let group = SecurityGroup {
        group_description: format!("Standby of PostgreSQL cluster {}", site.spec.name),
        vpc_id: network.vpc_id.clone(),
        security_group_ingress: ingress,
        security_group_egress: egress,
        tags: site.named(&site.stack()),
    };
    let group = template.add("DrSecurityGroup", group);
    from_functions(template, site, network, ("Dr", &group), port, "Postgresql");
    group
}
