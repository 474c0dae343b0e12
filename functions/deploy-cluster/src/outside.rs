//! What `deploy-cluster` sees of the outside and asks of it, call by call.

use domain::{
    card::{Card, Records},
    failover::Sql,
    records::RecordsSeen,
    spec::Zone,
    state::State,
};
use reconcile::Failure;
use serde_json::Value;
use std::net::IpAddr;
use template::{Subnet, Tls};

/// What the fleet gives to every cluster, from the function's environment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The fleet's name.
    pub fleet: String,
    /// Its Region.
    pub region: String,
    /// The VPC of its clusters.
    pub vpc_id: String,
    /// Where members are placed, in turn, unless a spec says otherwise.
    pub subnet_ids: Vec<String>,
    /// The hosted zone of its clusters.
    pub zone: Zone,
    /// The security group of its functions.
    pub functions_security_group_id: String,
    /// The topic of its pages.
    pub pages_topic_arn: String,
    /// The table of its clusters' states.
    pub state_table: String,
}

/// A VPC and some of its subnets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSeen {
    /// The VPC's IPv4 networks.
    pub cidrs: Vec<String>,
    /// The subnets asked for, in the order asked; `None` for one that is not in the VPC.
    pub subnets: Vec<Option<Subnet>>,
}

/// The secret with a cluster's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSeen {
    /// What a template needs of it.
    pub tls: Tls,
    /// The names that the certificate was made for.
    pub names: Vec<String>,
}

/// A stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackSeen {
    /// Its ARN.
    pub id: String,
    /// CloudFormation's word for its state.
    pub status: String,
    /// Why, as far as CloudFormation says.
    pub reason: Option<String>,
    /// When it was last changed, in CloudFormation's own notation: it differs after every change.
    pub changed_at: String,
    /// Its parameters.
    pub parameters: Vec<String>,
}

/// A change set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSetSeen {
    /// Its name.
    pub name: String,
    /// How far it is.
    pub phase: ChangeSetPhase,
}

/// How far a change set is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeSetPhase {
    /// CloudFormation is still comparing.
    Pending,
    /// It found nothing to change.
    Empty,
    /// It could not be made.
    Failed(String),
    /// It can be executed, and would do this.
    Ready(Vec<Change>),
    /// It was executed, or another one was.
    Over,
}

/// What a change set would do to one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `Add`, `Modify`, `Remove`, `Import` or `Dynamic`.
    pub action: String,
    /// The resource's name in the template.
    pub logical_id: String,
    /// Its type.
    pub kind: String,
    /// `True`, `False` or `Conditional`, where the action is `Modify`.
    pub replacement: Option<String>,
    /// What of it is changed: names of properties, or `Tags` and the like.
    pub targets: Vec<String>,
}

/// A change set to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChangeSet {
    /// The stack, which need not exist.
    pub stack: String,
    /// The change set's name: the same for the same change of the same stack.
    pub name: String,
    /// Whether the stack is to be created.
    pub new_stack: bool,
    /// The template.
    pub body: String,
    /// The machine image, where the template leaves it open.
    pub image: Image,
    /// Tags of the stack.
    pub tags: Vec<(String, String)>,
}

/// How a template's parameter for the machine image is filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// The template has no such parameter.
    InTemplate,
    /// As the stack has it.
    Kept,
    /// With this id.
    Is(String),
}

/// The outside, one method a call.
#[allow(async_fn_in_trait, reason = "every pass runs on one thread")]
pub trait Outside {
    /// The fleet's settings.
    fn settings(&self) -> &Settings;

    /// Looks at the fleet's VPC and at these subnets.
    async fn network(&self, subnet_ids: &[String]) -> Result<NetworkSeen, Failure>;
    /// The id of the image that a public SSM parameter names.
    async fn image(&self, parameter: &str) -> Result<String, Failure>;

    /// The certificate of a cluster.
    async fn tls(&self, cluster: &str) -> Result<Option<TlsSeen>, Failure>;
    /// Makes one, for these names.
    async fn create_tls(&self, cluster: &str, names: &[String]) -> Result<(), Failure>;

    /// The state of a cluster.
    async fn state(&self, cluster: &str) -> Result<Option<State>, Failure>;
    /// Forgets the writer of a stack that is gone.
    async fn unclaim(&self, cluster: &str) -> Result<(), Failure>;

    /// A stack, by name.
    async fn stack(&self, name: &str) -> Result<Option<StackSeen>, Failure>;
    /// Names of the fleet's stacks of which only a change set exists yet.
    async fn planned_stacks(&self) -> Result<Vec<String>, Failure>;
    /// The template that a stack was last given.
    async fn template(&self, stack: &str) -> Result<Value, Failure>;
    /// Names of the change sets of a stack that are neither executed nor obsolete.
    async fn open_change_sets(&self, stack: &str) -> Result<Vec<String>, Failure>;
    /// A change set.
    async fn change_set(&self, stack: &str, name: &str) -> Result<Option<ChangeSetSeen>, Failure>;
    /// Makes a change set.
    async fn create_change_set(&self, new: &NewChangeSet) -> Result<(), Failure>;
    /// Lets CloudFormation do what a change set says.
    async fn execute_change_set(&self, stack: &str, name: &str) -> Result<(), Failure>;
    /// Forgets a change set.
    async fn delete_change_set(&self, stack: &str, name: &str) -> Result<(), Failure>;

    /// The cards of the fleet.
    async fn cards(&self) -> Result<Vec<Card>, Failure>;
    /// The card of a cluster.
    async fn card(&self, cluster: &str) -> Result<Option<Card>, Failure>;

    /// The records of a cluster.
    async fn records(&self, records: &Records) -> Result<RecordsSeen, Failure>;
    /// Moves the writer record and its epoch, or creates both.
    async fn move_writer(
        &self,
        records: &Records,
        from: Option<(IpAddr, u64)>,
        to: (IpAddr, u64),
    ) -> Result<(), Failure>;
    /// Lets the reader record name exactly these.
    async fn set_readers(&self, records: &Records, addresses: &[IpAddr]) -> Result<(), Failure>;

    /// What every member of a cluster answers, in the card's order.
    async fn probe(&self, card: &Card) -> Result<Vec<Sql>, Failure>;
}
