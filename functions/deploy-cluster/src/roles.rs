//! Who is what today in a cluster of RDS, and other items of the state table that are of one cluster's life.

use crate::outside::Outside;
use domain::{
    managed::{ROLES, Roles},
    region,
};
use reconcile::Failure;

/// What was last set up in a database, by SQL.
pub(crate) const SET_UP: &str = "set-up";

/// Items that go with a cluster.
const OF_A_LIFE: [&str; 3] = [ROLES, SET_UP, region::ITEM];

/// The roles of today: as the last change of writer wrote them down, or as the spec has them.
pub(crate) async fn today<O: Outside>(outside: &O, cluster: &str) -> Result<Roles, Failure> {
    let Some(kept) = outside.kept(cluster, ROLES).await? else { return Ok(Roles::default()) };
    serde_json::from_value(kept).map_err(|error| Failure::Broken {
        call: "dynamodb:GetItem",
        what: format!("the item {ROLES} of {cluster} makes no sense: {error}"),
    })
}

/// Forgets what is of a cluster that is gone.
pub(crate) async fn forget<O: Outside>(outside: &O, cluster: &str) -> Result<(), Failure> {
    for item in OF_A_LIFE {
        if let Some(kept) = outside.kept(cluster, item).await? {
            outside.keep(cluster, item, Some(&kept), None).await?;
        }
    }
    Ok(())
}
