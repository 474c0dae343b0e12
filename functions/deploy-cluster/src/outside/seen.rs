//! What the calls give and take.

use domain::spec::Zone;
use template::{Part, Subnet, Tls};

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
    /// The bucket of its templates and of what its members run.
    pub bucket: String,
}

/// A VPC and some of its subnets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSeen {
    /// The VPC's IPv4 networks.
    pub cidrs: Vec<String>,
    /// The subnets asked for, in the order asked; `None` for one that is not in the VPC.
    pub subnets: Vec<Option<Subnet>>,
    /// The route tables that the fleet's own subnets go by.
    pub route_tables: Vec<String>,
}

/// The secret with a cluster's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificate {
    /// It is marked for deletion, and cannot be read.
    Marked,
    /// It can be read.
    There(TlsSeen),
}

/// What the secret with a cluster's certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSeen {
    /// What a template needs of it.
    pub tls: Tls,
    /// The names that the certificate was made for.
    pub names: Vec<String>,
    /// The Region that it is a copy from; `None` for one that is no copy.
    pub copy_of: Option<String>,
    /// The Regions that it is copied to.
    pub copies: Vec<String>,
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
    /// The same in milliseconds since 1970: when the last change began.
    pub changed_at_ms: u64,
    /// Its parameters.
    pub parameters: Vec<String>,
    /// Whether it is protected from being deleted.
    pub protected: bool,
    /// Which side of a cluster it is.
    pub part: Part,
}

/// A stack whose last change has not ended, or not well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsettledStack {
    /// Its name.
    pub name: String,
    /// CloudFormation's word for its state.
    pub status: String,
    /// When its last change began, in milliseconds since 1970.
    pub changed_at_ms: u64,
}

/// A resource of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceSeen {
    /// Its name in the template.
    pub logical_id: String,
    /// Its type.
    pub kind: String,
    /// CloudFormation's word for its state.
    pub status: String,
}

/// A change of a resource's state, or of the whole stack's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSeen {
    /// Its id.
    pub id: String,
    /// The resource's name in the template; the stack's own name.
    pub logical_id: String,
    /// The resource's type.
    pub kind: String,
    /// The state it has come to.
    pub status: String,
    /// Why, as far as CloudFormation says.
    pub reason: Option<String>,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Whether it is about the whole stack.
    pub is_stack: bool,
}

/// Why the setup of a host failed, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupProblem {
    /// The step that failed.
    pub step: String,
    /// Why.
    pub reason: String,
    /// When, in milliseconds since 1970; 0 when it is not known.
    pub at_ms: u64,
}

/// A change set that is neither executed nor obsolete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenChangeSet {
    /// Its name.
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    pub created_at_ms: u64,
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
    /// The same one by one, with what CloudFormation knows of each.
    pub details: Vec<Detail>,
}

/// One property that a change set would change, or that CloudFormation can say nothing about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// Its name, or the attribute's.
    pub target: String,
    /// `Never`, `Conditionally` or `Always`: whether such a change replaces the resource.
    pub recreation: Option<String>,
    /// Whether CloudFormation is sure; otherwise it knows only when what the property refers to has been changed.
    pub is_sure: bool,
    /// `DirectModification`, `ResourceReference`, `ResourceAttribute`, `ParameterReference` or `Automatic`.
    pub source: Option<String>,
}

/// A change set to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChangeSet {
    /// The stack's name.
    pub stack: String,
    /// The change set's name.
    pub name: String,
    /// Whether the stack is new.
    pub new_stack: bool,
    /// The template.
    pub template: TemplateAt,
    /// The machine image.
    pub image: Image,
    /// Tags of the stack.
    pub tags: Vec<(String, String)>,
}

/// Where CloudFormation finds a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateAt {
    /// In the request.
    Body(String),
    /// In the fleet's bucket, under this key.
    Object(String),
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

/// What the second side of a cluster needs of the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needed {
    /// Aurora's global cluster, by its identifier.
    GlobalCluster(String),
    /// An instance with automated backups, by its identifier.
    Instance(String),
}

impl std::fmt::Display for Needed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Needed::GlobalCluster(id) => write!(f, "global cluster {id}"),
            Needed::Instance(id) => write!(f, "instance {id}"),
        }
    }
}
