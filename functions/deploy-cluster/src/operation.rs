//! What CloudFormation's last work on a stack came to, from its events.

use crate::outside::{EventSeen, SetupProblem};

/// The last change of a stack: a creation, an update or a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The event with which it began: another change has another one.
    pub id: String,
    /// `creation`, `update`, `deletion` or `import`.
    pub what: &'static str,
    /// When it began, in milliseconds since 1970.
    pub began_at_ms: u64,
    /// When the stack came to the state it is in, in milliseconds since 1970.
    pub at_ms: u64,
    /// That state, in CloudFormation's word.
    pub status: String,
    /// The event of the resource with which the trouble began.
    pub culprit: Option<EventSeen>,
    /// How many resources have come to their end, either way.
    pub ended: usize,
}

/// What is to be told of a change, each once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It began.
    Started,
    /// It went well.
    Complete,
    /// It did not, and what it did is taken back.
    Failed,
    /// Nor could it be taken back.
    Stuck,
}

impl News {
    /// In one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            News::Started => "started",
            News::Complete => "complete",
            News::Failed => "failed",
            News::Stuck => "stuck",
        }
    }
}

impl Operation {
    /// Reads the events of a stack's last change, the newest first. `None`
    /// where it has none, as a stack that is only planned.
    #[must_use]
    pub fn read(events: &[EventSeen]) -> Option<Self> {
        let first = events.last().filter(|event| event.is_stack)?;
        let what = match first.status.as_str() {
            "CREATE_IN_PROGRESS" => "creation",
            "UPDATE_IN_PROGRESS" => "update",
            "DELETE_IN_PROGRESS" => "deletion",
            "IMPORT_IN_PROGRESS" => "import",
            _ => return None,
        };
        let last = events.iter().find(|event| event.is_stack)?;
        let resources = events.iter().filter(|event| !event.is_stack);
        let mut ended: Vec<&str> = resources
            .clone()
            .filter(|event| event.status.ends_with("_COMPLETE") || event.status.ends_with("_FAILED"))
            .map(|event| event.logical_id.as_str())
            .collect();
        ended.sort_unstable();
        ended.dedup();
        Some(Operation {
            id: first.id.clone(),
            what,
            began_at_ms: first.at_ms,
            at_ms: last.at_ms,
            status: last.status.clone(),
            // The first in time: what fails later fails because of it.
            culprit: resources.rev().find(|event| is_cause(event)).cloned(),
            ended: ended.len(),
        })
    }

    /// What is to be told now.
    #[must_use]
    pub fn news(&self) -> Option<News> {
        match self.status.as_str() {
            "CREATE_IN_PROGRESS" | "UPDATE_IN_PROGRESS" | "DELETE_IN_PROGRESS" => Some(News::Started),
            "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "DELETE_COMPLETE" => Some(News::Complete),
            "ROLLBACK_IN_PROGRESS"
            | "ROLLBACK_COMPLETE"
            | "UPDATE_ROLLBACK_IN_PROGRESS"
            | "UPDATE_ROLLBACK_COMPLETE" => Some(News::Failed),
            "CREATE_FAILED" | "ROLLBACK_FAILED" | "UPDATE_FAILED" | "UPDATE_ROLLBACK_FAILED" | "DELETE_FAILED" => {
                Some(News::Stuck)
            }
            _ => None,
        }
    }

    /// Where and why it failed, in one sentence without its full stop.
    #[must_use]
    pub fn story(&self, problem: Option<&SetupProblem>) -> String {
        let Some(culprit) = &self.culprit else {
            return format!("the {} failed and CloudFormation names no resource", self.what);
        };
        let reason = culprit.reason.as_deref().unwrap_or("CloudFormation gives no reason");
        let mut story = format!("{} ({}) failed: {}", culprit.logical_id, culprit.kind, one_line(reason));
        // What a host wrote in an earlier attempt says nothing about this one.
        if let Some(problem) = problem.filter(|problem| problem.at_ms == 0 || problem.at_ms >= self.began_at_ms) {
            story.push_str(&format!("; the host says of its step {}: {}", problem.step, one_line(&problem.reason)));
        }
        story
    }

    /// How long it took, or has taken until the last event: `6.2 min`.
    #[must_use]
    pub fn minutes(&self) -> String {
        format!("{:.1} min", self.at_ms.saturating_sub(self.began_at_ms) as f64 / 60_000.0)
    }
}

/// Whether a resource failed by itself, and was not given up because another one failed.
fn is_cause(event: &EventSeen) -> bool {
    let cancelled = event.reason.as_ref().is_some_and(|reason| reason.to_lowercase().contains("cancelled"));
    event.status.ends_with("_FAILED") && !cancelled
}

/// The longest reason that is repeated.
const LONGEST: usize = 400;

fn one_line(text: &str) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(LONGEST) {
        line.truncate(end);
        line.push_str("...");
    }
    line.trim_end_matches(['.', ' ']).to_owned()
}
