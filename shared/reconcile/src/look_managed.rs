//! One look at a cluster that AWS runs.

use crate::{
    Failure, Managed,
    keeper::WAITING,
    patience::{lease_of, within},
    waking::{Silences, Waking},
};
use domain::{
    failover::{Seen, Sql},
    managed::{Described, Lag, NamesSeen, Observed, ROLES},
    region,
    state::{Change, State},
};
use futures_util::future::{join, join_all, join3};
use std::{collections::BTreeMap, sync::Arc};

/// Looks at one managed cluster, again and again within one pass.
pub struct ManagedLooks<O> {
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
    /// The records as read or as moved by this pass.
    names: Option<NamesSeen>,
    name_problem: Option<String>,
}

/// What one look yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedSeen {
    /// The cluster.
    pub seen: Observed,
    /// Whether this Region serves it. Where it does not, its roles are none of a pass's business.
    pub serves: bool,
}

impl<O: Managed> ManagedLooks<O> {
    /// Begins a pass.
    pub fn new(outside: O, waking: Waking, pass: String, silences: Arc<Silences>) -> Self {
        ManagedLooks { outside, waking, pass, state: None, change: None, silences, names: None, name_problem: None }
    }

    /// The next look reads the records again.
    pub fn ask_anew(&mut self) {
        self.names = None;
    }

    /// What a call to Route 53 left behind: the records as they are now, or why it did not do what it was asked.
    pub fn changed_names(&mut self, change: Result<impl FnOnce(&mut NamesSeen), String>) {
        match change {
            Ok(change) => change(self.names.get_or_insert_default()),
            Err(problem) => self.name_problem = Some(problem),
        }
    }

    /// Looks at everything that the next decision needs.
    ///
    /// # Errors
    ///
    /// The [`Failure`] of reading the state table. What else does not answer is something seen.
    pub async fn look(&mut self) -> Result<ManagedSeen, Failure> {
        let state = self.outside.state().await?.unwrap_or_else(State::unclaimed);
        let outside = &self.outside;
        let kept = join3(outside.kept(WAITING), outside.kept(ROLES), self.region());
        let (rds, names, (waiting, roles, serves)) =
            join3(within(outside, outside.describe()), self.names(), kept).await;
        let (waiting, roles, serves) = (waiting?, roles?, serves?);
        let rds = rds.map_or_else(|failure| Seen::Unavailable(failure.story()), Seen::Known);
        // Last, since their answers are what a change rests on, and age fastest.
        let (sql, lags) = if serves { self.ask(&rds, &state).await } else { Default::default() };
        if let Seen::Known(names) = &names {
            self.names = Some(names.clone());
        }
        self.change = state.change.clone();
        self.state = Some(state.clone());
        let now = self.outside.now_ms();
        let seen = Observed {
            card: self.outside.card().clone(),
            looked_at_ms: now,
            lease: lease_of(&state, &self.pass, now),
            rds,
            answered_ms: state.writer.as_deref().and_then(|writer| self.waking.answered_ms(writer)),
            silent_since_ms: self.silent_since(&state, &sql, now),
            sql,
            lags,
            records: names,
            suspicion: self.waking.suspicion_at(now),
            waiting: waiting.and_then(|kept| serde_json::from_value(kept).ok()),
            roles: roles.map(serde_json::from_value).transpose().map_err(|error| not_roles(&error))?,
            switchover: self.waking.switchover.clone(),
            state,
        };
        Ok(ManagedSeen { seen, serves })
    }

    /// Whether this Region serves the cluster: asked of the item that a takeover writes, where there are two.
    async fn region(&self) -> Result<bool, Failure> {
        let card = self.outside.card();
        if card.other.is_none() {
            return Ok(true);
        }
        Ok(region::serves(card.side, self.outside.kept(region::ITEM).await?.as_ref()))
    }

    /// Asks PostgreSQL on every instance, and the replicas for their lag, all at once.
    async fn ask(&self, rds: &Seen<Described>, state: &State) -> (BTreeMap<String, Sql>, BTreeMap<String, Lag>) {
        let Seen::Known(described) = rds else { return Default::default() };
        if self.lets_sleep(described, state) {
            let quiet = described.instances.iter().map(|instance| (instance.id.clone(), Sql::NotAsked));
            return (quiet.collect(), BTreeMap::new());
        }
        let timeout = self.outside.card().policy.probe_timeout();
        let probes = described.instances.iter().map(|instance| async move {
            let sql = match &instance.endpoint {
                Some(endpoint) => self.outside.probe(endpoint, timeout).await,
                None => Sql::NotAsked,
            };
            (instance.id.clone(), sql)
        });
        let lags = within(&self.outside, async { Ok(self.outside.lags(described).await) });
        let (sql, lags) = join(join_all(probes), lags).await;
        let lags = lags.unwrap_or_else(|failure| {
            tracing::warn!("{}", failure.story());
            BTreeMap::new()
        });
        (sql.into_iter().collect(), lags)
    }

    /// Who is asked, resumes: nobody is woken only because a schedule is due.
    fn lets_sleep(&self, described: &Described, state: &State) -> bool {
        let pauses = described.db_cluster.as_ref().is_some_and(|cluster| cluster.pauses);
        pauses && self.waking.by_schedule && state.change.is_none()
    }

    async fn names(&self) -> Seen<NamesSeen> {
        if let Some(problem) = &self.name_problem {
            return Seen::Unavailable(problem.clone());
        }
        if let Some(names) = &self.names {
            return Seen::Known(names.clone());
        }
        within(&self.outside, self.outside.names())
            .await
            .map_or_else(|failure| Seen::Unavailable(failure.story()), Seen::Known)
    }

    /// Since when the writer of record is silent, as this process saw it.
    fn silent_since(&self, state: &State, sql: &BTreeMap<String, Sql>, now: u64) -> Option<u64> {
        for (id, _) in sql.iter().filter(|(_, answer)| answer.answers()) {
            self.silences.note(id, true, now);
        }
        if let Some(suspicion) = &self.waking.suspicion
            && let Some(at_ms) = suspicion.last_seen_ms
        {
            self.silences.answered(&suspicion.member, at_ms);
        }
        let writer = state.writer.as_ref()?;
        let silent = matches!(sql.get(writer), Some(Sql::Refused | Sql::Silent(_)));
        self.silences.note(writer, !silent, now)
    }
}

/// A stack is rendered by them: what is no list of roles is not taken for none.
fn not_roles(error: &serde_json::Error) -> Failure {
    Failure::Broken { call: "dynamodb:GetItem", what: format!("item {ROLES} is not what it should be: {error}") }
}
