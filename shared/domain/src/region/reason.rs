//! Why a pass waits, or does not do what it is asked.

use super::{Kind, Offer};
use crate::time::{clock, seconds};
use std::{fmt, time::Duration};

/// A reason; prints as one sentence without its full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The request names another Region than the one that can take over.
    WrongRegion {
        /// What it names.
        to: String,
        /// What it may name.
        expected: String,
    },
    /// A change is under way already.
    UnderWay {
        /// Its kind.
        kind: Kind,
        /// Its epoch.
        epoch: u64,
        /// Since when.
        since_ms: u64,
    },
    /// This Region serves already.
    AlreadyServes {
        /// The Region.
        region: String,
        /// Since when.
        since_ms: Option<u64>,
    },
    /// This Region does not serve: there is nothing to give back.
    ServesNot {
        /// The Region.
        region: String,
    },
    /// A planned change needs both sides well.
    NotWell {
        /// The kind that was asked for.
        kind: Kind,
        /// What is wrong.
        problem: String,
        /// What can be asked for instead.
        instead: String,
    },
    /// A failover needs an approval; this one may be given.
    NeedsApproval {
        /// What was seen.
        seen: Vec<String>,
        /// What is lost.
        risk: String,
        /// The offer.
        offer: Offer,
        /// Whether a switchover would do, without loss.
        better: Option<String>,
    },
    /// The approval is worth nothing.
    BadApproval {
        /// Why.
        problem: String,
    },
    /// The successor cannot take over.
    NoSuccessor {
        /// Why.
        problem: String,
    },
    /// A person paused the cluster.
    Paused,
    /// The proof is young: it is looked at again until it has lasted.
    Proving {
        /// What is proven.
        what: String,
        /// For how much longer.
        left: Duration,
    },
    /// The old writer is being cut off.
    Fencing {
        /// What is missing.
        missing: String,
        /// How long it has lasted.
        lasts: Duration,
    },
    /// The successor does not have all yet.
    CatchingUp {
        /// What is missing.
        missing: String,
        /// How long it has lasted.
        lasts: Duration,
    },
    /// AWS has the order, and is not done.
    Ordered {
        /// What AWS says.
        says: String,
        /// How long it has lasted.
        lasts: Duration,
    },
    /// The same for longer than it should take.
    Stuck {
        /// What AWS says.
        says: String,
        /// How long it has lasted.
        lasts: Duration,
        /// How often it was ordered.
        orders: u32,
    },
    /// The new writer takes no write yet.
    NotProven {
        /// What it says.
        says: String,
        /// How long that has lasted.
        lasts: Duration,
    },
    /// A switchover was given up, and the old side must be let in again, but cannot be reached.
    CannotUndo {
        /// Why it was given up.
        because: String,
        /// Why it cannot be undone.
        problem: String,
    },
    /// What is asked for is not offered for this kind of cluster.
    NotOffered {
        /// What there is.
        instead: String,
    },
}

impl Reason {
    /// Whether it only answers a person's request: that person needs no page.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        matches!(
            self,
            Reason::WrongRegion { .. }
                | Reason::UnderWay { .. }
                | Reason::AlreadyServes { .. }
                | Reason::ServesNot { .. }
                | Reason::NotWell { .. }
                | Reason::BadApproval { .. }
                | Reason::NotOffered { .. }
                | Reason::Paused
        )
    }

    /// Whether it is over in seconds or a few minutes, in which nobody can write.
    #[must_use]
    pub fn is_short(&self) -> bool {
        matches!(self, Reason::Fencing { .. } | Reason::CatchingUp { .. } | Reason::Ordered { .. })
    }

    /// Its kind, by which pages are told apart.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Reason::NeedsApproval { .. } => "region-needs-approval",
            Reason::NoSuccessor { .. } => "region-no-successor",
            Reason::Stuck { .. } => "region-stuck",
            Reason::NotProven { .. } => "region-not-proven",
            Reason::CannotUndo { .. } => "region-cannot-undo",
            _ => "region-answer",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::WrongRegion { to, expected } => {
                write!(
                    f,
                    "{to} is asked to serve; here only {expected} can be (ask the other Region's fleet for others)"
                )
            }
            Reason::UnderWay { kind, epoch, since_ms } => {
                write!(f, "a {kind} (epoch {epoch}) is under way since {}; it is not begun twice", clock(*since_ms))
            }
            Reason::AlreadyServes { region, since_ms } => {
                write!(f, "{region} serves already")?;
                since_ms.map_or(Ok(()), |since| write!(f, ", since {}", clock(since)))
            }
            Reason::ServesNot { region } => write!(f, "{region} does not serve: there is nothing to give back"),
            Reason::NotWell { kind, problem, instead } => {
                write!(f, "a {kind} needs both sides well, and {problem}; {instead}")
            }
            Reason::NeedsApproval { risk, offer, better, .. } => {
                if let Some(better) = better {
                    write!(f, "{better}. ")?;
                }
                write!(
                    f,
                    "a failover loses what was not replicated: {risk}; a person approves it with {} until {}",
                    offer.token,
                    clock(offer.expires_at_ms)
                )
            }
            Reason::BadApproval { problem } => write!(f, "the approval is worth nothing: {problem}"),
            Reason::NoSuccessor { problem } => write!(f, "this Region cannot take over: {problem}"),
            Reason::Paused => f.write_str("the cluster is paused: nothing is done by itself; resume it, or approve"),
            Reason::Proving { what, left } => {
                write!(f, "{what}; if that lasts {} more, this Region takes over", seconds(*left))
            }
            Reason::Fencing { missing, lasts } => write!(f, "fencing for {}: {missing}", seconds(*lasts)),
            Reason::CatchingUp { missing, lasts } => write!(f, "catching up for {}: {missing}", seconds(*lasts)),
            Reason::Ordered { says, lasts } => write!(f, "ordered {} ago: {says}", seconds(*lasts)),
            Reason::Stuck { says, lasts, orders } => {
                write!(f, "ordered {orders} times, first {} ago, and not done: {says}", seconds(*lasts))
            }
            Reason::NotProven { says, lasts } => {
                write!(f, "the new writer takes no write for {}: {says}", seconds(*lasts))
            }
            Reason::CannotUndo { because, problem } => {
                write!(f, "the switchover was given up ({because}), and the old side cannot be let in again: {problem}")
            }
            Reason::NotOffered { instead } => f.write_str(instead),
        }
    }
}
