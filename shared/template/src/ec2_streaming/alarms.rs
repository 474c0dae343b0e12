//! Alarms that come and go with the cluster.

use super::{Site, members::Member};
use crate::{
    Handle, Template, Value,
    resource::{Alarm, Dimension, StringParameter},
};

pub(super) fn add(template: &mut Template, site: &Site<'_>, members: &[Member], card: &Handle<StringParameter>) {
    let silent = template.add("WriterSilentAlarm", writer_silent(site));
    // Nobody watches the cluster before its card is there.
    template.create_after(&silent, card);
    for (number, member) in (1..).zip(members) {
        template.add(format!("Member{number}StatusAlarm"), status_check(site, member));
    }
}

/// No value at all is as bad as a writer that is down: then nobody watches.
fn writer_silent(site: &Site<'_>) -> Alarm {
    let cluster = &site.spec.name;
    let dimension = |name, value: &str| Dimension { name, value: value.into() };
    Alarm {
        alarm_name: format!("{}-writer-silent", site.stack()),
        alarm_description: format!(
            "No writer of {cluster} answered for a minute, or nobody looked. Understudy acts within seconds; \
             if no page of its own says so, see its functions' logs"
        ),
        namespace: "Understudy",
        metric_name: "WriterUp",
        dimensions: vec![dimension("Fleet", &site.fleet.name), dimension("Cluster", cluster)],
        // Up once within the minute is not silent.
        statistic: "Maximum",
        period: 60,
        evaluation_periods: 1,
        comparison_operator: "LessThanThreshold",
        threshold: 1,
        treat_missing_data: "breaching",
        alarm_actions: pages(site),
        ok_actions: pages(site),
        tags: site.tags(),
    }
}

fn status_check(site: &Site<'_>, member: &Member) -> Alarm {
    let name = &member.name;
    Alarm {
        alarm_name: format!("{}-{name}-status-check", site.stack()),
        alarm_description: format!("EC2 says that the host of {name} or its operating system is impaired"),
        namespace: "AWS/EC2",
        metric_name: "StatusCheckFailed",
        dimensions: vec![Dimension { name: "InstanceId", value: member.instance.id() }],
        statistic: "Maximum",
        period: 60,
        evaluation_periods: 2,
        comparison_operator: "GreaterThanOrEqualToThreshold",
        threshold: 1,
        // A stopped instance has no checks, and is no page by itself.
        treat_missing_data: "missing",
        alarm_actions: pages(site),
        ok_actions: pages(site),
        tags: site.tags(),
    }
}

/// Who is told when an alarm rings, and when it is over.
fn pages(site: &Site<'_>) -> Vec<Value> {
    vec![site.fleet.pages_topic_arn.as_str().into()]
}
