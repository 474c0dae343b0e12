//! What can go wrong between a request and its answer.

use reconcile::Failure;

/// Why there is no answer, told apart by what it says about the member.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The host answered that nothing listens on the port.
    #[error("the port refuses")]
    Refused,
    /// No answer, or a connection cut before the answer.
    #[error("{0}")]
    Silent(String),
    /// Something answers whose certificate does not verify.
    #[error("TLS: {0}")]
    Tls(String),
    /// Patroni answered that it does not do it.
    #[error("HTTP {status}: {text}")]
    No {
        /// The status.
        status: u16,
        /// The beginning of what it said.
        text: String,
    },
    /// An answer of another shape.
    #[error("an answer that makes no sense: {0}")]
    Junk(String),
}

impl Trouble {
    /// What a call that must succeed makes of it.
    pub fn failure(self, call: &'static str, member: &str) -> Failure {
        match &self {
            // 412: it is not as the caller thought; 401: the login; 400, 404, 409: never by a retry.
            Trouble::No { status: 412 | 409, .. } => Failure::LostRace { call, what: format!("{member}: {self}") },
            Trouble::No { status: 400..=499, .. } | Trouble::Tls(_) | Trouble::Junk(_) => {
                Failure::Broken { call, what: format!("{member}: {self}") }
            }
            _ => Failure::Transient { call, source: format!("{member}: {self}").into() },
        }
    }
}
