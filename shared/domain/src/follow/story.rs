//! What a change of leader is told by.

use super::{Led, Reason, StoreHost, applied};
use crate::{
    failover::{Host, Ledger, Member, Observed, Page, Seen, Sql, WriterSeen},
    state::{Change, Loss},
    time::{clock, seconds},
};
use std::time::Duration;

/// The page of a change that the keeper made and that was followed.
#[must_use]
pub fn page(now: &Led, change: &Change, ledger: &Ledger) -> Page {
    let seen = &now.seen;
    let keeper = now.keeper;
    let old_answers = seen.member(&ledger.from).is_some_and(|member| member.sql.answers());
    let (priority, how) = match (&change.to, old_answers) {
        (Some(_), _) => ("P3", "as asked".to_owned()),
        (None, true) => ("P2", format!("by {keeper}; the old one answers")),
        (None, false) => match ledger.rto_ms {
            Some(ms) => ("P1", format!("by {keeper}, {} after it fell silent", span(ms))),
            None if is_named(now, &ledger.to) => ("P1", format!("by {keeper}, its record named it already")),
            None => ("P1", format!("by {keeper}, its record waits")),
        },
    };
    let subject = format!("{priority} {}: writer moved to {} {how}", seen.cluster, place(seen, &ledger.to));
    Page::about(&subject)
        .line("Seen", &ledger.seen.join("; "))
        .line("Sure", &ledger.evidence)
        .line("Done", &done(now, ledger))
        .line("Lost", &lost(change))
        .line("Took", &took(now, change, ledger))
        .line("Now", &situation(now, &ledger.to))
        .line("Next", &next(now, &ledger.from))
}

/// Whether the writer record names this member.
fn is_named(now: &Led, id: &str) -> bool {
    let address = now.seen.member(id).map(|member| member.card.address);
    matches!(&now.seen.records, Seen::Known(records) if records.writer.first().copied() == address && address.is_some())
}

fn done(now: &Led, ledger: &Ledger) -> String {
    let record = &now.seen.writer_record;
    let epoch = ledger.epoch;
    let moved = match ledger.record_moved_at_ms {
        Some(at) => format!("record {record} moved {}, epoch {epoch}", clock(at)),
        None if is_named(now, &ledger.to) => format!("record {record} named it already, epoch {epoch}"),
        None => format!("record {record} was not moved by this change, epoch {epoch}"),
    };
    format!("{moved}; {} promoted, Understudy did not", now.keeper)
}

fn lost(change: &Change) -> String {
    let why = change.loss_because.as_deref().unwrap_or("nothing was noted");
    match change.loss {
        Some(Loss::Nothing) => format!("nothing that was acknowledged: {why}"),
        Some(Loss::Bytes(0)) => format!("nothing up to the last position that a probe saw: {why}"),
        Some(Loss::Bytes(_)) => format!("at least what lies between: {why}"),
        Some(Loss::Unknown) | None => format!("not known: {why}"),
    }
}

fn took(now: &Led, change: &Change, ledger: &Ledger) -> String {
    let since = |from: u64, to: u64| span(to.saturating_sub(from));
    let old_answers = now.seen.member(&ledger.from).is_some_and(|member| member.sql.answers());
    let from = if old_answers && change.to.is_none() { "what it last wrote" } else { "the first silence" };
    let seen = format!(
        "new writer seen {} after {from} ({})",
        since(ledger.silent_since_ms, ledger.promoted_at_ms),
        ledger.woken_by
    );
    match ledger.record_moved_at_ms {
        Some(moved) => format!("{seen}, record moved {} later", since(ledger.promoted_at_ms, moved)),
        None => seen,
    }
}

/// Who writes, who streams, whom commits wait for.
fn situation(now: &Led, writer: &str) -> String {
    let seen = &now.seen;
    let Some((member, answer)) = seen.member(writer).and_then(writing) else {
        let sql = seen.member(writer).map_or_else(|| "no member".to_owned(), |member| member.sql.to_string());
        return format!("{writer} {sql}; the next pass follows what is true then");
    };
    let standbys = match answer.streams.iter().filter(|stream| stream.streaming).count() {
        0 => "no standby streams yet".to_owned(),
        1 => "one standby streams".to_owned(),
        count => format!("{count} standbys stream"),
    };
    let set = applied(answer);
    let commits = if set.is_on() {
        format!("commits wait for {} of {}", set.required, set.names.len())
    } else if seen.synchronous_required > 0 {
        format!("commits wait for NO standby until {} has one", now.keeper)
    } else {
        "replication is asynchronous".to_owned()
    };
    format!("{} writes; {standbys}; {commits}", member.place())
}

