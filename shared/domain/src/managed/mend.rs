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

/// The roles of today are kept, or are about to be, and the stack is to be rendered by them.
const RENDER: &str = "render";

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
    if let Some(begin) = moved_zone(seen, described, writer) {
        return Decision::Act(vec![begin]);
    }
    if seen.waiting.as_ref().is_some_and(|noted| OVER.contains(&noted.kind.as_str())) {
        return Decision::Act(vec![Step::Forget]);
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
        (true, _, None) => busy(seen, described, writer),
    }
}

/// A Multi-AZ instance writes in another zone: AWS failed it over. The change is told as any other.
fn moved_zone(seen: &Observed, described: &Described, writer: &str) -> Option<Step> {
    let (before, now) = (waiting::known_before(seen)?, home(seen, described, writer)?);
    let answer = seen.writes(writer).filter(|_| before != now)?;
    let how = if seen.silent_since().is_some() { "was silent" } else { "wrote" };
    let lines = vec![format!("{writer} {how} in {before}, and writes in {now}")];
    let change = followed(seen, writer, (writer, answer), lines);
    Some(Step::Begin { epoch: seen.state.epoch, change: Box::new(change) })
}

/// The zone of a writer with a standby of its own, which AWS puts in its place under the same name.
fn home<'a>(seen: &'a Observed, described: &Described, writer: &str) -> Option<&'a str> {
    let has_standby = seen.card.aws_fails_over && described.db_cluster.is_none();
    seen.zone(writer).filter(|_| has_standby)
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
            about: waiting::known_before(seen).map(str::to_owned),
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
    let noted = seen.waiting.as_ref().is_some_and(|noted| noted.kind == RENDER);
    match roles_step(seen, writer) {
        // The note first: a pass that ends right after the roles are kept would leave nobody who renders.
        Some(kept) => {
            let (since_ms, confirmed_ms) = (seen.looked_at_ms, seen.looked_at_ms);
            let about = waiting::known_before(seen).map(str::to_owned);
            let note = Waiting { kind: RENDER.to_owned(), since_ms, confirmed_ms, about };
            vec![Step::Note(note), kept, Step::RenderAnew, Step::Forget]
        }
        None if noted => vec![Step::RenderAnew, Step::Forget],
        None => Vec::new(),
    }
}

/// What RDS is at: for long, a person is told, and every pass goes on looking.
fn busy(seen: &Observed, described: &Described, writer: &str) -> Decision<Step, Reason> {
    let calm = |status: &str| matches!(status, "available" | "stopped" | "backing-up" | "storage-optimization");
    let cluster = described.db_cluster.iter().map(|cluster| (&cluster.id, &cluster.status));
    let instances = described.instances.iter().map(|instance| (&instance.id, &instance.status));
    let Some((what, status)) = cluster.chain(instances).find(|(_, status)| !calm(status)) else {
        return at_rest(seen, home(seen, described, writer));
    };
    match waiting::waited(seen, &format!("busy-{what}-{status}"), None, None) {
        Err(note) => Decision::Act(vec![Step::Note(note)]),
        Ok(since) => {
            let told = since >= seen.card.policy.stuck_after();
            let reason = Reason::Stuck { what: what.clone(), status: status.clone(), since, told };
            if told { Decision::Refuse(reason) } else { Decision::Wait(reason) }
        }
    }
}

/// Nothing is under way: what is noted is forgotten, but for the zone of a writer that AWS may move.
fn at_rest(seen: &Observed, home: Option<&str>) -> Decision<Step, Reason> {
    // Forgotten now, what was ordered a moment ago would be ordered again in the next look.
    if lately(seen, GIVEN_BACK, AGAIN) || lately(seen, FORMER, STOP_AGAIN) {
        return Decision::Steady;
    }
    let (now, about) = (seen.looked_at_ms, home.map(str::to_owned));
    match (&seen.waiting, home) {
        (Some(noted), Some(_)) if noted.kind == waiting::HOME && noted.about == about => Decision::Steady,
        (_, Some(_)) => {
            let kind = waiting::HOME.to_owned();
            Decision::Act(vec![Step::Note(Waiting { kind, since_ms: now, confirmed_ms: now, about })])
        }
        (Some(_), None) => Decision::Act(vec![Step::Forget]),
        (None, None) => Decision::Steady,
    }
}
