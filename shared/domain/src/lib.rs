//! Everything the fleet decides, and nothing it does.
//!
//! No AWS, no network, no clock: a decision is a function of what was seen.

pub mod blue_green;
pub mod card;
pub mod decision;
pub mod dns;
pub mod events;
pub mod failover;
pub mod follow;
pub mod lsn;
pub mod managed;
mod page;
pub mod policy;
pub mod records;
pub mod region;
pub mod rejoin;
pub mod repair;
pub mod request;
pub mod spec;
pub mod state;
pub mod steady;
pub mod time;
