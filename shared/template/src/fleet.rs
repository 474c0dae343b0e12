//! What a fleet gives to each of its clusters.

use domain::spec::Zone;

/// Everything of a fleet that a cluster's template names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// Its name.
    pub name: String,
    /// Its Region.
    pub region: String,
    /// The VPC of its functions, and of clusters that have none of their own.
    pub vpc_id: String,
    /// The VPC's IPv4 networks.
    pub vpc_cidrs: Vec<String>,
    /// The route tables of [`Fleet::subnets`], each once: where a cluster's own VPC is made known.
    pub route_table_ids: Vec<String>,
    /// Networks whose clients may connect to a cluster that names none itself.
    pub client_cidrs: Vec<String>,
    /// Where members are placed, in turn; at least one.
    pub subnets: Vec<Subnet>,
    /// The hosted zone of clusters that name none themselves.
    pub zone: Zone,
    /// The security group of the functions that speak SQL.
    pub functions_security_group_id: String,
    /// The topic that reaches the person on call.
    pub pages_topic_arn: String,
    /// The DynamoDB table of the clusters' states.
    pub state_table: String,
    /// The bucket with what hosts run ([`bundle`](crate::bundle)) and with large templates.
    pub bucket: String,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// Its id.
    pub id: String,
    /// Its Availability Zone.
    pub zone: String,
}

/// The secret that holds a cluster's certificate and key, and what clients verify them with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// ARN of the secret: `{"certificate","private_key","certificate_authority"}`, and for `ec2-patroni`
    /// `{"peer_authority","peer_authority_key"}`.
    pub secret_arn: String,
    /// The certificate authority, PEM.
    pub certificate_authority: String,
    /// The authority that signs the hosts' own certificates, PEM; only of the topology `ec2-patroni`.
    pub peer_authority: Option<String>,
}
