//! Patroni leads: Understudy follows, repairs what is lost, and never promotes.

use super::{
    judge,
    stage::{Stage, Stop},
};
use crate::{
    cluster::WRITER_PORT,
    control,
    error::cannot,
    patroni::{Agent, Patroni},
};
use domain::card::{CardMember, PatroniCard};
use serde_json::json;
use std::time::Duration;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Patroni's `ttl` (20 s), its election, two intervals of the load balancer, and Understudy after them.
const FAILOVER: Duration = seconds(120);

fn card(stage: &Stage<'_>) -> Result<PatroniCard, Stop> {
    let card = stage.cluster.card.patroni.clone();
    card.ok_or_else(|| cannot("begin a scenario")("the card says nothing of Patroni").into())
}

async fn agents(stage: &Stage<'_>) -> Result<Vec<(CardMember, Option<Agent>)>, Stop> {
    Ok(Patroni::of(&stage.lab.place, &stage.cluster, &card(stage)?)?.agents().await)
}

/// Patroni, the state item and the load balancer name the same member, another than before.
async fn agreed(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let balancer = card(stage)?.balancer;
    let leader = stage
        .until("the load balancer to follow", seconds(60), async |stage| {
            let agents = agents(stage).await?;
            let leaders = agents.into_iter().filter(|(_, agent)| agent.as_ref().is_some_and(Agent::leads));
            let leaders: Vec<String> = leaders.map(|(member, _)| member.id).collect();
            let front = control::fronts().await?.into_iter().find(|front| front.dns_name == balancer);
            let front = front.map(|front| front.healthy(WRITER_PORT)).unwrap_or_default();
            let front: Vec<String> = front.into_iter().map(|(id, _)| id).collect();
            Ok((leaders.len() == 1 && front == leaders).then(|| leaders[0].clone()))
        })
        .await?;
    let now = stage.now().await?;
    stage.demand(now.writer.as_ref() == Some(&leader), format!("Patroni says {leader}, the state {:?}", now.writer));
    stage.saw(format!("Patroni, load balancer and record agree on {leader}"));
    Ok(())
}

/// P1
pub async fn dead(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let writer = stage.writer()?.id;
    stage.strike(&writer, "kill-host").await?;
    stage.failover(FAILOVER).await?;
    agreed(stage).await?;
    stage.count_all_kept().await.map(drop)
}

/// P2
pub async fn crashed(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let writer = stage.writer()?;
    stage.strike(&writer.id, "kill-postmaster").await?;
    stage.quiet(seconds(25)).await?;
    let asked = stage.cluster.database.ask(writer.address).await;
    let same = crate::sql::Member::Writable(stage.timeline);
    stage.demand(asked == same, format!("the writer answers {asked:?}, it was {same:?}"));
    stage.expect(judge::nobody_called(&stage.pages));
    let rows = stage.count_all_kept().await?;
    // Patroni looks every loop_wait (5 s), and the load balancer may have to find the member healthy again.
    stage.expect(judge::gap(&rows.acknowledged, stage.struck, seconds(20)));
    Ok(())
}

/// P3
pub async fn without_a_store_host(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let hosts = card(stage)?.etcd;
    let Some(host) = hosts.first().cloned() else {
        return Err(Stop::Unmet("the card names no host of etcd".to_owned()));
    };
    stage.strike(&host.id, "kill-host").await?;
    // Longer than the ttl: the leader has renewed its lock without that host.
    stage.quiet(seconds(30)).await?;
    let leaders = agents(stage).await?.into_iter().filter(|(_, agent)| agent.as_ref().is_some_and(Agent::leads));
    let leaders: Vec<String> = leaders.map(|(member, _)| member.id).collect();
    let before = stage.writer()?.id;
    stage.demand(leaders == [before.clone()], format!("{leaders:?} lead, it was {before}"));
    stage.expect(judge::paged(&stage.pages, "writer moved", 0, 0));
    let rows = stage.count_all_kept().await?;
    stage.expect(judge::gap(&rows.acknowledged, stage.struck, seconds(5)));
    stage.saw(format!("{} of {} hosts of etcd are left", hosts.len() - 1, hosts.len()));
    stage.power_on().await.map(drop)
}

/// P4
pub async fn standby_off(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let standby = stage.standbys().into_iter().next();
    let Some(standby) = standby else { return Err(Stop::Unmet("there is no standby".to_owned())) };
    stage.struck = crate::clock::Moment::now();
    stage.ec2("stop_instances", &standby.id).await?;
    stage
        .until("the standby's host to be off", seconds(40), async |_| {
            let hosts = control::hosts().await?;
            let off = hosts.iter().any(|host| host.instance_id == standby.id && host.state == "stopped");
            Ok(off.then_some(()))
        })
        .await?;
    stage
        .until("Understudy to start the standby's host", seconds(150), async |stage| {
            stage.take_pages().await?;
            let hosts = control::hosts().await?;
            let on = hosts.iter().any(|host| host.instance_id == standby.id && host.state == "running");
            Ok(on.then_some(()))
        })
        .await?;
    stage.saw(format!("{} was started", standby.id));
    stage.streams(&standby.name, seconds(90)).await?;
    stage.saw("it streams again");
    stage.expect(judge::unchanged(&stage.before, &stage.now().await?));
    let rows = stage.count_all_kept().await?;
    // In synchronous mode commits wait until Patroni has named another standby.
    stage.expect(judge::gap(&rows.acknowledged, stage.struck, seconds(20)));
    Ok(())
}

/// P5
pub async fn paused(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let (writer, name) = (stage.writer()?.id, stage.cluster.card.cluster.clone());
    let said = stage.ask(&json!({"pause": {"cluster": name, "minutes": 10, "reason": "a kernel update"}})).await?;
    stage.demand(said.outcome == "acted", format!("not paused: {}", said.because));
    stage
        .until("Patroni to know of the pause", seconds(30), async |stage| {
            let agents = agents(stage).await?;
            Ok(agents.iter().flat_map(|(_, agent)| agent).all(|agent| agent.pause).then_some(()))
        })
        .await?;
    stage.strike(&writer, "kill-host").await?;
    let page = stage.page(&["paused"], seconds(90)).await?;
    stage.quiet(seconds(10)).await?;
    let resume = stage.offer(&page, "resume")?;
    let said = stage.ask(&resume).await?;
    stage.saw(format!("resume: {}", said.because));
    stage.demand(said.outcome == "acted", format!("not resumed: {}", said.because));
    stage.failover(FAILOVER).await?;
    agreed(stage).await?;
    stage.count_all_kept().await.map(drop)
}
