//! What all hosts of a cluster are told: one SSM parameter, which they read at their first boot and every few minutes.

use crate::{
    Handle, Template, Value, bundle,
    hosts::Place,
    logs,
    resource::{LogGroup, StringParameter},
    site::Site,
};
use base64::{Engine, prelude::BASE64_STANDARD};

/// Lines `NAME=value` that a shell reads.
pub(crate) struct Lines(Vec<Value>);

impl Lines {
    /// Those that every topology has.
    pub(crate) fn of(site: &Site<'_>, logs: Option<&Handle<LogGroup>>) -> Self {
        let (spec, records) = (site.spec, site.records());
        let never_promote: Vec<String> = spec.members.never_promote.iter().map(|&number| spec.member(number)).collect();
        let postgresql = &spec.postgresql;
        let admin_cidrs = spec.access.bastion.as_ref().map_or(&[][..], |bastion| &bastion.admin_cidrs);
        let mut lines = Lines(Vec::new());
        lines.text("TOPOLOGY", &spec.topology.to_string());
        lines.text("BUNDLE", bundle().key);
        lines.text("BUNDLE_SHA256", bundle().sha256);
        lines.text("WRITER_RECORD", &records.writer);
        lines.text("READER_RECORD", &records.reader);
        lines.text("POSTGRESQL_VERSION", &postgresql.version.to_string());
        lines.text("PORT", &postgresql.port.to_string());
        lines.text("DATABASE", &postgresql.database);
        lines.text("APPLICATION_ROLE", &postgresql.owner);
        lines.text("MAX_CONNECTIONS", &postgresql.max_connections.to_string());
        lines.text("PASSWORD_ENCRYPTION", &postgresql.password_encryption.to_string());
        lines.text("PARAMETERS", &parameters(site));
        lines.text("SYNCHRONOUS_REQUIRED", &spec.synchronous.required.to_string());
        lines.text("TTL", &spec.policy.ttl_s.to_string());
        lines.words("NEVER_PROMOTE", &never_promote);
        lines.words("CLIENT_CIDRS", site.client_cidrs());
        lines.words("FLEET_CIDRS", &site.fleet.vpc_cidrs);
        lines.words("MANAGEMENT_CIDRS", &spec.access.management_cidrs);
        lines.words("MONITORING_CIDRS", &spec.access.monitoring_cidrs);
        lines.words("ADMIN_CIDRS", admin_cidrs);
        lines.text("LOG_GROUP", &logs.map(|_| logs::name(site)).unwrap_or_default());
        lines.text("PAGES_TOPIC", &site.fleet.pages_topic_arn);
        lines
    }

    /// A text in which a shell finds nothing of its own: no space, quotation mark, `$`, backtick or backslash.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.0.push(format!("{name}={value}\n").into());
    }

    /// A number, or `true` and `false`.
    pub(crate) fn number(&mut self, name: &str, value: impl std::fmt::Display) {
        self.text(name, &value.to_string());
    }

    /// Several of them.
    pub(crate) fn words<S: AsRef<str>>(&mut self, name: &str, words: &[S]) {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        self.0.push(format!("{name}=\"{}\"\n", words.join(" ")).into());
    }

    /// What only CloudFormation knows.
    pub(crate) fn value(&mut self, name: &str, value: Value) {
        self.0.extend([format!("{name}=").into(), value, "\n".into()]);
    }

    /// The address of a host, or nothing.
    pub(crate) fn address(&mut self, name: &str, host: Option<&Place>) {
        self.value(name, host.map_or("".into(), |host| host.interface.address()));
    }

    /// `NAME="orders_1=10.0.1.5 orders_2=10.0.2.5"`.
    pub(crate) fn hosts(&mut self, name: &str, hosts: &[Place]) {
        let mut parts = vec![Value::from(format!("{name}=\""))];
        for (at, host) in hosts.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            parts.extend([format!("{space}{}=", host.name).into(), host.interface.address()]);
        }
        parts.push("\"\n".into());
        self.0.extend(parts);
    }

    /// The parameter that holds them.
    pub(crate) fn add(self, template: &mut Template, site: &Site<'_>) -> Handle<StringParameter> {
        let parameter = StringParameter {
            name: site.below_card("settings"),
            description: format!("Cluster {}: what its hosts are told", site.spec.name),
            r#type: "String",
            tier: "Intelligent-Tiering",
            value: Value::join(self.0),
            tags: site.tag_map(),
        };
        template.add("Settings", parameter)
    }
}

/// PostgreSQL's parameters of the spec, JSON in base 64: their values may hold anything.
fn parameters(site: &Site<'_>) -> String {
    let parameters = &site.spec.postgresql.parameters;
    if parameters.is_empty() {
        return String::new();
    }
    #[expect(clippy::expect_used, reason = "a map of strings: there is nothing that JSON cannot hold")]
    let text = serde_json::to_string(parameters).expect("parameters are JSON");
    BASE64_STANDARD.encode(text)
}
