//! Backups and what they are worth: a full one, a differential one, and a restore to a second, compared row by row.

use crate::{
    client::Writer,
    clock::Moment,
    cluster::Cluster,
    control,
    error::{Error, cannot},
    inside::Inside,
    lab::Lab,
    names,
    patroni::Patroni,
    progress::Step,
};
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep};

/// How long each client writes.
const WRITING: Duration = Duration::from_secs(3);
/// Nothing is written around the second that is restored to: the server's clock and the lab's are the same, and a
/// transaction takes milliseconds.
const PAUSE: Duration = Duration::from_millis(1_500);
/// Time for a segment to get into the archive.
const ARCHIVED: Duration = Duration::from_secs(60);
/// What is done on a member.
const SCRIPT: &str = include_str!("../restore-to.sh");

/// What it came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The cluster.
    pub cluster: String,
    /// The member that made the backups, and the other one on which they were restored.
    pub members: [String; 2],
    /// Milliseconds that the full backup took.
    pub full_ms: u64,
    /// Milliseconds that the differential one took.
    pub diff_ms: u64,
    /// The backups in the repository afterwards, oldest first, by pgBackRest's labels.
    pub labels: Vec<String>,
    /// The second that was restored to.
    pub target: String,
    /// Milliseconds that the restore took, until every row had been read.
    pub restore_ms: u64,
    /// Rows written before that second, and after it.
    pub written: [usize; 2],
    /// Rows that were restored.
    pub restored: usize,
    /// Rows from before that are missing or not the same.
    pub missing: usize,
    /// Rows from after it that are there.
    pub unexpected: usize,
}

impl Report {
    /// Everything that was promised and not kept.
    pub fn broken(&self) -> Vec<String> {
        let [before, after] = self.written;
        let demands = [
            (before > 0 && after > 0, format!("{before} rows were written before that second and {after} after it")),
            (self.missing == 0, format!("{} rows from before it are missing or not the same", self.missing)),
            (self.unexpected == 0, format!("{} rows from after it are there", self.unexpected)),
            (self.restored == before, format!("{} rows were restored, {before} written", self.restored)),
            (
                matches!(&self.labels[..], [.., full, diff] if full.ends_with('F') && diff.ends_with('D')),
                format!("the backups are {:?}, not a full one and a differential one", self.labels),
            ),
        ];
        demands.into_iter().filter(|(kept, _)| !kept).map(|(_, what)| what).collect()
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [made, restored] = &self.members;
        let [before, after] = self.written;
        writeln!(
            f,
            "full backup on {made}: {} ms; differential: {} ms; {}",
            self.full_ms,
            self.diff_ms,
            self.labels.join(", ")
        )?;
        writeln!(f, "restored to {} on {restored}: {} ms", self.target, self.restore_ms)?;
        writeln!(
            f,
            "{before} rows written before it, {} restored, {} missing; {after} written after it, {} of them there",
            self.restored, self.missing, self.unexpected
        )
    }
}

/// Makes backups of a cluster that works, and restores them.
pub async fn run(lab: &Lab, cluster: &Cluster, step: &Step) -> Result<Report, Error> {
    let doing = "back up and restore";
    let card = cluster.card.patroni.as_ref().ok_or_else(|| cannot(doing)("the lab does so where Patroni leads"))?;
    let leaders = Patroni::of(&lab.place, cluster, card)?.leaders().await;
    let [leader] = &leaders[..] else { return Err(cannot(doing)(format!("{} members lead", leaders.len()))) };
    let other = cluster.card.members.iter().find(|member| member.id != leader.id);
    let other = other.ok_or_else(|| cannot(doing)("there is no standby"))?;
    let inside = Inside::of(&lab.place, cluster)?;
    let runs = ["before", "diff", "after"].map(|part| format!("backup-{}-{part}", Moment::now().0));

    write(cluster, &runs[0], step).await?;
    let full_ms = unit(&leader.id, "understudy-backup-full", step).await?;
    write(cluster, &runs[1], step).await?;
    let diff_ms = unit(&leader.id, "understudy-backup-diff", step).await?;
    sleep(PAUSE).await;
    let target = jiff::Timestamp::now().strftime("%F %T%.6f+00").to_string();
    sleep(PAUSE).await;
    write(cluster, &runs[2], step).await?;
    archive(&inside, &leader.id, step).await?;

    let database = &cluster.card.database;
    let query = |runs: &[String]| {
        let list: Vec<String> = runs.iter().map(|run| format!("'{run}'")).collect();
        let list = list.join(", ");
        format!("SELECT run, number, extract(epoch FROM written_at) FROM lab_rows WHERE run IN ({list}) ORDER BY 1, 2")
    };
    let ask = async |runs: &[String]| {
        inside.query(&leader.id, database, &[&query(runs)]).await.map_err(cannot("read the rows"))
    };
    let (before, after) = (ask(&runs[..2]).await?, ask(&runs[2..]).await?);
    step.tell(format!("restoring to {target} on {}", other.name));
    let began = Instant::now();
    let arguments: Vec<&str> = ["rows", &target].into_iter().chain(runs.iter().map(String::as_str)).collect();
    let restored = inside.script(&other.id, SCRIPT, &arguments).await.map_err(cannot("restore"))?;
    let restore_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let labels = inside.script(&other.id, SCRIPT, &["labels"]).await.map_err(cannot("list the backups"))?;
    let (missing, unexpected) = compare(&before, &restored);
    Ok(Report {
        cluster: cluster.card.cluster.clone(),
        members: [leader.name.clone(), other.name.clone()],
        full_ms,
        diff_ms,
        labels,
        target,
        restore_ms,
        written: [before.len(), after.len()],
        restored: restored.len(),
        missing,
        unexpected,
    })
}

