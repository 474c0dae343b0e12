//! What a member runs at its first boot: the scripts of `infra/nodes`, and the
//! file that tells them who they are.
//!
//! The scripts are packed (tar, gzip, base 64) and without their comments, as EC2
//! takes 16 KiB of user data, CloudFormation 50 KiB of template, and they are more
//! than 40 KiB. To read them, look into `infra/nodes`, or without comments into
//! `/opt/understudy` of a member. Those that the first boot begins with are in
//! the user data; it fetches the others from parameters of the stack.

use super::{Secrets, Site, members::Place};
use crate::{Handle, Template, Value, resource::StringParameter};
use base64::{Engine, prelude::BASE64_STANDARD};
use domain::card::Card;
use flate2::{Compression, GzBuilder};
use std::io;

type File = (&'static str, &'static str);

/// What fetches the rest, and what that needs.
const FIRST: [File; 2] = [
    ("lib.sh", include_str!("../../../../infra/nodes/lib.sh")),
    ("setup.sh", include_str!("../../../../infra/nodes/setup.sh")),
];

const REST: [File; 5] = [
    ("start.sh", include_str!("../../../../infra/nodes/start.sh")),
    ("guard.sh", include_str!("../../../../infra/nodes/guard.sh")),
    ("rejoin.sh", include_str!("../../../../infra/nodes/rejoin.sh")),
    ("understudy-postgresql.service", include_str!("../../../../infra/nodes/understudy-postgresql.service")),
    ("understudy-guard.service", include_str!("../../../../infra/nodes/understudy-guard.service")),
];

/// The longest value of a standard parameter, in bytes.
///
/// Source: Systems Manager user guide, "Managing parameter tiers".
const PARAMETER_LIMIT: usize = 4_096;

/// When all files were last changed, in seconds since 1970: always the first day of 2026. Of 1970, tar would not
/// believe it.
const PACKED_AT: u64 = 1_767_225_600;

/// Ends a file within the script; no line of it is that: base 64 has no `_`.
const END: &str = "EOF_";

/// The parts that are the same for all members; the texts among them stand in
/// the template once.
pub(super) struct Shared {
    beginning: Value,
    references: Value,
    ending: Value,
}

impl Shared {
    pub(super) fn add(template: &mut Template, site: &Site<'_>, places: &[Place], secrets: &Secrets) -> Self {
        Shared {
            beginning: template.constant("UserData", "Beginning", beginning(site)),
            references: references(template, site, places, secrets),
            ending: template.constant("UserData", "Ending", ending()),
        }
    }

    /// The whole of one member.
    pub(super) fn user_data(&self, place: &Place, logical_id: &str) -> Value {
        let mut parts = vec![self.beginning.clone(), self.references.clone()];
        parts.push(format!("MEMBER={}\nLOGICAL_ID={logical_id}\nADDRESS=", place.name).into());
        parts.push(place.interface.address());
        parts.push("\nDATA_VOLUME=".into());
        parts.push(place.volume.id());
        parts.push("\n".into());
        parts.push(self.ending.clone());
        Value::join(parts)
    }
}

/// Begins `member.env`. The file is read by a shell; no value holds a character
/// that a shell would take for its own.
fn beginning(site: &Site<'_>) -> String {
    let (spec, fleet) = (site.spec, site.fleet);
    let never_promote: Vec<String> = spec.members.never_promote.iter().map(|&number| spec.member(number)).collect();
    let lines = [
        ("FLEET", fleet.name.clone()),
        ("CLUSTER", spec.name.clone()),
        ("STACK", site.stack()),
        ("REGION", fleet.region.clone()),
        ("STATE_TABLE", fleet.state_table.clone()),
        ("WRITER_RECORD", site.records().writer),
        ("POSTGRESQL_VERSION", spec.postgresql.version.to_string()),
        ("PORT", spec.postgresql.port.to_string()),
        ("DATABASE", spec.postgresql.database.clone()),
        ("APPLICATION_ROLE", spec.postgresql.owner.clone()),
        ("SYNCHRONOUS_REQUIRED", spec.synchronous.required.to_string()),
        ("TTL", spec.policy.ttl_s.to_string()),
        ("NEVER_PROMOTE", format!("\"{}\"", never_promote.join(" "))),
        ("CLIENT_CIDRS", format!("\"{}\"", site.client_cidrs().join(" "))),
        ("TLS_SECRET", site.tls.secret_arn.clone()),
    ];
    let mut text = "#!/bin/bash\nset -eu\ncd \"${ROOT:-/}\"\nmkdir -p etc/understudy opt/understudy\n".to_owned();
    text += &format!("cat >etc/understudy/member.env <<'{END}'\n");
    for (name, value) in lines {
        text += &format!("{name}={value}\n");
    }
    text
}

