//! Templates of `aurora-provisioned` and `aurora-serverless`, with every reference filled in as CloudFormation would.
#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod alarms;
mod card;
mod dr;
mod kit;
mod limits;
mod network;
mod numbers;
mod parameters;
mod rights;
mod serverless;
