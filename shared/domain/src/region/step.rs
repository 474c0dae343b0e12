//! What a pass can be told to do.

use super::{Change, Entry, Place, Region};
use crate::{failover::Page, managed::Roles};
use std::fmt;

/// One step, with everything that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Writes the item, if it still is what this look saw (R1).
    Note {
        /// What it becomes.
        after: Box<Region>,
        /// Why, for the log.
        what: String,
    },
    /// Says in the other Region's table whether that side serves.
    Mark {
        /// Whether it does.
        serves: bool,
        /// The Region that does.
        serving: String,
        /// By which epoch.
        epoch: u64,
    },
    /// Cuts clients off from a server. Giving it twice is the same as once.
    CutOff {
        /// Where.
        at: Place,
        /// Which.
        server: String,
    },
    /// Ends the sessions that are left of clients that are cut off.
    EndSessions {
        /// Where.
        at: Place,
        /// Which.
        server: String,
    },
    /// Lets clients in again.
    LetIn {
        /// Where.
        at: Place,
        /// Which.
        server: String,
    },
    /// Makes a replica a writer of its own.
    Promote {
        /// Where.
        at: Place,
        /// Which.
        server: String,
        /// How often this was ordered, with this.
        order: u32,
        /// The change's epoch.
        epoch: u64,
    },
    /// Moves the writer of Aurora's global cluster.
    MoveGlobal {
        /// The global cluster.
        global: String,
        /// ARN of the cluster that shall write.
        to: String,
        /// Whether it is a failover, which may lose rows, and not a switchover.
        allow_data_loss: bool,
    },
    /// Tells the metric whether the primary serves.
    Publish {
        /// Whether it does.
        primary_serves: bool,
    },
    /// Commits a row on the new writer, and notes what it said.
    Prove {
        /// Where.
        at: Place,
        /// Which.
        server: String,
        /// Its endpoint.
        endpoint: String,
        /// The change, in which it is noted.
        change: Box<Change>,
    },
    /// Makes the state item of a side name its writer, with an epoch more.
    Claim {
        /// Where.
        at: Place,
        /// The writer.
        writer: String,
        /// Of the new writer: its timeline and where it began.
        change: Box<Change>,
    },
    /// Writes who is what, for the stack.
    KeepRoles {
        /// Where.
        at: Place,
        /// What it becomes.
        after: Roles,
    },
    /// Turns automated backups on.
    SetBackups {
        /// Which.
        server: String,
    },
    /// Lets this side's own record name its writer.
    PointRecord {
        /// Its endpoint or address.
        to: String,
    },
    /// Tells `deploy-cluster` to render the stack with the roles of today.
    RenderAnew {
        /// Where.
        at: Place,
    },
    /// Writes the ledger and tells a person.
    Tell {
        /// The ledger's entry.
        entry: Box<Entry>,
        /// The page.
        page: Page,
    },
    /// Tells a person, once for each kind and epoch.
    Page {
        /// The kind.
        kind: &'static str,
        /// The page.
        page: Page,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |at: &Place| if *at == Place::Here { "here" } else { "in the other Region" };
        match self {
            Step::Note { what, .. } => write!(f, "note: {what}"),
            Step::Mark { serves: true, .. } => write!(f, "say in the other Region that it serves"),
            Step::Mark { serving, .. } => write!(f, "say in the other Region that {serving} serves"),
            Step::CutOff { at, server } => write!(f, "cut clients off from {server} {}", place(at)),
            Step::EndSessions { at, server } => write!(f, "end sessions left on {server} {}", place(at)),
            Step::LetIn { at, server } => write!(f, "let clients in to {server} {}", place(at)),
            Step::Promote { at, server, order, .. } => write!(f, "promote {server} {} (order {order})", place(at)),
            Step::MoveGlobal { global, to, allow_data_loss: true } => write!(f, "fail {global} over to {to}"),
            Step::MoveGlobal { global, to, .. } => write!(f, "switch {global} over to {to}"),
            Step::Publish { primary_serves } => write!(f, "publish that the primary serves: {primary_serves}"),
            Step::Prove { server, .. } => write!(f, "prove that {server} takes writes"),
            Step::Claim { at, writer, .. } => write!(f, "name {writer} writer {}", place(at)),
            Step::KeepRoles { at, after } => {
                write!(f, "write the roles {}: place {}, from {:?}", place(at), after.writer, after.upstream)
            }
            Step::SetBackups { server } => write!(f, "turn backups of {server} on"),
            Step::PointRecord { to } => write!(f, "point this side's record at {to}"),
            Step::RenderAnew { at } => write!(f, "render the stack anew {}", place(at)),
            Step::Tell { page, .. } | Step::Page { page, .. } => write!(f, "tell: {}", page.subject),
        }
    }
}
