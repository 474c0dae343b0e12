//! One pass over a cluster: observe, decide, perform, report.

mod failure;
mod login;
mod pass;
mod wake;

pub use failure::{Failure, failed};
pub use login::Login;
pub use pass::{End, World, pass};
pub use wake::Wake;
