//! What the stack shows to its reader beside what every topology's does.

use super::{Databases, Ground, pooler::Pooler, serves};
use crate::{
    Template, Value,
    managed::{identifier, outputs},
};
use domain::spec::MultiAz;

pub(super) fn add(template: &mut Template, ground: &Ground<'_>, databases: &Databases, pooler: Option<&Pooler>) {
    let site = ground.site;
    outputs::add(template, site, &ground.placed, &ground.secrets, ground.key.as_ref());
    if let Some(pooler) = pooler {
        pooler.outputs(template);
    }
    let mut output = |name: &str, description: &str, value: Value| template.output(name, description, value);
    if let Some(cluster) = &databases.cluster {
        output("ClusterIdentifier", "The Multi-AZ DB cluster", cluster.identifier());
        output("ClusterEndpoint", "AWS's name of the writer", cluster.endpoint());
        output("ReaderEndpoint", "AWS's name of the readers", cluster.reader_endpoint());
    }
    for (place, instance) in &databases.instances {
        let writes = databases.cluster.is_none() && *place == site.today.writer && serves(site);
        let what = if writes { "writes" } else { "replicates" };
        let description = format!("AWS's name of place {place}, which {what} when this was rendered");
        output(&format!("Instance{place}Endpoint"), &description, instance.endpoint());
    }
    let available = site.spec.rds().multi_az != MultiAz::None || databases.instances.len() > 1;
    output("HighAvailability", "Whether something else can become writer", available.to_string().into());
    let left = "Instances of earlier generations are in no stack: after a change of writer they stay, cut off and \
                protected, with what only they have. A person deletes them: aws rds modify-db-instance \
                --no-deletion-protection, aws rds delete-db-instance --final-db-snapshot-identifier";
    output("LeftBehind", left, identifier(site).into());
}
