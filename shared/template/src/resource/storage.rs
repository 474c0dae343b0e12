//! S3: buckets, who may use them, and how long things stay in them.

use super::{PolicyDocument, Tag};
use crate::{Handle, Value};
use serde::Serialize;

/// Properties of `AWS::S3::Bucket`. CloudFormation names it: a name of our own would
/// be taken when a cluster that left its bucket behind is deployed again.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Bucket {
    /// How objects are encrypted.
    pub bucket_encryption: BucketEncryption,
    /// Whether old versions are kept.
    pub versioning_configuration: Versioning,
    /// That nothing in it is public.
    pub public_access_block_configuration: PublicAccessBlock,
    /// Whose the objects are.
    pub ownership_controls: OwnershipControls,
    /// What happens to objects with time.
    pub lifecycle_configuration: Lifecycle,
    /// Where its objects are copied to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replication_configuration: Option<Replication>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// How objects of a bucket are encrypted.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BucketEncryption {
    /// One rule.
    pub server_side_encryption_configuration: Vec<EncryptionRule>,
}

/// How objects of a bucket are encrypted.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EncryptionRule {
    /// Whether KMS is asked once for many objects, not for each.
    pub bucket_key_enabled: bool,
    /// With what, unless a request says otherwise.
    pub server_side_encryption_by_default: EncryptionByDefault,
}

/// How objects of a bucket are encrypted.
#[derive(Debug, Clone, Serialize)]
pub struct EncryptionByDefault {
    /// `AES256` or `aws:kms`.
    #[serde(rename = "SSEAlgorithm")]
    pub algorithm: &'static str,
    /// The key in KMS.
    #[serde(rename = "KMSMasterKeyID", skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Whether old versions are kept.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Versioning {
    /// `Enabled`.
    pub status: &'static str,
}

/// That nothing in a bucket is public.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "S3's own four switches")]
pub struct PublicAccessBlock {
    /// Refuses public access control lists.
    pub block_public_acls: bool,
    /// Refuses a public policy.
    pub block_public_policy: bool,
    /// Ignores the lists that are there.
    pub ignore_public_acls: bool,
    /// Ignores the policy that is there.
    pub restrict_public_buckets: bool,
}

/// Whose the objects of a bucket are.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OwnershipControls {
    /// One rule.
    pub rules: Vec<Ownership>,
}

/// Whose the objects of a bucket are.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ownership {
    /// `BucketOwnerEnforced`: the account's, without access control lists.
    pub object_ownership: &'static str,
}

/// What happens to the objects of a bucket with time.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Lifecycle {
    /// From how many bytes on an object moves to another storage class.
    pub transition_default_minimum_object_size: &'static str,
    /// The rules.
    pub rules: Vec<LifecycleRule>,
}

/// What happens to the objects of a bucket with time. There is no field here for the end of a
/// current object: pgBackRest alone knows which of its files are still needed.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LifecycleRule {
    /// Its name.
    pub id: &'static str,
    /// `Enabled`.
    pub status: &'static str,
    /// To a storage class.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transitions: Vec<Transition>,
    /// The end of what was deleted or replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noncurrent_version_expiration: Option<NoncurrentExpiration>,
    /// Whether the mark of a deletion goes when no version is left behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expired_object_delete_marker: Option<bool>,
    /// The end of uploads that were never finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort_incomplete_multipart_upload: Option<AbortUpload>,
}

/// A move to another storage class.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Transition {
    /// Which.
    pub storage_class: StorageClass,
    /// After so many days.
    pub transition_in_days: u32,
}

/// A storage class that is read like any other. Those of Glacier are not here: an object must be
/// restored from them first, which pgBackRest cannot ask for.
#[derive(Debug, Clone, Copy, Serialize)]
pub enum StorageClass {
    /// Cheaper to keep, dearer to read; billed for 30 days at least.
    #[serde(rename = "STANDARD_IA")]
    StandardIa,
}

/// The end of what was deleted or replaced.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NoncurrentExpiration {
    /// Days after that.
    pub noncurrent_days: u32,
}

/// The end of uploads that were never finished.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AbortUpload {
    /// Days after their beginning.
    pub days_after_initiation: u32,
}

/// Where the objects of a bucket are copied to.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Replication {
    /// The role with which S3 copies: its ARN.
    pub role: Value,
    /// The rules.
    pub rules: Vec<ReplicationRule>,
}

/// What is copied.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReplicationRule {
    /// Its name.
    pub id: &'static str,
    /// `Enabled`.
    pub status: &'static str,
    /// Which rule wins.
    pub priority: u32,
    /// Which objects.
    pub filter: ReplicationFilter,
    /// What is done with deletions.
    pub delete_marker_replication: Versioning,
    /// Which encrypted objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_selection_criteria: Option<serde_json::Value>,
    /// To where.
    pub destination: ReplicationDestination,
}

/// Which objects are copied.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReplicationFilter {
    /// Those whose names begin with this.
    pub prefix: String,
}

/// Where objects are copied to.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReplicationDestination {
    /// The bucket's ARN.
    pub bucket: Value,
    /// With which key they are encrypted there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption_configuration: Option<ReplicaKey>,
}

/// The key of copies.
#[derive(Debug, Clone, Serialize)]
pub struct ReplicaKey {
    /// Its ARN, in the Region of the copies.
    #[serde(rename = "ReplicaKmsKeyID")]
    pub id: String,
}

/// Properties of `AWS::S3::BucketPolicy`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BucketPolicy {
    /// The bucket.
    pub bucket: Value,
    /// What is allowed and what is not.
    pub policy_document: PolicyDocument,
}

impl Handle<Bucket> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> Value {
        self.reference()
    }

    /// Its ARN.
    #[must_use]
    pub fn arn(&self) -> Value {
        self.attribute("Arn")
    }

    /// The ARN of all objects in it.
    #[must_use]
    pub fn objects(&self) -> Value {
        Value::join([self.arn(), "/*".into()])
    }
}
