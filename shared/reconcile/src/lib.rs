//! One pass over a cluster: observe, decide, perform, report.

mod desk;
mod failure;
mod keeper;
mod login;
mod look;
mod managed;
mod members;
mod outside;
mod pass;
mod report;
mod tell;
mod turn;

pub use desk::Desk;
pub use failure::{Failure, failed};
pub use keeper::{Keeper, Mends, Voices, look_led, note_waiting};
pub use login::Login;
pub use look::{Looks, Silences, Suspected, Waking, target};
pub use managed::Managed;
pub use members::Members;
pub use outside::{Outside, Steers};
pub use pass::{End, World, pass};
pub use report::Report;
pub use tell::{page_every, page_once};
pub use turn::Turn;
