//! One pass over a cluster: observe, decide, perform, report.

mod failure;
mod login;
mod look;
mod members;
mod outside;
mod pass;
mod report;
mod tell;
mod turn;

pub use failure::{Failure, failed};
pub use login::Login;
pub use look::{Looks, Silences, Suspected, Waking, target};
pub use members::Members;
pub use outside::Outside;
pub use pass::{End, World, pass};
pub use report::Report;
pub use tell::page_once;
pub use turn::Turn;
