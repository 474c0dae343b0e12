//! Where pgBackRest keeps backups and the archive: a bucket of the cluster's own, in each Region that it is in.

mod copies;
mod schedule;

use crate::{
    After, Handle, Part, Template, Value,
    alarms::{self, Rule},
    resource::{
        AbortUpload, Bucket, BucketEncryption, BucketPolicy, EncryptionByDefault, EncryptionRule, Lifecycle,
        LifecycleRule, NoncurrentExpiration, Ownership, OwnershipControls, PolicyDocument, PublicAccessBlock,
        Statement, StorageClass, Transition, Versioning,
    },
    roles,
    settings::Lines,
    site::Site,
};
use domain::spec::Backups;

/// The folder of the repository.
const FOLDER: &str = "pgbackrest";

/// The folder of what the second Region's standby backs up once it is the writer: never where the copies of the
/// first Region's repository arrive, since two histories would mix.
const FOLDER_OF_DR: &str = "pgbackrest-dr";

/// Days after which parts of an upload that nobody finished are removed: no upload of pgBackRest takes as long.
const UPLOAD_DAYS: u32 = 7;

/// What reads or changes objects.
///
/// Not here: what only lists them, and what changes the bucket itself or its policy. So an administrator of the
/// account, who may change the policy, is never locked out.
const DATA: [&str; 8] = [
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:PutObject",
    "s3:ReplicateDelete",
    "s3:ReplicateObject",
];

/// The bucket of one part of a cluster.
pub(crate) struct Repository<'a> {
    wanted: &'a Backups,
    bucket: Handle<Bucket>,
}

/// Adds the bucket; `None` when the spec wants no backups.
pub(crate) fn add<'a>(template: &mut Template, site: &Site<'a>) -> Option<Repository<'a>> {
    let wanted = site.spec.backups.as_ref()?;
    let copies = copies::role(template, site);
    let bucket = Bucket {
        bucket_encryption: encryption(site),
        versioning_configuration: Versioning { status: "Enabled" },
        public_access_block_configuration: PublicAccessBlock {
            block_public_acls: true,
            block_public_policy: true,
            ignore_public_acls: true,
            restrict_public_buckets: true,
        },
        ownership_controls: OwnershipControls { rules: vec![Ownership { object_ownership: "BucketOwnerEnforced" }] },
        lifecycle_configuration: lifecycle(wanted),
        replication_configuration: copies.as_ref().map(|copies| copies.configuration(site)),
        tags: site.tags(),
    };
    let bucket = template.add("BackupBucket", bucket);
    // Also when a creation is rolled back: hosts have written to it by then, and CloudFormation deletes no bucket
    // that holds objects.
    template.retain(&bucket);
    if let Some(copies) = copies {
        copies.allow(template, site, &bucket);
    }
    template.add("BackupBucketPolicy", policy(site, &bucket));
    Some(Repository { wanted, bucket })
}

/// With a customer key, KMS is asked once for many objects.
fn encryption(site: &Site<'_>) -> BucketEncryption {
    let key = site.kms_key();
    let algorithm = if key.is_some() { "aws:kms" } else { "AES256" };
    BucketEncryption {
        server_side_encryption_configuration: vec![EncryptionRule {
            bucket_key_enabled: true,
            server_side_encryption_by_default: EncryptionByDefault { algorithm, key },
        }],
    }
}

/// What ends with time: old versions, marks of deletions, uploads. Never a current object: pgBackRest's retention
/// alone says which backup and which WAL is still needed. A version that pgBackRest deleted stays for some days, so
/// that neither a slip nor a thief with a host's rights takes the backups at once.
fn lifecycle(wanted: &Backups) -> Lifecycle {
    let enabled = |id| LifecycleRule { id, status: "Enabled", ..LifecycleRule::default() };
    let mut rules = vec![
        LifecycleRule {
            noncurrent_version_expiration: Some(NoncurrentExpiration { noncurrent_days: wanted.noncurrent_days }),
            expired_object_delete_marker: Some(true),
            ..enabled("old-versions")
        },
        LifecycleRule {
            abort_incomplete_multipart_upload: Some(AbortUpload { days_after_initiation: UPLOAD_DAYS }),
            ..enabled("unfinished-uploads")
        },
    ];
    if wanted.infrequent_access_days > 0 {
        rules.push(LifecycleRule {
            transitions: vec![Transition {
                storage_class: StorageClass::StandardIa,
                transition_in_days: wanted.infrequent_access_days,
            }],
            ..enabled("infrequent-access")
        });
    }
    // A smaller object is billed as one of 128 KiB there.
    Lifecycle { transition_default_minimum_object_size: "all_storage_classes_128K", rules }
}

/// Only the cluster's own roles reach the objects, known by the tag that its stacks give them in both Regions, and
/// the account itself; and nobody without TLS.
fn policy(site: &Site<'_>, bucket: &Handle<Bucket>) -> BucketPolicy {
    let root = Value::join(["arn:".into(), Value::partition(), ":iam::".into(), Value::account(), ":root".into()]);
    let statements = vec![
        Statement::deny_all(&["s3:*"], vec![bucket.arn(), bucket.objects()]).named("DenyInsecureTransport").when(
            "Bool",
            "aws:SecureTransport",
            vec!["false".into()],
        ),
        Statement::deny_all(&DATA, vec![bucket.objects()])
            .named("DenyOtherRoles")
            .when("StringNotEquals", "aws:PrincipalTag/understudy:cluster", vec![site.spec.name.as_str().into()])
            .when("ArnNotEquals", "aws:PrincipalArn", vec![root]),
    ];
    BucketPolicy { bucket: bucket.name(), policy_document: PolicyDocument::new(statements) }
}

