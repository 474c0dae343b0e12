//! What each role of host may do: no more than it needs.

use crate::kit::{properties, render, rights, tls, whole};
use serde_json::json;
use template::Part;

/// What of AWS's API a role may call on secrets.
fn secrets(role: &str) -> Vec<String> {
    let template = render(&whole(), Part::Primary);
    let rights = rights(&template, role).into_iter();
    rights.filter_map(|right| Some(right.strip_prefix("secretsmanager:GetSecretValue ")?.to_owned())).collect()
}

#[test]
fn each_role_reads_its_own_secrets() {
    let certificate = tls(Part::Primary).secret_arn;
    let members = [
        certificate.as_str(),
        "{ApplicationSecret}",
        "{OperatorSecret}",
        "{PatroniSecret}",
        "{PoolerSecret}",
        "{ReplicationSecret}",
        "{SuperuserSecret}",
    ];
    assert_eq!(secrets("MemberRole"), members);
    assert_eq!(secrets("EtcdRole"), [certificate.as_str()]);
    assert_eq!(secrets("MonitoringRole"), [certificate.as_str(), "{GrafanaSecret}"]);
    assert!(secrets("BastionRole").is_empty());
}

/// What is beyond reading a secret, the settings and the bundle, and saying how it goes.
#[test]
fn only_members_read_and_write_the_state_and_the_backups() {
    let template = render(&whole(), Part::Primary);
    let beyond = |role: &str| -> Vec<String> {
        let rights = rights(&template, role).into_iter();
        let of = |right: &String| right.starts_with("dynamodb:") || right.contains("Bucket.Arn");
        let mut actions: Vec<String> =
            rights.filter(of).map(|right| right.split(' ').next().unwrap().to_owned()).collect();
        actions.dedup();
        actions
    };
    let expected = [
        "dynamodb:GetItem",
        "dynamodb:UpdateItem",
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:GetBucketLocation",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
    ];
    assert_eq!(beyond("MemberRole"), expected);
    assert_eq!(beyond("EtcdRole"), ["dynamodb:GetItem", "dynamodb:UpdateItem"]);
    assert_eq!(beyond("MonitoringRole"), ["dynamodb:UpdateItem"]);
    assert_eq!(beyond("BastionRole"), ["dynamodb:UpdateItem"]);
}

/// IAM knows the key's first part alone: what keeps a host of etcd from the item that says who writes are attributes.
#[test]
fn a_host_of_etcd_touches_no_attribute_of_the_state() {
    let template = render(&whole(), Part::Primary);
    let statements = &properties(&template, "EtcdRole")["Policies"][0]["PolicyDocument"]["Statement"];
    let of_table = statements.as_array().unwrap().iter().find(|one| one["Action"][0] == "dynamodb:GetItem").unwrap();
    let expected = json!({
        "ForAllValues:StringEquals": {
            "dynamodb:Attributes": ["at", "cluster", "item", "reason", "step"],
            "dynamodb:LeadingKeys": ["shop"],
        },
        "StringEqualsIfExists": { "dynamodb:Select": ["SPECIFIC_ATTRIBUTES"] },
    });
    assert_eq!(of_table["Condition"], expected);
}

#[test]
fn no_role_has_a_managed_policy_or_writes_to_everything() {
    for part in [Part::Primary, Part::Dr] {
        let template = render(&whole(), part);
        for (name, role) in crate::kit::of_type(&template, "AWS::IAM::Role") {
            assert!(role.get("ManagedPolicyArns").is_none(), "{name}");
            for right in rights(&template, name) {
                let (action, resource) = right.split_once(' ').unwrap();
                assert!(!action.contains('*'), "{name}: {right}");
                // These know no narrower resource.
                let knows_none = ["ec2messages:", "ssmmessages:", "ssm:Update", "cloudwatch:PutMetricData"];
                assert!(resource != "*" || knows_none.iter().any(|start| action.starts_with(start)), "{name}: {right}");
            }
        }
    }
}
