//! Decides the first records of a cluster that AWS runs: CNAMEs to its endpoints.
//!
//! As everywhere, moving them in a change of writer belongs to `promote-replica`, and the readers' to `update-dns`.
//! Here they are created, once the database is set up and answers, and taken over from an older stack of the same name.

use domain::{
    card::{ManagedCard, Side},
    decision::Decision,
    failover::Sql,
    managed::{Described, InstanceSeen, NamesSeen, Roles},
    state::State,
};
use std::{collections::BTreeMap, fmt};

/// What one look yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The card.
    pub card: ManagedCard,
    /// What RDS says.
    pub rds: Described,
    /// The records.
    pub names: NamesSeen,
    /// The state.
    pub state: Option<State>,
    /// Who is what today.
    pub roles: Roles,
    /// Whether SQL has made all that a new database lacks.
    pub is_set_up: bool,
    /// Why that failed just now.
    pub trouble: Option<String>,
    /// What PostgreSQL behind each endpoint answered; `None` when nobody was asked, since nothing depends on it.
    pub answers: Option<BTreeMap<String, Sql>>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Makes by SQL what a new database lacks, at this endpoint.
    SetUp(String),
    /// Creates the writer's CNAME and its epoch, or moves both in one batch.
    PointWriter {
        /// What they hold; `None` when neither exists.
        from: Option<(String, u64)>,
        /// What they shall hold.
        to: (String, u64),
    },
    /// Lets the readers' CNAMEs be these, by identifier and endpoint.
    PointReaders(Vec<(String, String)>),
}

/// Why nothing is done now, or at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// RDS has no endpoint of this yet: its identifier, and what RDS says of it.
    NoEndpoint(String, Option<String>),
    /// SQL could not make what a new database lacks.
    NotSetUp(String),
    /// No writer is on record yet.
    Unclaimed,
    /// A change of writer is under way.
    WriterChanges(String),
    /// An endpoint does not answer as it should: which, as what, and what it answered.
    NoAnswer(String, &'static str, String),
    /// No replica answers that the readers' record could name.
    NoReader,
    /// The records are not as Understudy writes them.
    Foreign(String),
}

impl Observed {
    fn is_dr(&self) -> bool {
        self.card.side == Side::Dr
    }

    /// Identifier of whoever is the writer of this side: of a DB cluster it is that.
    fn writer_id(&self) -> String {
        let by_roles = || self.roles.instance_id(&self.card.fleet, &self.card.cluster, self.roles.writer);
        let on_record = self.state.as_ref().and_then(|state| state.writer.clone()).filter(|_| !self.is_dr());
        self.card.db_cluster.clone().unwrap_or_else(|| on_record.unwrap_or_else(by_roles))
    }

    /// Where the writer's record shall point.
    fn writer(&self) -> Result<String, Reason> {
        let id = self.writer_id();
        if let Some(cluster) = self.rds.db_cluster.as_ref().filter(|_| self.card.db_cluster.is_some()) {
            return cluster.endpoint.clone().ok_or_else(|| Reason::NoEndpoint(id, Some(cluster.status.clone())));
        }
        let instance = self.rds.instance(&id);
        instance
            .and_then(|instance| instance.endpoint.clone())
            .ok_or_else(|| Reason::NoEndpoint(id, instance.map(|instance| instance.status.clone())))
    }

    /// Whom the readers' record may name, by identifier and endpoint.
    fn readers(&self) -> Vec<(String, String)> {
        if let Some(cluster) = self.rds.db_cluster.as_ref().filter(|_| self.card.db_cluster.is_some()) {
            let endpoint = cluster.reader_endpoint.clone();
            return endpoint.map(|endpoint| (cluster.id.clone(), endpoint)).into_iter().collect();
        }
        let writer = self.writer_id();
        let reads = |instance: &&InstanceSeen| instance.is_available() && (self.is_dr() || instance.id != writer);
        let named = |instance: &InstanceSeen| Some((instance.id.clone(), instance.endpoint.clone()?));
        self.rds.instances.iter().filter(reads).filter_map(named).collect()
    }

    /// Whether there is, or will be, anybody to read from beside the writer.
    fn has_readers(&self) -> bool {
        self.card.db_cluster.is_some() || self.is_dr() || self.card.instances.len() > 1
    }

    /// Every name that RDS gave this cluster.
    fn endpoints(&self) -> Vec<&str> {
        let cluster = self.rds.db_cluster.iter().flat_map(|cluster| [&cluster.endpoint, &cluster.reader_endpoint]);
        let instances = self.rds.instances.iter().map(|instance| &instance.endpoint);
        cluster.chain(instances).filter_map(|endpoint| endpoint.as_deref()).collect()
    }

    /// Whether the writer's record points into this cluster, wherever: from there it is moved by others.
    fn writer_is_set(&self) -> bool {
        self.names.writer.as_deref().is_some_and(|name| self.endpoints().contains(&name)) && self.names.epoch.is_some()
    }

    fn readers_are_set(&self) -> bool {
        let endpoints = self.endpoints();
        !self.has_readers()
            || (!self.names.readers.is_empty()
                && self.names.readers.iter().all(|name| endpoints.contains(&name.as_str())))
    }

    /// The number that is written beside the writer's record.
    fn epoch(&self) -> u64 {
        self.state.as_ref().map_or(0, |state| state.epoch)
    }

    /// The endpoints that must be asked before [`decide`] can say more; none when all records are there.
    #[must_use]
    pub fn to_ask(&self) -> Vec<String> {
        let unclaimed = self.state.as_ref().is_none_or(|state| state.writer.is_none());
        if !self.is_set_up || (unclaimed && !self.is_dr()) || (self.writer_is_set() && self.readers_are_set()) {
            return Vec::new();
        }
        let mut endpoints: Vec<String> = self.readers().into_iter().map(|(_, endpoint)| endpoint).collect();
        endpoints.extend(self.writer());
        endpoints.sort_unstable();
        endpoints.dedup();
        endpoints
    }
}

