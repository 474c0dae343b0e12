//! The clusters of a fleet as its functions reach them: their cards, their
//! logins, and [`reconcile::Outside`] as AWS and PostgreSQL answer it.

mod clients;
mod in_aws;
mod last_known;
mod led;
mod members;
mod passes;

pub use clients::{Clients, Opened};
pub use in_aws::{InAws, Ours};
pub use led::WithPatroni;
