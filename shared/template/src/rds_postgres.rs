//! Topology `rds-postgres`: an instance of RDS and its replicas, or a Multi-AZ DB cluster; PgBouncer in front.
//!
//! RDS must be told who replicates whom, so this is the one topology whose stack knows roles: those of today
//! ([`domain::managed::Roles`]). Yet a change of writer changes none of the properties with which the new writer was
//! made, see [`instances`], so that rendering anew moves no traffic and promotes nothing.

mod alarms;
mod card;
mod cluster;
mod instances;
mod isolation;
mod outputs;
mod pooler;

use crate::{
    After, Handle, Part, Template,
    managed::{
        key::{self, DataKey},
        logs,
        placed::{self, Placed},
        proxy,
        secrets::{self, Secrets},
        watching::{self, Watching},
    },
    resource::{DbCluster, DbInstance},
    site::Site,
};
use domain::spec::MultiAz;

const ENGINE: &str = "postgres";

/// What is there before the databases.
struct Ground<'a> {
    site: &'a Site<'a>,
    placed: Placed,
    key: Option<DataKey>,
    secrets: Secrets,
    watching: Watching,
}

/// The databases.
struct Databases {
    /// A Multi-AZ DB cluster, if that is what writes.
    cluster: Option<Handle<DbCluster>>,
    /// The instances by themselves, each with its place.
    instances: Vec<(u32, Handle<DbInstance>)>,
}

/// The template of one part of a cluster.
pub(crate) fn render(site: &Site<'_>) -> Template {
    let mut made = site.template();
    let template = &mut made;
    // W3691 wants a minor version; RDS takes a major one alone, and chooses its default of it.
    template.ignore_check("W3691");
    let placed = placed::add(template, site);
    let key = key::add(template, site);
    // RDS makes no master's password where there are replicas, and there could be some any day.
    let secrets = secrets::add(template, site, secrets::Master::Generated);
    let watching = watching::add(template, site, key.as_ref());
    let ground = Ground { site, placed, key, secrets, watching };
    let cluster = is_cluster(site).then(|| cluster::add(template, &ground));
    let instances = instances::add(template, &ground, cluster.as_ref());
    let databases = Databases { cluster, instances };
    let isolation = isolation::add(template, &ground);
    let pooler = pooler::add(template, &ground);
    let proxy = proxy(template, &ground, &databases);
    let card = card::add(template, &ground, &databases, &isolation, pooler.as_ref(), proxy.as_ref());
    alarms::add(template, &ground, &databases, pooler.as_ref(), &card);
    outputs::add(template, &ground, &databases, pooler.as_ref());
    made
}

/// Whether a Multi-AZ DB cluster writes. The second Region has an instance: RDS copies no cluster to another Region.
fn is_cluster(site: &Site<'_>) -> bool {
    site.part == Part::Primary && site.spec.rds().multi_az == MultiAz::Cluster
}

/// How many places this part has, each filled by an instance: the second Region's has one.
fn places(site: &Site<'_>) -> u32 {
    match site.part {
        Part::Primary => 1 + site.spec.rds().replicas,
        Part::Dr => 1,
    }
}

/// Class of the instances of this part.
fn class(site: &Site<'_>) -> String {
    let dr = site.spec.dr.as_ref().filter(|_| site.part == Part::Dr);
    dr.and_then(|dr| dr.instance_type.clone()).unwrap_or_else(|| site.spec.rds().instance_class)
}

/// Engine and major version, as parameter groups are told.
fn family(site: &Site<'_>) -> String {
    format!("{ENGINE}{}", site.spec.postgresql.version)
}

/// Whether the writer of this side is in this side: not while it only follows the other one.
fn serves(site: &Site<'_>) -> bool {
    match site.part {
        Part::Primary => site.today.follows().is_none(),
        Part::Dr => site.today.upstream.is_some() && site.today.follows().is_none(),
    }
}

/// RDS Proxy, if the spec wants one, in front of whoever writes today.
fn proxy(
    template: &mut Template,
    ground: &Ground<'_>,
    databases: &Databases,
) -> Option<Handle<crate::resource::DbProxy>> {
    let site = ground.site;
    let (_, writer) = databases.instances.iter().find(|(place, _)| *place == site.today.writer)?;
    if site.part == Part::Dr || databases.cluster.is_some() {
        return None;
    }
    let behind = proxy::Behind::Instance(writer.identifier());
    proxy::add(template, site, &ground.placed, &ground.secrets, behind, &[After::from(writer)])
}

/// The group of an instance's log, which stays when the instance of a place is made anew: it may say why.
fn log(template: &mut Template, ground: &Ground<'_>, prefix: &str, of: &logs::Of<'_>) -> Option<After> {
    let group = logs::add(template, ground.site, ground.key.as_ref(), prefix, of)?;
    template.keep(&group, "Delete", "Retain");
    Some(After::from(&group))
}
