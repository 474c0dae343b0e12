//! Decides what becomes of a cluster's stack.

use crate::outside::{ChangeSetPhase, ChangeSetSeen, StackSeen};
use domain::{decision::Decision, state::State};
use std::fmt;

/// What one look at a stack yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The stack's name.
    pub name: String,
    /// The stack.
    pub stack: Option<StackSeen>,
    /// Whether the stack was last given the template that is wanted now; where
    /// nothing in particular is wanted, any template is the right one.
    pub is_wanted: bool,
    /// The change set that leads to what is wanted, if it has been made.
    pub change_set: Option<ChangeSetSeen>,
    /// What executing it would do that it must not.
    pub harm: Vec<String>,
    /// What a person can do instead.
    pub instead: &'static str,
    /// Whose wish it is: `this spec`.
    pub whose: &'static str,
    /// Its name; `None` when no spec is given and no change set is open.
    pub wanted_change_set: Option<String>,
    /// Open change sets of Understudy that lead elsewhere: of an earlier spec.
    pub stale: Vec<String>,
    /// Whether a spec is at hand.
    pub has_spec: bool,
    /// Whether the stack shall be protected from being deleted; `None` when nobody says.
    pub protection: Option<bool>,
    /// Of a first creation that was rolled back: what is left of it, by logical id.
    pub left: Option<Vec<String>>,
    /// Of a change that failed: where and why, in one sentence.
    pub story: Option<String>,
    /// The state of the cluster.
    pub state: Option<State>,
    /// Why this pass dropped the change set.
    pub dropped: Option<Drop>,
}

/// Why a change set is dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drop {
    /// Nothing would change.
    Empty,
    /// CloudFormation could not make it.
    Failed(String),
    /// It would harm members: what, and what can be done instead.
    Harmful(Vec<String>, &'static str),
    /// The stack or the spec has changed since.
    Stale,
}

/// One step towards the stack that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Lets a member of the new stack claim the cluster.
    Unclaim,
    /// Makes the change set.
    Create {
        /// Its name.
        name: String,
        /// Whether the stack is new.
        new_stack: bool,
        /// Whether the stack has chosen a machine image before.
        keeps_image: bool,
    },
    /// Protects the stack from being deleted, or no longer.
    Protect(bool),
    /// Deletes a stack of this ARN, of which nothing is left.
    Clear(String),
    /// Executes the change set of this name.
    Execute(String),
    /// Drops the change set of this name.
    Drop(String, Drop),
}

/// Why nothing is done now, or at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// There is a stack without anything in it, and no spec to fill it from.
    NoSpec(String),
    /// CloudFormation compares the template with the stack.
    Comparing(String),
    /// CloudFormation works on the stack.
    Busy(StackSeen),
    /// A change of writer is under way.
    WriterChanges(String),
    /// The stack of a first creation that failed is being deleted.
    Clearing,
    /// The stack cannot go on without a person: its name, itself, and where and why its change failed.
    Stuck(String, StackSeen, Option<String>),
    /// CloudFormation did not make the change set.
    Impossible(String),
    /// The change set would harm members: whose wish it is, what it would do, and what can be done instead.
    Harmful(&'static str, Vec<String>, &'static str),
}

