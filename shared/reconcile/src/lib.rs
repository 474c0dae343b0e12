//! One pass over a cluster: observe, decide, perform, report.

mod desk;
mod failure;
mod keeper;
mod login;
mod look;
mod look_managed;
mod managed;
mod members;
mod outside;
mod pass;
mod patience;
mod region;
mod report;
mod tell;
mod turn;
mod waking;

pub use desk::Desk;
pub use failure::{Failure, failed};
pub use keeper::{Keeper, Mends, Voices, look_led, note_waiting};
pub use login::Login;
pub use look::{Looks, target};
pub use look_managed::{ManagedLooks, ManagedSeen};
pub use managed::Managed;
pub use members::Members;
pub use outside::{Outside, Steers};
pub use pass::{End, World, pass};
pub use region::{Preflights, Regions};
pub use report::Report;
pub use tell::{TELL_AGAIN, page_every, page_once};
pub use turn::Turn;
pub use waking::{Silences, Suspected, Waking};