/// The lines of `member.env` that name other resources. A parameter is how a
/// template holds them once for all members.
fn references(template: &mut Template, site: &Site<'_>, places: &[Place], secrets: &Secrets) -> Value {
    let mut parts: Vec<Value> = Vec::new();
    let named = [
        ("OPERATOR_SECRET", &secrets.operator),
        ("REPLICATION_SECRET", &secrets.replication),
        ("APPLICATION_SECRET", &secrets.application),
    ];
    for (name, secret) in named {
        parts.extend([format!("{name}=").into(), secret.arn(), "\n".into()]);
    }
    parts.push("MEMBERS=\"".into());
    for place in places {
        let space = if place.number == 1 { "" } else { " " };
        parts.extend([format!("{space}{}=", place.name).into(), place.interface.address()]);
    }
    parts.push("\"\nSCRIPTS=\"".into());
    for (at, parameter) in scripts(template, site).iter().enumerate() {
        parts.extend([if at == 0 { "" } else { " " }.into(), parameter.name()]);
    }
    parts.push("\"\n".into());
    let value = Value::join(parts);
    template.add("MemberSettings", parameter(site, "settings", "what its members are told", value)).value()
}

/// The parameters with the scripts that user data has no room for, in order.
fn scripts(template: &mut Template, site: &Site<'_>) -> Vec<Handle<StringParameter>> {
    let text = packed(&REST);
    let mut parameters = Vec::new();
    // Base 64: a byte is a character.
    for (number, part) in (1..).zip(text.as_bytes().chunks(PARAMETER_LIMIT)) {
        let value = String::from_utf8_lossy(part).into_owned().into();
        let part = parameter(site, &format!("scripts-{number}"), "scripts of its members: tar, gzip, base 64", value);
        parameters.push(template.add(format!("Scripts{number}"), part));
    }
    parameters
}

/// A parameter below the card: not found where cards are listed.
fn parameter(site: &Site<'_>, name: &str, what: &str, value: Value) -> StringParameter {
    StringParameter {
        name: format!("{}/{name}", Card::parameter(&site.fleet.name, &site.spec.name)),
        description: format!("Cluster {}: {what}", site.spec.name),
        r#type: "String",
        value,
        tags: site.tag_map(),
    }
}

/// Ends `member.env`, unpacks the first scripts and runs one of them.
fn ending() -> String {
    let packed = packed(&FIRST);
    format!("{END}\ncd opt/understudy\nbase64 -d <<'{END}' | tar xz\n{packed}\n{END}\nexec bash \"$PWD/setup.sh\"\n")
}

/// Files as `base64 -d | tar xz` unpacks them. The same files are the same text,
/// always: another one would replace every member. So there is no time and no
/// owner in it, and gzip does not say on what it was made.
fn packed(files: &[File]) -> String {
    #[expect(clippy::expect_used, reason = "a vector in memory takes whatever is written to it")]
    let bytes = archive(files).expect("packing in memory");
    BASE64_STANDARD.encode(bytes)
}

fn archive(files: &[File]) -> io::Result<Vec<u8>> {
    let gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    let mut tar = tar::Builder::new(gzip);
    for (name, content) in files {
        let content = without_comments(content);
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(PACKED_AT);
        header.set_uid(0);
        header.set_gid(0);
        tar.append_data(&mut header, name, content.as_bytes())?;
    }
    tar.into_inner()?.finish()
}

/// Comments stay in the repository.
fn without_comments(script: &str) -> String {
    let comment = |line: &str| matches!(line.trim_start().as_bytes(), [b'#', b' ' | b'\n', ..]);
    script.split_inclusive('\n').filter(|line| !comment(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that another version of the packing crates would make others of: seen here, not at a deployment.
    #[test]
    fn packing_is_the_same_everywhere() {
        let packed = packed(&[("a.sh", "echo a\n"), ("b.sh", "echo b\n")]);
        let expected = "H4sIAAAAAAAC/+3TMQqAMAwF0MyeoicQ26bteVoRuhWs3t+gm7tFyH/LhywhgZ/nXulji4jMd4p3ikQ2WBe8Z37mkZOjIc5+5F1Wkk7b\
                        WpvJk9Lrofy2/37MA9D/Zgr6DwCgzQXEnT4sAAwAAA==";
        assert_eq!(packed, expected);
    }
}