impl Repository<'_> {
    /// What the hosts that back up and restore may do. They cannot delete an old version, only a current object.
    pub(crate) fn statements(&self, site: &Site<'_>) -> Vec<Statement> {
        let within = |folder: &str| Value::join([self.bucket.arn(), format!("/{folder}/*").into()]);
        let own = match site.part {
            Part::Primary => FOLDER,
            Part::Dr => FOLDER_OF_DR,
        };
        let mut statements = vec![
            Statement::allow(&["s3:GetBucketLocation", "s3:ListBucket"], vec![self.bucket.arn()]),
            Statement::allow(
                &["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"],
                vec![within(own)],
            ),
        ];
        if site.part == Part::Dr {
            statements.push(Statement::allow(&["s3:GetObject"], vec![within(FOLDER)]));
        }
        if let Some(key) = site.kms_key() {
            statements.push(Statement::allow(&["kms:Decrypt", "kms:GenerateDataKey"], vec![key.into()]).when(
                "StringLike",
                "kms:ViaService",
                vec!["s3.*.amazonaws.com".into()],
            ));
        }
        statements
    }

    /// What the hosts are told. In the second Region the repository is the copy of the first one's, and what the
    /// standby backs up once it is the writer is beside it, in `DR_BUCKET`.
    pub(crate) fn settings(&self, lines: &mut Lines, site: &Site<'_>) {
        let wanted = self.wanted;
        lines.text("BACKUP_REPOSITORY", "s3");
        lines.value("BACKUP_BUCKET", self.bucket.name());
        lines.text("BACKUP_REGION", &site.fleet.region);
        lines.text("BACKUP_PATH", &format!("/{FOLDER}"));
        lines.text("BACKUP_STANZA", &site.spec.name);
        lines.number("BACKUP_RETENTION_FULL", wanted.retention_full);
        lines.number("BACKUP_RETENTION_DIFF", wanted.retention_diff);
        lines.number("BACKUP_PROCESS_MAX", wanted.process_max);
        lines.number("BACKUP_COMPRESS_LEVEL", wanted.compress_level);
        lines.number("BACKUP_ARCHIVE_TIMEOUT", wanted.archive_timeout_s);
        lines.number("BACKUP_DUMP_DAYS", wanted.dump_days);
        lines.words("BACKUP_FULL_AT", &[&wanted.full_at]);
        lines.words("BACKUP_DIFF_AT", &[&wanted.diff_at]);
        if let (Part::Dr, Some(dr)) = (site.part, &site.spec.dr) {
            lines.value("DR_BUCKET", self.bucket.name());
            lines.number("DR_RETENTION_FULL", dr.retention_full);
        }
    }

    /// Shows the bucket to the reader of the stack.
    pub(crate) fn output(&self, template: &mut Template) {
        template.output("BackupBucket", "Bucket with the backups and the archive", self.bucket.name());
    }

    /// Alarms on the age of what could be restored. `after`: the hosts that say it, since no value is as bad as an
    /// old backup.
    pub(crate) fn alarms(&self, template: &mut Template, site: &Site<'_>, after: &[After]) {
        let days = schedule::longest_gap_days(&self.wanted.full_at, &self.wanted.diff_at) + 1;
        let aged = alarms::add(template, site, "BackupAgeAlarm", backup_age(site, days));
        template.create_after_all(&aged, after);
        alarms::add(template, site, "ArchiveAgeAlarm", archive_age(site));
    }
}

/// Seconds that a complete WAL segment waits for the archive before somebody is told.
///
/// Source: the reference dashboard's second limit (300 s yellow, 600 s red).
const ARCHIVE_AGE_S: u32 = 600;

fn backup_age(site: &Site<'_>, days: u32) -> Rule {
    Rule {
        description: format!(
            "The last good backup of {} is older than {days} days, or its age is not known. On the writer: \
             journalctl -u 'understudy-backup-*'",
            site.spec.name
        ),
        period: 300,
        // No value for half an hour: a failover takes less.
        periods: 6,
        threshold: (days * 86_400).into(),
        missing: "breaching",
        ..of_cluster(site, "backup-age", "BackupAgeSeconds")
    }
}

fn archive_age(site: &Site<'_>) -> Rule {
    Rule {
        description: format!(
            "WAL of {} has waited for the archive for more than {ARCHIVE_AGE_S} s: a restore would lose what came \
             after, and the WAL fills the disk. On the writer: PostgreSQL's log, and journalctl -u 'understudy-*'",
            site.spec.name
        ),
        periods: 2,
        threshold: ARCHIVE_AGE_S.into(),
        ..of_cluster(site, "archive-age", "ArchiveAgeSeconds")
    }
}

/// On what a host says of the whole cluster: more than nothing.
pub(crate) fn of_cluster(site: &Site<'_>, ending: &str, metric: &'static str) -> Rule {
    Rule {
        ending: ending.to_owned(),
        description: String::new(),
        namespace: roles::METRICS.into(),
        metric,
        dimensions: alarms::of_cluster(site),
        statistic: "Maximum",
        period: 60,
        periods: 1,
        comparison: "GreaterThanThreshold",
        threshold: 0.into(),
        missing: "missing",
    }
}
