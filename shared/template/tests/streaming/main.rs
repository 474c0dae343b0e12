//! Templates of `ec2-streaming`, with every reference filled in as CloudFormation would.
#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod access;
mod alarms;
mod bundle;
mod card;
mod hosts;
mod kit;
mod limits;
mod network;
mod numbers;
mod settings;
