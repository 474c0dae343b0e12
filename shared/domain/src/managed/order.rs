//! A failover of a DB cluster that Understudy orders: once in a change, whatever is seen afterwards.

use super::{By, Course, Described, Observed, Reason, Step, choose, cluster::two_writers, damping::held, waiting};
use crate::{
    decision::Decision,
    failover::Sql,
    state::{Change, Loss},
};

/// Goes on with a change whose failover is to be ordered, or was.
pub(super) fn go_on(
    seen: &Observed,
    described: &Described,
    change: &Change,
    course: &Course,
) -> Decision<Step, Reason> {
    let Some(cluster) = &described.db_cluster else {
        let id = seen.card.db_cluster.clone().unwrap_or_default();
        return Decision::Refuse(Reason::WriterGone(id));
    };
    let from = change.from.as_str();
    let writes: Vec<&str> = seen.writers().collect();
    if let [one, other, ..] = writes.as_slice() {
        return two_writers(seen, one, other);
    }
    let moved = cluster.writer.as_deref().filter(|rds| *rds != from && seen.writes(rds).is_some());
    if let Some(new) = moved {
        return proven(seen, described, change, new);
    }
    let (Some(ordered), Some(to)) = (change.ordered_at_ms, &course.to) else {
        return not_ordered(seen, described, change, course);
    };
    let well = cluster.writer.as_deref() == Some(from) && seen.writes(from).is_some();
    match waiting::left(seen.card.policy.aws_failover(), seen.since(ordered)) {
        Some(left) => Decision::Wait(Reason::AwaitingFailover { to: to.clone(), left }),
        None if well && cluster.status == "available" => Decision::Refuse(Reason::AliveAfterAll(from.to_owned())),
        None if cluster.status == "available" => {
            Decision::Refuse(Reason::OrderUnseen { to: to.clone(), since: seen.since(ordered) })
        }
        None => Decision::Refuse(Reason::Stuck {
            what: cluster.id.clone(),
            status: cluster.status.clone(),
            since: seen.since(ordered),
            told: true,
        }),
    }
}

/// RDS names another writer, and PostgreSQL on it is out of recovery: a write proves it, and notes when.
fn proven(seen: &Observed, described: &Described, change: &Change, new: &str) -> Decision<Step, Reason> {
    // The instance's own name: whether the cluster's follows yet is no question of who writes.
    let endpoint = described.instance(new).and_then(|instance| instance.endpoint.clone());
    let Some(endpoint) = endpoint else {
        return Decision::Wait(Reason::AwaitingAws {
            instance: new.to_owned(),
            status: "without an endpoint".to_owned(),
            left: std::time::Duration::ZERO,
        });
    };
    let why = if seen.card.topology.is_aurora() {
        "Aurora's instances share one storage, and the new writer reads what the old one had acknowledged"
    } else {
        "AWS acknowledges a commit only when a standby in another zone has it, too"
    };
    let sure = format!("RDS calls {} writer; PostgreSQL on it is out of recovery", seen.place(new));
    let noted = Change {
        sure: Some(sure),
        loss: Some(Loss::Nothing),
        loss_because: Some(why.to_owned()),
        lost_ms: Some(0),
        ..change.clone()
    };
    let prove = Step::Prove { instance: new.to_owned(), endpoint, epoch: seen.state.epoch };
    Decision::Act(vec![Step::NoteChange(Box::new(noted)), prove])
}

/// The last look before the order: all that spoke for it must still do so.
fn not_ordered(seen: &Observed, described: &Described, change: &Change, course: &Course) -> Decision<Step, Reason> {
    let (from, Some(cluster)) = (change.from.as_str(), &described.db_cluster) else {
        return Decision::Refuse(Reason::WriterGone(change.from.clone()));
    };
    let answers = matches!(seen.sql_of(from), Sql::Writer(_) | Sql::Alive(_));
    if course.by == By::GrayFailure && answers {
        return Decision::Refuse(Reason::AliveAfterAll(from.to_owned()));
    }
    let aws_is_at_it = cluster.status != "available" || cluster.writer.as_deref() != Some(from);
    if aws_is_at_it {
        let (instance, status, span) = (from.to_owned(), cluster.status.clone(), seen.since(change.began_at_ms));
        return match waiting::left(seen.card.policy.aws_failover(), span) {
            Some(left) => Decision::Wait(Reason::AwaitingAws { instance, status, left }),
            None => {
                let why = format!("{} has not become available", cluster.id);
                Decision::Refuse(Reason::AwsDidNothing { instance, status, silent_for: span, why })
            }
        };
    }
    let to = match course.by {
        By::Asked => {
            let to = change.to.clone().unwrap_or_default();
            let able = seen.writes(from).map(|_| ()).ok_or_else(|| format!("{from} {}", seen.sql_of(from)));
            match able.and_then(|()| choose::may(seen, described, &to)) {
                Ok(()) => to,
                Err(because) => return Decision::Act(vec![Step::Abandon { because }]),
            }
        }
        _ => match choose::reader(seen, described, from) {
            Ok(best) => best.id.clone(),
            Err(reason) => return held(reason),
        },
    };
    let noted = Change {
        ordered_at_ms: Some(seen.looked_at_ms),
        promoting: Some(to.clone()),
        managed: Some(Course { to: Some(to.clone()), ..course.clone() }),
        ..change.clone()
    };
    let order = Step::FailOver { db_cluster: cluster.id.clone(), to };
    Decision::Act(vec![Step::NoteChange(Box::new(noted)), order])
}
