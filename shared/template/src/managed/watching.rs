//! What the databases say of themselves: Enhanced Monitoring and Performance Insights.

use super::key::DataKey;
use crate::{
    Handle, Template, Value,
    resource::{DbCluster, DbInstance, Policy, PolicyDocument, Role, Statement},
    site::Site,
};

/// How the databases are watched.
pub(crate) struct Watching {
    role: Option<Handle<Role>>,
    interval: u32,
    insights_days: u32,
    key: Option<Value>,
}

/// The role that sends what Enhanced Monitoring samples, if anything does.
pub(crate) fn add(template: &mut Template, site: &Site<'_>, key: Option<&DataKey>) -> Watching {
    let managed = site.spec.managed();
    let interval = managed.enhanced_monitoring_s;
    let role = (interval > 0).then(|| template.add("MonitoringRole", monitoring_role(site)));
    let key = key.map(|key| key.arn.clone());
    Watching { role, interval, insights_days: managed.performance_insights_days, key }
}

/// What AmazonRDSEnhancedMonitoringRole allows, without the rest of the account's log groups.
///
/// Source: Amazon RDS User Guide, "Setting up and enabling Enhanced Monitoring": RDSOSMetrics is the group's only name.
fn monitoring_role(site: &Site<'_>) -> Role {
    let group = || Value::arn("logs", "log-group:RDSOSMetrics");
    let streams = || Value::arn("logs", "log-group:RDSOSMetrics:log-stream:*");
    let statements = vec![
        Statement::allow(&["logs:CreateLogGroup", "logs:PutRetentionPolicy"], vec![group()]),
        Statement::allow(
            &["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:GetLogEvents", "logs:PutLogEvents"],
            vec![group(), streams()],
        ),
    ];
    let policy = Policy { policy_name: "enhanced-monitoring".into(), policy_document: PolicyDocument::new(statements) };
    let trust = Statement::trust("monitoring.rds.amazonaws.com").when(
        "StringEquals",
        "aws:SourceAccount",
        vec![Value::account()],
    );
    Role {
        description: format!("Enhanced Monitoring of PostgreSQL cluster {}", site.spec.name),
        assume_role_policy_document: PolicyDocument::new(vec![trust]),
        policies: vec![policy],
        tags: site.tags(),
    }
}

impl Watching {
    fn insights(&self) -> (bool, Option<Value>, Option<u32>) {
        let on = self.insights_days > 0;
        (on, self.key.clone().filter(|_| on), on.then_some(self.insights_days))
    }

    /// Watches an instance: of Aurora, or one by itself.
    pub(crate) fn of_instance(&self, instance: &mut DbInstance) {
        let (on, key, days) = self.insights();
        instance.monitoring_interval = self.interval;
        instance.monitoring_role_arn = self.role.as_ref().map(Handle::<Role>::arn);
        instance.enable_performance_insights = on;
        instance.performance_insights_key = key;
        instance.performance_insights_retention_period = days;
    }

    /// Watches the instances of a Multi-AZ DB cluster, which are AWS's own.
    pub(crate) fn of_cluster(&self, cluster: &mut DbCluster) {
        let (on, key, days) = self.insights();
        cluster.monitoring_interval = Some(self.interval);
        cluster.monitoring_role_arn = self.role.as_ref().map(Handle::<Role>::arn);
        cluster.performance_insights_enabled = Some(on);
        cluster.performance_insights_kms_key_id = key;
        cluster.performance_insights_retention_period = days;
    }
}
