//! Names of change sets: by them a call that has no spec knows what another one began.

use super::Wanted;
use crate::outside::{Outside, StackSeen};
use reconcile::Failure;
use sha2::{Digest, Sha256};

/// What all change sets of Understudy are named.
const BEGINNING: &str = "understudy-";

/// What a change set is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// To be executed.
    Deploy {
        /// Whether the stack is protected from being deleted then.
        protection: bool,
    },
    /// To be shown, and deleted.
    Plan,
}

/// A name: `understudy-0123456789abcdef-protected`, `-unprotected` or `-plan`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) kind: Kind,
}

impl Name {
    /// The same name for the same change: of this template, of the stack as it is.
    pub(super) fn of(wanted: &Wanted<'_>, stack: Option<&StackSeen>) -> Self {
        let protection = wanted.spec.deletion_protection;
        let end = if protection { "protected" } else { "unprotected" };
        Name { text: format!("{BEGINNING}{}-{end}", digits(&wanted.body, stack)), kind: Kind::Deploy { protection } }
    }

    fn read(text: &str) -> Option<Self> {
        let kind = match text.strip_prefix(BEGINNING)?.rsplit_once('-')?.1 {
            "protected" => Kind::Deploy { protection: true },
            "unprotected" => Kind::Deploy { protection: false },
            "plan" => Kind::Plan,
            _ => return None,
        };
        Some(Name { text: text.to_owned(), kind })
    }

    /// Whether the stack shall be protected from being deleted.
    pub(super) fn protection(&self) -> Option<bool> {
        match self.kind {
            Kind::Deploy { protection } => Some(protection),
            Kind::Plan => None,
        }
    }
}

/// Name of the change set that shows what a template would change in a stack.
pub(crate) fn plan_name(body: &str, stack: &StackSeen) -> String {
    format!("{BEGINNING}{}-plan", digits(body, Some(stack)))
}

fn digits(body: &str, stack: Option<&StackSeen>) -> String {
    let mut hash = Sha256::new();
    hash.update(body);
    // A stack that is still to be made is the same before and after its change set was.
    if let Some(stack) = stack.filter(|stack| stack.status != "REVIEW_IN_PROGRESS") {
        hash.update(&stack.id);
        hash.update(&stack.changed_at);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// A plan older than this was cut short: nobody waits for it any more.
const PLAN_MS: u64 = 5 * 60 * 1_000;

/// Understudy's change sets of a stack that are not executed, but for the plans that someone looks at now.
pub(super) async fn open<O: Outside>(outside: &O, stack: &str) -> Result<Vec<Name>, Failure> {
    let now = outside.now_ms();
    let open = outside.open_change_sets(stack).await?.into_iter().filter_map(|open| {
        let name = Name::read(&open.name)?;
        let is_young = now.saturating_sub(open.created_at_ms) < PLAN_MS;
        (name.kind != Kind::Plan || !is_young).then_some(name)
    });
    Ok(open.collect())
}