/// Writes rows for a while through the load balancer.
async fn write(cluster: &Cluster, run: &str, step: &Step) -> Result<(), Error> {
    step.tell("writing rows");
    let (database, name) = cluster.entrance();
    let client = Writer::start(database, names::resolver()?, name, run.to_owned());
    sleep(WRITING).await;
    let rows = client.tally().rows.len();
    // A row that is on its way when the client ends is in the table or not; what is compared is what is in the table.
    drop(client);
    sleep(Duration::from_millis(300)).await;
    if rows == 0 { Err(cannot("write rows")("none was accepted in 3 s")) } else { Ok(()) }
}

/// Runs a timer's service as its timer would; milliseconds.
async fn unit(id: &str, name: &str, step: &Step) -> Result<u64, Error> {
    step.tell(format!("{name} on {id}"));
    let began = Instant::now();
    match control::run_unit(id, name).await? {
        0 => Ok(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)),
        status => Err(cannot(format!("run {name}"))(format!("it ended with status {status}; see the console of {id}"))),
    }
}

/// Ends the segment that is being written, and waits until it is in the archive.
async fn archive(inside: &Inside, id: &str, step: &Step) -> Result<(), Error> {
    step.tell("waiting for the archive");
    let ask = async |sql: &str| {
        let lines = inside.query(id, "postgres", &[sql]).await.map_err(cannot("fill the archive"))?;
        Ok::<_, Error>(lines.concat())
    };
    let segment = ask("SELECT pg_walfile_name(pg_switch_wal())").await?;
    let until = Instant::now() + ARCHIVED;
    loop {
        let newest = ask("SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver").await?;
        if newest >= segment {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(cannot("fill the archive")(format!(
                "{segment} is not in it after 60 s; the newest is {newest}"
            )));
        }
        sleep(Duration::from_millis(250)).await;
    }
}

/// How many rows of `expected` are not among those restored as they were, and how many of these are not expected. The
/// first two columns name a row.
fn compare(expected: &[String], restored: &[String]) -> (usize, usize) {
    let name = |row: &str| row.rsplit_once('|').map_or(row, |(name, _)| name).to_owned();
    let table =
        |rows: &[String]| -> BTreeMap<String, String> { rows.iter().map(|row| (name(row), row.clone())).collect() };
    let (expected, restored) = (table(expected), table(restored));
    let missing = expected.iter().filter(|(name, row)| restored.get(*name) != Some(row)).count();
    (missing, restored.keys().filter(|name| !expected.contains_key(*name)).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_compared_one_by_one() {
        let rows = |rows: &[&str]| -> Vec<String> { rows.iter().map(|row| (*row).to_owned()).collect() };
        let expected = rows(&["a|1|0.5", "a|2|0.6"]);
        assert_eq!(compare(&expected, &expected), (0, 0));
        assert_eq!(compare(&expected, &rows(&["a|1|0.5"])), (1, 0));
        assert_eq!(compare(&expected, &rows(&["a|1|0.5", "a|2|0.7"])), (1, 0), "the same row with another content");
        assert_eq!(compare(&expected, &rows(&["a|1|0.5", "a|2|0.6", "b|1|0.9"])), (0, 1));
    }

    #[test]
    fn every_promise_can_be_broken() {
        let good = Report {
            cluster: "vault".to_owned(),
            members: ["vault_1", "vault_2"].map(str::to_owned),
            full_ms: 1,
            diff_ms: 1,
            labels: vec!["20261121-170000F".to_owned(), "20261121-170000F_20261121-170100D".to_owned()],
            target: "2026-11-21 17:01:02.000000+00".to_owned(),
            restore_ms: 1,
            written: [10, 5],
            restored: 10,
            missing: 0,
            unexpected: 0,
        };
        assert_eq!(good.broken(), Vec::<String>::new());
        type Damage = fn(&mut Report);
        let table: [(&str, Damage); 5] = [
            ("10 rows were written before that second and 0 after it", |report| report.written[1] = 0),
            ("1 rows from before it are missing or not the same", |report| report.missing = 1),
            ("2 rows from after it are there", |report| report.unexpected = 2),
            ("9 rows were restored, 10 written", |report| report.restored = 9),
            ("the backups are [\"20261121-170000F\"], not a full one and a differential one", |report| {
                drop(report.labels.pop());
            }),
        ];
        for (expected, damage) in table {
            let mut report = good.clone();
            damage(&mut report);
            assert_eq!(report.broken(), [expected]);
        }
    }
}
