//! What members may do in AWS, and who may reach them.

use super::{Secrets, Site};
use crate::{
    Handle, Template, Value,
    resource::{
        Egress, InstanceProfile, Policy, PolicyDocument, Role, SecurityGroup, SecurityGroupEgress,
        SecurityGroupIngress, Source, Statement,
    },
};

/// What Session Manager needs and no more: AmazonSSMManagedInstanceCore would let
/// a member read every SSM parameter of the account. These know no narrower resource.
///
/// Source: Systems Manager user guide, "Add Session Manager permissions to an existing IAM role".
const SESSION_MANAGER: [&str; 5] = [
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
];

/// The role of the members: their own state item, their own four secrets, the
/// signal to their own stack, and Session Manager for people.
pub(super) fn role(template: &mut Template, site: &Site<'_>, secrets: &Secrets) -> Handle<InstanceProfile> {
    let state = Value::arn("dynamodb", &format!("table/{}", site.fleet.state_table));
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
        Statement::allow(&["cloudformation:SignalResource"], vec![stack]),
        Statement::allow(&SESSION_MANAGER, vec!["*".into()]),
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
    let out = |port, description: &str| Egress {
        description: description.to_owned(),
        ip_protocol: "tcp",
        from_port: port,
        to_port: port,
        cidr_ip: "0.0.0.0/0".into(),
    };
    let group = template.add(
        "MemberSecurityGroup",
        SecurityGroup {
            group_description: format!("Members of PostgreSQL cluster {}", site.spec.name),
            vpc_id: site.fleet.vpc_id.as_str().into(),
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
    let mut let_in = |id: String, description: &str, source: Source| {
        template.add(
            id,
            SecurityGroupIngress {
                group_id: group.group_id(),
                description: description.to_owned(),
                ip_protocol: "tcp",
                from_port: port,
                to_port: port,
                source,
            },
        );
    };
    let_in("IngressFromMembers".into(), "Replication and peers", Source::Group(group.group_id()));
    let functions = site.fleet.functions_security_group_id.as_str().into();
    let_in("IngressFromFunctions".into(), "Functions of Understudy", Source::Group(functions));
    for network in site.client_cidrs() {
        // Named by the network: a list in another order changes nothing.
        let id = format!("IngressFrom{}", network.replace(['.', '/'], "x"));
        let_in(id, "Clients", Source::Network(network.clone()));
    }
    group
}
