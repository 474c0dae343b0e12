//! The spec of a cluster: what a person writes, and what a template is made of.
//!
//! The JSON Schema comes from these types ([`schema`]); what one field says
//! about another is checked by [`check`].

mod check;
mod problem;
mod volume;
mod words;

pub use check::check;
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
    /// What may be done without asking.
    #[serde(default)]
    #[schemars(title = "Policy")]
    pub policy: Policy,
    /// Tags for every resource, beside Understudy's own.
    #[serde(default)]
    #[schemars(title = "Tags")]
    pub tags: BTreeMap<String, String>,
}

/// The PostgreSQL server and the application's database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Postgresql {
    /// Major version. 15: the version that the default image's own archive carries.
    #[schemars(title = "Major version", range(min = 15, max = 18))]
    pub version: u32,
    /// The application's database.
    #[schemars(title = "Database", regex(pattern = "^[a-z_][a-z0-9_]{0,62}$"))]
    #[schemars(extend("x-allowed" = "a PostgreSQL identifier: 1 to 63 lower-case letters, digits and underscores, not beginning with a digit"))]
    pub database: String,
    /// The application's role, owner of its database.
    #[schemars(title = "Owner", regex(pattern = "^[a-z_][a-z0-9_]{0,62}$"))]
    #[schemars(extend("x-allowed" = "a PostgreSQL identifier: 1 to 63 lower-case letters, digits and underscores, not beginning with a digit"))]
    pub owner: String,
    /// The port of every member.
    #[schemars(title = "Port", range(min = 1024, max = 65_535))]
    pub port: u16,
}

impl Default for Postgresql {
    fn default() -> Self {
        Postgresql { version: 15, database: "app".into(), owner: "app".into(), port: 5432 }
    }
}

/// The instances of a cluster, all alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Members {
    /// How many. 3: with two standbys, a commit that waits for one goes on when the other is gone.
    #[schemars(title = "Count", range(min = 2, max = 5))]
    pub count: u32,
    /// EC2 instance type.
    #[schemars(title = "Instance type", regex(pattern = "^[a-z][a-z0-9-]*[0-9][a-z0-9-]*\\.[a-z0-9-]+$"))]
    #[schemars(extend("x-allowed" = "an EC2 instance type, such as m7g.large"))]
    pub instance_type: String,
    /// The volume that holds the data directory, one a member.
    #[schemars(title = "Data volume")]
    pub data_volume: DataVolume,
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

/// Where the members are placed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Private subnets of the fleet's VPC, filled in turn; none given: the fleet's own.
    #[schemars(title = "Subnets", length(max = 5), extend("items" = json!({
        "type": "string", "pattern": "^subnet-[0-9a-f]{8,17}$", "examples": ["subnet-00000000"],
        "x-allowed": "a subnet id, such as subnet-0123456789abcdef0",
    })))]
    pub subnet_ids: Vec<String>,
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

/// The machine image of the members.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Image {
    /// An image of Debian 12; none given: the newest when the cluster is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Image id", with = "String", regex(pattern = "^ami-[0-9a-f]{8,17}$"), extend("x-allowed" = "an image id, such as ami-0123456789abcdef0"))]
    pub ami: Option<String>,
    /// What the image is built for; none given: what the instance type needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Architecture", with = "Architecture")]
    pub architecture: Option<Architecture>,
}

/// A processor architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// AWS Graviton.
    Arm64,
    /// Intel and AMD.
    #[serde(rename = "x86_64")]
    X86,
}

impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Architecture::Arm64 => "arm64",
            Architecture::X86 => "x86_64",
        })
    }
}

impl Architecture {
    /// What an EC2 instance type needs.
    ///
    /// After the generation's number, `g` marks a Graviton processor (`m7g`,
    /// `c7gn`); before it, a graphics card (`g5`). `a1` is the one exception.
    ///
    /// Source: EC2 user guide, "Amazon EC2 instance type naming conventions".
    #[must_use]
    pub fn of_instance_type(name: &str) -> Self {
        let family = name.split(['.', '-']).next().unwrap_or_default();
        let attributes = family
            .trim_start_matches(|c: char| c.is_ascii_lowercase())
            .trim_start_matches(|c: char| c.is_ascii_digit());
        if family == "a1" || attributes.contains('g') { Architecture::Arm64 } else { Architecture::X86 }
    }

    /// The public SSM parameter that holds the id of the newest Debian 12 image.
    ///
    /// Source: Debian wiki, "Cloud/AmazonEC2Image/Bookworm".
    #[must_use]
    pub fn image_parameter(self) -> &'static str {
        match self {
            Architecture::Arm64 => "/aws/service/debian/release/12/latest/arm64",
            Architecture::X86 => "/aws/service/debian/release/12/latest/amd64",
        }
    }
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
            policy: Policy::default(),
            tags: BTreeMap::new(),
        }
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
