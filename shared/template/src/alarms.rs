//! Alarms that come and go with the cluster. All page.

use crate::{
    Handle, Template,
    hosts::{Host, HostRole},
    resource::{Alarm, Dimension, StringParameter},
    roles,
    site::Site,
};
use std::borrow::Cow;

/// Nobody has a good answer to a disk, a processor or a memory that is fuller, in percent.
const FULL: u32 = 80;

/// What an alarm adds to what all alarms have in common.
pub(crate) struct Rule {
    /// Ends the alarm's name. What `domain::events` reads wakes promote-replica; no other ending does.
    pub(crate) ending: String,
    pub(crate) description: String,
    pub(crate) namespace: Cow<'static, str>,
    pub(crate) metric: &'static str,
    pub(crate) dimensions: Vec<Dimension>,
    pub(crate) statistic: &'static str,
    /// Seconds of a period.
    pub(crate) period: u32,
    /// Periods in a row.
    pub(crate) periods: u32,
    pub(crate) comparison: &'static str,
    pub(crate) threshold: serde_json::Number,
    pub(crate) missing: &'static str,
}

/// Adds an alarm that pages.
pub(crate) fn add(template: &mut Template, site: &Site<'_>, id: &str, rule: Rule) -> Handle<Alarm> {
    let alarm = Alarm {
        alarm_name: format!("{}-{}", site.stack(), rule.ending),
        alarm_description: rule.description,
        namespace: rule.namespace,
        metric_name: rule.metric,
        dimensions: rule.dimensions,
        statistic: rule.statistic,
        period: rule.period,
        evaluation_periods: rule.periods,
        comparison_operator: rule.comparison,
        threshold: rule.threshold,
        treat_missing_data: rule.missing,
        alarm_actions: site.pages(),
        ok_actions: site.pages(),
        tags: site.tags(),
    };
    template.add(id, alarm)
}

/// No value at all is as bad as a writer that is down: then nobody watches.
pub(crate) fn writer_silent(template: &mut Template, site: &Site<'_>, card: &Handle<StringParameter>) {
    let rule = Rule {
        ending: "writer-silent".into(),
        description: format!(
            "No writer of {} answered for a minute, or nobody looked. Understudy acts within seconds; \
             if no page of its own says so, see its functions' logs",
            site.spec.name
        ),
        namespace: "Understudy".into(),
        metric: "WriterUp",
        dimensions: of_cluster(site),
        // Up once within the minute is not silent.
        statistic: "Maximum",
        period: 60,
        periods: 1,
        comparison: "LessThanThreshold",
        threshold: 1.into(),
        missing: "breaching",
    };
    let silent = add(template, site, "WriterSilentAlarm", rule);
    // Nobody watches the cluster before its card is there.
    template.create_after(&silent, card);
}

/// The dimensions of a cluster's own metrics.
pub(crate) fn of_cluster(site: &Site<'_>) -> Vec<Dimension> {
    let dimension = |name, value: &str| Dimension { name, value: value.into() };
    vec![dimension("Fleet", &site.fleet.name), dimension("Cluster", &site.spec.name)]
}

/// What EC2 says of a host, and what it says of itself.
pub(crate) fn of_host(template: &mut Template, site: &Site<'_>, host: &Host) {
    let prefix = host.place.id.strip_suffix("Instance").unwrap_or(&host.place.id).to_owned();
    add(template, site, &format!("{prefix}StatusAlarm"), status_check(host));
    let full = [
        ("Disk", "disk_used_percent", "Maximum", "the fullest of its volumes is"),
        ("Cpu", "cpu_usage_active", "Average", "its processors are in use"),
        ("Memory", "mem_used_percent", "Average", "its memory is in use"),
    ];
    for (what, metric, statistic, sentence) in full {
        let name = &host.place.name;
        let mut dimensions = of_cluster(site);
        dimensions.push(Dimension { name: "Member", value: name.into() });
        let rule = Rule {
            ending: format!("{name}-{}-used", what.to_lowercase()),
            description: format!("{name}: {sentence}, more than {FULL} % for 5 minutes"),
            namespace: roles::METRICS.into(),
            metric,
            dimensions,
            statistic,
            period: 60,
            periods: 5,
            comparison: "GreaterThanThreshold",
            threshold: FULL.into(),
            // A host that says nothing has an alarm for that.
            missing: "missing",
        };
        add(template, site, &format!("{prefix}{what}Alarm"), rule);
    }
}

fn status_check(host: &Host) -> Rule {
    let name = &host.place.name;
    // Only a member's wakes promote-replica.
    let ending = if host.place.role == HostRole::Member { "status-check" } else { "host-check" };
    Rule {
        ending: format!("{name}-{ending}"),
        description: format!("EC2 says that the host of {name} or its operating system is impaired"),
        namespace: "AWS/EC2".into(),
        metric: "StatusCheckFailed",
        dimensions: vec![Dimension { name: "InstanceId", value: host.instance.id() }],
        statistic: "Maximum",
        period: 60,
        periods: 2,
        comparison: "GreaterThanOrEqualToThreshold",
        threshold: 1.into(),
        // A stopped instance has no checks, and is no page by itself.
        missing: "missing",
    }
}
