//! Watching one cluster: a loop for each member, one for the state item, one
//! for the login; where AWS runs it, one for RDS's word. None waits for another.

mod instances;
mod items;

use crate::{
    Probed, World,
    event::Origin,
    metrics::Sample,
    watch::{Act, Answer, ManagedWatch, Memory, Probe, Watch},
};
use domain::{
    card::{Card, Registered},
    events::Function,
    failover::Sql,
    managed::Described,
    policy::Policy,
    state::State,
};
use instances::Instances;
use items::{keep_login, keep_state};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, interval_at, sleep, timeout, timeout_at},
};

/// One document of metrics in so much time.
const METRICS_EVERY: Duration = Duration::from_secs(10);

/// A probe ends by itself in its time; one that hangs all the same is given up
/// after this much more, so that its member is still watched.
const PROBE_MARGIN: Duration = Duration::from_millis(200);

/// Wake-ups under way when the run ends get this long to arrive.
const LAST_CALLS: Duration = Duration::from_secs(2);

/// What all clusters of a run share.
pub(crate) struct Run<W> {
    pub world: Arc<W>,
    pub fleet: String,
    pub origin: Origin,
    pub until: Instant,
}

/// What a run leaves behind for the next one.
pub(crate) struct Left<Access> {
    pub memory: Memory,
    pub access: Option<Access>,
    pub probes: u64,
    pub raised: u64,
}

enum Heard {
    Probe(Probe),
    Answer(Answer),
    State { state: Box<State>, serves: bool, asked_ms: u64, answered_ms: u64 },
    Disk { member: String, full: bool },
    Rds { described: Box<Described>, asked_ms: u64, answered_ms: u64 },
}

/// What is known of a cluster, by who runs its servers.
#[allow(clippy::large_enum_variant, reason = "one for each cluster, and both are large")]
enum Eyes {
    Ec2(Watch),
    Managed(ManagedWatch),
}

impl Eyes {
    fn learn(&mut self, heard: Heard, now_ms: u64) -> Vec<Act> {
        match (self, heard) {
            (Eyes::Ec2(watch), Heard::Probe(probe)) => watch.probed(probe),
            (Eyes::Ec2(watch), Heard::State { state, asked_ms, answered_ms, .. }) => {
                watch.told_state(*state, asked_ms, answered_ms)
            }
            (Eyes::Ec2(watch), Heard::Disk { member, full }) => watch.told_disk(member, full, now_ms),
            (Eyes::Managed(watch), Heard::Answer(answer)) => watch.probed(answer),
            (Eyes::Managed(watch), Heard::State { state, serves, asked_ms, answered_ms }) => {
                watch.told_state(*state, serves, asked_ms, answered_ms)
            }
            (Eyes::Managed(watch), Heard::Rds { described, asked_ms, answered_ms }) => {
                watch.told_rds(*described, asked_ms, answered_ms)
            }
            // No loop of the one kind sends what the other knows.
            (Eyes::Ec2(_), Heard::Answer(_) | Heard::Rds { .. })
            | (Eyes::Managed(_), Heard::Probe(_) | Heard::Disk { .. }) => Vec::new(),
        }
    }

    fn sample(&mut self, now_ms: u64) -> Option<Sample> {
        match self {
            Eyes::Ec2(watch) => watch.sample(),
            Eyes::Managed(watch) => watch.sample(now_ms),
        }
    }

    fn into_memory(self) -> Memory {
        match self {
            Eyes::Ec2(watch) => watch.into_memory(),
            Eyes::Managed(watch) => watch.into_memory(),
        }
    }
}

/// Watches a cluster until the run's end. `offset` is its share of the first
/// interval, so that the fleet's probes do not all begin in one instant.
pub(crate) async fn watch_cluster<W: World>(
    run: Arc<Run<W>>,
    card: Registered,
    left: Option<Left<W::Access>>,
    offset: Duration,
) -> Left<W::Access> {
    let (memory, known) = left.map_or_else(Default::default, |left| (left.memory, left.access));
    let (sender, mut heard) = mpsc::unbounded_channel();
    let (logins, login) = watch::channel(known);
    let (refused, stale) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut loops = JoinSet::new();
    loops.spawn(keep_login(run.clone(), card.clone(), logins, refused.clone()));
    loops.spawn(keep_state(run.clone(), card.clone(), sender.clone(), stale.clone()));
    let prober = Prober { run: run.clone(), login: login.clone(), refused };
    let name = card.cluster().to_owned();
    let (eyes, mut instances) = match card {
        Registered::Ec2(card) => {
            for place in 0..card.members.len() {
                let share = card.policy.probe_interval().mul_f64(place as f64 / card.members.len() as f64);
                let asks = Member { card: card.clone(), place };
                loops.spawn(prober.clone().probe(asks, offset + share, sender.clone()));
            }
            (Eyes::Ec2(Watch::new(card, memory)), None)
        }
        Registered::Managed(card) => {
            let instances = Instances::watch(prober, card.clone(), sender.clone(), &mut loops);
            (Eyes::Managed(ManagedWatch::new(card, memory)), Some(instances))
        }
    };
    let mut watcher = Watcher { run, name, calls: JoinSet::new(), stale, probes: 0, raised: 0, eyes };
    let mut metrics = interval_at(Instant::now() + METRICS_EVERY, METRICS_EVERY);
    loop {
        if let (Some(instances), Eyes::Managed(watch)) = (&mut instances, &watcher.eyes) {
            instances.are(watch.endpoints(), &mut loops);
        }
        let next = timeout_at(watcher.run.until, async {
            tokio::select! {
                next = heard.recv() => next,
                _ = metrics.tick() => None,
            }
        });
        match next.await {
            Ok(Some(heard)) => {
                if watcher.hear(heard) {
                    instances.iter().for_each(Instances::ask_rds);
                }
            }
            Ok(None) => watcher.measure(),
            Err(_) => break,
        }
    }
    watcher.measure();
    drop(loops);
    let mut calls = watcher.calls;
    if timeout(LAST_CALLS, async { while calls.join_next().await.is_some() {} }).await.is_err() {
        tracing::error!("{}: the run ended before another function could be woken", watcher.name);
    }
    let access = login.borrow().clone();
    Left { memory: watcher.eyes.into_memory(), access, probes: watcher.probes, raised: watcher.raised }
}

