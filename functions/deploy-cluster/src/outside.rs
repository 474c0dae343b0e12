//! What `deploy-cluster` sees of the outside and asks of it, call by call.

mod seen;

pub use seen::{
    Certificate, Change, ChangeSetPhase, ChangeSetSeen, Detail, EventSeen, Image, Needed, NetworkSeen, NewChangeSet,
    OpenChangeSet, ResourceSeen, Settings, SetupProblem, StackSeen, TemplateAt, TlsSeen, UnsettledStack,
};

use crate::{deletion::Deletion, managed::SetUp};
use domain::{
    blue_green::{Deployment, Server, Source, Wanted},
    card::{Card, ManagedCard, Records, Registered},
    failover::{Page, Sql},
    managed::{Described, NamesSeen},
    records::RecordsSeen,
    state::State,
};
use reconcile::Failure;
use serde_json::Value;
use std::{collections::BTreeMap, net::IpAddr};

/// The outside, one method a call.
#[allow(async_fn_in_trait, reason = "every pass runs on one thread")]
pub trait Outside {
    /// The fleet's settings.
    fn settings(&self) -> &Settings;
    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;
    /// Lets two seconds pass: for a person who waits for an answer, and for nobody else.
    async fn rest(&self);

    /// Looks at the fleet's VPC and at these subnets.
    async fn network(&self, subnet_ids: &[String]) -> Result<NetworkSeen, Failure>;
    /// The id of the image that a public SSM parameter names.
    async fn image(&self, parameter: &str) -> Result<String, Failure>;
    /// Puts an object into the fleet's bucket, if it is not there.
    async fn put(&self, key: &str, bytes: &[u8], sha256: [u8; 32]) -> Result<(), Failure>;

    /// Whether there is a secret of this name.
    async fn has_secret(&self, name: &str) -> Result<bool, Failure>;
    /// The certificate of a cluster.
    async fn tls(&self, cluster: &str) -> Result<Option<Certificate>, Failure>;
    /// Makes one, for these names; with an authority for TLS between hosts, or without; under a customer key, or AWS's own.
    async fn create_tls(
        &self,
        cluster: &str,
        names: &[String],
        peers: bool,
        key_arn: Option<&str>,
    ) -> Result<(), Failure>;
    /// Takes back that it is to be deleted.
    async fn restore_tls(&self, cluster: &str) -> Result<(), Failure>;
    /// Copies it to another Region, there under a customer key or AWS's own.
    async fn replicate_tls(&self, cluster: &str, region: &str, key_arn: Option<&str>) -> Result<(), Failure>;
    /// Deletes its copies, and marks it for deletion.
    async fn delete_tls(&self, cluster: &str) -> Result<(), Failure>;

    /// The state of a cluster.
    async fn state(&self, cluster: &str) -> Result<Option<State>, Failure>;
    /// Forgets the writer of a stack that is gone.
    async fn unclaim(&self, cluster: &str) -> Result<(), Failure>;
    /// Why the setup of a host failed, in its own words.
    async fn setup_problem(&self, cluster: &str, logical_id: &str) -> Result<Option<SetupProblem>, Failure>;

    /// Clusters that are to be deleted.
    async fn deletions(&self) -> Result<Vec<String>, Failure>;
    /// What is noted of a cluster that is to be deleted.
    async fn deletion(&self, cluster: &str) -> Result<Option<Deletion>, Failure>;
    /// Notes that a cluster is to be deleted. A note that is there stays.
    async fn note_deletion(&self, cluster: &str, note: &Deletion) -> Result<(), Failure>;
    /// Forgets the note.
    async fn forget_deletion(&self, cluster: &str) -> Result<(), Failure>;

    /// A stack, by name.
    async fn stack(&self, name: &str) -> Result<Option<StackSeen>, Failure>;
    /// The fleet's stacks whose last change has not ended, or not well.
    async fn unsettled_stacks(&self) -> Result<Vec<UnsettledStack>, Failure>;
    /// The template that a stack was last given.
    async fn template(&self, stack: &str) -> Result<Value, Failure>;
    /// The template that a change set was made with.
    async fn change_set_template(&self, stack: &str, name: &str) -> Result<Value, Failure>;
    /// What is, or was, in a stack.
    async fn resources(&self, stack: &str) -> Result<Vec<ResourceSeen>, Failure>;
    /// The events of a stack's last change, the newest first; by the ARN also of one that is gone.
    async fn last_change(&self, stack: &str) -> Result<Vec<EventSeen>, Failure>;
    /// A stack's change sets that are neither executed nor obsolete.
    async fn open_change_sets(&self, stack: &str) -> Result<Vec<OpenChangeSet>, Failure>;
    /// A change set.
    async fn change_set(&self, stack: &str, name: &str) -> Result<Option<ChangeSetSeen>, Failure>;
    /// Makes a change set.
    async fn create_change_set(&self, new: &NewChangeSet) -> Result<(), Failure>;
    /// Lets CloudFormation do what a change set says.
    async fn execute_change_set(&self, stack: &str, name: &str) -> Result<(), Failure>;
    /// Forgets a change set.
    async fn delete_change_set(&self, stack: &str, name: &str) -> Result<(), Failure>;
    /// Protects a stack from being deleted, or no longer.
    async fn protect(&self, stack: &str, protected: bool) -> Result<(), Failure>;
    /// Begins to delete a stack, by its ARN; the same token is the same request.
    async fn delete_stack(&self, id: &str, token: &str) -> Result<(), Failure>;

