//! Clusters that AWS runs: what is done when a writer of Aurora or RDS fails.
//!
//! Aurora and Multi-AZ fail over by themselves; that is verified, told and
//! measured. Where AWS calls a writer well that is not, one failover is forced;
//! where RDS has no standby left, a read replica is promoted, after the old
//! writer is proven to be cut off.

mod roles;
mod seen;

pub use roles::{ROLES, Roles};
pub use seen::{DbClusterSeen, Described, GlobalFailover, GlobalSeen, InstanceSeen, Lag, NamesSeen, Observed};
