//! Heavy writing, straight to one member.

use crate::{
    clock::Moment,
    error::{Error, cannot, story},
    sql::{Database, STATEMENT},
};
use std::{
    collections::HashSet,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::time::timeout;

/// Bytes of a row's text. PostgreSQL compresses it to no less than half: each letter of it is one of 16.
const ROW: u64 = 32 * 1024;

/// What a row takes of the log at least.
pub const LEAST: u64 = ROW / 2;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Rows of 32 KiB.
    Rows,
    /// Messages of 1 MB in the log, and nothing in any table.
    Log,
}

/// Acknowledged rows: number and time.
type Acked = Arc<Mutex<Vec<(i64, Moment)>>>;

/// The running load; it ends when dropped, or when a statement fails.
pub struct Load {
    acked: Acked,
    task: tokio::task::JoinHandle<String>,
}

impl Drop for Load {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Load {
    /// Begins to write.
    pub fn start(database: Database, address: IpAddr, kind: Kind) -> Load {
        let acked = Acked::default();
        let noted = Arc::clone(&acked);
        Load { acked, task: tokio::spawn(write(database, address, kind, noted)) }
    }

    /// Whether it has ended: a statement failed.
    pub fn ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Stops, and compares: time and least log of each acknowledged row that is not there at `address`.
    pub async fn lost(&self, database: &Database, address: IpAddr) -> Result<Vec<(Moment, u64)>, Error> {
        self.task.abort();
        let doing = "read the heavy rows back";
        let client = database.connect(address).await.map_err(cannot(doing))?;
        let asked = "SELECT to_regclass('lab_load') IS NOT NULL";
        let there: bool = client.query_one(asked, &[]).await.map_err(|error| cannot(doing)(story(&error)))?.get(0);
        let mut kept = HashSet::new();
        if there {
            let rows = client.query("SELECT number FROM lab_load", &[]).await;
            kept.extend(rows.map_err(|error| cannot(doing)(story(&error)))?.iter().map(|row| row.get::<_, i64>(0)));
        }
        let acked = self.acked.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(acked.iter().filter(|(number, _)| !kept.contains(number)).map(|(_, at)| (*at, LEAST)).collect())
    }
}

/// Writes until a statement fails; why it did.
async fn write(database: Database, address: IpAddr, kind: Kind, acked: Acked) -> String {
    let client = match database.connect(address).await {
        Ok(client) => client,
        Err(why) => return why,
    };
    let table = "CREATE TABLE IF NOT EXISTS lab_load (number bigint PRIMARY KEY, filler text)";
    if kind == Kind::Rows
        && let Err(error) = client.batch_execute(table).await
    {
        return story(&error);
    }
    // Numbers go on where an earlier load in this table ended.
    let mut number = i64::try_from(Moment::now().0).unwrap_or_default();
    let insert = match kind {
        Kind::Rows => {
            "INSERT INTO lab_load SELECT $1, string_agg(md5(random()::text), '') FROM generate_series(1, 1024)"
        }
        Kind::Log => "SELECT pg_logical_emit_message(false, 'lab', $1::bigint || repeat('x', 1000000))",
    };
    loop {
        number += 1;
        match timeout(STATEMENT, client.execute(insert, &[&number])).await {
            Ok(Ok(_)) => acked.lock().unwrap_or_else(PoisonError::into_inner).push((number, Moment::now())),
            Ok(Err(error)) => return story(&error),
            Err(_) => return "no answer in 2 s".to_owned(),
        }
    }
}
