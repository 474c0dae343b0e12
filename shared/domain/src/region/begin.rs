//! From standby: whether a change is begun.

use super::{Change, Kind, Look, Offer, Place, Position, Reason, Region, Request, Server, Step};
use crate::{
    card::Topology,
    decision::Decision,
    failover::Sql,
    time::{clock, seconds},
};
use std::time::Duration;

/// A page's offer is answered within this: what was at risk then is not what is at risk later.
const OFFER_MS: u64 = 15 * 60 * 1_000;

/// A planned change stops the writes until the successor has all: with more lag than this, for too long.
const MOST_LAG_MS: u64 = 60_000;

type Answer = Decision<Step, Reason>;

pub(super) fn standby(look: &Look) -> Answer {
    match &look.asked {
        None => unasked(look),
        Some(Request::Switchover { .. }) if look.card.topology() == Topology::Ec2Patroni => {
            Decision::Refuse(Reason::NotOffered { instead: by_hand(look) })
        }
        Some(Request::Switchover { .. }) => planned(look, Kind::Switchover, Place::There, Place::Here),
        Some(Request::Failover { approval, .. }) => failover(look, approval.as_deref()),
        Some(Request::Failback { .. } | Request::Rebuild { .. }) => {
            Decision::Refuse(Reason::ServesNot { region: look.card.region().to_owned() })
        }
        Some(Request::Status { .. } | Request::Preflight { .. }) => Decision::Steady,
    }
}

/// Nothing here can tell members on EC2 to stop in order and say where they stopped: a person can, and loses nothing.
fn by_hand(look: &Look) -> String {
    format!(
        "a switchover of members on EC2 is begun by hand: on each member in {}, the leader last, systemctl stop \
         understudy-patroni (a leader that is shut down in order first sends all it has to the standby); then ask for \
         {{\"failover\":{{\"cluster\":\"{}\"}}}}, and approve it if nothing is at risk",
        look.name(Place::There),
        look.card.cluster()
    )
}

/// Nobody asks: only proof moves a Region, only where the owner allows it, and only after it has lasted.
fn unasked(look: &Look) -> Answer {
    let policy = look.card.policy();
    let proof = look.side(Place::There).and_then(|side| side.is_down());
    let note = |proven_since_ms, what: &str| {
        let after = Region { proven_since_ms, ..look.region.clone() };
        Decision::Act(vec![Step::Note { after: Box::new(after), what: what.to_owned() }])
    };
    match (proof, look.region.proven_since_ms) {
        (None, None) => Decision::Steady,
        (None, Some(_)) => note(None, "the other Region is no longer proven to be down"),
        (Some(_), _) if !policy.region_failover => Decision::Steady,
        (Some(what), None) => note(Some(look.looked_at_ms), &what),
        (Some(_), Some(_)) if look.paused => Decision::Wait(Reason::Paused),
        (Some(what), Some(since)) => {
            let lasts = Duration::from_millis(look.looked_at_ms.saturating_sub(since));
            match policy.aws_failover().checked_sub(lasts).filter(|left| !left.is_zero()) {
                Some(left) => Decision::Wait(Reason::Proving { what, left }),
                None => match successor(look, Place::Here) {
                    Err(problem) => Decision::Refuse(Reason::NoSuccessor { problem }),
                    Ok(to) => {
                        let sure = format!("proven for {}: {what}", seconds(lasts));
                        begin(look, Kind::Failover, Place::There, to, |change| {
                            change.sure = Some(sure.clone());
                            change.sure_at_ms = Some(look.looked_at_ms);
                        })
                    }
                },
            }
        }
    }
}

