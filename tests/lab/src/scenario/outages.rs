//! AWS itself is not well, or says things twice, late, or not at all.

use super::{
    judge,
    stage::{Stage, Stop},
};
use crate::{clock::Moment, fleet::Fleet, setup::FUNCTIONS};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A19
pub async fn without_functions(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let writer = stage.writer()?.id;
    let mut reserved = Vec::new();
    for name in FUNCTIONS {
        let with = json!({"FunctionName": Fleet::function(name)});
        let found = stage.lab.owner.call("lambda", "get_function_concurrency", with).await?;
        reserved.push((name, found["ReservedConcurrentExecutions"].as_u64()));
        reserve(stage, name, Some(0)).await?;
    }
    let off = async {
        stage.strike(&writer, "kill-host").await?;
        stage.quiet(seconds(15)).await
    };
    let off = off.await;
    // Whatever was seen, the next scenario needs them.
    for (name, count) in reserved {
        reserve(stage, name, count).await?;
    }
    off?;
    stage.failover(seconds(120)).await?;
    stage.count_all_kept().await.map(drop)
}

async fn reserve(stage: &Stage<'_>, name: &str, count: Option<u64>) -> Result<(), Stop> {
    let function = Fleet::function(name);
    let (call, with) = match count {
        Some(count) => {
            ("put_function_concurrency", json!({"FunctionName": function, "ReservedConcurrentExecutions": count}))
        }
        None => ("delete_function_concurrency", json!({"FunctionName": function})),
    };
    stage.lab.owner.call("lambda", call, with).await?;
    Ok(())
}

/// A23: dead hardware, of which EC2 says nothing; then five times the same suspicion, and EC2's events in the wrong order.
pub async fn five_times(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let (writer, name) = (stage.writer()?.id, stage.cluster.card.cluster.clone());
    let silent_since = Moment::now().0 / 1_000;
    stage.strike(&writer, "kill-host").await?;
    sleep(Duration::from_millis(3_500)).await;
    let mut events = vec![suspicion(&name, &writer, silent_since); 5];
    events.extend(["stopped", "running", "stopping", "stopped", "stopping"].map(|state| state_change(&writer, state)));
    stage.send("promote-replica", &events).await?;
    stage.failover(seconds(60)).await?;
    // Late ones, too.
    stage.send("promote-replica", &events).await?;
    sleep(seconds(5)).await;
    stage.take_pages().await?;
    stage.expect(judge::changed_once(&stage.before, &stage.now().await?));
    stage.expect(judge::paged(&stage.pages, "writer moved", 1, 1));
    stage.saw("20 events, one epoch");
    stage.count_all_kept().await.map(drop)
}

fn suspicion(cluster: &str, member: &str, silent_since_ms: u64) -> Value {
    json!({
        "version": "0", "id": "f3f0e5c2-1d1a-4d0b-8f3b-5e9f0a7c6d21", "detail-type": "Understudy Writer Suspected",
        "source": "understudy.watch-clusters", "account": "000000000000", "time": "2026-11-21T03:12:10Z",
        "region": crate::place::REGION, "resources": [],
        "detail": {
            "cluster": cluster, "member": member, "failures": 3, "silent_since_ms": silent_since_ms,
            "problem": "no answer in 900 ms",
        },
    })
}

fn state_change(id: &str, state: &str) -> Value {
    json!({
        "version": "0", "id": format!("7bf73129-1428-4cd3-a780-{state:0>12.12}"),
        "detail-type": "EC2 Instance State-change Notification", "source": "aws.ec2", "account": "000000000000",
        "time": "2026-11-21T03:12:10Z", "region": crate::place::REGION,
        "resources": [format!("arn:aws:ec2:{}:000000000000:instance/{id}", crate::place::REGION)],
        "detail": {"instance-id": id, "state": state},
    })
}

