//! The way to another major version, in numbered steps, with what must be well before each.
//!
//! Source: Amazon RDS User Guide, "How to perform a major version upgrade for RDS for PostgreSQL"; Amazon Aurora User
//! Guide, "Performing a major version upgrade"; PostgreSQL manual, "pg_upgrade".

use super::Limits;
use crate::card::Topology;
use std::fmt;

/// What was found of a cluster that is to get another major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The cluster.
    pub cluster: String,
    /// The fleet: part of every identifier.
    pub fleet: String,
    /// How it is built.
    pub topology: Topology,
    /// Its engine version: `16.4`.
    pub version: String,
    /// Versions that RDS upgrades it to, of the wanted major version.
    pub targets: Vec<String>,
    /// What a blue/green deployment cannot have.
    pub limits: Limits,
    /// Replicas and readers in this Region.
    pub replicas: Vec<String>,
    /// Parameters that the spec sets.
    pub parameters: Vec<String>,
    /// What the server itself says; `None` when it was not reached.
    pub server: Option<Server>,
}

/// What the server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Server {
    /// Extensions of the application's database, each with its version.
    pub extensions: Vec<(String, String)>,
    /// Logical replication slots, by name.
    pub logical_slots: Vec<String>,
    /// Prepared transactions that nobody ended.
    pub prepared_transactions: u64,
    /// Tables that have neither a primary key nor a replica identity.
    pub tables_without_key: u64,
    /// Columns of types that `pg_upgrade` cannot carry over (`regproc` and the like).
    pub reg_columns: u64,
    /// Large objects.
    pub large_objects: u64,
}

/// A plan: checks, then steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What it is for, in one sentence.
    pub title: String,
    /// What was checked: well or not, and the sentence.
    pub checks: Vec<(bool, String)>,
    /// The steps, in order.
    pub steps: Vec<String>,
}

/// Extensions that a major upgrade stumbles over, and what is to be done about each.
///
/// Source: Amazon RDS User Guide, "Upgrading PostgreSQL extensions", and "PostgreSQL extension limitations for
/// blue/green deployments".
const EXTENSIONS: [(&str, &str); 8] = [
    ("postgis", "update it to the newest version of the old server first; it does not go along by itself"),
    (
        "pg_partman",
        "turn its background worker off while the green side follows: partitions made meanwhile do not reach it",
    ),
    ("pg_cron", "its jobs run on the blue side only until the switchover; look at cron.job afterwards"),
    ("pglogical", "AWS makes no blue/green deployment with it: drop it first"),
    ("pgactive", "AWS makes no blue/green deployment with it: drop it first"),
    ("apg_plan_mgmt", "turn the capture of plans off, and capture anew afterwards"),
    ("pg_repack", "drop it and create it again afterwards: its version is bound to the server's"),
    ("chkpass", "it is gone since PostgreSQL 11: drop it"),
];

/// The plan for a major upgrade.
#[must_use]
pub fn plan(facts: &Facts, to: u32) -> Plan {
    let Facts { cluster, version, .. } = facts;
    let in_place = obstacle(&facts.limits);
    let how = if in_place.is_some() { "in place" } else { "by a blue/green deployment" };
    Plan {
        title: format!("{cluster} from PostgreSQL {version} to {to}, {how}"),
        checks: checks(facts, to, in_place),
        steps: match in_place {
            Some(_) => steps_in_place(facts, to),
            None => steps_blue_green(facts, to),
        },
    }
}

/// Why there can be no blue/green deployment.
fn obstacle(limits: &Limits) -> Option<&'static str> {
    if limits.proxy {
        return Some("an RDS Proxy stands in front");
    }
    if limits.second_region {
        return Some("a second Region follows");
    }
    if limits.multi_az_cluster {
        return Some("it is a Multi-AZ DB cluster");
    }
    if limits.managed_password {
        return Some("RDS manages the master password");
    }
    limits.cascade.is_some().then_some("a replica has replicas of its own")
}

