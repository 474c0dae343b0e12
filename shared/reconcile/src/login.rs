//! A PostgreSQL role and its password, read from a secret.

use serde::Deserialize;
use std::fmt;

/// A role and its password. Its `Debug` form never shows the password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Login {
    /// The role.
    pub username: String,
    /// Its password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}
