//! What only the topology `ec2-patroni` has: Patroni, etcd, PgBouncer, the load balancer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Patroni's settings, in its own words.
///
/// Source: Patroni documentation, "Dynamic Configuration Settings" and "Watchdog support".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Patroni {
    /// Seconds after which a leader that said nothing is replaced.
    #[schemars(title = "ttl", range(min = 20, max = 300))]
    pub ttl: u32,
    /// Seconds between two looks of an agent.
    #[schemars(title = "loop_wait", range(min = 1, max = 60))]
    pub loop_wait: u32,
    /// Seconds for which calls to etcd and PostgreSQL are tried again.
    #[schemars(title = "retry_timeout", range(min = 3, max = 60))]
    pub retry_timeout: u32,
    /// A standby that is more bytes behind does not become leader, where commits wait for nobody.
    #[schemars(title = "maximum_lag_on_failover", range(min = 0))]
    pub maximum_lag_on_failover: u64,
    /// With no standby left to wait for, commits wait; `false`: they go on alone.
    #[schemars(title = "synchronous_mode_strict")]
    pub synchronous_mode_strict: bool,
    /// Whether the kernel's software watchdog resets a host whose agent hangs.
    #[schemars(title = "Watchdog")]
    pub watchdog: bool,
}

impl Default for Patroni {
    fn default() -> Self {
        Patroni {
            ttl: 20,
            loop_wait: 5,
            retry_timeout: 5,
            maximum_lag_on_failover: 1_048_576,
            synchronous_mode_strict: false,
            watchdog: true,
        }
    }
}

/// The hosts of etcd, where Patroni keeps who leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Etcd {
    /// How many: 1, 3 or 5. 3 go on without one of them.
    #[schemars(title = "Count", range(min = 1, max = 5))]
    pub count: u32,
    /// EC2 instance type; none given: t4g.small or t3.small, as the members' processors are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        title = "Instance type",
        with = "String",
        regex(pattern = "^[a-z][a-z0-9-]*[0-9][a-z0-9-]*\\.[a-z0-9-]+$")
    )]
    #[schemars(extend("x-allowed" = "an EC2 instance type, such as t4g.small"))]
    pub instance_type: Option<String>,
    /// Size of the root volume, which holds etcd's data, in GiB.
    #[schemars(title = "Root volume in GiB", range(min = 30, max = 100))]
    pub root_volume_gib: u32,
}

impl Default for Etcd {
    fn default() -> Self {
        Etcd { count: 3, instance_type: None, root_volume_gib: 30 }
    }
}

/// PgBouncer on every member, in its own words.
///
/// Source: PgBouncer documentation, "config".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pooler {
    /// `pool_mode`.
    #[schemars(title = "pool_mode")]
    pub pool_mode: PoolMode,
    /// `max_client_conn`.
    #[schemars(title = "max_client_conn", range(min = 10, max = 20_000))]
    pub max_client_conn: u32,
    /// `default_pool_size`.
    #[schemars(title = "default_pool_size", range(min = 1, max = 1_000))]
    pub default_pool_size: u32,
    /// `min_pool_size`.
    #[schemars(title = "min_pool_size", range(min = 0, max = 1_000))]
    pub min_pool_size: u32,
    /// `reserve_pool_size`.
    #[schemars(title = "reserve_pool_size", range(min = 0, max = 1_000))]
    pub reserve_pool_size: u32,
    /// `reserve_pool_timeout`, seconds.
    #[schemars(title = "reserve_pool_timeout", range(min = 0, max = 60))]
    pub reserve_pool_timeout: u32,
    /// `server_lifetime`, seconds.
    #[schemars(title = "server_lifetime", range(min = 60, max = 86_400))]
    pub server_lifetime: u32,
    /// `server_idle_timeout`, seconds.
    #[schemars(title = "server_idle_timeout", range(min = 0, max = 86_400))]
    pub server_idle_timeout: u32,
}

impl Default for Pooler {
    fn default() -> Self {
        Pooler {
            pool_mode: PoolMode::Transaction,
            max_client_conn: 100,
            default_pool_size: 20,
            min_pool_size: 5,
            reserve_pool_size: 5,
            reserve_pool_timeout: 3,
            server_lifetime: 3_600,
            server_idle_timeout: 600,
        }
    }
}

/// When PgBouncer gives a server connection back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PoolMode {
    /// After each transaction.
    Transaction,
    /// When the client leaves.
    Session,
}

/// The Network Load Balancer in front of the members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Balancer {
    /// Seconds between two health checks: 5 to 300.
    #[schemars(title = "Health check interval", range(min = 5, max = 300))]
    pub interval_s: u32,
    /// Checks in a row until a member is healthy.
    #[schemars(title = "Healthy threshold", range(min = 2, max = 10))]
    pub healthy: u32,
    /// Checks in a row until a member is unhealthy.
    #[schemars(title = "Unhealthy threshold", range(min = 2, max = 10))]
    pub unhealthy: u32,
}

impl Default for Balancer {
    fn default() -> Self {
        Balancer { interval_s: 5, healthy: 2, unhealthy: 2 }
    }
}
