//! Why nothing is done now, or at all.

use crate::card::Topology;
use std::fmt;

/// Why nothing is done now, or at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// There is no blue/green deployment of this cluster.
    NoDeployment(String),
    /// The cluster is on EC2.
    NotManaged(Topology),
    /// RDS knows no writer of it.
    NoSource(String),
    /// Somebody asked to leave it alone.
    Paused(String),
    /// A change of writer is under way.
    WriterChanges(String),
    /// Something works on it.
    Busy(String),
    /// The green side is being made; which tasks are at what.
    Provisioning(Vec<(String, String)>),
    /// One is there that must go first: its status, and why.
    InTheWay(String, Option<String>),
    /// It cannot switch over from this status.
    NotReady(String, Option<String>),
    /// It is switching over.
    SwitchingOver,
    /// It is being deleted.
    Deleting,
    /// The version is older.
    Older {
        /// The major version now.
        now: u32,
        /// The one asked for.
        then: u32,
    },
    /// An RDS Proxy stands in front.
    Proxy,
    /// A second Region follows.
    SecondRegion,
    /// It is a Multi-AZ DB cluster.
    MultiAzCluster,
    /// A replica has replicas.
    Cascade(String),
    /// RDS manages the master password.
    ManagedPassword,
    /// A parameter group of the other version must be named.
    NoParameterGroup {
        /// The major version.
        to: u32,
        /// Whether the cluster's is needed, too.
        aurora: bool,
    },
    /// `rds.logical_replication` is off.
    NoLogicalReplication,
    /// The writer could not be asked.
    NotAsked,
    /// The green side copies a database that is not the writer.
    AnotherSource {
        /// ARN of who writes.
        writer: String,
        /// ARN of what is copied.
        source: String,
    },
    /// Nobody knows how far the green side is.
    LagUnknown,
    /// It is this many bytes behind.
    Behind(u64),
}

fn because(details: Option<&String>) -> String {
    details.map(|details| format!(" ({details})")).unwrap_or_default()
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoDeployment(cluster) => write!(
                f,
                "there is no blue/green deployment of {cluster}: \
                 {{\"blue_green\": {{\"cluster\": \"{cluster}\", \"action\": \"create\"}}}} makes one"
            ),
            Reason::NotManaged(topology) => {
                write!(f, "a blue/green deployment is a thing of Aurora and RDS, and this cluster is {topology}")
            }
            Reason::NoSource(cluster) => write!(f, "RDS knows no writer of {cluster} now"),
            Reason::Paused(why) => write!(f, "the cluster is paused: {why}"),
            Reason::WriterChanges(from) => {
                write!(f, "a change of writer away from {from} is under way; it must end first")
            }
            Reason::Busy(what) => write!(f, "{what}; that must end first"),
            Reason::Provisioning(tasks) => {
                f.write_str("RDS is making the green databases")?;
                let tasks: Vec<String> = tasks.iter().map(|(name, status)| format!("{name}: {status}")).collect();
                if tasks.is_empty() { Ok(()) } else { write!(f, " ({})", tasks.join(", ")) }
            }
            Reason::InTheWay(status, details) => write!(
                f,
                "there is one in {status}{}: delete it first, {{\"blue_green\": {{..., \"action\": \"delete\"}}}}",
                because(details.as_ref())
            ),
            Reason::NotReady(status, details) => {
                write!(f, "the blue/green deployment is in {status}{}", because(details.as_ref()))
            }
            Reason::SwitchingOver => f.write_str("the green databases are taking over"),
            Reason::Deleting => f.write_str("the blue/green deployment is being deleted"),
            limit => limit.limit(f),
        }
    }
}

impl Reason {
    fn limit(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Older { now, then } => write!(f, "the cluster has PostgreSQL {now}, and {then} is older"),
            Reason::Proxy => f.write_str(
                "AWS makes no blue/green deployment behind an RDS Proxy: deploy the spec without managed.proxy first",
            ),
            Reason::SecondRegion => f.write_str(
                "AWS makes no blue/green deployment of a database with replicas in another Region, and of a global \
                 database Understudy does none: the second Region would have to be made anew. Deploy the spec without \
                 dr first, or upgrade in place",
            ),
            Reason::MultiAzCluster => {
                f.write_str("AWS makes no blue/green deployment of a Multi-AZ DB cluster: upgrade it in place")
            }
            Reason::Cascade(replica) => {
                write!(f, "AWS makes no blue/green deployment with replicas of replicas, and {replica} has some")
            }
            Reason::ManagedPassword => f.write_str(
                "AWS makes no blue/green deployment while RDS manages the master password: turn that off first \
                 (--no-manage-master-user-password with a password of your own), or upgrade in place",
            ),
            Reason::NoParameterGroup { to, aurora } => {
                let both = if *aurora { "parameter_group and cluster_parameter_group" } else { "parameter_group" };
                write!(
                    f,
                    "PostgreSQL {to} needs parameters of its own family: make them first and name them as {both}, or \
                     the server would lose its preloaded libraries and forced TLS; \
                     {{\"plan_upgrade\": ...}} says how"
                )
            }
            Reason::NoLogicalReplication => f.write_str(
                "rds.logical_replication is off, and the green side would copy by it: set it to 1 in \
                 postgresql.parameters, deploy, and restart the writer",
            ),
            Reason::NotAsked => {
                f.write_str("the writer could not be asked whether rds.logical_replication is on; ask again")
            }
            Reason::AnotherSource { writer, source } => write!(
                f,
                "the green side copies {source}, and {writer} writes: the writer has changed since; delete the \
                 deployment and make another"
            ),
            Reason::LagUnknown => f.write_str("nobody knows how far the green side is behind; ask again"),
            Reason::Behind(bytes) => write!(
                f,
                "the green side is {bytes} bytes behind, {} at most: wait, or let less be written",
                super::LAG_BYTES
            ),
            _ => Ok(()),
        }
    }
}
