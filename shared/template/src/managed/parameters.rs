//! PostgreSQL's parameters, as parameter groups take them.
//!
//! Bare numbers in RDS's units: pages of 8 kB for `shared_buffers`, `effective_cache_size` and `wal_buffers`, kB for
//! `work_mem` and `maintenance_work_mem`, ms for durations.

use super::units::in_rds_units;
use crate::site::Site;
use domain::spec::Instance;
use std::collections::{BTreeMap, BTreeSet};

/// Name and value.
pub(crate) type Parameters = BTreeMap<String, String>;

/// The parameters of an Aurora cluster, by the group that they are in.
pub(crate) struct OfAurora {
    /// What all instances share.
    pub(crate) cluster: Parameters,
    /// What follows from an instance's class.
    pub(crate) instance: Parameters,
}

/// What every server loads: the statements that take time, with their plans, and who did what.
const LIBRARIES: [&str; 3] = ["auto_explain", "pg_stat_statements", "pgaudit"];

const SHARED_PRELOAD_LIBRARIES: &str = "shared_preload_libraries";

/// Memory of the databases' class in MiB; `None` for a class that is not known, whose memory AWS's own formulas know.
pub(crate) fn memory_mib(class: &str) -> Option<u32> {
    Instance::of(class.strip_prefix("db.")?).map(|instance| instance.memory_mib)
}

/// Parameters of RDS for PostgreSQL, of an instance or of a Multi-AZ DB cluster.
pub(crate) fn rds(site: &Site<'_>, class: &str) -> Parameters {
    let mut parameters = every(site);
    parameters.extend(named(&[
        ("bgwriter_delay", "200"),
        ("bgwriter_lru_maxpages", "100"),
        ("checkpoint_completion_target", "0.9"),
        ("log_checkpoints", "1"),
        // RDS for PostgreSQL and the clients of the reference know it.
        ("ssl_min_protocol_version", "TLSv1.3"),
        // 16 MiB, one segment: more is never needed.
        ("wal_buffers", "2048"),
    ]));
    if let Some(memory) = memory_mib(class) {
        // The usual quarter; the operating system's cache holds the rest.
        parameters.insert("shared_buffers".into(), pages(memory / 4));
        parameters.insert("effective_cache_size".into(), pages(memory / 4 * 3));
        parameters.extend(work(memory, site.spec.postgresql.max_connections));
    }
    parameters.extend(of_user(site));
    parameters
}

/// Parameters of Aurora. Its storage writes no pages and makes no checkpoints, so there is nothing to tune of
/// `checkpoint_*`, `wal_buffers` and `bgwriter_*`; AWS refuses them.
///
/// `class`: none for Serverless v2, where Aurora itself follows the capacity with `shared_buffers`,
/// `effective_cache_size`, `maintenance_work_mem` and the memory of autovacuum. `least_mib`: its memory at the least.
///
/// Sources: Amazon Aurora User Guide, "Amazon Aurora PostgreSQL parameters" and "Working with parameter groups for
/// Aurora Serverless v2".
pub(crate) fn aurora(site: &Site<'_>, class: Option<&str>, least_mib: u32) -> OfAurora {
    let mut cluster = every(site);
    cluster.insert("ssl_min_protocol_version".into(), "TLSv1.2".into());
    let max_connections = site.spec.postgresql.max_connections;
    let mut instance = Parameters::new();
    let of_class = ["max_connections", "random_page_cost"];
    for name in of_class {
        instance.extend(cluster.remove_entry(name));
    }
    match class {
        Some(class) => {
            if let Some(memory) = memory_mib(class) {
                instance.extend(work(memory, max_connections));
            }
            // Aurora's own, two thirds to three quarters: there is no cache of the operating system beside it, and what
            // a smaller one leaves over is not used.
            for name in ["effective_cache_size", "shared_buffers"] {
                instance.insert(name.into(), "SUM({DBInstanceClassMemory/12038},-50003)".into());
            }
        }
        None => {
            instance.insert("work_mem".into(), work_mem_kib(least_mib, max_connections));
        }
    }
    for (name, value) in of_user(site) {
        // An instance's group wins over the cluster's.
        let group = if instance.contains_key(&name) { &mut instance } else { &mut cluster };
        group.insert(name, value);
    }
    OfAurora { cluster, instance }
}

