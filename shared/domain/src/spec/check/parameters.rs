//! PostgreSQL's settings.

use crate::spec::{Finding, Instance, Spec};

/// What Understudy, Patroni or the spec's other fields set: a second value would contradict the first.
const OURS: [&str; 36] = [
    "archive_command",
    "archive_library",
    "archive_mode",
    "archive_timeout",
    "cluster_name",
    "config_file",
    "data_directory",
    "external_pid_file",
    "hba_file",
    "hot_standby",
    "ident_file",
    "listen_addresses",
    "log_destination",
    "log_directory",
    "log_filename",
    "logging_collector",
    "max_connections",
    "max_slot_wal_keep_size",
    "password_encryption",
    "port",
    "primary_conninfo",
    "primary_slot_name",
    "promote_trigger_file",
    "recovery_target_timeline",
    "restore_command",
    "ssl",
    "ssl_ca_file",
    "ssl_cert_file",
    "ssl_key_file",
    "synchronous_standby_names",
    "unix_socket_directories",
    "wal_keep_size",
    "wal_log_hints",
    "wal_receiver_status_interval",
    "wal_receiver_timeout",
    "wal_sender_timeout",
];

/// The longest of all values together, in bytes: they travel in a parameter of Systems Manager.
const MOST_BYTES: usize = 1_024;

/// Names and values.
pub(super) fn parameters(spec: &Spec) -> Vec<Finding> {
    let mut found = Vec::new();
    let given = &spec.postgresql.parameters;
    for (name, value) in given {
        let path = format!("/postgresql/parameters/{}", name.replace('~', "~0").replace('/', "~1"));
        if OURS.contains(&name.as_str()) {
            let allowed = "a setting that Understudy does not set itself";
            found.push(Finding::new(&[&path], format!("the setting {name}"), allowed));
        } else if !is_name(name) {
            let allowed =
                "a setting's name: 1 to 63 lower-case letters, digits, underscores, with one dot for an extension's";
            found.push(Finding::new(&[&path], format!("the setting {name:?}"), allowed));
        } else if value.is_empty() || value.len() > 200 || !value.bytes().all(is_plain) {
            let allowed = "1 to 200 letters, digits, spaces and . , : + - _ / % * $ \"";
            found.push(Finding::new(&[&path], format!("{value:?}"), allowed));
        } else if name == "wal_level" && value != "logical" && value != "replica" {
            found.push(Finding::new(
                &[&path],
                format!("\"{value}\""),
                "\"replica\" or \"logical\": standbys need no less",
            ));
        }
    }
    let bytes: usize = given.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    if bytes > MOST_BYTES {
        let path = "/postgresql/parameters";
        found.push(Finding::new(&[path], format!("{bytes} bytes"), format!("at most {MOST_BYTES} bytes in all")));
    }
    found
}

fn is_name(name: &str) -> bool {
    let part = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    name.len() <= 63 && name.splitn(2, '.').all(part)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" .,:+-_/%*$\"".contains(&byte)
}

fn number(spec: &Spec, name: &str) -> Option<u32> {
    spec.postgresql.parameters.get(name)?.parse().ok()
}

fn path(name: &str) -> String {
    format!("/postgresql/parameters/{name}")
}

/// Every standby needs a sender and a slot; a copy of the data needs two more senders.
pub(super) fn standbys(spec: &Spec) -> Vec<Finding> {
    let standbys = spec.members.count.saturating_sub(1) + u32::from(spec.dr.is_some());
    let needed = [("max_wal_senders", standbys + 2), ("max_replication_slots", standbys)];
    let low = |(name, needed): (&str, u32)| {
        let given = number(spec, name).filter(|&given| given < needed)?;
        let allowed =
            format!("at least {needed}: {standbys} standbys stream, and a copy of the data needs two more senders");
        let allowed =
            if name == "max_wal_senders" { allowed } else { format!("at least {needed}, one for each standby") };
        Some(Finding::new(&[&path(name), "/members/count"], given.to_string(), allowed))
    };
    needed.into_iter().filter_map(low).collect()
}

/// PostgreSQL's own order of the limits, and the processors there are.
///
/// Source: PostgreSQL manual, "Asynchronous Behavior" (section 20.4): each limit is taken from the one before.
pub(super) fn workers(spec: &Spec) -> Vec<Finding> {
    let vcpus = Instance::of(&spec.members.instance_type).map(|instance| instance.vcpus);
    let all = number(spec, "max_worker_processes").unwrap_or_else(|| vcpus.unwrap_or(8).max(8));
    let parallel = number(spec, "max_parallel_workers").unwrap_or(all.min(8));
    let mut found = Vec::new();
    let mut within = |name: &str, most: u32, of: &str| {
        if let Some(given) = number(spec, name).filter(|&given| given > most) {
            let allowed = format!("at most {most}, which {of} allows");
            found.push(Finding::new(&[&path(name), &path(of)], given.to_string(), allowed));
        }
    };
    within("max_parallel_workers", all, "max_worker_processes");
    within("max_parallel_workers_per_gather", parallel, "max_parallel_workers");
    within("max_parallel_maintenance_workers", parallel, "max_parallel_workers");
    found
}
