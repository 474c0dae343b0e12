//! What is known of a cluster that AWS runs, and what follows from each thing learnt.
//!
//! Its instances come and go, so that they are known by RDS's word. AWS moves the writer by itself: what is found is
//! for `promote-replica` to verify.

use super::{Act, Due, Known, Memory, Streak, Tellings, failed};
use crate::{finding::Finding, metrics::Sample};
use domain::{
    card::ManagedCard,
    failover::Sql,
    managed::Described,
    state::{Holder, State},
};
use std::collections::{BTreeMap, BTreeSet};

/// A database that is not available is told of when it has not been for so long: restarts and small changes take less.
const BUSY_MS: u64 = 60_000;

/// What RDS said counts for so long, when it is all that there is.
const RDS_KEEPS_MS: u64 = 100_000;

/// In these states a database serves as ever.
///
/// Source: RDS user guide, "Viewing Amazon RDS DB instance status": what is said to be fully available.
const SERVES: [&str; 7] = [
    "available",
    "backing-up",
    "configuring-enhanced-monitoring",
    "configuring-iam-database-auth",
    "configuring-log-exports",
    "storage-optimization",
    "storage-config-upgrade",
];

/// One managed cluster, as this run knows it.
pub(crate) struct ManagedWatch {
    card: ManagedCard,
    /// By identifier, those that were ever asked in this run.
    seen: BTreeMap<String, Streak>,
    state: Option<Known>,
    /// Whether this Region serves the cluster.
    serves: bool,
    /// When RDS was asked for what it said last; `None`: in an earlier run.
    rds_asked_ms: Option<u64>,
    tellings: Tellings,
    memory: Memory,
    writer_probes_ms: Vec<u64>,
    /// Whether anything was learnt since the last sample.
    learnt: bool,
}

/// A probe of an instance that ended.
pub(crate) struct Answer {
    /// `DBInstanceIdentifier`.
    pub id: String,
    pub asked_ms: u64,
    pub took_ms: u64,
    pub sql: Sql,
}

impl ManagedWatch {
    pub(crate) fn new(card: ManagedCard, mut memory: Memory) -> Self {
        ManagedWatch {
            tellings: Tellings::after(std::mem::take(&mut memory.told)),
            card,
            seen: BTreeMap::new(),
            state: None,
            serves: true,
            rds_asked_ms: None,
            memory,
            writer_probes_ms: Vec::new(),
            learnt: false,
        }
    }

    /// What the next run should know.
    pub(crate) fn into_memory(self) -> Memory {
        Memory { told: self.tellings.into_told(), ..self.memory }
    }

    /// Learns what a probe found.
    pub(crate) fn probed(&mut self, answer: Answer) -> Vec<Act> {
        if answer.sql == Sql::NotAsked {
            return Vec::new();
        }
        self.learnt = true;
        let Answer { id, asked_ms, took_ms, sql } = answer;
        self.memory.remember(&self.card.cluster, &id, &id, asked_ms, &sql);
        let is_writer = self.writer() == Some(id.as_str());
        if is_writer && !failed(&sql) {
            self.writer_probes_ms.push(took_ms);
        }
        let seen = self.seen.entry(id.clone()).or_default();
        seen.learn(asked_ms, sql);
        let mut acts = Vec::new();
        // I3: only the writer of the state item is suspected, and only by probes in a row.
        if is_writer && self.serves && seen.is_suspect(self.card.policy.failures) {
            acts.push(Act::Suspect(seen.suspicion(&id, self.memory.writes.get(&id))));
            acts.push(Act::ReadState);
        }
        acts.extend(self.find(asked_ms + took_ms));
        acts
    }

    /// Learns the state item, as asked for and answered at these times, and whether this Region serves.
    pub(crate) fn told_state(&mut self, state: State, serves: bool, asked_ms: u64, answered_ms: u64) -> Vec<Act> {
        if let Some(old) = &self.state
            && (old.state.epoch, &old.state.writer) != (state.epoch, &state.writer)
        {
            let writer = state.writer.as_deref().unwrap_or("nobody");
            tracing::info!("{}: epoch {}, writer {writer}", self.card.cluster, state.epoch);
        }
        self.state = Some(Known { state, asked_ms, answered_ms });
        self.serves = serves;
        self.find(answered_ms)
    }

    /// Learns what RDS says, as asked for and answered at these times.
    pub(crate) fn told_rds(&mut self, described: Described, asked_ms: u64, answered_ms: u64) -> Vec<Act> {
        let instances = described.instances.iter().map(|instance| (&instance.id, &instance.status));
        let cluster = described.db_cluster.iter().map(|cluster| (&cluster.id, &cluster.status));
        let busy = instances.chain(cluster).filter(|(_, status)| !SERVES.contains(&status.as_str()));
        let before = std::mem::take(&mut self.memory.busy_since);
        let since = |id: &String| before.get(id).copied().unwrap_or(answered_ms);
        self.memory.busy_since = busy.map(|(id, _)| (id.clone(), since(id))).collect();
        self.memory.described = Some(described);
        self.rds_asked_ms = Some(asked_ms);
        // Of one that nobody may ask, this is all that is known.
        self.learnt |= self.pauses();
        self.find(answered_ms)
    }

