//! The instances of a cluster that AWS runs: what RDS says of them, and a loop for each that it knows.

use super::{Asks, Found, Heard, Prober, tell};
use crate::{Probed, World, watch::Answer};
use domain::{card::ManagedCard, failover::Sql, policy::Policy};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

/// RDS is asked so often, and at once when what is seen contradicts it: its API allows an account few calls, and an
/// endpoint's name outlives every failover.
const RDS_EVERY: Duration = Duration::from_secs(30);

/// But no more often than this, whatever is seen.
const RDS_AT_MOST_EVERY: Duration = Duration::from_secs(5);

/// The loops of one cluster's instances.
pub(super) struct Instances<W: World> {
    prober: Prober<W>,
    card: Arc<ManagedCard>,
    heard: mpsc::UnboundedSender<Heard>,
    /// Endpoints by identifier, as last known.
    endpoints: watch::Sender<BTreeMap<String, String>>,
    probed: BTreeSet<String>,
    trouble: Arc<Notify>,
}

impl<W: World> Instances<W> {
    /// Begins to ask RDS.
    pub fn watch(
        prober: Prober<W>,
        card: ManagedCard,
        heard: mpsc::UnboundedSender<Heard>,
        loops: &mut JoinSet<()>,
    ) -> Self {
        let (card, trouble) = (Arc::new(card), Arc::new(Notify::new()));
        loops.spawn(keep_described(prober.clone(), card.clone(), heard.clone(), trouble.clone()));
        let endpoints = watch::Sender::new(BTreeMap::new());
        Instances { prober, card, heard, endpoints, probed: BTreeSet::new(), trouble }
    }

    /// Asks RDS now, not when its turn comes.
    pub fn ask_rds(&self) {
        self.trouble.notify_one();
    }

    /// These are the instances now. One that is new gets a loop; one that is gone is asked until the run ends: its
    /// silence is seen, and may be that of the writer of record.
    pub fn are(&mut self, now: BTreeMap<String, String>, loops: &mut JoinSet<()>) {
        let interval = self.card.policy.probe_interval();
        let new: Vec<&String> = now.keys().filter(|id| !self.probed.contains(*id)).collect();
        let shares = new.len().max(1) as f64;
        for (place, id) in new.into_iter().enumerate() {
            let offset = interval.mul_f64(place as f64 / shares);
            let (card, endpoints) = (self.card.clone(), self.endpoints.subscribe());
            let asks = Instance { card, id: id.clone(), endpoints };
            loops.spawn(self.prober.clone().probe(asks, offset, self.heard.clone()));
            self.probed.insert(id.clone());
        }
        self.endpoints.send_if_modified(|known| {
            let changed = now.iter().any(|(id, endpoint)| known.get(id) != Some(endpoint));
            known.extend(now);
            changed
        });
    }
}

/// An instance of a cluster that AWS runs.
struct Instance {
    card: Arc<ManagedCard>,
    id: String,
    endpoints: watch::Receiver<BTreeMap<String, String>>,
}

impl<W: World> Asks<W> for Instance {
    fn policy(&self) -> Policy {
        self.card.policy
    }

    async fn ask(&self, world: &W, login: &W::Access) -> Probed {
        let endpoint = self.endpoints.borrow().get(&self.id).cloned();
        match endpoint {
            Some(endpoint) => world.probe_endpoint(login, &self.card, &endpoint).await,
            None => Probed { sql: Sql::NotAsked, login_refused: false },
        }
    }

    fn heard(&self, Found { asked_ms, took_ms, sql }: Found) -> Heard {
        Heard::Answer(Answer { id: self.id.clone(), asked_ms, took_ms, sql })
    }
}

/// Asks RDS at every turn, and when there is trouble.
async fn keep_described<W: World>(
    prober: Prober<W>,
    card: Arc<ManagedCard>,
    heard: mpsc::UnboundedSender<Heard>,
    trouble: Arc<Notify>,
) {
    let (world, mut problem) = (&prober.run.world, String::new());
    loop {
        let asked_ms = world.now_ms();
        match world.describe(&card).await {
            Ok(described) => {
                problem.clear();
                let answered_ms = world.now_ms();
                if heard.send(Heard::Rds { described: Box::new(described), asked_ms, answered_ms }).is_err() {
                    return;
                }
            }
            Err(failure) => {
                let story = failure.story();
                tell(&mut problem, format!("{}: goes on with what RDS said last: {story}", card.cluster));
            }
        }
        sleep(RDS_AT_MOST_EVERY).await;
        drop(timeout(RDS_EVERY - RDS_AT_MOST_EVERY, trouble.notified()).await);
    }
}
