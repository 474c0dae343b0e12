//! The logins that only this topology has, and what the second Region must know.

use super::balancer::WRITER;
use crate::{
    Handle, Template, Value,
    hosts::Place,
    resource::Secret,
    secrets::{self, password, replicas, secret_name},
    settings::Lines,
    site::Site,
};

/// What every member reads.
pub(super) struct Secrets {
    pub(super) common: secrets::Secrets,
    superuser: Handle<Secret>,
    pooler: Handle<Secret>,
    pub(super) patroni: Handle<Secret>,
}

impl Secrets {
    pub(super) fn add(template: &mut Template, site: &Site<'_>) -> Self {
        let common = secrets::add(template, site);
        let mut add = |id, name, role, purpose| password(template, site, id, name, role, purpose);
        Secrets {
            common,
            superuser: add("SuperuserSecret", "superuser", "postgres", "Patroni"),
            pooler: add("PoolerSecret", "pooler", "pgbouncer", "PgBouncer asks for passwords with it"),
            patroni: add("PatroniSecret", "patroni", "admin", "the unsafe calls of Patroni's API"),
        }
    }

    fn named(&self) -> [(&'static str, &Handle<Secret>); 6] {
        [
            ("OPERATOR_SECRET", &self.common.operator),
            ("REPLICATION_SECRET", &self.common.replication),
            ("APPLICATION_SECRET", &self.common.application),
            ("SUPERUSER_SECRET", &self.superuser),
            ("POOLER_SECRET", &self.pooler),
            ("PATRONI_SECRET", &self.patroni),
        ]
    }

    /// Where the hosts find them.
    pub(super) fn settings(&self, lines: &mut Lines) {
        for (name, secret) in self.named() {
            lines.value(name, secret.arn());
        }
    }

    pub(super) fn arns(&self) -> Vec<Value> {
        self.named().map(|(_, secret)| secret.arn()).to_vec()
    }
}

/// The same lines in the second Region, where the copies are known by the name that they share.
pub(super) fn settings_of_copies(lines: &mut Lines, site: &Site<'_>) {
    for (line, name) in COPIES {
        lines.text(line, &secret_name(site, name));
    }
}

/// The copies, whatever Secrets Manager adds to their names.
pub(super) fn arns_of_copies(site: &Site<'_>) -> Vec<Value> {
    let arn = |name| Value::arn("secretsmanager", &format!("secret:{}-??????", secret_name(site, name)));
    COPIES.map(|(_, name)| arn(name)).to_vec()
}

/// Those of the copies that are logins, beside the operator's.
pub(super) const COPIED_LOGINS: [&str; 5] = ["replication", "application", "superuser", "pooler", "patroni"];

const COPIES: [(&str, &str); 7] = [
    ("OPERATOR_SECRET", "operator"),
    ("REPLICATION_SECRET", "replication"),
    ("APPLICATION_SECRET", "application"),
    ("SUPERUSER_SECRET", "superuser"),
    ("POOLER_SECRET", "pooler"),
    ("PATRONI_SECRET", "patroni"),
    ("DR_SOURCE_SECRET", "source"),
];

/// Where the standby in the second Region finds the members. Nothing in it is secret: Secrets Manager is what copies
/// it into that Region, whose stack cannot know it and must not depend on this Region to read it.
pub(super) fn source(template: &mut Template, site: &Site<'_>, members: &[&Place], balancer: Value) {
    let mut parts = vec![Value::from("{\"hosts\":\"")];
    for (at, member) in members.iter().enumerate() {
        parts.extend([if at == 0 { "" } else { " " }.into(), member.interface.address()]);
    }
    let (record, port) = (site.records().writer, site.spec.postgresql.port);
    parts.push("\",\"balancer\":\"".into());
    // All have one port, or the load balancer is no help.
    parts.extend((port == WRITER).then_some(balancer));
    parts.push(format!("\",\"record\":\"{record}\",\"port\":\"{port}\"}}").into());
    let secret = Secret {
        name: secret_name(site, "source"),
        description: format!("Where PostgreSQL cluster {} is, for its standby in the second Region", site.spec.name),
        generate_secret_string: None,
        secret_string: Some(Value::join(parts)),
        kms_key_id: site.kms_key(),
        replica_regions: replicas(site),
        tags: site.tags(),
    };
    template.add("SourceSecret", secret);
}
