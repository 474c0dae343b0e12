//! What `rejoin.sh` prints when it is done.

use crate::lsn::Lsn;
use serde::{Deserialize, Serialize};

/// The longest reason that goes into a page, in characters.
const LONGEST: usize = 300;

/// The last line that `rejoin.sh` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What it came to.
    pub outcome: Outcome,
    /// Whether the member's log had gone on beyond where the writer's left it.
    pub diverged: bool,
    /// What only this member had; `None` when nothing.
    pub loss: Option<Loss>,
    /// The directory on the member that keeps its old timeline's log and the report.
    pub saved: Option<String>,
    /// How long it took.
    pub seconds: u64,
}

/// How a member became a standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// By `pg_rewind`, or by nothing but another history.
    Rewound,
    /// By a copy of the writer's data.
    Rebuilt,
    /// It was one.
    AlreadyStandby,
}

/// What only the old timeline had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Where the writer's timeline left this one.
    pub from_lsn: Lsn,
    /// Where this one ends.
    pub to_lsn: Lsn,
    /// Bytes of log between them.
    pub bytes: u64,
    /// Transactions that were committed there.
    pub transactions: u64,
    /// When the first of them was committed, in UTC.
    pub first_at: Option<String>,
    /// When the last of them was committed, in UTC.
    pub last_at: Option<String>,
    /// What they changed; the fifty most changed at most.
    #[serde(default)]
    pub tables: Vec<TableLoss>,
}

/// Rows of one table that only the old timeline changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableLoss {
    /// `public.rows`, or the file when nobody knows its name.
    pub name: String,
    /// Rows inserted, updated and deleted.
    pub changes: u64,
}

impl Report {
    /// Reads the last line of what was printed.
    ///
    /// # Errors
    ///
    /// Why it is no report, in one sentence.
    pub fn read(stdout: &str) -> Result<Report, String> {
        let line = last_line(stdout).ok_or("it printed nothing")?;
        serde_json::from_str(line).map_err(|error| format!("its last line is no report: {error}"))
    }
}

fn last_line(text: &str) -> Option<&str> {
    text.lines().map(str::trim).rfind(|line| !line.is_empty())
}

/// Why a command failed: its last word, and SSM's.
pub(super) fn why(status: &str, stderr: &str) -> String {
    let Some(line) = last_line(stderr) else { return format!("{status}, and it said nothing") };
    // SSM ends what it shows of an exit code with a line of its own.
    let line = match line.strip_prefix("failed to run commands:") {
        Some(_) => stderr.lines().map(str::trim).rfind(|other| !other.is_empty() && *other != line).unwrap_or(line),
        None => line,
    };
    let line: String = line.chars().filter(|letter| !letter.is_control()).take(LONGEST).collect();
    format!("{status}: {line}")
}
