//! What the second Region's side needs of the first before its stack can be made.

use crate::{
    certificate::{Hold, secret_name},
    outside::{Needed, Outside},
};
use domain::{managed::Roles, spec::Spec};
use reconcile::Failure;

/// The secrets that the second side reads in its own Region.
const SECRETS: [&str; 3] = ["superuser", "operator", "application"];

/// Whether the first side is as far as the second one needs it; in plain words what is missing.
///
/// Asked before the first creation only: later the first Region may be gone, and this one must not need it.
pub(crate) async fn has_begun<O: Outside>(outside: &O, spec: &Spec) -> Result<Result<(), Hold>, Failure> {
    let Some(dr) = &spec.dr else { return Ok(Ok(())) };
    let (cluster, fleet, here) = (&spec.name, &outside.settings().fleet, &outside.settings().region);
    let mut missing = Vec::new();
    for what in SECRETS {
        let name = secret_name(outside, cluster, what);
        if !outside.has_secret(&name).await? {
            missing.push(format!("no copy of secret {name} is here"));
        }
    }
    let needed = if spec.topology.is_aurora() {
        Needed::GlobalCluster(format!("{fleet}-{cluster}-global"))
    } else {
        Needed::Instance(Roles::default().instance_id(fleet, cluster, 1))
    };
    match outside.in_other_region(&dr.primary_region, &needed).await? {
        Some(status) if status == "available" => {}
        Some(status) => missing.push(format!("{needed} is {status}")),
        None => missing.push(format!("{needed} is not there")),
    }
    if missing.is_empty() {
        return Ok(Ok(()));
    }
    Ok(Err(Hold::Waiting(format!(
        "the primary side of {cluster} in {} is not as far as {here} needs it: {}; deploy the spec there first, and \
         here when it is ready",
        dr.primary_region,
        missing.join("; ")
    ))))
}
