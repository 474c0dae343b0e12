//! One run: a cluster that works, a fault, and everything that is measured of what follows.

use crate::{
    client::{Row, Tally, Writer},
    clock::Moment,
    cluster::{self, Cluster, Now},
    error::{Error, cannot},
    evidence::Evidence,
    fault::Fault,
    lab::Lab,
    led::Led,
    logs::Listener,
    names,
    pages::{self, Page},
    progress::{Progress, Step},
    report::Run,
    sql::Member,
    steady, story,
};
use serde_json::Value;
use std::{net::IpAddr, time::Duration};
use tokio::time::{Instant, sleep};

/// Writing before the fault, so that there is a steady state to disturb.
const WARM_UP: Duration = Duration::from_millis(2_500);
/// Time for the writer to be replaced, its record moved and the page sent.
const LIMIT: Duration = Duration::from_secs(60);
/// The same where commits wait for nobody: the proof then rests on EC2's word, or on the member's own guard (35 s).
const LIMIT_ASYNCHRONOUS: Duration = Duration::from_secs(120);
/// The same where Patroni leads: its `ttl` (20 s at least) passes first, the load balancer needs two of its intervals,
/// and Understudy follows.
const LIMIT_PATRONI: Duration = Duration::from_secs(120);
/// How long nothing may move after a fault that needs no failover: the time a local restart has (5 s), three failed
/// probes (3 s), and as much again.
const QUIET: Duration = Duration::from_secs(16);
/// How long a second page is waited for once everything is over.
pub const SETTLE: Duration = Duration::from_secs(3);
/// Between two looks at AWS while a failover runs: more would slow the functions down that are being measured.
pub const LOOK: Duration = Duration::from_millis(200);

/// What one run came to.
pub struct Outcome {
    /// Its measures.
    pub run: Run,
    /// Its story, for a person.
    pub story: String,
}

/// What was seen while waiting for the end of a failover.
struct Watched {
    now: Now,
    pages: Vec<Page>,
    entry: Option<Value>,
    /// Every member, asked as soon as a row was accepted again.
    members: Vec<Member>,
    /// When the record was first seen at another address.
    moved: Option<Moment>,
}

impl Watched {
    fn new(now: Now) -> Watched {
        Watched { now, pages: Vec::new(), entry: None, members: Vec::new(), moved: None }
    }
}

/// Strikes the writer of a cluster and measures. One that is there is used again when it can be made as new: the old
/// writer's host is started, as a person does, and what follows is the product's work. Else it is deployed anew.
pub async fn run(
    lab: &Lab,
    name: &str,
    fault: Fault,
    number: u32,
    of: u32,
    progress: Progress,
) -> Result<(Outcome, Cluster), Error> {
    let cluster = as_new(lab, name, progress).await?;
    let before = cluster.now(&lab.owner, &lab.zone).await?;
    let writer = before.writer.clone().ok_or_else(|| cannot("begin a run")("the cluster has no writer"))?;
    let address = address(&before)?;

    let step = progress.step("run");
    step.tell("writing a row every 10 ms");
    let rows = format!("{}-{number}", Moment::now().0);
    let (database, name_of_writer) = cluster.entrance();
    let client = Writer::start(database, names::resolver()?, name_of_writer, rows);
    warm_up(&client).await?;
    let timeline = match cluster.database.ask(address).await {
        Member::Writable(timeline) => timeline,
        other => return Err(cannot("begin a run")(format!("the writer record's member is not writable: {other:?}"))),
    };
    let early = pages::take(&lab.owner, &lab.fleet.pages).await?;
    for page in &early {
        eprintln!("  a page was sent before the fault: {}", page.text.lines().next().unwrap_or_default());
    }
    let listener = Listener::start(&lab.place);
    let led = Led::start(&lab.place, &cluster).await?;

    let struck = Moment::now();
    fault.strike(&lab.owner, &writer).await?;
    let watched = if fault.moves_the_writer() {
        watch(lab, &cluster, &client, &before, struck, led.as_ref(), &step).await?
    } else {
        watch_nothing(lab, &cluster, &client, struck, &step).await?
    };
    let tally = client.tally();
    let outage = outage(&tally.rows, struck);
    let mut run = measure(&cluster, fault, struck, &before, timeline, &watched, &client, outage).await;
    if let Some(led) = &led {
        run.patroni = Some(led.measure(struck, watched.moved).await);
    }
    drop(step);
    let title = match of {
        1 => format!("{name}, fault {fault}"),
        _ => format!("{name}, fault {fault}, run {number} of {of}"),
    };
    let mut entries = story::entries(fault, &writer, struck, &tally, outage, &listener.said(), &watched.pages);
    if let Some(led) = &led {
        story::add_led(&mut entries, &led.times());
    }
    let story = story::Look::of_stdout().story(&title, struck, &entries, &run);
    Ok((Outcome { run, story }, cluster))
}

