//! Clusters that AWS runs: what is done when a writer of Aurora or RDS fails.
//!
//! Aurora and Multi-AZ fail over by themselves; that is verified, told and measured. Where AWS calls a writer well that
//! is not, one failover is forced; where RDS has no standby left, a read replica is promoted, after the old writer is
//! proven to be cut off from its clients.
//!
//! ```text
//! nothing known ─ Adopt ─► steady
//!   steady ─ AWS moved the writer, PostgreSQL confirms it ── Begin ─► MoveWriterRecord, SetReaders ─ Finish ─► steady
//!   steady ─ gray: RDS calls the silent writer well ──────── Begin ─► note, FailOver ─► Prove ─► … ─ Finish ─► steady
//!   steady ─ the writer is down, AWS had its time ────────── Begin ─► Isolate ─► SetNetworkAcl or Reboot ─► (evidence)
//!            ─► note, Promote ─► Prove ─► MoveWriterRecord, SetBackups, KeepRoles, Stop, RenderAnew ─ Finish ─► steady
//!                └─ the old writer answers before the order: given back to its clients, Abandon, page
//! ```
//!
//! The invariants of [`crate::failover`] hold here too; what differs is said where it does. RDS's two orders have no
//! token. A failover is noted before it is ordered and never ordered again in the same change, whatever a later pass
//! sees. A promotion names one replica, is noted before it is ordered, and RDS refuses it for what is no replica any
//! more; so that it may be ordered once more when nothing of it is seen.

mod choose;
mod cluster;
mod course;
mod damping;
mod evidence;
mod explain;
mod finish;
mod instance;
mod mend;
mod order;
mod promotion;
mod reason;
mod records;
mod refusal;
mod roles;
mod seen;
mod sentence;
mod step;
mod story;
mod switchover;
mod undo;
mod waiting;

pub use course::{By, Course};
pub use evidence::{Evidence, prove};
pub use explain::explain;
pub use reason::Reason;
pub use records::{readers, writer_target};
pub use refusal::refusal;
pub use roles::{ROLES, Roles};
pub use seen::{DbClusterSeen, Described, GlobalFailover, GlobalSeen, InstanceSeen, Lag, NamesSeen, Observed};
pub use step::Step;
pub use undo::undo;

use crate::{
    decision::Decision,
    failover::{Lease, Seen, Sql, Suspicion, WriterSeen},
    follow::Waiting,
    state::Change,
};
use std::time::Duration;

/// Decides what happens next to the cluster in `seen`.
pub fn decide(seen: &Observed) -> Decision<Step, Reason> {
    if let Lease::Other(left) = seen.lease {
        return Decision::Wait(Reason::LeaseHeld(left));
    }
    if let Some(change) = &seen.state.change {
        if seen.lease != Lease::Mine {
            return Decision::Act(vec![Step::Hold { epoch: seen.state.epoch }]);
        }
        return go_on(seen, change);
    }
    let described = match without_rds(seen) {
        Ok(described) => described,
        Err(decision) => return decision,
    };
    let Some(writer) = &seen.state.writer else { return adopt(seen, described) };
    match (&described.db_cluster, &seen.card.db_cluster) {
        (None, Some(missing)) => Decision::Refuse(Reason::WriterGone(missing.clone())),
        (Some(cluster), _) => cluster::judge(seen, described, cluster, writer),
        (None, None) => instance::judge(seen, described, writer),
    }
}

/// Goes on with an open change, whose lease this pass holds.
fn go_on(seen: &Observed, change: &Change) -> Decision<Step, Reason> {
    let described = match without_rds(seen) {
        Ok(described) => described,
        Err(decision) => return decision,
    };
    if let Some(promoted) = &change.promoted {
        return finish::go_on(seen, described, change, promoted);
    }
    let Some(course) = &change.managed else {
        return Decision::Act(vec![Step::Abandon { because: "it is no change of a managed cluster".to_owned() }]);
    };
    match course.by {
        // It begins with the promotion noted.
        By::Aws => Decision::Act(vec![Step::Abandon { because: "it names no new writer".to_owned() }]),
        By::GrayFailure | By::Asked => order::go_on(seen, described, change, course),
        By::Promotion => promotion::go_on(seen, described, change, course),
    }
}

