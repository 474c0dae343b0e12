//! What scenarios wait for, and count at their end.

use super::{
    judge,
    stage::{Over, Rows, Stage, Stop},
};
use crate::{
    client::Row,
    clock::Moment,
    evidence::Evidence,
    failover::outage,
    pages::{self, Page},
};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// How long a page that should not come is waited for.
const SETTLE: Duration = Duration::from_secs(2);

impl<'l> Stage<'l> {
    /// Looks until there is something; `what` names it where it does not come in time.
    pub async fn until<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut look: impl AsyncFnMut(&mut Stage<'l>) -> Result<Option<T>, Stop>,
    ) -> Result<T, Stop> {
        let until = Instant::now() + limit;
        loop {
            if let Some(found) = look(self).await? {
                return Ok(found);
            }
            if Instant::now() > until {
                return Err(Stop::Unmet(format!("{what} did not come within {} s", limit.as_secs())));
            }
            let so_far = Moment::now().seconds_since(self.struck);
            self.step.tell(format!("{so_far:.0} s after the fault, waiting for {what}"));
            sleep(LOOK).await;
        }
    }

    /// Nothing may change for so long.
    pub async fn quiet(&mut self, time: Duration) -> Result<(), Stop> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            let broken = judge::unchanged(&self.before, &self.now().await?);
            if !broken.is_empty() {
                return Err(Stop::Unmet(broken.join("; ")));
            }
            self.take_pages().await?;
            sleep(LOOK).await;
        }
        self.saw(format!("nothing changed for {} s", time.as_secs()));
        Ok(())
    }

    /// Takes the pages that have come.
    pub async fn take_pages(&mut self) -> Result<(), Stop> {
        let more = pages::take(&self.lab.owner, &self.lab.fleet.pages).await?;
        for page in &more {
            self.seen.push(format!("page \"{}\"", page.subject()));
        }
        self.pages.extend(more);
        Ok(())
    }

    /// A page with all these words in it, sent since the scenario began.
    pub async fn page(&mut self, words: &[&str], limit: Duration) -> Result<Page, Stop> {
        let what = format!("a page with {words:?}");
        self.until(&what, limit, async |stage| {
            stage.take_pages().await?;
            let mut pages = stage.pages.iter();
            Ok(pages.find(|page| words.iter().all(|word| page.text.contains(word))).cloned())
        })
        .await
    }

    /// The payload of a page's command that asks for this (`approve`, `resume`).
    pub fn offer(&self, page: &Page, name: &str) -> Result<Value, Stop> {
        let payload = judge::payloads(&page.text).into_iter().find(|payload| payload.get(name).is_some());
        payload.ok_or_else(|| Stop::Unmet(format!("the page offers no command to {name}: {}", page.text)))
    }

    /// A row that was accepted after a moment.
    pub async fn row_after(&mut self, after: Moment, limit: Duration) -> Result<Row, Stop> {
        self.until("an accepted row", limit, async |stage| Ok(stage.client.newest().filter(|row| row.at > after))).await
    }

    /// Whether a row was accepted within the last second.
    pub fn writes(&self) -> bool {
        self.client.newest().is_some_and(|row| Moment::now().seconds_since(row.at) < 1.0)
    }

    /// The rows acknowledged so far.
    pub fn rows(&self) -> Vec<Row> {
        self.client.tally().rows
    }

    /// The end of a change of writer of this kind: finished, in the ledger, its record moved, a row accepted.
    pub async fn change(&mut self, kind: &str, limit: Duration) -> Result<Over, Stop> {
        let over = self.change_noted(kind, limit).await?;
        let moved = over.moment("record_moved_at_ms").unwrap_or_default();
        self.row_after(moved, Duration::from_secs(20)).await?;
        Ok(over)
    }

    /// The same, whether or not rows are accepted.
    async fn change_noted(&mut self, kind: &str, limit: Duration) -> Result<Over, Stop> {
        let what = format!("the end of a {kind}");
        self.until(&what, limit, async |stage| {
            let after = stage.now().await?;
            stage.take_pages().await?;
            if !after.steady || after.state_epoch <= stage.before.state_epoch || after.record == stage.before.record {
                return Ok(None);
            }
            let ledger = stage.cluster.ledger(&stage.lab.owner).await?;
            let of_change = |entry: &&Value| entry["kind"] == kind && entry["epoch"].as_u64() == after.state_epoch;
            Ok(ledger.iter().rev().find(of_change).cloned().map(|entry| Over { after, entry }))
        })
        .await
    }

    /// The end of a failover, judged: one change, one page, a ledger entry with a proof, a new timeline.
    pub async fn failover(&mut self, limit: Duration) -> Result<Over, Stop> {
        let over = self.failover_noted(limit).await?;
        let moved = over.moment("record_moved_at_ms").unwrap_or_default();
        self.row_after(moved, Duration::from_secs(20)).await?;
        Ok(over)
    }

    /// The same, whether or not rows are accepted.
    pub async fn failover_noted(&mut self, limit: Duration) -> Result<Over, Stop> {
        let kind = if self.cluster.card.patroni.is_some() { "followed" } else { "failover" };
        let over = self.change_noted(kind, limit).await?;
        sleep(SETTLE).await;
        self.take_pages().await?;
        self.expect(judge::changed_once(&self.before, &self.now().await?));
        self.expect(judge::ledger(&over.entry, self.cluster.synchronous));
        self.expect(judge::paged(&self.pages, "writer moved", 1, 1));
        let (from, to) = (self.timeline, over.entry["timeline"][1].as_u64());
        self.demand(to == Some(u64::from(from) + 1), format!("the timeline went from {from} to {to:?}"));
        let kind = Evidence::of(over.entry["evidence"].as_str().unwrap_or_default());
        let number = |field: &str| over.entry[field].as_u64().map_or("no".to_owned(), |number| number.to_string());
        let said =
            format!("one failover on evidence {kind}, RTO {} ms, RPO {} bytes", number("rto_ms"), number("rpo_bytes"));
        self.saw(said);
        Ok(over)
    }

    /// Stops the client, and finds which of its rows the present writer lacks.
    pub async fn count(&mut self) -> Result<Rows, Stop> {
        let address = self.address().await?;
        let lost = self.client.lost(&self.cluster.database, address).await?;
        let acknowledged = self.rows();
        let gap = outage(&acknowledged, self.struck).map_or(0, |(last, first)| first.ms_since(last));
        self.saw(format!("{} rows acknowledged, {} lost, {gap} ms without one", acknowledged.len(), lost.len()));
        Ok(Rows { acknowledged, lost })
    }

    /// The same, when nothing may be lost.
    pub async fn count_all_kept(&mut self) -> Result<Rows, Stop> {
        let rows = self.count().await?;
        self.expect(judge::kept(&rows.lost));
        Ok(rows)
    }

    /// Waits until a member streams from the one that writes now.
    pub async fn streams(&mut self, name: &str, limit: Duration) -> Result<(), Stop> {
        let name = name.to_owned();
        self.until(&format!("{name} to stream from the writer"), limit, async |stage| {
            let writer = stage.now().await?.writer.unwrap_or_default();
            let streaming = stage.inside.streaming(&writer).await.unwrap_or_default();
            Ok(streaming.contains(&name).then_some(()))
        })
        .await
    }
}