    /// The metrics since the last call; `None` when nothing was learnt since: then nobody looks, and an alarm must be
    /// able to tell.
    pub(crate) fn sample(&mut self, now_ms: u64) -> Option<Sample> {
        let rds_says = self.pauses() && self.rds_asked_ms.is_some_and(|asked| asked + RDS_KEEPS_MS > now_ms);
        if !std::mem::take(&mut self.learnt) && !rds_says {
            return None;
        }
        let named = self.writer().filter(|id| self.writes(id));
        let writer_up = if rds_says { self.rds_calls_well() } else { named.or(self.leads()).is_some() };
        Some(Sample {
            writer_up: self.serves.then_some(writer_up),
            members_up: if rds_says { self.available() } else { self.answering() },
            lag_bytes: self.lag(),
            probe_ms: std::mem::take(&mut self.writer_probes_ms),
        })
    }

    /// Whether the cluster pauses by itself when nobody uses it: then it is not asked, only asked about.
    pub(crate) fn pauses(&self) -> bool {
        let described = self.memory.described.as_ref();
        described.and_then(|described| described.db_cluster.as_ref()).is_some_and(|cluster| cluster.pauses)
    }

    /// The endpoints of the instances that RDS knows, and of those that it knew in this run.
    pub(crate) fn endpoints(&self) -> BTreeMap<String, String> {
        if self.pauses() {
            return BTreeMap::new();
        }
        let instances = self.memory.described.iter().flat_map(|described| &described.instances);
        instances.filter_map(|instance| Some((instance.id.clone(), instance.endpoint.clone()?))).collect()
    }

    fn writer(&self) -> Option<&str> {
        self.state.as_ref()?.state.writer.as_deref()
    }

    /// Whether the last probe of an instance found it out of recovery.
    fn writes(&self, id: &str) -> bool {
        matches!(self.seen.get(id).and_then(|seen| seen.sql.as_ref()), Some(Sql::Writer(_)))
    }

    /// An instance out of recovery; where nobody may be asked, the one that RDS calls writer.
    fn leads(&self) -> Option<&str> {
        let by_sql = self.seen.iter().find(|(_, seen)| matches!(seen.sql, Some(Sql::Writer(_))));
        by_sql.map(|(id, _)| id.as_str()).or_else(|| self.rds_writer())
    }

    /// Whom RDS calls writer, where nobody may be asked.
    fn rds_writer(&self) -> Option<&str> {
        let cluster = self.memory.described.as_ref()?.db_cluster.as_ref()?;
        cluster.writer.as_deref().filter(|_| cluster.pauses)
    }

    fn rds_calls_well(&self) -> bool {
        let cluster = self.memory.described.as_ref().and_then(|described| described.db_cluster.as_ref());
        cluster.is_some_and(|cluster| SERVES.contains(&cluster.status.as_str()) && cluster.writer.is_some())
    }

    fn available(&self) -> usize {
        let instances = self.memory.described.iter().flat_map(|described| &described.instances);
        instances.filter(|instance| SERVES.contains(&instance.status.as_str())).count()
    }

    fn answering(&self) -> usize {
        self.seen.values().filter(|seen| seen.sql.as_ref().is_some_and(Sql::answers)).count()
    }

    /// How far the replica furthest behind is behind the writer, where they say their positions.
    fn lag(&self) -> Option<u64> {
        let Sql::Writer(writer) = self.seen.get(self.writer()?)?.sql.as_ref()? else { return None };
        let behind = self.seen.values().filter_map(|seen| match &seen.sql {
            Some(Sql::Standby(standby)) => Some(standby.furthest()?.behind(writer.lsn)),
            _ => None,
        });
        behind.max()
    }

    /// Tells what is wrong and was not told a short time ago.
    fn find(&mut self, now_ms: u64) -> Vec<Act> {
        if self.memory.readers.is_none() {
            self.memory.readers = self.readers();
        }
        // Somebody acts, or nothing is known: what is seen now says nothing.
        let Some(wrong) = self.wrong(now_ms) else { return Vec::new() };
        let mut tellings = std::mem::take(&mut self.tellings);
        let due = tellings.due(wrong, now_ms, |finding, since| self.is_certain(finding, since));
        self.tellings = tellings;
        let mut acts = Vec::new();
        for found in due {
            match found {
                Due::New => acts.push(Act::ReadState),
                Due::Tell(finding) => {
                    if let Finding::ReadersChanged(now) = &finding {
                        self.memory.readers = Some(now.clone());
                    }
                    acts.push(self.act_of_managed(finding));
                }
            }
        }
        acts
    }

