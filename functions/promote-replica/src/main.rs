//! The Lambda entry point of `promote-replica`.

use cloud::now_ms;
use domain::{
    card::Registered,
    events::{Function, Meaning, meaning_for},
    request::Request,
};
use fleet::{Clients, Opened};
use futures_util::future::join_all;
use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use promote_replica::{
    LedPass, ManagedPass, Pass, Report, answer, answer_led, change_managed_writer, change_writer, explain, explain_led,
    explain_managed, follow_leader, hand_over, switch_over,
};
use reconcile::{Failure, Managed as _, Outside as _, Suspected, Waking};
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
    if let Meaning::BadRequest(problem) = &meaning {
        return Ok(vec![Report::new("", "refused", problem.to_string())]);
    }
    let cards = clients.meant(&meaning).await?;
    if let (Meaning::Request(request), []) = (&meaning, cards.as_slice()) {
        return Ok(vec![unknown(clients, request.cluster()).await?]);
    }
    if cards.is_empty() {
        tracing::info!("no cluster of fleet {} is meant", clients.fleet);
    }
    let request = match &meaning {
        Meaning::Request(request) => Some(request),
        _ => None,
    };
    let call = Call { request, waking: waking(&meaning, at_ms), pass, deadline_ms };
    join_all(cards.into_iter().map(|card| one(clients, card, call.clone()))).await.into_iter().collect()
}

/// One call of this function, as a pass over any cluster needs it.
#[derive(Clone)]
struct Call<'a> {
    /// What a person asks for.
    request: Option<&'a Request>,
    waking: Waking,
    /// How a lease names the pass.
    pass: &'a str,
    /// When Lambda ends it, in milliseconds since 1970.
    deadline_ms: u64,
}

async fn one(clients: &Clients, card: Registered, call: Call<'_>) -> Result<Report, Failure> {
    let name = card.cluster().to_owned();
    match pass_over(clients, card, call).await {
        Ok(report) => {
            tracing::info!("{name}: {}: {}", report.outcome, report.because);
            Ok(report)
        }
        // The next wake-up comes in a second or two, from watch-clusters; this pass has nothing to add.
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

/// Does what the event asks for, by who steers the cluster (I15).
async fn pass_over(clients: &Clients, card: Registered, call: Call<'_>) -> Result<Report, Failure> {
    let opened = clients.open(card).await?;
    if let Some(answered) = answered(&opened, call.request).await {
        return answered;
    }
    let Call { request, waking, pass, deadline_ms } = call;
    let (pass, silences) = (pass.to_owned(), clients.silences.clone());
    match opened {
        Opened::Steered(outside) => {
            let mut cluster = Pass::new(outside, waking, pass, silences, deadline_ms);
            match request {
                Some(Request::Explain { .. }) => explain(&mut cluster).await,
                _ => change_writer(&mut cluster).await,
            }
        }
        Opened::Led(outside) => {
            let mut cluster = LedPass::new(outside, waking, pass, silences, deadline_ms);
            match request {
                Some(Request::Explain { .. }) => explain_led(&mut cluster).await,
                Some(Request::Switchover { to, .. }) => hand_over(&mut cluster, to).await,
                _ => follow_leader(&mut cluster).await,
            }
        }
        Opened::Managed(outside) => {
            let mut cluster = ManagedPass::new(outside, waking, pass, silences, deadline_ms);
            match request {
                Some(Request::Explain { .. }) => explain_managed(&mut cluster).await,
                Some(Request::Switchover { .. }) => switch_over(&mut cluster).await,
                _ => change_managed_writer(&mut cluster).await,
            }
        }
    }
}

/// The answer to a request that needs no look: a pause, its end, an approval.
async fn answered(opened: &Opened<'_>, request: Option<&Request>) -> Option<Result<Report, Failure>> {
    let request = request?;
    match opened {
        Opened::Steered(outside) => answer(outside, outside.card().policy.grace(), request).await,
        Opened::Led(outside) => answer_led(outside, request).await,
        Opened::Managed(outside) => answer(outside, outside.card().policy.grace(), request).await,
    }
}

/// The answer to a request about a cluster that the fleet does not have.
async fn unknown(clients: &Clients, cluster: &str) -> Result<Report, Failure> {
    let names: Vec<String> = clients.cards().await?.into_iter().map(|card| card.cluster().to_owned()).collect();
    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let because = format!("fleet {} has no cluster {cluster}; it has {known}", clients.fleet);
    Ok(Report::new(cluster, "refused", because))
}

fn waking(meaning: &Meaning, at_ms: u64) -> Waking {
    Waking {
        at_ms,
        by: by(meaning),
        suspicion: suspected(meaning),
        switchover: match meaning {
            Meaning::Request(Request::Switchover { to, .. }) => Some(to.clone()),
            _ => None,
        },
        commits_wait: matches!(meaning, Meaning::Attention { what, .. } if what == "Understudy Commits Wait"),
        by_schedule: *meaning == Meaning::Schedule,
    }
}

/// What woke this pass, in a few words for the page.
fn by(meaning: &Meaning) -> String {
    match meaning {
        Meaning::Suspicion(_) => "by watch-clusters".to_owned(),
        Meaning::Attention { what, .. } => format!("by watch-clusters: {what}"),
        Meaning::InstanceState { state, .. } => format!("by EC2's event: {state}"),
        Meaning::Database { event, .. } => format!("by RDS's event {event}"),
        Meaning::Alarm(alarm) => format!("by alarm {}", alarm.name),
        Meaning::Request(request) => format!("by a person: {request}"),
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
        raised_at_ms: seen.raised_at_ms.unwrap_or_default(),
        last_seen_ms: seen.last_lsn_at_ms,
        last_lsn: seen.last_lsn.filter(|_| fresh),
        synchronous_setting: seen.synchronous_setting.clone(),
    })
}
