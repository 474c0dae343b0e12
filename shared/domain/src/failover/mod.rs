//! When a standby takes over, and in which order the steps must happen.
//!
//! One look yields one [`Observed`]; [`decide`] answers with the next steps;
//! after they were performed the pass looks again. A change of writer is thus a
//! walk through states that every later pass can see and finish:
//!
//! ```text
//! steady ─ Begin ─► Freeze ─► (evidence) ─► Promote ─► SetSynchronous, PrepareSlots
//!                     │                                      │
//!                     └─ old writer answers: Abandon         ▼
//! steady ◄─ Finish ◄─ StopHost, SetReaderRecord ◄─ Follow ◄─ MoveWriterRecord
//! ```
//!
//! After promotion there is no way back: every later pass only finishes.

mod candidate;
mod evidence;
mod finish;
mod reason;
mod seen;
mod step;
mod story;
mod suspect;
mod takeover;

pub use evidence::{Evidence, prove};
pub use reason::Reason;
pub use seen::{Host, ReceiverSeen, Sql, StandbySeen, StreamSeen, WriterSeen};
pub use step::{Step, Target};
pub use story::{Ledger, Page, refusal};

use crate::{card::CardMember, decision::Decision, lsn::Lsn, policy::Policy, records::RecordsSeen, state::State};
use std::{net::IpAddr, time::Duration};

/// One cluster as one look saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The cluster's name.
    pub cluster: String,
    /// When the named writer was first found silent, in milliseconds since 1970:
    /// for the story, as `looked_at_ms`.
    pub silent_since_ms: Option<u64>,
    /// Name of the writer record, for the page.
    pub writer_record: String,
    /// When this look was taken, in milliseconds since 1970: for the story that
    /// people read. No decision depends on it.
    pub looked_at_ms: u64,
    /// The state item.
    pub state: State,
    /// Who holds the lease.
    pub lease: Lease,
    /// Since the last finished change of writer; `None` when there was none.
    pub since_change: Option<Duration>,
    /// The members of the card, in its order.
    pub members: Vec<Member>,
    /// The records.
    pub records: Seen<RecordsSeen>,
    /// What `watch-clusters` said when it woke this pass.
    pub suspicion: Option<Suspicion>,
    /// What the owner allows.
    pub policy: Policy,
}

/// One member as one look saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What the card says of it.
    pub card: CardMember,
    /// What EC2 says of its host.
    pub host: Host,
    /// What PostgreSQL on it answered.
    pub sql: Sql,
}

/// Something that this look needed, or not, or could not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen<T> {
    /// Looked up.
    Known(T),
    /// Not needed by this look.
    NotAsked,
    /// The call failed; why.
    Unavailable(String),
}

/// Who holds the lease of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// Nobody, or a pass whose time is over.
    Free,
    /// This pass.
    Mine,
    /// Another pass, for this much longer.
    Other(Duration),
}

/// Failed probes in a row, counted by `watch-clusters`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspicion {
    /// Instance id of the member that failed them.
    pub member: String,
    /// How many.
    pub failures: u32,
    /// Since the first of them began.
    pub silent_for: Duration,
    /// Its last write position that a probe saw.
    pub last_lsn: Option<Lsn>,
    /// Its `synchronous_standby_names` that a probe saw last.
    pub synchronous_setting: Option<String>,
}

impl Member {
    fn target(&self) -> Target {
        Target { id: self.card.id.clone(), name: self.card.name.clone(), address: self.card.address }
    }

    fn place(&self) -> String {
        format!("{} ({})", self.card.id, self.card.zone)
    }
}

impl Observed {
    /// The member with this instance id.
    #[must_use]
    pub fn member(&self, id: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.card.id == id)
    }

    /// The suspicion, if it is about this member.
    fn suspicion_of(&self, id: &str) -> Option<&Suspicion> {
        self.suspicion.as_ref().filter(|suspicion| suspicion.member == id)
    }

    /// Whether `from` acknowledges commits by the published set: it is on, and no
    /// probe saw another `synchronous_standby_names`, in this wake-up or in the
    /// one that began the change. Otherwise nothing follows from standbys.
    fn is_synchronous(&self, from: &str) -> bool {
        let published = self.state.change.as_ref().map_or(&self.state.synchronous, |change| &change.synchronous);
        let told = self.suspicion_of(from).and_then(|suspicion| suspicion.synchronous_setting.as_ref());
        let noted = self.state.change.as_ref().and_then(|change| change.synchronous_setting.as_ref());
        published.is_on() && told.into_iter().chain(noted).all(|setting| published.is_setting(setting))
    }
}

