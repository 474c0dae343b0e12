//! A change under way: what comes next, from what is true now.

use super::{Change, Cut, Kind, Look, Old, Phase, Place, Promoted, Reason, Region, Server, Step, fence, story};
use crate::{
    card::Topology,
    decision::Decision,
    failover::Sql,
    lsn::Lsn,
    managed::{GlobalSeen, Roles},
};
use std::time::Duration;

/// An order that left no trace after this long is given again.
const NO_TRACE: Duration = Duration::from_secs(3 * 60);

/// So often at most; then a person looks.
const MOST_ORDERS: u32 = 3;

/// A promotion of RDS takes minutes, one of Aurora's global cluster about one; after this a person is told, and again.
const LONG: Duration = Duration::from_secs(15 * 60);

/// A promoted server takes writes at once; after this a person is told.
const PROOF: Duration = Duration::from_secs(2 * 60);

type Answer = Decision<Step, Reason>;

pub(super) fn advance(look: &Look, change: &Change) -> Answer {
    if let (Some(because), None) = (&change.undoing, change.ordered_at_ms) {
        return fence::undo(look, change, because);
    }
    if change.sure.is_none() {
        return fence::fence(look, change);
    }
    let Some(ordered_at_ms) = change.ordered_at_ms else { return first_order(look, change) };
    if change.promoted.is_none() {
        return follow(look, change, ordered_at_ms);
    }
    finish(look, change)
}

fn since(look: &Look, ms: u64) -> Duration {
    Duration::from_millis(look.looked_at_ms.saturating_sub(ms))
}

/// R6: in a plan, nobody is promoted who lacks something.
fn first_order(look: &Look, change: &Change) -> Answer {
    let to = fence::to(change.kind);
    let began = since(look, change.sure_at_ms.unwrap_or(change.began_at_ms));
    let Some(server) = look.side(to).and_then(|side| side.first()) else {
        return fence::give_up_after(look, change, began, look.silence(to));
    };
    if let (true, Some(last)) = (change.kind.is_planned(), change.last_lsn) {
        let has = server.position();
        if has.is_none_or(|has| has < last) {
            let has = has.map_or_else(|| format!("an unknown position ({})", server.sql), |has| has.to_string());
            let missing = format!("{} has {has} of {last}", server.id);
            if began >= fence::PATIENCE {
                return fence::give_up_after(look, change, began, missing);
            }
            return Decision::Wait(Reason::CatchingUp { missing, lasts: began });
        }
    }
    Decision::Act(order(look, change, server))
}

/// Noted, then given (R3). From a takeover's order on, clients are sent here.
fn order(look: &Look, change: &Change, server: &Server) -> Vec<Step> {
    let number = change.orders + 1;
    let now = look.looked_at_ms;
    let note = fence::noted(look, change, &format!("{} is about to be told, order {number}", server.id), |change| {
        change.orders = number;
        change.ordered_at_ms.get_or_insert(now);
        change.last_order_at_ms = Some(now);
    });
    let mut steps = vec![note];
    let at = fence::to(change.kind);
    match (look.card.global(), &server.arn) {
        (Some((global, other)), Some(own)) => {
            let to = if at == Place::There { other } else { own.as_str() };
            steps.push(Step::MoveGlobal {
                global: global.to_owned(),
                to: to.to_owned(),
                allow_data_loss: change.kind == Kind::Failover,
            });
        }
        _ => steps.push(Step::Promote { at, server: server.id.clone(), order: number, epoch: look.region.epoch }),
    }
    if change.kind != Kind::Failback {
        steps.push(Step::Publish { primary_serves: false });
    }
    steps
}

/// What became of the order.
enum Course {
    /// It is done.
    Done,
    /// AWS is at it.
    Going(String),
    /// There is no trace of it.
    NoTrace(String),
}

fn follow(look: &Look, change: &Change, ordered_at_ms: u64) -> Answer {
    let to = fence::to(change.kind);
    let lasts = since(look, ordered_at_ms);
    let Some(server) = look.side(to).and_then(|side| side.first()) else {
        return slow(change, look.silence(to), lasts);
    };
    match course(look, change, server) {
        Course::Done => prove(look, change, server, to),
        Course::Going(says) => slow(change, says, lasts),
        Course::NoTrace(says) => {
            let quiet = since(look, change.last_order_at_ms.unwrap_or(ordered_at_ms)) >= NO_TRACE;
            // What a planned change rests on must still hold.
            let sound = !change.kind.is_planned() || still_fenced(look, change);
            if quiet && sound && change.orders < MOST_ORDERS && server.is_available() {
                return Decision::Act(order(look, change, server));
            }
            slow(change, says, lasts)
        }
    }
}

