//! What is seen from outside while Patroni fails over: who leads, whom the load balancer takes for the writer, and when.

use crate::{
    clock::Moment,
    cluster::{Cluster, WRITER_PORT},
    control,
    error::{Error, cannot},
    patroni::Patroni,
    place::Place,
    report::Pair,
};
use serde::Serialize;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::sleep;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(150);

/// What was seen first of another member than the one that led before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times {
    /// Its agent said that it leads.
    pub leader: Option<(String, Moment)>,
    /// The load balancer's health checks found it.
    pub front: Option<(String, Moment)>,
}

/// When things moved in a cluster that Patroni leads, each from the fault, as the lab saw it from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Measured {
    /// The instance id of the member that Patroni says leads, before and after.
    pub leader: Pair<String>,
    /// Until the agent of another member said that it leads. All are asked at once and each look waits for all, so a
    /// dead host makes this up to 1.2 s late.
    pub leader_ms: Option<u64>,
    /// Until the load balancer's health checks found another member for the writer's port. Rows may be accepted before:
    /// with no healthy target a load balancer tries any.
    pub front_ms: Option<u64>,
    /// Until the writer record had moved.
    pub record_ms: Option<u64>,
    /// The healthy targets of the writer's port in the end, by instance id.
    pub front: Vec<String>,
}

/// The watch over one cluster; it ends when dropped.
pub struct Led {
    times: Arc<Mutex<Times>>,
    task: tokio::task::JoinHandle<()>,
    patroni: Arc<Patroni>,
    balancer: String,
    before: Option<String>,
}

impl Drop for Led {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Led {
    /// Begins to look at a cluster; `None` for one that Patroni does not lead.
    pub async fn start(place: &Place, cluster: &Cluster) -> Result<Option<Led>, Error> {
        let Some(card) = &cluster.card.patroni else { return Ok(None) };
        let patroni = Arc::new(Patroni::of(place, cluster, card)?);
        let before = match &patroni.leaders().await[..] {
            [leader] => leader.id.clone(),
            leaders => return Err(cannot("begin a run")(format!("{} members lead by Patroni's word", leaders.len()))),
        };
        let times = Arc::new(Mutex::new(Times::default()));
        let (seen, asked, name, old) =
            (Arc::clone(&times), Arc::clone(&patroni), card.balancer.clone(), before.clone());
        let task = tokio::spawn(async move {
            loop {
                let front = writers(&name).await.into_iter().find(|(id, _)| *id != old);
                let leader = asked.leaders().await.into_iter().map(|member| member.id).find(|id| *id != old);
                note(&seen, leader, front);
                sleep(LOOK).await;
            }
        });
        Ok(Some(Led { times, task, patroni, balancer: card.balancer.clone(), before: Some(before) }))
    }

    /// What was seen so far.
    pub fn times(&self) -> Times {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What became of it, `record_moved` when the record did.
    pub async fn measure(&self, struck: Moment, record_moved: Option<Moment>) -> Measured {
        let times = self.times();
        let since = |at: Option<&(String, Moment)>| at.map(|(_, at)| at.ms_since(struck));
        let after = match &self.patroni.leaders().await[..] {
            [leader] => Some(leader.id.clone()),
            _ => None,
        };
        let leader: Pair<String> = [self.before.clone(), after];
        Measured {
            leader,
            leader_ms: since(times.leader.as_ref()),
            front_ms: since(times.front.as_ref()),
            record_ms: record_moved.map(|at| at.ms_since(struck)),
            front: writers(&self.balancer).await.into_iter().map(|(id, _)| id).collect(),
        }
    }
}

/// Keeps what was seen first.
fn note(times: &Mutex<Times>, leader: Option<String>, front: Option<(String, Moment)>) {
    let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
    times.front = times.front.take().or(front);
    times.leader = times.leader.take().or_else(|| Some((leader?, Moment::now())));
}

/// The healthy targets of a balancer's writer port; none when it cannot be asked, since the next look is soon.
async fn writers(balancer: &str) -> Vec<(String, Moment)> {
    let fronts = control::fronts().await.unwrap_or_default();
    let front = fronts.into_iter().find(|front| front.dns_name == balancer);
    front.map(|front| front.healthy(WRITER_PORT)).unwrap_or_default()
}
