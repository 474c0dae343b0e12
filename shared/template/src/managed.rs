//! What the topologies share that AWS runs: where the databases are, their key, secrets, parameters, alarms and card.

pub(crate) mod alarms;
pub(crate) mod card;
pub(crate) mod key;
pub(crate) mod logs;
pub(crate) mod outputs;
pub(crate) mod pair;
pub(crate) mod parameters;
pub(crate) mod placed;
pub(crate) mod proxy;
pub(crate) mod secrets;
mod units;
pub(crate) mod watching;

use crate::{Part, site::Site};
use domain::card::{Records, Side};

/// Authority of the servers' certificates: RSA of 2048 bits, which every client knows how to verify, until 2061.
///
/// Source: Amazon RDS User Guide, "Using SSL/TLS to encrypt a connection to a DB instance or cluster".
pub(crate) const AUTHORITY: &str = "rds-ca-rsa2048-g1";

/// The log that PostgreSQL writes, as RDS exports it.
pub(crate) const LOG: &str = "postgresql";

/// Identifier of a DB cluster, and the beginning of its instances': the same in both Regions.
pub(crate) fn identifier(site: &Site<'_>) -> String {
    format!("{}-{}", site.fleet.name, site.spec.name)
}

/// Identifier of the global cluster.
pub(crate) fn global_identifier(site: &Site<'_>) -> String {
    format!("{}-global", identifier(site))
}

/// Major version, with the minor one if the spec names one; else AWS takes its default of the major version.
pub(crate) fn engine_version(site: &Site<'_>) -> String {
    let major = site.spec.postgresql.version;
    site.spec.managed().minor_version.map_or_else(|| major.to_string(), |minor| format!("{major}.{minor}"))
}

/// The records of this side. Both sides can have the same hosted zone, so the second Region's are called otherwise.
pub(crate) fn records(site: &Site<'_>) -> Records {
    let mut records = site.records();
    if site.part == Part::Dr {
        records.writer = records.writer.replacen("-rw.", "-dr-rw.", 1);
        records.reader = records.reader.replacen("-ro.", "-dr-ro.", 1);
    }
    records
}

/// Which side this is, as the card says it.
pub(crate) fn side(site: &Site<'_>) -> Side {
    match site.part {
        Part::Primary => Side::Primary,
        Part::Dr => Side::Dr,
    }
}

/// The Region of the other side, if there is one.
pub(crate) fn other_region<'a>(site: &Site<'a>) -> Option<&'a str> {
    let dr = site.spec.dr.as_ref()?;
    Some(match site.part {
        Part::Primary => &dr.region,
        Part::Dr => &dr.primary_region,
    })
}

/// Whether logs of the databases go to CloudWatch Logs.
pub(crate) fn exports_logs(site: &Site<'_>) -> bool {
    site.spec.managed().log_exports && site.spec.log_days > 0
}
