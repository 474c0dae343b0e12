//! The members, the other hosts, and how many standbys a commit waits for.

use crate::{
    card::Topology,
    spec::{Architecture, DataVolume, Finding, Instance, Spec},
};
use std::collections::BTreeSet;

/// How many members there are, who of them may write, and what a commit waits for.
pub(super) fn members(spec: &Spec) -> Vec<Finding> {
    let mut found = Vec::new();
    let count = spec.members.count;
    if spec.topology == Topology::Ec2Streaming && count < 2 {
        found.push(Finding::new(
            &["/members/count", "/topology"],
            count.to_string(),
            "2 to 5 for ec2-streaming, which is a writer and its standbys",
        ));
    }
    let required = spec.synchronous.required;
    if required >= count {
        let allowed = match count.saturating_sub(1) {
            0 => "0: one member alone has no standby".to_owned(),
            standbys => format!("0 to {standbys}, the number of standbys that {count} members have"),
        };
        found.push(Finding::new(&["/synchronous/required", "/members/count"], required.to_string(), allowed));
    }
    found.extend(never_promoted(spec));
    found
}

fn never_promoted(spec: &Spec) -> Vec<Finding> {
    let mut found = Vec::new();
    let count = spec.members.count;
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
        let most = count.saturating_sub(2);
        found.push(Finding::new(
            &["/members/never_promote", "/members/count"],
            format!("{} of {count} members", seen.len()),
            format!("at most {most}: of a writer and its successor, both must be promotable"),
        ));
    }
    found
}

/// Every host has the same machine image, so every host needs the same processors.
pub(super) fn hosts(spec: &Spec) -> Vec<Finding> {
    let needed = spec.architecture();
    let members = "/members/instance_type";
    let mut found = Vec::new();
    if let Some(given) = spec.image.architecture.filter(|&given| given != needed) {
        let allowed = format!("{needed}, which instance type {} needs", spec.members.instance_type);
        found.push(Finding::new(&["/image/architecture", members], given.to_string(), allowed));
    }
    let others = [
        ("/etcd/instance_type", spec.etcd.as_ref().and_then(|etcd| etcd.instance_type.as_ref())),
        ("/access/bastion/instance_type", spec.access.bastion.as_ref().and_then(|host| host.instance_type.as_ref())),
        ("/monitoring/instance_type", spec.monitoring.as_ref().and_then(|host| host.instance_type.as_ref())),
        ("/dr/instance_type", spec.dr.as_ref().and_then(|dr| dr.instance_type.as_ref())),
    ];
    for (path, given) in others {
        let Some(given) = given.filter(|given| Architecture::of_instance_type(given) != needed) else { continue };
        let members_type = &spec.members.instance_type;
        let allowed = format!("an instance type for {needed} like the members' {members_type}: all share one image");
        found.push(Finding::new(&[path, members], format!("\"{given}\""), allowed));
    }
    found
}

/// What EBS takes.
pub(super) fn volumes(spec: &Spec) -> Vec<Finding> {
    let mut found = spec.members.data_volume.check("/members/data_volume");
    let others = [
        ("/members/wal_volume", spec.members.wal_volume.as_ref()),
        ("/members/backup_volume", spec.members.backup_volume.as_ref()),
        ("/dr/data_volume", spec.dr.as_ref().and_then(|dr| dr.data_volume.as_ref())),
    ];
    found.extend(others.into_iter().filter_map(|(path, volume)| Some(volume?.check(path))).flatten());
    found.extend(dr_holds_all(spec));
    found
}

fn dr_holds_all(spec: &Spec) -> Option<Finding> {
    let members = &spec.members.data_volume;
    let given: &DataVolume = spec.dr.as_ref()?.data_volume.as_ref()?;
    (given.size_gib < members.size_gib).then(|| {
        Finding::new(
            &["/dr/data_volume/size_gib", "/members/data_volume/size_gib"],
            given.size_gib.to_string(),
            format!("at least {} GiB, as the members have: the standby holds the same data", members.size_gib),
        )
    })
}

/// What a connection takes, in MiB: its process and a little work.
///
/// Source: measured by many as 2 to 10 MiB without large sorts; 5 is the middle.
const CONNECTION_MIB: u32 = 5;

/// What the operating system and the agents beside PostgreSQL take, in MiB.
const SYSTEM_MIB: u32 = 128;

/// Whether the connections fit beside the shared buffers, a quarter of the memory.
pub(super) fn memory(spec: &Spec) -> Vec<Finding> {
    let Some(instance) = Instance::of(&spec.members.instance_type) else { return Vec::new() };
    let left = (instance.memory_mib - instance.memory_mib / 4).saturating_sub(SYSTEM_MIB);
    let most = (left / CONNECTION_MIB).max(20);
    if spec.postgresql.max_connections <= most {
        return Vec::new();
    }
    vec![Finding::new(
        &["/postgresql/max_connections", "/members/instance_type"],
        spec.postgresql.max_connections.to_string(),
        format!(
            "20 to {most} for {} with {} MiB: a quarter is for shared_buffers, and a connection takes some \
             {CONNECTION_MIB} MiB; more clients go through PgBouncer",
            spec.members.instance_type, instance.memory_mib
        ),
    )]
}
