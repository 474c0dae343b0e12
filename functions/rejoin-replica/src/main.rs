//! The Lambda entry point of `rejoin-replica`.

use cloud::now_ms;
use domain::events::{Function, meaning_for};
use fleet::{Clients, Opened};
use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use reconcile::{Desk as _, Failure, Report, Turn, Waking};
use rejoin_replica::{Pass, bring_back, repair};
use serde_json::Value;

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
async fn handle(clients: &Clients, event: &Value, request: &str, deadline_ms: u64) -> Result<Vec<Report>, Failure> {
    let at_ms = now_ms();
    let meaning = meaning_for(Function::RejoinReplica, &clients.fleet, event);
    // Lambda's retry comes with the same request id, maybe beside the first try: it is another pass.
    let turn = Turn { pass: format!("{request}-{at_ms}"), deadline_ms };
    let waking = Waking { at_ms, by: meaning.to_string(), ..Waking::default() };
    clients
        .pass_over(&meaning, async |opened| match opened {
            Opened::Steered(outside) => {
                let mut pass = Pass::new(outside, waking.clone(), clients.silences.clone(), turn.clone());
                bring_back(&mut pass).await
            }
            Opened::Led(outside) => repair(outside, &waking, &clients.silences, &turn).await,
            Opened::Managed(outside) => {
                let because = "AWS replaces the hosts of this cluster, and deploy-cluster its replicas".to_owned();
                Ok(Report::new(outside.cluster(), "steady", because))
            }
        })
        .await
}
