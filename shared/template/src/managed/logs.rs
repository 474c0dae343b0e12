//! The log groups of exported logs, and what is counted in them.

use super::{LOG, exports_logs, key::DataKey};
use crate::{
    After, Handle, Template, Value,
    alarms::{self, Rule},
    logs,
    resource::{LogGroup, MetricFilter, MetricTransformation},
    site::Site,
};

/// What is counted in a log: the metric, what lines hold, above how many in five minutes a person is told, and why.
///
/// Words of PostgreSQL's own messages; PAM is how RDS asks IAM.
const COUNTED: [(&str, &str, u32, &str); 2] = [
    (
        "FailedLogins",
        r#"?"password authentication failed" ?"PAM authentication failed""#,
        20,
        "more than 20 logins failed within 5 minutes. Somebody tries passwords, or a client has an old one",
    ),
    (
        "SevereErrors",
        r#"?"PANIC:" ?"invalid page in block" ?"could not read block""#,
        0,
        "PostgreSQL met an error of its data or of itself. See its log",
    ),
];

/// Whose log: of a DB cluster or of an instance, by its identifier.
pub(crate) enum Of<'a> {
    /// All instances of an Aurora or Multi-AZ DB cluster.
    Cluster(&'a str),
    /// One instance by itself.
    Instance(&'a str),
}

impl Of<'_> {
    /// Name of the group, which RDS chooses.
    pub(crate) fn group(&self) -> String {
        match self {
            Of::Cluster(identifier) => format!("/aws/rds/cluster/{identifier}/{LOG}"),
            Of::Instance(identifier) => format!("/aws/rds/instance/{identifier}/{LOG}"),
        }
    }
}

/// A group that is there before RDS makes it without an end; none where no logs are exported.
///
/// `prefix` begins its logical ids: letters and digits, different for each group of a template.
pub(crate) fn add(
    template: &mut Template,
    site: &Site<'_>,
    key: Option<&DataKey>,
    prefix: &str,
    of: &Of<'_>,
) -> Option<Handle<LogGroup>> {
    if !exports_logs(site) {
        return None;
    }
    let group = LogGroup {
        log_group_name: of.group(),
        retention_in_days: logs::retention(site.spec.log_days),
        kms_key_id: key.filter(|key| key.is_own).map(|key| key.arn.clone()),
        tags: site.tags(),
    };
    let group = template.add(format!("{prefix}Logs"), group);
    for (metric, pattern, _, _) in COUNTED {
        let transformation = MetricTransformation {
            metric_name: metric,
            metric_namespace: namespace(site),
            metric_value: "1",
            default_value: 0,
        };
        let filter = MetricFilter {
            log_group_name: group.name(),
            filter_pattern: pattern,
            metric_transformations: vec![transformation],
        };
        template.add(format!("{prefix}{metric}"), filter);
    }
    Some(group)
}

/// A namespace of the cluster's own: a filter cannot give its metric a dimension of that meaning.
fn namespace(site: &Site<'_>) -> String {
    format!("Understudy/Logs/{}/{}", site.fleet.name, site.spec.name)
}

/// One alarm for each thing counted, whatever the number of groups.
pub(crate) fn alarms(template: &mut Template, site: &Site<'_>, after: &[After]) {
    if !exports_logs(site) {
        return;
    }
    for (metric, _, above, why) in COUNTED {
        let rule = Rule {
            ending: if metric == "FailedLogins" { "failed-logins".into() } else { "severe-errors".into() },
            description: format!("{}: {why}", site.spec.name),
            namespace: namespace(site).into(),
            metric,
            dimensions: Vec::new(),
            statistic: "Sum",
            period: 300,
            periods: 1,
            comparison: "GreaterThanThreshold",
            threshold: above.into(),
            missing: "notBreaching",
        };
        let alarm = alarms::add(template, site, &format!("{metric}Alarm"), rule);
        template.create_after_all(&alarm, after);
    }
}

/// What RDS is told to export.
pub(crate) fn exported(site: &Site<'_>) -> Vec<&'static str> {
    if exports_logs(site) { vec![LOG] } else { Vec::new() }
}

/// A metric's dimension.
pub(crate) fn dimension(name: &'static str, value: impl Into<Value>) -> crate::resource::Dimension {
    crate::resource::Dimension { name, value: value.into() }
}
