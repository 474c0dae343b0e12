//! Networks: where the hosts are, and from where they are reached.

use crate::spec::{Finding, Nat, Spec};
use std::{collections::BTreeSet, fmt, net::Ipv4Addr, str::FromStr};

/// An IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cidr {
    start: Ipv4Addr,
    length: u32,
}

const AN_IPV4_NETWORK: &str = "an IPv4 network such as 10.0.0.0/16";

impl FromStr for Cidr {
    /// What is allowed instead.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(address, length)| {
            // `parse` would take "+8", which no other reader of the card takes.
            let digits = length.bytes().all(|byte| byte.is_ascii_digit());
            Some((address.parse::<Ipv4Addr>().ok()?, length.parse::<u32>().ok().filter(|_| digits)?))
        });
        let (address, length) = parts.ok_or_else(|| AN_IPV4_NETWORK.to_owned())?;
        // Shorter than /8 is more than any private network: a slip, or the whole internet.
        if !(8..=32).contains(&length) {
            return Err(format!("{AN_IPV4_NETWORK}, with a prefix of 8 to 32 bits"));
        }
        let start = Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << (32 - length)));
        if start != address {
            return Err(format!("{start}/{length}: the address must be the network's first"));
        }
        Ok(Cidr { start, length })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.start, self.length)
    }
}

impl Cidr {
    /// Whether the two share an address: then one holds the other's first.
    pub(super) fn overlaps(self, other: Cidr) -> bool {
        let mask = u32::MAX << (32 - self.length.min(other.length));
        self.start.to_bits() & mask == other.start.to_bits() & mask
    }
}

/// A network at a path that is one, or what is allowed there.
pub(super) fn network(path: &str, text: &str) -> Result<Cidr, Finding> {
    text.parse().map_err(|allowed: String| Finding::new(&[path], format!("\"{text}\""), allowed))
}

/// Each of a list is a network, and once.
fn each(folder: &str, texts: &[String]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (at, text) in texts.iter().enumerate() {
        let path = format!("{folder}/{at}");
        if let Err(problem) = network(&path, text) {
            found.push(problem);
        } else if !seen.insert(text) {
            found.push(Finding::new(&[&path], format!("\"{text}\" again"), "every network once"));
        }
    }
    found
}

/// Where clients are, and where members are placed.
pub(super) fn networks(spec: &Spec) -> Vec<Finding> {
    let mut found = each("/client_cidrs", &spec.client_cidrs);
    found.extend(placed("/network", &spec.network));
    if let Some(dr) = &spec.dr {
        found.extend(placed("/dr/network", &dr.network));
    }
    found.extend(packages(spec));
    found
}

/// Subnets once each, or a VPC that can have subnets.
fn placed(folder: &str, placed: &crate::spec::Network) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (at, id) in placed.subnet_ids.iter().enumerate() {
        if !seen.insert(id) {
            let path = format!("{folder}/subnet_ids/{at}");
            found.push(Finding::new(&[&path], format!("\"{id}\" again"), "every subnet once"));
        }
    }
    let Some(own) = &placed.own_vpc else { return found };
    let (subnets, path) = (format!("{folder}/subnet_ids"), format!("{folder}/own_vpc/cidr"));
    if !placed.subnet_ids.is_empty() {
        found.push(Finding::new(
            &[&subnets, &format!("{folder}/own_vpc")],
            "subnets beside own_vpc",
            "subnets of the fleet's VPC, or own_vpc, not both",
        ));
    }
    match network(&path, &own.cidr) {
        Err(problem) => found.push(problem),
        // Private ones are its 1st to 3rd /24, public ones its 101st to 103rd.
        Ok(cidr) if !(16..=17).contains(&cidr.length) || !cidr.start.is_private() => found.push(Finding::new(
            &[&path],
            format!("\"{cidr}\""),
            "a private network (RFC 1918) with a prefix of 16 or 17 bits, such as 10.1.0.0/16",
        )),
        Ok(_) => {}
    }
    found
}

/// Without a way out, what hosts install must be in their image.
fn packages(spec: &Spec) -> Option<Finding> {
    let own = spec.network.own_vpc.as_ref()?;
    let has_hosts = !spec.topology.is_managed() || spec.rds.as_ref().is_some_and(|rds| rds.pooler.is_some());
    (has_hosts && own.nat == Nat::None && spec.image.ami.is_none()).then(|| {
        Finding::new(
            &["/network/own_vpc/nat", "/image/ami"],
            "\"none\"",
            "\"one\" or \"per-zone\"; or an /image/ami that holds all packages, as nothing can be installed without a way out",
        )
    })
}

/// Who reaches the hosts beside clients.
pub(super) fn access(spec: &Spec) -> Vec<Finding> {
    let access = &spec.access;
    let mut found = each("/access/management_cidrs", &access.management_cidrs);
    found.extend(each("/access/monitoring_cidrs", &access.monitoring_cidrs));
    let Some(bastion) = &access.bastion else { return found };
    let (path, subnet) = ("/access/bastion/admin_cidrs", "/access/bastion/subnet_id");
    found.extend(each(path, &bastion.admin_cidrs));
    for (at, text) in bastion.admin_cidrs.iter().enumerate() {
        if text.parse::<Cidr>().is_ok_and(|cidr| cidr.length != 32) {
            let allowed = "one address with /32: the bastion is open to nobody else";
            found.push(Finding::new(&[&format!("{path}/{at}")], format!("\"{text}\""), allowed));
        }
    }
    if bastion.admin_cidrs.is_empty() {
        found.push(Finding::new(&[path], "nothing", "1 to 10 addresses with /32 that may log in"));
    }
    match (&spec.network.own_vpc, &bastion.subnet_id) {
        (None, None) => {
            found.push(Finding::new(&[subnet], "nothing", "a public subnet of the fleet's VPC, or /network/own_vpc"));
        }
        (Some(_), Some(id)) => found.push(Finding::new(
            &[subnet, "/network/own_vpc"],
            format!("\"{id}\""),
            "nothing beside /network/own_vpc, whose public subnet the bastion gets",
        )),
        _ => {}
    }
    found
}
