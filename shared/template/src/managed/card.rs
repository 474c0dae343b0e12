//! The card of a cluster that AWS runs.

use super::{records, side};
use crate::{Handle, Template, Value, card::Stands, resource::StringParameter, site::Site};
use domain::card::{BackupCard, Isolation, ManagedCard, OtherRegion, PairCard};

/// What each topology knows of itself; the rest of the card is the spec's.
pub(crate) struct Own {
    /// ARN, or name, of the operator's secret.
    pub(crate) operator_secret: String,
    pub(crate) db_cluster: Option<String>,
    pub(crate) instances: Vec<domain::card::CardInstance>,
    pub(crate) aws_fails_over: bool,
    pub(crate) global_cluster: Option<String>,
    pub(crate) other: Option<OtherRegion>,
    pub(crate) isolation: Option<Isolation>,
    pub(crate) backups: Option<BackupCard>,
    pub(crate) pair: Option<PairCard>,
    pub(crate) pooler: Option<String>,
}

/// The card is written as a [`ManagedCard`] with stand-ins for what only CloudFormation knows, which then give way to
/// references: it cannot differ from what is read.
pub(crate) fn add(template: &mut Template, site: &Site<'_>, own: Own, stands: &Stands) -> Handle<StringParameter> {
    let spec = site.spec;
    let card = ManagedCard {
        version: 1,
        fleet: site.fleet.name.clone(),
        cluster: spec.name.clone(),
        topology: spec.topology,
        side: side(site),
        region: site.fleet.region.clone(),
        database: spec.postgresql.database.clone(),
        port: spec.postgresql.port,
        records: records(site),
        operator_secret: own.operator_secret,
        db_cluster: own.db_cluster,
        instances: own.instances,
        aws_fails_over: own.aws_fails_over,
        global_cluster: own.global_cluster,
        other: own.other,
        isolation: own.isolation,
        backups: own.backups,
        pair: own.pair,
        pooler: own.pooler,
        policy: spec.policy,
    };
    #[expect(clippy::expect_used, reason = "strings and numbers only: there is nothing that JSON cannot hold")]
    let text = serde_json::to_string(&card).expect("a card is JSON");
    let parameter = StringParameter {
        name: site.card(),
        description: format!("Card of cluster {}: where it is and what may be done to it", spec.name),
        r#type: "String",
        tier: "Intelligent-Tiering",
        value: Value::substitute(&text, stands),
        tags: site.tag_map(),
    };
    template.add("Card", parameter)
}
