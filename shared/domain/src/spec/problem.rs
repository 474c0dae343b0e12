//! What is wrong with a spec.

use serde::Serialize;
use std::fmt;

/// One problem of a spec; its text is one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where: a JSON pointer (RFC 6901), empty for the whole document.
    pub path: String,
    /// What stands there.
    pub found: String,
    /// What may stand there.
    pub allowed: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the document" } else { &self.path };
        write!(f, "{path}: found {}, allowed is {}", self.found, self.allowed)
    }
}

/// A problem between fields, with every field that it rests on: it says nothing
/// when one of them is itself unreadable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The problem.
    pub problem: Problem,
    /// JSON pointers of the fields compared.
    pub rests_on: Vec<String>,
}

impl Finding {
    /// A problem at the first of the fields it rests on.
    pub(super) fn new(rests_on: &[&str], found: impl Into<String>, allowed: impl Into<String>) -> Self {
        let rests_on: Vec<String> = rests_on.iter().map(|&path| path.to_owned()).collect();
        let path = rests_on.first().cloned().unwrap_or_default();
        Finding { problem: Problem { path, found: found.into(), allowed: allowed.into() }, rests_on }
    }
}
