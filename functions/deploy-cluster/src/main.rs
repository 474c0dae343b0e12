//! The Lambda entry point of `deploy-cluster`.

mod tls;
mod world;

use deploy_cluster::handle;
use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let aws = &world::Aws::new(&cloud::load().await)?;
    run(service_fn(async |event: LambdaEvent<Value>| {
        handle(aws, &event.payload).await.map_err(|failure| {
            tracing::error!("{}", failure.story());
            Error::from(failure.story())
        })
    }))
    .await
}
