//! The AWS side of the fleet: one file per service, each call named by the
//! permission it needs.
//!
//! No call decides anything. Each either did what its name says, or returns a
//! [`reconcile::Failure`] that says whether the same call may succeed later,
//! came too late, or can never succeed as things are.

pub mod cloudformation;
pub mod cloudwatch;
mod config;
pub mod ec2;
pub mod environment;
mod failure;
pub mod kms;
pub mod lambda;
pub mod network;
pub mod quotas;
pub mod rds;
pub mod route53;
pub mod s3;
pub mod secrets;
pub mod sns;
pub mod ssm;
pub mod state;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]
mod replay;

pub use aws_config::SdkConfig;
pub use config::{in_region, load, now_ms};