fn address(now: &Now) -> Result<IpAddr, Error> {
    let text = now.record.as_deref().ok_or_else(|| cannot("begin a run")("the writer record has no address"))?;
    text.parse().map_err(cannot("read the writer record"))
}

/// The cluster of that name in `infra/clusters`, deployed, probed by `watch-clusters`, and as a new one is.
async fn as_new(lab: &Lab, name: &str, progress: Progress) -> Result<Cluster, Error> {
    let spec = cluster::spec(&lab.place, name)?;
    let step = progress.step("cluster");
    let cluster = steady::take(lab, name, &spec, &step).await?;
    step.done(&format!("{name} is ready: {} members, as new", cluster.card.members.len()));
    Ok(cluster)
}

/// Waits until rows have been accepted for a while.
pub async fn warm_up(client: &Writer) -> Result<(), Error> {
    let until = Instant::now() + Duration::from_secs(20);
    while client.newest().is_none() {
        if Instant::now() > until {
            let events = client.tally().events;
            return Err(cannot("begin a run")(format!("no row was accepted in 20 s: {:?}", events.last())));
        }
        sleep(Duration::from_millis(50)).await;
    }
    sleep(WARM_UP).await;
    Ok(())
}

/// Looks until the failover is over, or the limit has passed; then as long again as a second page would take.
async fn watch(
    lab: &Lab,
    cluster: &Cluster,
    client: &Writer,
    before: &Now,
    struck: Moment,
    led: Option<&Led>,
    step: &Step,
) -> Result<Watched, Error> {
    let until = Instant::now() + limit(cluster);
    let mut watched = Watched::new(before.clone());
    loop {
        watched.now = cluster.now(&lab.owner, &lab.zone).await?;
        watched.pages.extend(pages::take(&lab.owner, &lab.fleet.pages).await?);
        let higher = watched.now.state_epoch > before.state_epoch;
        let resumed = outage(&client.tally().rows, struck).is_some_and(|(_, first)| first.ms_since(struck) > 0)
            && watched.now.record != before.record;
        if watched.now.record != before.record {
            watched.moved = watched.moved.or_else(|| Some(Moment::now()));
        }
        if resumed && watched.members.is_empty() {
            watched.members = everyone(cluster).await;
        }
        if higher && watched.entry.is_none() {
            watched.entry = entry(lab, cluster, watched.now.state_epoch, struck).await?;
        }
        let missing = [
            (higher && watched.now.steady, "the change of writer to be finished"),
            (watched.now.record != before.record, "the writer record to move"),
            (resumed, "a row to be accepted"),
            (watched.entry.is_some(), "the ledger item"),
            (!watched.pages.is_empty(), "the page"),
            (led.is_none_or(|led| led.times().front.is_some()), "the load balancer"),
        ];
        let missing: Vec<&str> = missing.iter().filter(|(there, _)| !there).map(|(_, what)| *what).collect();
        let so_far = struck_for(struck);
        if missing.is_empty() || Instant::now() > until {
            for what in missing {
                eprintln!("  gave up waiting for {what} {so_far:.0} s after the fault");
            }
            break;
        }
        step.tell(format!("{so_far:.1} s after the fault, waiting for {}", missing.join(", ")));
        sleep(LOOK).await;
    }
    step.tell("over; waiting for a second page that should not come");
    sleep(SETTLE).await;
    watched.pages.extend(pages::take(&lab.owner, &lab.fleet.pages).await?);
    if watched.members.is_empty() {
        watched.members = everyone(cluster).await;
    }
    Ok(watched)
}

/// How long a failover may take.
fn limit(cluster: &Cluster) -> Duration {
    match (&cluster.card.patroni, cluster.synchronous) {
        (Some(_), _) => LIMIT_PATRONI,
        (None, true) => LIMIT,
        (None, false) => LIMIT_ASYNCHRONOUS,
    }
}

fn struck_for(struck: Moment) -> f64 {
    Moment::now().seconds_since(struck)
}

/// Looks on while nothing may move, then asks every member.
async fn watch_nothing(
    lab: &Lab,
    cluster: &Cluster,
    client: &Writer,
    struck: Moment,
    step: &Step,
) -> Result<Watched, Error> {
    let until = Instant::now() + QUIET;
    while Instant::now() < until {
        let rows = client.newest().is_some_and(|row| row.at > struck);
        let rows = if rows { "rows are accepted" } else { "no row is accepted yet" };
        step.tell(format!("{:.1} s after the fault, nothing may move; {rows}", struck_for(struck)));
        sleep(LOOK).await;
    }
    Ok(Watched {
        pages: pages::take(&lab.owner, &lab.fleet.pages).await?,
        members: everyone(cluster).await,
        ..Watched::new(cluster.now(&lab.owner, &lab.zone).await?)
    })
}

/// Asks all members at once.
async fn everyone(cluster: &Cluster) -> Vec<Member> {
    let mut tasks = tokio::task::JoinSet::new();
    for member in &cluster.card.members {
        let (database, address) = (cluster.database.clone(), member.address);
        tasks.spawn(async move { database.ask(address).await });
    }
    tasks.join_all().await
}

