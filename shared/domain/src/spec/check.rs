//! What one field of a spec says about another, and what a pattern cannot say.

mod backups;
mod members;
mod names;
mod network;
mod parameters;
mod patroni;
#[cfg(test)]
mod tests;

use super::{Finding, Spec};

/// Every problem between the fields of a spec that its schema accepts.
#[must_use]
pub fn check(spec: &Spec) -> Vec<Finding> {
    let parts = [
        names::names,
        names::tags,
        members::members,
        members::hosts,
        members::volumes,
        members::memory,
        network::networks,
        network::access,
        parameters::parameters,
        patroni::only_there,
        patroni::timing,
        patroni::etcd,
        patroni::pooler,
        backups::backups,
        backups::dr,
        policy,
    ];
    parts.iter().flat_map(|part| part(spec)).collect()
}

fn policy(spec: &Spec) -> Vec<Finding> {
    let policy = &spec.policy;
    if policy.probe_timeout_ms <= policy.probe_interval_ms {
        return Vec::new();
    }
    vec![Finding::new(
        &["/policy/probe_timeout_ms", "/policy/probe_interval_ms"],
        policy.probe_timeout_ms.to_string(),
        format!("at most the interval between probes, {}", policy.probe_interval_ms),
    )]
}