/// Decides the next step.
///
/// Nothing is executed before no writer is on record for a stack that does not
/// exist yet: its members could not tell a cluster that was from one that is.
pub fn decide(seen: &Observed) -> Decision<Step, Reason> {
    match &seen.dropped {
        Some(Drop::Failed(reason)) => return Decision::Refuse(Reason::Impossible(reason.clone())),
        Some(Drop::Harmful(harm, instead)) => {
            return Decision::Refuse(Reason::Harmful(seen.whose, harm.clone(), instead));
        }
        Some(Drop::Empty) => return settled(seen),
        Some(Drop::Stale) | None => {}
    }
    let Some(stack) = &seen.stack else { return begin(seen, false) };
    match stack.status.as_str() {
        "REVIEW_IN_PROGRESS" => begin(seen, true),
        "ROLLBACK_COMPLETE" if seen.has_spec && seen.left.as_ref().is_some_and(Vec::is_empty) => clear(stack),
        "DELETE_IN_PROGRESS" if seen.has_spec => Decision::Wait(Reason::Clearing),
        "CREATE_COMPLETE"
        | "UPDATE_COMPLETE"
        | "UPDATE_ROLLBACK_COMPLETE"
        | "IMPORT_COMPLETE"
        | "IMPORT_ROLLBACK_COMPLETE" => update(seen, stack),
        status if status.ends_with("_IN_PROGRESS") => Decision::Wait(Reason::Busy(stack.clone())),
        _ => Decision::Refuse(Reason::Stuck(seen.name.clone(), stack.clone(), seen.story.clone())),
    }
}

/// A first creation that was rolled back to nothing stands in the way of the
/// next one. Its protection guards nothing.
fn clear(stack: &StackSeen) -> Decision<Step, Reason> {
    let unprotect = stack.protected.then_some(Step::Protect(false));
    Decision::Act(unprotect.into_iter().chain([Step::Clear(stack.id.clone())]).collect())
}

/// The stack is as wanted; its protection may not be.
fn settled(seen: &Observed) -> Decision<Step, Reason> {
    match protect(seen) {
        Some(step) => Decision::Act(vec![step]),
        None => Decision::Steady,
    }
}

fn protect(seen: &Observed) -> Option<Step> {
    let is = seen.stack.as_ref()?.protected;
    seen.protection.filter(|wanted| *wanted != is).map(Step::Protect)
}

/// Towards a stack that has no resources yet.
fn begin(seen: &Observed, planned: bool) -> Decision<Step, Reason> {
    if let Some(state) = &seen.state {
        if let Some(change) = &state.change {
            return Decision::Wait(Reason::WriterChanges(change.from.clone()));
        }
        if state.writer.is_some() {
            return Decision::Act(vec![Step::Unclaim]);
        }
    }
    if planned && !seen.stale.is_empty() {
        return Decision::Act(drop_stale(seen));
    }
    match (&seen.change_set, &seen.wanted_change_set) {
        (Some(change_set), _) => go_on(seen, change_set),
        (None, Some(name)) => {
            Decision::Act(vec![Step::Create { name: name.clone(), new_stack: true, keeps_image: false }])
        }
        (None, None) => Decision::Wait(Reason::NoSpec(seen.name.clone())),
    }
}

/// Towards another template of a stack that stands.
fn update(seen: &Observed, stack: &StackSeen) -> Decision<Step, Reason> {
    if !seen.stale.is_empty() {
        return Decision::Act(drop_stale(seen));
    }
    match (&seen.change_set, &seen.wanted_change_set) {
        _ if seen.is_wanted => settled(seen),
        (Some(change_set), _) => go_on(seen, change_set),
        (None, Some(name)) => {
            let keeps_image = stack.parameters.iter().any(|name| name == template::IMAGE_PARAMETER);
            Decision::Act(vec![Step::Create { name: name.clone(), new_stack: false, keeps_image }])
        }
        (None, None) => Decision::Steady,
    }
}

fn drop_stale(seen: &Observed) -> Vec<Step> {
    seen.stale.iter().map(|name| Step::Drop(name.clone(), Drop::Stale)).collect()
}

