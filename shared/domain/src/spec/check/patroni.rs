//! Patroni, etcd, PgBouncer and the load balancer.

use crate::{
    card::Topology,
    spec::{Finding, Patroni, Pooler, Spec},
};

/// What only Patroni's topology has.
pub(super) fn only_there(spec: &Spec) -> Vec<Finding> {
    if spec.topology == Topology::Ec2Patroni {
        return Vec::new();
    }
    let given = [
        ("/patroni", spec.patroni.is_some()),
        ("/etcd", spec.etcd.is_some()),
        ("/pooler", spec.pooler.is_some()),
        ("/balancer", spec.balancer.is_some()),
        ("/dr", spec.dr.is_some()),
    ];
    let given = given.into_iter().filter(|(_, is_given)| *is_given);
    let refuse =
        |(path, _)| Finding::new(&[path, "/topology"], "an object", "nothing, unless /topology is ec2-patroni");
    given.map(refuse).collect()
}

/// Patroni's own rules between its times, and what needs a standby.
///
/// Source: Patroni documentation, "Dynamic Configuration Settings": `loop_wait + 2 * retry_timeout <= ttl`.
pub(super) fn timing(spec: &Spec) -> Vec<Finding> {
    let Some(Patroni { ttl, loop_wait, retry_timeout, synchronous_mode_strict, .. }) = spec.patroni.clone() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let needed = loop_wait + 2 * retry_timeout;
    if needed > ttl {
        found.push(Finding::new(
            &["/patroni/ttl", "/patroni/loop_wait", "/patroni/retry_timeout"],
            ttl.to_string(),
            format!("at least {needed}, which is loop_wait ({loop_wait}) + 2 * retry_timeout ({retry_timeout})"),
        ));
    }
    if synchronous_mode_strict && spec.synchronous.required == 0 {
        found.push(Finding::new(
            &["/patroni/synchronous_mode_strict", "/synchronous/required"],
            "true",
            "false, as commits wait for no standby (/synchronous/required is 0)",
        ));
    }
    found
}

/// An even number of hosts survives no more losses than one host fewer.
pub(super) fn etcd(spec: &Spec) -> Vec<Finding> {
    let count = spec.etcd.as_ref().map_or(1, |etcd| etcd.count);
    let allowed = "1, 3 or 5: an even number goes on after no more losses than one host fewer";
    let is_even = count.is_multiple_of(2);
    is_even.then(|| Finding::new(&["/etcd/count"], count.to_string(), allowed)).into_iter().collect()
}

/// What PostgreSQL keeps for superusers (3) and Understudy, replication, backups and exporters (12).
const KEPT: u32 = 15;

/// Pools within each other, and within PostgreSQL's connections.
pub(super) fn pooler(spec: &Spec) -> Vec<Finding> {
    let Some(Pooler { max_client_conn, default_pool_size, min_pool_size, reserve_pool_size, .. }) = spec.pooler else {
        return if spec.topology == Topology::Ec2Patroni { room(spec, &Pooler::default()) } else { Vec::new() };
    };
    let mut found = Vec::new();
    let pool = "/pooler/default_pool_size";
    if min_pool_size > default_pool_size {
        found.push(Finding::new(
            &["/pooler/min_pool_size", pool],
            min_pool_size.to_string(),
            format!("at most default_pool_size, {default_pool_size}"),
        ));
    }
    let servers = default_pool_size + reserve_pool_size;
    if max_client_conn < servers {
        found.push(Finding::new(
            &["/pooler/max_client_conn", pool, "/pooler/reserve_pool_size"],
            max_client_conn.to_string(),
            format!("at least {servers}, the connections to PostgreSQL that clients share"),
        ));
    }
    found.extend(spec.pooler.as_ref().map(|pooler| room(spec, pooler)).unwrap_or_default());
    found
}

fn room(spec: &Spec, pooler: &Pooler) -> Vec<Finding> {
    let (servers, most) = (pooler.default_pool_size + pooler.reserve_pool_size, spec.postgresql.max_connections);
    if servers + KEPT <= most {
        return Vec::new();
    }
    vec![Finding::new(
        &["/pooler/default_pool_size", "/pooler/reserve_pool_size", "/postgresql/max_connections"],
        format!("{servers} with the reserve"),
        format!(
            "at most {} with the reserve: max_connections is {most}, and {KEPT} are kept for superusers, replication and Understudy",
            most.saturating_sub(KEPT)
        ),
    )]
}
