//! One invocation: its name, and how long Lambda lets it live.

use crate::Failure;
use domain::state::Holder;

/// A lease outlives the invocation by this much: a statement that was under
/// way when Lambda ended the process may still take effect.
const AFTER_DEADLINE_MS: u64 = 2_000;

/// No step begins with less time left than this.
const LEAST_TIME_MS: u64 = 3_000;

/// One invocation of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// How a lease names it. No other pass may have that name, not even
    /// Lambda's second try of the same event.
    pub pass: String,
    /// When Lambda ends it, in milliseconds since 1970.
    pub deadline_ms: u64,
}

impl Turn {
    /// It as the holder of a lease.
    #[must_use]
    pub fn holder(&self) -> Holder {
        Holder { id: self.pass.clone(), expires_at_ms: self.deadline_ms + AFTER_DEADLINE_MS }
    }

    /// A step that Lambda would cut is not begun.
    ///
    /// # Errors
    ///
    /// [`Failure::Transient`] when too little time is left.
    pub fn in_time(&self, now_ms: u64) -> Result<(), Failure> {
        let left = self.deadline_ms.saturating_sub(now_ms);
        if left >= LEAST_TIME_MS {
            return Ok(());
        }
        let source = format!("{left} ms are left of this invocation; the next pass goes on");
        Err(Failure::Transient { call: "pass", source: source.into() })
    }
}
