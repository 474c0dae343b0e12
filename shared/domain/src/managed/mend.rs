//! The writer of record writes: what is left to bring in order, and what has been under way for too long.

use super::{
    Described, InstanceSeen, Observed, Reason, Step,
    cluster::followed,
    evidence::is_isolated,
    finish::{is_cut, may_stop, roles_step},
    records, switchover, waiting,
};
use crate::{decision::Decision, failover::Lease, follow::Waiting};
use std::time::Duration;

/// A writer that answers was given back to its clients.
const GIVEN_BACK: &str = "given-back";

/// Notes of waits that are over when the writer writes.
const OVER: [&str; 6] =
    [waiting::SILENT, waiting::RDS, waiting::DIFFER, waiting::TWO, waiting::RECOVERY, waiting::NO_EVIDENCE];

/// What was ordered here and is not seen is ordered again after this.
const AGAIN: Duration = Duration::from_secs(60);

/// A stop that RDS refused is tried again after this: what keeps it from it takes its time.
const STOP_AGAIN: Duration = Duration::from_secs(600);

/// An old writer was told to stop; its identifier follows.
const FORMER: &str = "former-";

/// RDS, PostgreSQL and the state item agree on the writer.
pub(super) fn go_on(seen: &Observed, described: &Described, writer: &str) -> Decision<Step, Reason> {
    if seen.waiting.as_ref().is_some_and(|noted| OVER.contains(&noted.kind.as_str())) {
        return Decision::Act(vec![moved_zone(seen, described, writer).unwrap_or(Step::Forget)]);
    }
    if let Some(to) = &seen.switchover {
        return switchover::judge(seen, described, writer, to);
    }
    let mut steps = give_back(seen, described, writer);
    let mut problem = None;
    match records::writer_step(seen, described, writer) {
        Ok(step) => steps.extend(step),
        Err(reason) => problem = Some(reason),
    }
    steps.extend(records::readers_step(seen, described, writer));
    if described.db_cluster.is_none() {
        let runs = |it: &&InstanceSeen| it.id != writer && is_isolated(seen, it) && it.status != "stopped";
        let former = described.instances.iter().find(runs);
        steps.extend(former.map(|former| stop(seen, described, former)).unwrap_or_default());
        match former.filter(|former| is_cut(seen, former)) {
            Some(former) => problem = problem.or_else(|| still_runs(former)),
            None => steps.extend(after_former(seen, described, writer)),
        }
    }
    match (steps.is_empty(), seen.lease, problem) {
        (false, Lease::Mine, _) => Decision::Act(steps),
        (false, ..) => Decision::Act(vec![Step::Hold { epoch: seen.state.epoch }]),
        (true, _, Some(reason)) => Decision::Refuse(reason),
        (true, _, None) => busy(seen, described),
    }
}

/// A Multi-AZ instance answers again, in another zone: AWS failed it over. The change is told as any other.
fn moved_zone(seen: &Observed, described: &Described, writer: &str) -> Option<Step> {
    let noted = seen.waiting.as_ref().filter(|noted| noted.kind == waiting::SILENT)?;
    let (before, now) = (noted.about.as_deref()?, seen.zone(writer)?);
    if !seen.card.aws_fails_over || described.db_cluster.is_some() || before == now {
        return None;
    }
    let answer = seen.writes(writer)?;
    let lines = vec![format!("{writer} was silent in {before}, and answers in {now}")];
    let change = followed(seen, writer, (writer, answer), lines);
    Some(Step::Begin { epoch: seen.state.epoch, change: Box::new(change) })
}

