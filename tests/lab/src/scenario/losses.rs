//! A writer is lost, and a standby with it or before it.

use super::{
    judge,
    load::{Kind, Load},
    stage::{Stage, Stop},
};
use crate::{clock::Moment, cluster::Cluster, failover::last_probe};
use std::time::Duration;
use tokio::time::sleep;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A1
pub async fn stop(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let writer = stage.writer()?.id;
    stage.struck = Moment::now();
    stage.ec2("stop_instances", &writer).await?;
    stage.failover(seconds(60)).await?;
    stage.count_all_kept().await.map(drop)
}

/// A2
pub async fn restart(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let writer = stage.writer()?;
    stage.strike(&writer.id, "kill-postmaster").await?;
    stage.quiet(seconds(16)).await?;
    let asked = stage.cluster.database.ask(writer.address).await;
    let same = crate::sql::Member::Writable(stage.timeline);
    stage.demand(asked == same, format!("the writer answers {asked:?}, it was {same:?}"));
    stage.expect(judge::nobody_called(&stage.pages));
    let rows = stage.count_all_kept().await?;
    stage.expect(judge::gap(&rows.acknowledged, stage.struck, seconds(5)));
    Ok(())
}

/// A3: PostgreSQL dies again as often as it starts, until the change has begun.
pub async fn at_once(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let writer = stage.writer()?.id;
    stage.strike(&writer, "kill-postmaster").await?;
    stage
        .until("the change to begin", seconds(40), async |stage| {
            let now = stage.now().await?;
            if now.state_epoch > stage.before.state_epoch {
                return Ok(Some(()));
            }
            stage.fault(&writer, "kill-postmaster").await?;
            Ok(None)
        })
        .await?;
    let over = stage.failover(seconds(60)).await?;
    let took = over.moment("promoted_at_ms").zip(over.moment("began_at_ms")).map(|(to, from)| to.ms_since(from));
    stage.saw(format!("promoted {} ms after the lease", took.unwrap_or(0)));
    stage.demand(took.is_some_and(|took| took <= 10_000), format!("{took:?} ms from the lease to the promotion"));
    stage.count_all_kept().await.map(drop)
}

/// A7
pub async fn with_a_standby(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let (writer, standbys) = (stage.writer()?.id, stage.standbys());
    stage.fault(&standbys[0].id, "kill-host").await?;
    // Commits go on with the other one once the dead one's row is gone; so they do by design.
    sleep(seconds(2)).await;
    stage.strike(&writer, "kill-host").await?;
    let page = stage.page(&["quorum-missing", "approve"], seconds(60)).await?;
    stage.quiet(seconds(4)).await?;
    let approval = stage.offer(&page, "approve")?;
    let said = stage.ask(&approval).await?;
    stage.saw(format!("approve: {}: {}", said.outcome, said.because));
    stage.demand(said.outcome == "acted", format!("the approval was not taken: {}", said.because));
    let over = stage.failover_noted(seconds(90)).await?;
    let logged = over.entry["approval"]["epoch"].as_u64();
    stage.demand(logged == stage.before.state_epoch, "the ledger does not have the approval");
    let again = stage.ask(&approval).await?;
    stage.saw(format!("the same approval again: {}", again.because));
    stage.expect(judge::refused(&again.outcome, &again.because, "worth nothing"));
    // The new writer's commits wait for the dead standby, until a person brings it back.
    let back = Moment::now();
    stage
        .until("rows, once the standby is back", seconds(60), async |stage| {
            stage.power_on().await?;
            Ok(stage.writes().then_some(()))
        })
        .await?;
    stage.saw(format!("rows again {:.1} s after the standby was powered on", Moment::now().seconds_since(back)));
    stage.count().await.map(drop)
}

/// A8: the one that would be preferred among equals is behind.
pub async fn behind(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let (writer, standbys) = (stage.writer()?.id, stage.standbys());
    stage.fault(&writer, &format!("cut-from/{}", standbys[0].id)).await?;
    sleep(seconds(4)).await;
    let (behind, ahead) = (&standbys[0], &standbys[1]);
    stage.strike(&writer, "kill-host").await?;
    let over = stage.failover(seconds(60)).await?;
    let chosen = over.after.writer.clone().unwrap_or_default();
    stage.saw(format!("{chosen} took over, {} was behind", behind.id));
    stage.demand(chosen == ahead.id, format!("{chosen} took over, {} had more", ahead.id));
    stage.streams(&behind.name.clone(), seconds(30)).await?;
    stage.count_all_kept().await.map(drop)
}

