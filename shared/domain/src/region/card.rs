//! The cards of clusters whose second Region this fleet is in.

use crate::{
    card::{CardHost, ManagedCard, OtherRegion, PairCard, Records, Side, Topology},
    policy::Policy,
};
use serde::{Deserialize, Serialize};

/// The card of the standby that a cluster on EC2 has in its second Region.
///
/// It lies in a folder of its own, so that no function takes the standby for a cluster that it must look after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandbyCard {
    /// Shape of this document; 1.
    pub version: u32,
    /// The fleet of the second Region.
    pub fleet: String,
    /// The cluster's name.
    pub cluster: String,
    /// `ec2-patroni`.
    pub topology: Topology,
    /// Always [`Side::Dr`].
    pub side: Side,
    /// The second Region.
    pub region: String,
    /// The application's database.
    pub database: String,
    /// PostgreSQL's port.
    pub port: u16,
    /// The records: `<name>-dr-rw` and `<name>-dr-ro`, A records.
    pub records: Records,
    /// Name of the secret, a copy, with which functions log in.
    pub operator_secret: String,
    /// Names of the other secrets, copies, that the standby needs.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// The certificate (PEM) that signed the servers' certificates.
    pub certificate_authority: String,
    /// The name that the server's certificate carries: the record of the members' writer.
    pub server_name: String,
    /// The standby's host.
    pub host: CardHost,
    /// Name of the SSM parameter with the image of hosts, when it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_parameter: Option<String>,
    /// The customer key of this Region's secrets and volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_arn: Option<String>,
    /// The first Region.
    pub other: OtherRegion,
    /// The name that follows the serving Region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<PairCard>,
    /// What may be done without asking.
    pub policy: Policy,
}

impl StandbyCard {
    /// The folder of SSM parameters that holds a fleet's standbys, with a final slash.
    #[must_use]
    pub fn folder(fleet: &str) -> String {
        format!("/understudy/{fleet}/standbys/")
    }

    /// Name of the SSM parameter that holds the card of a cluster's standby.
    #[must_use]
    pub fn parameter(fleet: &str, cluster: &str) -> String {
        format!("{}{cluster}", Self::folder(fleet))
    }
}

/// A cluster whose second Region this fleet is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DrCard {
    /// Aurora or RDS.
    Managed(Box<ManagedCard>),
    /// On EC2.
    Standby(Box<StandbyCard>),
}

impl DrCard {
    /// Of a card that has the side of a second Region, and says which the first one is.
    #[must_use]
    pub fn of(card: ManagedCard) -> Option<Self> {
        (card.side == Side::Dr && card.other.is_some()).then(|| DrCard::Managed(Box::new(card)))
    }

    /// The fleet.
    #[must_use]
    pub fn fleet(&self) -> &str {
        match self {
            DrCard::Managed(card) => &card.fleet,
            DrCard::Standby(card) => &card.fleet,
        }
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> &str {
        match self {
            DrCard::Managed(card) => &card.cluster,
            DrCard::Standby(card) => &card.cluster,
        }
    }

    /// How it is built.
    #[must_use]
    pub fn topology(&self) -> Topology {
        match self {
            DrCard::Managed(card) => card.topology,
            DrCard::Standby(card) => card.topology,
        }
    }

    /// This Region.
    #[must_use]
    pub fn region(&self) -> &str {
        match self {
            DrCard::Managed(card) => &card.region,
            DrCard::Standby(card) => &card.region,
        }
    }

    /// The other one.
    #[must_use]
    pub fn other_region(&self) -> &str {
        match self {
            DrCard::Managed(card) => card.other.as_ref().map_or("", |other| &other.region),
            DrCard::Standby(card) => &card.other.region,
        }
    }

    /// Aurora's global cluster and the ARN of the cluster in the other Region.
    #[must_use]
    pub fn global(&self) -> Option<(&str, &str)> {
        let DrCard::Managed(card) = self else { return None };
        Some((card.global_cluster.as_deref()?, card.other.as_ref()?.db_cluster_arn.as_deref()?))
    }

    /// The records of this side.
    #[must_use]
    pub fn records(&self) -> &Records {
        match self {
            DrCard::Managed(card) => &card.records,
            DrCard::Standby(card) => &card.records,
        }
    }

    /// The name that follows the serving Region.
    #[must_use]
    pub fn pair(&self) -> Option<&PairCard> {
        match self {
            DrCard::Managed(card) => card.pair.as_ref(),
            DrCard::Standby(card) => card.pair.as_ref(),
        }
    }

    /// What may be done without asking.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        match self {
            DrCard::Managed(card) => &card.policy,
            DrCard::Standby(card) => &card.policy,
        }
    }

    /// Name or ARN of the secret with which functions log in.
    #[must_use]
    pub fn operator_secret(&self) -> &str {
        match self {
            DrCard::Managed(card) => &card.operator_secret,
            DrCard::Standby(card) => &card.operator_secret,
        }
    }
}
