//! While the second Region serves: it stays so until a person asks (R4, R5), and the old writer is kept from writing.

use super::{
    Cut, Kind, Look, Old, Place, Reason, Region, Request, SideSeen, Step, begin, fence, finish::followed, story,
};
use crate::{card::Topology, decision::Decision};

type Answer = Decision<Step, Reason>;

pub(super) fn serving(look: &Look) -> Answer {
    match &look.asked {
        Some(Request::Switchover { .. } | Request::Failover { .. }) => Decision::Refuse(Reason::AlreadyServes {
            region: look.card.region().to_owned(),
            since_ms: look.region.served_since_ms,
        }),
        Some(Request::Failback { .. }) if look.card.topology() == Topology::Ec2Patroni => {
            Decision::Refuse(Reason::NotOffered { instead: back_by_hand(look) })
        }
        Some(Request::Failback { .. }) => begin::planned(look, Kind::Failback, Place::Here, Place::There),
        Some(Request::Rebuild { .. }) => rebuild(look),
        Some(Request::Status { .. } | Request::Preflight { .. }) => Decision::Steady,
        None => watch_old(look),
    }
}

/// There is no standby of this side that could take over: what a person does instead.
fn back_by_hand(look: &Look) -> String {
    format!(
        "members on EC2 follow nobody in another Region, so nothing can fail back to {} without loss by itself: \
         restore this side's backup there as a new cluster, let it follow, and move the application in a window; see \
         the README, \"Back from the second Region\"",
        look.name(Place::There)
    )
}

/// The old Region's servers are made anew, as replicas of this side. It deletes them (a final snapshot is kept), and
/// with them rows that only they have: hence a person's request, and only behind a fence.
fn rebuild(look: &Look) -> Answer {
    let there = look.name(Place::There);
    let instead = match look.card.topology() {
        Topology::AuroraProvisioned | Topology::AuroraServerless => Some(format!(
            "Aurora makes the cluster of {there} the second side by itself, once its Region is well; look at its status"
        )),
        Topology::RdsPostgres => None,
        _ => Some(back_by_hand(look)),
    };
    if let Some(instead) = instead {
        return Decision::Refuse(Reason::NotOffered { instead });
    }
    let not_well = |problem: String| {
        let instead = "ask again when it is".to_owned();
        Decision::Refuse(Reason::NotWell { kind: Kind::Failback, problem, instead })
    };
    let Some(side) = look.side(Place::There) else { return not_well(look.silence(Place::There)) };
    let Some(arn) = look.side(Place::Here).and_then(|side| side.first()).and_then(|server| server.arn.clone()) else {
        return not_well(look.silence(Place::Here));
    };
    let today = look.roles(Place::There);
    if today.follows() == Some(arn.as_str()) {
        // Asked twice: told again, and made anew once.
        return if look.gave_order {
            Decision::Steady
        } else {
            Decision::Act(vec![Step::RenderAnew { at: Place::There }])
        };
    }
    if !look.region.old.as_ref().is_some_and(|old| old.fenced) {
        return not_well(format!("the old writer in {there} is not proven to be fenced yet"));
    }
    let after = followed(&today, side.servers.len(), arn);
    Decision::Act(vec![Step::KeepRoles { at: Place::There, after }, Step::RenderAnew { at: Place::There }])
}

/// The old Region answers again, or does not: nothing moves back, and its writer is kept from writing.
fn watch_old(look: &Look) -> Answer {
    let Some(side) = look.side(Place::There) else { return Decision::Steady };
    if side.serves != Some(false) {
        return Decision::Act(vec![fence::mark(look, false)]);
    }
    let now = match old_writer(look, side) {
        Now::Order(step) if !look.gave_order => return Decision::Act(vec![step]),
        Now::Order(_) => return Decision::Steady,
        Now::Is { what, fenced } => (what, fenced),
    };
    let known = look.region.old.as_ref().map(|old| (old.what.clone(), old.fenced));
    if known.as_ref() == Some(&now) {
        return Decision::Steady;
    }
    let (what, fenced) = now;
    let back_at_ms = look.region.old.as_ref().map_or(look.looked_at_ms, |old| old.back_at_ms);
    let old = Old { back_at_ms, what, fenced };
    let page = story::old_is_back(look, &old);
    let after = Region { old: Some(old), ..look.region.clone() };
    let kind = if fenced { "region-old-fenced" } else { "region-old-open" };
    // Told first: a pass that dies in between tells twice, which is better than never.
    Decision::Act(vec![
        Step::Page { kind, page },
        Step::Note { after: Box::new(after), what: "what became of the old writer".to_owned() },
    ])
}

/// What the old writer is now.
enum Now {
    /// Something must be done first.
    Order(Step),
    /// This.
    Is {
        /// In words.
        what: String,
        /// Whether it acknowledges no write for certain.
        fenced: bool,
    },
}

fn old_writer(look: &Look, side: &SideSeen) -> Now {
    let there = look.name(Place::There);
    let is = |what: String, fenced| Now::Is { what, fenced };
    let ours = look.side(Place::Here).and_then(|here| here.first()).and_then(|first| first.arn.as_deref());
    let Some(server) = side.first() else { return is(format!("nothing is left of it in {there}"), true) };
    if let Some((_, other)) = look.card.global() {
        return match look.global() {
            Some(global) if global.members.iter().any(|member| member == other) && global.writer.as_deref() == ours => {
                is(format!("{} in {there} is the global cluster's second side", server.id), true)
            }
            Some(global) => is(
                format!(
                    "{} in {there} is {}, and no reader of {}: if it still takes writes, they are its own",
                    server.id, server.status, global.id
                ),
                false,
            ),
            None => Now::Is {
                what: look.region.old.as_ref().map(|old| old.what.clone()).unwrap_or_default(),
                fenced: false,
            },
        };
    }
    if server.source.is_some() && server.source.as_deref() == ours {
        return is(format!("{} in {there} follows this Region: it is the second side", server.id), true);
    }
    if let Some(down) = side.is_down() {
        return is(format!("{down} in {there}"), true);
    }
    match &side.cut {
        Cut::Done { because, .. } => is(format!("{} in {there}: {because}", server.id), true),
        _ if !side.can_cut => {
            is(format!("{} in {there} is {}, and nothing can cut clients off", server.id, server.status), false)
        }
        Cut::No if server.is_available() => Now::Order(Step::CutOff { at: Place::There, server: server.id.clone() }),
        Cut::No => is(format!("{} in {there} is {}", server.id, server.status), false),
        Cut::Sessions(_) if !look.ended_sessions => {
            Now::Order(Step::EndSessions { at: Place::There, server: server.id.clone() })
        }
        // Without what changes from look to look: that would be told each minute.
        Cut::UnderWay(_) | Cut::Sessions(_) => {
            is(format!("{} in {there} is being cut off from its clients", server.id), false)
        }
    }
}
