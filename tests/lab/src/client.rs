//! The writing client: an application that writes a row every 10 ms through the writer record.

use crate::{
    clock::Moment,
    error::{Error, cannot, story},
    names,
    sql::{Database, STATEMENT},
};
use hickory_resolver::TokioResolver;
use std::{
    collections::HashSet,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{MissedTickBehavior, timeout};
use tokio_postgres::Client;

/// Time between two rows.
const INTERVAL: Duration = Duration::from_millis(10);
/// Pause before another try to connect.
const RECONNECT: Duration = Duration::from_millis(100);

/// A row that PostgreSQL acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its number, counted by the client.
    pub number: i64,
    /// When the acknowledgement arrived.
    pub at: Moment,
}

/// Something that happened to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Moment,
    /// What.
    pub what: What,
}

/// What happened to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It connected to this address, that the writer record named.
    Connected(IpAddr),
    /// It lost its connection, or a statement failed or took too long; the row's fate is unknown.
    Lost(String),
    /// It could not connect.
    Refused(String),
}

/// What a client has done so far.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Acknowledged rows in the order of their acknowledgement.
    pub rows: Vec<Row>,
    /// What happened to it.
    pub events: Vec<Event>,
}

/// The running client; it ends when dropped.
pub struct Writer {
    tally: Arc<Mutex<Tally>>,
    task: tokio::task::JoinHandle<()>,
    run: String,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Writer {
    /// Begins to write, through `record`; `run` tells the rows of one run from those of others.
    pub fn start(database: Database, resolver: TokioResolver, record: String, run: String) -> Writer {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let job = Job { database, resolver, record, run: run.clone(), tally: Arc::clone(&tally), number: 0 };
        Writer { tally, task: tokio::spawn(job.work()), run }
    }

    /// What it has done so far.
    pub fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When the newest row was acknowledged.
    pub fn newest(&self) -> Option<Row> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).rows.last().copied()
    }

    /// Stops writing and compares: rows that were acknowledged and are not in the table at `address`.
    pub async fn lost(&self, database: &Database, address: IpAddr) -> Result<Vec<Row>, Error> {
        let doing = "read the rows back";
        self.task.abort();
        let client = database.connect(address).await.map_err(cannot(doing))?;
        let query = async { client.query("SELECT number FROM lab_rows WHERE run = $1", &[&self.run]).await };
        let rows = timeout(Duration::from_secs(30), query).await.map_err(cannot(doing))?;
        let rows = rows.map_err(|error| cannot(doing)(story(&error)))?;
        let kept: HashSet<i64> = rows.iter().map(|row| row.get(0)).collect();
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(missing(&tally.rows, &kept))
    }
}

/// The acknowledged rows that are not among those kept. A row that is kept without having been acknowledged is no loss.
fn missing(acknowledged: &[Row], kept: &HashSet<i64>) -> Vec<Row> {
    acknowledged.iter().filter(|row| !kept.contains(&row.number)).copied().collect()
}

struct Job {
    database: Database,
    resolver: TokioResolver,
    record: String,
    run: String,
    tally: Arc<Mutex<Tally>>,
    number: i64,
}

impl Job {
    async fn work(mut self) {
        loop {
            match self.connect().await {
                Ok((client, address)) => {
                    self.note(What::Connected(address));
                    let why = self.write(&client).await;
                    self.note(What::Lost(why));
                }
                Err(why) => self.note(What::Refused(why)),
            }
            tokio::time::sleep(RECONNECT).await;
        }
    }

    /// Resolves the record and connects. The resolver keeps the answer for its time to live, as an application's does.
    async fn connect(&self) -> Result<(Client, IpAddr), String> {
        let (name, address) = names::follow(&self.resolver, &self.record).await?;
        let database = if name == self.record { self.database.clone() } else { self.database.named(&name) };
        let client = database.connect(address).await.map_err(|why| format!("{address}: {why}"))?;
        Ok((client, address))
    }

    /// Writes until a statement fails; why it did.
    async fn write(&mut self, client: &Client) -> String {
        let insert = match timeout(STATEMENT, prepare(client)).await {
            Ok(Ok(insert)) => insert,
            Ok(Err(error)) => return story(&error),
            Err(_) => return "no answer in 2 s".to_owned(),
        };
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.number += 1;
            match timeout(STATEMENT, client.execute(&insert, &[&self.run, &self.number])).await {
                Ok(Ok(_)) => {
                    let row = Row { number: self.number, at: Moment::now() };
                    self.tally.lock().unwrap_or_else(PoisonError::into_inner).rows.push(row);
                }
                Ok(Err(error)) => return story(&error),
                Err(_) => return "no answer in 2 s".to_owned(),
            }
        }
    }

    fn note(&self, what: What) {
        let event = Event { at: Moment::now(), what };
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).events.push(event);
    }
}

/// Makes the table where it is missing, and prepares the insert.
async fn prepare(client: &Client) -> Result<tokio_postgres::Statement, tokio_postgres::Error> {
    // Looked up first: CREATE TABLE IF NOT EXISTS is refused by a standby even where the table is there.
    let there: bool = client.query_one("SELECT to_regclass('lab_rows') IS NOT NULL", &[]).await?.get(0);
    if !there {
        client
            .batch_execute(
                "CREATE TABLE IF NOT EXISTS lab_rows (
                   run text, number bigint, written_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (run, number))",
            )
            .await?;
    }
    client.prepare("INSERT INTO lab_rows (run, number) VALUES ($1, $2)").await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_acknowledged_rows_can_be_lost() {
        let row = |number| Row { number, at: Moment(0) };
        let kept = HashSet::from([1, 3, 4]);
        assert_eq!(missing(&[row(1), row(3)], &kept), [], "row 4 was kept, its acknowledgement was lost");
        assert_eq!(missing(&[row(1), row(2), row(3)], &kept), [row(2)]);
        assert_eq!(missing(&[], &kept), []);
    }
}
