//! What the owner of a cluster allows: part of the spec, carried by the card.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Limits of automatic promotion. Every field has a default, given with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Milliseconds between two probes of a member.
    ///
    /// 1000: shorter finds little sooner and triples the load on `pg_hba` and TLS.
    #[schemars(range(min = 200, max = 60_000))]
    pub probe_interval_ms: u64,
    /// Milliseconds after which a probe of a member counts as failed.
    ///
    /// 600: a login takes some 20 ms; a second witness stands against a busy host.
    #[schemars(range(min = 100, max = 10_000))]
    pub probe_timeout_ms: u64,
    /// Failed probes in a row that raise suspicion.
    ///
    /// 3: one lost packet costs one probe, a dead host costs all of them.
    #[schemars(range(min = 2, max = 60))]
    pub failures: u32,
    /// Milliseconds without a message from the writer after which a standby's
    /// WAL receiver counts as a witness that the writer is down.
    ///
    /// 3000: generated members set `wal_receiver_timeout` to 5 s, so that an
    /// idle live writer is heard at least every 2.5 s.
    #[schemars(range(min = 2_600, max = 60_000))]
    pub witness_silence_ms: u64,
    /// Milliseconds that a member whose host answers, but whose port refuses,
    /// has to restart PostgreSQL by itself.
    ///
    /// 5000: a restart after a crash takes 1-2 s plus recovery.
    #[schemars(range(min = 0, max = 600_000))]
    pub local_restart_ms: u64,
    /// Seconds after a change of writer in which no second one is made.
    ///
    /// 60: time for the old writer's clients to arrive; a person decides sooner.
    #[schemars(range(min = 0, max = 86_400))]
    pub cool_down_s: u64,
    /// Failovers within one hour after which a person decides about the next.
    ///
    /// 3: a cluster that loses its third writer in an hour has a cause that
    /// another failover does not cure.
    #[schemars(range(min = 1, max = 60))]
    pub failovers_per_hour: u32,
    /// Seconds after a pause in which no failover begins.
    ///
    /// 10: what the pause was for, such as a restart, may just be ending.
    #[schemars(range(min = 0, max = 3_600))]
    pub grace_s: u32,
    /// Seconds without contact to the fleet's state and to any standby after
    /// which a writer's own guard has stopped PostgreSQL.
    ///
    /// 20: longer than a blip of the network, shorter than the patience of
    /// clients. Raise it and failovers that rest on it alone wait longer.
    #[schemars(range(min = 10, max = 300))]
    pub ttl_s: u32,
    /// Bytes of log that an asynchronous successor may lack.
    ///
    /// 1 MiB: Patroni's default (`maximum_lag_on_failover`).
    pub max_lost_bytes: u64,
    /// Seconds that a host of a cluster with Patroni may be off, silent or
    /// failed before it is started, rebooted or made anew; 0: a person does that.
    ///
    /// 300: longer than a restart by hand, or than AWS's own recovery of a host.
    #[schemars(range(min = 0, max = 86_400))]
    pub repair_after_s: u64,
    /// Seconds that AWS has for a failover of its own (Aurora, Multi-AZ) before a person is told, or the next rung is
    /// taken.
    ///
    /// 180: a Multi-AZ instance takes 60 to 120 s.
    #[schemars(range(min = 30, max = 3_600))]
    pub aws_failover_s: u64,
    /// Seconds for which a writer that RDS calls available may be silent while others answer, before Aurora is told
    /// to fail over; 0: a person does that.
    ///
    /// 60: Aurora's own failover begins within 30.
    #[schemars(range(min = 0, max = 3_600))]
    pub gray_failure_s: u64,
    /// Seconds after which a database that RDS calls busy (`modifying`, `rebooting`) is told of.
    ///
    /// 1800: longer than a change of an instance class takes.
    #[schemars(range(min = 60, max = 86_400))]
    pub stuck_after_s: u64,
    /// Whether a read replica of RDS is promoted without asking, once the old writer is proven to be cut off.
    pub promote_replicas: bool,
    /// Whether the second Region takes over without asking, on proof that the first can acknowledge no write. Without
    /// proof a person approves, always.
    pub region_failover: bool,
    /// Whether the old writer's instance is stopped after a promotion.
    ///
    /// `true`: a host that comes back by itself is one risk less.
    pub stop_old_writer: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            probe_interval_ms: 1_000,
            probe_timeout_ms: 600,
            failures: 3,
            witness_silence_ms: 3_000,
            local_restart_ms: 5_000,
            cool_down_s: 60,
            failovers_per_hour: 3,
            grace_s: 10,
            ttl_s: 20,
            max_lost_bytes: 1024 * 1024,
            repair_after_s: 300,
            aws_failover_s: 180,
            gray_failure_s: 60,
            stuck_after_s: 1_800,
            promote_replicas: true,
            region_failover: false,
            stop_old_writer: true,
        }
    }
}

impl Policy {
    /// Time between two probes of a member.
    #[must_use]
    pub fn probe_interval(&self) -> Duration {
        Duration::from_millis(self.probe_interval_ms)
    }

    /// Time after which a probe counts as failed.
    #[must_use]
    pub fn probe_timeout(&self) -> Duration {
        Duration::from_millis(self.probe_timeout_ms)
    }

    /// Silence after which a WAL receiver counts as a witness.
    #[must_use]
    pub fn witness_silence(&self) -> Duration {
        Duration::from_millis(self.witness_silence_ms)
    }

    /// Time that a crashed PostgreSQL has to restart on a healthy host.
    #[must_use]
    pub fn local_restart(&self) -> Duration {
        Duration::from_millis(self.local_restart_ms)
    }

    /// Time after a pause in which no failover begins.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_secs(u64::from(self.grace_s))
    }

    /// Time without contact after which a writer has stopped itself.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        Duration::from_secs(u64::from(self.ttl_s))
    }

    /// Time after which a broken host is repaired; `None`: never by itself.
    #[must_use]
    pub fn repair_after(&self) -> Option<Duration> {
        (self.repair_after_s > 0).then(|| Duration::from_secs(self.repair_after_s))
    }

    /// Time that AWS has for a failover of its own.
    #[must_use]
    pub fn aws_failover(&self) -> Duration {
        Duration::from_secs(self.aws_failover_s)
    }

    /// Time after which a writer that only RDS calls well is failed over; `None`: never by itself.
    #[must_use]
    pub fn gray_failure(&self) -> Option<Duration> {
        (self.gray_failure_s > 0).then(|| Duration::from_secs(self.gray_failure_s))
    }

    /// Time after which a busy database is told of.
    #[must_use]
    pub fn stuck_after(&self) -> Duration {
        Duration::from_secs(self.stuck_after_s)
    }

    /// Time between two changes of writer.
    #[must_use]
    pub fn cool_down(&self) -> Duration {
        Duration::from_secs(self.cool_down_s)
    }
}
