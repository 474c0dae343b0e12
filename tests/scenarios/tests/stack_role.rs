//! What CloudFormation must do in a cluster's stack is what the stack role
//! allows, and nothing else.

#[path = "stack_role/databases.rs"]
mod databases;

use databases::DATABASES;
use scenarios::rules::Template;
use serde_json::Value;
use std::{collections::BTreeSet, fs};

/// A resource type, and the actions that making, changing, tagging and deleting
/// one needs, without the looking, which wildcards allow.
///
/// Source: `handlers` of the resource types' schemas, and for EC2's old types the
/// actions of the calls that their properties name.
const TYPES: [(&str, &[&str]); 31] = [
    (
        "AWS::CloudWatch::Alarm",
        &[
            "cloudwatch:DeleteAlarms",
            "cloudwatch:DescribeAlarms",
            "cloudwatch:ListTagsForResource",
            "cloudwatch:PutMetricAlarm",
            "cloudwatch:TagResource",
            "cloudwatch:UntagResource",
        ],
    ),
    ("AWS::EC2::EIP", &["ec2:AllocateAddress", "ec2:ReleaseAddress", "ec2:CreateTags", "ec2:DeleteTags"]),
    ("AWS::EC2::EIPAssociation", &["ec2:AssociateAddress", "ec2:DisassociateAddress"]),
    (
        "AWS::EC2::Instance",
        &[
            "ec2:AssociateIamInstanceProfile",
            "ec2:AttachVolume",
            "ec2:DetachVolume",
            "ec2:DisassociateIamInstanceProfile",
            "ec2:ModifyInstanceAttribute",
            "ec2:ModifyInstanceCreditSpecification",
            "ec2:ModifyInstanceMaintenanceOptions",
            "ec2:ModifyInstanceMetadataOptions",
            "ec2:MonitorInstances",
            "ec2:ReplaceIamInstanceProfileAssociation",
            "ec2:RunInstances",
            "ec2:StartInstances",
            "ec2:StopInstances",
            "ec2:TerminateInstances",
            "ec2:UnmonitorInstances",
            "iam:PassRole",
            "ssm:DescribeAssociation",
            "ssm:GetParameters",
            "ssm:ListAssociations",
        ],
    ),
    ("AWS::EC2::InternetGateway", &["ec2:CreateInternetGateway", "ec2:DeleteInternetGateway"]),
    ("AWS::EC2::NatGateway", &["ec2:CreateNatGateway", "ec2:DeleteNatGateway"]),
    (
        "AWS::EC2::NetworkInterface",
        &[
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:ModifyNetworkInterfaceAttribute",
            "ec2:UnassignPrivateIpAddresses",
        ],
    ),
    ("AWS::EC2::Route", &["ec2:CreateRoute", "ec2:DeleteRoute", "ec2:ReplaceRoute"]),
    ("AWS::EC2::RouteTable", &["ec2:CreateRouteTable", "ec2:DeleteRouteTable"]),
    ("AWS::EC2::SecurityGroup", &["ec2:CreateSecurityGroup", "ec2:DeleteSecurityGroup"]),
    (
        "AWS::EC2::SecurityGroupEgress",
        &[
            "ec2:AuthorizeSecurityGroupEgress",
            "ec2:RevokeSecurityGroupEgress",
            "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
        ],
    ),
    (
        "AWS::EC2::SecurityGroupIngress",
        &[
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:RevokeSecurityGroupIngress",
            "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
        ],
    ),
    ("AWS::EC2::Subnet", &["ec2:CreateSubnet", "ec2:DeleteSubnet", "ec2:ModifySubnetAttribute"]),
    (
        "AWS::EC2::SubnetRouteTableAssociation",
        &["ec2:AssociateRouteTable", "ec2:DisassociateRouteTable", "ec2:ReplaceRouteTableAssociation"],
    ),
    ("AWS::EC2::VPC", &["ec2:CreateVpc", "ec2:DeleteVpc", "ec2:ModifyVpcAttribute"]),
    (
        "AWS::EC2::VPCEndpoint",
        &[
            "ec2:CreateVpcEndpoint",
            "ec2:DeleteVpcEndpoints",
            "ec2:ModifyVpcEndpoint",
            "route53:AssociateVPCWithHostedZone",
        ],
    ),
    ("AWS::EC2::VPCGatewayAttachment", &["ec2:AttachInternetGateway", "ec2:DetachInternetGateway"]),
    (
        "AWS::EC2::VPCPeeringConnection",
        &[
            "ec2:AcceptVpcPeeringConnection",
            "ec2:CreateVpcPeeringConnection",
            "ec2:DeleteVpcPeeringConnection",
            "ec2:ModifyVpcPeeringConnectionOptions",
        ],
    ),
    (
        "AWS::EC2::Volume",
        &[
            "ec2:CreateSnapshot",
            "ec2:CreateVolume",
            "ec2:DeleteVolume",
            "ec2:ModifyVolume",
            "ec2:ModifyVolumeAttribute",
            "kms:CreateGrant",
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:GenerateDataKey",
            "kms:GenerateDataKeyWithoutPlaintext",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ],
    ),
    (
        "AWS::ElasticLoadBalancingV2::Listener",
        &[
            "elasticloadbalancing:CreateListener",
            "elasticloadbalancing:DeleteListener",
            "elasticloadbalancing:ModifyListener",
            "elasticloadbalancing:ModifyListenerAttributes",
        ],
    ),
    (
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        &[
            "elasticloadbalancing:AddTags",
            "elasticloadbalancing:CreateLoadBalancer",
            "elasticloadbalancing:DeleteLoadBalancer",
            "elasticloadbalancing:ModifyLoadBalancerAttributes",
            "elasticloadbalancing:RemoveTags",
            "elasticloadbalancing:SetIpAddressType",
            "elasticloadbalancing:SetSecurityGroups",
            "elasticloadbalancing:SetSubnets",
            "iam:CreateServiceLinkedRole",
        ],
    ),
    (
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        &[
            "elasticloadbalancing:CreateTargetGroup",
            "elasticloadbalancing:DeleteTargetGroup",
            "elasticloadbalancing:DeregisterTargets",
            "elasticloadbalancing:ModifyTargetGroup",
            "elasticloadbalancing:ModifyTargetGroupAttributes",
            "elasticloadbalancing:RegisterTargets",
        ],
    ),
    (
        "AWS::IAM::InstanceProfile",
        &[
            "iam:AddRoleToInstanceProfile",
            "iam:CreateInstanceProfile",
            "iam:DeleteInstanceProfile",
            "iam:GetInstanceProfile",
            "iam:RemoveRoleFromInstanceProfile",
        ],
    ),
    (
        "AWS::IAM::Role",
        &[
            "iam:CreateRole",
            "iam:DeleteRole",
            "iam:DeleteRolePolicy",
            "iam:GetRole",
            "iam:GetRolePolicy",
            "iam:ListAttachedRolePolicies",
            "iam:ListRolePolicies",
            "iam:PutRolePolicy",
            "iam:TagRole",
            "iam:UntagRole",
            "iam:UpdateAssumeRolePolicy",
            "iam:UpdateRole",
            "iam:UpdateRoleDescription",
        ],
    ),
    (
        "AWS::Logs::LogGroup",
        &[
            "logs:AssociateKmsKey",
            "logs:CreateLogGroup",
            "logs:DeleteLogGroup",
            "logs:DeleteRetentionPolicy",
            "logs:DescribeLogGroups",
            "logs:DisassociateKmsKey",
            "logs:ListTagsForResource",
            "logs:PutRetentionPolicy",
            "logs:TagResource",
            "logs:UntagResource",
        ],
    ),
    (
        "AWS::S3::Bucket",
        &[
            "s3:CreateBucket",
            "s3:DeleteBucket",
            "s3:GetEncryptionConfiguration",
            "s3:GetLifecycleConfiguration",
            "s3:GetReplicationConfiguration",
            "s3:ListBucket",
            "s3:ListTagsForResource",
            "s3:PutBucketOwnershipControls",
            "s3:PutBucketPublicAccessBlock",
            "s3:PutBucketTagging",
            "s3:PutBucketVersioning",
            "s3:PutEncryptionConfiguration",
            "s3:PutLifecycleConfiguration",
            "s3:PutReplicationConfiguration",
            "s3:TagResource",
            "s3:UntagResource",
        ],
    ),
    ("AWS::S3::BucketPolicy", &["s3:DeleteBucketPolicy", "s3:GetBucketPolicy", "s3:PutBucketPolicy"]),
    (
        "AWS::SNS::Topic",
        &[
            "sns:CreateTopic",
            "sns:DeleteTopic",
            "sns:GetDataProtectionPolicy",
            "sns:GetTopicAttributes",
            "sns:ListSubscriptionsByTopic",
            "sns:ListTagsForResource",
            "sns:TagResource",
            "sns:UntagResource",
        ],
    ),
    ("AWS::SNS::TopicPolicy", &["sns:SetTopicAttributes"]),
    (
        "AWS::SSM::Parameter",
        &[
            "ssm:AddTagsToResource",
            "ssm:DeleteParameter",
            "ssm:GetParameters",
            "ssm:ListTagsForResource",
            "ssm:PutParameter",
            "ssm:RemoveTagsFromResource",
        ],
    ),
    (
        "AWS::SecretsManager::Secret",
        &[
            "secretsmanager:CreateSecret",
            "secretsmanager:DeleteSecret",
            "secretsmanager:DescribeSecret",
            "secretsmanager:GetRandomPassword",
            "secretsmanager:RemoveRegionsFromReplication",
            "secretsmanager:ReplicateSecretToRegions",
            "secretsmanager:TagResource",
            "secretsmanager:UntagResource",
            "secretsmanager:UpdateSecret",
        ],
    ),
];

