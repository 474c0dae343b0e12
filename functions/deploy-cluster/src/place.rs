//! Where a cluster's part is built: which part this fleet deploys, and its network as it is now.

use crate::outside::{NetworkSeen, Outside};
use domain::spec::{Network, Problem, Spec};
use reconcile::Failure;
use std::net::Ipv4Addr;
use template::{Fleet, Part};

/// The part that this fleet's Region has of a cluster.
pub(crate) fn part(outside: &impl Outside, spec: &Spec) -> Result<Part, Vec<Problem>> {
    let here = &outside.settings().region;
    Part::of(spec, here).ok_or_else(|| {
        let regions = spec.dr.as_ref().map(|dr| format!("{} and {}", dr.primary_region, dr.region));
        vec![Problem {
            path: "/dr".into(),
            found: regions.unwrap_or_default(),
            allowed: format!(
                "this fleet's Region {here} as one of the two: give the spec to the fleets of its Regions"
            ),
        }]
    })
}

/// The network that a part is placed in, and where the spec says so.
fn placed(spec: &Spec, part: Part) -> (&'static str, &Network) {
    match (&spec.dr, part) {
        (Some(dr), Part::Dr) => ("/dr/network", &dr.network),
        _ => ("/network", &spec.network),
    }
}

/// The fleet as this part's template needs it, or what in the spec does not fit it.
pub(crate) async fn fleet<O: Outside>(
    outside: &O,
    spec: &Spec,
    part: Part,
) -> Result<Result<Fleet, Vec<Problem>>, Failure> {
    let settings = outside.settings();
    let (folder, network) = placed(spec, part);
    // A VPC of its own has no subnets yet; its routes lead to the fleet's.
    let named = !network.subnet_ids.is_empty();
    let mut ids = if named { network.subnet_ids.clone() } else { settings.subnet_ids.clone() };
    let members = ids.len();
    let bastion = spec.access.bastion.as_ref().and_then(|bastion| bastion.subnet_id.clone());
    ids.extend(bastion.filter(|_| part == Part::Primary));
    let NetworkSeen { cidrs, subnets, route_tables } = outside.network(&ids).await?;
    let is_missing = |at: usize| subnets.get(at).is_none_or(Option::is_none);
    if let (false, Some(at)) = (named, (0..members).find(|at| is_missing(*at))) {
        let what = format!("subnet {} of this function's SUBNET_IDS is not in VPC {}", ids[at], settings.vpc_id);
        return Err(Failure::Broken { call: "ec2:DescribeSubnets", what });
    }
    let missing = (0..ids.len()).filter(|at| is_missing(*at)).map(|at| Problem {
        path: if at < members { format!("{folder}/subnet_ids/{at}") } else { "/access/bastion/subnet_id".into() },
        found: format!("\"{}\"", ids[at]),
        allowed: format!("a subnet of the fleet's VPC {}", settings.vpc_id),
    });
    let mut problems: Vec<Problem> = missing.collect();
    problems.extend(beside(folder, network, &settings.vpc_id, &cidrs));
    if !problems.is_empty() {
        return Ok(Err(problems));
    }
    Ok(Ok(Fleet {
        name: settings.fleet.clone(),
        region: settings.region.clone(),
        vpc_id: settings.vpc_id.clone(),
        vpc_cidrs: cidrs.clone(),
        route_table_ids: route_tables,
        client_cidrs: cidrs,
        subnets: subnets.into_iter().take(members).flatten().collect(),
        zone: settings.zone.clone(),
        functions_security_group_id: settings.functions_security_group_id.clone(),
        pages_topic_arn: settings.pages_topic_arn.clone(),
        state_table: settings.state_table.clone(),
        bucket: settings.bucket.clone(),
    }))
}

/// A VPC of the cluster's own is peered with the fleet's: they must share no address.
fn beside(folder: &str, network: &Network, vpc_id: &str, cidrs: &[String]) -> Option<Problem> {
    let own = &network.own_vpc.as_ref()?.cidr;
    let range = range(own)?;
    let taken =
        cidrs.iter().find(|cidr| self::range(cidr).is_some_and(|(first, last)| first <= range.1 && range.0 <= last))?;
    Some(Problem {
        path: format!("{folder}/own_vpc/cidr"),
        found: format!("\"{own}\""),
        allowed: format!("a network that shares no address with {taken} of the fleet's VPC {vpc_id}: they are peered"),
    })
}

/// The first and the last address of an IPv4 network.
fn range(cidr: &str) -> Option<(u32, u32)> {
    let (address, bits) = cidr.split_once('/')?;
    let first = address.parse::<Ipv4Addr>().ok()?.to_bits();
    let hosts = u32::MAX.checked_shr(bits.parse().ok()?).unwrap_or(0);
    Some((first & !hosts, first | hosts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_its_first_and_last_address() {
        let address = |text: &str| text.parse::<Ipv4Addr>().map(Ipv4Addr::to_bits).unwrap_or_default();
        let table = [
            ("10.1.0.0/16", Some((address("10.1.0.0"), address("10.1.255.255")))),
            ("10.1.2.3/32", Some((address("10.1.2.3"), address("10.1.2.3")))),
            ("0.0.0.0/0", Some((0, u32::MAX))),
            ("10.1.0.0", None),
        ];
        for (cidr, expected) in table {
            assert_eq!(range(cidr), expected, "{cidr}");
        }
    }
}
