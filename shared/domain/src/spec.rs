//! The spec of a cluster: what a person writes, and what a template is made of.
//!
//! The JSON Schema comes from these types ([`schema`]); what one field says
//! about another is checked by [`check`].

mod backups;
mod check;
mod image;
mod instance;
mod managed;
mod network;
mod patroni;
mod postgresql;
mod problem;
mod volume;
mod words;

pub use backups::{Backups, Dr, Monitoring};
pub use check::check;
pub use image::{Architecture, Image, Os};
pub use instance::Instance;
pub use managed::{Alarms, Aurora, Capacity, Managed, MultiAz, PoolerTier, Proxy, Rds, Roles, Storage};
pub use network::{Access, Bastion, Nat, Network, OwnVpc};
pub use patroni::{Balancer, Etcd, Patroni, PoolMode, Pooler};
pub use postgresql::{PasswordEncryption, Postgresql};
pub use problem::{Finding, Problem};
pub use volume::{DataVolume, VolumeType};

use crate::{card::Topology, policy::Policy};
use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// One PostgreSQL cluster, as its owner wants it. Only `name` and `topology` have no default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Understudy cluster")]
pub struct Spec {
    /// Where an editor finds this schema; ignored.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub schema: Option<String>,
    /// Name of the cluster, unique in its fleet; part of the names of its
    /// records, secrets, alarms and of its stack.
    #[schemars(title = "Name", length(min = 2, max = 40), regex(pattern = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$"))]
    #[schemars(example = &"orders", extend("x-allowed" =
        "2 to 40 lower-case letters, digits and single hyphens, beginning with a letter"))]
    pub name: String,
    /// How the cluster is built.
    #[schemars(title = "Topology", example = Topology::Ec2Streaming)]
    pub topology: Topology,
    /// The server and the application's database.
    #[serde(default)]
    #[schemars(title = "PostgreSQL")]
    pub postgresql: Postgresql,
    /// The instances.
    #[serde(default)]
    #[schemars(title = "Members")]
    pub members: Members,
    /// What a commit waits for.
    #[serde(default)]
    #[schemars(title = "Synchronous replication")]
    pub synchronous: Commits,
    /// Where the members are placed.
    #[serde(default)]
    #[schemars(title = "Network")]
    pub network: Network,
    /// IPv4 networks whose clients may connect; none given: the fleet's VPC.
    #[serde(default)]
    #[schemars(title = "Client networks", length(max = 20), extend("items" =
        json!({"type": "string", "examples": ["10.0.0.0/16"], "x-allowed": "an IPv4 network such as 10.0.0.0/16"})))]
    pub client_cidrs: Vec<String>,
    /// The records in DNS.
    #[serde(default)]
    #[schemars(title = "Records")]
    pub records: RecordsSpec,
    /// The machine image of the members.
    #[serde(default)]
    #[schemars(title = "Image")]
    pub image: Image,
    /// How people and their monitoring reach the instances.
    #[serde(default)]
    #[schemars(title = "Access")]
    pub access: Access,
    /// Encryption of volumes, secrets and backups.
    #[serde(default)]
    #[schemars(title = "Encryption")]
    pub encryption: Encryption,
    /// Patroni; only for the topology `ec2-patroni`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Patroni", with = "Patroni")]
    pub patroni: Option<Patroni>,
    /// etcd; only for the topology `ec2-patroni`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(title = "etcd", with = "Etcd")]
    pub etcd: Option<Etcd>,
    /// PgBouncer; only for the topology `ec2-patroni`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(title = "PgBouncer", with = "Pooler")]
    pub pooler: Option<Pooler>,
    /// The load balancer; only for the topology `ec2-patroni`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Load balancer", with = "Balancer")]
    pub balancer: Option<Balancer>,
    /// What Aurora and RDS have in common; only for the topologies that AWS runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Managed", with = "Managed")]
    pub managed: Option<Managed>,
    /// Aurora; only for `aurora-provisioned` and `aurora-serverless`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Aurora", with = "Aurora")]
    pub aurora: Option<Aurora>,
    /// RDS; only for `rds-postgres`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(title = "RDS", with = "Rds")]
    pub rds: Option<Rds>,
    /// Backups and a continuous archive; none given: none are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Backups", with = "Backups")]
    pub backups: Option<Backups>,
    /// A second Region; of the topologies on EC2 only for `ec2-patroni` with backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Second Region", with = "Dr")]
    pub dr: Option<Dr>,
    /// Prometheus, Alertmanager and Grafana.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Monitoring", with = "Monitoring")]
    pub monitoring: Option<Monitoring>,
    /// Whether deleting the cluster is refused until a deployment sets this to `false`.
    #[serde(default = "protected")]
    #[schemars(title = "Deletion protection")]
    pub deletion_protection: bool,
    /// Days that logs of the instances are kept in CloudWatch Logs; 0: they are not sent there.
    #[serde(default = "log_days")]
    #[schemars(title = "Log retention in days", range(min = 0, max = 3_653))]
    pub log_days: u32,
    /// What may be done without asking.
    #[serde(default)]
    #[schemars(title = "Policy")]
    pub policy: Policy,
    /// Tags for every resource, beside Understudy's own.
    #[serde(default)]
    #[schemars(title = "Tags")]
    pub tags: BTreeMap<String, String>,
}

