mod managed;

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
        ("a tag of ours", spec(|s| drop(s.tags.insert("understudy:x".into(), "x".into()))), &["/tags/understudy:x"]),
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
    let x86 = ["m7i.large", "r6a.large", "g5.xlarge", "g4dn.xlarge", "x2iedn.xlarge", "u-6tb1.56xlarge", "i4i.large"];
    assert!(arm.iter().all(|name| Architecture::of_instance_type(name) == Architecture::Arm64));
    assert!(x86.iter().all(|name| Architecture::of_instance_type(name) == Architecture::X86));
}