/// A failover is a person's choice: offered with what it loses, taken with the token of that offer.
pub(super) fn failover(look: &Look, approval: Option<&str>) -> Answer {
    let to = match successor(look, Place::Here) {
        Ok(to) => to,
        Err(problem) => return Decision::Refuse(Reason::NoSuccessor { problem }),
    };
    let Some(token) = approval else { return offer(look) };
    let bad = |problem: String| Decision::Refuse(Reason::BadApproval { problem });
    match &look.region.offer {
        None => bad(format!("nothing is offered for {}; ask for the failover without it", look.card.cluster())),
        Some(offer) if offer.token != token => {
            bad(format!("{token} is not the newest offer; ask for the failover without it"))
        }
        Some(offer) if offer.epoch != look.region.epoch => {
            bad(format!("{token} was for epoch {}, and it is {}", offer.epoch, look.region.epoch))
        }
        Some(offer) if offer.expires_at_ms <= look.looked_at_ms => {
            bad(format!("{token} expired at {}; ask for the failover without it", clock(offer.expires_at_ms)))
        }
        Some(_) => begin(look, Kind::Failover, Place::There, to, |change| {
            change.approval = Some(token.to_owned());
            // Over a switchover, which knew who wrote.
            let before = look.region.change.as_ref().and_then(|before| before.from.clone());
            change.from = change.from.take().or(before);
        }),
    }
}

/// Refused, with the offer that would make it allowed; the offer is noted first, so that it is worth something.
fn offer(look: &Look) -> Answer {
    let epoch = look.region.epoch;
    let live = look.region.offer.clone().filter(|offer| offer.epoch == epoch);
    // One that was made by this very pass, or still holds long enough to be read.
    let live = live.filter(|offer| offer.expires_at_ms > look.looked_at_ms + OFFER_MS / 3);
    if let Some(offer) = live {
        let well = look.region.change.is_none() && healthy(look, Place::There, Place::Here).is_ok();
        let better = well.then(|| {
            format!("Both sides are well: {{\"switchover\":{{\"cluster\":\"{}\"}}}} loses nothing", look.card.cluster())
        });
        return Decision::Refuse(Reason::NeedsApproval { seen: seen(look), risk: look.risk.words(), offer, better });
    }
    let token = format!("{}.{epoch}.{}", look.card.cluster(), look.fresh);
    let offer = Offer { token, epoch, expires_at_ms: look.looked_at_ms + OFFER_MS };
    let after = Region { offer: Some(offer), ..look.region.clone() };
    Decision::Act(vec![Step::Note { after: Box::new(after), what: "an approval is offered".to_owned() }])
}

/// A switchover, or a failback: both sides must be well.
pub(super) fn planned(look: &Look, kind: Kind, from: Place, to: Place) -> Answer {
    let cluster = look.card.cluster();
    let instead = match kind {
        Kind::Failback => format!("{} goes on serving; see what is to be done first in its status", look.name(from)),
        _ => format!("if {} is lost, ask for {{\"failover\":{{\"cluster\":\"{cluster}\"}}}}", look.name(from)),
    };
    match healthy(look, from, to) {
        Err(problem) => Decision::Refuse(Reason::NotWell { kind, problem, instead }),
        Ok(to) => begin(look, kind, from, to, |_| ()),
    }
}

/// The successor, when both sides are well; else what is wrong.
pub(super) fn healthy(look: &Look, from: Place, to: Place) -> Result<&Server, String> {
    let successor = successor(look, to)?;
    let (side, region) = (look.side(from).ok_or_else(|| look.silence(from))?, look.name(from));
    let writer = side.first().ok_or_else(|| format!("{region} has no server"))?;
    if !writer.is_available() {
        return Err(format!("{writer} in {region}"));
    }
    if look.card.topology().is_aurora() {
        return Ok(successor);
    }
    if !side.can_cut {
        return Err(format!("nothing can cut clients off from {} in {region}", writer.id));
    }
    let Sql::Writer(at) = &writer.sql else {
        return Err(format!(
            "the last position of {} in {region} could not be read from {} after its clients are cut off: it {}",
            writer.id,
            look.card.region(),
            writer.sql
        ));
    };
    let Some(has) = successor.position() else {
        return Err(format!("the position of {} cannot be read: it {}", successor.id, successor.sql));
    };
    match look.risk.ms {
        Some(ms) if ms > MOST_LAG_MS => Err(format!(
            "{} is {} behind ({has} of {}); more than {} would stop the writes for too long",
            successor.id,
            seconds(Duration::from_millis(ms)),
            at.lsn,
            seconds(Duration::from_millis(MOST_LAG_MS))
        )),
        _ => Ok(successor),
    }
}

