//! Alarms of Aurora: by role, since instances change theirs.

use super::{Cluster, class, count};
use crate::{
    After, Handle, Part, Template, alarms as common,
    managed::{
        alarms::{self, Limit, Watched},
        logs::{self, dimension},
    },
    resource::StringParameter,
    site::Site,
};

pub(super) fn add(template: &mut Template, of: &Cluster<'_>, card: &Handle<StringParameter>) {
    let site = of.site;
    let cluster = of.cluster.identifier();
    // A secondary cluster has no writer, and one alone has no reader; its alarms wait for the day that it has.
    let (writer, reader) = (Watched::role(&cluster, "WRITER"), Watched::role(&cluster, "READER"));
    let mut watched = vec![&writer];
    if count(site) > 1 || site.part == Part::Dr {
        watched.push(&reader);
        alarms::add(template, site, &reader, lag(site));
    }
    for role in watched {
        alarms::load(template, site, role);
        if class(site).is_none() {
            capacity(template, site, role);
        }
    }
    alarms::transaction_ids(template, site, &writer);
    logs::alarms(template, site, &[After::from(card)]);
    match site.part {
        Part::Primary => common::writer_silent(template, site, card),
        Part::Dr => {
            let from = site.spec.dr.as_ref().map_or("", |dr| &dr.primary_region);
            let region = Watched {
                id: "Region".into(),
                name: "region".into(),
                // Of the metrics of global databases, these two together.
                dimensions: vec![dimension("DBClusterIdentifier", cluster), dimension("SourceRegion", from)],
            };
            alarms::add(template, site, &region, region_lag(site));
        }
    }
}

/// A reader that shows old data.
fn lag(site: &Site<'_>) -> Limit {
    let most = site.spec.managed().alarms.replica_lag_ms;
    Limit {
        id: "Lag",
        ending: "lag",
        metric: "AuroraReplicaLag",
        says: format!("it shows data that is older than {most} ms"),
        statistic: "Maximum",
        is_most: true,
        threshold: most.into(),
        minutes: 5,
    }
}

/// What the loss of the first Region would cost.
fn region_lag(site: &Site<'_>) -> Limit {
    let most = site.spec.managed().alarms.region_lag_ms;
    Limit {
        id: "Lag",
        ending: "lag",
        metric: "AuroraGlobalDBReplicationLag",
        says: format!("this Region is more than {most} ms behind the first"),
        statistic: "Average",
        is_most: true,
        threshold: most.into(),
        minutes: 5,
    }
}

/// Serverless v2 near its most, in percent and in units.
fn capacity(template: &mut Template, site: &Site<'_>, of: &Watched) {
    let percent = site.spec.managed().alarms.capacity_percent;
    let most = site.spec.aurora().capacity.unwrap_or_default().max_half_acu;
    // Whole units, so that the number is exact.
    let units = u64::from(most) * u64::from(percent) / 200;
    let limit = |id, ending, metric, says, threshold: u64, minutes| Limit {
        id,
        ending,
        metric,
        says,
        statistic: "Average",
        is_most: true,
        threshold: threshold.into(),
        minutes,
    };
    let near = format!("more than {percent} % of the largest capacity is in use. Raise aurora.capacity.max_half_acu");
    let stays = format!(
        "more than {units} ACU are in use. If that is the usual load, instances of a class cost less: \
         aurora-provisioned"
    );
    alarms::add(template, site, of, limit("Capacity", "capacity", "ACUUtilization", near, u64::from(percent), 5));
    let stays = limit("CapacityStays", "capacity-stays", "ServerlessDatabaseCapacity", stays, units, 60);
    alarms::add(template, site, of, stays);
}
