//! What the hosts of this topology are told beside what every topology's are.

use super::dr_slot;
use crate::{network::Network, settings::Lines, site::Site};
use domain::spec::{Dr, PoolMode};

/// Patroni, PgBouncer, and from where the load balancer comes.
pub(super) fn patroni(lines: &mut Lines, site: &Site<'_>, network: &Network) {
    let patroni = site.spec.patroni.clone().unwrap_or_default();
    lines.text("SCOPE", &site.spec.name);
    lines.number("PATRONI_TTL", patroni.ttl);
    lines.number("PATRONI_LOOP_WAIT", patroni.loop_wait);
    lines.number("PATRONI_RETRY_TIMEOUT", patroni.retry_timeout);
    lines.number("PATRONI_MAXIMUM_LAG", patroni.maximum_lag_on_failover);
    lines.number("PATRONI_STRICT", patroni.synchronous_mode_strict);
    lines.number("PATRONI_WATCHDOG", patroni.watchdog);
    let pooler = site.spec.pooler.clone().unwrap_or_default();
    let mode = match pooler.pool_mode {
        PoolMode::Transaction => "transaction",
        PoolMode::Session => "session",
    };
    lines.text("POOL_MODE", mode);
    lines.number("POOL_MAX_CLIENT_CONN", pooler.max_client_conn);
    lines.number("POOL_SIZE", pooler.default_pool_size);
    lines.number("POOL_MIN", pooler.min_pool_size);
    lines.number("POOL_RESERVE", pooler.reserve_pool_size);
    lines.number("POOL_RESERVE_TIMEOUT", pooler.reserve_pool_timeout);
    lines.number("POOL_LIFETIME", pooler.server_lifetime);
    lines.number("POOL_IDLE_TIMEOUT", pooler.server_idle_timeout);
    // The load balancer connects from addresses of its own in the subnets, which of the fleet's VPC are not known.
    lines.words("CLUSTER_CIDRS", &network.cidrs);
}

/// Both Regions: the slot that is kept for the standby of the second, and who comes from where.
pub(super) fn dr(lines: &mut Lines, site: &Site<'_>, dr: &Dr) {
    lines.text("DR_SLOT", &dr_slot(site));
    lines.text("DR_REGION", &dr.region);
    lines.text("DR_CIDR", &dr.cidr);
    lines.text("PRIMARY_CIDR", &dr.primary_cidr);
}
