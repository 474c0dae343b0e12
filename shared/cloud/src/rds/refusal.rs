//! What RDS means when it refuses.

use crate::failure::{Answer, Subject, answer, classify};
use aws_sdk_rds::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use reconcile::Failure;
use std::error::Error as StdError;

/// The database is in a state in which RDS refuses what was asked; that may pass.
#[derive(Debug, thiserror::Error)]
#[error("{what} is in a state in which RDS refuses this: {answer}")]
struct Busy {
    what: String,
    answer: Answer,
}

/// Files an error of RDS under the call that met it.
///
/// | code | means |
/// |---|---|
/// | `...NotFound` | there is no such database: nothing to wait for |
/// | `Invalid...State` | busy: [`Failure::Transient`]; but "not a read replica" is [`Failure::LostRace`]: it was promoted before |
/// | `...AlreadyExists` | [`Failure::LostRace`] |
/// | `...QuotaExceeded`, `KMSKeyNotAccessible` | a person must act |
pub(super) fn refused<E>(call: &'static str, what: &str, error: SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let subject = Subject { what, check: CHECK };
    let (code, message) = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
    let Some(said) = answer(&error) else { return classify(call, subject, error) };
    // Codes come with and without "Fault" at the end.
    let code = code.trim_end_matches("Fault");
    if code.starts_with("Invalid") && code.ends_with("State") {
        if message.to_ascii_lowercase().contains("not a read replica") {
            return Failure::LostRace { call, what: format!("{what} ({said})") };
        }
        return Failure::Transient { call, source: Box::new(Busy { what: what.to_owned(), answer: said }) };
    }
    if code.ends_with("NotFound") {
        return Failure::Broken { call, what: format!("{what} does not exist ({said}); {CHECK}") };
    }
    if code.ends_with("AlreadyExists") {
        return Failure::LostRace { call, what: format!("{what} ({said})") };
    }
    if code.ends_with("QuotaExceeded") || code == "KMSKeyNotAccessible" {
        return Failure::Broken { call, what: format!("{what} cannot be had ({said})") };
    }
    classify(call, subject, error)
}

/// Whether RDS says that there is no such thing.
pub(super) fn is_missing<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: ProvideErrorMetadata,
{
    error.code().is_some_and(|code| code.trim_end_matches("Fault").ends_with("NotFound"))
}

const CHECK: &str = "is it of this Region and account, and still there?";
