//! What the lab could not do.

use std::{error::Error as StdError, fmt::Display, path::PathBuf};

/// Something the lab could not do, worded for the person who started it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A step failed.
    #[error("cannot {doing}: {why}")]
    Cannot {
        /// What was tried, as it follows "cannot".
        doing: String,
        /// What went wrong, and what to do about it where that is known.
        why: String,
    },
    /// A program that the lab ran failed.
    #[error("cannot {doing}: {program} ended with {status}\n{tail}\nthe whole log: {}", log.display())]
    Program {
        /// What was tried, as it follows "cannot".
        doing: String,
        /// The program's name.
        program: String,
        /// Its exit status.
        status: String,
        /// The last lines it printed.
        tail: String,
        /// Where all its lines are.
        log: PathBuf,
    },
    /// A person or the system asked the lab to stop.
    #[error("interrupted")]
    Interrupted,
}

/// A closure that files an error under what was tried.
pub fn cannot<E: Display>(doing: impl Into<String>) -> impl FnOnce(E) -> Error {
    |error| Error::Cannot { doing: doing.into(), why: error.to_string() }
}

/// An error and all its causes, in one line.
pub fn story(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some libraries repeat the cause in their own text.
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
