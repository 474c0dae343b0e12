//! When a standby takes over, and in which order the steps must happen.
//!
//! One look yields one [`Observed`]; [`decide`] answers with the next steps;
//! after they were performed the pass looks again. A change of writer is thus a
//! walk through states that every later pass can see and finish:
//!
//! ```text
//! steady ─ Begin ─► Freeze ─► (evidence) ─► Promote ─► Apply, Publish, PrepareSlots
//!                     │                                      │
//!                     └─ old writer answers: Abandon         ▼
//! steady ◄─ Finish ◄─ StopHost, SetReaderRecord ◄─ Follow ◄─ MoveWriterRecord
//! ```
//!
//! After promotion there is no way back: every later pass only finishes.
//!
//! # The invariants
//!
//! | name | what holds | why | where |
//! |---|---|---|---|
//! | I1 one decider | the epoch is advanced by compare-and-swap before any side effect | two passes that both saw a dead writer must not both act | [`Step::Begin`], [`Lease`] |
//! | I2 live truth | every look reads the state item, every member, EC2 and the records anew | events are late, doubled and wrong | `reconcile::Looks` |
//! | I3 two witnesses | failed probes in a row, and a witness that does not share their path | one vantage point is one broken route away from an outage of our own making | `suspect` |
//! | I4 damping | time for a local restart, grace after a pause, a cool-down, a limit by the hour | a failover costs more than a restart, and does not cure what causes the third | `suspect` |
//! | I5 fence first | promotion takes an [`Evidence`] that only [`prove`] makes | two writers cost more than any outage | `evidence` |
//! | I6 no evidence | nothing is promoted; a person gets the exact command | a guess is not better at night | `takeover`, [`refusal`] |
//! | I7 right candidate | one database, one timeline, the furthest position, nobody ahead | who is behind could never follow | `candidate` |
//! | I8 lag gate | over the limit a failover is held, with the bytes and a one-use approval | losing rows is the owner's choice, and never silent | `candidate` |
//! | I9 quorum | what was acknowledged is on a standby in sight: n - k + 1 of the published set, above the floor | the published set must cover whatever acknowledged | `candidate`, `mend` |
//! | I10 hands off | never while paused, for a full disk, or from one vantage point | a person is at work; the next disk fills as fast | `suspect`, `mend` |
//! | I11 order | fence, promote, prove, repair, record, followers, page | each step rests on the one before | `finish` |
//! | I12 boot guard | a member starts as writer only when the state item names it, in phase steady | an old writer that comes back must not be a second one | `infra/nodes/start.sh` |
//! | I13 rejoin ladder | what only the old timeline has is saved, then rewound, then rebuilt | the rows may be somebody's money | `infra/nodes/rejoin.sh`, [`crate::rejoin`] |
//! | I14 continuity | slots exist before standbys follow, and hold back a limited amount of log | a dead member must not fill the disk of a live one | `mend`, `infra/nodes/start.sh` |
//! | I15 Patroni | a cluster that Patroni owns is never promoted, frozen, stopped or repointed here | two deciders | [`crate::follow`], `reconcile::Steers` |
//! | I16 Regions | another Region is promoted on positive evidence or approval | silence across an ocean proves nothing | (no such topology yet) |
//!
//! Each has a table test on both sides of its limit in `tests/failover`, and all
//! of them are checked after every step by `tests/simulation`.

mod candidate;
mod evidence;
mod explain;
mod finish;
mod mend;
pub(crate) mod phases;
mod reason;
mod seen;
mod step;
mod story;
mod suspect;
mod switchover;
mod takeover;

pub use evidence::{Evidence, prove};
pub use explain::{Explanation, explain};
pub use phases::Phases;
pub use reason::Reason;
pub use seen::{Host, PromotedSeen, ReceiverSeen, Sql, StandbySeen, StreamSeen, WriterSeen};
pub use step::{Step, Target};
pub use story::{Ledger, Page, refusal};

use crate::{
    card::CardMember,
    decision::Decision,
    lsn::Lsn,
    policy::Policy,
    records::RecordsSeen,
    state::{Approval, GuardSeen, State, Synchronous},
};
use std::time::Duration;

