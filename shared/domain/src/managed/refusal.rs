//! The page of a refusal: what was seen, why nothing is done, what a person can do.

use super::{Observed, Reason, choose, records, story::invoke};
use crate::{
    failover::{Page, Sql},
    time::clock,
};

/// The page of a refusal.
#[must_use]
pub fn refusal(seen: &Observed, reason: &Reason) -> Page {
    let what = match reason {
        Reason::AliveAfterAll(_) => "change of writer given up",
        Reason::RecordWaits { .. } => "writer moved, record waits",
        Reason::RecordNotOurs { .. } => "the writer record is not ours, and is left alone",
        Reason::TwoWriters { .. } => "TWO WRITERS",
        Reason::Stuck { .. } => "RDS has been at something for too long",
        Reason::FormerRuns { .. } => "an old writer runs on, cut off",
        Reason::ProbePathBroken { .. } => "the writer is not reached from here",
        Reason::AskFirst { .. } => "writer down, a person decides",
        Reason::GrayFailure { .. } => "writer silent though RDS calls it available",
        Reason::NoEvidence { .. } => "writer down, not proven to be cut off",
        _ => "not acting",
    };
    let priority = if matches!(reason, Reason::Stuck { .. } | Reason::FormerRuns { .. }) { "P2" } else { "P1" };
    let waited = seen.waiting.as_ref().filter(|waiting| waiting.kind == reason.kind());
    let waited = waited.map_or_else(String::new, |waiting| format!(", since {}", clock(waiting.since_ms)));
    Page::about(&format!("{priority} {}: {what}: {}", seen.card.cluster, reason.kind()))
        .line("Seen", &lines(seen).join("; "))
        .line("Why", &format!("{reason}{waited}"))
        .line("Done", done(reason))
        .line("Next", &advice(seen, reason))
}

/// What was seen of each instance, one sentence each.
pub(super) fn lines(seen: &Observed) -> Vec<String> {
    let Some(described) = seen.described() else { return vec!["RDS does not answer".to_owned()] };
    let cluster = described.db_cluster.iter().map(|cluster| {
        let writer = cluster.writer.as_deref().unwrap_or("nobody");
        format!("{}: RDS says {}, writer {writer}", cluster.id, cluster.status)
    });
    let instances = described.instances.iter().map(|instance| {
        let source = instance.source.as_ref().map_or_else(String::new, |source| format!(", replica of {source}"));
        let place = seen.place(&instance.id);
        format!("{place}: RDS says {}{source}, PostgreSQL {}", instance.status, sentence(seen, &instance.id))
    });
    cluster.chain(instances).collect()
}

/// What PostgreSQL answered, and how far behind it is: AWS tells no upstream's address, so that nothing is frozen here.
fn sentence(seen: &Observed, id: &str) -> String {
    let Sql::Standby(standby) = seen.sql_of(id) else { return seen.sql_of(id).to_string() };
    let position = standby.furthest().map_or_else(String::new, |at| format!(" at {at}"));
    let lag = seen.lags.get(id).and_then(|lag| lag.ms).map_or_else(String::new, |ms| format!(", {ms} ms behind"));
    let heard = standby.receiver.as_ref().map(|receiver| receiver.silent_for.as_millis());
    let heard = heard.map_or_else(String::new, |ms| format!(", heard its source {ms} ms ago"));
    format!("is a reader{position}{lag}{heard}")
}

fn done(reason: &Reason) -> &'static str {
    match reason {
        Reason::RecordWaits { .. } | Reason::RecordNotOurs { .. } => "the writer was moved; its record was not",
        Reason::OrderUnseen { .. } => "one failover was ordered, and no second one will be",
        Reason::AliveAfterAll(_) => "nothing was promoted; its clients are let in again",
        Reason::NoEvidence { .. } => {
            "the old writer's security group was changed, as far as RDS did it; nothing was promoted"
        }
        Reason::Stuck { .. } | Reason::NewWriterSilent { .. } => {
            "nothing by this pass; every later one goes on looking"
        }
        _ => "nothing was promoted, and no failover was ordered, by this pass",
    }
}

