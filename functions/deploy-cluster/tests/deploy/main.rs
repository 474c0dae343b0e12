//! `deploy-cluster` against a scripted outside, and what it renders.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]

mod anew;
mod blue_green;
mod broken_specs;
mod checklists;
mod deletion;
mod failed;
mod golden;
mod managed;
mod parts;
mod plan;
mod records;
mod scripted;
mod spec;
mod stack;
mod status;
mod two_regions;
mod walk;
