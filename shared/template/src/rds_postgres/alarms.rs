//! Alarms of RDS, on two levels where somebody can still do something on the first.

use super::{Databases, Ground, cluster, instances, pooler::Pooler};
use crate::{
    After, Handle, Part, Template, alarms as common,
    managed::{
        alarms::{self, Limit, Watched, bytes, seconds},
        logs,
    },
    resource::StringParameter,
    site::Site,
};

/// Minutes that a replica is late before a person hears of it. Where nothing is written, the lag of RDS grows until the
/// next segment of log is sent, every five minutes, and is nothing then: so no longer than that is no lag.
const LATE_MINUTES: u32 = 6;

pub(super) fn add(
    template: &mut Template,
    ground: &Ground<'_>,
    databases: &Databases,
    pooler: Option<&Pooler>,
    card: &Handle<StringParameter>,
) {
    let site = ground.site;
    if databases.cluster.is_some() {
        for (number, member) in (1..).zip(cluster::members(site)) {
            let of = Watched::instance(&format!("Member{number}"), &format!("member-{number}"), member.into());
            of_instance(template, site, &of, true);
        }
    }
    for (place, instance) in &databases.instances {
        let of = Watched::instance(&format!("Instance{place}"), &format!("instance-{place}"), instance.identifier());
        // The first is no replica before somebody promotes another; its alarm waits for that day.
        of_instance(template, site, &of, *place > 1 || instances::id(site, 1) != instances::first_id(site, 1));
        if databases.cluster.is_none() && *place == site.today.writer {
            alarms::transaction_ids(template, site, &Watched { id: "Writer".into(), name: "writer".into(), ..of });
        }
    }
    alarms::lag_bytes(template, site, &[After::from(card)]);
    logs::alarms(template, site, &[After::from(card)]);
    if site.part == Part::Primary {
        common::writer_silent(template, site, card);
    }
    if let Some(pooler) = pooler {
        pooler.alarms(template, site);
    }
}

fn of_instance(template: &mut Template, site: &Site<'_>, of: &Watched, may_be_late: bool) {
    alarms::load(template, site, of);
    for limit in storage(site) {
        alarms::add(template, site, of, limit);
    }
    if may_be_late || site.part == Part::Dr {
        alarms::add(template, site, of, lag(site));
    }
}

/// Free storage in percent of what the spec allocates; storage that has grown by itself warns later.
fn storage(site: &Site<'_>) -> [Limit; 2] {
    let alarms = site.spec.managed().alarms;
    let size_mib = site.spec.rds().storage.size_gib.saturating_mul(1_024);
    let limit = |id, ending, percent: u32, urgent: &str| Limit {
        id,
        ending,
        metric: "FreeStorageSpace",
        says: format!("less than {percent} % of its storage is free{urgent}"),
        statistic: "Minimum",
        is_most: false,
        threshold: bytes(size_mib / 100 * percent),
        minutes: 5,
    };
    [
        limit("Storage", "storage", alarms.free_storage_percent, ""),
        limit("StorageUrgent", "storage-urgent", alarms.free_storage_urgent_percent, ". Urgent"),
    ]
}

/// A replica that is late, here or in the second Region.
fn lag(site: &Site<'_>) -> Limit {
    let alarms = site.spec.managed().alarms;
    let most = match site.part {
        Part::Primary => alarms.replica_lag_ms,
        Part::Dr => alarms.region_lag_ms,
    };
    Limit {
        id: "Lag",
        ending: "lag",
        metric: "ReplicaLag",
        says: format!("it shows data that is older than {most} ms"),
        statistic: "Minimum",
        is_most: true,
        threshold: seconds(most),
        minutes: LATE_MINUTES,
    }
}
