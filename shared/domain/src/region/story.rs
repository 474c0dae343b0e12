//! What a change of Region is told by: the ledger's entry and the pages.

use super::{Change, Kind, Look, Old, Place, Reason, fence};
use crate::{
    card::Topology,
    failover::Page,
    time::{bytes, clock, seconds},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One change of Region as the ledger keeps it. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `switchover`, `failover` or `failback`.
    pub kind: Kind,
    /// Always `region`: what was changed.
    pub scope: String,
    /// The cluster.
    pub cluster: String,
    /// How it is built.
    pub topology: Topology,
    /// Number of this change of Region.
    pub epoch: u64,
    /// From which Region.
    pub from_region: String,
    /// To which.
    pub to_region: String,
    /// Who wrote before, if that was known.
    pub from: Option<String>,
    /// Who writes now.
    pub to: String,
    /// Why the old writer could acknowledge no more writes, or who did not wait for that.
    pub evidence: String,
    /// The token that a person gave.
    pub approval: Option<String>,
    /// What was seen.
    pub seen: Vec<String>,
    /// By whom or what it was asked for.
    pub woken_by: String,
    /// When it was begun.
    pub began_at_ms: u64,
    /// From the beginning until the fence was complete, or not waited for, milliseconds.
    pub fence_ms: Option<u64>,
    /// From then until the order, milliseconds.
    pub catch_up_ms: Option<u64>,
    /// From the order until the new writer took a write, milliseconds.
    pub promotion_ms: Option<u64>,
    /// From then until all was done, milliseconds.
    pub finish_ms: u64,
    /// How long nobody could write: of a planned change from the fence on, of a failover from its beginning on.
    pub rto_ms: u64,
    /// Acknowledged bytes of log that are lost, as far as was known; 0 for certain when `lossless`.
    pub rpo_bytes: Option<u64>,
    /// The same as a time, milliseconds.
    pub rpo_ms: Option<u64>,
    /// From what this is known.
    pub rpo_by: String,
    /// Whether nothing acknowledged was lost for certain.
    pub lossless: bool,
}

/// The ledger's entry of a change whose new writer is proven.
pub(super) fn entry(look: &Look, change: &Change) -> Entry {
    let now = look.looked_at_ms;
    let promoted_at = change.promoted.as_ref().map_or(now, |promoted| promoted.at_ms);
    let span = |from: Option<u64>, to: Option<u64>| Some(to?.saturating_sub(from?));
    let stopped = match (change.kind.is_planned(), change.fence_ordered_at_ms) {
        (true, Some(fenced)) => fenced,
        (true, None) => change.ordered_at_ms.unwrap_or(change.began_at_ms),
        (false, _) => change.began_at_ms,
    };
    Entry {
        kind: change.kind,
        scope: "region".to_owned(),
        cluster: look.card.cluster().to_owned(),
        topology: look.card.topology(),
        epoch: look.region.epoch,
        from_region: look.name(fence::from(change.kind)).to_owned(),
        to_region: look.name(fence::to(change.kind)).to_owned(),
        from: change.from.clone(),
        to: change.promoted.as_ref().map_or_else(|| change.to.clone(), |promoted| promoted.instance.clone()),
        evidence: change.sure.clone().unwrap_or_default(),
        approval: change.approval.clone(),
        seen: change.seen.clone(),
        woken_by: change.woken_by.clone(),
        began_at_ms: change.began_at_ms,
        fence_ms: span(Some(change.began_at_ms), change.sure_at_ms),
        catch_up_ms: span(change.sure_at_ms, change.ordered_at_ms),
        promotion_ms: span(change.ordered_at_ms, Some(promoted_at)),
        finish_ms: now.saturating_sub(promoted_at),
        rto_ms: promoted_at.saturating_sub(stopped),
        rpo_bytes: change.risk.bytes,
        rpo_ms: change.risk.ms,
        rpo_by: change.risk.by.clone(),
        lossless: change.kind.is_planned(),
    }
}

fn ms(span: Option<u64>) -> String {
    span.map_or_else(|| "not known".to_owned(), |ms| seconds(Duration::from_millis(ms)))
}

/// The page that tells a change that is done.
pub(super) fn done(look: &Look, change: &Change, entry: &Entry) -> Page {
    let (cluster, took) = (look.card.cluster(), ms(Some(entry.rto_ms)));
    let priority = if change.kind.is_planned() { "P3" } else { "P1" };
    let mut page = Page::about(&format!("{priority} {cluster}: {} serves now, {took} without writes", entry.to_region));
    for seen in &change.seen {
        page = page.line("Seen", seen);
    }
    page = page.line("Sure", &entry.evidence).line(
        "Done",
        &format!(
            "{} of {cluster} to {} ({}), epoch {}, asked {}: fence {}, catching up {}, promotion {}, the rest {}",
            change.kind,
            entry.to,
            entry.to_region,
            entry.epoch,
            change.woken_by,
            ms(entry.fence_ms),
            ms(entry.catch_up_ms),
            ms(entry.promotion_ms),
            ms(Some(entry.finish_ms)),
        ),
    );
    let lost = if entry.lossless {
        "nothing that was acknowledged".to_owned()
    } else {
        format!("up to {}", change.risk.words())
    };
    page = page.line("Lost", &lost);
    if let Some(pair) = look.card.pair() {
        let side = if change.kind == Kind::Failback { "the first Region's" } else { "this Region's" };
        page = page.line(
            "Now",
            &format!(
                "{} goes to {side} record within about 90 s of the promotion, by its health check: no control plane of \
                 Route 53 is needed; {} is there already",
                pair.name,
                look.card.records().writer
            ),
        );
    }
    page.line("Next", &next(look, change))
}

