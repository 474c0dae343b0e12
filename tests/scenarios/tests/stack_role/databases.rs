//! The types that only clusters have that AWS runs.

/// As [`super::TYPES`].
///
/// Source: `handlers` of the resource types' schemas; a last snapshot is CloudFormation's own.
pub(super) const DATABASES: [(&str, &[&str]); 13] = [
    ("AWS::EC2::NetworkAcl", &["ec2:CreateNetworkAcl", "ec2:DeleteNetworkAcl"]),
    (
        "AWS::KMS::Key",
        &[
            "kms:CreateKey",
            "kms:DescribeKey",
            "kms:DisableKeyRotation",
            "kms:EnableKeyRotation",
            "kms:GetKeyPolicy",
            "kms:GetKeyRotationStatus",
            "kms:ListResourceTags",
            "kms:PutKeyPolicy",
            "kms:ScheduleKeyDeletion",
            "kms:TagResource",
            "kms:UntagResource",
            "kms:UpdateKeyDescription",
        ],
    ),
    ("AWS::Logs::MetricFilter", &["logs:DeleteMetricFilter", "logs:DescribeMetricFilters", "logs:PutMetricFilter"]),
    (
        "AWS::RDS::DBCluster",
        &[
            "iam:PassRole",
            "kms:CreateGrant",
            "kms:DescribeKey",
            "rds:AddTagsToResource",
            "rds:CreateDBCluster",
            "rds:CreateDBClusterSnapshot",
            "rds:CreateDBInstance",
            "rds:DeleteDBCluster",
            "rds:DeleteDBInstance",
            "rds:ModifyDBCluster",
            "rds:ModifyDBInstance",
            "rds:RemoveFromGlobalCluster",
            "rds:RemoveTagsFromResource",
            "secretsmanager:CreateSecret",
            "secretsmanager:GetSecretValue",
            "secretsmanager:TagResource",
        ],
    ),
    (
        "AWS::RDS::DBClusterParameterGroup",
        &[
            "rds:CreateDBClusterParameterGroup",
            "rds:DeleteDBClusterParameterGroup",
            "rds:ListTagsForResource",
            "rds:ModifyDBClusterParameterGroup",
            "rds:ResetDBClusterParameterGroup",
        ],
    ),
    (
        "AWS::RDS::DBInstance",
        &[
            "iam:CreateServiceLinkedRole",
            "rds:CreateDBInstanceReadReplica",
            "rds:CreateDBSnapshot",
            "rds:RebootDBInstance",
        ],
    ),
    (
        "AWS::RDS::DBParameterGroup",
        &[
            "rds:CreateDBParameterGroup",
            "rds:DeleteDBParameterGroup",
            "rds:ModifyDBParameterGroup",
            "rds:ResetDBParameterGroup",
        ],
    ),
    ("AWS::RDS::DBProxy", &["iam:PassRole", "rds:CreateDBProxy", "rds:DeleteDBProxy", "rds:ModifyDBProxy"]),
    (
        "AWS::RDS::DBProxyTargetGroup",
        &["rds:DeregisterDBProxyTargets", "rds:ModifyDBProxyTargetGroup", "rds:RegisterDBProxyTargets"],
    ),
    ("AWS::RDS::DBSubnetGroup", &["rds:CreateDBSubnetGroup", "rds:DeleteDBSubnetGroup", "rds:ModifyDBSubnetGroup"]),
    ("AWS::RDS::GlobalCluster", &["rds:CreateGlobalCluster", "rds:DeleteGlobalCluster", "rds:ModifyGlobalCluster"]),
    (
        "AWS::Route53::HealthCheck",
        &[
            "cloudwatch:DescribeAlarms",
            "route53:ChangeTagsForResource",
            "route53:CreateHealthCheck",
            "route53:DeleteHealthCheck",
            "route53:GetHealthCheck",
            "route53:ListTagsForResource",
            "route53:UpdateHealthCheck",
        ],
    ),
    (
        "AWS::Route53::RecordSet",
        &[
            "route53:ChangeResourceRecordSets",
            "route53:GetChange",
            "route53:GetHostedZone",
            "route53:ListResourceRecordSets",
        ],
    ),
];
