//! Topologies `aurora-provisioned` and `aurora-serverless`.
//!
//! Members are symmetric: who writes is AWS's to know and to change, and nothing here says it. The records are not in
//! the stack, so no update of it moves traffic. With a second Region, its part is a secondary cluster of a global one.

mod alarms;
mod card;
mod cluster;
mod members;

use crate::{
    After, Handle, Part, Template, Value,
    managed::{
        self, exports_logs,
        key::{self, DataKey},
        logs, outputs,
        placed::{self, Placed},
        proxy,
        secrets::{self, Secrets},
        watching,
    },
    resource::{DbCluster, DbInstance, GlobalCluster},
    site::Site,
};
use domain::card::Topology;

/// Class of the instances when the spec gives none: Graviton, a fifth cheaper than the same of Intel.
const CLASS: &str = "db.r7g.large";

/// The class of every instance of Serverless v2.
const SERVERLESS: &str = "db.serverless";

const ENGINE: &str = "aurora-postgresql";

/// What runs, and what is around it.
struct Cluster<'a> {
    site: &'a Site<'a>,
    placed: Placed,
    key: Option<DataKey>,
    secrets: Secrets,
    cluster: Handle<DbCluster>,
    instances: Vec<Handle<DbInstance>>,
}

/// The template of one part of a cluster.
pub(crate) fn render(site: &Site<'_>) -> Template {
    let mut made = site.template();
    let template = &mut made;
    if site.spec.managed().minor_version.is_none() {
        // Engine versions: of a major one AWS takes its default minor one, which the list of versions does not say.
        template.ignore_check("W3690");
    }
    let placed = placed::add(template, site);
    let key = key::add(template, site);
    let secrets = secrets::add(template, site, master(site));
    let identifier = managed::identifier(site);
    let group = logs::add(template, site, key.as_ref(), "Database", &logs::Of::Cluster(&identifier));
    let cluster = cluster::add(template, site, &placed, &secrets, key.as_ref(), group.as_ref());
    let watching = watching::add(template, site, key.as_ref());
    let instances = members::add(template, site, &placed, &cluster, &watching);
    let global = (site.part == Part::Primary && site.spec.dr.is_some()).then(|| global(template, site, &cluster));
    let running = Cluster { site, placed, key, secrets, cluster, instances };
    running.finish(template, global.as_ref());
    made
}

/// Who makes the master's password. Global databases take none that RDS makes.
fn master(site: &Site<'_>) -> secrets::Master {
    if site.spec.dr.is_some() { secrets::Master::Generated } else { secrets::Master::Rds }
}

/// Class of the instances of this part; `None`: Serverless v2.
fn class(site: &Site<'_>) -> Option<String> {
    if site.spec.topology == Topology::AuroraServerless {
        return None;
    }
    let dr = site.spec.dr.as_ref().filter(|_| site.part == Part::Dr);
    let given = dr.and_then(|dr| dr.instance_type.clone()).or_else(|| site.spec.aurora().instance_class);
    Some(given.unwrap_or_else(|| CLASS.to_owned()))
}

/// How many instances this part has.
fn count(site: &Site<'_>) -> u32 {
    let aurora = site.spec.aurora();
    match site.part {
        Part::Primary => 1 + aurora.readers,
        Part::Dr => 1 + aurora.dr_readers,
    }
}

/// The global cluster, around the one that is there: so a second Region can be added to a cluster in use.
fn global(template: &mut Template, site: &Site<'_>, cluster: &Handle<DbCluster>) -> Handle<GlobalCluster> {
    let global = GlobalCluster {
        global_cluster_identifier: managed::global_identifier(site),
        source: cluster.arn(),
        deletion_protection: site.spec.deletion_protection,
        tags: site.tags(),
    };
    template.add("GlobalCluster", global)
}

impl Cluster<'_> {
    /// What needs the instances: proxy, card, alarms, outputs.
    fn finish(&self, template: &mut Template, global: Option<&Handle<GlobalCluster>>) {
        let site = self.site;
        let after: Vec<After> = self.instances.iter().map(After::from).collect();
        // A proxy wants the ARNs of its secrets, which of copies are not known; the pair of records leads past it.
        let proxy = match site.part {
            Part::Primary => {
                let behind = proxy::Behind::Cluster(self.cluster.identifier());
                proxy::add(template, site, &self.placed, &self.secrets, behind, &after)
            }
            Part::Dr => None,
        };
        let card = card::add(template, self, global, proxy.as_ref());
        alarms::add(template, self, &card);
        if exports_logs(site) {
            template.output(
                "LogGroup",
                "Where the databases' log is",
                logs::Of::Cluster(&managed::identifier(site)).group().into(),
            );
        }
        outputs::add(template, site, &self.placed, &self.secrets, self.key.as_ref());
        let mut output = |name: &str, description: &str, value: Value| template.output(name, description, value);
        output("ClusterIdentifier", "The DB cluster", self.cluster.identifier());
        output("ClusterArn", "ARN of the DB cluster", self.cluster.arn());
        output("ClusterEndpoint", "AWS's name of the writer", self.cluster.endpoint());
        output("ReaderEndpoint", "AWS's name of the readers", self.cluster.reader_endpoint());
        if let Some(global) = global {
            output("GlobalCluster", "The global cluster, which the second Region's part joins", global.identifier());
        }
        if site.part == Part::Primary && master(site) == secrets::Master::Rds {
            output("MasterSecret", "Secret of the master, which RDS rotates", self.cluster.master_secret());
        }
        let available = self.instances.len() > 1;
        output("HighAvailability", "Whether another instance can become writer", available.to_string().into());
    }
}
