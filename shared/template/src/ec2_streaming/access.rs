//! What members may do in AWS, and who may reach them.

use super::{Secrets, Site};
use crate::{
    Handle, Template, Value,
    resource::{
        InstanceProfile, NetworkRule, Policy, PolicyDocument, Role, SecurityGroup, SecurityGroupEgress,
        SecurityGroupIngress, Statement,
    },
};
use domain::card::Card;
use std::collections::BTreeSet;

/// What Session Manager (for people) and Run Command (for rejoin-replica) need and
/// no more: AmazonSSMManagedInstanceCore would let a member read every SSM parameter
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

/// The role of the members: their own items of the state table, their own four
/// secrets, their scripts, the signal to their own stack, and Systems Manager.
pub(super) fn role(template: &mut Template, site: &Site<'_>, secrets: &Secrets) -> Handle<InstanceProfile> {
    let state = Value::arn("dynamodb", &format!("table/{}", site.fleet.state_table));
    let scripts = format!("parameter{}/scripts-*", Card::parameter(&site.fleet.name, &site.spec.name));
    let stack = Value::arn("cloudformation", &format!("stack/{}/*", site.stack()));
    let own_secrets = vec![
        secrets.operator.arn(),
        secrets.replication.arn(),
        secrets.application.arn(),
        site.tls.secret_arn.as_str().into(),
    ];
    let statements = vec![
        // Both actions always carry a key, so the condition cannot be met by an empty set.
        Statement::allow(&["dynamodb:GetItem", "dynamodb:UpdateItem"], vec![state]).when(
            "ForAllValues:StringEquals",
            "dynamodb:LeadingKeys",
            vec![site.spec.name.clone()],
        ),
        Statement::allow(&["secretsmanager:GetSecretValue"], own_secrets),
        Statement::allow(&["ssm:GetParameter"], vec![Value::arn("ssm", &scripts)]),
        Statement::allow(&["cloudformation:SignalResource"], vec![stack]),
        Statement::allow(&SYSTEMS_MANAGER, vec!["*".into()]),
    ];
    let role = template.add(
        "MemberRole",
        Role {
            description: format!("What the members of cluster {} may do", site.spec.name),
            assume_role_policy_document: PolicyDocument::new(vec![Statement::trust("ec2.amazonaws.com")]),
            policies: vec![Policy { policy_name: "member".into(), policy_document: PolicyDocument::new(statements) }],
            tags: site.tags(),
        },
    );
    template.add("MemberProfile", InstanceProfile { roles: vec![role.name()] })
}

/// The group of the members: PostgreSQL's port from clients, from Understudy's
/// functions and among the members; out, only what installing and AWS's API need.
pub(super) fn security_group(template: &mut Template, site: &Site<'_>) -> Handle<SecurityGroup> {
    let port = site.spec.postgresql.port;
    let rule = |port, network: &str, description: &str| NetworkRule {
        description: description.to_owned(),
        ip_protocol: "tcp",
        from_port: port,
        to_port: port,
        cidr_ip: network.to_owned(),
    };
    let out = |port, description| rule(port, "0.0.0.0/0", description);
    // A list in another order changes nothing. Within the group, where a rule takes half the room of a resource.
    let clients: BTreeSet<&String> = site.client_cidrs().iter().collect();
    let group = template.add(
        "MemberSecurityGroup",
        SecurityGroup {
            group_description: format!("Members of PostgreSQL cluster {}", site.spec.name),
            vpc_id: site.fleet.vpc_id.as_str().into(),
            security_group_ingress: clients.into_iter().map(|network| rule(port, network, "Clients")).collect(),
            security_group_egress: vec![out(443, "AWS APIs and packages"), out(80, "Debian packages, signed")],
            tags: site.named(&site.stack()),
        },
    );
    template.add(
        "EgressToMembers",
        SecurityGroupEgress {
            group_id: group.group_id(),
            description: "Replication and peers".into(),
            ip_protocol: "tcp",
            from_port: port,
            to_port: port,
            destination_security_group_id: group.group_id(),
        },
    );
    let mut let_in = |id: &str, description: &str, source: Value| {
        let rule = SecurityGroupIngress {
            group_id: group.group_id(),
            description: description.to_owned(),
            ip_protocol: "tcp",
            from_port: port,
            to_port: port,
            source_security_group_id: source,
        };
        template.add(id, rule);
    };
    let_in("IngressFromMembers", "Replication and peers", group.group_id());
    let functions = site.fleet.functions_security_group_id.as_str().into();
    let_in("IngressFromFunctions", "Functions of Understudy", functions);
    group
}