fn writing(member: &Member) -> Option<(&Member, &WriterSeen)> {
    match &member.sql {
        Sql::Writer(answer) => Some((member, answer)),
        _ => None,
    }
}

fn next(now: &Led, from: &str) -> String {
    let seen = &now.seen;
    let explain = invoke(seen, &format!("{{\"explain\":\"{}\"}}", seen.cluster));
    let Some(member) = seen.member(from) else { return format!("nothing urgent. What would happen now: {explain}") };
    if member.sql.answers() {
        return format!("nothing urgent. What would happen now: {explain}");
    }
    let after = match (&member.host, seen.policy.repair_after_s) {
        (Host::Terminated | Host::Missing, _) => {
            format!("{from} is gone for good; a page follows with the command that replaces it")
        }
        (_, 0) => format!("{from} is not repaired by itself (repair_after_s is 0): {}", start(seen, &[member])),
        (Host::Stopped | Host::Stopping, wait) => {
            format!("nothing urgent. {from} is started by itself after {wait} s; sooner: {}", start(seen, &[member]))
        }
        (_, wait) => format!("nothing urgent. {from} is looked after by itself when it is silent for {wait} s"),
    };
    format!("{after}. What would happen now: {explain}")
}

/// The page of a refusal: what was seen, why nothing is done, what a person can do.
#[must_use]
pub fn refusal(now: &Led, reason: &Reason) -> Page {
    let seen = &now.seen;
    let what = match reason {
        Reason::TwoWriters { .. } => "TWO WRITERS",
        Reason::NoLeader { .. } => "no leader",
        Reason::Unreached { .. } => "the leader is not reached from here",
        Reason::Differ { .. } => "PostgreSQL and the keeper name different leaders",
        Reason::Unconfirmed { .. } => "the leader is not confirmed",
        Reason::RecordNotOurs { .. } => "the writer record is not ours, and is left alone",
        Reason::RecordWaits { .. } => "writer moved, record waits",
        _ => "not acting",
    };
    let mut heard: Vec<String> = seen
        .members
        .iter()
        .map(|member| format!("{}: EC2 says {}, PostgreSQL {}", member.place(), member.host, member.sql))
        .collect();
    heard.extend(now.heard.iter().cloned());
    heard.extend(now.store.iter().map(store_line));
    let waited = now.waiting.as_ref().filter(|waiting| waiting.kind == reason.kind());
    let waited = waited.map_or_else(String::new, |waiting| format!(", since {}", clock(waiting.since_ms)));
    Page::about(&format!("P1 {}: {what}", seen.cluster))
        .line("Seen", &heard.join("; "))
        .line("Why", &format!("{reason}{waited}"))
        .line("Done", "nothing: no server was touched, and no record moved")
        .line("Next", &advice(now, reason))
}

/// The next safe command, exact where there is one.
fn advice(now: &Led, reason: &Reason) -> String {
    let seen = &now.seen;
    let keeper = now.keeper;
    let remedy = || store_without_quorum(now);
    match reason {
        Reason::TwoWriters { one, other } => {
            let leads = now.account().and_then(|account| account.leader.clone());
            let wrong = match &leads {
                Some(leads) if leads == one => Some(other),
                Some(leads) if leads == other => Some(one),
                _ => None,
            };
            match wrong {
                Some(wrong) => format!(
                    "{keeper} says that the other one leads; stop the one that it does not name: \
                     aws ec2 stop-instances --force{} --instance-ids {wrong}",
                    region(seen, wrong)
                ),
                None => format!(
                    "find out by {keeper}'s own tools which of the two it lets lead, and stop the other; do not guess"
                ),
            }
        }
        Reason::NoLeader { .. } => how_to_elect(now),
        Reason::Unreached { leads, .. } => format!(
            "look at routes and security groups between the functions and {leads}, and at its load; clients may be well"
        ),
        Reason::Differ { .. } => {
            remedy().unwrap_or_else(|| format!("look at {keeper} on the member that writes: {}", by_hand(now)))
        }
        Reason::Unconfirmed { .. } => remedy().unwrap_or_else(|| {
            format!("look why no {keeper} answers the functions (port, certificate, secret); then: {}", by_hand(now))
        }),
        Reason::RecordNotOurs { .. } => {
            let record = &seen.writer_record;
            format!(
                "find out who wrote {record} and its TXT record _understudy.{record}, and delete both if they are wrong"
            )
        }
        Reason::RecordWaits { address, .. } => format!(
            "until Route 53 answers, clients can use the load balancer, or host={address} \
             target_session_attrs=read-write; the next pass moves the record"
        ),
        _ => "a person must look".to_owned(),
    }
}

