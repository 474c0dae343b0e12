//! Topology `ec2-patroni`: Patroni's members with etcd beside them and a load balancer in front, all on EC2.
//!
//! Who leads is known by etcd, never by the stack: members are symmetric, the load balancer asks each of them, and so
//! no stack update can move traffic.

mod alarms;
mod balancer;
mod groups;
mod outputs;
mod placed;
mod primary;
mod secrets;
mod settings;
mod standby;

use crate::{Part, Template, site::Site};

/// Port of PgBouncer on every member.
const POOLER: u16 = 6432;
/// Port of Patroni's REST API on every member.
const PATRONI: u16 = 8008;
/// Port of etcd for its clients.
const ETCD_CLIENT: u16 = 2379;
/// Port of etcd for its peers.
const ETCD_PEER: u16 = 2380;
/// Port of the exporter of what PgBouncer knows.
const POOLER_EXPORTER: u16 = 9127;

/// The template of one part of a cluster.
pub(crate) fn render(site: &Site<'_>) -> Template {
    match (site.part, &site.spec.dr) {
        (Part::Dr, Some(dr)) => standby::render(site, dr),
        _ => primary::render(site),
    }
}

/// The slot on the writer, and the `application_name`, of the standby in the second Region.
fn dr_slot(site: &Site<'_>) -> String {
    format!("{}_dr", site.spec.name.replace('-', "_"))
}