fn protected() -> bool {
    true
}

fn log_days() -> u32 {
    30
}

/// The instances of a cluster, all alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Members {
    /// How many. 3: with two standbys, a commit that waits for one goes on when the other is gone.
    #[schemars(title = "Count", range(min = 1, max = 5))]
    pub count: u32,
    /// EC2 instance type.
    #[schemars(title = "Instance type", regex(pattern = "^[a-z][a-z0-9-]*[0-9][a-z0-9-]*\\.[a-z0-9-]+$"))]
    #[schemars(extend("x-allowed" = "an EC2 instance type, such as m7g.large"))]
    pub instance_type: String,
    /// The volume that holds the data directory, one a member.
    #[schemars(title = "Data volume")]
    pub data_volume: DataVolume,
    /// A volume for the write-ahead log alone; none given: it is on the data volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "WAL volume", with = "DataVolume")]
    pub wal_volume: Option<DataVolume>,
    /// A volume at /var/backups/postgresql, for dumps and base backups by hand; none given: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Backup volume", with = "DataVolume")]
    pub backup_volume: Option<DataVolume>,
    /// Size of the root volume in GiB.
    #[schemars(title = "Root volume in GiB", range(min = 10, max = 1_000))]
    pub root_volume_gib: u32,
    /// Members, counted from 1, that never become writer.
    #[schemars(title = "Never promoted", length(max = 5), inner(range(min = 1, max = 5)))]
    pub never_promote: Vec<u32>,
}

impl Default for Members {
    fn default() -> Self {
        Members {
            count: 3,
            instance_type: "m7g.large".into(),
            data_volume: DataVolume::default(),
            wal_volume: None,
            backup_volume: None,
            root_volume_gib: 20,
            never_promote: Vec::new(),
        }
    }
}

/// What a commit waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Commits {
    /// How many standbys must have a commit on disk before it is acknowledged.
    /// 1: an acknowledged row survives the loss of any one host. 0: asynchronous.
    #[schemars(title = "Required standbys", range(min = 0, max = 4))]
    pub required: u32,
}

impl Default for Commits {
    fn default() -> Self {
        Commits { required: 1 }
    }
}

/// The records of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecordsSpec {
    /// The hosted zone; none given: the fleet's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Hosted zone", with = "Zone", example = Zone::example())]
    pub zone: Option<Zone>,
    /// Time to live in seconds. 1: a client that reconnects asks again.
    #[schemars(title = "Time to live", range(min = 1, max = 5))]
    pub ttl_s: u32,
}

impl Default for RecordsSpec {
    fn default() -> Self {
        RecordsSpec { zone: None, ttl_s: 1 }
    }
}