/// B1
pub async fn records_refused(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let writer = stage.writer()?.id;
    stage.spoil("route53:ChangeResourceRecordSets", "error", None, None).await?;
    stage.strike(&writer, "kill-host").await?;
    let page = stage.page(&["record waits", "target_session_attrs=read-write"], seconds(60)).await?;
    let now = stage.now().await?;
    stage.demand(now.record == stage.before.record, "the record moved although Route 53 refused");
    let host = page.text.split("host=").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or_default();
    let writable = match host.split(',').next().and_then(|host| host.parse().ok()) {
        Some(address) => stage.cluster.database.ask(address).await,
        None => crate::sql::Member::Silent(format!("the page's host list is {host:?}")),
    };
    stage.saw(format!("the page offers host={host}, which answers {writable:?}"));
    stage.demand(matches!(writable, crate::sql::Member::Writable(_)), "the page's host list is of no use");
    let struck = crate::control::clear_rules().await?;
    stage.demand(struck > 0, "no call to Route 53 was refused");
    let over = stage.change("failover", seconds(60)).await?;
    stage.expect(judge::changed_once(&stage.before, &over.after));
    stage.saw(format!("the record moved when Route 53 answered again, after {struck} refused calls"));
    stage.count_all_kept().await.map(drop)
}

/// B2
pub async fn answers_lost(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let writer = stage.writer()?.id;
    let calls = [
        "dynamodb:GetItem",
        "dynamodb:UpdateItem",
        "dynamodb:PutItem",
        "route53:ListResourceRecordSets",
        "route53:ChangeResourceRecordSets",
        "sns:Publish",
    ];
    for call in calls {
        stage.spoil(call, "lose-answer", Some(1), Some("promote-replica")).await?;
    }
    stage.strike(&writer, "kill-host").await?;
    let over = stage.change("failover", seconds(90)).await?;
    sleep(seconds(3)).await;
    stage.take_pages().await?;
    stage.expect(judge::changed_once(&stage.before, &over.after));
    stage.expect(judge::ledger(&over.entry, stage.cluster.synchronous));
    stage.expect(judge::paged(&stage.pages, "writer moved", 1, 2));
    let struck = crate::control::clear_rules().await?;
    stage.saw(format!("{struck} of {} answers were lost", calls.len()));
    stage.demand(struck as usize == calls.len(), "not every answer was lost once");
    stage.count_all_kept().await.map(drop)
}

/// B3
pub async fn throttled(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let writer = stage.writer()?.id;
    stage.spoil("ec2:*", "throttle", Some(8), Some("promote-replica")).await?;
    stage.spoil("dynamodb:*", "throttle", Some(8), Some("promote-replica")).await?;
    stage.strike(&writer, "kill-host").await?;
    stage.failover(seconds(90)).await?;
    let struck = crate::control::clear_rules().await?;
    stage.saw(format!("{struck} calls were throttled"));
    stage.demand(struck >= 10, format!("{struck} calls were throttled only"));
    stage.count_all_kept().await.map(drop)
}

/// B5: somebody points the writer record at a standby.
pub async fn record_changed(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let standby = stage.standbys()[0].address.to_string();
    let records = stage.cluster.card.records.clone();
    let set = json!({
        "Name": records.writer, "Type": "A", "TTL": records.ttl_s, "ResourceRecords": [{"Value": standby}],
    });
    let with = json!({
        "HostedZoneId": records.zone_id, "ChangeBatch": {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": set}]},
    });
    stage.struck = Moment::now();
    stage.lab.owner.call("route53", "change_resource_record_sets", with).await?;
    // As its schedule does every 5 minutes.
    let schedule = json!({
        "version": "0", "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa", "detail-type": "Scheduled Event",
        "source": "aws.events", "account": "000000000000", "time": "2026-11-21T03:15:00Z",
        "region": crate::place::REGION, "resources": [], "detail": {},
    });
    let said = stage.invoke("update-dns", &schedule).await?;
    stage.saw(format!("update-dns: {said}"));
    stage
        .until("the record to be mended", seconds(20), async |stage| {
            Ok((stage.now().await?.record == stage.before.record).then_some(()))
        })
        .await?;
    stage.expect(judge::unchanged(&stage.before, &stage.now().await?));
    let mended = Moment::now();
    stage.row_after(mended, seconds(10)).await?;
    stage.count_all_kept().await.map(drop)
}
