//! One cluster in AWS: what a pass looks at.

use crate::fleet::{Clients, Waking};
use cloud::now_ms;
use domain::{
    card::{Card, CardMember},
    failover::{Host, Lease, Member, Observed, Seen, Sql, Suspicion},
    records::RecordsSeen,
    state::{Change, State},
};
use postgres::{Connector, Target};
use reconcile::Failure;
use std::{collections::BTreeMap, time::Duration};
use tokio::task::JoinSet;

/// EC2's answers are younger than this when they are used again in one pass:
/// they lag behind the truth by more, and each costs a tenth of a second.
const HOSTS_KEEP_MS: u64 = 1_000;

/// A member that three probes of `watch-clusters` did not reach gets this long
/// to answer once more: enough for a round trip across zones and a login.
const SECOND_CHANCE: Duration = Duration::from_millis(500);

/// One pass over one cluster.
pub struct InAws<'a> {
    pub(crate) clients: &'a Clients,
    pub(crate) card: Card,
    pub(crate) connector: Connector,
    pub(crate) waking: Waking,
    /// This pass, as the lease names its holder.
    pub(crate) pass: String,
    /// When Lambda ends this invocation, in milliseconds since 1970.
    pub(crate) deadline_ms: u64,
    /// What this pass has learnt.
    pub(crate) learnt: Learnt,
}

/// What one look of a pass hands on to the next.
#[derive(Default)]
pub(crate) struct Learnt {
    /// The change under way, as last written to the state item.
    pub change: Option<Change>,
    pub state: Option<State>,
    pub holds_lease: bool,
    /// Members that did not answer in time. They are not asked again in this
    /// pass: a dead host would cost every look its whole time-out.
    silent: BTreeMap<String, String>,
    hosts: Option<(u64, BTreeMap<String, Host>)>,
    /// The records as read or as moved by this pass. The move itself compares
    /// them with what is there, so that an old copy can do no harm.
    pub records: Option<RecordsSeen>,
    /// Why Route 53 did not do what it was asked.
    pub record_problem: Option<String>,
    /// Why the old writer's instance could not be stopped.
    pub stop_problem: Option<String>,
}

impl Learnt {
    /// A member that this pass can do nothing with counts as one that does not answer.
    pub(crate) fn leave_out(&mut self, id: &str, problem: String) {
        self.silent.insert(id.to_owned(), problem);
    }
}

