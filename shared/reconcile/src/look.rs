//! One look at a cluster: what a decision is made from.

use crate::{
    Failure, Outside,
    patience::{lease_of, within},
    waking::{Silences, Waking},
};
use domain::{
    card::{CardMember, Topology},
    failover::{Host, Member, Observed, Seen, Sql, Target},
    records::RecordsSeen,
    state::{Change, GuardSeen, State},
};
use futures_util::future::{join, join_all};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// EC2's answers are younger than this when they are used again in one pass:
/// they lag behind the truth by more, and each costs a tenth of a second.
const HOSTS_KEEP_MS: u64 = 1_000;

/// A look that took longer asks PostgreSQL once more at its end: longer than a
/// probe's time-out by the default policy.
const LOOK_MS: u64 = 1_000;

/// A member that three probes of `watch-clusters` did not reach gets this long
/// to answer once more: enough for a round trip across zones and a login.
const SECOND_CHANCE: Duration = Duration::from_millis(150);

/// Looks at one cluster, again and again within one pass.
pub struct Looks<O> {
    /// The outside of the cluster.
    pub outside: O,
    /// What woke the pass.
    pub waking: Waking,
    /// This pass, as the lease names its holder.
    pub pass: String,
    /// The state item as last read.
    pub state: Option<State>,
    /// The change under way, as last read or written.
    pub change: Option<Change>,
    silences: Arc<Silences>,
    /// Members that did not answer in time. They are not asked again in this
    /// pass: a dead host would cost every look its whole time-out.
    silent: BTreeMap<String, String>,
    hosts: Option<(u64, BTreeMap<String, Host>)>,
    /// The records as read or as moved by this pass. The move itself compares
    /// them with what is there, so that an old copy can do no harm.
    records: Option<RecordsSeen>,
    record_problem: Option<String>,
    stop_problem: Option<String>,
    needs_records: bool,
}

impl<O: Outside> Looks<O> {
    /// Begins a pass.
    pub fn new(outside: O, waking: Waking, pass: String, silences: Arc<Silences>) -> Self {
        Looks {
            outside,
            waking,
            pass,
            state: None,
            change: None,
            silences,
            silent: BTreeMap::new(),
            hosts: None,
            records: None,
            record_problem: None,
            stop_problem: None,
            needs_records: true,
        }
    }

    /// For a pass that has nothing to do with the records: Route 53's API allows
    /// an account five requests a second.
    #[must_use]
    pub fn without_records(mut self) -> Self {
        self.needs_records = false;
        self
    }

    /// The next look asks everybody, also who did not answer in this pass, and
    /// reads the records again.
    pub fn ask_anew(&mut self) {
        self.silent.clear();
        (self.hosts, self.records) = (None, None);
    }

    /// Looks at everything that the next decision needs.
    ///
    /// # Errors
    ///
    /// The [`Failure`] of reading the state item. What else does not answer is
    /// something seen.
    pub async fn look(&mut self) -> Result<Observed, Failure> {
        let state = self.outside.state().await?.unwrap_or_else(State::unclaimed);
        let asked = self.outside.now_ms();
        let (mut sql, (hosts, records)) = join(self.sql(), join(self.hosts(), self.records())).await;
        // What EC2 or Route 53 took long to say has aged what PostgreSQL answered.
        if self.outside.now_ms().saturating_sub(asked) > LOOK_MS {
            sql = self.sql().await;
        }
        if let Ok(hosts) = &hosts
            && !self.keeps_hosts()
        {
            self.hosts = Some((self.outside.now_ms(), hosts.clone()));
        }
        for (id, answer) in &sql {
            if let Sql::Silent(problem) = answer {
                self.silent.insert(id.clone(), problem.clone());
            }
        }
        if let Seen::Known(records) = &records {
            self.records = Some(records.clone());
        }
        let guards = self.guards(&state, &sql).await;
        let now = self.outside.now_ms();
        let card = self.outside.card().clone();
        self.change = state.change.clone();
        self.state = Some(state.clone());
        self.note_answers(&sql, now);
        let silent_since_ms = state.writer.as_ref().and_then(|writer| {
            let answers = !matches!(sql.get(writer), Some(Sql::Refused | Sql::Silent(_)));
            self.silences.note(writer, answers, now)
        });
        Ok(Observed {
            fleet: card.fleet.clone(),
            cluster: card.cluster.clone(),
            silent_since_ms,
            writer_record: card.records.writer.clone(),
            looked_at_ms: now,
            lease: lease_of(&state, &self.pass, now),
            synchronous_required: card.synchronous_required,
            switchover: self.waking.switchover.clone(),
            commits_wait: self.waking.commits_wait,
            members: card.members.iter().map(|member| self.member(member, &hosts, &sql, &guards)).collect(),
            records,
            suspicion: self.waking.suspicion_at(now),
            policy: card.policy,
            state,
        })
    }

    /// When `watch-clusters` last found the writer of record out of recovery.
    pub(crate) fn answered_ms(&self) -> Option<u64> {
        self.waking.answered_ms(self.state.as_ref()?.writer.as_deref()?)
    }

