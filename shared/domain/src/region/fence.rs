//! Before the order: the old writer acknowledges no more, or a person does not wait for that (R2).

use super::{Change, Cut, Kind, Look, Place, Reason, Region, Step, advance::MARKED};
use crate::{decision::Decision, lsn::Lsn, time::seconds};
use std::time::Duration;

/// How long a planned change waits for the fence and for the last position; then it is undone. Clients cannot write
/// meanwhile.
pub(super) const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// How long an approved failover waits for a fence in a Region that still answers.
const APPROVED_PATIENCE: Duration = Duration::from_secs(2 * 60);

/// So long a Region is silent, asked anew, until an approved failover goes on without a fence. A pass that stays asks
/// anew after 30 s, so this is never one call.
const SILENT_MS: u64 = 45_000;

type Answer = Decision<Step, Reason>;

/// From whom the role is taken.
pub(super) fn from(kind: Kind) -> Place {
    if kind == Kind::Failback { Place::Here } else { Place::There }
}

/// Who shall have it.
pub(super) fn to(kind: Kind) -> Place {
    if kind == Kind::Failback { Place::There } else { Place::Here }
}

/// With the change edited.
pub(super) fn noted(look: &Look, change: &Change, what: &str, edit: impl FnOnce(&mut Change)) -> Step {
    let mut change = change.clone();
    edit(&mut change);
    let after = Region { change: Some(change), ..look.region.clone() };
    Step::Note { after: Box::new(after), what: what.to_owned() }
}

pub(super) fn fence(look: &Look, change: &Change) -> Answer {
    let sure = |because, last_lsn| Decision::Act(vec![sure(look, change, because, last_lsn)]);
    if look.card.topology().is_aurora() {
        return sure(of_aurora(look, change), None);
    }
    let from = from(change.kind);
    let lasts = Duration::from_millis(look.looked_at_ms.saturating_sub(change.began_at_ms));
    let Some(side) = look.side(from) else {
        return silent(look, change, lasts);
    };
    let Some(writer) = side.first() else {
        return give_up_after(look, change, lasts, format!("{} has no server", look.name(from)));
    };
    if let Cut::Done { because, at } = &side.cut {
        if change.kind.is_planned() && at.is_none() {
            return give_up_after(look, change, lasts, format!("the last position of {} cannot be read", writer.id));
        }
        return sure(because.clone(), *at);
    }
    if let (Some(token), true) = (&change.approval, lasts >= APPROVED_PATIENCE || !side.can_cut) {
        let missing = if side.can_cut { cut(&side.cut) } else { "nothing there can cut clients off".to_owned() };
        return sure(
            format!("approved with {token}; after {} the fence was not complete: {missing}", seconds(lasts)),
            None,
        );
    }
    if change.kind.is_planned() && lasts >= PATIENCE {
        return give_up_after(look, change, lasts, cut(&side.cut));
    }
    order(look, change, lasts)
}

/// A Region that does not answer cannot be fenced; only a person's approval goes on without.
fn silent(look: &Look, change: &Change, lasts: Duration) -> Answer {
    let silence = look.silence(from(change.kind));
    let Some(token) = &change.approval else { return give_up_after(look, change, lasts, silence) };
    match change.silent_since_ms {
        // One call without an answer is no outage, and the fence would be left out for it.
        None => Decision::Act(vec![noted(look, change, &silence, |change| {
            change.silent_since_ms = Some(look.looked_at_ms);
        })]),
        Some(since) if look.looked_at_ms < since + SILENT_MS => {
            Decision::Wait(Reason::Fencing { missing: silence, lasts })
        }
        Some(_) => {
            let because = format!("approved with {token}; {silence}, so nothing there could be fenced");
            Decision::Act(vec![sure(look, change, because, None)])
        }
    }
}

/// R2: from here on an order may be given.
fn sure(look: &Look, change: &Change, because: String, last_lsn: Option<Lsn>) -> Step {
    noted(look, change, &because.clone(), |change| {
        change.sure = Some(because);
        change.sure_at_ms = Some(look.looked_at_ms);
        change.last_lsn = last_lsn;
    })
}