fn checks(facts: &Facts, to: u32, in_place: Option<&str>) -> Vec<(bool, String)> {
    let mut checks = vec![match facts.targets.as_slice() {
        [] => (
            false,
            format!(
                "RDS upgrades {} to no version {to}: go by a minor version, or by another major one",
                facts.version
            ),
        ),
        [.., newest] => {
            (true, format!("RDS upgrades {} to {}; take {newest}", facts.version, facts.targets.join(", ")))
        }
    }];
    match in_place {
        Some(why) => checks.push((
            true,
            format!("no blue/green deployment, since {why}: the outage is the upgrade's, minutes to an hour"),
        )),
        None => checks.push(match facts.limits.logical_replication {
            Some(true) => (true, "rds.logical_replication is on".to_owned()),
            Some(false) => (
                false,
                "rds.logical_replication is off: set it to 1 in postgresql.parameters, deploy, and restart the writer"
                    .to_owned(),
            ),
            None => (false, "rds.logical_replication is not known".to_owned()),
        }),
    }
    match &facts.server {
        None => {
            checks.push((false, "the server was not reached: extensions, slots and tables are unchecked".to_owned()))
        }
        Some(server) => checks.extend(of_server(server, in_place.is_some())),
    }
    if !facts.parameters.is_empty() {
        let parameters = facts.parameters.join(", ");
        checks.push((
            true,
            format!("look up in PostgreSQL {to}'s release notes whether these still exist: {parameters}"),
        ));
    }
    if !facts.replicas.is_empty() {
        let replicas = facts.replicas.join(", ");
        let what = match (facts.topology, in_place) {
            (Topology::RdsPostgres, Some(_)) => "are upgraded with the writer, and do not serve meanwhile",
            _ => "are copied with the writer",
        };
        checks.push((true, format!("{replicas} {what}")));
    }
    checks
}

fn of_server(server: &Server, in_place: bool) -> Vec<(bool, String)> {
    let mut checks = Vec::new();
    for (name, version) in &server.extensions {
        if let Some((_, what)) = EXTENSIONS.iter().find(|(known, _)| known == name) {
            checks.push((false, format!("extension {name} {version}: {what}")));
        }
    }
    let names: Vec<String> = server.extensions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    checks.push((true, format!("extensions to update afterwards: {}", or_none(&names))));
    let slots = &server.logical_slots;
    checks.push((slots.is_empty(), format!("logical slots that must be dropped first: {}", or_none(slots))));
    let prepared = server.prepared_transactions;
    checks.push((prepared == 0, format!("prepared transactions to end first: {prepared}")));
    let reg = server.reg_columns;
    checks.push((reg == 0, format!("columns of reg* types, which pg_upgrade refuses: {reg}")));
    if !in_place {
        let keyless = server.tables_without_key;
        checks.push((
            keyless == 0,
            format!("tables without a primary key, of which updates and deletions are not copied: {keyless}"),
        ));
        let large = server.large_objects;
        checks.push((large == 0, format!("large objects, which are not copied while the green side follows: {large}")));
    }
    checks
}

