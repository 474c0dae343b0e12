//! Copies of the repository in the second Region: S3 makes them, object by object, within minutes.
//!
//! Not a second repository that the members write to: pgBackRest holds back WAL that it cannot push to all of its
//! repositories, so that the loss of the second Region would fill the disks of the first.

use super::FOLDER;
use crate::{
    Handle, Part, Template, Value,
    resource::{
        AttachedPolicy, Bucket, PolicyDocument, ReplicaKey, Replication, ReplicationDestination, ReplicationFilter,
        ReplicationRule, Role, Statement, Versioning,
    },
    site::Site,
};

/// The role with which S3 copies.
pub(super) struct Copies<'a> {
    role: Handle<Role>,
    to: &'a str,
}

/// Adds the role; `None` when there is no second Region, or its bucket is not known yet.
pub(super) fn role<'a>(template: &mut Template, site: &Site<'a>) -> Option<Copies<'a>> {
    let to = site.spec.dr.as_ref().filter(|_| site.part == Part::Primary)?.backup_bucket.as_deref()?;
    let role = Role {
        description: format!("How S3 copies the backups of cluster {} to the second Region", site.spec.name),
        assume_role_policy_document: PolicyDocument::new(vec![Statement::trust("s3.amazonaws.com").when(
            "StringEquals",
            "aws:SourceAccount",
            vec![Value::account()],
        )]),
        policies: Vec::new(),
        tags: site.tags(),
    };
    Some(Copies { role: template.add("ReplicationRole", role), to })
}

impl Copies<'_> {
    /// The other bucket, and what is in a folder of it.
    fn bucket_arn(&self, within: &str) -> Value {
        Value::join(["arn:".into(), Value::partition(), format!(":s3:::{}{within}", self.to).into()])
    }

    /// What the bucket is told: everything of the repository, and that it was deleted, since a repository that kept
    /// what pgBackRest expired would grow for ever.
    pub(super) fn configuration(&self, site: &Site<'_>) -> Replication {
        let key = site.kms_key_in_dr();
        let encrypted = serde_json::json!({ "SseKmsEncryptedObjects": { "Status": "Enabled" } });
        Replication {
            role: self.role.arn(),
            rules: vec![ReplicationRule {
                id: "repository",
                status: "Enabled",
                priority: 1,
                filter: ReplicationFilter { prefix: format!("{FOLDER}/") },
                delete_marker_replication: Versioning { status: "Enabled" },
                source_selection_criteria: key.is_some().then_some(encrypted),
                destination: ReplicationDestination {
                    bucket: self.bucket_arn(""),
                    encryption_configuration: key.map(|id| ReplicaKey { id }),
                },
            }],
        }
    }

    /// What the role may do: in a policy of its own, as the bucket names the role and this names the bucket.
    ///
    /// Source: S3 user guide, "Setting up permissions for live replication".
    pub(super) fn allow(&self, template: &mut Template, site: &Site<'_>, bucket: &Handle<Bucket>) {
        let copies = self.bucket_arn(&format!("/{FOLDER}/*"));
        let mut statements = vec![
            Statement::allow(&["s3:GetReplicationConfiguration", "s3:ListBucket"], vec![bucket.arn()]),
            Statement::allow(
                &["s3:GetObjectVersionAcl", "s3:GetObjectVersionForReplication", "s3:GetObjectVersionTagging"],
                vec![bucket.objects()],
            ),
            Statement::allow(&["s3:ReplicateDelete", "s3:ReplicateObject", "s3:ReplicateTags"], vec![copies]),
        ];
        if let (Some(here), Some(there)) = (site.kms_key(), site.kms_key_in_dr()) {
            statements.push(Statement::allow(&["kms:Decrypt"], vec![here.into()]));
            statements.push(Statement::allow(&["kms:Encrypt"], vec![there.into()]));
        }
        let policy = AttachedPolicy {
            policy_name: "replication".into(),
            policy_document: PolicyDocument::new(statements),
            roles: vec![self.role.name()],
        };
        template.add("ReplicationPolicy", policy);
    }
}
