//! Fleets that do not exist, to render templates for reading and checking.

use domain::spec::{self, Spec, Zone};
use template::{Fleet, Part, Subnet, Tls};

/// Where a cluster is that has one Region only.
const REGION: &str = "eu-west-1";

/// The fleet `example`, with three subnets, in the Region of this part of a cluster.
#[must_use]
pub fn fleet(spec: &Spec, part: Part) -> Fleet {
    let (region, network) = match (&spec.dr, part) {
        (None, _) => (REGION, &spec.network),
        (Some(dr), Part::Primary) => (dr.primary_region.as_str(), &spec.network),
        (Some(dr), Part::Dr) => (dr.region.as_str(), &dr.network),
    };
    Fleet {
        name: "example".into(),
        region: region.into(),
        vpc_id: "vpc-0123456789abcdef0".into(),
        vpc_cidrs: vec!["172.31.0.0/16".into()],
        route_table_ids: vec!["rtb-0123456789abcdef0".into()],
        client_cidrs: vec!["172.31.0.0/16".into()],
        subnets: subnets(region, network),
        zone: Zone { id: "Z0123456789EXAMPLE".into(), name: "db.internal".into() },
        functions_security_group_id: "sg-0123456789abcdef0".into(),
        pages_topic_arn: format!("arn:aws:sns:{region}:111122223333:example-pages"),
        state_table: "example-state".into(),
        bucket: format!("example-understudy-{region}"),
    }
}

/// Those that the spec names, or three.
fn subnets(region: &str, network: &spec::Network) -> Vec<Subnet> {
    let zone = |at: usize| format!("{region}{}", ["a", "b", "c"][at % 3]);
    if !network.subnet_ids.is_empty() {
        let named = network.subnet_ids.iter().enumerate();
        return named.map(|(at, id)| Subnet { id: id.clone(), zone: zone(at) }).collect();
    }
    (0..3).map(|at| Subnet { id: format!("subnet-0123456789abcdef{}", at + 1), zone: zone(at) }).collect()
}

/// Where its clusters' certificates would be.
#[must_use]
pub fn tls(spec: &Spec, part: Part) -> Tls {
    let region = fleet(spec, part).region;
    let certificate = |what: &str| format!("-----BEGIN CERTIFICATE-----\n{what}\n-----END CERTIFICATE-----\n");
    Tls {
        secret_arn: format!(
            "arn:aws:secretsmanager:{region}:111122223333:secret:understudy/example/{}/tls-AbCdEf",
            spec.name
        ),
        certificate_authority: certificate("PLACEHOLDER"),
        peer_authority: (spec.topology == domain::card::Topology::Ec2Patroni).then(|| certificate("PEER")),
    }
}
