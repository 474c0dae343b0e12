//! The Lambda entry point of `fail-over-region`.

#![recursion_limit = "256"]

use cloud::{SdkConfig, environment, now_ms};
use domain::{
    events::{Function, Meaning, meaning_for},
    region::{DrCard, Request},
};
use fail_over_region::{Pass, Report, Waking, change_region, explain, preflight};
use fleet::region::{Alone, DrCluster, OtherRegion, OwnRegion, Settings};
use futures_util::future::join_all;
use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use reconcile::{Failure, Turn};
use serde_json::Value;
use std::time::Duration;

/// How long a pass stays while nobody can write: until about the time that the next one comes, and shorter than a person
/// who asks by hand waits for an answer.
const STAYS: Duration = Duration::from_secs(40);

/// What one invocation has.
struct Region {
    own: OwnRegion,
    /// By which clients of the other Region are made; what a preflight has knows nothing of it.
    config: SdkConfig,
    table: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let config = cloud::load().await;
    let own = OwnRegion::new(&config, Settings::read()?);
    let region = &Region { own, config, table: environment::required("STATE_TABLE")? };
    run(service_fn(async |event: LambdaEvent<Value>| {
        let turn = Turn {
            // Lambda's retry comes with the same request id, maybe beside the first try: it is another pass.
            pass: format!("{}-{}", event.context.request_id, now_ms()),
            deadline_ms: event.context.deadline,
        };
        handle(region, &event.payload, &turn).await.map_err(|failure| Error::from(failure.story()))
    }))
    .await
}

/// Handles one event: finds its clusters, and makes a pass over each. One that fails hides no other.
async fn handle(region: &Region, event: &Value, turn: &Turn) -> Result<Vec<Report>, Failure> {
    let meaning = meaning_for(Function::FailOverRegion, &region.own.fleet, event);
    tracing::info!("woken: {meaning}");
    let asked = match &meaning {
        Meaning::BadRequest(problem) => return Ok(vec![Report::new("", "refused", problem.to_string())]),
        Meaning::Region(request) => Some(request.clone()),
        Meaning::Schedule | Meaning::Database { .. } => None,
        _ => return Ok(Vec::new()),
    };
    let cards = region.own.cards().await?;
    let Some(request) = asked else {
        let passes = cards.into_iter().map(|card| one(region, card, None, &meaning, turn));
        return join_all(passes).await.into_iter().collect();
    };
    match cards.iter().find(|card| card.cluster() == request.cluster()) {
        Some(card) => Ok(vec![one(region, card.clone(), Some(request), &meaning, turn).await?]),
        None => Ok(vec![unknown(region, &cards, request.cluster()).await?]),
    }
}

async fn one(
    region: &Region,
    card: DrCard,
    asked: Option<Request>,
    meaning: &Meaning,
    turn: &Turn,
) -> Result<Report, Failure> {
    let name = card.cluster().to_owned();
    match pass_over(region, card, asked, meaning, turn).await {
        Ok(report) => {
            tracing::info!("{name}: {}: {}", report.outcome, report.because);
            Ok(report)
        }
        Err(failure @ Failure::LostRace { .. }) => {
            tracing::info!("{name}: waits: {}", failure.story());
            Ok(Report::new(&name, "waits", failure.to_string()))
        }
        Err(failure) => {
            tracing::error!("{name}: {}", failure.story());
            Err(failure)
        }
    }
}

async fn pass_over(
    region: &Region,
    card: DrCard,
    asked: Option<Request>,
    meaning: &Meaning,
    turn: &Turn,
) -> Result<Report, Failure> {
    if let Some(Request::Preflight { .. }) = asked {
        return try_out(region, card, true)
            .await
            .map(|report| report.unwrap_or_else(|| Report::new("", "steady", String::new())));
    }
    let waking = Waking { by: by(meaning), asked: asked.clone(), fresh: fresh(&turn.pass) };
    let far = OtherRegion::new(&region.config, card.other_region(), &region.table);
    let cluster = DrCluster::open(&region.own, card.clone(), far).await;
    let mut pass = Pass::new(cluster, waking, turn.clone()).staying(STAYS);
    if let Some(Request::Status { .. }) = asked {
        return explain(&mut pass).await;
    }
    let report = change_region(&mut pass).await;
    if asked.is_none() {
        // Told by its own page, metric and alarm; a change of Region does not wait for it.
        if let Err(failure) = try_out(region, card, false).await {
            tracing::error!("preflight: {}", failure.story());
            return report.and(Err(failure));
        }
    }
    report
}

/// With this Region's clients alone.
async fn try_out(region: &Region, card: DrCard, now: bool) -> Result<Option<Report>, Failure> {
    preflight(&DrCluster::open(&region.own, card, Alone).await, now).await
}

/// The answer to a request about a cluster that has no second side here.
async fn unknown(region: &Region, cards: &[DrCard], cluster: &str) -> Result<Report, Failure> {
    let names: Vec<&str> = cards.iter().map(DrCard::cluster).collect();
    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let fleet = &region.own.fleet;
    let because = if region.own.has(cluster).await? {
        format!(
            "{cluster} has no second Region here: its spec has no dr, or this is its first Region; ask the fleet of \
             its second one; second sides here: {known}"
        )
    } else {
        format!("fleet {fleet} has no cluster {cluster} in this Region; second sides here: {known}")
    };
    Ok(Report::new(cluster, "refused", because))
}

/// What woke this pass, in a few words for the page.
fn by(meaning: &Meaning) -> String {
    match meaning {
        Meaning::Region(request) => format!("by a person: {request}"),
        other => format!("by an event: {other}"),
    }
}

/// Of Lambda's request id, which nobody knows before: its first word.
fn fresh(pass: &str) -> String {
    pass.chars().filter(char::is_ascii_hexdigit).take(8).collect()
}