    /// Ends the silences of members that answered since, here or to `watch-clusters`.
    fn note_answers(&self, sql: &BTreeMap<String, Sql>, now: u64) {
        for (id, _) in sql.iter().filter(|(_, answer)| answer.answers()) {
            self.silences.note(id, true, now);
        }
        if let Some(suspicion) = &self.waking.suspicion
            && let Some(at_ms) = suspicion.last_seen_ms
        {
            self.silences.answered(&suspicion.member, at_ms);
        }
    }

    /// A member that this pass can do nothing with counts as one that does not answer.
    pub fn leave_out(&mut self, id: &str, problem: String) {
        self.silent.insert(id.to_owned(), problem);
    }

    /// The next look asks EC2 again; and does not ask for a stop that failed again.
    pub fn stopped(&mut self, problem: Option<String>) {
        self.hosts = None;
        self.stop_problem = problem.or(self.stop_problem.take());
    }

    /// What a call to Route 53 left behind: the records as they are now, or why
    /// it did not do what it was asked.
    pub fn changed_records(&mut self, change: Result<impl FnOnce(&mut RecordsSeen), String>) {
        match change {
            Ok(change) => change(self.records.get_or_insert_default()),
            Err(problem) => self.record_problem = Some(problem),
        }
    }

    fn member(
        &self,
        card: &CardMember,
        hosts: &Result<BTreeMap<String, Host>, String>,
        sql: &BTreeMap<String, Sql>,
        guards: &BTreeMap<String, GuardSeen>,
    ) -> Member {
        let host = match hosts {
            Ok(hosts) => hosts.get(&card.id).cloned().unwrap_or(Host::Missing),
            Err(problem) => Host::Unknown(problem.clone()),
        };
        // Asked for again after a stop that failed, it would be stopped for ever.
        let host = match (&self.stop_problem, host) {
            (Some(problem), Host::Running | Host::Pending) => {
                Host::Unknown(format!("running, and it could not be stopped: {problem}"))
            }
            (_, host) => host,
        };
        Member {
            card: card.clone(),
            host,
            sql: sql.get(&card.id).cloned().unwrap_or(Sql::NotAsked),
            guard: guards.get(&card.id).cloned(),
        }
    }

    /// Asks every member at once.
    async fn sql(&self) -> BTreeMap<String, Sql> {
        let card = self.outside.card();
        let probes = card.members.iter().map(|member| async {
            if let Some(problem) = self.silent.get(&member.id) {
                return (member.id.clone(), Sql::Silent(problem.clone()));
            }
            let suspected = self.waking.suspicion.as_ref().is_some_and(|suspicion| suspicion.member == member.id);
            let timeout = card.policy.probe_timeout();
            let timeout = if suspected { timeout.min(SECOND_CHANCE) } else { timeout };
            (member.id.clone(), self.outside.probe(&target(member), timeout).await)
        });
        join_all(probes).await.into_iter().collect()
    }

    /// What EC2 says of the hosts, or why it says nothing: an outage of its API
    /// alone stops no change whose proof lies elsewhere.
    async fn hosts(&self) -> Result<BTreeMap<String, Host>, String> {
        if let Some((_, hosts)) = self.hosts.as_ref().filter(|_| self.keeps_hosts()) {
            return Ok(hosts.clone());
        }
        within(&self.outside, self.outside.hosts()).await.map_err(|failure| {
            tracing::warn!("{}", failure.story());
            failure.to_string()
        })
    }

    /// Whether EC2's last answer is young enough to be used again.
    fn keeps_hosts(&self) -> bool {
        let now = self.outside.now_ms();
        self.hosts.as_ref().is_some_and(|(at, _)| now.saturating_sub(*at) < HOSTS_KEEP_MS)
    }

    /// What the boot guards of the members wrote that a decision may rest on:
    /// of those whose port refuses, and of the writer. One that cannot be read
    /// proves nothing, and is missing.
    async fn guards(&self, state: &State, sql: &BTreeMap<String, Sql>) -> BTreeMap<String, GuardSeen> {
        // I15: Patroni's members have none.
        if self.outside.card().topology == Topology::Ec2Patroni {
            return BTreeMap::new();
        }
        let from = state.change.as_ref().map(|change| change.from.as_str()).or(state.writer.as_deref());
        let asked = sql.iter().filter(|(id, answer)| {
            // A full disk of the writer is told of while PostgreSQL still lives.
            matches!(answer, Sql::Refused) || Some(id.as_str()) == from
        });
        let guards = asked.map(|(id, _)| async move {
            match within(&self.outside, self.outside.guard(id)).await {
                Ok(guard) => Some((id.clone(), guard?)),
                Err(failure) => {
                    tracing::warn!("{}", failure.story());
                    None
                }
            }
        });
        join_all(guards).await.into_iter().flatten().collect()
    }

    async fn records(&self) -> Seen<RecordsSeen> {
        if !self.needs_records {
            return Seen::NotAsked;
        }
        if let Some(problem) = &self.record_problem {
            return Seen::Unavailable(problem.clone());
        }
        if let Some(records) = &self.records {
            return Seen::Known(records.clone());
        }
        match within(&self.outside, self.outside.records()).await {
            Ok(records) => Seen::Known(records),
            Err(failure) => Seen::Unavailable(failure.story()),
        }
    }
}

/// A member as a call names it.
#[must_use]
pub fn target(member: &CardMember) -> Target {
    Target { id: member.id.clone(), name: member.name.clone(), address: member.address }
}
