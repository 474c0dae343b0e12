//! The card of a cluster of RDS.

use super::{Databases, Ground, instances, isolation::Isolation, places, pooler::Pooler, serves};
use crate::{
    Handle, Part, Template,
    card::{Stands, stand_in},
    managed::{
        card::{self, Own},
        other_region, pair,
    },
    resource::{DbProxy, StringParameter},
    site::Site,
};
use domain::{
    card::{self as cards, BackupCard, CardInstance, OtherRegion},
    spec::MultiAz,
};

pub(super) fn add(
    template: &mut Template,
    ground: &Ground<'_>,
    databases: &Databases,
    isolation: &Isolation,
    pooler: Option<&Pooler>,
    proxy: Option<&Handle<DbProxy>>,
) -> Handle<StringParameter> {
    let site = ground.site;
    let managed = site.spec.managed();
    let mut stands = Stands::new();
    let mut instances = Vec::new();
    for (place, instance) in &databases.instances {
        instances.push(CardInstance {
            id: stand_in(&mut stands, &format!("instance {place}"), instance.identifier()),
            place: *place,
            // A replica of a Multi-AZ DB cluster only reads: the cluster survives a zone by itself.
            never_promote: databases.cluster.is_some(),
            tier: u8::try_from(place - 1).unwrap_or(u8::MAX),
        });
    }
    let mut own_isolation = cards::Isolation {
        security_groups: vec![stand_in(&mut stands, "databases", ground.placed.group.group_id())],
        isolated_group: stand_in(&mut stands, "isolated", isolation.group.group_id()),
        network_acl: None,
        usual_network_acl: None,
    };
    if let Some((isolated, usual)) = &isolation.acl {
        own_isolation.network_acl = Some(stand_in(&mut stands, "isolated acl", isolated.clone()));
        own_isolation.usual_network_acl = Some(stand_in(&mut stands, "usual acl", usual.clone()));
    }
    let pair = match site.part {
        Part::Primary => None,
        Part::Dr => pair::add(template, site, &mut stands),
    };
    let endpoint = match (pooler, proxy) {
        (Some(pooler), _) => Some(pooler.balancer.dns_name()),
        (None, proxy) => proxy.map(Handle::<DbProxy>::endpoint),
    };
    let own = Own {
        operator_secret: stand_in(&mut stands, "operator", ground.secrets.operator.clone()),
        db_cluster: databases.cluster.as_ref().map(|cluster| stand_in(&mut stands, "cluster", cluster.identifier())),
        instances,
        aws_fails_over: site.spec.rds().multi_az != MultiAz::None && serves(site),
        global_cluster: None,
        other: other(site),
        isolation: Some(own_isolation),
        backups: Some(BackupCard { retention_days: managed.backup_retention_days, window: managed.backup_window }),
        pair,
        pooler: endpoint.map(|endpoint| stand_in(&mut stands, "pooler", endpoint)),
    };
    card::add(template, site, own, &stands)
}

/// The other Region's side, whose first instances have names that are known without asking it.
fn other(site: &Site<'_>) -> Option<OtherRegion> {
    let region = other_region(site)?;
    let count = match site.part {
        Part::Primary => 1,
        Part::Dr => places(&Site { part: Part::Primary, ..*site }),
    };
    Some(OtherRegion {
        region: region.to_owned(),
        db_cluster_arn: None,
        instances: (1..=count).map(|place| instances::first_id(site, place)).collect(),
    })
}
