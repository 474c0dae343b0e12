//! What is done when a writer of Aurora or RDS fails: tables, pages, and walks through worlds cut short everywhere.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]

mod aurora;
mod fence;
mod kit;
mod pages;
mod person;
mod rds;
mod steady;
mod walk;
mod world;
