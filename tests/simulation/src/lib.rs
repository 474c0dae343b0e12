//! A simulated cluster in AWS, over which the shipped passes run. See `README.md`.

pub mod aws;
mod calls;
mod check;
mod client;
mod clock;
mod faults;
mod guard;
pub mod member;
mod mutation;
pub mod network;
mod outside;
mod passes;
mod reasons;
mod rejoin;
mod run;
mod server;
pub mod setup;
mod shrink;
mod sql;
mod stage;
pub mod story;
mod stream;
pub mod table;
mod tally;
mod watch;
mod world;

pub use clock::Ms;
pub use mutation::Mutation;
pub use passes::{Cut, Sim};
pub use run::{Outcome, run};
pub use shrink::shrink;
pub use stage::{Stage, Went};
pub use tally::Tally;
pub use world::World;
