//! What a fleet gives to each of its clusters.

use domain::spec::Zone;

/// Everything of a fleet that a cluster's template names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// Its name.
    pub name: String,
    /// Its Region.
    pub region: String,
    /// The VPC of its clusters.
    pub vpc_id: String,
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
    /// ARN of the secret: `{"certificate","private_key","certificate_authority"}`.
    pub secret_arn: String,
    /// The certificate authority, PEM.
    pub certificate_authority: String,
}