/// What AWS itself does about the old writer.
fn of_aurora(look: &Look, change: &Change) -> String {
    match (change.kind, &change.approval) {
        (Kind::Failover, approval) => format!(
            "{}; Aurora blocks the writes of the old cluster's storage where it reaches it (RDS-EVENT-0390, -0391)",
            approval.as_ref().map_or_else(|| "proven".to_owned(), |token| format!("approved with {token}"))
        ),
        _ => format!(
            "Aurora's own switchover: it stops the writes in {}, waits until all is replicated, then changes the roles",
            look.name(from(change.kind))
        ),
    }
}

/// The orders of the fence; each may be given again.
fn order(look: &Look, change: &Change, lasts: Duration) -> Answer {
    let from = from(change.kind);
    let Some(side) = look.side(from) else { return Decision::Steady };
    let Some(writer) = side.first() else { return Decision::Steady };
    let mut steps = Vec::new();
    // First whoever would undo it by itself: functions of that Region leave a side alone that does not serve.
    if from == Place::There && side.serves != Some(false) {
        steps.push(mark(look, false));
    }
    if change.fence_ordered_at_ms.is_none() {
        steps.push(noted(look, change, "the old writer is about to be cut off", |change| {
            change.fence_ordered_at_ms = Some(look.looked_at_ms);
            change.silent_since_ms = None;
        }));
        return Decision::Act(steps);
    }
    if !steps.is_empty() {
        return Decision::Act(steps);
    }
    match &side.cut {
        Cut::No if look.gave_order => {
            Decision::Wait(Reason::Fencing { missing: format!("{} is being cut off", writer.id), lasts })
        }
        Cut::No => Decision::Act(vec![Step::CutOff { at: from, server: writer.id.clone() }]),
        // Ended once with the order, before the group kept new ones out: those that came in between.
        Cut::Sessions(_) if !look.ended_sessions => {
            Decision::Act(vec![Step::EndSessions { at: from, server: writer.id.clone() }])
        }
        cut => Decision::Wait(Reason::Fencing { missing: self::cut(cut), lasts }),
    }
}

pub(super) fn mark(look: &Look, serves: bool) -> Step {
    let serving = look.name(if serves { Place::There } else { Place::Here }).to_owned();
    Step::Mark { serves, serving, epoch: look.region.epoch }
}

fn cut(cut: &Cut) -> String {
    match cut {
        Cut::No => "clients are not cut off".to_owned(),
        Cut::UnderWay(missing) | Cut::Sessions(missing) => missing.clone(),
        Cut::Done { because, .. } => because.clone(),
    }
}

/// A planned change that cannot go on is undone; a failover without its proof is given up.
pub(super) fn give_up_after(look: &Look, change: &Change, lasts: Duration, missing: String) -> Answer {
    if lasts < PATIENCE {
        return Decision::Wait(Reason::Fencing { missing, lasts });
    }
    let because = format!("after {}: {missing}", seconds(lasts));
    Decision::Act(vec![noted(look, change, "it is given up", |change| change.undoing = Some(because))])
}

/// Lets the old side in again, then ends the change; nothing was ordered yet, or it left no trace.
pub(super) fn undo(look: &Look, change: &Change, because: &str) -> Answer {
    let from = from(change.kind);
    let ended = || {
        let after = Region { change: None, serves: from == Place::Here, ..look.region.clone() };
        Step::Note { after: Box::new(after), what: "it is over: nothing was changed".to_owned() }
    };
    let page = super::story::given_up(look, change, because);
    let told = Step::Page { kind: "region-given-up", page };
    let fenced = change.fence_ordered_at_ms.is_some();
    if !fenced && !change.has_done(MARKED) {
        return Decision::Act(vec![told, ended()]);
    }
    let Some(side) = look.side(from) else {
        return Decision::Refuse(Reason::CannotUndo { because: because.to_owned(), problem: look.silence(from) });
    };
    let mut steps = Vec::new();
    if let (Some(writer), true) = (side.first(), fenced && side.cut != Cut::No) {
        steps.push(Step::LetIn { at: from, server: writer.id.clone() });
    }
    // Also one that is marked by half: of members on EC2 the item may be there without its pause.
    if from == Place::There && side.serves != Some(true) {
        steps.push(mark(look, true));
    }
    match (steps.is_empty(), look.gave_order) {
        (true, _) => Decision::Act(vec![told, ended()]),
        (false, true) => {
            let lasts = Duration::from_millis(look.looked_at_ms.saturating_sub(change.began_at_ms));
            Decision::Wait(Reason::Fencing { missing: "clients are being let in again".to_owned(), lasts })
        }
        (false, false) => Decision::Act(steps),
    }
}
