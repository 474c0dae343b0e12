//! After the proof: all that makes the new side whole, each step noted when it is done.

use super::{
    Change, Kind, Look, Old, Phase, Place, Region, Step,
    advance::{Answer, since, slow},
    fence, story,
};
use crate::{card::Topology, decision::Decision, managed::Roles};

/// The steps after the proof, each noted when it is done, so that a pass that is cut goes on with the next.
pub(super) fn finish(look: &Look, change: &Change) -> Answer {
    let Some(promoted) = &change.promoted else { return Decision::Steady };
    for (name, steps) in finishing(look, change) {
        if !change.has_done(name) {
            let unseen = |at: &&Place| look.side(**at).is_none_or(|side| side.servers.is_empty());
            if let Some(at) = needs(name, fence::to(change.kind)).iter().find(unseen) {
                return slow(change, look.silence(*at), since(look, promoted.at_ms));
            }
            let mut steps = steps;
            steps
                .push(fence::noted(look, change, &format!("{name}: done"), |change| change.done.push(name.to_owned())));
            return Decision::Act(steps);
        }
    }
    let back = change.kind == Kind::Failback;
    let after = Region {
        serves: !back,
        phase: if back { Phase::Standby } else { Phase::Serving },
        change: None,
        served_since_ms: (!back).then_some(promoted.at_ms),
        old: old(look, change),
        ..look.region.clone()
    };
    Decision::Act(vec![Step::Note {
        after: Box::new(after),
        what: format!("{} serves", look.name(fence::to(change.kind))),
    }])
}

/// Which sides a finishing step is made from: without a look at them it would write what is not so, and be noted as done.
fn needs(name: &str, at: Place) -> Vec<Place> {
    match name {
        "roles" | "record" => vec![at],
        "rebuild" => vec![Place::There, Place::Here],
        _ => Vec::new(),
    }
}

/// Of the old writer is known what the fence said, when it was one.
fn old(look: &Look, change: &Change) -> Option<Old> {
    let fenced = change.kind == Kind::Switchover && !look.card.topology().is_aurora();
    fenced.then(|| Old { back_at_ms: look.looked_at_ms, what: change.sure.clone().unwrap_or_default(), fenced: true })
}

fn finishing(look: &Look, change: &Change) -> Vec<(&'static str, Vec<Step>)> {
    let at = fence::to(change.kind);
    let aurora = look.card.topology().is_aurora();
    let back = change.kind == Kind::Failback;
    let writer = change.promoted.as_ref().map(|promoted| promoted.instance.clone()).unwrap_or_default();
    let mut steps = vec![("publish", vec![Step::Publish { primary_serves: back }])];
    if look.card.topology() == Topology::Ec2Patroni {
        let endpoint = look.side(at).and_then(|side| side.first()).and_then(|server| server.endpoint.clone());
        steps.push(("record", endpoint.map(|to| Step::PointRecord { to }).into_iter().collect()));
    } else {
        steps.push(("claim", vec![Step::Claim { at, writer: writer.clone(), change: Box::new(change.clone()) }]));
    }
    if look.card.topology() == Topology::RdsPostgres {
        if !back {
            steps.push(("backups", vec![Step::SetBackups { server: writer }]));
        }
        let after = look.roles(at).took_over();
        steps.push(("roles", vec![Step::KeepRoles { at, after }, Step::RenderAnew { at }]));
    }
    if back {
        // The first Region's functions look after it again, from its own new state on.
        steps.push(("mark", vec![fence::mark(look, true)]));
        if !aurora && look.card.topology() == Topology::RdsPostgres {
            let steps_here = rebuilt_here(look);
            steps.push(("rebuild", steps_here));
        }
    }
    let entry = story::entry(look, change);
    let page = story::done(look, change, &entry);
    steps.push(("tell", vec![Step::Tell { entry: Box::new(entry), page }]));
    steps
}

/// After a failback this side's old writer has nothing that the other lacks: all here is made anew, as the replica it was.
fn rebuilt_here(look: &Look) -> Vec<Step> {
    let source = look.side(Place::There).and_then(|side| side.first()).and_then(|server| server.arn.clone());
    let today = look.roles(Place::Here);
    let render = Step::RenderAnew { at: Place::Here };
    match (source, look.side(Place::Here)) {
        // Unless done by a pass that did not live to note it.
        (Some(source), Some(here)) if today.follows() != Some(source.as_str()) => {
            let after = followed(&today, here.servers.len(), source);
            vec![Step::KeepRoles { at: Place::Here, after }, render]
        }
        _ => vec![render],
    }
}

/// All instances of a side made anew, the writing place as a replica of this one. Replicas of the old writer cannot be
/// told to follow another.
pub(super) fn followed(today: &Roles, servers: usize, source: String) -> Roles {
    let places = u32::try_from(servers).unwrap_or(1).max(today.writer);
    let mut after = Roles { upstream: Some(source), made_from: None, ..today.clone() };
    for place in 1..=places {
        after.generations.insert(place, today.generation(place) + 1);
    }
    after
}
