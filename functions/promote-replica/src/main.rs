//! The Lambda entry point of `promote-replica`.

mod fleet;
mod last_known;
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
use futures_util::future::join_all;
use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use promote_replica::{Report, change_writer};
use reconcile::{Failure, World};
use serde_json::Value;

/// How long before the silence the writer's last known position may have been
/// read: a few probes.
const LAST_POSITION_KEEPS_MS: u64 = 5_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let clients = &Clients::new(&cloud::load().await)?;
    run(service_fn(async |event: LambdaEvent<Value>| {
        let deadline_ms = event.context.deadline;
        handle(clients, &event.payload, &event.context.request_id, deadline_ms)
            .await
            .map_err(|failure| Error::from(failure.story()))
    }))
    .await
}

/// Handles one event: finds its clusters, and makes a pass over each.
///
/// One cluster that fails hides no other; the first failure is the answer.
async fn handle(clients: &Clients, event: &Value, pass: &str, deadline_ms: u64) -> Result<Vec<Report>, Failure> {
    let at_ms = now_ms();
    // Lambda's retry comes with the same request id, maybe beside the first try: it is another pass.
    let pass = &format!("{pass}-{at_ms}");
    let meaning = meaning_for(Function::PromoteReplica, &clients.fleet, event);
    tracing::info!("woken: {meaning}");
    let cards = find(clients, &meaning).await?;
    if cards.is_empty() {
        tracing::info!("no cluster of fleet {} is meant", clients.fleet);
    }
    let passes = cards.into_iter().map(|card| {
        let waking = Waking { at_ms, by: by(&meaning), suspicion: suspected(&meaning) };
        one(clients, card, waking, matches!(meaning, Meaning::Explain { .. }), pass, deadline_ms)
    });
    join_all(passes).await.into_iter().collect()
}

async fn one(
    clients: &Clients,
    card: Card,
    waking: Waking,
    only_explain: bool,
    pass: &str,
    deadline_ms: u64,
) -> Result<Report, Failure> {
    let name = card.cluster.clone();
    let ended = async {
        let mut cluster = clients.open(card, waking, pass.to_owned(), deadline_ms).await?;
        if only_explain { explain(&mut cluster).await } else { change_writer(&mut cluster).await }
    };
    match ended.await {
        Ok(report) => {
            tracing::info!("{name}: {}: {}", report.outcome, report.because);
            Ok(report)
        }
        // The next wake-up comes in a second or two, from watch-clusters; this pass has nothing to add.
        Err(failure @ Failure::LostRace { .. }) => {
            tracing::info!("{name}: waits: {}", failure.story());
            Ok(Report { outcome: "waits", because: failure.to_string() })
        }
        Err(failure) => {
            tracing::error!("{name}: {}", failure.story());
            Err(failure)
        }
    }
}

/// The cards of the clusters that an event is about.
async fn find(clients: &Clients, meaning: &Meaning) -> Result<Vec<Card>, Failure> {
    let one = match meaning {
        Meaning::Suspicion(seen) => clients.card(&seen.cluster).await?,
        Meaning::Attention { cluster, .. } | Meaning::Explain { cluster } => clients.card(cluster).await?,
        Meaning::InstanceState { instance, .. } => clients.card_of_instance(instance).await?,
        Meaning::Alarm(alarm) => match &alarm.subject {
            Subject::Cluster(cluster) => clients.card(cluster).await?,
            Subject::Instance(instance) => clients.card_of_instance(instance).await?,
            Subject::Fleet => return clients.cards().await,
        },
        Meaning::Schedule => return clients.cards().await,
        Meaning::Stack { .. } | Meaning::Spec { .. } | Meaning::Ignored(_) => None,
    };
    Ok(one.into_iter().collect())
}

/// What woke this pass, in a few words for the page.
fn by(meaning: &Meaning) -> String {
    match meaning {
        Meaning::Suspicion(_) => "by watch-clusters".to_owned(),
        Meaning::Attention { what, .. } => format!("by watch-clusters: {what}"),
        Meaning::InstanceState { state, .. } => format!("by EC2's event: {state}"),
        Meaning::Alarm(alarm) => format!("by alarm {}", alarm.name),
        other => format!("by an event: {other}"),
    }
}

fn suspected(meaning: &Meaning) -> Option<Suspected> {
    let Meaning::Suspicion(seen) = meaning else { return None };
    // From a run that ended long before the silence it says nothing of what was written since.
    let fresh = match (seen.last_lsn_at_ms, seen.silent_since_ms) {
        (Some(at), Some(since)) => at.saturating_add(LAST_POSITION_KEEPS_MS) >= since,
        _ => false,
    };
    Some(Suspected {
        member: seen.member.clone(),
        failures: seen.failures.and_then(|failures| u32::try_from(failures).ok()).unwrap_or_default(),
        // Without a beginning there is no span, and so no witness.
        silent_since_ms: seen.silent_since_ms.unwrap_or(u64::MAX),
        last_lsn: seen.last_lsn.filter(|_| fresh),
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
