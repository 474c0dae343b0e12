//! Watches every cluster of the fleet: probes, metrics, wake-ups.
//!
//! Woken every minute by a schedule, it watches for a minute and ten seconds.
//! The overlap is on purpose: failed probes are counted within one run only, so
//! a writer that dies as a run ends is found by that run, not by the next one
//! that would count from zero; and a schedule that is some seconds late leaves
//! no hole. Two runs that find the same raise it twice, which is harmless.
//!
//! It changes nothing. What it finds, it hands to another function, which
//! looks for itself: to `promote-replica`, but for the last three. Every such
//! event has the source `understudy.watch-clusters` and the shape of an
//! EventBridge event:
//!
//! | `detail-type` | when | `detail`, beside `cluster` |
//! |---|---|---|
//! | `Understudy Writer Suspected` | the writer of the state item failed `failures` probes in a row; then every second probe that fails | `member`, `failures`, `silent_since_ms`, `problem`, `raised_at_ms`; once seen: `last_lsn`, `last_lsn_at_ms`, `synchronous_setting` |
//! | `Understudy Change Unfinished` | a change of writer is open, and nobody holds its lease | `problem` |
//! | `Understudy Two Writers` | a member that is not the writer of the state item is out of recovery | `member`, `problem` |
//! | `Understudy Writer In Recovery` | the writer of the state item is a standby | `member`, `problem` |
//! | `Understudy Disk Full` | the guard of the writer wrote that its data disk is full | `member`, `problem` |
//! | `Understudy Standby Frozen` | a standby has no upstream although nothing changes | `member`, `problem` |
//! | `Understudy Standby Astray` | a standby follows another than the writer although nothing changes | `member`, `problem` |
//! | `Understudy Commits Wait` | for 10 s, the writer's commits wait for more standbys than stream | `member`, `problem` |
//! | `Understudy Synchronous Set Behind` | a standby streams that commits could wait for, and the published set lacks it, or has room for more | `problem` |
//! | `Understudy Leader Moved` | Patroni has made another member leader than the state item names | as the first, and `leader`; `silent_since_ms` is when the old one was last seen to write, when it answers |
//! | `Understudy Not Adopted` | Patroni has made a member leader, and the state item names nobody | `member`, `problem` |
//! | `Understudy Pause Over` | the pause that was asked for is over, and Patroni must be told | `problem` |
//! | `Understudy Member Down` | to `rejoin-replica`: the port of a member that is not the writer refuses; where Patroni leads also: for 10 s, it does not answer | `member`, `problem` |
//! | `Understudy Member Back` | to `rejoin-replica`: for 10 s, a member that was told to be down streams from the writer | `member`, `problem` |
//! | `Understudy Readers Changed` | to `update-dns`: for 10 s, other standbys than before stream from the writer and answer | `problem` |
//! | `Understudy Writer Gone` | RDS does not know the writer of record any more | `member`, `problem` |
//! | `Understudy Former Writer` | an instance of RDS replicates from nobody, and is not the writer of record; again every minute | `member`, `problem` |
//! | `Understudy Database Busy` | for 60 s, RDS has called an instance or a DB cluster something else than available; again every minute | `member`, `problem` |
//!
//! Where AWS runs the cluster, RDS is asked every 30 s and in doubt; every instance that it knows is probed behind its
//! endpoint. Of the table above, frozen and astray standbys, full disks, waiting commits, published sets and members
//! that are down are not found there: those are AWS's. A Serverless v2 cluster that may pause at 0 ACU is not probed at
//! all: whoever asks it wakes it. And where another Region serves, nothing is found.
//!
//! Where Patroni leads (I15), nothing is found about frozen or astray standbys, disks of guards, waiting commits and
//! published sets: those are Patroni's.
//!
//! All but the first are raised only after the state item was read anew, and
//! again at growing gaps while they last.

mod cluster;
mod event;
mod finding;
mod metrics;
mod run;
mod watch;

pub use event::Origin;
pub use run::{Report, Watcher};

