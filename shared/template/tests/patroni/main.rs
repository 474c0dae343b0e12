//! The templates of topology `ec2-patroni` and of its options.
#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod backups;
mod balancer;
mod card;
mod dr;
mod kit;
mod limits;
mod monitoring;
mod numbers;
mod reach;
mod rights;
mod settings;