fn next(look: &Look, change: &Change) -> String {
    let (cluster, there) = (look.card.cluster(), look.name(Place::There));
    match (change.kind, look.card.topology()) {
        (Kind::Failback, _) => "nothing: the second Region is made a standby again; see its preflight".to_owned(),
        (_, Topology::RdsPostgres) => format!(
            "nothing moves back by itself. When {there} is well and its old writer is fenced (a page will say so): \
             {}, and when its replica has caught up: {}",
            command(look, &format!("{{\"rebuild\":{{\"cluster\":\"{cluster}\"}}}}")),
            command(look, &format!("{{\"failback\":{{\"cluster\":\"{cluster}\",\"to\":\"{there}\"}}}}"))
        ),
        (_, Topology::Ec2Patroni) => format!(
            "nothing moves back by itself. The members in {there} are kept from writing as soon as they can be \
             reached; the way back is in the README, \"Back from the second Region\""
        ),
        _ => format!(
            "nothing moves back by itself. When {there} is the global cluster's second side again: {}",
            command(look, &format!("{{\"failback\":{{\"cluster\":\"{cluster}\",\"to\":\"{there}\"}}}}"))
        ),
    }
}

/// How a person asks for something.
fn command(look: &Look, payload: &str) -> String {
    format!(
        "aws lambda invoke --region {} --function-name {}-fail-over-region --cli-binary-format raw-in-base64-out \
         --payload '{payload}' /dev/stdout",
        look.card.region(),
        look.card.fleet()
    )
}

/// The page that tells a change that was given up.
pub(super) fn given_up(look: &Look, change: &Change, because: &str) -> Page {
    let cluster = look.card.cluster();
    let from = look.name(fence::from(change.kind));
    Page::about(&format!("P2 {cluster}: the {} was given up, {from} goes on serving", change.kind))
        .line("Seen", because)
        .line("Done", "clients are let in to the old writer again; nothing was promoted, and nothing is lost")
        .line("Next", &format!("look at {}", command(look, &format!("{{\"status\":\"{cluster}\"}}"))))
}

/// The page about the old writer, once its Region answers again.
pub(super) fn old_is_back(look: &Look, old: &Old) -> Page {
    let (cluster, there) = (look.card.cluster(), look.name(Place::There));
    let subject = if old.fenced {
        format!("P3 {cluster}: {there} answers again, its old writer takes no writes")
    } else {
        format!("P1 {cluster}: {there} answers again, and its old writer may take writes")
    };
    let page = Page::about(&subject)
        .line("Seen", &format!("{there} answers since {}: {}", clock(old.back_at_ms), old.what))
        .line("Now", &format!("{} goes on serving; nothing moves back by itself", look.card.region()));
    if old.fenced {
        let what = match look.card.topology() {
            Topology::RdsPostgres => "rows that only it has can be read from it until it is made anew: ",
            Topology::Ec2Patroni => "rows that only its volumes have can be read from them: ",
            _ => "when it is the second side again: ",
        };
        return page.line("Next", &format!("{what}{}", command(look, &format!("{{\"status\":\"{cluster}\"}}"))));
    }
    page.line("Next", &by_hand(look))
}

/// What a person does when nothing here can.
fn by_hand(look: &Look) -> String {
    let there = look.name(Place::There);
    let server = look.side(Place::There).and_then(|side| side.first()).map_or("its servers", |server| &server.id);
    match look.card.topology() {
        Topology::Ec2Patroni => format!("stop its members: aws ec2 stop-instances --region {there} --instance-ids ..."),
        Topology::RdsPostgres => format!(
            "cut its clients off: aws rds modify-db-instance --region {there} --db-instance-identifier {server} \
             --vpc-security-group-ids ISOLATED_GROUP --apply-immediately; then aws rds reboot-db-instance --region \
             {there} --db-instance-identifier {server}"
        ),
        _ => format!(
            "cut its clients off: aws rds modify-db-cluster --region {there} --db-cluster-identifier {server} \
             --vpc-security-group-ids ISOLATED_GROUP --apply-immediately; compare its rows, then delete it"
        ),
    }
}

/// The page about what only a person can decide.
#[must_use]
pub fn refusal(look: &Look, reason: &Reason) -> Page {
    let cluster = look.card.cluster();
    let status = command(look, &format!("{{\"status\":\"{cluster}\"}}"));
    match reason {
        Reason::NeedsApproval { seen, risk, offer, better } => {
            let mut page =
                Page::about(&format!("P1 {cluster}: a failover to {} waits for approval", look.card.region()));
            for seen in seen {
                page = page.line("Seen", seen);
            }
            if let Some(better) = better {
                page = page.line("But", better);
            }
            let approve = format!("{{\"approve\":{{\"cluster\":\"{cluster}\",\"token\":\"{}\"}}}}", offer.token);
            page.line("Lost", &format!("at risk: {risk}")).line(
                "Next",
                &format!("to approve, once, until {}: {}", clock(offer.expires_at_ms), command(look, &approve)),
            )
        }
        _ => {
            let phase = match &look.region.change {
                Some(change) => format!("a {} is under way since {}", change.kind, clock(change.began_at_ms)),
                None => format!("{} stands by", look.card.region()),
            };
            let mut page = Page::about(&format!("P1 {cluster}: {reason}")).line("Seen", &reason.to_string());
            if let Some(bytes_at_risk) = look.risk.bytes {
                page = page.line("At risk", &bytes(bytes_at_risk));
            }
            page.line("Now", &phase).line("Next", &format!("it is looked at again every minute; {status}"))
        }
    }
}
