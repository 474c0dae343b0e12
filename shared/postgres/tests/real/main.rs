//! The calls of this crate against real PostgreSQL servers.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at the first surprise")]

mod looks;
mod managed;
mod roles;
mod server;
mod set_up;
mod upgrade;
