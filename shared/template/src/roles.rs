//! What hosts may do in AWS: a role for each role of host, with what that one needs.

use crate::{
    Handle, Template, Value, bundle,
    hosts::HostRole,
    logs,
    resource::{InstanceProfile, LogGroup, Policy, PolicyDocument, Role, Statement},
    site::Site,
};

/// What Session Manager (for people) and Run Command (for rejoin-replica) need and
/// no more: AmazonSSMManagedInstanceCore would let a host read every SSM parameter
/// of the account. These know no narrower resource.
///
/// Sources: Systems Manager user guide, "Add Session Manager permissions to an
/// existing IAM role" and "Reference: ec2messages, ssmmessages, and other API operations".
const SYSTEMS_MANAGER: [&str; 11] = [
    "ec2messages:AcknowledgeMessage",
    "ec2messages:DeleteMessage",
    "ec2messages:FailMessage",
    "ec2messages:GetEndpoint",
    "ec2messages:GetMessages",
    "ec2messages:SendReply",
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
];

/// Namespace of what hosts measure of themselves.
pub(crate) const METRICS: &str = "Understudy/Hosts";

/// Attributes of the item with which a host says why its set-up failed, and of its key.
const SETUP_ITEM: [&str; 5] = ["at", "cluster", "item", "reason", "step"];

/// A role's profile: what every host needs, and what this one needs beside it.
pub(crate) fn add(
    template: &mut Template,
    site: &Site<'_>,
    role: HostRole,
    logs: Option<&Handle<LogGroup>>,
    own: Vec<Statement>,
) -> (Handle<Role>, Handle<InstanceProfile>) {
    let mut statements = own;
    statements.extend(every_host(site, logs));
    let prefix = role.prefix();
    let policy = Policy { policy_name: role.word().into(), policy_document: PolicyDocument::new(statements) };
    let role = template.add(
        format!("{prefix}Role"),
        Role {
            description: format!("What hosts of cluster {} may do: {}", site.spec.name, role.word()),
            assume_role_policy_document: PolicyDocument::new(vec![Statement::trust("ec2.amazonaws.com")]),
            policies: vec![policy],
            tags: site.tags(),
        },
    );
    let profile = template.add(format!("{prefix}Profile"), InstanceProfile { roles: vec![role.name()] });
    (role, profile)
}

/// To read its settings and the bundle, to say how the set-up went, to be reached by Systems Manager, to send its logs
/// and what it measures.
fn every_host(site: &Site<'_>, logs: Option<&Handle<LogGroup>>) -> Vec<Statement> {
    let objects = Value::join([
        "arn:".into(),
        Value::partition(),
        format!(":s3:::{}/{}/*", site.fleet.bucket, bundle::FOLDER).into(),
    ]);
    let settings = Value::arn("ssm", &format!("parameter{}", site.below_card("settings")));
    let stack = Value::arn("cloudformation", &format!("stack/{}/*", site.stack()));
    let mut statements = vec![
        Statement::allow(&["ssm:GetParameter"], vec![settings]),
        Statement::allow(&["s3:GetObject"], vec![objects]),
        Statement::allow(&["cloudformation:SignalResource"], vec![stack]),
        Statement::allow(&SYSTEMS_MANAGER, vec!["*".into()]),
        // Knows no narrower resource.
        Statement::allow(&["cloudwatch:PutMetricData"], vec!["*".into()]).when(
            "StringEquals",
            "cloudwatch:namespace",
            vec![METRICS.into()],
        ),
    ];
    if logs.is_some() {
        let group = Value::arn("logs", &format!("log-group:{}:*", logs::name(site)));
        let actions = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"];
        statements.push(Statement::allow(&actions, vec![group]));
    }
    statements
}

/// Members read and write the items of their cluster.
pub(crate) fn own_items(site: &Site<'_>) -> Statement {
    // Both actions always carry a key, so the condition cannot be met by an empty set.
    Statement::allow(&["dynamodb:GetItem", "dynamodb:UpdateItem"], vec![table(site)]).when(
        "ForAllValues:StringEquals",
        "dynamodb:LeadingKeys",
        vec![site.spec.name.as_str().into()],
    )
}

/// Other hosts only say why their set-up failed. IAM knows the key's first part alone, so the attributes are what keeps
/// them from the item that says who writes.
pub(crate) fn setup_item(site: &Site<'_>) -> Statement {
    Statement::allow(&["dynamodb:UpdateItem"], vec![table(site)])
        .when("ForAllValues:StringEquals", "dynamodb:LeadingKeys", vec![site.spec.name.as_str().into()])
        .when("ForAllValues:StringEquals", "dynamodb:Attributes", SETUP_ITEM.map(Value::from).to_vec())
}

/// Hosts of etcd mark in an item of their own that they once were of a cluster, and read it back: the same attributes
/// as above, so that they read nothing else either.
///
/// Source: DynamoDB developer guide, "Using IAM policy conditions for fine-grained access control": without the second
/// condition, a request that names no attribute would get all.
pub(crate) fn own_mark(site: &Site<'_>) -> Statement {
    Statement::allow(&["dynamodb:GetItem", "dynamodb:UpdateItem"], vec![table(site)])
        .when("StringEqualsIfExists", "dynamodb:Select", vec!["SPECIFIC_ATTRIBUTES".into()])
        .when("ForAllValues:StringEquals", "dynamodb:LeadingKeys", vec![site.spec.name.as_str().into()])
        .when("ForAllValues:StringEquals", "dynamodb:Attributes", SETUP_ITEM.map(Value::from).to_vec())
}

fn table(site: &Site<'_>) -> Value {
    Value::arn("dynamodb", &format!("table/{}", site.fleet.state_table))
}

/// To read secrets, and with a customer key to have Secrets Manager decrypt them.
pub(crate) fn secrets(site: &Site<'_>, arns: Vec<Value>) -> Vec<Statement> {
    let mut statements = vec![Statement::allow(&["secretsmanager:GetSecretValue"], arns)];
    if let Some(key) = site.kms_key() {
        let service = format!("secretsmanager.{}.amazonaws.com", site.fleet.region);
        statements.push(Statement::allow(&["kms:Decrypt"], vec![key.into()]).when(
            "StringEquals",
            "kms:ViaService",
            vec![service.into()],
        ));
    }
    statements
}
