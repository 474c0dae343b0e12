//! From a spec to a template.

use crate::{Fleet, Template, Tls, aurora, ec2_patroni, ec2_streaming, rds_postgres, site::Site};
use domain::{card::Topology, managed::Roles, spec::Spec};

/// Which side of a cluster: only one with `dr` has two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The members.
    Primary,
    /// The standby in the second Region.
    Dr,
}

impl Part {
    /// The part of a cluster that a fleet in this Region deploys; `None`: the spec names two other Regions.
    #[must_use]
    pub fn of(spec: &Spec, region: &str) -> Option<Self> {
        match &spec.dr {
            None => Some(Part::Primary),
            Some(dr) if dr.primary_region == region => Some(Part::Primary),
            Some(dr) if dr.region == region => Some(Part::Dr),
            Some(_) => None,
        }
    }
}

/// The template of one part of a cluster. `today`: which place writes and what fills each, of the topologies whose
/// stack must know it; the others have members that are all alike.
#[must_use]
pub fn render(spec: &Spec, fleet: &Fleet, tls: &Tls, part: Part, today: &Roles) -> Template {
    let site = &Site { spec, fleet, tls, part, today };
    match spec.topology {
        Topology::Ec2Streaming => ec2_streaming::render(site),
        Topology::Ec2Patroni => ec2_patroni::render(site),
        Topology::AuroraProvisioned | Topology::AuroraServerless => aurora::render(site),
        Topology::RdsPostgres => rds_postgres::render(site),
    }
}