/// Who would take over in a Region, when it can.
fn successor(look: &Look, at: Place) -> Result<&Server, String> {
    let side = look.side(at).ok_or_else(|| look.silence(at))?;
    let region = look.name(at);
    let server = side.first().ok_or_else(|| format!("there is no server in {region}"))?;
    if !server.is_available() {
        return Err(format!("{server} in {region}"));
    }
    if let Some((global, other)) = look.card.global() {
        let seen = look.global().ok_or_else(|| format!("RDS does not say how {global} is"))?;
        let arn = if at == Place::There { Some(other) } else { server.arn.as_deref() };
        if !arn.is_some_and(|arn| seen.members.iter().any(|member| member == arn)) {
            return Err(format!("{} is no member of {global}", server.id));
        }
        if let Some(under_way) = &seen.failover {
            return Err(format!("{global} is {} already", under_way.status));
        }
        return Ok(server);
    }
    if server.source.is_none() {
        return Err(format!("{} in {region} follows nobody: it is a writer of its own", server.id));
    }
    if at == Place::There {
        let ours = look.side(Place::Here).and_then(|side| side.first()).and_then(|first| first.arn.as_deref());
        if server.source.as_deref() != ours {
            return Err(format!("{} in {region} does not follow {}", server.id, look.card.region()));
        }
    }
    Ok(server)
}

/// What both sides are, a sentence each.
fn seen(look: &Look) -> Vec<String> {
    let mut seen = Vec::new();
    for place in [Place::There, Place::Here] {
        match look.side(place) {
            Some(side) => {
                let words: Vec<String> = side.servers.iter().map(Server::to_string).collect();
                seen.push(format!("{}: {}", look.name(place), words.join("; ")));
            }
            None => seen.push(look.silence(place)),
        }
    }
    if let Some(global) = look.global() {
        let writer = global.writer.as_deref().unwrap_or("nobody");
        seen.push(format!("{} is {}, {writer} writes", global.id, global.status));
    }
    seen
}

/// The epoch is advanced and the change noted, by compare-and-swap, before anything else is done (R1).
fn begin(look: &Look, kind: Kind, from: Place, to: &Server, edit: impl FnOnce(&mut Change)) -> Answer {
    let risk = if kind.is_planned() {
        Position { bytes: Some(0), ms: Some(0), by: "nothing is promoted before it has all".to_owned() }
    } else {
        look.risk.clone()
    };
    let mut change = Change {
        kind,
        woken_by: look.woken_by.clone(),
        began_at_ms: look.looked_at_ms,
        seen: seen(look),
        risk,
        from: look.side(from).and_then(|side| side.first()).map(|server| server.id.clone()),
        to: to.id.clone(),
        approval: None,
        fence_ordered_at_ms: None,
        sure: None,
        sure_at_ms: None,
        last_lsn: None,
        orders: 0,
        ordered_at_ms: None,
        last_order_at_ms: None,
        promoted: None,
        silent_since_ms: None,
        done: Vec::new(),
        undoing: None,
    };
    edit(&mut change);
    let after = Region {
        serves: false,
        epoch: look.region.epoch + 1,
        change: Some(change),
        // Used or not: no offer outlives the epoch that it was for.
        offer: None,
        proven_since_ms: None,
        ..look.region.clone()
    };
    Decision::Act(vec![Step::Note { after: Box::new(after), what: format!("a {kind} begins") }])
}
