//! Security groups: who may reach a host, and what it may reach.

use crate::{
    Handle, Template, Value,
    network::Network,
    resource::{NetworkRule, SecurityGroup, SecurityGroupEgress, SecurityGroupIngress},
    site::Site,
};
use std::collections::BTreeSet;

/// Port of SSH.
pub(crate) const SSH: u16 = 22;
/// Port of the exporter of what the operating system knows.
pub(crate) const NODE_EXPORTER: u16 = 9100;
/// Port of the exporter of what PostgreSQL knows.
pub(crate) const POSTGRES_EXPORTER: u16 = 9187;

/// A group that installs packages and calls AWS, whoever may reach it.
pub(crate) fn add(
    template: &mut Template,
    site: &Site<'_>,
    network: &Network,
    id: &str,
    what: &str,
    ingress: Vec<NetworkRule>,
) -> Handle<SecurityGroup> {
    let out = |port, what| rule(port, "0.0.0.0/0", what);
    template.add(
        id,
        SecurityGroup {
            group_description: format!("{what} of PostgreSQL cluster {}", site.spec.name),
            vpc_id: network.vpc_id.clone(),
            security_group_ingress: ingress,
            security_group_egress: vec![out(443, "AWS APIs and packages"), out(80, "Packages, signed")],
            tags: site.named(&site.stack()),
        },
    )
}

/// Rules within a group, where each takes half the room of a resource: networks that may connect to a port.
pub(crate) fn from_networks(port: u16, networks: &[String], why: &str) -> Vec<NetworkRule> {
    // A list in another order changes nothing.
    let networks: BTreeSet<&String> = networks.iter().collect();
    networks.into_iter().map(|network| rule(port, network, why)).collect()
}

fn rule(port: u16, network: &str, why: &str) -> NetworkRule {
    NetworkRule {
        description: why.to_owned(),
        ip_protocol: "tcp",
        from_port: port,
        to_port: port,
        cidr_ip: network.to_owned(),
    }
}

/// One end of a connection: as logical ids name it, and its group.
pub(crate) type End<'a> = (&'a str, &'a Handle<SecurityGroup>);

/// Lets the hosts of a group connect to those of another, or of the same one: the way in, and the way out.
pub(crate) fn connect(template: &mut Template, from: End<'_>, to: End<'_>, port: u16, what: &str, why: &str) {
    let egress = SecurityGroupEgress {
        group_id: from.1.group_id(),
        description: why.to_owned(),
        ip_protocol: "tcp",
        from_port: port,
        to_port: port,
        destination_security_group_id: to.1.group_id(),
    };
    template.add(format!("{}To{}{what}", from.0, to.0), egress);
    let_in(template, &format!("{}From{}{what}", to.0, from.0), to.1, port, from.1.group_id(), why);
}

/// Lets a group connect whose own rules are not of this stack, or let out everything.
pub(crate) fn let_in(
    template: &mut Template,
    id: &str,
    group: &Handle<SecurityGroup>,
    port: u16,
    source: Value,
    why: &str,
) -> Handle<SecurityGroupIngress> {
    let rule = SecurityGroupIngress {
        group_id: group.group_id(),
        description: why.to_owned(),
        ip_protocol: "tcp",
        from_port: port,
        to_port: port,
        source_security_group_id: source,
    };
    template.add(id, rule)
}

/// Lets Understudy's functions connect, whose group is of the fleet's VPC.
pub(crate) fn from_functions(
    template: &mut Template,
    site: &Site<'_>,
    network: &Network,
    to: End<'_>,
    port: u16,
    what: &str,
) {
    let id = format!("{}FromFunctions{what}", to.0);
    let functions = site.fleet.functions_security_group_id.as_str().into();
    let rule = let_in(template, &id, to.1, port, functions, "Functions of Understudy");
    // A group of another VPC can be named once the two are connected.
    template.create_after_all(&rule, &network.peered);
}

/// The group of the members: PostgreSQL's port from clients, from Understudy's functions and among the members; SSH
/// and the exporters from the networks that the spec names.
pub(crate) fn members(template: &mut Template, site: &Site<'_>, network: &Network) -> Handle<SecurityGroup> {
    let port = site.spec.postgresql.port;
    let mut ingress = from_networks(port, site.client_cidrs(), "Clients");
    ingress.extend(people_and_exporters(site, &[NODE_EXPORTER, POSTGRES_EXPORTER]));
    let group = add(template, site, network, "MemberSecurityGroup", "Members", ingress);
    connect(template, ("Member", &group), ("Member", &group), port, "Postgresql", "Replication and peers");
    from_functions(template, site, network, ("Member", &group), port, "Postgresql");
    group
}

/// SSH from the management networks, and exporters' ports from the monitoring networks of the spec.
pub(crate) fn people_and_exporters(site: &Site<'_>, exporters: &[u16]) -> Vec<NetworkRule> {
    let access = &site.spec.access;
    let mut rules = from_networks(SSH, &access.management_cidrs, "Management");
    for &port in exporters {
        rules.extend(from_networks(port, &access.monitoring_cidrs, "Monitoring"));
    }
    rules
}
