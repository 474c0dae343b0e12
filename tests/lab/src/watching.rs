//! Whether `watch-clusters` probes a cluster now, as it does all the time in a fleet that has been there for a minute.

use crate::{
    clock::Moment,
    error::{Error, cannot},
    fleet::Fleet,
    lab::Lab,
    progress::Step,
};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// A run publishes the metrics of each cluster every 10 s: a document older than this says that nobody looks.
const FRESH: Duration = Duration::from_secs(12);
/// Time for a run to begin, by its schedule at the latest, and to publish.
const PATIENCE: Duration = Duration::from_secs(90);
/// The end of the log that is read; a run logs far less in 12 s.
const TAIL: u64 = 256 * 1024;

/// Waits until a run publishes the metrics of a cluster. Wakes the function as its schedule would: a cluster that is
/// new since the last minute began is in no run yet.
pub async fn wait(lab: &Lab, cluster: &str, since: Moment, step: &Step) -> Result<(), Error> {
    let log = lab.place.dir.join("functions").join(format!("{}.log", Fleet::function("watch-clusters")));
    if watched(&log, cluster, since) {
        return Ok(());
    }
    let with = json!({"FunctionName": Fleet::function("watch-clusters"), "InvocationType": "Event", "Payload": "{}"});
    lab.owner.call("lambda", "invoke", with).await?;
    let until = Instant::now() + PATIENCE;
    while !watched(&log, cluster, since) {
        step.tell(format!("waiting until watch-clusters probes {cluster}"));
        if Instant::now() > until {
            return Err(cannot("begin a run")(format!("watch-clusters does not probe {cluster}")));
        }
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

fn watched(log: &PathBuf, cluster: &str, since: Moment) -> bool {
    let mut tail = String::new();
    let read = File::open(log).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        tail = String::from_utf8_lossy(&bytes).into_owned();
        Ok(())
    });
    let fresh = Moment(Moment::now().0.saturating_sub(u64::try_from(FRESH.as_micros()).unwrap_or(u64::MAX)));
    // A function that never ran has no log.
    read.is_ok() && last_measured(&tail, cluster).is_some_and(|at| at > fresh && at > since)
}

/// When the writer of a cluster was last published as up.
fn last_measured(log: &str, cluster: &str) -> Option<Moment> {
    let documents = log.lines().rev().filter(|line| line.contains("\"_aws\""));
    let mut documents = documents.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let last = documents.find(|document| document["Cluster"] == cluster && document["WriterUp"] == 1)?;
    last["_aws"]["Timestamp"].as_u64().map(Moment::from_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_document_of_the_cluster_counts() {
        let line = |cluster: &str, at: u64, up: u8| {
            json!({"_aws": {"Timestamp": at}, "Cluster": cluster, "WriterUp": up}).to_string()
        };
        let log = [line("orders", 1, 1), line("orders", 2, 1), line("other", 3, 1), line("orders", 4, 0)].join("\n");
        assert_eq!(last_measured(&log, "orders"), Some(Moment::from_ms(2)), "one whose writer is down says nothing");
        assert_eq!(last_measured(&log, "other"), Some(Moment::from_ms(3)));
        assert_eq!(last_measured("INFO orders: \"_aws\" cut of", "orders"), None);
        assert_eq!(last_measured("", "orders"), None);
    }
}
