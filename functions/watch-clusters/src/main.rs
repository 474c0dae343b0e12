//! The Lambda entry point of `watch-clusters`.

mod world;

use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use serde_json::Value;
use watch_clusters::{Origin, Watcher};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let fleet = watch_clusters::fleet(cloud::environment::required("FLEET")?)?;
    let world = world::Aws::new(&cloud::load().await, fleet.clone())?;
    let watcher = &Watcher::new(world, fleet);
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
