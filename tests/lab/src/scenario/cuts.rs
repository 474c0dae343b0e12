//! Packets that are dropped, and members that stand still.

use super::{
    acks::Acks,
    judge,
    stage::{Over, Stage, Stop},
};
use crate::{clock::Moment, inside::Commit};
use std::time::Duration;
use tokio::time::sleep;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The old writer must have fallen silent before the promotion, and end down or read-only.
async fn fenced(stage: &mut Stage<'_>, over: &Over, acks: &Acks, old: &str) -> Result<(), Stop> {
    let seen = acks.seen();
    stage.demand(seen.asked > 5, format!("the old writer was asked {} times only", seen.asked));
    stage.expect(judge::fenced(seen.acknowledged, over.moment("promoted_at_ms")));
    let old = old.to_owned();
    let last = stage
        .until("the old writer to be down or read-only", seconds(40), async |stage| {
            let commit = stage.inside.commit(&old).await;
            Ok(matches!(commit, Commit::Silent | Commit::ReadsOnly).then_some(commit))
        })
        .await?;
    let late = acks.seen().acknowledged;
    stage.expect(judge::fenced(late, over.moment("promoted_at_ms")));
    let told = late.zip(over.moment("promoted_at_ms")).map(|(last, promoted)| promoted.seconds_since(last));
    let told = told.map_or("none since the cut".to_owned(), |told| format!("{told:.1} s before the promotion"));
    stage.saw(format!("the old writer ends {last:?}; its last commit: {told}"));
    Ok(())
}

/// A4
pub async fn isolated(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let writer = stage.writer()?.id;
    let acks = Acks::watch(&stage.inside, &writer);
    stage.strike(&writer, "isolate").await?;
    let over = stage.failover(seconds(60)).await?;
    fenced(stage, &over, &acks, &writer).await?;
    stage.count_all_kept().await.map(drop)
}

/// A4 of an asynchronous cluster whose instance cannot be stopped: only the member's own guard is left.
pub async fn isolated_for_good(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let writer = stage.writer()?.id;
    stage.spoil("ec2:StopInstances", "error", None, Some("promote-replica")).await?;
    let acks = Acks::watch(&stage.inside, &writer);
    stage.strike(&writer, "isolate").await?;
    let over = stage.failover(seconds(110)).await?;
    let evidence = over.entry["evidence"].as_str().unwrap_or_default().to_owned();
    let kind = crate::evidence::Evidence::of(&evidence);
    stage.demand(kind == crate::evidence::Evidence::SelfFenced, format!("promoted on: {evidence}"));
    let waited = over.moment("promoted_at_ms").map(|at| at.seconds_since(stage.struck)).unwrap_or_default();
    let ttl = stage.cluster.card.policy.ttl().as_secs_f64();
    stage.demand(waited > ttl, format!("promoted after {waited:.1} s, its guard may write for {ttl:.0} s"));
    let last = acks.seen().acknowledged.map(|at| at.seconds_since(stage.struck)).unwrap_or_default();
    stage.saw(format!("the cut writer acknowledged for {last:.1} s, promoted after {waited:.1} s"));
    stage.demand(last <= ttl, format!("its guard let it write for {last:.1} s, {ttl:.0} s are allowed"));
    fenced(stage, &over, &acks, &writer).await
}

/// A5
pub async fn from_functions(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let writer = stage.writer()?.id;
    stage.strike(&writer, "cut-functions").await?;
    stage.page(&["probe path broken"], seconds(45)).await?;
    stage.quiet(seconds(5)).await?;
    let rows = stage.count_all_kept().await?;
    stage.expect(judge::gap(&rows.acknowledged, stage.struck, seconds(2)));
    Ok(())
}

/// A6: first from one standby, then from both.
pub async fn from_standbys(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let (writer, standbys) = (stage.writer()?.id, stage.standbys());
    stage.strike(&writer, &format!("cut-from/{}", standbys[0].id)).await?;
    stage.quiet(seconds(12)).await?;
    stage.expect(judge::gap(&stage.rows(), stage.struck, seconds(3)));
    stage.demand(stage.writes(), "no rows are accepted although one of two standbys is there");
    stage.expect(judge::paged(&stage.pages, "commits-wait", 0, 0));
    stage.saw("writes go on with one of two standbys");
    let both = Moment::now();
    stage.fault(&writer, &format!("cut-from/{}", standbys[1].id)).await?;
    stage.page(&["commits-wait"], seconds(60)).await?;
    stage.demand(!stage.writes(), "rows are accepted although no standby is there");
    stage.quiet(seconds(5)).await?;
    let healed = Moment::now();
    stage.fault(&writer, "heal").await?;
    let row = stage.row_after(healed, seconds(30)).await?;
    stage.saw(format!(
        "cut from both for {:.0} s, rows {:.1} s after the heal",
        healed.seconds_since(both),
        row.at.seconds_since(healed)
    ));
    stage.quiet(seconds(3)).await?;
    stage.count_all_kept().await.map(drop)
}

/// How long the writer stands still.
const STILL: Duration = seconds(60);

/// A17: it cannot be stopped either, so that it goes on when it is resumed.
pub async fn still(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let writer = stage.writer()?.id;
    stage.spoil("ec2:StopInstances", "error", None, Some("promote-replica")).await?;
    stage.strike(&writer, "hang").await?;
    let over = stage.failover(seconds(50)).await?;
    resumed(stage, &over, &writer).await?;
    stage.count_all_kept().await.map(drop)
}

/// A17 of an asynchronous cluster: only a stopped instance is proof.
pub async fn still_asynchronous(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let writer = stage.writer()?.id;
    stage.strike(&writer, "hang").await?;
    let over = stage.failover(seconds(100)).await?;
    resumed(stage, &over, &writer).await?;
    stage.count().await.map(drop)
}

async fn resumed(stage: &mut Stage<'_>, over: &Over, writer: &str) -> Result<(), Stop> {
    let still = Moment::now().seconds_since(stage.struck);
    sleep(STILL.saturating_sub(Duration::from_secs_f64(still.max(0.0)))).await;
    let acks = Acks::watch(&stage.inside, writer);
    stage.fault(writer, "resume").await?;
    sleep(seconds(10)).await;
    let seen = acks.seen();
    stage.expect(judge::fenced(seen.acknowledged, over.moment("promoted_at_ms")));
    stage.demand(seen.asked > 5, format!("the old writer was asked {} times only", seen.asked));
    stage.saw(format!("resumed after 60 s, it acknowledged nothing and ends {:?}", seen.last));
    Ok(())
}

/// B4: longer than the guard's `ttl`.
pub async fn from_aws(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let writer = stage.writer()?.id;
    stage.strike(&writer, "cut-aws").await?;
    let time = stage.cluster.card.policy.ttl() + seconds(15);
    stage.quiet(time).await?;
    stage.expect(judge::nobody_called(&stage.pages));
    let rows = stage.count_all_kept().await?;
    stage.expect(judge::gap(&rows.acknowledged, stage.struck, seconds(2)));
    Ok(())
}
