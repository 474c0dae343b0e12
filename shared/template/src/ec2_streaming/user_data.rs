//! What a member runs at its first boot: the scripts of `infra/nodes`, line for
//! line but for comments, and the file that tells them who they are.

use super::{Secrets, Site, members::Place};
use crate::{Template, Value};

const SCRIPTS: [(&str, &str); 5] = [
    ("lib.sh", include_str!("../../../../infra/nodes/lib.sh")),
    ("setup.sh", include_str!("../../../../infra/nodes/setup.sh")),
    ("start.sh", include_str!("../../../../infra/nodes/start.sh")),
    ("rebuild-standby.sh", include_str!("../../../../infra/nodes/rebuild-standby.sh")),
    ("understudy-postgresql.service", include_str!("../../../../infra/nodes/understudy-postgresql.service")),
];

/// Ends every file within the script; no script has such a line. Short, as every
/// byte around the scripts is one that they cannot have.
const END: &str = "EOF_";

/// The parts that are the same for all members; the texts among them stand in
/// the template once.
pub(super) struct Shared {
    beginning: Value,
    references: Vec<Value>,
    scripts: Value,
}

impl Shared {
    pub(super) fn add(template: &mut Template, site: &Site<'_>, places: &[Place], secrets: &Secrets) -> Self {
        Shared {
            beginning: template.constant("UserData", "Beginning", beginning(site)),
            references: references(places, secrets),
            scripts: template.constant("UserData", "Scripts", scripts()),
        }
    }

    /// The whole of one member.
    pub(super) fn user_data(&self, place: &Place, logical_id: &str) -> Value {
        let mut parts = vec![self.beginning.clone()];
        parts.extend(self.references.iter().cloned());
        parts.push(format!("MEMBER={}\nLOGICAL_ID={logical_id}\nADDRESS=", place.name).into());
        parts.push(place.interface.address());
        parts.push("\nDATA_VOLUME=".into());
        parts.push(place.volume.id());
        parts.push("\n".into());
        parts.push(self.scripts.clone());
        Value::join(parts)
    }
}

/// Begins `member.env`. The file is read by a shell; no value holds a character
/// that a shell would take for its own.
fn beginning(site: &Site<'_>) -> String {
    let (spec, fleet) = (site.spec, site.fleet);
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

/// The lines of `member.env` that name other resources.
fn references(places: &[Place], secrets: &Secrets) -> Vec<Value> {
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
    parts.push("\"\n".into());
    parts
}

/// Ends `member.env`, writes every script, then runs the first of them.
fn scripts() -> String {
    let mut text = format!("{END}\ncd opt/understudy\n");
    for (name, content) in SCRIPTS {
        text += &format!("cat >{name} <<'{END}'\n{}{END}\n", without_comments(content));
    }
    text + "exec bash \"$PWD/setup.sh\"\n"
}

/// Comments stay in the repository: user data has room for 16 KiB.
fn without_comments(script: &str) -> String {
    script.split_inclusive('\n').filter(|line| !line.starts_with("# ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_script_ends_its_own_file() {
        for (name, content) in SCRIPTS {
            assert!(content.ends_with('\n'), "{name}: its last line would swallow the end of the file");
            assert!(!content.lines().any(|line| line == END), "{name}: {END} would cut it short");
            assert!(content.is_ascii(), "{name}: 16 KiB are counted in bytes");
        }
    }
}
