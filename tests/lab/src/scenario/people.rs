//! What people ask for, and what they must not get.

use super::{
    judge,
    stage::{Stage, Stop},
};
use crate::clock::Moment;
use serde_json::{Value, json};
use std::time::Duration;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A14
pub async fn paused(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let (writer, name) = (stage.writer()?.id, stage.cluster.card.cluster.clone());
    let said = stage.ask(&json!({"pause": {"cluster": name, "minutes": 10, "reason": "a kernel update"}})).await?;
    stage.demand(said.outcome == "acted", format!("not paused: {}", said.because));
    stage.strike(&writer, "kill-host").await?;
    let page = stage.page(&["paused", "a kernel update"], seconds(45)).await?;
    stage.quiet(seconds(6)).await?;
    let standbys = stage.standbys();
    for standby in standbys {
        let answer = stage.cluster.database.ask(standby.address).await;
        stage.demand(answer == crate::sql::Member::Standby, format!("{} answers {answer:?}", standby.id));
    }
    let resume = stage.offer(&page, "resume")?;
    let said = stage.ask(&resume).await?;
    stage.saw(format!("resume: {}", said.because));
    stage.demand(said.outcome == "acted", format!("not resumed: {}", said.because));
    stage.failover(seconds(60)).await?;
    stage.count_all_kept().await.map(drop)
}

/// A15
pub async fn asked(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let (writer, standbys) = (stage.writer()?, stage.standbys());
    let name = stage.cluster.card.cluster.clone();
    let (target, never) = (&standbys[0], standbys[standbys.len() - 1].clone());
    stage.demand(never.never_promote, "the spec marks no member never to be promoted");
    let mut count = 0;
    for (payload, words) in refusals(&name, &writer.id, &never.name) {
        let said = stage.ask(&payload).await?;
        let broken = judge::refused(&said.outcome, &said.because, words);
        stage.expect(broken.into_iter().map(|what| format!("{payload}: {what}")).collect());
        count += 1;
    }
    // Behind, and no longer connected.
    stage.fault(&writer.id, &format!("cut-from/{}", target.id)).await?;
    let to_target = json!({"switchover": {"cluster": name, "to": target.name}});
    let gone = |streaming: Vec<String>| !streaming.contains(&target.name);
    stage
        .until("the standby to be cut off", seconds(20), async |stage| {
            let streaming = stage.inside.streaming(&writer.id).await;
            Ok(streaming.is_ok_and(gone).then_some(()))
        })
        .await?;
    let said = stage.ask(&to_target).await?;
    stage.expect(judge::refused(&said.outcome, &said.because, &target.id));
    stage.expect(judge::unchanged(&stage.before, &stage.now().await?));
    stage.saw(format!("{} requests refused, nothing changed; one that lags: {}", count + 1, said.because));
    stage.fault(&writer.id, "heal").await?;
    stage.streams(&target.name, seconds(30)).await?;
    planned(stage, &to_target, &writer.name).await
}

/// A planned switchover: nothing is lost, and the old writer follows the new one.
async fn planned(stage: &mut Stage<'_>, request: &Value, old: &str) -> Result<(), Stop> {
    stage.struck = Moment::now();
    let said = stage.ask(request).await?;
    stage.demand(said.outcome == "acted", format!("the switchover was not made: {}: {}", said.outcome, said.because));
    let over = stage.change("switchover", seconds(60)).await?;
    stage.expect(judge::changed_once(&stage.before, &over.after));
    let to = over.after.writer.clone().unwrap_or_default();
    stage.saw(format!("switchover to {to}, on: {}", over.entry["evidence"].as_str().unwrap_or("no evidence")));
    stage.demand(over.entry["rpo_bytes"] == 0, "the ledger states a loss");
    stage.streams(old, seconds(60)).await?;
    stage.saw("the old writer streams from the new one");
    stage.count_all_kept().await.map(drop)
}

/// Requests that must be refused, each with words of the sentence that does.
fn refusals(name: &str, writer: &str, never: &str) -> Vec<(Value, &'static str)> {
    let switchover = |to: &str| json!({"switchover": {"cluster": name, "to": to}});
    vec![
        (switchover("nobody"), "no member"),
        (switchover(writer), "is the writer already"),
        (switchover(never), "never to be promoted"),
        (json!({"switchover": {"cluster": name}}), "switchover/to is missing"),
        (json!({"switchover": {"cluster": name, "to": "x", "force": true}}), "switchover/force is not known"),
        (json!({"switchover": {"cluster": "nowhere", "to": "x"}}), "no cluster nowhere"),
        (json!({"pause": {"cluster": name, "minutes": 0}}), "1 to 1440"),
        (json!({"pause": {"cluster": name, "hours": 1}}), "pause/hours is not known"),
        (json!({"resume": {"cluster": name}}), "is not paused"),
        (json!({"approve": {"cluster": name, "epoch": 0, "data_loss_bytes": 0}}), "worth nothing"),
        (json!({"approve": {"cluster": name, "epoch": 1}}), "data_loss_bytes is missing"),
        (json!({"explain": "nowhere"}), "no cluster nowhere"),
        (json!({"explain": name, "resume": name}), "and nothing beside it"),
    ]
}
