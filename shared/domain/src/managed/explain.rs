//! What would be done now, and what would happen if the writer failed.

use super::{Described, Observed, Reason, Step, choose, decide, refusal::lines};
use crate::{
    decision::Decision,
    failover::{Explanation, Sql},
    state::Loss,
    time::{bytes, seconds},
};
use std::time::Duration;

/// From a new writer to its proof and, where one moves, its record. Measured in the lab.
const FOLLOWING: Duration = Duration::from_secs(3);

/// Aurora's own failover, as AWS describes it: typically under 60 s, often under 30 s.
const AURORA: Duration = Duration::from_secs(60);

/// What a promotion by RDS takes at least: it restarts the instance. AWS gives no limit.
const PROMOTION: Duration = Duration::from_secs(180);

/// Says what would be done; nothing is.
#[must_use]
pub fn explain(seen: &Observed) -> Explanation {
    Explanation { now: now(seen), if_the_writer_failed: failed(seen), seen: lines(seen) }
}

fn now(seen: &Observed) -> String {
    match decide(seen) {
        Decision::Steady => "nothing: RDS and PostgreSQL agree on the writer, and nothing is left to do".to_owned(),
        Decision::Wait(reason) => format!("nothing yet: {reason}"),
        Decision::Refuse(reason) if reason.is_answer() => format!("nothing: {reason}"),
        Decision::Refuse(reason) => format!("nothing, and a person is paged: {reason}"),
        Decision::Act(steps) => steps.iter().map(Step::to_string).collect::<Vec<_>>().join("; "),
    }
}

fn failed(seen: &Observed) -> String {
    let Some(writer) = seen.state.writer.as_deref() else {
        return "nothing: no instance is named writer".to_owned();
    };
    let Some(described) = seen.described() else { return "not known: RDS does not answer".to_owned() };
    if described.db_cluster.is_some() {
        return of_a_cluster(seen, described, writer);
    }
    let first = seen.card.aws_fails_over.then(|| {
        let limit = seconds(seen.card.policy.aws_failover());
        format!(
            "RDS would let its standby take over, which loses nothing (0 bytes, 0.0 s) and takes 60 to 120 s; it has \
             {limit} for that"
        )
    });
    let second = second_rung(seen, described, writer);
    match first {
        Some(first) => format!("{first}; if that fails: {second}"),
        None => second,
    }
}

fn of_a_cluster(seen: &Observed, described: &Described, writer: &str) -> String {
    let policy = &seen.card.policy;
    let what = if seen.card.topology.is_aurora() {
        "which loses nothing, since the storage is shared (0 bytes, 0.0 s)"
    } else {
        "which loses nothing, since a commit waits for a standby in another zone (0 bytes, 0.0 s)"
    };
    let best = match choose::reader(seen, described, writer) {
        Ok(best) => best,
        Err(Reason::Nobody(why)) => {
            return format!(
                "AWS would restart {writer} or make another instance in its place, {what}; \
                 a person is told after {} ({why})",
                seconds(policy.aws_failover())
            );
        }
        Err(reason) => return format!("nothing, and a person is paged: {reason}"),
    };
    let usual = format!(
        "AWS would fail over, most likely to {}, {what}, in about {}; Understudy verifies it",
        seen.place(&best.id),
        seconds(AURORA)
    );
    let gray = match (policy.gray_failure(), seen.paused_for()) {
        (_, Some(left)) => format!("Understudy itself orders nothing for {} more, since it is paused", seconds(left)),
        (Some(limit), None) => format!(
            "if RDS went on calling it available, a failover to {} would be ordered after {} of silence, once, and \
             done about {} after the silence began",
            best.id,
            seconds(limit),
            seconds(limit + AURORA + FOLLOWING)
        ),
        (None, None) => format!(
            "if RDS went on calling it available, a person would be told after {}",
            seconds(policy.aws_failover())
        ),
    };
    format!("{usual}; {gray}")
}

fn second_rung(seen: &Observed, described: &Described, writer: &str) -> String {
    let policy = &seen.card.policy;
    if let Some(left) = seen.paused_for() {
        return format!("nothing for {} more, since the cluster is paused", seconds(left));
    }
    let (best, furthest) = match choose::replica(seen, described, writer) {
        Ok(best) => best,
        Err(reason) => return format!("nothing, and a person is paged: {reason}"),
    };
    let position = match seen.sql_of(writer) {
        Sql::Writer(answer) => Some(answer.lsn),
        _ => None,
    };
    let known = position.zip(furthest).map(|(at, furthest)| furthest.behind(at));
    let loss = match known {
        Some(lost) => Ok(Loss::Bytes(lost)),
        None => choose::cost(seen, writer, best, furthest, None).map(|cost| cost.loss),
    };
    let lag = seen.lags.get(&best.id).and_then(|lag| lag.ms);
    let lag = lag.map_or_else(String::new, |ms| format!(" and {}", seconds(Duration::from_millis(ms))));
    let cost = match loss {
        Ok(Loss::Bytes(lost)) if lost > policy.max_lost_bytes => {
            let (lost, allowed) = (bytes(lost), bytes(policy.max_lost_bytes));
            return format!(
                "nothing before a person approves: {} lacks {lost}{lag} as of now, the policy allows {allowed}",
                best.id
            );
        }
        Ok(Loss::Bytes(lost)) => format!("{} of log{lag} as of now", bytes(lost)),
        Ok(Loss::Nothing | Loss::Unknown) => "an amount that is not known".to_owned(),
        Err(reason) => return format!("nothing, and a person is paged: {reason}"),
    };
    let isolation = seen.card.isolation.as_ref();
    let evidence = match isolation.map(|isolation| isolation.network_acl.is_some()) {
        Some(true) => "SubnetCut (security group and network ACL)",
        Some(false) => "Restarted (security group and a restart)",
        None => return "nothing, and a person is paged: the card names no isolated security group".to_owned(),
    };
    let asked = if policy.promote_replicas { "" } else { ", after a person approves" };
    let detection = policy.probe_interval() * policy.failures;
    let detection = if seen.card.aws_fails_over { policy.aws_failover() } else { detection };
    format!(
        "replica {} would be promoted{asked}, on evidence {evidence}, at the cost of {cost} and at least {} without \
         writes",
        seen.place(&best.id),
        seconds(detection + PROMOTION + FOLLOWING)
    )
}