fn go_on(seen: &Observed, change_set: &ChangeSetSeen) -> Decision<Step, Reason> {
    let name = &change_set.name;
    let drop = |why| Decision::Act(vec![Step::Drop(name.clone(), why)]);
    match &change_set.phase {
        ChangeSetPhase::Pending => Decision::Wait(Reason::Comparing(name.clone())),
        ChangeSetPhase::Empty => drop(Drop::Empty),
        ChangeSetPhase::Failed(reason) => drop(Drop::Failed(reason.clone())),
        // Executed, or overtaken, and the stack is still not as wanted.
        ChangeSetPhase::Over => drop(Drop::Stale),
        ChangeSetPhase::Ready(_) => {
            if !seen.harm.is_empty() {
                return drop(Drop::Harmful(seen.harm.clone(), seen.instead));
            }
            // The protection first: a call that is cut after the execution is finished by one that has no spec.
            Decision::Act(protect(seen).into_iter().chain([Step::Execute(name.clone())]).collect())
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Unclaim => f.write_str("forget the writer of a stack that is gone"),
            Step::Create { name, new_stack: true, .. } => write!(f, "make change set {name} of a new stack"),
            Step::Create { name, new_stack: false, .. } => write!(f, "make change set {name} of an update"),
            Step::Protect(true) => f.write_str("protect the stack from being deleted"),
            Step::Protect(false) => f.write_str("take the stack's protection from being deleted away"),
            Step::Clear(id) => write!(f, "delete stack {id}, of which nothing is left"),
            Step::Execute(name) => write!(f, "execute change set {name}"),
            Step::Drop(name, why) => write!(f, "drop change set {name}: {why}"),
        }
    }
}

impl fmt::Display for Drop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Drop::Empty => f.write_str("nothing would change"),
            Drop::Failed(reason) => write!(f, "CloudFormation could not make it: {reason}"),
            Drop::Harmful(harm, _) => write!(f, "it would {}", harm.join("; ")),
            Drop::Stale => f.write_str("the stack or the spec has changed since"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoSpec(name) => write!(f, "stack {name} is empty and has no change set: deploy the spec again"),
            Reason::Comparing(name) => write!(f, "CloudFormation is preparing change set {name}"),
            Reason::Busy(stack) => write!(f, "CloudFormation is at work, {}{}", stack.status, because(stack)),
            Reason::WriterChanges(from) => {
                write!(f, "a change of writer away from {from} is under way; it must end first")
            }
            Reason::Clearing => {
                f.write_str("what is left of a stack of this name is being deleted: deploy the spec again in a minute")
            }
            Reason::Stuck(name, stack, Some(story)) => {
                write!(f, "stack {name} is in {}: {story}; {}", stack.status, way_out(name, &stack.status))
            }
            Reason::Stuck(name, stack, None) => {
                write!(f, "stack {name} is in {}{}; {}", stack.status, because(stack), way_out(name, &stack.status))
            }
            Reason::Impossible(reason) => write!(f, "CloudFormation could not prepare the change: {reason}"),
            Reason::Harmful(whose, harm, instead) => {
                write!(f, "{whose} would {}; nothing was changed{instead}", harm.join("; "))
            }
        }
    }
}

fn because(stack: &StackSeen) -> String {
    stack.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default()
}

/// What a person can do about a stack whose change failed.
pub(crate) fn way_out(name: &str, status: &str) -> String {
    match status {
        "ROLLBACK_IN_PROGRESS" | "ROLLBACK_COMPLETE" => {
            "correct the cause and deploy the spec again: what is left of the stack is deleted first, if that is nothing"
                .to_owned()
        }
        "UPDATE_ROLLBACK_IN_PROGRESS" | "UPDATE_ROLLBACK_COMPLETE" => {
            "the cluster is as it was before: correct the cause and deploy the spec again".to_owned()
        }
        "ROLLBACK_FAILED" | "CREATE_FAILED" | "DELETE_FAILED" => {
            // understudy-FLEET-CLUSTER, and a fleet's name has no hyphen.
            let cluster = name.splitn(3, '-').nth(2).unwrap_or(name);
            format!(
                "correct the cause, then delete the cluster (data volumes leave a snapshot): \
                 {{\"delete\": \"{cluster}\", \"confirm\": \"{cluster}\"}}"
            )
        }
        "UPDATE_ROLLBACK_FAILED" | "UPDATE_FAILED" => format!(
            "correct the cause, then: aws cloudformation continue-update-rollback --stack-name {name}"
        ),
        _ => format!("see: aws cloudformation describe-stack-events --stack-name {name}"),
    }
}