/// What keeps the keeper from electing, as far as that is seen from here.
fn how_to_elect(now: &Led) -> String {
    let (seen, keeper) = (&now.seen, now.keeper);
    if now.keeper_paused() {
        let resume = invoke(seen, &format!("{{\"resume\":\"{}\"}}", seen.cluster));
        return format!("{keeper} is paused, and elects nobody until: {resume}");
    }
    let off: Vec<&Member> =
        seen.members.iter().filter(|member| matches!(member.host, Host::Stopped | Host::Stopping)).collect();
    store_without_quorum(now).unwrap_or_else(|| match off.as_slice() {
        [] => format!("look why {keeper} elects nobody: {}", by_hand(now)),
        off => format!("start the members that are off: {}", start(seen, off)),
    })
}

/// One host of the store, for a page.
pub(super) fn store_line(store: &StoreHost) -> String {
    format!("{} ({}, {}): EC2 says {}", store.card.name, store.card.id, store.card.zone, store.host)
}

/// The command that brings the store back, when EC2 says that most of its hosts
/// are off: without it the keeper can elect nobody.
fn store_without_quorum(now: &Led) -> Option<String> {
    let off: Vec<&StoreHost> =
        now.store.iter().filter(|store| matches!(store.host, Host::Stopped | Host::Stopping)).collect();
    let up = now.store.iter().filter(|store| matches!(store.host, Host::Running)).count();
    if off.is_empty() || up > now.store.len() / 2 {
        return None;
    }
    let ids: Vec<&str> = off.iter().map(|store| store.card.id.as_str()).collect();
    let region = off[0].card.zone.trim_end_matches(char::is_alphabetic);
    let (all, ids) = (now.store.len(), ids.join(" "));
    Some(format!(
        "only {up} of {all} hosts of etcd run, and {} elects nobody without most of them: \
         aws ec2 start-instances --region {region} --instance-ids {ids}",
        now.keeper
    ))
}

/// How a person asks the keeper itself, on a member that answers.
fn by_hand(now: &Led) -> String {
    let answers = |member: &&Member| member.sql.answers() || member.host == Host::Running;
    let Some(member) = now.seen.members.iter().find(answers) else {
        return "no member runs".to_owned();
    };
    let id = &member.card.id;
    format!(
        "aws ssm start-session{} --target {id}, then on it: \
         sudo -u postgres patronictl -c /etc/understudy/postgresql/patroni.yml list",
        region(&now.seen, id)
    )
}

pub(crate) fn start(seen: &Observed, members: &[&Member]) -> String {
    let ids: Vec<&str> = members.iter().map(|member| member.card.id.as_str()).collect();
    let region = ids.first().map_or_else(String::new, |id| region(seen, id));
    format!("aws ec2 start-instances{region} --instance-ids {}", ids.join(" "))
}

pub(crate) fn invoke(seen: &Observed, payload: &str) -> String {
    format!(
        "aws lambda invoke --function-name {}-promote-replica --cli-binary-format raw-in-base64-out \
         --payload '{payload}' /dev/stdout",
        seen.fleet
    )
}

fn region(seen: &Observed, id: &str) -> String {
    let zone = seen.member(id).map(|member| member.card.zone.trim_end_matches(char::is_alphabetic));
    zone.filter(|region| !region.is_empty()).map_or_else(String::new, |region| format!(" --region {region}"))
}

fn place(seen: &Observed, id: &str) -> String {
    seen.member(id).map_or_else(|| id.to_owned(), Member::place)
}

fn span(ms: u64) -> String {
    seconds(Duration::from_millis(ms))
}