/// Decides what happens next to the cluster in `seen`.
pub fn decide(seen: &Observed) -> Decision<Step, Reason> {
    if let Lease::Other(left) = seen.lease {
        return Decision::Wait(Reason::LeaseHeld(left));
    }
    let Some(writer) = &seen.state.writer else {
        return Decision::Wait(Reason::NotClaimed);
    };
    if let Some(change) = &seen.state.change {
        if seen.lease != Lease::Mine {
            return Decision::Act(vec![Step::Hold { epoch: seen.state.epoch }]);
        }
        return takeover::go_on(seen, change);
    }
    let Some(writer) = seen.member(writer) else {
        return Decision::Refuse(Reason::WriterNotInCard(writer.clone()));
    };
    if let Some(other) =
        seen.members.iter().find(|other| other.card.id != writer.card.id && matches!(other.sql, Sql::Writer(_)))
    {
        return Decision::Refuse(Reason::TwoWriters { named: writer.card.id.clone(), other: other.card.id.clone() });
    }
    match &writer.sql {
        Sql::Writer(answer) => mend(seen, writer, answer),
        Sql::Standby(_) => Decision::Refuse(Reason::WriterInRecovery(writer.card.id.clone())),
        Sql::Alive(answer) => {
            Decision::Wait(Reason::AliveButBusy { member: writer.card.id.clone(), answer: answer.clone() })
        }
        Sql::NotAsked => Decision::Wait(Reason::NotAsked(writer.card.id.clone())),
        Sql::Refused | Sql::Silent(_) => suspect::judge(seen, writer),
    }
}

/// The writer is well: standbys that a change cut short left frozen, or that
/// were away during it, follow the writer again.
fn mend(seen: &Observed, writer: &Member, answer: &WriterSeen) -> Decision<Step, Reason> {
    let Follow { slots, follow } = follow_steps(seen, writer, answer);
    match (follow.is_empty(), seen.lease) {
        (true, _) => Decision::Steady,
        (false, Lease::Mine) => Decision::Act(slots.into_iter().chain(follow).collect()),
        (false, _) => Decision::Act(vec![Step::Hold { epoch: seen.state.epoch }]),
    }
}

/// Steps after which every standby that answers follows one writer.
struct Follow {
    /// First its slot must exist there.
    slots: Option<Step>,
    /// Then each standby is pointed at it.
    follow: Vec<Step>,
}

fn follow_steps(seen: &Observed, writer: &Member, answer: &WriterSeen) -> Follow {
    let upstream: IpAddr = writer.card.address;
    let astray: Vec<&Member> = seen
        .members
        .iter()
        .filter(|member| matches!(&member.sql, Sql::Standby(standby) if standby.upstream != Some(upstream)))
        .collect();
    let slots: Vec<String> =
        astray.iter().map(|member| member.card.name.clone()).filter(|name| !answer.slots.contains(name)).collect();
    Follow {
        slots: (!slots.is_empty()).then(|| Step::PrepareSlots { member: writer.target(), slots }),
        follow: astray.iter().map(|member| Step::Follow { standby: member.target(), upstream }).collect(),
    }
}

/// The steps that undo a change which may not go on before its promotion:
/// a freeze stops a healthy synchronous writer too. Empty when there is
/// nothing to undo, or no way back.
#[must_use]
pub fn undo(seen: &Observed, because: &Reason) -> Vec<Step> {
    let Some(change) = &seen.state.change else { return Vec::new() };
    let begun = change.promoting.as_ref().is_some_and(|id| !takeover::is_off_for_good(seen, id));
    if seen.lease != Lease::Mine || begun || takeover::promoted(seen, change).is_some() {
        return Vec::new();
    }
    let mut steps = Vec::new();
    if let Some(from) = seen.member(&change.from) {
        // Also one whose receiver has not ended yet: it is frozen once it has.
        let frozen = seen
            .members
            .iter()
            .filter(|member| matches!(&member.sql, Sql::Standby(standby) if standby.upstream.is_none()));
        steps.extend(frozen.map(|member| Step::Follow { standby: member.target(), upstream: from.card.address }));
    }
    steps.push(Step::Abandon { because: because.to_string() });
    steps
}