    /// The cards of the fleet.
    async fn cards(&self) -> Result<Vec<Registered>, Failure>;
    /// The card of a cluster.
    async fn card(&self, cluster: &str) -> Result<Option<Registered>, Failure>;

    /// An item of a cluster in the state table that holds one JSON document.
    async fn kept(&self, cluster: &str, item: &str) -> Result<Option<Value>, Failure>;
    /// Writes that document, or deletes it, if it still is `before`.
    async fn keep(
        &self,
        cluster: &str,
        item: &str,
        before: Option<&Value>,
        after: Option<&Value>,
    ) -> Result<(), Failure>;

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
    /// Deletes the records of a cluster that is gone.
    async fn remove_records(&self, records: &Records) -> Result<(), Failure>;

    /// What every member of a cluster answers, in the card's order.
    async fn probe(&self, card: &Card) -> Result<Vec<Sql>, Failure>;

    /// What RDS says of a cluster that it runs, in this Region.
    async fn described(&self, card: &ManagedCard) -> Result<Described, Failure>;
    /// What is looked for in another Region: its status there; `None` when there is no such thing.
    async fn in_other_region(&self, region: &str, needed: &Needed) -> Result<Option<String>, Failure>;
    /// What PostgreSQL behind each of these endpoints answers.
    async fn ask(&self, card: &ManagedCard, endpoints: &[String]) -> Result<BTreeMap<String, Sql>, Failure>;
    /// Makes by SQL, with the master's login, what a database lacks; says what that was. Fails for now as
    /// `postgres:set-up`.
    async fn set_up(&self, card: &ManagedCard, endpoint: &str, wanted: &SetUp) -> Result<Vec<String>, Failure>;
    /// The records of a cluster that AWS runs.
    async fn names(&self, records: &Records) -> Result<NamesSeen, Failure>;
    /// Moves the writer's CNAME and its epoch, or creates both.
    async fn move_name(&self, records: &Records, from: Option<(&str, u64)>, to: (&str, u64)) -> Result<(), Failure>;
    /// Lets the readers' CNAMEs be exactly these, by identifier and endpoint.
    async fn set_reader_names(&self, records: &Records, readers: &[(String, String)]) -> Result<(), Failure>;
    /// Deletes the CNAMEs of a cluster that is gone.
    async fn remove_names(&self, records: &Records) -> Result<(), Failure>;

    /// What a blue/green deployment of a cluster copies: its DB cluster, or the instance that writes.
    async fn source(&self, card: &ManagedCard) -> Result<Option<Source>, Failure>;
    /// Whether RDS keeps the master password in a secret of its own.
    async fn manages_password(&self, card: &ManagedCard) -> Result<bool, Failure>;
    /// Versions to which RDS upgrades this one.
    async fn upgrade_targets(&self, card: &ManagedCard, version: &str) -> Result<Vec<String>, Failure>;
    /// Whether `rds.logical_replication` is on, and what else the writer says of itself; `None` when it does not answer.
    async fn server(&self, card: &ManagedCard) -> Result<Option<(bool, Server)>, Failure>;
    /// How far the green side is behind, bytes; `None` when that cannot be known.
    async fn green_lag(&self, card: &ManagedCard) -> Result<Option<u64>, Failure>;
    /// The blue/green deployment of a cluster.
    async fn blue_green(&self, card: &ManagedCard) -> Result<Option<Deployment>, Failure>;
    /// Makes one, under the cluster's name; one that is there is the same.
    async fn create_blue_green(&self, card: &ManagedCard, source: &str, wanted: &Wanted) -> Result<(), Failure>;
    /// Lets the green side take over.
    async fn switch_over_blue_green(&self, id: &str, timeout_s: u32) -> Result<(), Failure>;
    /// Deletes one, with the green databases or without.
    async fn delete_blue_green(&self, id: &str, with_target: bool) -> Result<(), Failure>;

    /// Whether this is to be told now: it was not told for good, and nobody else has begun to in the last moments.
    async fn tell_once(&self, cluster: &str, what: &str) -> Result<bool, Failure>;
    /// Notes that it was told, for good.
    async fn told(&self, cluster: &str, what: &str) -> Result<(), Failure>;
    /// Takes that back, when the telling failed.
    async fn untell(&self, cluster: &str, what: &str) -> Result<(), Failure>;
    /// Sends a page.
    async fn send(&self, page: &Page) -> Result<(), Failure>;
}
