//! The members' PostgreSQL, by SQL: look, freeze, follow, promote, prove.
//!
//! Every call opens its own connection to one member's address, over TLS whose
//! certificate must name the cluster's writer record, and closes it again: what
//! a call learns is true now, and a connection that hangs belongs to one call.
//! Every call ends within the time it is given, on this side (`tokio`) and on
//! the server's (`statement_timeout`).
//!
//! Servers that AWS runs are reached by their endpoints' names, resolved for each connection, and verified against
//! RDS's certificate authorities.

mod conninfo;
mod look;
mod managed;
mod names;
mod session;
mod set_up;
mod standby;
mod trouble;
mod trust;
mod upgrade;
mod writer;

pub use names::Names;
pub use session::{Connector, Host, Target};
pub use set_up::SetUp;
pub use trouble::is_login_failure;
pub use trust::Reach;
