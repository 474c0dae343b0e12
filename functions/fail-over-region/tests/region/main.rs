//! The second Region takes over and gives back, in two small Regions that follow a script.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]

mod card;
mod outside;
mod preflight;
mod refusals;
mod takeover;
mod trouble;
mod walk;
mod world;