/// Decides the next step.
pub fn decide(seen: &Observed) -> Decision<Step, Reason> {
    if let Some(change) = seen.state.as_ref().and_then(|state| state.change.as_ref()) {
        return Decision::Wait(Reason::WriterChanges(change.from.clone()));
    }
    if !seen.is_set_up {
        return match (&seen.trouble, seen.writer()) {
            (Some(trouble), _) => Decision::Wait(Reason::NotSetUp(trouble.clone())),
            (None, Ok(endpoint)) => Decision::Act(vec![Step::SetUp(endpoint)]),
            (None, Err(reason)) => Decision::Wait(reason),
        };
    }
    if !seen.is_dr() && seen.state.as_ref().is_none_or(|state| state.writer.is_none()) {
        return Decision::Wait(Reason::Unclaimed);
    }
    if seen.writer_is_set() && seen.readers_are_set() {
        return Decision::Steady;
    }
    match missing(seen) {
        Ok(steps) => Decision::Act(steps),
        Err(decision) => decision,
    }
}

/// The records that are missing, the readers' first: of an older stack's, nothing would look wrong once the writer's
/// is right.
fn missing(seen: &Observed) -> Result<Vec<Step>, Decision<Step, Reason>> {
    let writer = seen.writer().map_err(Decision::Wait)?;
    let none = BTreeMap::new();
    let answers = seen.answers.as_ref().unwrap_or(&none);
    let answer = |endpoint: &str| answers.get(endpoint).unwrap_or(&Sql::NotAsked);
    let serves = |endpoint: &str| matches!(answer(endpoint), Sql::Writer(_) | Sql::Standby(_));
    let readers: Vec<(String, String)> = seen.readers().into_iter().filter(|(_, endpoint)| serves(endpoint)).collect();
    let mut steps = Vec::new();
    if !seen.readers_are_set() {
        if readers.is_empty() {
            return Err(Decision::Wait(Reason::NoReader));
        }
        steps.push(Step::PointReaders(readers));
    }
    if seen.writer_is_set() {
        return Ok(steps);
    }
    // The writer's endpoint of a second Region's Aurora cluster answers only once that has taken over.
    let sleeps = seen.is_dr() && seen.card.db_cluster.is_some();
    let (word, is_well) = if seen.is_dr() { ("standby", serves(&writer)) } else { ("writer", writes(answer(&writer))) };
    if !sleeps && !is_well {
        return Err(Decision::Wait(Reason::NoAnswer(writer.clone(), word, describe(answer(&writer)))));
    }
    let from = replaceable(&seen.names, seen.epoch()).map_err(|why| Decision::Refuse(Reason::Foreign(why)))?;
    steps.push(Step::PointWriter { from, to: (writer, seen.epoch()) });
    Ok(steps)
}

fn writes(sql: &Sql) -> bool {
    matches!(sql, Sql::Writer(_))
}

/// What the writer's record and its epoch hold, to be replaced exactly: nothing, or what an older stack left behind.
fn replaceable(names: &NamesSeen, epoch: u64) -> Result<Option<(String, u64)>, String> {
    match (&names.writer, names.epoch) {
        (None, None) => Ok(None),
        (Some(name), Some(old)) if old < epoch => Ok(Some((name.clone(), old))),
        (Some(name), Some(old)) => {
            Err(format!("the writer record names {name} with epoch {old}, and the state has epoch {epoch} only"))
        }
        (None, Some(old)) => Err(format!("epoch {old} has a TXT record, and there is no writer record beside it")),
        (Some(name), None) => Err(format!("the writer record names {name} without an epoch beside it")),
    }
}

fn describe(sql: &Sql) -> String {
    match sql {
        Sql::Writer(_) => "it accepts writes".into(),
        Sql::Standby(_) => "it is in recovery".into(),
        Sql::Alive(why) => format!("it is alive, but {why}"),
        Sql::Refused => "its port is closed".into(),
        Sql::Silent(why) => format!("it is silent: {why}"),
        Sql::NotAsked => "it was not asked".into(),
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::SetUp(endpoint) => write!(f, "make roles and database at {endpoint}"),
            Step::PointWriter { from: None, to: (name, epoch) } => {
                write!(f, "create the writer record for {name}, epoch {epoch}")
            }
            Step::PointWriter { from: Some((old, _)), to: (name, epoch) } => {
                write!(f, "move the writer record from {old}, of an older stack, to {name}, epoch {epoch}")
            }
            Step::PointReaders(readers) => {
                let names: Vec<&str> = readers.iter().map(|(_, name)| name.as_str()).collect();
                write!(f, "point the reader record at {}", names.join(", "))
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoEndpoint(id, Some(status)) => write!(f, "{id} is {status} and has no endpoint yet"),
            Reason::NoEndpoint(id, None) => write!(f, "RDS knows no {id} yet"),
            Reason::NotSetUp(trouble) => write!(f, "its roles and its database could not be made: {trouble}"),
            Reason::Unclaimed => {
                f.write_str("no writer is on record yet: promote-replica writes it down as soon as there is one")
            }
            Reason::WriterChanges(from) => write!(f, "a change of writer away from {from} is under way"),
            Reason::NoAnswer(endpoint, word, answer) => {
                write!(f, "{endpoint} should answer as a {word}, and {answer}")
            }
            Reason::NoReader => f.write_str("no replica answers that the reader record could name"),
            Reason::Foreign(problem) => {
                write!(f, "{problem}; Understudy does not touch what it did not write: delete the records by hand")
            }
        }
    }
}
