//! The Lambda entry point of `promote-replica`.

mod fleet;
mod perform;
mod world;

use cloud::now_ms;
use domain::{
    card::Card,
    decision::Decision,
    events::{Function, Meaning, Subject, meaning_for},
    failover::decide,
};
use fleet::{Clients, Suspected, Waking};
use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use promote_replica::{Report, change_writer};
use reconcile::{Failure, World};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let clients = &Clients::new(&cloud::load().await)?;
    run(service_fn(async |event: LambdaEvent<Value>| {
        let deadline_ms = event.context.deadline;
        handle(clients, &event.payload, &event.context.request_id, deadline_ms).await.map_err(|failure| {
            tracing::error!("{}", failure.story());
            Error::from(failure.story())
        })
    }))
    .await
}

/// Handles one event: finds its cluster, and makes a pass over it.
async fn handle(clients: &Clients, event: &Value, pass: &str, deadline_ms: u64) -> Result<Report, Failure> {
    let at_ms = now_ms();
    let meaning = meaning_for(Function::PromoteReplica, &clients.fleet, event);
    tracing::info!("woken: {meaning}");
    let (card, by) = find(clients, &meaning).await?;
    let Some(card) = card else {
        let because = format!("{meaning}; no cluster of fleet {} is meant", clients.fleet);
        tracing::info!("{because}");
        return Ok(Report { outcome: "ignored", because });
    };
    let name = card.cluster.clone();
    let waking = Waking { at_ms, by, suspicion: suspected(&meaning) };
    let mut cluster = clients.open(card, waking, pass.to_owned(), deadline_ms).await?;
    let report = match meaning {
        Meaning::Explain { .. } => explain(&mut cluster).await?,
        _ => change_writer(&mut cluster).await?,
    };
    tracing::info!("{name}: {}: {}", report.outcome, report.because);
    Ok(report)
}

/// The card that an event is about, and what woke us in a few words.
async fn find(clients: &Clients, meaning: &Meaning) -> Result<(Option<Card>, String), Failure> {
    Ok(match meaning {
        Meaning::Suspicion(seen) => (clients.card(&seen.cluster).await?, "by watch-clusters".to_owned()),
        Meaning::Attention { cluster, what } => (clients.card(cluster).await?, format!("by watch-clusters: {what}")),
        Meaning::InstanceState { instance, state } => {
            (clients.card_of_instance(instance).await?, format!("by EC2's event: {state}"))
        }
        Meaning::Alarm(alarm) => {
            let card = match &alarm.subject {
                Subject::Cluster(cluster) => clients.card(cluster).await?,
                Subject::Instance(instance) => clients.card_of_instance(instance).await?,
                // Some alarm of the fleet: watch-clusters, which it is about, finds what is wrong.
                Subject::Fleet => None,
            };
            (card, format!("by alarm {}", alarm.name))
        }
        Meaning::Explain { cluster } => (clients.card(cluster).await?, "by a question".to_owned()),
        Meaning::Stack { .. } | Meaning::Schedule | Meaning::Spec { .. } | Meaning::Ignored(_) => (None, String::new()),
    })
}

fn suspected(meaning: &Meaning) -> Option<Suspected> {
    let Meaning::Suspicion(seen) = meaning else { return None };
    Some(Suspected {
        member: seen.member.clone(),
        failures: seen.failures.and_then(|failures| u32::try_from(failures).ok()).unwrap_or_default(),
        // Without a beginning there is no span, and so no witness.
        silent_since_ms: seen.silent_since_ms.unwrap_or(u64::MAX),
        last_lsn: seen.last_lsn,
        synchronous_setting: seen.synchronous_setting.clone(),
    })
}

/// What a pass would do now; nothing is done.
async fn explain(cluster: &mut impl promote_replica::Cluster) -> Result<Report, Failure> {
    let seen = World::observe(cluster).await?;
    let because = match decide(&seen) {
        Decision::Steady => "nothing would be done: the writer answers and nothing is left to do".to_owned(),
        Decision::Wait(reason) => format!("nothing would be done yet: {reason}"),
        Decision::Refuse(reason) => format!("nothing would be done, a person would be paged: {reason}"),
        Decision::Act(steps) => {
            let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
            format!("first steps: {}", steps.join("; "))
        }
    };
    Ok(Report { outcome: "explained", because })
}
