//! What a member runs at its first boot: the scripts of `infra/nodes`, word for
//! word, and the file that tells them who they are.

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

/// The parts that are the same for all members, which stand in the template once.
pub(super) struct Shared {
    environment: Vec<Value>,
    scripts: Value,
}

impl Shared {
    pub(super) fn add(template: &mut Template, site: &Site<'_>, places: &[Place], secrets: &Secrets) -> Self {
        let scripts = template.constant("Nodes", "Scripts", scripts());
        Shared { environment: environment(site, places, secrets), scripts }
    }

    /// The whole of one member.
    pub(super) fn user_data(&self, place: &Place, logical_id: &str) -> Value {
        let mut parts: Vec<Value> = vec![
            format!(
                "#!/bin/bash\nset -eu\ncd \"${{ROOT:-/}}\"\nmkdir -p etc/understudy opt/understudy\n\
                 cat >etc/understudy/member.env <<'{END}'\n"
            )
            .into(),
        ];
        parts.extend(self.environment.iter().cloned());
        parts.push(format!("MEMBER={}\nLOGICAL_ID={logical_id}\nADDRESS=", place.name).into());
        parts.push(place.interface.address());
        // Where members have no disks of their own, the environment says so: DATA_VOLUME="".
        parts.push("\nDATA_VOLUME=${DATA_VOLUME-".into());
        parts.push(place.volume.id());
        parts.push(format!("}}\n{END}\n").into());
        parts.push(self.scripts.clone());
        Value::join(parts)
    }
}

/// The lines of `member.env` that all members share. The file is read by a
/// shell; no value holds a character that a shell would take for its own.
fn environment(site: &Site<'_>, places: &[Place], secrets: &Secrets) -> Vec<Value> {
    let (spec, fleet) = (site.spec, site.fleet);
    let mut parts: Vec<Value> = vec![
        format!(
            "FLEET={}\nCLUSTER={}\nSTACK={}\nREGION={}\nSTATE_TABLE={}\nWRITER_RECORD={}\n",
            fleet.name,
            spec.name,
            site.stack(),
            fleet.region,
            fleet.state_table,
            site.records().writer,
        )
        .into(),
        format!(
            "POSTGRESQL_VERSION={}\nPORT={}\nDATABASE={}\nAPPLICATION_ROLE={}\nSYNCHRONOUS_REQUIRED={}\n",
            spec.postgresql.version,
            spec.postgresql.port,
            spec.postgresql.database,
            spec.postgresql.owner,
            spec.synchronous.required,
        )
        .into(),
        format!("CLIENT_CIDRS=\"{}\"\nTLS_SECRET={}\n", site.client_cidrs().join(" "), site.tls.secret_arn).into(),
    ];
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

/// Writes every script, then runs the first of them.
fn scripts() -> String {
    let mut text = "cd opt/understudy\n".to_owned();
    for (name, content) in SCRIPTS {
        text += &format!("cat >{name} <<'{END}'\n{content}{END}\n");
    }
    text + "exec bash \"$PWD/setup.sh\"\n"
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
