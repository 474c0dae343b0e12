//! What a deployed cluster says of itself.

mod managed;

pub use managed::{BackupCard, CardInstance, Isolation, ManagedCard, OtherRegion, PairCard, Registered, Side};

use crate::policy::Policy;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// How a cluster is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// A writer and its streaming standbys on EC2 instances.
    Ec2Streaming,
    /// Patroni with etcd on EC2 instances, PgBouncer, and a Network Load Balancer in front.
    Ec2Patroni,
    /// Amazon Aurora on instances of a chosen class.
    AuroraProvisioned,
    /// Amazon Aurora Serverless v2.
    AuroraServerless,
    /// Amazon RDS for PostgreSQL, with read replicas.
    RdsPostgres,
}

impl Topology {
    /// Whether AWS runs the servers: there is no host to log in to.
    #[must_use]
    pub fn is_managed(self) -> bool {
        self.is_aurora() || self == Topology::RdsPostgres
    }

    /// Whether it is Amazon Aurora.
    #[must_use]
    pub fn is_aurora(self) -> bool {
        matches!(self, Topology::AuroraProvisioned | Topology::AuroraServerless)
    }
}

impl std::fmt::Display for Topology {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Topology::Ec2Streaming => "ec2-streaming",
            Topology::Ec2Patroni => "ec2-patroni",
            Topology::AuroraProvisioned => "aurora-provisioned",
            Topology::AuroraServerless => "aurora-serverless",
            Topology::RdsPostgres => "rds-postgres",
        })
    }
}

/// The card of one cluster: an SSM parameter that its own stack makes.
///
/// It says where things are and what is allowed, never who writes now: that is
/// known by PostgreSQL, by the state item and by the record. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Shape of this document; 1.
    pub version: u32,
    /// The fleet that looks after the cluster.
    pub fleet: String,
    /// The cluster's name.
    pub cluster: String,
    /// How it is built.
    pub topology: Topology,
    /// The application's database.
    pub database: String,
    /// PostgreSQL's port on every member.
    pub port: u16,
    /// Where the records are.
    pub records: Records,
    /// ARN of the secret with which functions log in: `{"username","password"}`.
    pub operator_secret: String,
    /// The certificate (PEM) that signed the members' server certificate.
    pub certificate_authority: String,
    /// How many standbys a commit shall wait for, as the spec says; the state
    /// item says for how many it waits now.
    #[serde(default)]
    pub synchronous_required: u32,
    /// The members, in the order of the spec.
    pub members: Vec<CardMember>,
    /// What may be done without asking.
    pub policy: Policy,
    /// What only a cluster of the topology `ec2-patroni` has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patroni: Option<PatroniCard>,
}

/// Patroni, and what is around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatroniCard {
    /// Port of Patroni's REST API (HTTPS) on every member.
    pub port: u16,
    /// ARN of the secret with which its unsafe calls are made: `{"username","password"}`.
    pub api_secret: String,
    /// The certificate (PEM) that signed the hosts' own certificates: Patroni's REST API and etcd.
    pub peer_authority: String,
    /// Patroni's `ttl`, seconds.
    pub ttl_s: u32,
    /// Patroni's `loop_wait`, seconds.
    pub loop_wait_s: u32,
    /// The load balancer's DNS name.
    pub balancer: String,
    /// The hosts of etcd.
    pub etcd: Vec<CardHost>,
}

/// A host of a cluster that is no member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardHost {
    /// Its name: `shop-etcd-1`.
    pub name: String,
    /// EC2 instance id.
    pub id: String,
    /// Private address, the same for the life of the host.
    pub address: IpAddr,
    /// Availability Zone.
    pub zone: String,
}

/// The records of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    /// Hosted zone id.
    pub zone_id: String,
    /// Name of the A record of the writer, without a final dot.
    pub writer: String,
    /// Name of the A record of the standbys, without a final dot.
    pub reader: String,
    /// Time to live of both, in seconds.
    pub ttl_s: u32,
}

impl Records {
    /// Name of the TXT record that carries the epoch of the last move.
    #[must_use]
    pub fn epoch(&self) -> String {
        format!("_understudy.{}", self.writer)
    }
}

/// One member of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardMember {
    /// `application_name` of its WAL receiver and name of its slot: `orders_1`.
    pub name: String,
    /// EC2 instance id.
    pub id: String,
    /// Private address, the same for the life of the member.
    pub address: IpAddr,
    /// Availability Zone.
    pub zone: String,
    /// Whether it may never become writer.
    #[serde(default)]
    pub never_promote: bool,
    /// Lower is preferred among equals.
    #[serde(default)]
    pub tier: u8,
}

impl Card {
    /// The member with this instance id.
    #[must_use]
    pub fn member(&self, id: &str) -> Option<&CardMember> {
        self.members.iter().find(|member| member.id == id)
    }

    /// Whether this instance is a member or another host of the cluster.
    #[must_use]
    pub fn has_host(&self, id: &str) -> bool {
        let etcd = self.patroni.iter().flat_map(|patroni| &patroni.etcd);
        self.member(id).is_some() || etcd.into_iter().any(|host| host.id == id)
    }

    /// Name of the SSM parameter that holds the card of a cluster.
    #[must_use]
    pub fn parameter(fleet: &str, cluster: &str) -> String {
        format!("{}{cluster}", Self::folder(fleet))
    }

    /// The folder of SSM parameters that holds a fleet's cards, with a final slash.
    #[must_use]
    pub fn folder(fleet: &str) -> String {
        format!("/understudy/{fleet}/clusters/")
    }
}
