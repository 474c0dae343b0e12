//! A call to the outside that did not succeed.

use std::error::Error as StdError;

/// What went wrong, and what that means for the caller.
///
/// `call` is the permission the call needs, in IAM's words (`ec2:StopInstances`),
/// or for PostgreSQL the statement's purpose (`postgres:promote`).
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The same call may succeed later: throttled, timed out, briefly down.
    #[error("{call} failed for now")]
    Transient {
        /// The call that failed.
        call: &'static str,
        /// What the outside answered.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Someone else changed the world first; the next pass looks again.
    #[error("{call} lost a race: someone else changed {what} first")]
    LostRace {
        /// The call that came too late.
        call: &'static str,
        /// What had been changed.
        what: String,
    },
    /// No retry cures it: something is missing, malformed or not allowed.
    #[error("{call} cannot succeed: {what}")]
    Broken {
        /// The call that failed.
        call: &'static str,
        /// What is missing, malformed or not allowed, by name.
        what: String,
    },
}

/// A closure that files an error under the call that met it.
pub fn failed<E>(call: &'static str) -> impl FnOnce(E) -> Failure
where
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    move |error| Failure::Transient { call, source: error.into() }
}

impl Failure {
    /// The error and all its causes, in one line.
    #[must_use]
    pub fn story(&self) -> String {
        let mut text = self.to_string();
        let mut cause = StdError::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
