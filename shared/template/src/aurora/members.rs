//! The instances: all alike, whoever of them writes.

use super::{ENGINE, SERVERLESS, class, cluster, count};
use crate::{
    Handle, Template,
    managed::{AUTHORITY, identifier, placed::Placed, watching::Watching},
    resource::{DbCluster, DbInstance, DbParameterGroup},
    site::Site,
};

/// Aurora's promotion tier of a place, counted from 1.
///
/// The first two have the best, so that of the usual two either can follow the other; on Serverless v2, instances of
/// the tiers 0 and 1 have the writer's capacity at least. Those after the third only read, and scale by their own load.
///
/// Source: Amazon Aurora User Guide, "Choosing the promotion tier for an Aurora Serverless v2 reader".
pub(super) fn tier(place: u32) -> u8 {
    match place {
        0..=2 => 0,
        3 => 1,
        _ => 2,
    }
}

/// `DBInstanceIdentifier` of a place.
pub(super) fn instance_identifier(site: &Site<'_>, place: u32) -> String {
    format!("{}-{place}", identifier(site))
}

/// The instances, each in another zone while there are zones.
pub(super) fn add(
    template: &mut Template,
    site: &Site<'_>,
    placed: &Placed,
    cluster: &Handle<DbCluster>,
    watching: &Watching,
) -> Vec<Handle<DbInstance>> {
    let group = DbParameterGroup {
        description: format!("One instance of PostgreSQL cluster {}", site.spec.name),
        family: cluster::family(site),
        parameters: cluster::tuned(site).instance,
        tags: site.tags(),
    };
    let group = template.add("InstanceParameters", group);
    let class = class(site).unwrap_or_else(|| SERVERLESS.to_owned());
    let mut instances: Vec<Handle<DbInstance>> = Vec::new();
    for place in 1..=count(site) {
        let mut instance = DbInstance {
            identifier: instance_identifier(site, place),
            cluster: Some(cluster.identifier()),
            engine: ENGINE,
            class: class.clone(),
            parameter_group: Some(group.name()),
            availability_zone: Some(placed.network.private(place).zone.clone()),
            promotion_tier: Some(tier(place)),
            auto_minor_version_upgrade: site.spec.managed().auto_minor_version_upgrade,
            authority: AUTHORITY,
            tags: site.named(&instance_identifier(site, place)),
            ..DbInstance::default()
        };
        watching.of_instance(&mut instance);
        let instance = template.add(format!("Instance{place}"), instance);
        // The first that is there writes: the others are made once one does.
        if let Some(first) = instances.first() {
            template.create_after(&instance, first);
        }
        instances.push(instance);
    }
    instances
}