use domain::{
    card::{Card, CardMember, ManagedCard, Registered},
    events::Function,
    failover::Sql,
    managed::Described,
    state::{GuardSeen, State},
};
use reconcile::Failure;
use serde_json::Value;

/// What this function may call, in IAM's words: the same set as its policy in
/// `infra/template.yaml`, proven equal by a test.
pub const CALLS: [&str; 8] = [
    "dynamodb:GetItem",
    // By Secrets Manager, for secrets with a key of their owner's.
    "kms:Decrypt",
    "lambda:InvokeFunction",
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "rds:DescribeGlobalClusters",
    "secretsmanager:GetSecretValue",
    "ssm:GetParametersByPath",
];

/// What a run looks at, and whom it tells.
pub trait World: Send + Sync + 'static {
    /// What it takes to log in to a cluster's members.
    type Access: Clone + Send + Sync + 'static;

    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;

    /// Reads the fleet's cards.
    fn cards(&self) -> impl Future<Output = Result<Cards, Failure>> + Send;

    /// Reads the secret with which a cluster's members are asked.
    fn access(&self, card: &Registered) -> impl Future<Output = Result<Self::Access, Failure>> + Send;

    /// Looks at one member.
    fn probe(&self, access: &Self::Access, card: &Card, member: &CardMember) -> impl Future<Output = Probed> + Send;

    /// Asks RDS about a cluster that AWS runs.
    fn describe(&self, card: &ManagedCard) -> impl Future<Output = Result<Described, Failure>> + Send;

    /// Looks at one instance of such a cluster, behind the name of its endpoint.
    fn probe_endpoint(
        &self,
        access: &Self::Access,
        card: &ManagedCard,
        endpoint: &str,
    ) -> impl Future<Output = Probed> + Send;

    /// Reads whether this Region serves a cluster that has two.
    fn serves(&self, card: &ManagedCard) -> impl Future<Output = Result<bool, Failure>> + Send;

    /// Reads a cluster's state item.
    fn state(&self, cluster: &str) -> impl Future<Output = Result<Option<State>, Failure>> + Send;

    /// Reads what a member's boot guard wrote.
    fn guard(&self, cluster: &str, member: &str) -> impl Future<Output = Result<Option<GuardSeen>, Failure>> + Send;

    /// Hands a function an event.
    fn wake(&self, function: Function, event: &Value) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Writes one document of the embedded metric format to the log.
    fn measured(&self, document: &Value);
}

/// The cards of a fleet. One that cannot be read hides no other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cards {
    /// The cards.
    pub cards: Vec<Registered>,
    /// Parameters that should be cards and are not, each with the reason.
    pub unreadable: Vec<(String, String)>,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// What PostgreSQL answered.
    pub sql: Sql,
    /// Whether it turned the login away, so that the secret is worth reading again.
    pub login_refused: bool,
}

/// The fleet's name cannot be one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("environment variable FLEET is {0:?}, and must be 2 to 16 lower-case letters and digits, a letter first")]
pub struct BadFleet(pub String);

/// Checks a fleet's name: a wrong one would find no card and watch nothing, in
/// silence.
///
/// # Errors
///
/// [`BadFleet`] for a name that `infra/template.yaml` does not allow either.
pub fn fleet(name: String) -> Result<String, BadFleet> {
    let plain = name.bytes().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit());
    if plain && (2..=16).contains(&name.len()) && name.as_bytes()[0].is_ascii_lowercase() {
        return Ok(name);
    }
    Err(BadFleet(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fleets() {
        for good in ["prod", "eu", "a123456789012345"] {
            assert_eq!(fleet(good.to_owned()), Ok(good.to_owned()));
        }
        let told = BadFleet("prod-eu".to_owned()).to_string();
        assert!(told.starts_with("environment variable FLEET is \"prod-eu\", and must be 2 to 16"), "{told}");
        for bad in ["", "a", "1a", "Prod", "prod-eu", "a1234567890123456", "pröd"] {
            assert_eq!(fleet(bad.to_owned()), Err(BadFleet(bad.to_owned())));
        }
    }
}
