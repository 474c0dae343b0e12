//! One run over the fleet.

use crate::{
    Cards, World,
    cluster::{Left, Run, watch_cluster},
    event::Origin,
    metrics,
};
use domain::{
    card::{Card, Registered},
    policy::Policy,
};
use reconcile::Failure;
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{sync::Mutex, task::JoinSet, time::Instant};

/// A run lasts for its schedule's minute and this overlap with the next one.
/// The default policy needs 4 s to suspect a writer; the schedule and a cold
/// start may be some seconds late.
const RUN: Duration = Duration::from_secs(70);

/// A run ends this long before Lambda would end it: time for wake-ups under
/// way, the last metrics and the answer.
const BEFORE_DEADLINE: Duration = Duration::from_secs(3);

/// Watches the clusters of a fleet, run after run.
pub struct Watcher<W: World> {
    world: Arc<W>,
    fleet: String,
    /// What the last run left, so that a warm function outlives an outage of
    /// the services that it reads its cards and logins from.
    last: Mutex<Last<W::Access>>,
}

struct Last<Access> {
    cards: Option<Cards>,
    clusters: BTreeMap<String, Left<Access>>,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Clusters watched.
    pub clusters: usize,
    /// Parameters that should be cards and are not.
    pub unreadable: Vec<String>,
    /// Probes made.
    pub probes: u64,
    /// Wake-ups sent to `promote-replica`.
    pub raised: u64,
}

impl<W: World> Watcher<W> {
    /// Watches this fleet.
    pub fn new(world: W, fleet: String) -> Self {
        let last = Mutex::new(Last { cards: None, clusters: BTreeMap::new() });
        Watcher { world: Arc::new(world), fleet, last }
    }

    /// Runs once, at most until shortly before `deadline_ms`.
    ///
    /// # Errors
    ///
    /// The [`Failure`] of reading the cards, when no earlier run of this
    /// process has read them.
    pub async fn run(&self, origin: Origin, deadline_ms: u64) -> Result<Report, Failure> {
        let started = Instant::now();
        let mut last = self.last.lock().await;
        let found = self.cards(last.cards.take()).await?;
        let until = (started + RUN).min(self.last_moment(deadline_ms));
        let run = Arc::new(Run { world: self.world.clone(), fleet: self.fleet.clone(), origin, until });
        // Once a run, so once a minute.
        self.world.measured(&metrics::cards_unreadable(self.world.now_ms(), &self.fleet, found.unreadable.len()));
        let mut report = Report { clusters: found.cards.len(), unreadable: vec![], probes: 0, raised: 0 };
        for (parameter, problem) in &found.unreadable {
            tracing::error!("{parameter} is not a card, and its cluster is not watched: {problem}");
            report.unreadable.push(parameter.clone());
        }
        let mut clusters = JoinSet::new();
        for (place, card) in found.cards.iter().enumerate() {
            let left = last.clusters.remove(card.cluster());
            let work = watch_cluster(run.clone(), card.clone(), left, offset(card, place, found.cards.len()));
            let name = card.cluster().to_owned();
            clusters.spawn(async move { (name, work.await) });
        }
        // Clusters without a card any more are forgotten.
        last.clusters.clear();
        while let Some(ended) = clusters.join_next().await {
            match ended {
                Ok((name, left)) => {
                    report.probes += left.probes;
                    report.raised += left.raised;
                    last.clusters.insert(name, left);
                }
                Err(error) => tracing::error!("the watch of a cluster broke off: {error}"),
            }
        }
        last.cards = Some(found);
        Ok(report)
    }

    /// The cards of now; or, when they cannot be read, of the last run.
    async fn cards(&self, last: Option<Cards>) -> Result<Cards, Failure> {
        match (self.world.cards().await, last) {
            (Ok(found), _) => {
                if found.cards.is_empty() && found.unreadable.is_empty() {
                    tracing::warn!("fleet {} has no cluster: no card below {}", self.fleet, Card::folder(&self.fleet));
                }
                Ok(found)
            }
            (Err(failure), Some(last)) => {
                tracing::error!("going on with the cards of the last run: {}", failure.story());
                Ok(last)
            }
            (Err(failure), None) => Err(failure),
        }
    }

    fn last_moment(&self, deadline_ms: u64) -> Instant {
        let left = Duration::from_millis(deadline_ms.saturating_sub(self.world.now_ms()));
        let run = left.saturating_sub(BEFORE_DEADLINE);
        if run < Duration::from_secs(60) {
            let run = run.as_secs();
            tracing::warn!(
                "this run ends after {run} s and leaves a hole before the next: the function's time-out must be 75 s"
            );
        }
        Instant::now() + run
    }
}

/// A cluster's share of its first interval: a fleet's probes are spread over
/// it, and not all TLS handshakes begin in one instant.
fn offset(card: &Registered, place: usize, clusters: usize) -> Duration {
    let (members, policy): (usize, &Policy) = match card {
        Registered::Ec2(card) => (card.members.len(), &card.policy),
        Registered::Managed(card) => (card.instances.len(), &card.policy),
    };
    policy.probe_interval().mul_f64(place as f64 / (clusters * members.max(1)) as f64)
}
