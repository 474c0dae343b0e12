//! Alarms that only this topology has.

use super::balancer::Balancer;
use crate::{
    Template,
    alarms::{self, Rule},
    backups,
    resource::Dimension,
    site::Site,
};

/// Clients that come by the load balancer find no writer.
pub(super) fn no_healthy_writer(template: &mut Template, site: &Site<'_>, balancer: &Balancer) {
    let rule = Rule {
        ending: "balancer-writer".into(),
        description: format!(
            "For two minutes the load balancer of {} has seen no member that Patroni calls the primary. On a member: \
             patronictl list",
            site.spec.name
        ),
        namespace: "AWS/NetworkELB".into(),
        metric: "HealthyHostCount",
        dimensions: vec![
            Dimension { name: "LoadBalancer", value: balancer.balancer.full_name() },
            Dimension { name: "TargetGroup", value: balancer.writer.full_name() },
        ],
        // Of what its parts in several zones say: one that sees it is enough.
        statistic: "Maximum",
        period: 60,
        periods: 2,
        comparison: "LessThanThreshold",
        threshold: 1.into(),
        // A new load balancer has said nothing yet.
        missing: "missing",
    };
    alarms::add(template, site, "BalancerWriterAlarm", rule);
}

/// Seconds that the standby in the second Region may be behind: what the reference promises to lose at most.
const DR_LAG_S: u32 = 300;

/// The standby in the second Region is behind, or says nothing.
pub(super) fn dr_lag(template: &mut Template, site: &Site<'_>) {
    let rule = Rule {
        description: format!(
            "The standby of {} in this Region is more than {DR_LAG_S} s behind, or does not say how much. On it: \
             journalctl -u understudy-dr",
            site.spec.name
        ),
        periods: 5,
        threshold: DR_LAG_S.into(),
        missing: "breaching",
        ..backups::of_cluster(site, "dr-lag", "DrLagSeconds")
    };
    alarms::add(template, site, "DrLagAlarm", rule);
}
