//! RDS Proxy: connections that outlive a failover.

use super::{
    identifier,
    placed::{Placed, nothing_out},
    secrets::Secrets,
};
use crate::{
    After, Handle, Template, Value, groups,
    resource::{
        ConnectionPool, DbProxy, DbProxyTargetGroup, Policy, PolicyDocument, ProxyAuth, Role, SecurityGroup, Statement,
    },
    roles,
    site::Site,
};
use domain::spec::PasswordEncryption;

/// Port of a proxy for PostgreSQL, whatever the databases' is.
///
/// Source: Amazon RDS User Guide, "Connecting to a database through RDS Proxy": the engine's usual port.
const PORT: u16 = 5432;

/// What stands behind a proxy.
pub(crate) enum Behind {
    /// A DB cluster.
    Cluster(Value),
    /// The instance that writes.
    Instance(Value),
}

/// The proxy, if the spec wants one; `after`: the instances, without which it has no target.
pub(crate) fn add(
    template: &mut Template,
    site: &Site<'_>,
    placed: &Placed,
    secrets: &Secrets,
    behind: Behind,
    after: &[After],
) -> Option<Handle<DbProxy>> {
    let wanted = site.spec.managed().proxy?;
    let group = security_group(template, site, placed);
    let read = vec![secrets.application.clone()];
    let role = template.add("ProxyRole", role(site, read.clone()));
    let auth = |secret_arn| ProxyAuth {
        auth_scheme: "SECRETS",
        secret_arn,
        iam_auth: "DISABLED",
        client_password_auth_type: Some(match site.spec.postgresql.password_encryption {
            PasswordEncryption::Scram => "POSTGRES_SCRAM_SHA_256",
            PasswordEncryption::Md5 => "POSTGRES_MD5",
        }),
    };
    let proxy = DbProxy {
        name: identifier(site),
        engine_family: "POSTGRESQL",
        auth: read.into_iter().map(auth).collect(),
        role_arn: role.arn(),
        vpc_subnet_ids: placed.network.private.iter().map(|subnet| subnet.id.clone()).collect(),
        vpc_security_group_ids: vec![group.group_id()],
        require_tls: true,
        idle_client_timeout: wanted.idle_client_timeout_s,
        tags: site.tags(),
    };
    let proxy = template.add("Proxy", proxy);
    let (clusters, instances) = match behind {
        Behind::Cluster(identifier) => (vec![identifier], Vec::new()),
        Behind::Instance(identifier) => (Vec::new(), vec![identifier]),
    };
    let targets = DbProxyTargetGroup {
        proxy: proxy.name(),
        target_group_name: "default",
        clusters,
        instances,
        pool: ConnectionPool { max_connections_percent: wanted.max_connections_percent },
    };
    let targets = template.add("ProxyTargets", targets);
    template.create_after_all(&targets, after);
    template.output("ProxyEndpoint", "RDS Proxy: where applications with many connections connect", proxy.endpoint());
    Some(proxy)
}

/// Clients reach the proxy, the proxy the databases.
fn security_group(template: &mut Template, site: &Site<'_>, placed: &Placed) -> Handle<SecurityGroup> {
    let group = SecurityGroup {
        group_description: format!("RDS Proxy of PostgreSQL cluster {}", site.spec.name),
        vpc_id: placed.network.vpc_id.clone(),
        security_group_ingress: groups::from_networks(PORT, site.client_cidrs(), "Clients"),
        security_group_egress: nothing_out(),
        tags: site.named(&format!("{} proxy", site.stack())),
    };
    let group = template.add("ProxySecurityGroup", group);
    let port = site.spec.postgresql.port;
    let why = "RDS Proxy to the databases";
    groups::connect(template, ("Proxy", &group), ("Database", &placed.group), port, "Postgresql", why);
    group
}

/// What the proxy may read: the passwords of those who come through it.
fn role(site: &Site<'_>, secrets: Vec<Value>) -> Role {
    let policy =
        Policy { policy_name: "secrets".into(), policy_document: PolicyDocument::new(roles::secrets(site, secrets)) };
    let trust = Statement::trust("rds.amazonaws.com").when("StringEquals", "aws:SourceAccount", vec![Value::account()]);
    Role {
        description: format!("RDS Proxy of PostgreSQL cluster {}", site.spec.name),
        assume_role_policy_document: PolicyDocument::new(vec![trust]),
        policies: vec![policy],
        tags: site.tags(),
    }
}