struct Watcher<W> {
    run: Arc<Run<W>>,
    /// The cluster.
    name: String,
    eyes: Eyes,
    /// Wake-ups under way: a slow one holds up nothing.
    calls: JoinSet<()>,
    stale: Arc<Notify>,
    probes: u64,
    raised: u64,
}

impl<W: World> Watcher<W> {
    /// Whether what is known is in doubt now.
    fn hear(&mut self, heard: Heard) -> bool {
        self.probes += u64::from(matches!(heard, Heard::Probe(_) | Heard::Answer(_)));
        let acts = self.eyes.learn(heard, self.run.world.now_ms());
        while self.calls.try_join_next().is_some() {}
        let doubt = acts.contains(&Act::ReadState);
        for act in acts {
            self.act(act);
        }
        doubt
    }

    fn act(&mut self, act: Act) {
        let (now, cluster) = (self.run.world.now_ms(), self.name.as_str());
        let (function, event) = match act {
            Act::ReadState => return self.stale.notify_one(),
            Act::Suspect(found) => {
                let (member, failures, problem) = (&found.member, found.failures, &found.problem);
                match &found.leader {
                    Some(leader) => tracing::warn!("{cluster}: {leader} leads in place of {member}"),
                    None => tracing::warn!("{cluster}: writer {member} failed {failures} probes in a row: {problem}"),
                }
                (Function::PromoteReplica, self.run.origin.suspected(now, cluster, &found))
            }
            Act::Tell(finding) => {
                tracing::warn!("{cluster}: {finding}");
                (finding.function(), self.run.origin.found(now, cluster, &finding))
            }
        };
        self.raised += 1;
        let (world, cluster) = (self.run.world.clone(), cluster.to_owned());
        self.calls.spawn(async move {
            if let Err(failure) = world.wake(function, &event).await {
                // What lasts is raised again in a moment.
                tracing::error!("{cluster}: {}", failure.story());
            }
        });
    }

    fn measure(&mut self) {
        let world = &self.run.world;
        if let Some(sample) = self.eyes.sample(world.now_ms()) {
            world.measured(&sample.document(world.now_ms(), &self.run.fleet, &self.name));
        }
    }
}

/// What it takes to probe an instance, again and again.
struct Prober<W: World> {
    run: Arc<Run<W>>,
    login: watch::Receiver<Option<W::Access>>,
    refused: Arc<Notify>,
}

impl<W: World> Clone for Prober<W> {
    fn clone(&self) -> Self {
        Prober { run: self.run.clone(), login: self.login.clone(), refused: self.refused.clone() }
    }
}

/// What one probe found, and when.
struct Found {
    asked_ms: u64,
    took_ms: u64,
    sql: Sql,
}

/// Whom a prober asks, and in whose name it tells.
trait Asks<W: World>: Send + Sync + 'static {
    fn policy(&self) -> Policy;
    fn ask(&self, world: &W, login: &W::Access) -> impl Future<Output = Probed> + Send;
    fn heard(&self, found: Found) -> Heard;
}

/// A member of a cluster on EC2.
struct Member {
    card: Card,
    /// Its place in the card.
    place: usize,
}

impl<W: World> Asks<W> for Member {
    fn policy(&self) -> Policy {
        self.card.policy
    }

    async fn ask(&self, world: &W, login: &W::Access) -> Probed {
        match self.card.members.get(self.place) {
            Some(member) => world.probe(login, &self.card, member).await,
            None => Probed { sql: Sql::NotAsked, login_refused: false },
        }
    }

    fn heard(&self, Found { asked_ms, took_ms, sql }: Found) -> Heard {
        Heard::Probe(Probe { member: self.place, asked_ms, took_ms, sql })
    }
}

impl<W: World> Prober<W> {
    /// Asks at every interval, for ever.
    async fn probe(mut self, asks: impl Asks<W>, offset: Duration, heard: mpsc::UnboundedSender<Heard>) {
        // An error means that the run is over: then this loop is over too.
        if self.login.wait_for(Option::is_some).await.is_err() {
            return;
        }
        sleep(offset).await;
        let limit = asks.policy().probe_timeout() + PROBE_MARGIN;
        let mut ticks = interval(asks.policy().probe_interval());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let (asked_ms, asked) = (self.run.world.now_ms(), Instant::now());
            let login = self.login.borrow().clone();
            let Some(login) = login else { continue };
            let sql = match timeout(limit, asks.ask(&self.run.world, &login)).await {
                Ok(Probed { sql, login_refused }) => {
                    if login_refused {
                        self.refused.notify_one();
                    }
                    sql
                }
                Err(_) => Sql::Silent(format!("a probe did not end within {} ms", limit.as_millis())),
            };
            let took_ms = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
            if heard.send(asks.heard(Found { asked_ms, took_ms, sql })).is_err() {
                return;
            }
        }
    }
}

/// Logs a problem once, not every time that it is met.
fn tell(known: &mut String, problem: String) {
    if *known != problem {
        tracing::error!("{problem}");
        *known = problem;
    }
}
