//! Clusters whose second Region this fleet is in: [`reconcile::Regions`] and [`reconcile::Preflights`], as AWS and
//! PostgreSQL answer them.
//!
//! | struct | knows |
//! |---|---|
//! | [`OwnRegion`] | this Region's clients, and nothing by which another could be named |
//! | [`OtherRegion`] | the other Region's clients, with little patience |
//! | [`DrCluster`]`<Alone>` | a cluster by the first: all that a preflight has |
//! | [`DrCluster`]`<OtherRegion>` | a cluster by both |

mod cluster;
mod cut;
mod far;
mod orders;
mod own;
mod sides;
mod trial;

pub use cluster::{Alone, DrCluster};
pub use far::OtherRegion;
pub use own::{OwnRegion, Settings};
