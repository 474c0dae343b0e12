//! What would be done now, and what would be done if the writer failed now.

use super::{Member, Observed, Sql, Step, candidate, decide};
use crate::{
    decision::Decision,
    state::Loss,
    time::{bytes, seconds},
};
use serde::Serialize;
use std::time::Duration;

/// The answer to `{"explain": "orders"}`, in sentences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What a pass would do now.
    pub now: String,
    /// What a pass would do if the writer failed now: whom it would promote,
    /// on what evidence, at what cost in bytes and seconds.
    pub if_the_writer_failed: String,
    /// What was seen of each member.
    pub seen: Vec<String>,
}

/// From the lease to a record that has moved, without the record's time to live.
/// Measured on a small database; a promotion first replays what was received.
const ACTING: Duration = Duration::from_millis(500);

/// How long EC2 takes to stop an instance, as its owner must expect.
const STOPPING: Duration = Duration::from_secs(60);

/// Says what would be done; nothing is.
#[must_use]
pub fn explain(seen: &Observed) -> Explanation {
    Explanation { now: now(seen), if_the_writer_failed: failed(seen), seen: seen.members.iter().map(line).collect() }
}

fn line(member: &Member) -> String {
    format!("{} ({}): EC2 says {}, PostgreSQL {}", member.card.id, member.card.zone, member.host, member.sql)
}

fn now(seen: &Observed) -> String {
    match decide(seen) {
        Decision::Steady => "nothing: the writer answers and nothing is left to do".to_owned(),
        Decision::Wait(reason) => format!("nothing yet: {reason}"),
        Decision::Refuse(reason) => format!("nothing, and a person is paged: {reason}"),
        Decision::Act(steps) => {
            let steps: Vec<String> = steps.iter().map(Step::to_string).collect();
            steps.join("; ")
        }
    }
}

fn failed(seen: &Observed) -> String {
    let Some(writer) = seen.state.writer.as_deref().and_then(|writer| seen.member(writer)) else {
        return "nothing: no member is named writer".to_owned();
    };
    if let Some(left) = seen.paused_for() {
        return format!("nothing for {} more, since the cluster is paused", seconds(left));
    }
    let chosen = match candidate::choose(seen, &writer.card.id) {
        Ok(chosen) => chosen,
        Err(reason) => return format!("nothing, and a person is paged: {reason}"),
    };
    let position = match &writer.sql {
        Sql::Writer(answer) => Some(answer.lsn),
        _ => seen.suspicion_of(&writer.card.id).and_then(|suspicion| suspicion.last_lsn),
    };
    let loss = match candidate::loss(seen, &writer.card.id, position, chosen.furthest) {
        Ok(loss) => loss,
        Err(reason) => return format!("nothing, and a person is paged: {reason}"),
    };
    let (cost, evidence, proof) = match loss {
        Loss::Nothing => ("nothing that was acknowledged".to_owned(), "CommitsFrozen", Duration::ZERO),
        Loss::Bytes(lost) => (format!("{} of log as of now", bytes(lost)), "Stopped or SelfFenced", STOPPING),
        Loss::Unknown => ("an unknown amount, as approved".to_owned(), "Stopped or SelfFenced", STOPPING),
    };
    let probes = seen.policy.probe_interval() * seen.policy.failures;
    let detection = probes.max(seen.policy.witness_silence() + seen.policy.probe_interval());
    format!(
        "{} would be promoted, on evidence {evidence}, at the cost of {cost} and about {} without writes",
        chosen.member.place(),
        seconds(detection + proof + ACTING)
    )
}
