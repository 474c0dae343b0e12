//! One look at a cluster: what a decision is made from.

use crate::{Failure, Outside};
use domain::{
    card::{CardMember, Topology},
    failover::{Host, Lease, Member, Observed, Seen, Sql, Suspicion, Target},
    lsn::Lsn,
    records::RecordsSeen,
    state::{Change, GuardSeen, Holder, State},
};
use futures_util::future::{Either, join, join_all, select};
use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// EC2's answers are younger than this when they are used again in one pass:
/// they lag behind the truth by more, and each costs a tenth of a second.
const HOSTS_KEEP_MS: u64 = 1_000;

/// A suspicion that is older than this when it wakes a pass counts for nothing:
/// a new one comes every two seconds. Clocks of functions differ by less.
const SUSPICION_KEEPS_MS: u64 = 5_000;

/// A look that took longer asks PostgreSQL once more at its end: longer than a
/// probe's time-out by the default policy.
const LOOK_MS: u64 = 1_000;

/// Longer than this no look waits for EC2, Route 53 or the state table's other
/// items: what they did not say is not known.
const PATIENCE: Duration = Duration::from_secs(3);

/// A member that three probes of `watch-clusters` did not reach gets this long
/// to answer once more: enough for a round trip across zones and a login.
const SECOND_CHANCE: Duration = Duration::from_millis(150);

/// What woke a pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waking {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// In words, for the page.
    pub by: String,
    /// What `watch-clusters` saw of a silent writer, when it was that.
    pub suspicion: Option<Suspected>,
    /// To which member a person wants the writer moved.
    pub switchover: Option<String>,
    /// `watch-clusters` found commits that wait for standbys.
    pub commits_wait: bool,
}

/// The suspicion as it came: with a time instead of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspected {
    /// Instance id.
    pub member: String,
    /// Failed probes in a row.
    pub failures: u32,
    /// When the first of them began, in milliseconds since 1970.
    pub silent_since_ms: u64,
    /// When it was raised, in milliseconds since 1970.
    pub raised_at_ms: u64,
    /// When a probe last found it out of recovery, in milliseconds since 1970.
    pub last_seen_ms: Option<u64>,
    /// Last write position that a probe saw.
    pub last_lsn: Option<Lsn>,
    /// Last `synchronous_standby_names` that a probe saw.
    pub synchronous_setting: Option<String>,
}

/// Since when writers are silent, as this process first saw it. A pass that
/// comes too early (`stopping` is no proof) thus leaves the time to the one
/// that acts, when Lambda gives both to one process; for the story only.
#[derive(Debug, Default)]
pub struct Silences(Mutex<BTreeMap<String, u64>>);

impl Silences {
    /// Notes whether a member answers now; since when it does not.
    fn note(&self, member: &str, answers: bool, now_ms: u64) -> Option<u64> {
        // A lock that a panic poisoned still holds times.
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answers {
            since.remove(member);
            return None;
        }
        Some(*since.entry(member.to_owned()).or_insert(now_ms))
    }

    /// It answered at this time, by somebody else's probe: what was noted before
    /// is another silence, which is over.
    fn answered(&self, member: &str, at_ms: u64) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if since.get(member).is_some_and(|since| *since < at_ms) {
            since.remove(member);
        }
    }
}

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
            lease: self.lease(&state, now),
            synchronous_required: card.synchronous_required,
            switchover: self.waking.switchover.clone(),
            commits_wait: self.waking.commits_wait,
            members: card.members.iter().map(|member| self.member(member, &hosts, &sql, &guards)).collect(),
            records,
            suspicion: self.suspicion(now),
            policy: card.policy,
            state,
        })
    }

    /// When `watch-clusters` last found the writer of record out of recovery, as
    /// the suspicion that woke this pass says.
    pub(crate) fn answered_ms(&self) -> Option<u64> {
        let writer = self.state.as_ref()?.writer.as_ref()?;
        self.waking.suspicion.as_ref().filter(|suspicion| suspicion.member == *writer)?.last_seen_ms
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
        self.within(self.outside.hosts()).await.map_err(|failure| {
            tracing::warn!("{}", failure.story());
            failure.to_string()
        })
    }

    /// Whether EC2's last answer is young enough to be used again.
    fn keeps_hosts(&self) -> bool {
        let now = self.outside.now_ms();
        self.hosts.as_ref().is_some_and(|(at, _)| now.saturating_sub(*at) < HOSTS_KEEP_MS)
    }

    /// What a call answers, if it does so in time: a look is worth nothing when
    /// its parts are seconds apart.
    async fn within<T>(&self, call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        match select(pin!(call), pin!(self.outside.sleep(PATIENCE))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => {
                let source = format!("no answer within {} s", PATIENCE.as_secs());
                Err(Failure::Transient { call: "look", source: source.into() })
            }
        }
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
            match self.within(self.outside.guard(id)).await {
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
        match self.within(self.outside.records()).await {
            Ok(records) => Seen::Known(records),
            Err(failure) => Seen::Unavailable(failure.story()),
        }
    }

    fn lease(&self, state: &State, now: u64) -> Lease {
        match &state.holder {
            Some(Holder { expires_at_ms, .. }) if *expires_at_ms <= now => Lease::Free,
            Some(Holder { id, .. }) if *id == self.pass => Lease::Mine,
            Some(Holder { expires_at_ms, .. }) => Lease::Other(Duration::from_millis(expires_at_ms - now)),
            None => Lease::Free,
        }
    }

    fn suspicion(&self, now: u64) -> Option<Suspicion> {
        // Lambda may bring it late, or again: the silence that it tells of may be over, and another begun.
        let fresh = |told: &&Suspected| self.waking.at_ms.saturating_sub(told.raised_at_ms) <= SUSPICION_KEEPS_MS;
        let suspicion = self.waking.suspicion.as_ref().filter(fresh)?;
        Some(Suspicion {
            member: suspicion.member.clone(),
            failures: suspicion.failures,
            silent_for: Duration::from_millis(now.saturating_sub(suspicion.silent_since_ms)),
            last_lsn: suspicion.last_lsn,
            synchronous_setting: suspicion.synchronous_setting.clone(),
        })
    }
}

/// A member as a call names it.
#[must_use]
pub fn target(member: &CardMember) -> Target {
    Target { id: member.id.clone(), name: member.name.clone(), address: member.address }
}
