//! `deploy-cluster` against a scripted outside, and what it renders.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]

mod golden;
mod records;
mod scripted;
mod spec;
mod stack;
mod walk;
