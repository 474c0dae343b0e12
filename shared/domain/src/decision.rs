//! The four answers a pass can give.

/// What one look at a cluster concluded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a decision nobody performs or reports is lost"]
pub enum Decision<Step, Reason> {
    /// The world is already as it should be.
    Steady,
    /// The outside must change first; the next scheduled pass looks again.
    Wait(Reason),
    /// Perform these in order, stop at the first that fails, then look again.
    Act(Vec<Step>),
    /// No safe action exists: a person must choose.
    Refuse(Reason),
}
