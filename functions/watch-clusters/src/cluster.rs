//! Watching one cluster: a loop for each member, one for the state item, one
//! for the login. None waits for another.

use crate::{
    Probed, World,
    event::Origin,
    watch::{Act, Memory, Probe, Watch},
};
use domain::{
    card::{Card, Topology},
    events::Function,
    failover::Sql,
    state::State,
};
use reconcile::Failure;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, interval_at, sleep, timeout, timeout_at},
};

/// The state item is read so often, and at once when what is seen contradicts it.
const STATE_EVERY: Duration = Duration::from_secs(5);

/// What the writer's guard wrote of its disk is read so often.
const GUARD_EVERY: Duration = Duration::from_secs(30);

/// But no more often than this, whatever is seen.
const STATE_AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// A login that was refused, or could not be read, is read again after this
/// long: a wrong password must not turn into a storm of calls.
const LOGIN_AT_MOST_EVERY: Duration = Duration::from_secs(10);

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
    State { state: Box<State>, asked_ms: u64, answered_ms: u64 },
    Disk { member: String, full: bool },
}

/// Watches a cluster until the run's end. `offset` is its share of the first
/// interval, so that the fleet's probes do not all begin in one instant.
pub(crate) async fn watch_cluster<W: World>(
    run: Arc<Run<W>>,
    card: Card,
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
    for member in 0..card.members.len() {
        let share = card.policy.probe_interval().mul_f64(member as f64 / card.members.len() as f64);
        let prober =
            Prober { run: run.clone(), card: card.clone(), member, login: login.clone(), refused: refused.clone() };
        loops.spawn(prober.probe(offset + share, sender.clone()));
    }
    let mut watcher =
        Watcher { run, calls: JoinSet::new(), stale, probes: 0, raised: 0, watch: Watch::new(card.clone(), memory) };
    let mut metrics = interval_at(Instant::now() + METRICS_EVERY, METRICS_EVERY);
    while let Ok(next) = timeout_at(watcher.run.until, async {
        tokio::select! {
            next = heard.recv() => next,
            _ = metrics.tick() => None,
        }
    })
    .await
    {
        match next {
            Some(heard) => watcher.hear(&card, heard),
            None => watcher.measure(&card),
        }
    }
    watcher.measure(&card);
    drop(loops);
    let mut calls = watcher.calls;
    if timeout(LAST_CALLS, async { while calls.join_next().await.is_some() {} }).await.is_err() {
        tracing::error!("{}: the run ended before another function could be woken", card.cluster);
    }
    let access = login.borrow().clone();
    Left { memory: watcher.watch.into_memory(), access, probes: watcher.probes, raised: watcher.raised }
}

struct Watcher<W> {
    run: Arc<Run<W>>,
    watch: Watch,
    /// Wake-ups under way: a slow one holds up nothing.
    calls: JoinSet<()>,
    stale: Arc<Notify>,
    probes: u64,
    raised: u64,
}

impl<W: World> Watcher<W> {
    fn hear(&mut self, card: &Card, heard: Heard) {
        let acts = match heard {
            Heard::Probe(probe) => {
                self.probes += 1;
                self.watch.probed(probe)
            }
            Heard::Disk { member, full } => self.watch.told_disk(member, full, self.run.world.now_ms()),
            Heard::State { state, asked_ms, answered_ms } => self.watch.told_state(*state, asked_ms, answered_ms),
        };
        while self.calls.try_join_next().is_some() {}
        for act in acts {
            self.act(&card.cluster, act);
        }
    }

