//! The bucket of pgBackRest: nothing but pgBackRest ends what it needs, and nobody else reads it.

use crate::kit::{of_type, primary, properties, render, rights, settings, spec, text, texts, with_dr};
use serde_json::{Value, json};
use template::Part;

/// Both Regions' buckets.
fn buckets(fields: Value) -> Vec<Value> {
    let spec = spec(with_dr(fields));
    vec![render(&spec, Part::Primary), render(&spec, Part::Dr)]
}

#[test]
fn none_is_made_for_a_cluster_without_backups() {
    let template = primary(json!({}));
    assert!(of_type(&template, "AWS::S3::Bucket").is_empty());
    assert!(!settings(&template).iter().any(|line| line.starts_with("BACKUP_")));
    assert!(!rights(&template, "MemberRole").iter().any(|right| right.contains("BackupBucket")));
    assert!(template["Resources"].get("BackupAgeAlarm").is_none());
}

/// Whatever a spec says of retention: no rule ends a current object, none moves one to a class from which pgBackRest
/// cannot read.
#[test]
fn a_lifecycle_never_breaks_the_repository() {
    for (infrequent, noncurrent) in [(0, 1), (30, 90), (3_650, 3_650)] {
        let backups = json!({ "infrequent_access_days": infrequent, "noncurrent_days": noncurrent });
        let template = primary(json!({ "backups": backups }));
        let rules = properties(&template, "BackupBucket")["LifecycleConfiguration"]["Rules"].as_array().unwrap();
        for rule in rules {
            assert_eq!(rule["Status"], "Enabled");
            for (field, value) in rule.as_object().unwrap() {
                match field.as_str() {
                    "Id" | "Status" => {}
                    "NoncurrentVersionExpiration" => assert_eq!(*value, json!({ "NoncurrentDays": noncurrent })),
                    // Takes what hides a version once there is none.
                    "ExpiredObjectDeleteMarker" => assert_eq!(*value, true),
                    "AbortIncompleteMultipartUpload" => assert_eq!(*value, json!({ "DaysAfterInitiation": 7 })),
                    "Transitions" => {
                        assert_eq!(*value, json!([{ "StorageClass": "STANDARD_IA", "TransitionInDays": infrequent }]))
                    }
                    other => panic!("a rule with {other}"),
                }
            }
        }
        let moves = rules.iter().any(|rule| rule.get("Transitions").is_some());
        assert_eq!(moves, infrequent > 0, "0 days: never");
        assert!(rules.iter().any(|rule| rule.get("NoncurrentVersionExpiration").is_some()));
        assert!(rules.iter().any(|rule| rule.get("AbortIncompleteMultipartUpload").is_some()));
    }
}

#[test]
fn a_bucket_is_kept_encrypted_versioned_and_private() {
    for template in buckets(json!({})) {
        let resource = &template["Resources"]["BackupBucket"];
        assert_eq!(resource["DeletionPolicy"], "Retain");
        assert_eq!(resource["UpdateReplacePolicy"], "Retain");
        let bucket = &resource["Properties"];
        // A name of its own would be taken when the cluster is deployed anew beside a bucket that was kept.
        assert!(bucket.get("BucketName").is_none());
        assert_eq!(bucket["VersioningConfiguration"], json!({ "Status": "Enabled" }));
        assert_eq!(
            bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"],
            json!([{ "BucketKeyEnabled": true, "ServerSideEncryptionByDefault": { "SSEAlgorithm": "AES256" } }])
        );
        let block = bucket["PublicAccessBlockConfiguration"].as_object().unwrap();
        assert_eq!(block.len(), 4);
        assert!(block.values().all(|value| value == true));
        assert_eq!(bucket["OwnershipControls"], json!({ "Rules": [{ "ObjectOwnership": "BucketOwnerEnforced" }] }));
    }
}

#[test]
fn only_the_clusters_roles_reach_objects_and_no_administrator_is_locked_out() {
    for template in buckets(json!({})) {
        let policy = properties(&template, "BackupBucketPolicy");
        assert_eq!(text(&template, &policy["Bucket"]), "{BackupBucket}");
        let [transport, others] = policy["PolicyDocument"]["Statement"].as_array().unwrap().as_slice() else {
            panic!("two statements: {policy}")
        };
        for statement in [transport, others] {
            assert_eq!(statement["Effect"], "Deny");
            assert_eq!(statement["Principal"], json!({ "AWS": "*" }));
        }
        assert_eq!(transport["Sid"], "DenyInsecureTransport");
        assert_eq!(transport["Action"], json!(["s3:*"]));
        assert_eq!(texts(&template, &transport["Resource"]), ["{BackupBucket.Arn}", "{BackupBucket.Arn}/*"]);
        assert_eq!(transport["Condition"], json!({ "Bool": { "aws:SecureTransport": ["false"] } }));

        // Objects only: the bucket itself and its policy stay in the hands of the account.
        assert_eq!(texts(&template, &others["Resource"]), ["{BackupBucket.Arn}/*"]);
        for action in others["Action"].as_array().unwrap() {
            let action = action.as_str().unwrap();
            let ours = ["Object", "Replicate", "AbortMultipartUpload"].iter().any(|word| action.contains(word));
            assert!(ours && !action.contains("Policy") && !action.contains('*'), "{action}");
        }
        let condition = &others["Condition"];
        assert_eq!(condition["StringNotEquals"], json!({ "aws:PrincipalTag/understudy:cluster": ["shop"] }));
        let root = texts(&template, &condition["ArnNotEquals"]["aws:PrincipalArn"]);
        assert_eq!(root, ["arn:{AWS::Partition}:iam::{AWS::AccountId}:root"]);
        // Every role of the stack that uses the bucket has that tag.
        for (name, role) in of_type(&template, "AWS::IAM::Role") {
            let tag = json!({ "Key": "understudy:cluster", "Value": "shop" });
            assert!(role["Tags"].as_array().unwrap().contains(&tag), "{name}");
        }
    }
}

