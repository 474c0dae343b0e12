//! One run: a managed cluster that works, a fault, and everything that is measured of what follows.

use super::{
    Managed,
    judge::{Successor, broken},
    order,
};
use crate::{
    client::Writer,
    clock::Moment,
    cluster::{self, Now},
    control::{self, Answer},
    error::{Error, cannot},
    failover::{LOOK, Outcome, SETTLE, last_probe, outage, warm_up},
    fault::Fault,
    lab::Lab,
    logs::Listener,
    names,
    pages::{self, Page},
    progress::{Progress, Step},
    report::Run,
    sql::Member,
    story,
};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time for AWS's own failover, or for a replica to be promoted, and for the page.
const LIMIT: Duration = Duration::from_secs(240);
/// How long nothing may move after a fault that needs no failover.
const QUIET: Duration = Duration::from_secs(20);

/// What was seen while waiting for the end.
struct Watched {
    now: Now,
    pages: Vec<Page>,
    entry: Option<Value>,
    /// Instances that acknowledged a write, asked as soon as a row was accepted again.
    writable: Option<Vec<u32>>,
}

/// Strikes the writer of a managed cluster and measures; with what was promised and not kept.
pub async fn run(
    lab: &Lab,
    name: &str,
    fault: Fault,
    number: u32,
    of: u32,
    progress: Progress,
) -> Result<(Outcome, Managed, Vec<String>), Error> {
    if !matches!(fault, Fault::KillHost | Fault::Hang | Fault::KillPostmaster) {
        let why = format!("{fault} is none that a host of RDS can have here; kill-host, hang and kill-postmaster are");
        return Err(cannot("begin a run")(why));
    }
    let spec = cluster::spec(&lab.place, name)?;
    let cluster = order::take(lab, name, &spec, progress).await?;
    let before = cluster.now(&lab.owner, &lab.zone).await?;
    let writer = before.writer.clone().ok_or_else(|| cannot("begin a run")("the cluster has no writer"))?;
    let resolver = names::resolver()?;

    let step = progress.step("run");
    step.tell("writing a row every 10 ms");
    let rows = format!("{}-{number}", Moment::now().0);
    let client = Writer::start(cluster.database.clone(), names::resolver()?, cluster.card.records.writer.clone(), rows);
    warm_up(&client).await?;
    let (database, address) = cluster.entrance(&resolver).await?;
    let timeline = match database.ask(address).await {
        Member::Writable(timeline) => timeline,
        other => return Err(cannot("begin a run")(format!("the writer's record leads to one that answers {other:?}"))),
    };
    for page in pages::take(&lab.owner, &lab.fleet.pages).await? {
        eprintln!("  a page was sent before the fault: {}", page.subject());
    }
    let listener = Listener::start(&lab.place);

    let struck = Moment::now();
    if let Answer::Unable(why) = control::fault(&writer, &fault.to_string()).await? {
        return Err(cannot(format!("do {fault} to {writer}"))(why));
    }
    let watched = watch(lab, &cluster, &client, fault, &before, struck, &step).await?;
    let tally = client.tally();
    let gap = outage(&tally.rows, struck);
    let mut run = measured(fault, &before, timeline, &watched, struck);
    run.acked = tally.rows.len() as u64;
    run.outage_ms = gap.map(|(last, first)| first.ms_since(last));
    let (database, address) = cluster.entrance(&resolver).await?;
    match client.lost(&database, address).await {
        Ok(lost) => {
            let silent =
                watched.entry.as_ref().and_then(|entry| entry["silent_since_ms"].as_u64()).map(Moment::from_ms);
            let last = last_probe(silent, cluster.card.policy.probe_interval());
            run.lost = Some(lost.len() as u64);
            run.lost_after_last_probe = last.map(|last| lost.iter().filter(|row| row.at > last).count() as u64);
        }
        Err(error) => eprintln!("  {error}"),
    }
    drop(step);
    let title =
        if of == 1 { format!("{name}, fault {fault}") } else { format!("{name}, fault {fault}, run {number} of {of}") };
    let entries = story::entries(fault, &writer, struck, &tally, gap, &listener.said(), &watched.pages);
    let story = story::Look::of_stdout().story(&title, struck, &entries, &run);
    let broken = broken(&run, Successor::of(&cluster.card), name);
    Ok((Outcome { run, story }, cluster, broken))
}

