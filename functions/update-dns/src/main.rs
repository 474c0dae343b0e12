//! The Lambda entry point of `update-dns`.

use cloud::now_ms;
use domain::events::{Function, Meaning, meaning_for};
use fleet::{Clients, Opened};
use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use reconcile::{Failure, Outside, Report, Turn, Waking};
use serde_json::Value;
use update_dns::{ManagedPass, Pass, follow_managed_roles, follow_roles};

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
    let meaning = meaning_for(Function::UpdateDns, &clients.fleet, event);
    // Lambda's retry comes with the same request id, maybe beside the first try: it is another pass.
    let turn = Turn { pass: format!("{request}-{at_ms}"), deadline_ms };
    let by_schedule = meaning == Meaning::Schedule;
    let waking = Waking { at_ms, by: meaning.to_string(), by_schedule, ..Waking::default() };
    clients
        .pass_over(&meaning, async |opened| match opened {
            Opened::Steered(outside) => follow(clients, outside, &waking, &turn).await,
            Opened::Led(outside) => follow(clients, outside, &waking, &turn).await,
            Opened::Managed(outside) => {
                let mut pass = ManagedPass::new(outside, waking.clone(), clients.silences.clone(), turn.clone());
                follow_managed_roles(&mut pass).await
            }
        })
        .await
}

/// The records follow the roles, whoever assigned them.
async fn follow<O: Outside>(clients: &Clients, outside: O, waking: &Waking, turn: &Turn) -> Result<Report, Failure> {
    let mut pass = Pass::new(outside, waking.clone(), clients.silences.clone(), turn.clone());
    follow_roles(&mut pass).await
}
