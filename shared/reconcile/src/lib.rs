//! One pass over a cluster: observe, decide, perform, report.

mod failure;
mod login;

pub use failure::{Failure, failed};
pub use login::Login;
