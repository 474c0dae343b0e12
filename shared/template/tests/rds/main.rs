//! Templates of `rds-postgres`.
#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod alarms;
mod card;
mod cluster;
mod dr;
mod isolation;
mod kit;
mod numbers;
mod pooler;
mod roles;