/// An old change cut the writer off and was given up: it answers, so that its clients are let in again. Also for a
/// subnet whose network ACL lets nobody in although nobody there must be kept out.
fn give_back(seen: &Observed, described: &Described, writer: &str) -> Vec<Step> {
    let Some(isolation) = &seen.card.isolation else { return Vec::new() };
    let instance = described.instance(writer);
    let mut steps = Vec::new();
    if instance.is_some_and(|instance| is_isolated(seen, instance)) {
        steps.push(Step::Isolate { instance: writer.to_owned(), groups: isolation.security_groups.clone() });
    }
    let mut subnets: Vec<&String> =
        described.instances.iter().filter(|it| is_cut(seen, it)).filter_map(|it| it.subnet.as_ref()).collect();
    subnets.sort();
    subnets.dedup();
    let kept_out = |subnet: &String| {
        let there = described.instances.iter().filter(|it| it.subnet.as_ref() == Some(subnet) && it.id != writer);
        there.into_iter().any(|it| is_isolated(seen, it) && it.status != "stopped")
    };
    if let Some(acl) = &isolation.usual_network_acl {
        let free = subnets.into_iter().filter(|subnet| !kept_out(subnet));
        steps.extend(free.map(|subnet| Step::SetNetworkAcl { subnet: subnet.clone(), acl: acl.clone() }));
    }
    if steps.is_empty() {
        return steps;
    }
    match again(seen, GIVEN_BACK, AGAIN) {
        Some(note) => std::iter::once(note).chain(steps).collect(),
        None => Vec::new(),
    }
}

/// The note that something is ordered now; `None` when it was ordered a moment ago.
fn again(seen: &Observed, kind: &str, after: Duration) -> Option<Step> {
    let note = || {
        Step::Note(Waiting {
            kind: kind.to_owned(),
            since_ms: seen.looked_at_ms,
            confirmed_ms: seen.looked_at_ms,
            about: None,
        })
    };
    (!lately(seen, kind, after)).then(note)
}

fn lately(seen: &Observed, kind: &str, span: Duration) -> bool {
    seen.waiting.as_ref().is_some_and(|noted| noted.kind.starts_with(kind) && seen.since(noted.since_ms) < span)
}

/// An old writer runs on, cut off from its clients: it is stopped, where RDS lets it and its owner wants it.
fn stop(seen: &Observed, described: &Described, former: &InstanceSeen) -> Vec<Step> {
    if !may_stop(seen, described, former) {
        return Vec::new();
    }
    let note = again(seen, &format!("{FORMER}{}", former.id), STOP_AGAIN);
    note.map_or_else(Vec::new, |note| vec![note, Step::Stop { instance: former.id.clone() }])
}

/// It does so behind the network ACL of its subnet, where nothing new can be made: a person is told.
fn still_runs(former: &InstanceSeen) -> Option<Reason> {
    (former.status != "stopping").then(|| Reason::FormerRuns {
        instance: former.id.clone(),
        status: former.status.clone(),
        subnet: former.subnet.clone().unwrap_or_default(),
    })
}

/// The roles of today, when the change that made them could not keep them yet.
fn after_former(seen: &Observed, described: &Described, writer: &str) -> Vec<Step> {
    if described.instances.iter().any(|instance| is_cut(seen, instance)) {
        return Vec::new();
    }
    roles_step(seen, writer).map_or_else(Vec::new, |kept| vec![kept, Step::RenderAnew])
}

/// What RDS is at: for long, a person is told, and every pass goes on looking.
fn busy(seen: &Observed, described: &Described) -> Decision<Step, Reason> {
    let calm = |status: &str| matches!(status, "available" | "stopped" | "backing-up" | "storage-optimization");
    let cluster = described.db_cluster.iter().map(|cluster| (&cluster.id, &cluster.status));
    let instances = described.instances.iter().map(|instance| (&instance.id, &instance.status));
    let Some((what, status)) = cluster.chain(instances).find(|(_, status)| !calm(status)) else {
        // Forgotten now, what was ordered a moment ago would be ordered again in the next look.
        let ordered = lately(seen, GIVEN_BACK, AGAIN) || lately(seen, FORMER, STOP_AGAIN);
        let over = seen.waiting.is_some() && !ordered;
        return if over { Decision::Act(vec![Step::Forget]) } else { Decision::Steady };
    };
    match waiting::waited(seen, &format!("busy-{what}-{status}"), None, None) {
        Err(note) => Decision::Act(vec![note]),
        Ok(since) => {
            let told = since >= seen.card.policy.stuck_after();
            let reason = Reason::Stuck { what: what.clone(), status: status.clone(), since, told };
            if told { Decision::Refuse(reason) } else { Decision::Wait(reason) }
        }
    }
}