/// What looks only, and cannot be told in names.
const LOOKS: [&str; 4] = ["ec2:Describe*", "elasticloadbalancing:Describe*", "rds:Describe*", "s3:GetBucket*"];

/// All types of clusters' templates.
fn types() -> impl Iterator<Item = &'static (&'static str, &'static [&'static str])> {
    TYPES.iter().chain(&DATABASES)
}

fn allows(pattern: &str, action: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == action, |beginning| action.starts_with(beginning))
}

#[test]
fn the_stack_role_may_make_what_clusters_are_made_of_and_nothing_else() {
    let template =
        Template::read(&scenarios::repository("infra/template.yaml")).unwrap_or_else(|error| panic!("{error}"));
    let allowed = template.role("StackRole").unwrap_or_else(|error| panic!("{error}"));
    let needed: BTreeSet<&str> = types().flat_map(|(_, actions)| actions.iter().copied()).collect();
    let missing: Vec<&&str> =
        needed.iter().filter(|action| !allowed.iter().any(|pattern| allows(pattern, action))).collect();
    let is_needed =
        |pattern: &&String| LOOKS.contains(&pattern.as_str()) || needed.iter().any(|action| allows(pattern, action));
    let needless: Vec<&String> = allowed.iter().filter(|pattern| !is_needed(pattern)).collect();
    assert!(missing.is_empty() && needless.is_empty(), "missing {missing:?}, needless {needless:?}");
}

#[test]
fn every_type_of_the_golden_templates_has_its_rights() {
    let known: BTreeSet<&str> = types().map(|(kind, _)| *kind).collect();
    let mut found = BTreeSet::new();
    let folder = fs::read_dir(scenarios::repository("tests/golden")).unwrap_or_else(|error| panic!("{error}"));
    for file in folder.flatten() {
        let text = fs::read_to_string(file.path()).unwrap_or_default();
        let template: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{:?}: {error}", file.path()));
        let resources = template["Resources"].as_object().into_iter().flatten();
        found.extend(resources.filter_map(|(_, resource)| resource["Type"].as_str()).map(str::to_owned));
    }
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(found, known, "types of the goldens, and those whose rights are known");
}
