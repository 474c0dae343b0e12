//! Patroni's REST API: look at a cluster, hand over its lead, pause it.
//!
//! Every call opens its own connection to one member's address, over TLS whose
//! certificate must name that address and be signed by the cluster's peer
//! authority; it ends within the time it is given. What Patroni answers is read
//! tolerantly: a field that is missing or of another type is not known.
//!
//! Source: Patroni documentation, "Patroni REST API"; `patroni/api.py` of 4.1.

mod account;
mod answer;
mod api;
mod trouble;

pub use account::{account, sentence};
pub use answer::{Cluster, History, Listed, Status};
pub use api::{Api, BIG, HANDOVER, LOOK};
pub use trouble::Trouble;