/// The ledger's entry of the change with this epoch, begun after the fault: an earlier cluster of the same name left
/// entries, too.
async fn entry(lab: &Lab, cluster: &Cluster, epoch: Option<u64>, struck: Moment) -> Result<Option<Value>, Error> {
    let entries = cluster.ledger(&lab.owner).await?;
    let began = |entry: &Value| entry["began_at_ms"].as_u64().map(Moment::from_ms);
    let mut entries = entries.into_iter().rev();
    Ok(entries.find(|entry| {
        (entry["kind"] == "failover" || entry["kind"] == "followed")
            && entry["epoch"].as_u64() == epoch
            && began(entry) > Some(struck)
    }))
}

/// The longest time between two rows that were acknowledged one after the other, of which the second came after the
/// fault; `None` when no row came after it.
pub fn outage(rows: &[Row], struck: Moment) -> Option<(Moment, Moment)> {
    let pairs = rows.windows(2).filter_map(|pair| match pair {
        [earlier, later] if later.at > struck => Some((earlier.at, later.at)),
        _ => None,
    });
    pairs.max_by_key(|(earlier, later)| later.0 - earlier.0)
}

#[expect(clippy::too_many_arguments, reason = "everything that was seen of one run, once")]
async fn measure(
    cluster: &Cluster,
    fault: Fault,
    struck: Moment,
    before: &Now,
    timeline: u32,
    watched: &Watched,
    client: &Writer,
    outage: Option<(Moment, Moment)>,
) -> Run {
    let after = &watched.now;
    let number = |field: &str| watched.entry.as_ref()?[field].as_u64();
    let moment = |field: &str| number(field).map(Moment::from_ms);
    let between = |from: Option<Moment>, to: Option<Moment>| Some(to?.ms_since(from?));
    let (began, promoted, moved) = (moment("began_at_ms"), moment("promoted_at_ms"), moment("record_moved_at_ms"));
    let writable: Vec<u32> = watched
        .members
        .iter()
        .filter_map(|member| match member {
            Member::Writable(timeline) => Some(*timeline),
            _ => None,
        })
        .collect();
    let lost = match address(after) {
        Ok(address) => client.lost(&cluster.database, address).await,
        Err(error) => Err(error),
    };
    let lost = lost.map_err(|error| eprintln!("  {error}")).ok();
    let last_probe = last_probe(moment("silent_since_ms"), cluster.card.policy.probe_interval());
    let late = match (&lost, last_probe) {
        (Some(lost), Some(at)) => Some(lost.iter().filter(|row| row.at > at).count() as u64),
        _ => None,
    };
    let Tally { rows, .. } = client.tally();
    Run {
        fault,
        outage_ms: outage.map(|(last, first)| first.ms_since(last)),
        detect_ms: between(Some(struck), began),
        promote_ms: between(began, promoted),
        record_ms: between(promoted, moved),
        acked: rows.len() as u64,
        lost: lost.map(|lost| lost.len() as u64),
        lost_after_last_probe: late,
        writable_members: writable.len(),
        timeline: [Some(timeline), writable.iter().max().copied()],
        writer: [before.writer.clone(), after.writer.clone()],
        record: [before.record.clone(), after.record.clone()],
        epoch: [before.epoch, after.epoch],
        rto_ms: number("rto_ms"),
        rpo_bytes: number("rpo_bytes"),
        evidence: watched.entry.as_ref().and_then(|entry| entry["evidence"].as_str()).map(Evidence::of),
        pages: watched.pages.iter().map(|page| page.text.clone()).collect(),
        patroni: None,
    }
}

/// The last moment of which a probe can have told: one interval before the first that failed began.
pub fn last_probe(silent_since: Option<Moment>, interval: Duration) -> Option<Moment> {
    let interval = u64::try_from(interval.as_micros()).ok()?;
    silent_since.map(|since| Moment(since.0.saturating_sub(interval)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outage_is_the_longest_gap_that_ends_after_the_fault() {
        let rows = |times: &[u64]| -> Vec<Row> {
            times.iter().zip(1..).map(|(&at, number)| Row { number, at: Moment(at) }).collect()
        };
        let of = |times: &[u64], struck| outage(&rows(times), Moment(struck)).map(|(last, first)| (last.0, first.0));
        assert_eq!(
            of(&[10, 90, 100, 110, 150, 160], 105),
            Some((110, 150)),
            "an earlier, longer gap is not the fault's"
        );
        assert_eq!(of(&[10, 20, 60], 25), Some((20, 60)), "the gap that spans the fault is");
        assert_eq!(of(&[10, 20, 30, 95, 100], 22), Some((30, 95)), "rows on their way may still be acknowledged");
        assert_eq!(of(&[10, 20], 25), None, "nothing was accepted after the fault");
        assert_eq!(of(&[], 25), None);
    }
}
