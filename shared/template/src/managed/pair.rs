//! One name for two Regions: failover records that are made in advance and moved by a metric, so that a takeover needs
//! no control plane of Route 53.

use crate::{
    Template,
    alarms::{self, Rule},
    card::{Stands, stand_in},
    resource::{AlarmIdentifier, HealthCheck, HealthCheckConfig, RecordSet},
    site::Site,
};
use domain::card::PairCard;

/// The metric: 1 while the first Region serves, 0 from the takeover on.
pub(crate) const METRIC: &str = "PrimaryServes";

/// The pair, in the second Region's part; none where there is no second Region. What only CloudFormation knows of it is
/// added to the stand-ins.
///
/// The health check looks at the metric, not at the alarm's state: while nobody says anything, the last word holds.
///
/// Source: Route 53 developer guide, "How Route 53 determines the status of health checks that monitor CloudWatch
/// alarms": metrics of standard resolution only.
pub(crate) fn add(template: &mut Template, site: &Site<'_>, stands: &mut Stands) -> Option<PairCard> {
    site.spec.dr.as_ref()?;
    let ending = "primary-serves";
    let rule = Rule {
        ending: ending.into(),
        description: format!(
            "The first Region does not serve {} any more: its name now leads to this Region, and stays here until a \
             failback is asked for",
            site.spec.name
        ),
        namespace: "Understudy".into(),
        metric: METRIC,
        dimensions: alarms::of_cluster(site),
        statistic: "Minimum",
        period: 60,
        periods: 1,
        comparison: "LessThanThreshold",
        threshold: 1.into(),
        missing: "ignore",
    };
    let alarm = alarms::add(template, site, "PrimaryServesAlarm", rule);
    let check = HealthCheck {
        health_check_config: HealthCheckConfig {
            r#type: "CLOUDWATCH_METRIC",
            alarm_identifier: AlarmIdentifier { name: alarm.name(), region: site.fleet.region.clone() },
            insufficient_data_health_status: "LastKnownStatus",
        },
        health_check_tags: site.named(&format!("{} serves", site.stack())),
    };
    let check = template.add("PrimaryServes", check);
    let (cluster, zone) = (&site.spec.name, site.spec.records.zone.as_ref().unwrap_or(&site.fleet.zone));
    let name = format!("{cluster}.{}", zone.name);
    let record = |set_identifier, failover, health_check_id, to: String| RecordSet {
        hosted_zone_id: zone.id.clone(),
        name: name.clone(),
        r#type: "CNAME",
        ttl: site.spec.records.ttl_s.to_string(),
        set_identifier,
        failover,
        health_check_id,
        resource_records: vec![to],
    };
    let primary = record("primary", "PRIMARY", Some(check.id()), format!("{cluster}-rw.{}", zone.name));
    let secondary = record("secondary", "SECONDARY", None, format!("{cluster}-dr-rw.{}", zone.name));
    template.add("PairPrimary", primary);
    template.add("PairSecondary", secondary);
    template.output("PairRecord", "Name of the writer in whichever Region serves", name.as_str().into());
    Some(PairCard {
        name,
        alarm: format!("{}-{ending}", site.stack()),
        namespace: "Understudy".into(),
        metric: METRIC.into(),
        health_check: stand_in(stands, "health check", check.id()),
    })
}
