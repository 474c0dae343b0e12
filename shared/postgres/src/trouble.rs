//! What can go wrong between a question and its answer.

use domain::failover::Sql;
use reconcile::Failure;
use std::{error::Error as StdError, io};
use tokio_postgres::error::SqlState;

/// Why a question got no answer, told apart by what it says about the member.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// This side could not even ask: out of file descriptors, memory or ports.
    /// It says nothing about the member.
    #[error("cannot open a connection from here")]
    Local(#[source] io::Error),
    /// The host answered that nothing listens on the port.
    #[error("connection refused")]
    Refused,
    /// No answer, or a connection cut before the answer.
    #[error("{0}")]
    Silent(String),
    /// PostgreSQL answered with an error of its own.
    #[error("SQLSTATE {}: {message}", code.code())]
    Sql {
        /// PostgreSQL's code, such as 53300.
        code: SqlState,
        /// Its text.
        message: String,
    },
    /// Something answers, but not as the member's PostgreSQL should: a
    /// certificate that does not verify, no TLS, an answer of another shape.
    #[error("{0}")]
    Odd(String),
    /// The member does not play the part that the call needs.
    #[error("{0}")]
    Role(String),
}

/// Linux's numbers of the errors of `connect` that are this side's own:
/// ENOMEM, ENFILE, EMFILE, EADDRNOTAVAIL (no local port left), ENOBUFS.
const LOCAL: [i32; 5] = [12, 23, 24, 99, 105];

/// Class 28, "invalid authorization specification".
///
/// Source: PostgreSQL manual, appendix A, "PostgreSQL Error Codes".
const LOGIN_CLASS: &str = "SQLSTATE 28";

/// Classes of SQLSTATE that no retry cures: 0A not supported, 22 bad data, 28
/// login, 3D no such database, 3F no such schema, 42 missing or not allowed.
const BROKEN: [&str; 6] = ["0A", "22", "28", "3D", "3F", "42"];

/// Whether a probe was turned away because of the role or its password: then
/// the secret is worth reading again.
#[must_use]
pub fn is_login_failure(sql: &Sql) -> bool {
    matches!(sql, Sql::Alive(text) if text.starts_with(LOGIN_CLASS))
}

impl Trouble {
    /// Sorts an error of the TCP connection attempt.
    pub(crate) fn of_connect(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) if LOCAL.contains(&number) => Trouble::Local(error),
            _ if error.kind() == io::ErrorKind::ConnectionRefused => Trouble::Refused,
            _ => Trouble::Silent(format!("no TCP connection: {error}")),
        }
    }

    /// What a probe makes of it.
    pub(crate) fn seen(self) -> Sql {
        match self {
            Trouble::Local(error) => {
                tracing::error!(%error, "a probe could not be sent: this function lacks resources");
                Sql::NotAsked
            }
            Trouble::Refused => Sql::Refused,
            Trouble::Silent(text) => Sql::Silent(text),
            Trouble::Sql { .. } | Trouble::Odd(_) | Trouble::Role(_) => Sql::Alive(self.to_string()),
        }
    }

    /// What a call that must succeed makes of it.
    pub(crate) fn failure(self, call: &'static str, target: impl std::fmt::Display) -> Failure {
        match &self {
            Trouble::Role(_) => Failure::LostRace { call, what: format!("the role of {target}: {self}") },
            Trouble::Odd(_) => Failure::Broken { call, what: format!("{target}: {self}") },
            Trouble::Sql { code, .. } if BROKEN.iter().any(|class| code.code().starts_with(class)) => {
                Failure::Broken { call, what: format!("{target}: {self}") }
            }
            _ => Failure::Transient { call, source: Box::new(At { member: target.to_string(), trouble: self }) },
        }
    }
}

/// Trouble, with the member it concerns.
#[derive(Debug, thiserror::Error)]
#[error("{member}")]
struct At {
    member: String,
    #[source]
    trouble: Trouble,
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(answer) = error.as_db_error() {
            return Trouble::Sql { code: answer.code().clone(), message: answer.message().to_owned() };
        }
        let cut = error.is_closed() || causes(&error).any(is_cut);
        let text = causes(&error).fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
        if cut { Trouble::Silent(format!("connection cut: {text}")) } else { Trouble::Odd(text) }
    }
}

/// The causes of an error, outermost first.
fn causes(error: &tokio_postgres::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// Whether this is the network's doing, and not an answer that was rejected.
fn is_cut(error: &(dyn StdError + 'static)) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, HostUnreachable, NetworkUnreachable, NotConnected, TimedOut,
        UnexpectedEof,
    };
    error.downcast_ref::<io::Error>().is_some_and(|error| {
        matches!(
            error.kind(),
            BrokenPipe
                | ConnectionAborted
                | ConnectionReset
                | HostUnreachable
                | NetworkUnreachable
                | NotConnected
                | TimedOut
                | UnexpectedEof
        )
    })
}
