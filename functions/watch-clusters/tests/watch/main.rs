//! Runs over a scripted fleet, on a clock that stands still until everybody waits.
#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod fleet;
mod managed;
mod outages;
mod runs;
