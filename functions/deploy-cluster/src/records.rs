//! Decides whether a cluster's records are created, and to whom they point.
//!
//! Moving them in a change of writer belongs to `promote-replica`. Here they are
//! created, and taken over from an older stack of the same name: then they carry
//! an older epoch, and may well name an address that a new member has now.

use domain::{
    card::{Card, CardMember, Topology},
    decision::Decision,
    failover::{Sql, StandbySeen, WriterSeen},
    records::RecordsSeen,
    state::State,
};
use std::{fmt, net::IpAddr};

/// What one look yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The card.
    pub card: Card,
    /// The records.
    pub records: RecordsSeen,
    /// The state.
    pub state: Option<State>,
    /// What the members answered, in the card's order; `None` when they were
    /// not asked, since nothing depends on it.
    pub members: Option<Vec<Sql>>,
}

/// One step towards records that name members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Creates the writer record and its epoch, or moves both in one batch.
    PointWriter {
        /// What they hold; `None` when neither exists.
        from: Option<(IpAddr, u64)>,
        /// What they shall hold.
        to: (IpAddr, u64),
    },
    /// Lets the reader record name these.
    PointReaders(Vec<IpAddr>),
}

/// Why nothing is done now, or at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// No writer is on record yet, of a cluster built so.
    Unclaimed(Topology),
    /// A change of writer is under way.
    WriterChanges(String),
    /// The writer does not answer as one.
    NoWriter {
        /// The writer on record.
        writer: String,
        /// What it answered.
        answer: String,
    },
    /// Fewer standbys stream than a commit needs.
    TooFewStandbys {
        /// How many stream.
        streaming: usize,
        /// How many must.
        required: u32,
    },
    /// No standby streams, so that there is none for the reader record.
    NoReader,
    /// More members than one accept writes.
    SeveralWriters(Vec<String>),
    /// The writer on record is no member of this card.
    Stranger(String),
    /// The records are not as Understudy writes them.
    Foreign(String),
}

/// Whether the members must be asked before [`decide`] can say more.
#[must_use]
pub fn needs_members(card: &Card, state: &State, records: &RecordsSeen) -> bool {
    let writer = state.writer.as_deref().and_then(|id| card.member(id));
    writer.is_some_and(|writer| records.writer != [writer.address] || !readers_are_set(card, records))
}

/// A cluster of one member has nobody to read from beside its writer.
fn readers_are_set(card: &Card, records: &RecordsSeen) -> bool {
    if card.members.len() == 1 {
        return records.reader.is_empty();
    }
    !records.reader.is_empty() && records.reader.iter().all(|address| at(card, *address).is_some())
}

fn at(card: &Card, address: IpAddr) -> Option<&CardMember> {
    card.members.iter().find(|member| member.address == address)
}

/// Decides the next step.
pub fn decide(seen: &Observed) -> Decision<Step, Reason> {
    let Observed { card, records, .. } = seen;
    let Some(state) = seen.state.as_ref() else { return Decision::Wait(Reason::Unclaimed(card.topology)) };
    let Some(writer) = state.writer.as_deref() else { return Decision::Wait(Reason::Unclaimed(card.topology)) };
    if let Some(change) = &state.change {
        return Decision::Wait(Reason::WriterChanges(change.from.clone()));
    }
    let Some(writer) = card.member(writer) else { return Decision::Refuse(Reason::Stranger(writer.to_owned())) };
    let Some(answers) = &seen.members else { return Decision::Steady };
    let streaming = match serving(card, state, writer, answers) {
        Ok(streaming) => streaming,
        Err(decision) => return decision,
    };
    if records.writer == [writer.address] {
        return match (readers_are_set(card, records), streaming.is_empty()) {
            (true, _) => Decision::Steady,
            // Left over from an older stack.
            (false, true) if card.members.len() == 1 => Decision::Act(vec![Step::PointReaders(Vec::new())]),
            (false, true) => Decision::Wait(Reason::NoReader),
            (false, false) => Decision::Act(vec![Step::PointReaders(streaming)]),
        };
    }
    let point_writer = match replaceable(records, state.epoch) {
        Ok(from) => Step::PointWriter { from, to: (writer.address, state.epoch) },
        Err(problem) => return Decision::Refuse(Reason::Foreign(problem)),
    };
    // The readers first: of an older stack's, nothing would look wrong once the writer record is right.
    let point_readers = (!streaming.is_empty() && records.reader != streaming).then_some(Step::PointReaders(streaming));
    Decision::Act(point_readers.into_iter().chain([point_writer]).collect())
}