impl InAws<'_> {
    pub(crate) async fn look(&mut self) -> Result<Observed, Failure> {
        let state = self.clients.states.read(&self.card.cluster).await?;
        let (members, records) = tokio::join!(self.sql(), self.records());
        let hosts = self.hosts().await;
        let (sql, silent) = members;
        self.learnt.silent.extend(silent);
        if let Seen::Known(records) = &records {
            self.learnt.records = Some(records.clone());
        }
        let now = now_ms();
        let state = state.unwrap_or_else(unclaimed);
        self.learnt.change = state.change.clone();
        self.learnt.state = Some(state.clone());
        let members = self.card.members.iter().map(|card| self.member(card, &hosts, &sql)).collect();
        let silent_since_ms = state.writer.as_ref().and_then(|writer| {
            let answers = !matches!(sql.get(writer), Some(Sql::Refused | Sql::Silent(_)));
            self.clients.silences.note(writer, answers, now)
        });
        Ok(Observed {
            cluster: self.card.cluster.clone(),
            silent_since_ms,
            writer_record: self.card.records.writer.clone(),
            looked_at_ms: now,
            lease: self.lease(&state, now),
            since_change: (state.changed_at_ms > 0)
                .then(|| Duration::from_millis(now.saturating_sub(state.changed_at_ms))),
            members,
            records,
            suspicion: self.suspicion(now),
            policy: self.card.policy,
            state,
        })
    }

    fn member(
        &self,
        card: &CardMember,
        hosts: &Result<BTreeMap<String, Host>, String>,
        sql: &BTreeMap<String, Sql>,
    ) -> Member {
        let host = match hosts {
            Ok(hosts) => hosts.get(&card.id).cloned().unwrap_or(Host::Missing),
            Err(problem) => Host::Unknown(problem.clone()),
        };
        // Asked for again after a stop that failed, it would be stopped for ever.
        let host = match (&self.learnt.stop_problem, host) {
            (Some(problem), Host::Running | Host::Pending) => {
                Host::Unknown(format!("running, and it could not be stopped: {problem}"))
            }
            (_, host) => host,
        };
        Member { card: card.clone(), host, sql: sql.get(&card.id).cloned().unwrap_or(Sql::NotAsked) }
    }

    /// Asks every member at once.
    async fn sql(&self) -> (BTreeMap<String, Sql>, BTreeMap<String, String>) {
        let mut answers = BTreeMap::new();
        let mut probes = JoinSet::new();
        for member in &self.card.members {
            if let Some(problem) = self.learnt.silent.get(&member.id) {
                answers.insert(member.id.clone(), Sql::Silent(problem.clone()));
                continue;
            }
            let suspected = self.waking.suspicion.as_ref().is_some_and(|suspicion| suspicion.member == member.id);
            let probe_timeout = self.card.policy.probe_timeout();
            let timeout = if suspected { probe_timeout.min(SECOND_CHANCE) } else { probe_timeout };
            let (connector, target, id) =
                (self.connector.clone(), Target::member(&self.card, member), member.id.clone());
            probes.spawn(async move { (id, connector.probe(&target, timeout).await) });
        }
        let mut silent = BTreeMap::new();
        while let Some(probed) = probes.join_next().await {
            // A probe that panicked leaves its member `NotAsked`, which decides nothing.
            let Ok((id, sql)) = probed else { continue };
            if let Sql::Silent(problem) = &sql {
                silent.insert(id.clone(), problem.clone());
            }
            answers.insert(id, sql);
        }
        (answers, silent)
    }

    /// What EC2 says of the hosts, or why it says nothing: an outage of its API
    /// alone stops no change whose proof lies elsewhere.
    async fn hosts(&mut self) -> Result<BTreeMap<String, Host>, String> {
        let now = now_ms();
        if let Some((at, hosts)) = &self.learnt.hosts
            && now.saturating_sub(*at) < HOSTS_KEEP_MS
        {
            return Ok(hosts.clone());
        }
        let ids: Vec<String> = self.card.members.iter().map(|member| member.id.clone()).collect();
        match self.clients.ec2.hosts(&ids).await {
            Ok(hosts) => {
                self.learnt.hosts = Some((now, hosts.clone()));
                Ok(hosts)
            }
            Err(failure) => {
                tracing::warn!("{}", failure.story());
                Err(failure.to_string())
            }
        }
    }

    pub(crate) fn forget_hosts(&mut self) {
        self.learnt.hosts = None;
    }

    async fn records(&self) -> Seen<RecordsSeen> {
        if let Some(problem) = &self.learnt.record_problem {
            return Seen::Unavailable(problem.clone());
        }
        if let Some(records) = &self.learnt.records {
            return Seen::Known(records.clone());
        }
        match self.clients.route53.read(&self.card.records).await {
            Ok(records) => Seen::Known(records),
            Err(failure) => Seen::Unavailable(failure.story()),
        }
    }

    fn lease(&self, state: &State, now: u64) -> Lease {
        match &state.holder {
            Some(holder) if holder.expires_at_ms <= now => Lease::Free,
            Some(holder) if holder.id == self.pass => Lease::Mine,
            Some(holder) => Lease::Other(Duration::from_millis(holder.expires_at_ms - now)),
            None => Lease::Free,
        }
    }

    fn suspicion(&self, now: u64) -> Option<Suspicion> {
        let suspicion = self.waking.suspicion.as_ref()?;
        Some(Suspicion {
            member: suspicion.member.clone(),
            failures: suspicion.failures,
            silent_for: Duration::from_millis(now.saturating_sub(suspicion.silent_since_ms)),
            last_lsn: suspicion.last_lsn,
            synchronous_setting: suspicion.synchronous_setting.clone(),
        })
    }
}

fn unclaimed() -> State {
    State { epoch: 0, writer: None, synchronous: Default::default(), holder: None, change: None, changed_at_ms: 0 }
}