/// One cluster as one look saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The fleet's name.
    pub fleet: String,
    /// The cluster's name.
    pub cluster: String,
    /// When the named writer was first found silent, in milliseconds since 1970:
    /// for the story, as `looked_at_ms`.
    pub silent_since_ms: Option<u64>,
    /// Name of the writer record, for the page.
    pub writer_record: String,
    /// When this look was taken, in milliseconds since 1970.
    pub looked_at_ms: u64,
    /// The state item.
    pub state: State,
    /// Who holds the lease.
    pub lease: Lease,
    /// How many standbys the spec wants a commit to wait for.
    pub synchronous_required: u32,
    /// What a person asked for in this call: a switchover to this member, by
    /// instance id or name.
    pub switchover: Option<String>,
    /// Whether `watch-clusters` found that commits wait for standbys that are
    /// not there, and woke this pass for it.
    pub commits_wait: bool,
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
    /// What its boot guard wrote, when this look needed it and there was something.
    pub guard: Option<GuardSeen>,
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
    pub(crate) fn target(&self) -> Target {
        Target { id: self.card.id.clone(), name: self.card.name.clone(), address: self.card.address }
    }

    /// `i-0b2 (eu-west-1b)`.
    pub(crate) fn place(&self) -> String {
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

    /// What a probe saw last of the `synchronous_standby_names` of `from`, in
    /// this wake-up or in the one that began the change.
    fn settings_of<'a>(&'a self, from: &str) -> impl Iterator<Item = &'a String> {
        let told = self.suspicion_of(from).and_then(|suspicion| suspicion.synchronous_setting.as_ref());
        let noted = self.state.change.as_ref().and_then(|change| change.synchronous_setting.as_ref());
        told.into_iter().chain(noted)
    }

    /// The set that was published when `from` was the writer.
    fn published(&self) -> &Synchronous {
        self.state.change.as_ref().map_or(&self.state.synchronous, |change| &change.synchronous)
    }

    /// Whether `from` acknowledges commits by the published set: it is on, and no
    /// probe saw a setting that the set does not cover. Otherwise nothing
    /// follows from standbys.
    fn is_synchronous(&self, from: &str) -> bool {
        let published = self.published();
        let covered = |text: &String| Synchronous::parse(text).is_some_and(|applied| published.covers(&applied));
        published.is_on() && self.settings_of(from).all(covered)
    }

    /// Since a moment, as of this look.
    fn since(&self, moment_ms: u64) -> Duration {
        Duration::from_millis(self.looked_at_ms.saturating_sub(moment_ms))
    }

    /// I10: how much longer a person wants nothing to be done.
    #[must_use]
    pub fn paused_for(&self) -> Option<Duration> {
        let left = self.state.pause.as_ref()?.until_ms.saturating_sub(self.looked_at_ms);
        (left > 0).then(|| Duration::from_millis(left))
    }

    /// What a person allowed to be lost: with the change, or for the next one.
    fn approval(&self) -> Option<&Approval> {
        let of_change = self.state.change.as_ref().map(|change| change.approval.as_ref());
        of_change.unwrap_or_else(|| {
            let waiting = self.state.approval.as_ref();
            waiting.filter(|approval| approval.epoch == self.state.epoch && approval.expires_at_ms > self.looked_at_ms)
        })
    }

    /// Failovers that ended within the last hour.
    fn failovers_in_an_hour(&self) -> usize {
        let hour = Duration::from_secs(3_600);
        self.state.failovers_ms.iter().filter(|ended| self.since(**ended) < hour).count()
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
        Sql::Writer(answer) => match &seen.switchover {
            Some(to) => switchover::judge(seen, writer, answer, to),
            None => mend::go_on(seen, writer, answer),
        },
        Sql::Standby(_) => Decision::Refuse(Reason::WriterInRecovery(writer.card.id.clone())),
        // It may start again and again, and answer every time: clients are not served all the same.
        Sql::Alive(_) if writer.guard.as_ref().is_some_and(|guard| guard.says_disk_full(seen.looked_at_ms)) => {
            Decision::Refuse(Reason::DiskFull(writer.card.id.clone()))
        }
        Sql::Alive(answer) => {
            Decision::Wait(Reason::AliveButBusy { member: writer.card.id.clone(), answer: answer.clone() })
        }
        Sql::NotAsked => Decision::Wait(Reason::NotAsked(writer.card.id.clone())),
        Sql::Refused | Sql::Silent(_) => suspect::judge(seen, writer),
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
