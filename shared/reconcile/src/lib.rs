//! One pass over a cluster: observe, decide, perform, report.

mod failure;
mod login;
mod pass;

pub use failure::{Failure, failed};
pub use login::Login;
pub use pass::{End, World, pass};