/// Nobody deletes an old version: neither pgBackRest nor who takes over a member.
#[test]
fn members_read_write_and_delete_objects_but_no_version() {
    let template = primary(json!({ "backups": {} }));
    let of_bucket: Vec<String> =
        rights(&template, "MemberRole").into_iter().filter(|right| right.contains("BackupBucket")).collect();
    let expected = [
        "s3:AbortMultipartUpload {BackupBucket.Arn}/pgbackrest/*",
        "s3:DeleteObject {BackupBucket.Arn}/pgbackrest/*",
        "s3:GetBucketLocation {BackupBucket.Arn}",
        "s3:GetObject {BackupBucket.Arn}/pgbackrest/*",
        "s3:ListBucket {BackupBucket.Arn}",
        "s3:PutObject {BackupBucket.Arn}/pgbackrest/*",
    ];
    assert_eq!(of_bucket, expected);
}

#[test]
fn a_customer_key_encrypts_and_only_by_way_of_s3() {
    let key = "arn:aws:kms:eu-west-1:111122223333:key/0123abcd-0123-abcd-0123-0123456789ab";
    let template = primary(json!({ "backups": {}, "encryption": { "kms_key_arn": key } }));
    assert_eq!(
        properties(&template, "BackupBucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"],
        json!([{
            "BucketKeyEnabled": true,
            "ServerSideEncryptionByDefault": { "SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key },
        }])
    );
    let statements = properties(&template, "MemberRole")["Policies"][0]["PolicyDocument"]["Statement"].clone();
    let of_key = statements.as_array().unwrap().iter().find(|one| one["Action"][1] == "kms:GenerateDataKey");
    let of_key = of_key.unwrap();
    assert_eq!(of_key["Resource"], json!([key]));
    assert_eq!(of_key["Condition"], json!({ "StringLike": { "kms:ViaService": ["s3.*.amazonaws.com"] } }));
}

#[test]
fn the_hosts_are_told_what_the_spec_says() {
    let template = primary(json!({ "backups": {
        "retention_full": 4, "retention_diff": 9, "full_at": "Sat 01:00", "diff_at": "*-*-* 03:00:00",
        "archive_timeout_s": 30, "process_max": 3, "compress_level": 2, "dump_days": 5,
    } }));
    let told: Vec<String> = settings(&template).into_iter().filter(|line| line.starts_with("BACKUP_")).collect();
    let expected = [
        "BACKUP_REPOSITORY=s3",
        "BACKUP_BUCKET={BackupBucket}",
        "BACKUP_REGION=eu-west-1",
        "BACKUP_PATH=/pgbackrest",
        "BACKUP_STANZA=shop",
        "BACKUP_RETENTION_FULL=4",
        "BACKUP_RETENTION_DIFF=9",
        "BACKUP_PROCESS_MAX=3",
        "BACKUP_COMPRESS_LEVEL=2",
        "BACKUP_ARCHIVE_TIMEOUT=30",
        "BACKUP_DUMP_DAYS=5",
        "BACKUP_FULL_AT=\"Sat 01:00\"",
        "BACKUP_DIFF_AT=\"*-*-* 03:00:00\"",
    ];
    assert_eq!(told, expected);
}

/// A day more than the schedule leaves between two: the threshold follows the spec.
#[test]
fn an_old_backup_and_a_waiting_archive_page() {
    let table = [
        ("one a day", json!({}), 2),
        (
            "a full one a week, others on three days",
            json!({ "full_at": "Sun 02:00", "diff_at": "Mon,Wed,Fri 02:00" }),
            3,
        ),
        ("only full ones", json!({ "full_at": "Sun 02:00", "diff_at": "Sun 14:00" }), 8),
    ];
    for (name, backups, days) in table {
        let template = primary(json!({ "backups": backups }));
        let alarm = properties(&template, "BackupAgeAlarm");
        assert_eq!(alarm["Threshold"], days * 86_400, "{name}");
        assert_eq!(alarm["TreatMissingData"], "breaching");
        assert_eq!(alarm["MetricName"], "BackupAgeSeconds");
        let alarm = properties(&template, "ArchiveAgeAlarm");
        assert_eq!(alarm["Threshold"], 600);
        assert_eq!(alarm["MetricName"], "ArchiveAgeSeconds");
        for name in ["BackupAgeAlarm", "ArchiveAgeAlarm"] {
            let alarm = properties(&template, name);
            let of = json!([{ "Name": "Fleet", "Value": "prod" }, { "Name": "Cluster", "Value": "shop" }]);
            assert_eq!(alarm["Dimensions"], of);
            assert_eq!(alarm["Namespace"], "Understudy/Hosts");
            assert_eq!(alarm["AlarmActions"], json!(["arn:aws:sns:eu-west-1:111122223333:prod-pages"]));
        }
    }
}
