//! How a cluster that AWS runs stands.

use crate::{outside::Outside, roles};
use domain::{
    card::{ManagedCard, Side},
    managed::{Described, NamesSeen, Roles},
    region,
    state::State,
};
use reconcile::Failure;
use serde::Serialize;

/// What there is to say of a cluster that AWS runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Databases {
    /// The DB cluster: identifier and status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_cluster: Option<(String, String)>,
    /// The writer's and the readers' endpoint of the DB cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// The instances.
    pub instances: Vec<Instance>,
    /// Target of the writer's record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writer_record: Option<String>,
    /// Targets of the readers' record.
    pub reader_record: Vec<String>,
    /// What stands before it: an RDS Proxy, or PgBouncer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pooler: Option<String>,
    /// The other Region, and which of the two serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<Other>,
    /// The global cluster: identifier, status and the ARN of its writer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global: Option<(String, String, Option<String>)>,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Instance {
    /// Its identifier.
    pub id: String,
    /// `writer`, `replica`, or `left over` of one that a later generation has replaced.
    pub role: &'static str,
    /// How often its place was filled, itself included; of RDS only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// RDS's word for its state; `not there` of one that the card names and RDS does not know.
    pub status: String,
    /// Its endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// The other Region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Other {
    /// Its name.
    pub region: String,
    /// Whether this side serves, and not that one.
    pub this_side_serves: bool,
}

/// Looks how a cluster that AWS runs stands.
pub(crate) async fn look<O: Outside>(
    outside: &O,
    card: &ManagedCard,
    state: Option<&State>,
) -> Result<Databases, Failure> {
    let rds = outside.described(card).await?;
    let names = outside.names(&card.records).await?;
    let today = roles::today(outside, &card.cluster).await?;
    let kept = outside.kept(&card.cluster, region::ITEM).await?;
    let other = card.other.as_ref().map(|other| Other {
        region: other.region.clone(),
        this_side_serves: region::serves(card.side, kept.as_ref()),
    });
    Ok(of(card, &rds, names, &today, state, other))
}

fn of(
    card: &ManagedCard,
    rds: &Described,
    names: NamesSeen,
    today: &Roles,
    state: Option<&State>,
    other: Option<Other>,
) -> Databases {
    let cluster = rds.db_cluster.as_ref();
    let writer =
        cluster.and_then(|cluster| cluster.writer.clone()).or_else(|| state.and_then(|state| state.writer.clone()));
    let absent = card.instances.iter().filter(|instance| rds.instance(&instance.id).is_none());
    let absent = absent.map(|instance| (instance.id.clone(), "not there".to_owned(), None));
    let known = rds.instances.iter().map(|seen| (seen.id.clone(), seen.status.clone(), seen.endpoint.clone()));
    let instances = known.chain(absent).map(|(id, status, endpoint)| {
        let place = card.instance(&id).map(|instance| instance.place);
        let is_today = place.is_none_or(|place| today.instance_id(&card.fleet, &card.cluster, place) == id);
        let role = match () {
            () if writer.as_ref() == Some(&id) && card.side == Side::Primary => "writer",
            () if !card.topology.is_aurora() && (place.is_none() || !is_today) => "left over",
            () => "replica",
        };
        let generation = place.filter(|_| !card.topology.is_aurora()).map(|place| today.generation(place));
        Instance { id, role, generation, status, endpoint }
    });
    Databases {
        db_cluster: cluster.map(|cluster| (cluster.id.clone(), cluster.status.clone())),
        endpoints: cluster
            .into_iter()
            .flat_map(|cluster| [cluster.endpoint.clone(), cluster.reader_endpoint.clone()])
            .flatten()
            .collect(),
        instances: instances.collect(),
        writer_record: names.writer,
        reader_record: names.readers,
        pooler: card.pooler.clone(),
        other,
        global: rds.global.clone().map(|global| (global.id, global.status, global.writer)),
    }
}