    fn act(&mut self, cluster: &str, act: Act) {
        let now = self.run.world.now_ms();
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

    fn measure(&mut self, card: &Card) {
        if let Some(sample) = self.watch.sample() {
            let world = &self.run.world;
            world.measured(&sample.document(world.now_ms(), &self.run.fleet, &card.cluster));
        }
    }
}

/// What it takes to probe one member.
struct Prober<W: World> {
    run: Arc<Run<W>>,
    card: Card,
    /// Its place in the card.
    member: usize,
    login: watch::Receiver<Option<W::Access>>,
    refused: Arc<Notify>,
}

impl<W: World> Prober<W> {
    /// Probes the member at every interval, for ever.
    async fn probe(mut self, offset: Duration, heard: mpsc::UnboundedSender<Heard>) {
        // An error means that the run is over: then this loop is over too.
        if self.login.wait_for(Option::is_some).await.is_err() {
            return;
        }
        sleep(offset).await;
        let mut ticks = interval(self.card.policy.probe_interval());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let (asked_ms, asked) = (self.run.world.now_ms(), Instant::now());
            let sql = self.look().await;
            let took_ms = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
            let probe = Probe { member: self.member, asked_ms, took_ms, sql };
            if heard.send(Heard::Probe(probe)).is_err() {
                return;
            }
        }
    }

    async fn look(&self) -> Sql {
        let login = self.login.borrow().clone();
        let (Some(login), Some(member)) = (login, self.card.members.get(self.member)) else { return Sql::NotAsked };
        let limit = self.card.policy.probe_timeout() + PROBE_MARGIN;
        match timeout(limit, self.run.world.probe(&login, &self.card, member)).await {
            Ok(Probed { sql, login_refused }) => {
                if login_refused {
                    self.refused.notify_one();
                }
                sql
            }
            Err(_) => Sql::Silent(format!("a probe did not end within {} ms", limit.as_millis())),
        }
    }
}

/// Reads the login once, and again when it was refused.
async fn keep_login<W: World>(
    run: Arc<Run<W>>,
    card: Card,
    logins: watch::Sender<Option<W::Access>>,
    refused: Arc<Notify>,
) {
    let mut problem = String::new();
    loop {
        match run.world.access(&card).await {
            Ok(access) => {
                logins.send_replace(Some(access));
                problem.clear();
            }
            Err(failure) => {
                let fate = if logins.borrow().is_some() { "goes on with the last login" } else { "is not watched" };
                tell(&mut problem, format!("{} {fate}: {}", card.cluster, failure.story()));
            }
        }
        sleep(LOGIN_AT_MOST_EVERY).await;
        if problem.is_empty() {
            refused.notified().await;
            tracing::warn!("{}: login refused; reading its secret again", card.cluster);
        }
    }
}

/// Reads the state item at every turn, and when it is called stale.
async fn keep_state<W: World>(run: Arc<Run<W>>, card: Card, heard: mpsc::UnboundedSender<Heard>, stale: Arc<Notify>) {
    let cluster = &card.cluster;
    // I15: nobody claims a cluster of Patroni's, and none of its members has a boot guard.
    let led = card.topology == Topology::Ec2Patroni;
    let (mut problem, mut next_guard) = (String::new(), Instant::now());
    loop {
        let asked_ms = run.world.now_ms();
        let read: Result<Option<State>, Failure> = run.world.state(cluster).await;
        match read.map(|state| if led { state.or_else(|| Some(State::unclaimed())) } else { state }) {
            Ok(Some(state)) => {
                problem.clear();
                let (state, answered_ms) = (Box::new(state), run.world.now_ms());
                let writer = state.writer.clone();
                if heard.send(Heard::State { state, asked_ms, answered_ms }).is_err() {
                    return;
                }
                if let Some(member) = writer.filter(|_| !led && Instant::now() >= next_guard) {
                    next_guard = Instant::now() + GUARD_EVERY;
                    // What cannot be read now is read in a minute.
                    if let Ok(Some(guard)) = run.world.guard(cluster, &member).await {
                        drop(heard.send(Heard::Disk { member, full: guard.says_disk_full(run.world.now_ms()) }));
                    }
                }
            }
            // Not claimed yet: there is no writer to suspect.
            Ok(None) => problem.clear(),
            Err(failure) => tell(&mut problem, format!("{cluster}: its writer is not known anew: {}", failure.story())),
        }
        sleep(STATE_AT_MOST_EVERY).await;
        drop(timeout(STATE_EVERY - STATE_AT_MOST_EVERY, stale.notified()).await);
    }
}

/// Logs a problem once, not every time that it is met.
fn tell(known: &mut String, problem: String) {
    if *known != problem {
        tracing::error!("{problem}");
        *known = problem;
    }
}