/// What RDS said; or what is done while it says nothing.
fn without_rds(seen: &Observed) -> Result<&Described, Decision<Step, Reason>> {
    let problem = match &seen.rds {
        Seen::Known(described) => return Ok(described),
        Seen::NotAsked => "it was not asked".to_owned(),
        Seen::Unavailable(problem) => problem.clone(),
    };
    let patience = seen.card.policy.aws_failover();
    Err(match waiting::waited(seen, waiting::RDS, None, None) {
        Err(note) => Decision::Act(vec![Step::Note(note)]),
        Ok(waited) => match waiting::left(patience, waited) {
            Some(left) => Decision::Wait(Reason::RdsSilent { problem, left }),
            None => Decision::Refuse(Reason::RdsSilent { problem, left: Duration::ZERO }),
        },
    })
}

/// The first writer: who accepts writes, and is a writer for RDS, too.
fn adopt(seen: &Observed, described: &Described) -> Decision<Step, Reason> {
    let named = match &described.db_cluster {
        Some(cluster) => cluster.writer.as_deref().filter(|id| seen.writes(id).is_some()),
        // A DB cluster that RDS does not tell of has no writer, either.
        None if seen.card.db_cluster.is_some() => None,
        None => {
            let mut able = seen.writers().filter(|id| {
                described
                    .instance(id)
                    .is_some_and(|found| found.source.is_none() && !evidence::is_isolated(seen, found))
            });
            able.next().filter(|_| able.next().is_none())
        }
    };
    match named.and_then(|id| Some((id, seen.writes(id)?))) {
        Some((writer, answer)) => Decision::Act(vec![Step::Adopt {
            epoch: seen.state.epoch,
            writer: writer.to_owned(),
            timeline: answer.timeline,
        }]),
        None => Decision::Wait(Reason::NotAdopted),
    }
}

impl Observed {
    /// What RDS says, when it answered.
    #[must_use]
    pub fn described(&self) -> Option<&Described> {
        match &self.rds {
            Seen::Known(described) => Some(described),
            Seen::NotAsked | Seen::Unavailable(_) => None,
        }
    }

    /// What PostgreSQL on an instance answered.
    #[must_use]
    pub fn sql_of(&self, id: &str) -> &Sql {
        self.sql.get(id).unwrap_or(&Sql::NotAsked)
    }

    /// What an instance that accepts writes answered.
    #[must_use]
    pub fn writes(&self, id: &str) -> Option<&WriterSeen> {
        match self.sql.get(id) {
            Some(Sql::Writer(answer)) => Some(answer),
            _ => None,
        }
    }

    /// Who accepts writes.
    fn writers(&self) -> impl Iterator<Item = &str> {
        self.sql.iter().filter(|(_, sql)| matches!(sql, Sql::Writer(_))).map(|(id, _)| id.as_str())
    }

    /// Since a moment, as of this look.
    fn since(&self, moment_ms: u64) -> Duration {
        Duration::from_millis(self.looked_at_ms.saturating_sub(moment_ms))
    }

    /// The suspicion, if it is about this instance.
    fn suspicion_of(&self, id: &str) -> Option<&Suspicion> {
        self.suspicion.as_ref().filter(|suspicion| suspicion.member == id)
    }

    /// Since when the writer of the state item is silent, as far as anyone knows.
    fn silent_since(&self) -> Option<u64> {
        let writer = self.state.writer.as_deref()?;
        let told = self.suspicion_of(writer).map(|told| self.looked_at_ms.saturating_sub(millis(told.silent_for)));
        let of_writer = |waiting: &&Waiting| {
            let kinds = [waiting::SILENT, waiting::DIFFER, waiting::RECOVERY];
            kinds.into_iter().any(|kind| waiting::is_fresh(self, waiting, kind))
        };
        let noted = self.waiting.as_ref().filter(of_writer);
        [told, self.silent_since_ms, noted.map(|waiting| waiting.since_ms)].into_iter().flatten().min()
    }

    /// The roles of today.
    fn roles_now(&self) -> Roles {
        self.roles.clone().unwrap_or_default()
    }

    /// `prod-leads-1 (eu-west-1a)`.
    fn place(&self, id: &str) -> String {
        match self.zone(id) {
            Some(zone) => format!("{id} ({zone})"),
            None => id.to_owned(),
        }
    }

    fn zone(&self, id: &str) -> Option<&str> {
        self.described()?.instance(id)?.zone.as_deref()
    }
}

impl InstanceSeen {
    /// Whether it replicates from this instance of the same Region, by identifier or ARN.
    fn follows(&self, other: &str) -> bool {
        let end = |source: &String| source.rsplit(':').next() == Some(other);
        self.source.as_ref().is_some_and(end)
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