/// Looks until the change is over, or the limit has passed; then as long again as a second page would take.
async fn watch(
    lab: &Lab,
    cluster: &Managed,
    client: &Writer,
    fault: Fault,
    before: &Now,
    struck: Moment,
    step: &Step,
) -> Result<Watched, Error> {
    let moves = fault.moves_the_writer();
    let until = Instant::now() + if moves { LIMIT } else { QUIET };
    let mut watched = Watched { now: before.clone(), pages: Vec::new(), entry: None, writable: None };
    loop {
        watched.now = cluster.now(&lab.owner, &lab.zone).await?;
        watched.pages.extend(pages::take(&lab.owner, &lab.fleet.pages).await?);
        let higher = watched.now.state_epoch > before.state_epoch;
        let resumed =
            outage(&client.tally().rows, struck).is_some_and(|(_, first)| Moment::now().ms_since(first) > 300);
        if resumed && higher && watched.writable.as_ref().is_none_or(Vec::is_empty) {
            watched.writable = Some(writable(cluster).await?);
        }
        if higher && watched.entry.is_none() {
            watched.entry = entry(lab, cluster, watched.now.state_epoch, struck).await?;
        }
        let missing = [
            (higher && watched.now.steady, "the change of writer to be finished"),
            (resumed, "rows to be accepted"),
            (watched.entry.is_some(), "the ledger item"),
            (!watched.pages.is_empty(), "the page"),
        ];
        let missing: Vec<&str> = missing.iter().filter(|(there, _)| !there).map(|(_, what)| *what).collect();
        let so_far = Moment::now().seconds_since(struck);
        let over = Instant::now() > until;
        if over || (moves && missing.is_empty()) {
            for what in missing.iter().filter(|_| moves) {
                eprintln!("  gave up waiting for {what} {so_far:.0} s after the fault");
            }
            break;
        }
        let waits = if moves { missing.join(", ") } else { "anything that must not happen".to_owned() };
        step.tell(format!("{so_far:.1} s after the fault, waiting for {waits}"));
        sleep(LOOK).await;
    }
    step.tell("over; waiting for a second page that should not come");
    sleep(SETTLE).await;
    watched.pages.extend(pages::take(&lab.owner, &lab.fleet.pages).await?);
    if watched.writable.is_none() {
        watched.writable = Some(writable(cluster).await?);
    }
    Ok(watched)
}

/// The timelines of the instances that acknowledge a write to a client.
async fn writable(cluster: &Managed) -> Result<Vec<u32>, Error> {
    let servers = cluster.servers().await?;
    Ok(servers
        .iter()
        .filter_map(|server| match server.answer {
            Member::Writable(timeline) => Some(timeline),
            _ => None,
        })
        .collect())
}

/// The ledger's entry of the change with this epoch, begun after the fault.
async fn entry(lab: &Lab, cluster: &Managed, epoch: Option<u64>, struck: Moment) -> Result<Option<Value>, Error> {
    let entries = cluster::ledger(&lab.owner, &cluster.card.cluster).await?;
    let began = |entry: &Value| entry["began_at_ms"].as_u64().map(Moment::from_ms);
    let mut entries = entries.into_iter().rev();
    Ok(entries.find(|entry| entry["epoch"].as_u64() == epoch && began(entry) > Some(struck)))
}

fn measured(fault: Fault, before: &Now, timeline: u32, watched: &Watched, struck: Moment) -> Run {
    let number = |field: &str| watched.entry.as_ref()?[field].as_u64();
    let moment = |field: &str| number(field).map(Moment::from_ms);
    let between = |from: Option<Moment>, to: Option<Moment>| Some(to?.ms_since(from?));
    let (began, promoted, moved) = (moment("began_at_ms"), moment("promoted_at_ms"), moment("record_moved_at_ms"));
    let writable = watched.writable.clone().unwrap_or_default();
    let after = &watched.now;
    Run {
        fault,
        outage_ms: None,
        detect_ms: between(Some(struck), began),
        promote_ms: between(began, promoted),
        record_ms: between(promoted, moved),
        acked: 0,
        lost: None,
        lost_after_last_probe: None,
        writable_members: writable.len(),
        timeline: [Some(timeline), writable.iter().max().copied()],
        writer: [before.writer.clone(), after.writer.clone()],
        record: [before.record.clone(), after.record.clone()],
        epoch: [before.state_epoch, after.state_epoch],
        rto_ms: number("rto_ms"),
        rpo_bytes: number("rpo_bytes"),
        evidence: None,
        pages: watched.pages.iter().map(|page| page.text.clone()).collect(),
        patroni: None,
    }
}
