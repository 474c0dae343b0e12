//! What one field of a spec says about another, and what a pattern cannot say.

mod backups;
mod managed;
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
    type Part = fn(&Spec) -> Vec<Finding>;
    let all: &[Part] = &[
        names::names,
        names::tags,
        managed::only_there,
        network::networks,
        network::access,
        parameters::parameters,
        backups::dr,
        policy,
    ];
    let ec2: &[Part] = &[
        members::members,
        members::hosts,
        members::volumes,
        members::memory,
        parameters::standbys,
        parameters::workers,
        patroni::only_there,
        patroni::timing,
        patroni::etcd,
        patroni::pooler,
        backups::backups,
        backups::dr_of_ec2,
    ];
    let run_by_aws: &[Part] = &[managed::only_on_ec2, managed::common, managed::aurora, managed::rds];
    let rest = if spec.topology.is_managed() { run_by_aws } else { ec2 };
    all.iter().chain(rest).flat_map(|part| part(spec)).collect()
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
