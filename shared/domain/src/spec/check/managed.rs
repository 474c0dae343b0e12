//! Aurora and RDS.

mod aurora;
mod rds;

use crate::spec::{Finding, Instance, Members, Spec};

pub(super) use aurora::aurora;
pub(super) use rds::rds;

/// What only topologies have that AWS runs.
pub(super) fn only_there(spec: &Spec) -> Vec<Finding> {
    let (aurora, managed) = (spec.topology.is_aurora(), spec.topology.is_managed());
    let given = [
        ("/managed", spec.managed.is_some() && !managed, "aurora-provisioned, aurora-serverless or rds-postgres"),
        ("/aurora", spec.aurora.is_some() && !aurora, "aurora-provisioned or aurora-serverless"),
        ("/rds", spec.rds.is_some() && (aurora || !managed), "rds-postgres"),
    ];
    let refuse = |(path, _, there): (&'static str, bool, &str)| {
        Finding::new(&[path, "/topology"], "an object", format!("nothing, unless /topology is {there}"))
    };
    given.into_iter().filter(|(_, is_misplaced, _)| *is_misplaced).map(refuse).collect()
}

/// What only topologies on EC2 have.
pub(super) fn only_on_ec2(spec: &Spec) -> Vec<Finding> {
    let has_hosts = spec.rds.as_ref().is_some_and(|rds| rds.pooler.is_some());
    let dr = spec.dr.as_ref();
    let given = [
        ("/members", spec.members != Members::default(), "nothing: /aurora or /rds says how many instances there are"),
        ("/synchronous", spec.synchronous.required != 1, "nothing: AWS replicates"),
        ("/patroni", spec.patroni.is_some(), "nothing: AWS fails over"),
        ("/etcd", spec.etcd.is_some(), "nothing: AWS fails over"),
        ("/pooler", spec.pooler.is_some(), "nothing: PgBouncer on hosts of its own is /rds/pooler"),
        ("/balancer", spec.balancer.is_some() && !has_hosts, "nothing, unless there is /rds/pooler"),
        ("/image", spec.image != crate::spec::Image::default() && !has_hosts, "nothing, unless there is /rds/pooler"),
        ("/backups", spec.backups.is_some(), "nothing: automated backups are in /managed"),
        ("/monitoring", spec.monitoring.is_some(), "nothing: Performance Insights and alarms are in /managed"),
        ("/access/bastion", spec.access.bastion.is_some(), "nothing: there is no host to log in to"),
        ("/dr/data_volume", dr.is_some_and(|dr| dr.data_volume.is_some()), "nothing: storage is as in /rds or /aurora"),
        ("/dr/backup_bucket", dr.is_some_and(|dr| dr.backup_bucket.is_some()), "nothing: AWS keeps the backups"),
    ];
    let refuse = |(path, _, allowed)| Finding::new(&[path, "/topology"], "a value", allowed);
    given.into_iter().filter(|(_, is_given, _)| *is_given).map(refuse).collect()
}

/// Letters that a name may have: the longest identifier is `<fleet>-<name>-global`, and RDS takes 63.
const LONGEST_NAME: usize = 39;

/// What both have in common.
pub(super) fn common(spec: &Spec) -> Vec<Finding> {
    let managed = spec.managed();
    let mut found = Vec::new();
    let mut refuse = |paths: &[&str], found_there: String, allowed: &str| {
        found.push(Finding::new(paths, found_there, allowed));
    };
    if spec.name.len() > LONGEST_NAME {
        let allowed = "at most 39: RDS takes identifiers of 63, and the fleet's name and a suffix are part of them";
        refuse(&["/name", "/topology"], format!("{} letters", spec.name.len()), allowed);
    }
    if let Some(hours) = managed.backtrack_hours {
        let allowed = "nothing: Aurora has Backtrack for MySQL only; restore to a point in time instead";
        refuse(&["/managed/backtrack_hours"], hours.to_string(), allowed);
    }
    if ![0, 1, 5, 10, 15, 30, 60].contains(&managed.enhanced_monitoring_s) {
        let path = "/managed/enhanced_monitoring_s";
        refuse(&[path], managed.enhanced_monitoring_s.to_string(), "0 (off), 1, 5, 10, 15, 30 or 60");
    }
    let days = managed.performance_insights_days;
    if !(matches!(days, 0 | 7 | 731) || days.is_multiple_of(31)) {
        let allowed = "0 (off), 7, a multiple of 31 up to 713, or 731";
        refuse(&["/managed/performance_insights_days"], days.to_string(), allowed);
    }
    if spec.postgresql.port < 1_150 {
        refuse(&["/postgresql/port", "/topology"], spec.postgresql.port.to_string(), "1150 to 65535, as RDS takes");
    }
    for (path, name) in
        [("/postgresql/owner", &spec.postgresql.owner), ("/postgresql/database", &spec.postgresql.database)]
    {
        if name.starts_with("rds") {
            let allowed = "a name that does not begin with rds, which RDS keeps for itself";
            refuse(&[path, "/topology"], format!("\"{name}\""), allowed);
        }
    }
    if let Some(given) = spec.dr.as_ref().and_then(|dr| dr.instance_type.as_ref()) {
        found.extend(class(spec, "/dr/instance_type", given));
    }
    found.extend(windows(&managed));
    found.extend(urgent(&managed));
    found
}