/// A Route 53 hosted zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// Hosted zone id.
    #[schemars(regex(pattern = "^Z[A-Z0-9]{1,31}$"), example = &"Z0", extend("x-allowed" = "a hosted zone id, such as Z0123456789ABC"))]
    pub id: String,
    /// Domain name, without a final dot.
    #[schemars(
        regex(pattern = "^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"),
        length(max = 200)
    )]
    #[schemars(example = &"db.internal", extend("x-allowed" = "a domain name in lower case, without a final dot"))]
    pub name: String,
}

impl Zone {
    fn example() -> Self {
        Zone { id: "Z0".into(), name: "db.internal".into() }
    }
}

/// How data at rest is encrypted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Encryption {
    /// ARN of a customer key in KMS for volumes, secrets and backups; none given: AWS's own keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Customer key", with = "String", regex(pattern = "^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]{1,64}$"), extend("x-allowed" = "the ARN of a KMS key"))]
    pub kms_key_arn: Option<String>,
}

impl Spec {
    /// The shortest spec: everything but the name by default.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Spec {
            schema: None,
            name: name.to_owned(),
            topology: Topology::Ec2Streaming,
            postgresql: Postgresql::default(),
            members: Members::default(),
            synchronous: Commits::default(),
            network: Network::default(),
            client_cidrs: Vec::new(),
            records: RecordsSpec::default(),
            image: Image::default(),
            access: Access::default(),
            encryption: Encryption::default(),
            patroni: None,
            etcd: None,
            pooler: None,
            balancer: None,
            managed: None,
            aurora: None,
            rds: None,
            backups: None,
            dr: None,
            monitoring: None,
            deletion_protection: true,
            log_days: log_days(),
            policy: Policy::default(),
            tags: BTreeMap::new(),
        }
    }

    /// What Aurora and RDS have in common, as given or by default.
    #[must_use]
    pub fn managed(&self) -> Managed {
        self.managed.clone().unwrap_or_default()
    }

    /// Aurora, as given or by default.
    #[must_use]
    pub fn aurora(&self) -> Aurora {
        self.aurora.clone().unwrap_or_default()
    }

    /// RDS, as given or by default.
    #[must_use]
    pub fn rds(&self) -> Rds {
        self.rds.clone().unwrap_or_default()
    }

    /// What the members' processors are; every host of a cluster has the same image.
    #[must_use]
    pub fn architecture(&self) -> Architecture {
        let pooler = self.rds.as_ref().and_then(|rds| rds.pooler.as_ref());
        Architecture::of_instance_type(pooler.map_or(&self.members.instance_type, |tier| &tier.instance_type))
    }

    /// The instance type of a small host: the one given, or the family's cheapest for the members' architecture in
    /// this size (`micro`, `small`).
    #[must_use]
    pub fn small_instance_type(&self, given: Option<&String>, size: &str) -> String {
        given.cloned().unwrap_or_else(|| match self.architecture() {
            Architecture::Arm64 => format!("t4g.{size}"),
            Architecture::X86 => format!("t3.{size}"),
        })
    }

    /// Name of a member, counted from 1: its `application_name`, its slot, its `Name` tag.
    ///
    /// Underscores, since a replication slot's name knows no hyphen.
    #[must_use]
    pub fn member(&self, number: u32) -> String {
        format!("{}_{number}", self.name.replace('-', "_"))
    }
}

/// The largest whole number that every reader of JSON takes (RFC 8259, section 6).
const LARGEST: u64 = (1 << 53) - 1;

/// The JSON Schema of a spec, without references, so that a path in a spec is a
/// path in its schema. `x-allowed` says in words what a pattern allows.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    // To the schema 1e300 is a whole number, to the types it is none.
    let settings = settings.with_transform(RecursiveTransform(|schema: &mut Schema| {
        if schema.get("type").is_some_and(|kind| kind == "integer") && schema.get("maximum").is_none() {
            schema.insert("maximum".into(), LARGEST.into());
        }
    }));
    settings.into_generator().into_root_schema_for::<Spec>().to_value()
}