fn still_fenced(look: &Look, change: &Change) -> bool {
    look.card.topology().is_aurora()
        || look.side(fence::from(change.kind)).is_some_and(|side| matches!(side.cut, Cut::Done { .. }))
}

fn course(look: &Look, change: &Change, server: &Server) -> Course {
    if let Some((_, other)) = look.card.global() {
        let wanted = if change.kind == Kind::Failback { Some(other) } else { server.arn.as_deref() };
        let Some(seen) = look.global() else {
            return Course::Going("RDS does not say how the global cluster is".to_owned());
        };
        return global_course(seen, wanted, server);
    }
    match look.card.topology() {
        Topology::Ec2Patroni => match &server.sql {
            Sql::Writer(_) => Course::Done,
            sql => Course::NoTrace(format!("{}: PostgreSQL {sql}", server.id)),
        },
        _ if server.source.is_none() && server.is_available() => Course::Done,
        // RDS reboots what it promotes; the source goes last.
        _ if server.is_available() => Course::NoTrace(format!("{server}, and follows its source")),
        _ => Course::Going(server.to_string()),
    }
}

fn global_course(seen: &GlobalSeen, wanted: Option<&str>, server: &Server) -> Course {
    match &seen.failover {
        Some(under_way) => Course::Going(format!("{} is {}", seen.id, under_way.status)),
        None if wanted.is_some() && seen.writer.as_deref() == wanted => match server.is_available() {
            true => Course::Done,
            false => Course::Going(server.to_string()),
        },
        None if seen.status != "available" => Course::Going(format!("{} is {}", seen.id, seen.status)),
        None => Course::NoTrace(format!(
            "{} is {}, and {} writes",
            seen.id,
            seen.status,
            seen.writer.as_deref().unwrap_or("nobody")
        )),
    }
}

/// R7: a wait that lasts is told, and told again; the passes go on looking.
fn slow(change: &Change, says: String, lasts: Duration) -> Answer {
    if lasts >= LONG {
        return Decision::Refuse(Reason::Stuck { says, lasts, orders: change.orders });
    }
    Decision::Wait(Reason::Ordered { says, lasts })
}

fn prove(look: &Look, change: &Change, server: &Server, at: Place) -> Answer {
    let lasts = since(look, change.last_order_at_ms.unwrap_or(change.began_at_ms));
    match (&server.endpoint, &server.sql) {
        (Some(endpoint), Sql::Writer(_)) => Decision::Act(vec![Step::Prove {
            at,
            server: server.writer.as_ref().unwrap_or(&server.id).clone(),
            endpoint: endpoint.clone(),
            change: Box::new(change.clone()),
        }]),
        // Across Regions there may be no way to speak SQL; then AWS's word must do.
        (_, Sql::Silent(_) | Sql::NotAsked) if at == Place::There && lasts >= PROOF => {
            let promoted = Promoted {
                instance: server.writer.as_ref().unwrap_or(&server.id).clone(),
                lsn: Lsn::default(),
                timeline: 0,
                at_ms: look.looked_at_ms,
            };
            Decision::Act(vec![fence::noted(
                look,
                change,
                "AWS says that it writes; SQL does not reach it",
                |change| {
                    change.promoted = Some(promoted);
                },
            )])
        }
        (_, sql) if lasts >= LONG => Decision::Refuse(Reason::Stuck {
            says: format!("AWS is done, and PostgreSQL on {} {sql}", server.id),
            lasts,
            orders: change.orders,
        }),
        (_, sql) if lasts >= LONG / 2 + PROOF => {
            Decision::Refuse(Reason::NotProven { says: format!("{} {sql}", server.id), lasts })
        }
        (_, sql) => Decision::Wait(Reason::Ordered { says: format!("AWS is done; PostgreSQL {sql}"), lasts }),
    }
}

/// The steps after the proof, each noted when it is done, so that a pass that is cut goes on with the next.
fn finish(look: &Look, change: &Change) -> Answer {
    let Some(promoted) = &change.promoted else { return Decision::Steady };
    for (name, steps) in finishing(look, change) {
        if !change.has_done(name) {
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
        steps.extend(endpoint.map(|to| ("record", vec![Step::PointRecord { to }])));
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