/// Minutes from the start of a window of the form hh:mm-hh:mm; `None` for a time that is none.
fn minutes(window: &str) -> Option<(u32, u32)> {
    let time = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
        (hour < 24 && minute < 60).then_some(hour * 60 + minute)
    };
    let (start, end) = window.split_once('-')?;
    let (start, end) = (time(start)?, time(end)?);
    Some((start, (end + 1_440 - start) % 1_440))
}

/// Both windows are half an hour or more, and do not meet.
///
/// Source: RDS API, "CreateDBInstance", `PreferredBackupWindow` and `PreferredMaintenanceWindow`.
fn windows(managed: &crate::spec::Managed) -> Vec<Finding> {
    let (backup, upkeep) = ("/managed/backup_window", "/managed/maintenance_window");
    let parts = |window: &str| -> Option<(String, String)> {
        // sun:04:00-sun:05:00
        let (start, end) = window.split_once('-')?;
        let ((day, from), (last, to)) = (start.split_once(':')?, end.split_once(':')?);
        Some((format!("{day}-{last}"), format!("{from}-{to}")))
    };
    let mut found = Vec::new();
    let mut read = |path: &str, whole: &str, window: Option<(u32, u32)>| {
        let window = window.filter(|(_, length)| (30..1_440).contains(length));
        if window.is_none() {
            let allowed = "a window of times from 00:00 to 23:59 that lasts half an hour or more";
            found.push(Finding::new(&[path], format!("\"{whole}\""), allowed));
        }
        window
    };
    let daily = read(backup, &managed.backup_window, minutes(&managed.backup_window));
    let of_week = parts(&managed.maintenance_window);
    let weekly = of_week.as_ref().and_then(|(_, times)| minutes(times));
    let weekly = read(upkeep, &managed.maintenance_window, weekly);
    if let (Some((start, length)), Some((from, lasts))) = (daily, weekly) {
        let meets = (from + 1_440 - start) % 1_440 < length || (start + 1_440 - from) % 1_440 < lasts;
        if meets {
            let allowed = format!("a window that does not meet the daily backups, {}", managed.backup_window);
            found.push(Finding::new(&[upkeep, backup], format!("\"{}\"", managed.maintenance_window), allowed));
        }
    }
    found
}

/// What is urgent comes after what is told.
fn urgent(managed: &crate::spec::Managed) -> Vec<Finding> {
    let alarms = &managed.alarms;
    let more = [
        (
            "connections_urgent_percent",
            alarms.connections_urgent_percent,
            "connections_percent",
            alarms.connections_percent,
        ),
        ("lag_urgent_mib", alarms.lag_urgent_mib, "lag_mib", alarms.lag_mib),
        (
            "free_storage_percent",
            alarms.free_storage_percent,
            "free_storage_urgent_percent",
            alarms.free_storage_urgent_percent,
        ),
    ];
    let low = |(path, value, other, least): (&str, u32, &str, u32)| {
        let (path, other_path) = (format!("/managed/alarms/{path}"), format!("/managed/alarms/{other}"));
        let allowed = format!("more than {other}, {least}");
        (value <= least).then(|| Finding::new(&[&path, &other_path], value.to_string(), allowed))
    };
    more.into_iter().filter_map(low).collect()
}

/// What RDS's servers and Understudy keep of `max_connections`: three for superusers, two for RDS itself, ten for
/// Understudy, replicas and monitoring.
const KEPT: u32 = 15;

/// Memory of a class for each connection that RDS's own formula of `max_connections` counts with, in bytes.
///
/// Source: Amazon RDS User Guide, "Quotas and constraints": LEAST(DBInstanceClassMemory / 9531392, 5000).
const CONNECTION_BYTES: u64 = 9_531_392;

/// The class is one whose memory is known, and the connections fit into it.
fn class(spec: &Spec, path: &str, class: &str) -> Vec<Finding> {
    let Some(instance) = class.strip_prefix("db.").and_then(Instance::of) else {
        let allowed = "a class of the families t3, t4g, m, c or r from the fifth generation on, such as db.r7g.large: \
                       of others the memory is not known here, which the parameters follow from";
        return vec![Finding::new(&[path], format!("\"{class}\""), allowed)];
    };
    let most = (u64::from(instance.memory_mib) * 1_048_576 / CONNECTION_BYTES).min(5_000);
    if u64::from(spec.postgresql.max_connections) <= most {
        return Vec::new();
    }
    let allowed = format!("20 to {most} for {class} with {} MiB, by RDS's own formula", instance.memory_mib);
    vec![Finding::new(&["/postgresql/max_connections", path], spec.postgresql.max_connections.to_string(), allowed)]
}

/// The roles' sessions fit into the server's.
fn roles(spec: &Spec) -> Vec<Finding> {
    let Some(roles) = spec.managed().roles else { return Vec::new() };
    let all = roles.application + roles.readonly + roles.admin + roles.backup;
    let most = spec.postgresql.max_connections;
    let paths = ["/managed/roles", "/postgresql/max_connections"];
    (all + KEPT > most)
        .then(|| {
            let allowed =
                format!("at most {}: max_connections is {most}, and {KEPT} are kept", most.saturating_sub(KEPT));
            Finding::new(&paths, format!("{all} sessions in all"), allowed)
        })
        .into_iter()
        .collect()
}
