//! What one field of a spec says about another, and what a pattern cannot say.

use super::{Architecture, Finding, Spec, words};
use std::{collections::BTreeSet, net::Ipv4Addr};

/// Every problem between the fields of a spec that its schema accepts.
#[must_use]
pub fn check(spec: &Spec) -> Vec<Finding> {
    let mut found = names(spec);
    found.extend(members(spec));
    found.extend(spec.members.data_volume.check());
    found.extend(networks(spec));
    found.extend(image(spec));
    found.extend(policy(spec));
    found.extend(tags(spec));
    found
}

fn names(spec: &Spec) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut refuse = |path: &str, name: &str, taken: &[&str]| {
        let allowed = if taken.contains(&name) {
            format!("any name but {}, which every cluster has already", taken.join(", "))
        } else if name.starts_with("pg_") {
            "a name that does not begin with pg_, which PostgreSQL keeps for itself".to_owned()
        } else if words::is_reserved(name) {
            "a name that is no reserved word of SQL".to_owned()
        } else {
            return;
        };
        found.push(Finding::new(&[path], format!("\"{name}\""), allowed));
    };
    refuse("/postgresql/database", &spec.postgresql.database, &words::DATABASES);
    refuse("/postgresql/owner", &spec.postgresql.owner, &words::ROLES);
    found
}

fn members(spec: &Spec) -> Vec<Finding> {
    let mut found = Vec::new();
    let count = spec.members.count;
    let required = spec.synchronous.required;
    if required >= count {
        found.push(Finding::new(
            &["/synchronous/required", "/members/count"],
            required.to_string(),
            format!("0 to {}, the number of standbys that {count} members have", count.saturating_sub(1)),
        ));
    }
    let mut seen = BTreeSet::new();
    for (at, &number) in spec.members.never_promote.iter().enumerate() {
        let path = format!("/members/never_promote/{at}");
        if number > count {
            let allowed = format!("1 to {count}, the members there are");
            found.push(Finding::new(&[&path, "/members/count"], number.to_string(), allowed));
        } else if !seen.insert(number) {
            found.push(Finding::new(&[&path], format!("{number} again"), "every member once"));
        }
    }
    if !seen.is_empty() && seen.len() + 2 > count as usize {
        found.push(Finding::new(
            &["/members/never_promote", "/members/count"],
            format!("{} of {count} members", seen.len()),
            format!(
                "at most {} members: of a writer and its successor, both must be promotable",
                count.saturating_sub(2)
            ),
        ));
    }
    found
}

fn networks(spec: &Spec) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (at, text) in spec.client_cidrs.iter().enumerate() {
        let path = format!("/client_cidrs/{at}");
        if let Err(allowed) = network(text) {
            found.push(Finding::new(&[&path], format!("\"{text}\""), allowed));
        } else if !seen.insert(text) {
            found.push(Finding::new(&[&path], format!("\"{text}\" again"), "every network once"));
        }
    }
    let mut seen = BTreeSet::new();
    for (at, id) in spec.network.subnet_ids.iter().enumerate() {
        if !seen.insert(id) {
            let path = format!("/network/subnet_ids/{at}");
            found.push(Finding::new(&[&path], format!("\"{id}\" again"), "every subnet once"));
        }
    }
    found
}

/// Reads an IPv4 network; the error says what is allowed instead.
fn network(text: &str) -> Result<(), String> {
    let allowed = "an IPv4 network such as 10.0.0.0/16";
    let parts = text.split_once('/').and_then(|(address, length)| {
        // `parse` would take "+8", which no other reader of the card takes.
        let digits = length.bytes().all(|byte| byte.is_ascii_digit());
        Some((address.parse::<Ipv4Addr>().ok()?, length.parse::<u32>().ok().filter(|_| digits)?))
    });
    let (address, length) = parts.ok_or_else(|| allowed.to_owned())?;
    // Shorter than /8 is more than any private network: a slip, or the whole internet.
    if !(8..=32).contains(&length) {
        return Err(format!("{allowed}, with a prefix of 8 to 32 bits"));
    }
    let start = Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << (32 - length)));
    if start != address {
        return Err(format!("{start}/{length}: the address must be the network's first"));
    }
    Ok(())
}