/// The addresses of the standbys that stream from the writer, if the cluster
/// serves: one member writes, it is the one on record, and as many standbys
/// stream as a commit needs.
fn serving(
    card: &Card,
    state: &State,
    writer: &CardMember,
    answers: &[Sql],
) -> Result<Vec<IpAddr>, Decision<Step, Reason>> {
    let asked: Vec<(&CardMember, &Sql)> = card.members.iter().zip(answers).collect();
    let writing: Vec<&CardMember> =
        asked.iter().filter(|(_, sql)| matches!(sql, Sql::Writer(_))).map(|(member, _)| *member).collect();
    if writing.len() > 1 {
        let names = writing.iter().map(|member| format!("{} ({})", member.name, member.id)).collect();
        return Err(Decision::Refuse(Reason::SeveralWriters(names)));
    }
    let answer = asked.iter().find(|(member, _)| member.id == writer.id).map(|(_, sql)| *sql);
    let Some(Sql::Writer(seen)) = answer else {
        let answer = describe(answer.unwrap_or(&Sql::NotAsked));
        return Err(Decision::Wait(Reason::NoWriter { writer: format!("{} ({})", writer.name, writer.id), answer }));
    };
    let streaming: Vec<&CardMember> =
        asked.iter().filter(|(member, sql)| follows(seen, writer, member, sql)).map(|(member, _)| *member).collect();
    // Where Patroni owns the cluster it also owns the list of those that a commit may wait for.
    let counts =
        |member: &&&CardMember| card.topology == Topology::Ec2Patroni || state.synchronous.names.contains(&member.name);
    let counted = streaming.iter().filter(counts).count();
    let required = state.synchronous.required;
    if counted < required as usize {
        return Err(Decision::Wait(Reason::TooFewStandbys { streaming: counted, required }));
    }
    Ok(streaming.iter().map(|member| member.address).collect())
}

/// Whether both ends say that a standby streams from the writer.
fn follows(seen: &WriterSeen, writer: &CardMember, member: &CardMember, sql: &Sql) -> bool {
    let Sql::Standby(StandbySeen { receiver: Some(receiver), .. }) = sql else { return false };
    receiver.streaming
        && receiver.upstream.is_none_or(|upstream| upstream == writer.address)
        && seen.streams.iter().any(|stream| stream.name == member.name && stream.streaming)
}

/// What the writer record and its epoch hold, to be replaced exactly: nothing,
/// or what an older stack of the same name left behind.
fn replaceable(records: &RecordsSeen, epoch: u64) -> Result<Option<(IpAddr, u64)>, String> {
    match (records.writer.as_slice(), records.epoch) {
        ([], None) => Ok(None),
        ([address], Some(old)) if old < epoch => Ok(Some((*address, old))),
        ([address], Some(old)) => {
            Err(format!("the writer record names {address} with epoch {old}, and the state has epoch {epoch} only"))
        }
        ([], Some(old)) => Err(format!("epoch {old} has a TXT record, and there is no writer record beside it")),
        ([address], None) => Err(format!("the writer record names {address} without an epoch beside it")),
        (several, _) => Err(format!("the writer record names {} addresses", several.len())),
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
            Step::PointWriter { from: None, to: (address, epoch) } => {
                write!(f, "create the writer record for {address}, epoch {epoch}")
            }
            Step::PointWriter { from: Some((old, _)), to: (address, epoch) } => {
                write!(f, "move the writer record from {old}, of an older stack, to {address}, epoch {epoch}")
            }
            Step::PointReaders(addresses) => {
                let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                write!(f, "point the reader record at {}", addresses.join(", "))
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Unclaimed(Topology::Ec2Streaming) => f.write_str("no member has become writer yet"),
            Reason::Unclaimed(_) => {
                f.write_str("no writer is on record yet: promote-replica writes it down as soon as there is one")
            }
            Reason::WriterChanges(from) => write!(f, "a change of writer away from {from} is under way"),
            Reason::NoWriter { writer, answer } => write!(f, "{writer} should write, and {answer}"),
            Reason::TooFewStandbys { streaming, required } => {
                write!(f, "{streaming} standbys stream and a commit needs {required}")
            }
            Reason::NoReader => f.write_str("no standby streams that the reader record could name"),
            Reason::SeveralWriters(names) => write!(f, "several members accept writes: {}", names.join(", ")),
            Reason::Stranger(id) => write!(f, "the state names {id} as writer, which is no member of this cluster"),
            Reason::Foreign(problem) => {
                write!(f, "{problem}; Understudy does not touch what it did not write: delete the records by hand")
            }
        }
    }
}
