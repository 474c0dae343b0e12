//! The Lambda entry point of `watch-clusters`.

mod world;

use cloud::environment::required;
use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use serde_json::Value;
use watch_clusters::{Origin, Watcher};
use world::Aws;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    // As text: what `main` returns is printed in its Debug form.
    let watcher = &watcher().await.map_err(|error| error.to_string())?;
    run(service_fn(async |event: LambdaEvent<Value>| {
        // Whatever woke it, it watches: there is nothing in the event that it needs.
        let origin = Origin::of_function(&event.context.invoked_function_arn);
        let report = watcher.run(origin, event.context.deadline).await.map_err(|failure| {
            tracing::error!("{}", failure.story());
            Error::from(failure.story())
        })?;
        tracing::info!(?report, "watched");
        Ok::<_, Error>(report)
    }))
    .await
}

/// The watcher of the fleet that the environment names.
async fn watcher() -> Result<Watcher<Aws>, Error> {
    let fleet = watch_clusters::fleet(required("FLEET")?)?;
    let world = Aws::new(&cloud::load().await, fleet.clone())?;
    Ok(Watcher::new(world, fleet))
}
