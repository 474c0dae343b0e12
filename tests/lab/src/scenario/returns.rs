//! An old writer comes back.

use super::{
    acks::Acks,
    stage::{Stage, Stop},
};
use crate::{clock::Moment, inside::Commit};
use serde_json::Value;
use std::time::Duration;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Waits until a member only reads.
async fn read_only(stage: &mut Stage<'_>, id: &str) -> Result<Moment, Stop> {
    let id = id.to_owned();
    stage
        .until("the old writer to be a standby", seconds(90), async |stage| {
            Ok((stage.inside.commit(&id).await == Commit::ReadsOnly).then(Moment::now))
        })
        .await
}

/// A11
pub async fn started(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let old = stage.writer()?;
    stage.struck = Moment::now();
    stage.ec2("stop_instances", &old.id).await?;
    let over = stage.failover(seconds(60)).await?;
    let acks = Acks::watch(&stage.inside, &old.id);
    let started = Moment::now();
    stage.ec2("start_instances", &old.id).await?;
    let ready = read_only(stage, &old.id).await?;
    stage.streams(&old.name, seconds(30)).await?;
    let seen = acks.seen();
    stage.demand(seen.acknowledged.is_none(), "the old writer acknowledged a commit after its start");
    stage.saw(format!(
        "asked {} times from its start on, it acknowledged nothing; a standby after {:.1} s",
        seen.asked,
        ready.seconds_since(started)
    ));
    let now = stage.now().await?;
    stage.demand(now.writer == over.after.writer, "the writer changed again");
    stage.count_all_kept().await.map(drop)
}

/// A10: the old writer of an asynchronous cluster has rows that nobody else has.
pub async fn diverged(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let old = stage.writer()?;
    // The client still reaches it: what it writes until the instance is stopped is there alone.
    stage.strike(&old.id, "partition").await?;
    stage.failover(seconds(120)).await?;
    let told = stage.pages.len();
    stage.ec2("start_instances", &old.id).await?;
    let ready = read_only(stage, &old.id).await?;
    replicates(stage, &old.id, ready).await?;
    stage
        .until("a page that lists what only the old writer had", seconds(60), async |stage| {
            stage.take_pages().await?;
            let mut pages = stage.pages[told..].iter();
            Ok(pages.find(|page| page.text.contains("lab_rows") && page.text.contains(&old.id)).map(|_| ()))
        })
        .await?;
    let rows = stage.count().await?;
    stage.demand(!rows.lost.is_empty(), "no row was on the old writer alone: the fault was none");
    let ledger = stage.cluster.ledger(&stage.lab.owner).await?;
    let changes = ledger.iter().rev().find_map(changes);
    let lost = rows.lost.len() as u64;
    stage.saw(format!("the ledger counts {} changes of lab_rows", changes.unwrap_or(0)));
    stage.demand(
        changes.is_some_and(|changes| changes >= lost),
        format!("{lost} rows were lost, {changes:?} are listed"),
    );
    Ok(())
}

/// A row written from now on arrives on a member within 20 s of its being ready.
async fn replicates(stage: &mut Stage<'_>, id: &str, ready: Moment) -> Result<(), Stop> {
    let newest = stage.row_after(Moment::now(), seconds(5)).await?;
    let (id, database) = (id.to_owned(), stage.cluster.card.database.clone());
    let asked = format!("SELECT 1 FROM lab_rows WHERE run LIKE 'scenario-%' AND number >= {} LIMIT 1", newest.number);
    stage
        .until("new rows on the old writer", seconds(20), async |stage| {
            let answer = stage.inside.query(&id, &database, &[&asked]).await.unwrap_or_default();
            Ok((!answer.is_empty()).then_some(()))
        })
        .await?;
    let took = Moment::now().seconds_since(ready);
    stage.saw(format!("read-only, and new rows on it {took:.1} s later"));
    stage.demand(took <= 20.0, format!("new rows arrived {took:.1} s after it was ready"));
    Ok(())
}

/// The changes of the client's table in an entry that carries a loss report.
fn changes(entry: &Value) -> Option<u64> {
    let tables = entry.pointer("/loss/tables").or_else(|| entry.pointer("/report/loss/tables"))?.as_array()?;
    let of_client = tables.iter().find(|table| table["name"].as_str().is_some_and(|name| name.contains("lab_rows")))?;
    of_client["changes"].as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_loss_report_is_read() {
        let loss =
            json!({"tables": [{"name": "public.other", "changes": 9}, {"name": "public.lab_rows", "changes": 7}]});
        assert_eq!(changes(&json!({"kind": "rejoin", "loss": loss})), Some(7));
        assert_eq!(changes(&json!({"kind": "rejoin", "loss": null})), None);
        assert_eq!(changes(&json!({"kind": "failover"})), None);
    }
}