/// A12
pub async fn never_promoted(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let (writer, standbys) = (stage.writer()?.id, stage.standbys());
    let last = standbys.last().is_some_and(|member| member.never_promote);
    stage.demand(last && !standbys[0].never_promote, "the spec marks no member never to be promoted");
    stage.fault(&standbys[0].id, "kill-host").await?;
    stage.strike(&writer, "kill-host").await?;
    stage.page(&["nobody-may-be-promoted"], seconds(60)).await?;
    stage.quiet(seconds(8)).await
}

/// A18
pub async fn full_disk(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let writer = stage.writer()?;
    stage.strike(&writer.id, "fill-disk").await?;
    // The segments of the log that are there already are used up: then PostgreSQL panics.
    let load = Load::start(stage.cluster.database.clone(), writer.address, Kind::Log);
    stage.until("the disk to be full", seconds(40), async |_| Ok(load.ended().then_some(()))).await?;
    stage.page(&["disk-full"], seconds(60)).await?;
    stage.quiet(seconds(6)).await?;
    let grown = Moment::now();
    stage.fault(&writer.id, "grow-disk").await?;
    let row = stage.row_after(grown, seconds(60)).await?;
    stage.saw(format!("rows again {:.1} s after the disk had grown", row.at.seconds_since(grown)));
    stage.quiet(seconds(3)).await?;
    stage.count_all_kept().await.map(drop)
}

/// A21: standbys that are cut off while the writer is written to heavily.
pub async fn heavy(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let (writer, standbys) = (stage.writer()?, stage.standbys());
    for standby in &standbys {
        stage.fault(&writer.id, &format!("cut-from/{}", standby.id)).await?;
    }
    let load = Load::start(stage.cluster.database.clone(), writer.address, Kind::Rows);
    let behind = format!("SELECT pg_current_wal_lsn() - '{}'", received(stage, &standbys[0].id).await?);
    let lag = stage
        .until("a lag of 4 MiB", seconds(30), async |stage| {
            let answer = stage.inside.query(&writer.id, "postgres", &[&behind]).await.unwrap_or_default();
            let bytes = answer.first().and_then(|text| text.parse::<u64>().ok());
            Ok(bytes.filter(|bytes| *bytes > 4 << 20))
        })
        .await?;
    // Two probes, so that the position before the fault is known.
    sleep(seconds(2)).await;
    stage.strike(&writer.id, "kill-host").await?;
    stage.saw(format!("the standbys lacked {} KiB", lag >> 10));
    let page = stage.page(&["would-lose", "approve"], seconds(60)).await?;
    stage.quiet(seconds(4)).await?;
    let approval = stage.offer(&page, "approve")?;
    let said = stage.ask(&approval).await?;
    stage.demand(said.outcome == "acted", format!("the approval was not taken: {}", said.because));
    let over = stage.failover(seconds(120)).await?;
    stage.demand(!over.entry["approval"].is_null(), "the ledger does not have the approval");
    let rows = stage.count().await?;
    let address = stage.address().await?;
    let lost = load.lost(&stage.cluster.database, address).await?;
    stage.saw(format!("{} heavy rows lost", lost.len()));
    stage.demand(!lost.is_empty() && !rows.lost.is_empty(), "nothing was lost: the fault was none");
    let last_probe = last_probe(over.moment("silent_since_ms"), interval(&stage.cluster));
    stage.expect(judge::loss_is_stated(&over.entry, &lost, last_probe));
    Ok(())
}

/// The interval of probes of a cluster.
pub fn interval(cluster: &Cluster) -> Duration {
    cluster.card.policy.probe_interval()
}

/// How far a standby has received the log.
async fn received(stage: &Stage<'_>, id: &str) -> Result<String, Stop> {
    let answer = stage.inside.query(id, "postgres", &["SELECT pg_last_wal_receive_lsn()"]).await;
    let lines = answer.map_err(|why| Stop::Unmet(format!("{id} does not say how far it is: {why}")))?;
    lines.into_iter().next().ok_or_else(|| Stop::Unmet(format!("{id} has received nothing")))
}
