//! What is, and what would be done: the answer to `{"status": ...}`.

use super::{Kind, Look, Phase, Place, Preflight, Reason, Request, Server, Step, decide, fence};
use crate::{decision::Decision, time};
use serde::Serialize;

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// This Region.
    pub region: String,
    /// The other one.
    pub other_region: String,
    /// The Region that serves; while a change is under way, the old one until the new writer is proven.
    pub serving: String,
    /// `standby`, `taking over`, `serving` or `giving back`.
    pub phase: &'static str,
    /// Whether this side serves.
    pub serves: bool,
    /// Number of the last change of Region.
    pub epoch: u64,
    /// Which change is under way, and how far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// What this side is.
    pub here: String,
    /// What the other one is.
    pub there: String,
    /// What the metric says: whether the primary serves.
    pub primary_serves: bool,
    /// Bytes that would be lost now, when that is known.
    pub bytes_at_risk: Option<u64>,
    /// Milliseconds of writes that would be lost now, when that is known.
    pub ms_at_risk: Option<u64>,
    /// The same in words, and from what it is known.
    pub at_risk: String,
    /// What a request for a switchover would come to now.
    pub if_switchover: String,
    /// What one for a failover would.
    pub if_failover: String,
    /// What one for a failback would.
    pub if_failback: String,
    /// What is known of the old writer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_writer: Option<String>,
    /// What would fail, by the last preflight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preflight: Option<Preflight>,
    /// What waits while Route 53's control plane is down.
    pub without_route_53: &'static str,
}

/// What nothing here needs, and what does.
const WITHOUT_ROUTE_53: &str = "the pair's name follows the metric and its health check, which need no control plane of \
    Route 53; the record of this side is there already; only a record that must name another server would wait, and \
    on EC2 that of this side's writer, which has one server";

/// What is, and what would be done.
#[must_use]
pub fn status(look: &Look, preflight: Option<Preflight>) -> Status {
    let cluster = || look.card.cluster().to_owned();
    let phase = match (&look.region.change, look.region.phase) {
        (Some(change), _) if change.kind == Kind::Failback => "giving back",
        (Some(_), _) => "taking over",
        (None, Phase::Standby) => "standby",
        (None, Phase::Serving) => "serving",
    };
    Status {
        region: look.card.region().to_owned(),
        other_region: look.card.other_region().to_owned(),
        serving: serving(look).to_owned(),
        phase,
        serves: look.region.serves,
        epoch: look.region.epoch,
        change: look.region.change.as_ref().map(|change| {
            let now = decide(&Look { asked: None, ..look.clone() });
            format!("a {} since {}: {}", change.kind, time::clock(change.began_at_ms), words(&now))
        }),
        here: side(look, Place::Here),
        there: side(look, Place::There),
        primary_serves: look.region.primary_serves(),
        bytes_at_risk: look.risk.bytes,
        ms_at_risk: look.risk.ms,
        at_risk: look.risk.words(),
        if_switchover: would(look, Request::Switchover { cluster: cluster(), to: None }),
        if_failover: would(look, Request::Failover { cluster: cluster(), to: None, approval: None }),
        if_failback: would(look, Request::Failback { cluster: cluster(), to: None }),
        old_writer: look.region.old.as_ref().map(|old| old.what.clone()),
        preflight,
        without_route_53: WITHOUT_ROUTE_53,
    }
}

fn serving(look: &Look) -> &str {
    look.name(match &look.region.change {
        None if look.region.phase == Phase::Serving => Place::Here,
        None => Place::There,
        Some(change) if change.promoted.is_some() => fence::to(change.kind),
        Some(change) => fence::from(change.kind),
    })
}

fn side(look: &Look, place: Place) -> String {
    match look.side(place) {
        Some(side) if side.servers.is_empty() => "no server".to_owned(),
        Some(side) => side.servers.iter().map(Server::to_string).collect::<Vec<_>>().join("; "),
        None => look.silence(place),
    }
}

fn would(look: &Look, request: Request) -> String {
    let failover = matches!(request, Request::Failover { .. });
    match decide(&Look { asked: Some(request), ..look.clone() }) {
        Decision::Act(_) if failover => format!("offered for approval; at risk: {}", look.risk.words()),
        Decision::Refuse(Reason::NeedsApproval { better, .. }) => {
            let better = better.map(|better| format!(" ({better})")).unwrap_or_default();
            format!("offered for approval; at risk: {}{better}", look.risk.words())
        }
        decision => words(&decision),
    }
}

fn words(decision: &Decision<Step, Reason>) -> String {
    match decision {
        Decision::Steady => "nothing is to be done".to_owned(),
        Decision::Wait(reason) => format!("waits: {reason}"),
        Decision::Refuse(reason) => format!("refused: {reason}"),
        Decision::Act(steps) => {
            let steps: Vec<String> = steps.iter().map(Step::to_string).collect();
            format!("next: {}", steps.join(", then "))
        }
    }
}
