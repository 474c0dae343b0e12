//! What a pass came to.

use serde::Serialize;

/// What a pass over one cluster came to: the answer of the function and its
/// last log line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The cluster.
    pub cluster: String,
    /// `steady`, `acted`, `waits` or `refused`.
    pub outcome: &'static str,
    /// Why, in one sentence.
    pub because: String,
}

impl Report {
    /// A report.
    #[must_use]
    pub fn new(cluster: &str, outcome: &'static str, because: String) -> Self {
        Report { cluster: cluster.to_owned(), outcome, because }
    }
}
