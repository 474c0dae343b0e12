//! PostgreSQL's words for values, in RDS's: parameter groups take bare numbers in the parameter's own unit, and 0 or 1.

const KIB: u64 = 1_024;
const MIB: u64 = 1_024 * KIB;
/// A page, in which PostgreSQL counts buffers.
const PAGE: u64 = 8 * KIB;

/// Parameters that are sizes, and the bytes of their unit.
///
/// Source: PostgreSQL 17's `pg_settings.unit`.
const SIZES: [(&str, u64); 24] = [
    ("autovacuum_work_mem", KIB),
    ("backend_flush_after", PAGE),
    ("bgwriter_flush_after", PAGE),
    ("checkpoint_flush_after", PAGE),
    ("effective_cache_size", PAGE),
    ("gin_pending_list_limit", KIB),
    ("log_temp_files", KIB),
    ("logical_decoding_work_mem", KIB),
    ("maintenance_work_mem", KIB),
    ("max_slot_wal_keep_size", MIB),
    ("max_stack_depth", KIB),
    ("max_wal_size", MIB),
    ("min_parallel_index_scan_size", PAGE),
    ("min_parallel_table_scan_size", PAGE),
    ("min_wal_size", MIB),
    ("shared_buffers", PAGE),
    ("temp_buffers", PAGE),
    ("temp_file_limit", KIB),
    ("track_activity_query_size", 1),
    ("vacuum_buffer_usage_limit", KIB),
    ("wal_buffers", PAGE),
    ("wal_keep_size", MIB),
    ("wal_writer_flush_after", PAGE),
    ("work_mem", KIB),
];

/// Milliseconds.
const MS: u64 = 1;
/// Seconds, in milliseconds.
const S: u64 = 1_000;
/// Minutes, in milliseconds.
const MIN: u64 = 60 * S;

/// Parameters that are times, and the milliseconds of their unit.
///
/// Source: PostgreSQL 17's `pg_settings.unit`.
const TIMES: [(&str, u64); 26] = [
    ("authentication_timeout", S),
    ("auto_explain.log_min_duration", MS),
    ("autovacuum_naptime", S),
    ("autovacuum_vacuum_cost_delay", MS),
    ("bgwriter_delay", MS),
    ("checkpoint_timeout", S),
    ("checkpoint_warning", S),
    ("deadlock_timeout", MS),
    ("idle_in_transaction_session_timeout", MS),
    ("idle_session_timeout", MS),
    ("lock_timeout", MS),
    ("log_autovacuum_min_duration", MS),
    ("log_min_duration_sample", MS),
    ("log_min_duration_statement", MS),
    ("log_rotation_age", MIN),
    ("max_standby_archive_delay", MS),
    ("max_standby_streaming_delay", MS),
    ("statement_timeout", MS),
    ("tcp_keepalives_idle", S),
    ("tcp_keepalives_interval", S),
    ("tcp_user_timeout", MS),
    ("transaction_timeout", MS),
    ("vacuum_cost_delay", MS),
    ("wal_receiver_timeout", MS),
    ("wal_sender_timeout", MS),
    ("wal_writer_delay", MS),
];

/// Parameters for which `on` and `off` are words, not truth and its opposite.
const WORDS: [&str; 8] = [
    "backslash_quote",
    "compute_query_id",
    "constraint_exclusion",
    "huge_pages",
    "recovery_prefetch",
    "synchronous_commit",
    "wal_compression",
    "xmlbinary",
];

/// A value as PostgreSQL's configuration has it, as a parameter group takes it.
pub(super) fn in_rds_units(name: &str, value: &str) -> String {
    let value = value.trim();
    let unit = |table: &[(&str, u64)]| table.iter().find(|(known, _)| *known == name).map(|&(_, unit)| unit);
    let number = |words: &[(&str, u64)], unit: u64| {
        let end = value.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(value.len());
        let (digits, suffix) = value.split_at(end);
        let (_, of) = words.iter().find(|(word, _)| *word == suffix)?;
        let number: u64 = digits.trim().parse().ok()?;
        // As PostgreSQL: to the nearest.
        Some(((number.checked_mul(*of)? + unit / 2) / unit).to_string())
    };
    let sizes = [("B", 1), ("kB", KIB), ("MB", MIB), ("GB", KIB * MIB), ("TB", MIB * MIB)];
    let times = [("ms", MS), ("s", S), ("min", MIN), ("h", 60 * MIN), ("d", 24 * 60 * MIN)];
    let converted = unit(&SIZES)
        .and_then(|unit| number(&sizes, unit))
        .or_else(|| unit(&TIMES).and_then(|unit| number(&times, unit)));
    converted.unwrap_or_else(|| truth(name, value))
}

fn truth(name: &str, value: &str) -> String {
    match value {
        _ if WORDS.contains(&name) => value,
        "on" | "true" | "yes" => "1",
        "off" | "false" | "no" => "0",
        other => other,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_in_the_units_of_a_parameter_group() {
        let table = [
            ("shared_buffers", "8GB", "1048576"),
            ("shared_buffers", "1048576", "1048576"),
            ("effective_cache_size", "24GB", "3145728"),
            ("work_mem", "64MB", "65536"),
            ("work_mem", "65536", "65536"),
            ("work_mem", "64 MB", "65536"),
            ("maintenance_work_mem", "2GB", "2097152"),
            ("wal_buffers", "16MB", "2048"),
            ("wal_buffers", "-1", "-1"),
            ("max_wal_size", "4GB", "4096"),
            ("bgwriter_delay", "200ms", "200"),
            ("log_min_duration_statement", "5s", "5000"),
            ("checkpoint_timeout", "15min", "900"),
            ("random_page_cost", "1.1", "1.1"),
            ("track_io_timing", "on", "1"),
            ("autovacuum", "off", "0"),
            ("synchronous_commit", "off", "off"),
            ("track_functions", "all", "all"),
            (
                "shared_buffers",
                "SUM({DBInstanceClassMemory/12038},-50003)",
                "SUM({DBInstanceClassMemory/12038},-50003)",
            ),
        ];
        for (name, value, expected) in table {
            assert_eq!(in_rds_units(name, value), expected, "{name} = {value}");
        }
    }
}
