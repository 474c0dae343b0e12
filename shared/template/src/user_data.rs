//! What a host runs at its first boot: who it is, and the script that fetches everything else.
//!
//! Of what is said here nothing changes in the life of an instance: another user data would stop or replace it, and
//! all members at the same time. What may change is in the settings and in the bundle, which hosts fetch anew.

use crate::{Template, Value, hosts::Place, site::Site};

/// Fetches settings and bundle, and runs the latter's `setup.sh`.
const BOOTSTRAP: &str = include_str!("../../../infra/nodes/bootstrap.sh");

/// Ends a file within the script; no value is that.
const END: &str = "EOF_";

/// The user data of one host. Its texts stand in the template once for all hosts.
pub(crate) fn of(template: &mut Template, site: &Site<'_>, place: &Place) -> Value {
    let mut parts = vec![
        template.constant("UserData", "Beginning", beginning(site)),
        format!("ROLE={}\nMEMBER={}\nLOGICAL_ID={}\nADDRESS=", place.role.word(), place.name, place.id).into(),
        place.interface.address(),
        "\n".into(),
    ];
    for (name, volume) in [("DATA_VOLUME", &place.data), ("WAL_VOLUME", &place.wal), ("BACKUP_VOLUME", &place.backup)] {
        parts.push(format!("{name}=").into());
        parts.extend(volume.as_ref().map(|volume| volume.id()));
        parts.push("\n".into());
    }
    parts.push(template.constant("UserData", "Ending", format!("{END}\n{}", without_comments(BOOTSTRAP))));
    Value::join(parts)
}

/// Begins `identity.env`. The file is read by a shell; no value holds a character that a shell would take for its own.
fn beginning(site: &Site<'_>) -> String {
    let lines = [
        ("FLEET", site.fleet.name.clone()),
        ("CLUSTER", site.spec.name.clone()),
        ("STACK", site.stack()),
        ("REGION", site.fleet.region.clone()),
        ("STATE_TABLE", site.fleet.state_table.clone()),
        ("SETTINGS", site.below_card("settings")),
        ("BUCKET", site.fleet.bucket.clone()),
    ];
    let mut text = "#!/bin/bash\nset -eu\nmkdir -p \"${ROOT:-}/etc/understudy\"\n".to_owned();
    text += &format!("cat >\"${{ROOT:-}}/etc/understudy/identity.env\" <<'{END}'\n");
    for (name, value) in lines {
        text += &format!("{name}={value}\n");
    }
    text
}

/// Comments stay in the repository: EC2 takes 16 KiB.
fn without_comments(script: &str) -> String {
    let comment = |line: &str| matches!(line.trim_start().as_bytes(), [b'#', b' ' | b'\n', ..] | [b'#', b'!', ..]);
    script.split_inclusive('\n').filter(|line| !comment(line)).collect()
}