    fn act_of_managed(&self, finding: Finding) -> Act {
        let Finding::LeaderMoved(leader) = &finding else { return Act::Tell(finding) };
        let Some((id, seen)) = self.writer().and_then(|id| self.seen.get_key_value(id)) else {
            return Act::Tell(finding);
        };
        Act::Suspect(seen.moved(id, self.memory.writes.get(id), leader, finding.to_string()))
    }

    /// What is wrong; `None` when that cannot be said now.
    fn wrong(&self, now_ms: u64) -> Option<Vec<Finding>> {
        let state = &self.state.as_ref().filter(|_| self.serves)?.state;
        let live = |holder: &Holder| holder.expires_at_ms > now_ms;
        if state.holder.as_ref().is_some_and(live) {
            return None;
        }
        if state.change.is_some() {
            return Some(vec![Finding::ChangeUnfinished]);
        }
        let Some(writer) = state.writer.as_deref() else {
            return Some(self.leads().map(|id| Finding::NotAdopted(id.to_owned())).into_iter().collect());
        };
        let mut wrong = self.wrong_with_roles(writer);
        let busy = self.memory.busy_since.iter().filter(|(_, since)| now_ms.saturating_sub(**since) >= BUSY_MS);
        wrong.extend(busy.map(|(id, _)| Finding::DatabaseBusy(id.clone())));
        if let (Some(now), Some(before)) = (self.readers(), &self.memory.readers)
            && now != *before
        {
            wrong.push(Finding::ReadersChanged(now));
        }
        Some(wrong)
    }

    /// Another writes, or the writer of record does not.
    fn wrong_with_roles(&self, writer: &str) -> Vec<Finding> {
        let (writes, led) = (self.writes(writer), self.leads().is_some());
        let of_instance = |(id, seen): (&String, &Streak)| match seen.sql.as_ref()? {
            Sql::Writer(_) if id != writer && writes => Some(Finding::TwoWriters(id.clone())),
            Sql::Writer(_) if id != writer => Some(Finding::LeaderMoved(id.clone())),
            Sql::Standby(_) if id == writer && !led => Some(Finding::WriterInRecovery(id.clone())),
            _ => None,
        };
        let mut wrong: Vec<Finding> = self.seen.iter().filter_map(of_instance).collect();
        let moved = self.rds_writer().filter(|id| *id != writer);
        wrong.extend(moved.map(|id| Finding::LeaderMoved(id.to_owned())));
        if self.memory.described.as_ref().is_some_and(|described| described.instance(writer).is_none()) {
            wrong.push(Finding::WriterGone(writer.to_owned()));
        }
        // It is stopped, and its place filled anew, by passes: somebody must wake them.
        let rds = self.memory.described.iter().filter(|described| described.db_cluster.is_none());
        let former = rds.flat_map(|rds| &rds.instances).filter(|it| it.source.is_none() && it.id != writer);
        wrong.extend(former.map(|instance| Finding::FormerWriter(instance.id.clone())));
        wrong
    }

    /// The replicas that answer, where each has an endpoint in the reader record; `None` before everybody was asked.
    fn readers(&self) -> Option<BTreeSet<String>> {
        let described = self.memory.described.as_ref().filter(|described| described.db_cluster.is_none())?;
        let writer = self.writer().filter(|id| self.writes(id))?;
        let mut readers = BTreeSet::new();
        for instance in described.instances.iter().filter(|instance| instance.id != writer) {
            match self.seen.get(&instance.id).and_then(|seen| seen.sql.as_ref()) {
                Some(Sql::Standby(_)) => drop(readers.insert(instance.id.clone())),
                Some(_) => {}
                // One that is being made has no endpoint yet.
                None if instance.endpoint.is_none() => {}
                None => return None,
            }
        }
        Some(readers)
    }

    /// I2: seen, then the state item read anew, then seen again, by whom it was seen: a change that begins or ends in
    /// between must not look like a fault.
    fn is_certain(&self, finding: &Finding, since: u64) -> bool {
        let Some(known) = &self.state else { return false };
        let asked_ms = match finding {
            Finding::ChangeUnfinished => return true,
            Finding::WriterGone(_) | Finding::FormerWriter(_) | Finding::DatabaseBusy(_) => self.rds_asked_ms,
            Finding::ReadersChanged(_) => self.writer().and_then(|id| self.seen.get(id)).map(|seen| seen.asked_ms),
            _ if self.pauses() => self.rds_asked_ms,
            of_instance => of_instance.member().and_then(|id| self.seen.get(id)).map(|seen| seen.asked_ms),
        };
        known.asked_ms > since && asked_ms.is_some_and(|asked_ms| asked_ms > known.answered_ms)
    }
}

#[cfg(test)]
mod tests;
