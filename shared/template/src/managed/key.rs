//! The key of the storage, and with it of backups, Performance Insights and logs.

use super::{exports_logs, identifier};
use crate::{
    Template, Value,
    resource::{Key, PolicyDocument, Statement},
    site::Site,
};

/// A key of KMS.
#[derive(Debug, Clone)]
pub(crate) struct DataKey {
    /// Its ARN.
    pub(crate) arn: Value,
    /// Whether it is the stack's own, whose policy lets CloudWatch Logs use it.
    pub(crate) is_own: bool,
}

/// The key of this part: the spec's, else one of the stack's own, else none, which is AWS's.
///
/// Each Region has its own: what one encrypts, the other does not need to read.
pub(crate) fn add(template: &mut Template, site: &Site<'_>) -> Option<DataKey> {
    if let Some(arn) = site.kms_key() {
        return Some(DataKey { arn: arn.into(), is_own: false });
    }
    if !site.spec.managed().own_key {
        return None;
    }
    let mut statements = vec![owner()];
    if exports_logs(site) {
        statements.push(of_logs(site));
    }
    let key = Key {
        description: format!("Data of PostgreSQL cluster {} and its backups", site.spec.name),
        enable_key_rotation: true,
        key_policy: PolicyDocument::new(statements),
        pending_window_in_days: 30,
        tags: site.tags(),
    };
    let key = template.add("DataKey", key);
    // The last snapshot is worth nothing without it.
    template.retain_except_on_create(&key);
    Some(DataKey { arn: key.arn(), is_own: true })
}

/// The account, by its policies in IAM; RDS works with grants of whoever calls it.
fn owner() -> Statement {
    let root = Value::join(["arn:".into(), Value::partition(), ":iam::".into(), Value::account(), ":root".into()]);
    Statement::allow(&["kms:*"], vec!["*".into()]).named("Account").to("AWS", root)
}

/// CloudWatch Logs, for the groups of this cluster's databases.
///
/// Source: CloudWatch Logs user guide, "Encrypt log data in CloudWatch Logs using AWS KMS".
fn of_logs(site: &Site<'_>) -> Statement {
    let actions = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"];
    let service = format!("logs.{}.amazonaws.com", site.fleet.region);
    let groups = Value::arn("logs", &format!("log-group:/aws/rds/*/{}*/*", identifier(site)));
    Statement::allow(&actions, vec!["*".into()]).named("Logs").to("Service", service.into()).when(
        "ArnLike",
        "kms:EncryptionContext:aws:logs:arn",
        vec![groups],
    )
}