/// What both have: TLS, passwords, logs, statistics, autovacuum.
fn every(site: &Site<'_>) -> Parameters {
    let postgresql = &site.spec.postgresql;
    let mut parameters = named(&[
        ("auto_explain.log_min_duration", "5000"),
        ("autovacuum", "1"),
        // Twice and more as often as PostgreSQL's own: small passes instead of long ones.
        ("autovacuum_analyze_scale_factor", "0.05"),
        ("autovacuum_naptime", "15"),
        ("autovacuum_vacuum_scale_factor", "0.1"),
        ("log_autovacuum_min_duration", "10000"),
        ("log_connections", "1"),
        ("log_disconnections", "1"),
        ("log_lock_waits", "1"),
        ("log_min_duration_statement", "1000"),
        ("log_statement", "ddl"),
        // From 10 MiB on, in kB.
        ("log_temp_files", "10240"),
        ("pg_stat_statements.track", "all"),
        ("pgaudit.log", "ddl,role"),
        // Storage has no heads to move.
        ("random_page_cost", "1.0"),
        ("rds.force_autovacuum_logging_level", "warning"),
        ("rds.force_ssl", "1"),
        ("track_functions", "all"),
        ("track_io_timing", "1"),
    ]);
    parameters.insert("max_connections".into(), postgresql.max_connections.to_string());
    parameters.insert("password_encryption".into(), postgresql.password_encryption.to_string());
    parameters.insert(SHARED_PRELOAD_LIBRARIES.into(), libraries(site));
    parameters
}

/// What every server loads and what the spec adds, each once; none of ours can be lost.
fn libraries(site: &Site<'_>) -> String {
    let given = site.spec.postgresql.parameters.get(SHARED_PRELOAD_LIBRARIES).map_or("", String::as_str);
    let given = given.split(',').map(str::trim).filter(|name| !name.is_empty());
    let all: BTreeSet<&str> = LIBRARIES.into_iter().chain(given).collect();
    all.into_iter().collect::<Vec<_>>().join(",")
}

/// The spec's own, which win; but for what the spec has a field for, and for TLS, which is not to choose.
fn of_user(site: &Site<'_>) -> Parameters {
    const OURS: [&str; 4] = ["max_connections", "password_encryption", "rds.force_ssl", SHARED_PRELOAD_LIBRARIES];
    let given = site.spec.postgresql.parameters.iter();
    given
        .filter(|(name, _)| !OURS.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), in_rds_units(name, value)))
        .collect()
}

/// Memory for the work of sessions and of maintenance.
fn work(memory_mib: u32, max_connections: u32) -> Parameters {
    let maintenance_mib = (memory_mib / 16).clamp(64, 2_048);
    named(&[
        ("maintenance_work_mem", &(maintenance_mib * 1_024).to_string()),
        ("work_mem", &work_mem_kib(memory_mib, max_connections)),
    ])
}

/// A quarter of the memory over all connections, down to a power of two of MiB: 4 to 256.
fn work_mem_kib(memory_mib: u32, max_connections: u32) -> String {
    let share = (memory_mib / 4 / max_connections.max(1)).clamp(4, 256);
    ((1 << share.ilog2()) * 1_024_u32).to_string()
}

/// MiB in pages of 8 kB.
fn pages(mib: u32) -> String {
    (u64::from(mib) * 128).to_string()
}

fn named(parameters: &[(&str, &str)]) -> Parameters {
    parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference 4's numbers, of an instance of 32 GiB and 100 connections.
    #[test]
    fn memory_follows_from_the_class() {
        assert_eq!(memory_mib("db.r6i.xlarge"), Some(32_768));
        assert_eq!(memory_mib("db.serverless"), None);
        assert_eq!((pages(32_768 / 4), pages(32_768 / 4 * 3)), ("1048576".into(), "3145728".into()));
        let work = work(32_768, 100);
        assert_eq!(work["work_mem"], (64 * 1_024).to_string());
        assert_eq!(work["maintenance_work_mem"], (2 * 1_024 * 1_024).to_string());
        for (memory, connections, mib) in [(1_024, 200, 4), (16_384, 200, 16), (524_288, 100, 256)] {
            assert_eq!(work_mem_kib(memory, connections), (mib * 1_024).to_string(), "{memory} MiB, {connections}");
        }
    }
}
