//! Backups, and the second Region.

use super::network::{Cidr, network};
use crate::spec::{Finding, Spec};

/// S3 takes no transition to Standard-IA earlier.
///
/// Source: S3 user guide, "Transitioning objects using Amazon S3 Lifecycle", constraints.
const LEAST_DAYS_TO_IA: u32 = 30;

/// Retention against lifecycle, schedules, and the volume that dumps need.
pub(super) fn backups(spec: &Spec) -> Vec<Finding> {
    let Some(backups) = &spec.backups else { return Vec::new() };
    let mut found = Vec::new();
    let days = backups.infrequent_access_days;
    if days != 0 && days < LEAST_DAYS_TO_IA {
        found.push(Finding::new(
            &["/backups/infrequent_access_days"],
            days.to_string(),
            format!("0, or at least {LEAST_DAYS_TO_IA}, before which S3 moves no object to Standard-IA"),
        ));
    }
    let schedules = [("/backups/full_at", &backups.full_at), ("/backups/diff_at", &backups.diff_at)];
    for (path, text) in schedules {
        if !is_calendar(text) {
            let allowed = "days and a time in UTC, such as Sun 02:00, Mon..Sat 02:00, Mon,Thu 01:30 or *-*-1 03:00";
            found.push(Finding::new(&[path], format!("\"{text}\""), allowed));
        }
    }
    if backups.full_at == backups.diff_at {
        found.push(Finding::new(
            &["/backups/diff_at", "/backups/full_at"],
            format!("\"{}\"", backups.diff_at),
            "another time than /backups/full_at: one backup runs at a time",
        ));
    }
    // A version that pgBackRest has expired by mistake must outlive the way to the next full backup.
    let cycle = backups.retention_diff.max(7);
    if backups.noncurrent_days < cycle {
        found.push(Finding::new(
            &["/backups/noncurrent_days", "/backups/retention_diff"],
            backups.noncurrent_days.to_string(),
            format!("at least {cycle}: what was deleted by mistake must outlive the time between two full backups"),
        ));
    }
    if backups.dump_days > 0 && spec.members.backup_volume.is_none() {
        found.push(Finding::new(
            &["/backups/dump_days", "/members/backup_volume"],
            backups.dump_days.to_string(),
            "0, unless /members/backup_volume gives dumps a place",
        ));
    }
    found
}

/// Days of the week in systemd's words.
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Whether a text is one of the calendar events that are allowed here: days of the week or a day of the month, then
/// hours and minutes. systemd takes more; what is refused here cannot be refused by a host at night.
///
/// Source: systemd.time(7), "Calendar Events".
fn is_calendar(text: &str) -> bool {
    let (days, time) = text.rsplit_once(' ').unwrap_or(("", text));
    let number = |text: &str, most: u32| text.len() == 2 && text.parse().is_ok_and(|n: u32| n <= most);
    let is_time = time.split_once(':').is_some_and(|(hour, minute)| number(hour, 23) && number(minute, 59));
    let is_day = |day: &str| DAYS.contains(&day);
    let is_range = |part: &str| part.split_once("..").is_some_and(|(first, last)| is_day(first) && is_day(last));
    let of_week = |days: &str| days.split(',').all(|part| is_day(part) || is_range(part));
    // Not after the 28th: every month must have that day.
    let of_month =
        |days: &str| days.strip_prefix("*-*-").is_some_and(|day| day.parse().is_ok_and(|n: u32| (1..=28).contains(&n)));
    is_time && (days.is_empty() || of_week(days) || of_month(days))
}

/// On EC2 the second Region begins from the repository.
pub(super) fn dr_of_ec2(spec: &Spec) -> Vec<Finding> {
    let Some(dr) = &spec.dr else { return Vec::new() };
    let mut found = Vec::new();
    if spec.backups.is_none() {
        let allowed = "an object: the second Region begins anew from the repository when the first is lost";
        found.push(Finding::new(&["/backups", "/dr"], "nothing", allowed));
    }
    if let Some(class) = dr.instance_type.as_ref().filter(|given| given.starts_with("db.")) {
        let allowed = "an EC2 instance type, such as m7g.large";
        found.push(Finding::new(&["/dr/instance_type", "/topology"], format!("\"{class}\""), allowed));
    }
    found
}

/// The second Region: another one, another network.
pub(super) fn dr(spec: &Spec) -> Vec<Finding> {
    let Some(dr) = &spec.dr else { return Vec::new() };
    let mut found = Vec::new();
    if dr.region == dr.primary_region {
        found.push(Finding::new(
            &["/dr/region", "/dr/primary_region"],
            format!("\"{}\"", dr.region),
            "another Region than /dr/primary_region",
        ));
    }
    if let Some(key) = spec.encryption.kms_key_arn.as_ref().filter(|key| !key.contains(":key/mrk-")) {
        let allowed = "the ARN of a multi-Region key (key/mrk-...), which has a replica in /dr/region: a key serves its own Region only";
        found.push(Finding::new(&["/encryption/kms_key_arn", "/dr"], format!("\"{key}\""), allowed));
    }
    let (primary, second) = ("/dr/primary_cidr", "/dr/cidr");
    match (network(primary, &dr.primary_cidr), network(second, &dr.cidr)) {
        (Ok(one), Ok(other)) if one.overlaps(other) => found.push(Finding::new(
            &[second, primary],
            format!("\"{other}\""),
            format!("a network that shares no address with /dr/primary_cidr, {one}: peered networks must not overlap"),
        )),
        (one, other) => found.extend([one.err(), other.err()].into_iter().flatten()),
    }
    found.extend(same(
        "/network/own_vpc/cidr",
        spec.network.own_vpc.as_ref().map(|own| &own.cidr),
        primary,
        &dr.primary_cidr,
    ));
    found.extend(same("/dr/network/own_vpc/cidr", dr.network.own_vpc.as_ref().map(|own| &own.cidr), second, &dr.cidr));
    found
}

/// A VPC of the cluster's own has the network that the other Region is told of.
fn same(path: &str, own: Option<&String>, told: &str, cidr: &str) -> Option<Finding> {
    let own = own.filter(|own| own.parse::<Cidr>().is_ok() && *own != cidr)?;
    Some(Finding::new(&[path, told], format!("\"{own}\""), format!("\"{cidr}\", as {told} says")))
}
