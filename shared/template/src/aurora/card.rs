//! The card of an Aurora cluster.

use super::{Cluster, members};
use crate::{
    Handle, Part, Template, Value,
    card::{Stands, stand_in},
    managed::{
        card::{self, Own},
        global_identifier, identifier, other_region, pair,
    },
    resource::{DbProxy, GlobalCluster, StringParameter},
    site::Site,
};
use domain::card::{CardInstance, OtherRegion};

pub(super) fn add(
    template: &mut Template,
    of: &Cluster<'_>,
    global: Option<&Handle<GlobalCluster>>,
    proxy: Option<&Handle<DbProxy>>,
) -> Handle<StringParameter> {
    let site = of.site;
    let mut stands = Stands::new();
    let mut instances = Vec::new();
    for (place, instance) in (1..).zip(&of.instances) {
        let id = stand_in(&mut stands, &format!("instance {place}"), instance.identifier());
        instances.push(CardInstance { id, place, never_promote: false, tier: members::tier(place) });
    }
    let global_cluster = match (site.part, global) {
        (Part::Dr, _) => Some(global_identifier(site)),
        (Part::Primary, Some(global)) => Some(stand_in(&mut stands, "global", global.identifier())),
        (Part::Primary, None) => None,
    };
    let other = other(site, &mut stands);
    let pair = match site.part {
        Part::Primary => None,
        Part::Dr => pair::add(template, site, &mut stands),
    };
    let own = Own {
        operator_secret: stand_in(&mut stands, "operator", of.secrets.operator.clone()),
        db_cluster: Some(stand_in(&mut stands, "cluster", of.cluster.identifier())),
        aws_fails_over: true,
        global_cluster,
        other,
        isolation: None,
        backups: None,
        pair,
        pooler: proxy.map(|proxy| stand_in(&mut stands, "proxy", proxy.endpoint())),
        instances,
    };
    card::add(template, site, own, &stands)
}

/// The other Region's side, whose names are known without asking it.
fn other(site: &Site<'_>, stands: &mut Stands) -> Option<OtherRegion> {
    let region = other_region(site)?;
    let aurora = site.spec.aurora();
    let readers = match site.part {
        Part::Primary => aurora.dr_readers,
        Part::Dr => aurora.readers,
    };
    let arn = Value::join([
        "arn:".into(),
        Value::partition(),
        format!(":rds:{region}:").into(),
        Value::account(),
        format!(":cluster:{}", identifier(site)).into(),
    ]);
    Some(OtherRegion {
        region: region.to_owned(),
        db_cluster_arn: Some(stand_in(stands, "other cluster", arn)),
        instances: (1..=1 + readers).map(|place| members::instance_identifier(site, place)).collect(),
    })
}
