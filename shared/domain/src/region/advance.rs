//! A change under way: what comes next, from what is true now.

use super::{Change, Cut, Kind, Look, Place, Promoted, Reason, Server, Step, fence, finish};
use crate::{card::Topology, decision::Decision, failover::Sql, lsn::Lsn, managed::GlobalSeen};
use std::time::Duration;

/// An order that left no trace after this long is given again.
const NO_TRACE: Duration = Duration::from_secs(3 * 60);

/// So often at most; then a person looks.
const MOST_ORDERS: u32 = 3;

/// Noted as done when AWS is seen to be at a planned order.
pub(super) const TAKEN: &str = "taken";

/// Noted as done when the other Region is told that it does not serve, without a fence.
pub(super) const MARKED: &str = "marked";

/// A promotion of RDS takes minutes, one of Aurora's global cluster about one; after this a person is told, and again.
const LONG: Duration = Duration::from_secs(15 * 60);

/// A promoted server takes writes at once; after this a person is told.
const PROOF: Duration = Duration::from_secs(2 * 60);

pub(super) type Answer = Decision<Step, Reason>;

pub(super) fn advance(look: &Look, change: &Change) -> Answer {
    if let (Some(because), None) = (&change.undoing, &change.promoted) {
        return given_up(look, change, because);
    }
    if change.sure.is_none() {
        return fence::fence(look, change);
    }
    let Some(ordered_at_ms) = change.ordered_at_ms else { return first_order(look, change) };
    if change.promoted.is_none() {
        return follow(look, change, ordered_at_ms);
    }
    finish::finish(look, change)
}

pub(super) fn since(look: &Look, ms: u64) -> Duration {
    Duration::from_millis(look.looked_at_ms.saturating_sub(ms))
}

/// An order that comes to something after all is followed, while the old writer cannot write beside it.
fn given_up(look: &Look, change: &Change, because: &str) -> Answer {
    let Some(ordered_at_ms) = change.ordered_at_ms else { return fence::undo(look, change, because) };
    let lasts = since(look, ordered_at_ms);
    let to = fence::to(change.kind);
    let Some(server) = look.side(to).and_then(|side| side.first()) else {
        return slow(change, look.silence(to), lasts);
    };
    match course(look, change, server) {
        Course::NoTrace(_) => fence::undo(look, change, because),
        Course::Unknown(says) => slow(change, says, lasts),
        Course::Done | Course::Going(_) if still_fenced(look, change) => follow(look, change, ordered_at_ms),
        Course::Done | Course::Going(_) => Decision::Refuse(Reason::Stuck {
            says: format!("{server} changes after all, and the old writer was let in again"),
            lasts,
            orders: change.orders,
        }),
    }
}

/// Nothing new is ordered by this change: what was fenced is let in again.
fn give_up(look: &Look, change: &Change, because: String) -> Answer {
    Decision::Act(vec![fence::noted(look, change, "it is given up", |change| {
        change.done.retain(|done| done != TAKEN);
        change.undoing = Some(because);
    })])
}

/// What a failover that nobody approved rests on, when it holds no more: a member that was started again writes.
fn unproven(look: &Look, change: &Change) -> Option<String> {
    if change.kind != Kind::Failover || change.approval.is_some() {
        return None;
    }
    match look.side(Place::There) {
        None => Some(look.silence(Place::There)),
        Some(side) if side.is_down().is_some() => None,
        Some(side) => Some(match side.first() {
            Some(server) => format!("it is no longer proven that the old writer is down: {server}"),
            None => format!("{} has no server", look.name(Place::There)),
        }),
    }
}

/// A side that is proven to be down was never fenced: its functions are told, lest they start it again.
fn told_there(look: &Look, change: &Change) -> Option<Answer> {
    let side = look.side(Place::There)?;
    if change.kind != Kind::Failover || change.approval.is_some() || side.serves == Some(false) {
        return None;
    }
    let mut steps = Vec::new();
    if !change.has_done(MARKED) {
        // First noted, so that whoever undoes this knows of it.
        steps.push(fence::noted(look, change, "the other Region is about to be told", |change| {
            change.done.push(MARKED.to_owned());
        }));
    }
    steps.push(fence::mark(look, false));
    Some(Decision::Act(steps))
}

/// R6: in a plan, nobody is promoted who lacks something.
fn first_order(look: &Look, change: &Change) -> Answer {
    let to = fence::to(change.kind);
    let began = since(look, change.sure_at_ms.unwrap_or(change.began_at_ms));
    if let Some(because) = unproven(look, change) {
        return give_up(look, change, because);
    }
    if let Some(answer) = told_there(look, change) {
        return answer;
    }
    if change.kind.is_planned() && !still_fenced(look, change) {
        let missing =
            format!("the old writer in {} is not seen to be fenced any more", look.name(fence::from(change.kind)));
        return fence::give_up_after(look, change, began, missing);
    }
    let Some(server) = look.side(to).and_then(|side| side.first()) else {
        return fence::give_up_after(look, change, began, look.silence(to));
    };
    if let (true, Some(last)) = (change.kind.is_planned(), last_of(look, change)) {
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

/// The old writer's last position: of the fence, or of now, should it have been open in between.
fn last_of(look: &Look, change: &Change) -> Option<Lsn> {
    match look.side(fence::from(change.kind)).map(|side| &side.cut) {
        Some(Cut::Done { at, .. }) => change.last_lsn.max(*at),
        _ => change.last_lsn,
    }
}

/// Noted, then given (R3). From a failover's order on, clients are sent here; in a plan the old writer is well, and may
/// have to go on, until the order is seen to be taken.
fn order(look: &Look, change: &Change, server: &Server) -> Vec<Step> {
    let number = change.orders + 1;
    let now = look.looked_at_ms;
    let note = fence::noted(look, change, &format!("{} is about to be told, order {number}", server.id), |change| {
        change.orders = number;
        change.ordered_at_ms.get_or_insert(now);
        change.last_order_at_ms = Some(now);
        change.done.retain(|done| done != TAKEN);
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
    if change.kind == Kind::Failover {
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
    /// Nobody says.
    Unknown(String),
}

fn follow(look: &Look, change: &Change, ordered_at_ms: u64) -> Answer {
    let to = fence::to(change.kind);
    let lasts = since(look, ordered_at_ms);
    let Some(server) = look.side(to).and_then(|side| side.first()) else {
        return slow(change, look.silence(to), lasts);
    };
    match course(look, change, server) {
        Course::Done | Course::Going(_) if change.kind == Kind::Switchover && !change.has_done(TAKEN) => {
            let note = fence::noted(look, change, "the order is taken", |change| change.done.push(TAKEN.to_owned()));
            Decision::Act(vec![note, Step::Publish { primary_serves: false }])
        }
        Course::Done => prove(look, change, server, to),
        Course::Going(says) | Course::Unknown(says) => slow(change, says, lasts),
        Course::NoTrace(says) => {
            let quiet = since(look, change.last_order_at_ms.unwrap_or(ordered_at_ms)) >= NO_TRACE;
            // What a planned change rests on must still hold.
            let sound = !change.kind.is_planned() || still_fenced(look, change);
            if let (true, Some(because)) = (quiet, unproven(look, change)) {
                return give_up(look, change, because);
            }
            if quiet && change.kind.is_planned() && change.orders >= MOST_ORDERS {
                return give_up(look, change, format!("ordered {} times, without a trace: {says}", change.orders));
            }
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
            return Course::Unknown("RDS does not say how the global cluster is".to_owned());
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
pub(super) fn slow(change: &Change, says: String, lasts: Duration) -> Answer {
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
