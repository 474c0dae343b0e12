//! Databases that AWS runs: what RDS says of them, and the few orders that it takes.
//!
//! Its calls have no token: an order that is given twice is carried out twice, or refused because the first is under
//! way. So who orders looks first, and notes before the order that it was about to be given.

mod blue_green;
mod describe;
mod global;
mod key;
mod orders;
mod refusal;
mod room;

pub use room::Room;

use crate::SdkConfig;
use aws_sdk_rds::Client;

/// What RDS calls PostgreSQL. Neptune and DocumentDB answer the same API.
const ENGINES: [&str; 2] = ["aurora-postgresql", "postgres"];

/// The RDS calls the fleet makes, in the Region of their configuration.
#[derive(Debug, Clone)]
pub struct Rds(Client);

impl Rds {
    /// Uses these credentials and time-outs.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Rds(Client::new(config))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests;