/// The next safe command, exact where there is one.
fn advice(seen: &Observed, reason: &Reason) -> String {
    let region = &seen.card.region;
    match reason {
        Reason::TwoWriters { one, other } => format!(
            "find out which of {one} and {other} the record {} names, and take the other from its clients: \
             aws rds stop-db-instance --region {region} --db-instance-identifier ID",
            seen.card.records.writer
        ),
        Reason::WriterGone(id) => format!("look who deleted or renamed {id}: CloudTrail, DeleteDBInstance"),
        Reason::ProbePathBroken { .. } => {
            "look at routes, security groups and secrets between the functions and the database; clients may be well"
                .to_owned()
        }
        Reason::OrderUnseen { to, .. } => format!("look at RDS's events; then, by hand: {}", fail_over(seen, to)),
        Reason::GrayFailure { best, .. } => format!("if clients do not get through either: {}", fail_over(seen, best)),
        Reason::AwsDidNothing { instance, .. } => did_nothing(seen, instance),
        Reason::RecordWaits { target, .. } => {
            format!("until Route 53 answers, clients can use host={target} themselves; the next pass moves the record")
        }
        Reason::RecordNotOurs { .. } => {
            let record = &seen.card.records.writer;
            format!(
                "find out who wrote {record} and its TXT record _understudy.{record}; delete both if they are wrong"
            )
        }
        Reason::Stuck { what, .. } => format!(
            "look at RDS's events: aws rds describe-events --region {region} --duration 120 --source-identifier {what} \
             --source-type {}; a case with AWS Support is due",
            if seen.card.db_cluster.as_deref() == Some(what) { "db-cluster" } else { "db-instance" }
        ),
        Reason::FormerRuns { instance, .. } => format!(
            "look at what only it has, then stop it: \
             aws rds stop-db-instance --region {region} --db-instance-identifier {instance}; the rest follows by itself"
        ),
        Reason::DiskFull(id) => format!(
            "make room: aws rds modify-db-instance --region {region} --db-instance-identifier {id} \
             --allocated-storage GIB --apply-immediately"
        ),
        _ => of_a_person(seen, reason),
    }
}

/// What only a person may decide: each with what an approval would do, and for which epoch.
fn of_a_person(seen: &Observed, reason: &Reason) -> String {
    let (region, cluster) = (&seen.card.region, &seen.card.cluster);
    match reason {
        Reason::NoEvidence { instance, .. } => format!(
            "stop it for good, if RDS lets you: \
             aws rds stop-db-instance --region {region} --db-instance-identifier {instance} (promotion follows by \
             itself); or approve, which promotes a replica all the same, once, and loses whatever connections from \
             before still write to {instance}: {}",
            approve(seen, "\"data_loss_bytes\":\"any\"")
        ),
        Reason::WouldLose { bytes, .. } => format!(
            "bring the writer back, which loses nothing; or promote all the same, once, and lose that much: {}",
            approve(seen, &format!("\"data_loss_bytes\":{bytes}"))
        ),
        Reason::LossUnknown { .. } => format!(
            "bring the writer back, which loses nothing; or promote all the same, once, whatever is lost: {}",
            approve(seen, "\"data_loss_bytes\":\"any\"")
        ),
        Reason::AskFirst { best, bytes, .. } => format!(
            "to promote {best}, once, after the old writer is cut off: {}",
            approve(seen, &format!("\"data_loss_bytes\":{bytes}"))
        ),
        Reason::TooMany { .. } => format!(
            "look why writers fail again and again; to allow one more: {}",
            approve(seen, "\"data_loss_bytes\":0")
        ),
        Reason::CoolDown(_) => {
            "look why the writer failed again so soon; after the cool-down the next pass acts".to_owned()
        }
        Reason::Paused { .. } => {
            format!("to end the pause: {}", invoke(seen, &format!("{{\"resume\":{{\"cluster\":\"{cluster}\"}}}}")))
        }
        Reason::RdsSilent { .. } => {
            "look at AWS's health page; clients may be well, and nothing is decided until RDS answers".to_owned()
        }
        Reason::AliveAfterAll(id) => format!("nothing urgent: {id} writes. Look why it was silent"),
        _ => "a person must look: the state above is not one that can be mended without risk to data".to_owned(),
    }
}

/// The failover that a person orders by hand.
fn fail_over(seen: &Observed, to: &str) -> String {
    let id = seen.card.db_cluster.as_deref().unwrap_or_default();
    format!(
        "aws rds failover-db-cluster --region {} --db-cluster-identifier {id} --target-db-instance-identifier {to}",
        seen.card.region
    )
}

fn did_nothing(seen: &Observed, instance: &str) -> String {
    let region = &seen.card.region;
    let best = seen.described().and_then(|described| choose::reader(seen, described, instance).ok());
    match best.filter(|_| seen.card.db_cluster.is_some()) {
        Some(best) => format!("look at RDS's events; to fail over by hand: {}", fail_over(seen, &best.id)),
        None => {
            let target = records::writer_target(seen).unwrap_or_default();
            format!(
                "look at RDS's events and at {target}; to restart it: aws rds reboot-db-instance --region {region} \
                 --db-instance-identifier {instance}"
            )
        }
    }
}

/// The command that approves, for this epoch only, once.
fn approve(seen: &Observed, what: &str) -> String {
    let (cluster, epoch) = (&seen.card.cluster, seen.state.epoch);
    invoke(seen, &format!("{{\"approve\":{{\"cluster\":\"{cluster}\",\"epoch\":{epoch},{what}}}}}"))
}
