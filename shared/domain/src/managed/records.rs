//! Where the records of a managed cluster shall point.

use super::{Described, Lag, Observed, Reason, Step};
use crate::failover::{Seen, Sql};

/// The endpoint that the writer's CNAME shall have: of Aurora and of a Multi-AZ DB cluster the cluster's own, which AWS
/// moves even when Understudy is down; of RDS that of the instance that writes. `None` while RDS does not tell.
#[must_use]
pub fn writer_target(seen: &Observed) -> Option<String> {
    target_of(seen.described()?, seen.state.writer.as_deref()?)
}

/// The same, when `writer` writes.
pub(super) fn target_of(described: &Described, writer: &str) -> Option<String> {
    match &described.db_cluster {
        Some(cluster) => cluster.endpoint.clone(),
        None => described.instance(writer)?.endpoint.clone(),
    }
}

/// What the readers' CNAMEs shall be, by identifier and endpoint: of Aurora and of a Multi-AZ DB cluster the reader
/// endpoint; of RDS the replicas of the writer that can be read, or, when there is none, the writer itself, so that
/// readers keep working.
#[must_use]
pub fn readers(seen: &Observed) -> Vec<(String, String)> {
    match (seen.described(), seen.state.writer.as_deref()) {
        (Some(described), Some(writer)) => readers_of(seen, described, writer),
        _ => Vec::new(),
    }
}

/// The same, when `writer` writes.
pub(super) fn readers_of(seen: &Observed, described: &Described, writer: &str) -> Vec<(String, String)> {
    if let Some(cluster) = &described.db_cluster {
        return cluster.reader_endpoint.iter().map(|name| (cluster.id.clone(), name.clone())).collect();
    }
    let listed = |endpoint: &String| match &seen.records {
        Seen::Known(names) => names.readers.iter().any(|name| same(name, endpoint)),
        Seen::NotAsked | Seen::Unavailable(_) => false,
    };
    let replicas = described.instances.iter().filter(|instance| instance.follows(writer));
    let mut wanted: Vec<(String, String)> = replicas
        .filter_map(|replica| {
            let endpoint = replica.endpoint.as_ref()?;
            // One look that misses a replica must not take it away from its clients; one that answers is let in.
            let able =
                matches!(seen.sql_of(&replica.id), Sql::Standby(_)) || (listed(endpoint) && replica.is_available());
            let near = is_near(seen.lags.get(&replica.id), listed(endpoint));
            (able && near).then(|| (replica.id.clone(), endpoint.clone()))
        })
        .collect();
    if wanted.is_empty() {
        wanted.extend(described.instance(writer).and_then(|it| Some((it.id.clone(), it.endpoint.clone()?))));
    }
    wanted.sort();
    wanted
}

/// A replica is let in when it is no further behind than this: a segment of log. One that is in leaves at a whole
/// gibibyte, which takes minutes to replay: what it lags in between comes and goes.
const JOINS: u64 = 16 << 20;
const LEAVES: u64 = 1 << 30;

/// Whether a replica is near enough to be read from; of one that does not say, nothing is held against it.
fn is_near(lag: Option<&Lag>, listed: bool) -> bool {
    let bytes = lag.and_then(|lag| lag.bytes).unwrap_or(0);
    bytes <= if listed { LEAVES } else { JOINS }
}

/// The step that moves the writer's record for `writer` at the epoch of the state item, when it is not there yet.
///
/// # Errors
///
/// [`Reason::RecordNotOurs`] when the record is not one that this epoch may replace.
pub(super) fn writer_step(seen: &Observed, described: &Described, writer: &str) -> Result<Option<Step>, Reason> {
    let (Seen::Known(names), Some(target)) = (&seen.records, target_of(described, writer)) else { return Ok(None) };
    let ours = seen.state.epoch;
    let from = match (&names.writer, names.epoch) {
        (None, None) => None,
        (Some(now), Some(epoch)) if epoch <= ours && same(now, &target) => return Ok(None),
        (Some(now), Some(epoch)) if epoch <= ours => Some((now.clone(), epoch)),
        (now, epoch) => return Err(Reason::RecordNotOurs { target: now.clone(), epoch, ours }),
    };
    Ok(Some(Step::MoveWriterRecord { from, to: (target, ours) }))
}

/// The step that sets the readers' records, when they are otherwise.
pub(super) fn readers_step(seen: &Observed, described: &Described, writer: &str) -> Option<Step> {
    let Seen::Known(names) = &seen.records else { return None };
    let wanted = readers_of(seen, described, writer);
    let mut targets: Vec<String> = wanted.iter().map(|(_, target)| plain(target)).collect();
    let mut now: Vec<String> = names.readers.iter().map(|name| plain(name)).collect();
    targets.sort();
    now.sort();
    (!wanted.is_empty() && targets != now).then_some(Step::SetReaders(wanted))
}

/// Whether two names are one: DNS knows no case, and a final dot says nothing.
pub(super) fn same(one: &str, other: &str) -> bool {
    plain(one) == plain(other)
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}
