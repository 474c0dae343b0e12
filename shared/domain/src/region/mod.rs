//! Whole Regions: when the second one takes over, and how it gives back.
//!
//! Everything here is decided in the second Region, by its own fleet, and rests on nothing of the first: what that
//! one says is asked with a short patience, used when it comes, and never waited for in a failover.
//!
//! ```text
//! standby ─ Begin ─► fence the old writer ─► (sure) ─► all is here ─► Order ─► Prove ─► Claim, roles, backups ─► Finish
//!    ▲                │ (switchover: time is up)                                                                  │
//!    │◄───── Undo ────┘                                                                                           ▼
//!    └──────────────────────────── failback: the same the other way ◄──── a person asks ◄──────────────────── serving
//! ```
//!
//! # The invariants
//!
//! | name | what holds | where |
//! |---|---|---|
//! | R1 one decider | the item `region` is changed by compare-and-swap only, and before every order | `reconcile::Regions` passes |
//! | R2 evidence or approval | nothing is ordered before [`Change::sure`] is noted, which rests on a fence, on proof, or on a token | `fence` |
//! | R3 given once | an order is noted before it is given and looked up before it is given again | `advance` |
//! | R4 latched | once it serves, the second Region says so every minute, whatever the first one says | [`Region::primary_serves`] |
//! | R5 no way back by itself | only a request leads from serving to standby | `serving` |
//! | R6 no loss in a plan | a switchover promotes only who has the old writer's last position | `advance` |
//! | R7 no wait without end | every wait has a limit, and a page after it | `Reason::pages` |

mod advance;
mod begin;
mod card;
mod fence;
mod finish;
mod item;
mod preflight;
mod reason;
mod request;
mod seen;
mod serving;
mod status;
mod step;
mod story;

pub use card::{DrCard, StandbyCard};
pub use item::{Change, ITEM, Kind, Offer, Old, Phase, Position, Promoted, Region, mark_of, serves};
pub use preflight::{Check, Checked, PREFLIGHT, Preflight, Verdict, judge, preflight_page};
pub use reason::Reason;
pub use request::Request;
pub use seen::{Cut, Look, Place, Server, SideSeen};
pub use status::{Status, status};
pub use step::Step;
pub use story::{Entry, refusal};

use crate::decision::Decision;

/// Decides what is done now.
pub fn decide(look: &Look) -> Decision<Step, Reason> {
    if let Some(problem) = wrong_region(look) {
        return Decision::Refuse(problem);
    }
    match (&look.region.change, look.region.phase) {
        (Some(change), _) => match &look.asked {
            // The first Region may go while a plan waits for it, or for what would undo the plan.
            Some(Request::Failover { approval, .. }) if may_be_taken_over(change) => {
                begin::failover(look, approval.as_deref())
            }
            Some(asked) if asked.changes() => Decision::Refuse(Reason::UnderWay {
                kind: change.kind,
                epoch: look.region.epoch,
                since_ms: change.began_at_ms,
            }),
            _ => advance::advance(look, change),
        },
        (None, Phase::Standby) => begin::standby(look),
        (None, Phase::Serving) => serving::serving(look),
    }
}

/// A takeover that waits for the first Region, to go on or to be undone: a person may not want to wait.
fn may_be_taken_over(change: &Change) -> bool {
    let waits = match change.kind {
        Kind::Switchover => true,
        Kind::Failover => change.undoing.is_some(),
        Kind::Failback => false,
    };
    waits && change.promoted.is_none()
}

/// A request names the Region that shall serve; one that does not know it was sent to the wrong fleet.
fn wrong_region(look: &Look) -> Option<Reason> {
    let asked = look.asked.as_ref()?;
    let (to, expected) = match asked {
        Request::Switchover { to, .. } | Request::Failover { to, .. } => (to.as_ref()?, look.card.region()),
        Request::Failback { to, .. } => (to.as_ref()?, look.card.other_region()),
        _ => return None,
    };
    (to != expected).then(|| Reason::WrongRegion { to: to.clone(), expected: expected.to_owned() })
}
