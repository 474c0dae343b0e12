//! The members' PostgreSQL, by SQL: look, freeze, follow, promote, prove.
//!
//! Every call opens its own connection to one member's address, over TLS whose
//! certificate must name the cluster's writer record, and closes it again: what
//! a call learns is true now, and a connection that hangs belongs to one call.
//! Every call ends within the time it is given, on this side (`tokio`) and on
//! the server's (`statement_timeout`).

mod conninfo;
mod look;
mod session;
mod standby;
mod trouble;
mod writer;

pub use session::{Connector, Target};
pub use trouble::is_login_failure;