fn image(spec: &Spec) -> Vec<Finding> {
    let needed = Architecture::of_instance_type(&spec.members.instance_type);
    let Some(given) = spec.image.architecture.filter(|&given| given != needed) else { return Vec::new() };
    let allowed = format!("{needed}, which instance type {} needs", spec.members.instance_type);
    vec![Finding::new(&["/image/architecture", "/members/instance_type"], given.to_string(), allowed)]
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

/// A resource has 50 tags at most; CloudFormation and Understudy need some.
const MOST_TAGS: usize = 40;

/// Source: Resource Groups Tagging user guide, "Tag naming limits and requirements".
fn tags(spec: &Spec) -> Vec<Finding> {
    let fits = |text: &str, most: usize| {
        text.chars().count() <= most && text.chars().all(|c| c.is_alphanumeric() || " _.:/=+-@".contains(c))
    };
    let mut found = Vec::new();
    if spec.tags.len() > MOST_TAGS {
        found.push(Finding::new(&["/tags"], format!("{} tags", spec.tags.len()), format!("at most {MOST_TAGS} tags")));
    }
    for (key, value) in &spec.tags {
        let path = format!("/tags/{}", key.replace('~', "~0").replace('/', "~1"));
        let lower = key.to_lowercase();
        if lower.starts_with("aws:") || lower.starts_with("understudy:") || key == "Name" {
            let allowed = "a tag that is neither Name nor begins with aws: or understudy:";
            found.push(Finding::new(&[&path], format!("the key \"{key}\""), allowed));
        } else if key.is_empty() || !fits(key, 128) {
            let allowed = "a key of 1 to 128 letters, digits, spaces and _ . : / = + - @";
            found.push(Finding::new(&[&path], format!("the key \"{key}\""), allowed));
        } else if !fits(value, 256) {
            let allowed = "a value of at most 256 letters, digits, spaces and _ . : / = + - @";
            found.push(Finding::new(&[&path], format!("\"{value}\""), allowed));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;

    fn spec(change: impl FnOnce(&mut Spec)) -> Vec<String> {
        let mut spec = Spec::new("orders");
        change(&mut spec);
        check(&spec).into_iter().map(|finding| finding.problem.path).collect()
    }

    #[test]
    fn every_rule_and_both_sides_of_its_limit() {
        let none: &[&str] = &[];
        let table: [(&str, Vec<String>, &[&str]); 30] = [
            ("the shortest spec", spec(|_| {}), none),
            ("all standbys required", spec(|s| s.synchronous.required = 2), none),
            ("more than there are", spec(|s| s.synchronous.required = 3), &["/synchronous/required"]),
            ("asynchronous", spec(|s| s.synchronous.required = 0), none),
            ("one never promoted of three", spec(|s| s.members.never_promote = vec![3]), none),
            ("two of three", spec(|s| s.members.never_promote = vec![2, 3]), &["/members/never_promote"]),
            ("a fourth of three", spec(|s| s.members.never_promote = vec![4]), &["/members/never_promote/0"]),
            ("one twice", spec(|s| s.members.never_promote = vec![3, 3]), &["/members/never_promote/1"]),
            ("a reserved word", spec(|s| s.postgresql.database = "user".into()), &["/postgresql/database"]),
            ("a system database", spec(|s| s.postgresql.database = "template1".into()), &["/postgresql/database"]),
            ("the operator's role", spec(|s| s.postgresql.owner = "understudy".into()), &["/postgresql/owner"]),
            ("the replication role", spec(|s| s.postgresql.owner = "replicator".into()), &["/postgresql/owner"]),
            ("a role of PostgreSQL's own", spec(|s| s.postgresql.owner = "pg_app".into()), &["/postgresql/owner"]),
            ("a network", spec(|s| s.client_cidrs = vec!["10.0.0.0/8".into(), "10.1.2.3/32".into()]), none),
            ("no length", spec(|s| s.client_cidrs = vec!["10.0.0.0".into()]), &["/client_cidrs/0"]),
            ("a length with a sign", spec(|s| s.client_cidrs = vec!["10.0.0.0/+8".into()]), &["/client_cidrs/0"]),
            ("too long", spec(|s| s.client_cidrs = vec!["10.0.0.0/33".into()]), &["/client_cidrs/0"]),
            ("too short", spec(|s| s.client_cidrs = vec!["10.0.0.0/7".into()]), &["/client_cidrs/0"]),
            ("host bits", spec(|s| s.client_cidrs = vec!["10.0.0.1/24".into()]), &["/client_cidrs/0"]),
            ("a network twice", spec(|s| s.client_cidrs = vec!["10.0.0.0/8".into(); 2]), &["/client_cidrs/1"]),
            ("a subnet twice", spec(|s| s.network.subnet_ids = vec!["subnet-1".into(); 2]), &["/network/subnet_ids/1"]),
            ("the image fits", spec(|s| s.image.architecture = Some(Architecture::Arm64)), none),
            ("the image does not", spec(|s| s.image.architecture = Some(Architecture::X86)), &["/image/architecture"]),
            ("time-out is the interval", spec(|s| s.policy.probe_timeout_ms = 1_000), none),
            ("time-out above it", spec(|s| s.policy.probe_timeout_ms = 1_001), &["/policy/probe_timeout_ms"]),
            ("a tag", spec(|s| drop(s.tags.insert("team/a".into(), "x".into()))), none),
            (
                "a tag of ours",
                spec(|s| drop(s.tags.insert("understudy:x".into(), "x".into()))),
                &["/tags/understudy:x"],
            ),
            ("a tag's key", spec(|s| drop(s.tags.insert("a/b#".into(), "x".into()))), &["/tags/a~1b#"]),
            ("a tag's value", spec(|s| drop(s.tags.insert("a".into(), "#".into()))), &["/tags/a"]),
            ("41 tags", spec(|s| s.tags = (0..41).map(|n| (format!("t{n}"), String::new())).collect()), &["/tags"]),
        ];
        for (name, found, expected) in table {
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn what_ebs_would_refuse() {
        let volume = |size_gib, kind, iops, throughput_mibps| {
            let data_volume = DataVolume { size_gib, kind, iops, throughput_mibps };
            spec(|s| s.members.data_volume = data_volume)
        };
        let (iops, throughput) = ("/members/data_volume/iops", "/members/data_volume/throughput_mibps");
        let none: &[&str] = &[];
        let table: [(&str, Vec<String>, &[&str]); 12] = [
            ("gp3 by default", volume(10, VolumeType::Gp3, None, None), none),
            ("gp3 at 500 per GiB", volume(10, VolumeType::Gp3, Some(5_000), None), none),
            ("gp3 above it", volume(10, VolumeType::Gp3, Some(5_001), None), &[iops]),
            ("gp3 below the least", volume(10, VolumeType::Gp3, Some(2_999), None), &[iops]),
            ("gp3 at the most", volume(1_000, VolumeType::Gp3, Some(80_000), Some(2_000)), none),
            ("gp3 above the most", volume(1_000, VolumeType::Gp3, Some(80_001), None), &[iops]),
            ("gp3 a quarter MiB/s per IOPS", volume(100, VolumeType::Gp3, Some(4_000), Some(1_000)), none),
            ("gp3 above that", volume(100, VolumeType::Gp3, Some(4_000), Some(1_001)), &[throughput]),
            ("io2 without IOPS", volume(100, VolumeType::Io2, None, None), &[iops]),
            ("io2 at 1000 per GiB", volume(10, VolumeType::Io2, Some(10_000), None), none),
            ("io2 above it", volume(10, VolumeType::Io2, Some(10_001), None), &[iops]),
            ("io2 with throughput", volume(10, VolumeType::Io2, Some(5_000), Some(500)), &[throughput]),
        ];
        for (name, found, expected) in table {
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn graviton_is_told_from_a_graphics_card() {
        let arm = [
            "m7g.large",
            "c7gn.xlarge",
            "r8gd.2xlarge",
            "t4g.medium",
            "im4gn.large",
            "is4gen.large",
            "g5g.xlarge",
            "a1.large",
        ];
        let x86 =
            ["m7i.large", "r6a.large", "g5.xlarge", "g4dn.xlarge", "x2iedn.xlarge", "u-6tb1.56xlarge", "i4i.large"];
        assert!(arm.iter().all(|name| Architecture::of_instance_type(name) == Architecture::Arm64));
        assert!(x86.iter().all(|name| Architecture::of_instance_type(name) == Architecture::X86));
    }
}
