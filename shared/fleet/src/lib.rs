//! The clusters of a fleet as its functions reach them: their cards, their
//! logins, and [`reconcile::Outside`] and [`reconcile::Managed`] as AWS and
//! PostgreSQL answer them.

mod clients;
mod in_aws;
mod last_known;
mod led;
mod managed;
mod members;
mod passes;
pub mod region;

pub use clients::{Clients, Opened, reach};
pub use in_aws::{About, InAws, Ours};
pub use led::WithPatroni;
pub use managed::{ByAws, ManagedInAws};