fn or_none(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

/// What AWS calls a family of parameters.
fn family(topology: Topology, to: u32) -> String {
    format!("{}{to}", if topology.is_aurora() { "aurora-postgresql" } else { "postgres" })
}

fn groups(facts: &Facts, to: u32) -> String {
    let Facts { fleet, cluster, topology, .. } = facts;
    let family = family(*topology, to);
    let group = format!("{fleet}-{cluster}-{to}");
    let cluster_group =
        if topology.is_aurora() { format!(" and the cluster parameter group {group}") } else { String::new() };
    format!(
        "make the parameter group {group}{cluster_group} of family {family}, with what the groups of the stack hold \
         (aws rds create-db-parameter-group --db-parameter-group-family {family}): at least shared_preload_libraries, \
         rds.force_ssl{}",
        if topology.is_aurora() { "" } else { ", max_connections" }
    )
}

fn snapshot(facts: &Facts, to: u32) -> String {
    let Facts { fleet, cluster, topology, .. } = facts;
    if topology.is_aurora() {
        return format!(
            "take a snapshot: aws rds create-db-cluster-snapshot --db-cluster-identifier {fleet}-{cluster} \
             --db-cluster-snapshot-identifier {fleet}-{cluster}-before-{to}"
        );
    }
    format!(
        "take a snapshot of the writer: aws rds create-db-snapshot --db-instance-identifier {fleet}-{cluster}-N \
         --db-snapshot-identifier {fleet}-{cluster}-before-{to}"
    )
}

fn after(facts: &Facts, to: u32) -> Vec<String> {
    let mut steps = vec![format!(
        "set postgresql.version to {to} in the spec and deploy it: the stack then says what is; a deployment of the old \
         spec is refused from now on"
    )];
    steps.push("ANALYZE in every database: statistics do not come along, and plans are bad without".to_owned());
    if facts.server.as_ref().is_none_or(|server| !server.extensions.is_empty()) {
        steps.push("ALTER EXTENSION ... UPDATE for every extension of the list above".to_owned());
    }
    steps
}

fn steps_blue_green(facts: &Facts, to: u32) -> Vec<String> {
    let Facts { fleet, cluster, topology, targets, .. } = facts;
    let version = targets.last().cloned().unwrap_or_else(|| to.to_string());
    let cluster_group = if topology.is_aurora() {
        format!(", \"cluster_parameter_group\": \"{fleet}-{cluster}-{to}\"")
    } else {
        String::new()
    };
    let request = |more: &str| format!("{{\"blue_green\": {{\"cluster\": \"{cluster}\", \"action\": {more}}}}}");
    let create = format!(
        "\"create\", \"engine_version\": \"{version}\", \"parameter_group\": \"{fleet}-{cluster}-{to}\"{cluster_group}"
    );
    let mut steps = vec![
        "put right every check above that is not well".to_owned(),
        groups(facts, to),
        snapshot(facts, to),
        format!("{} ; from now on no change of the schema: it would not reach the green side", request(&create)),
        format!("{} until it is AVAILABLE and less than a segment of log behind", request("\"status\"")),
        "run the application's own tests against the green endpoint (read only), and EXPLAIN of its heaviest queries after ANALYZE there".to_owned(),
        format!("{} : clients are cut off for less than a minute, and come back by the same names", request("\"switch_over\"")),
    ];
    steps.extend(after(facts, to));
    steps.push(format!("{} : forgets the deployment; the old databases stay as ...-old1", request("\"delete\"")));
    steps.push(
        "after a week without regret delete the ...-old1 databases with a final snapshot; there is no way back from \
         the new version but this"
            .to_owned(),
    );
    steps
}

fn steps_in_place(facts: &Facts, to: u32) -> Vec<String> {
    let Facts { fleet, cluster, topology, targets, .. } = facts;
    let version = targets.last().cloned().unwrap_or_else(|| to.to_string());
    let modify = match topology {
        Topology::RdsPostgres if !facts.limits.multi_az_cluster => format!(
            "aws rds modify-db-instance --db-instance-identifier {fleet}-{cluster}-N --db-parameter-group-name \
             {fleet}-{cluster}-{to}"
        ),
        _ => format!(
            "aws rds modify-db-cluster --db-cluster-identifier {fleet}-{cluster} --db-cluster-parameter-group-name \
             {fleet}-{cluster}-{to}"
        ),
    };
    let mut steps = vec![
        "put right every check above that is not well".to_owned(),
        groups(facts, to),
        "rehearse: restore the newest snapshot beside it, upgrade that, and measure how long it takes".to_owned(),
        format!(
            "pause the cluster, so that nobody fails over meanwhile: promote-replica '{{\"pause\": ...}}' for twice \
             the time that was measured"
        ),
        snapshot(facts, to),
        format!("{modify} --engine-version {version} --allow-major-version-upgrade --apply-immediately"),
    ];
    if facts.limits.second_region {
        let what = if topology.is_aurora() {
            "the global database is upgraded as a whole: modify-global-cluster instead, and both Regions go together"
        } else {
            "the second Region's replica is upgraded by RDS with the writer; look that it streams again"
        };
        steps.push(what.to_owned());
    }
    steps.extend(after(facts, to));
    steps.push("end the pause, and look at status".to_owned());
    steps
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.title)?;
        for (well, check) in &self.checks {
            write!(f, "\n  {}  {check}", if *well { "well " } else { "CHECK" })?;
        }
        for (at, step) in self.steps.iter().enumerate() {
            write!(f, "\n  {:>2}. {step}", at + 1)?;
        }
        Ok(())
    }
}
