//! A pass over the names of a cluster that AWS runs; [`domain::dns::managed`] decides.

use crate::{acted, lease::Lease, unknown_records};
use domain::{
    dns::{
        APART,
        managed::{Reason, Step, decide},
    },
    managed::{NamesSeen, Observed},
};
use reconcile::{End, Failure, Managed, ManagedLooks, Report, Silences, Turn, Waking, World, page_once, pass};
use std::sync::Arc;

/// One pass over one managed cluster.
pub struct ManagedPass<O> {
    looks: ManagedLooks<O>,
    lease: Lease,
    /// The looks of this pass, the newest last; none where another Region serves.
    seen: Vec<Observed>,
}

impl<O: Managed> ManagedPass<O> {
    /// Begins a pass.
    pub fn new(outside: O, waking: Waking, silences: Arc<Silences>, turn: Turn) -> Self {
        let looks = ManagedLooks::new(outside, waking, turn.pass.clone(), silences);
        ManagedPass { looks, lease: Lease::new(turn), seen: Vec::new() }
    }
}

impl<O: Managed> World for ManagedPass<O> {
    type Seen = Vec<Observed>;
    type Step = Step;

    async fn observe(&mut self) -> Result<Vec<Observed>, Failure> {
        let looked = self.looks.look().await?;
        if looked.serves {
            self.seen.push(looked.seen);
        } else {
            self.seen.clear();
        }
        Ok(self.seen.clone())
    }

    async fn perform(&mut self, step: &Step) -> Result<(), Failure> {
        let outside = &self.looks.outside;
        self.lease.turn.in_time(outside.now_ms())?;
        match step {
            Step::LookAgain => {
                outside.sleep(APART).await;
                self.looks.ask_anew();
            }
            Step::Hold { epoch } => self.lease.hold(outside, *epoch).await?,
            Step::MoveWriterRecord { from, to } => {
                outside.move_writer(Some((&from.0, from.1)), (&to.0, to.1)).await?;
                tracing::info!("record {} moved to {}", outside.card().records.writer, to.0);
                let moved = |names: &mut NamesSeen| (names.writer, names.epoch) = (Some(to.0.clone()), Some(to.1));
                self.looks.changed_names(Ok(moved));
            }
            Step::SetReaders(readers) => {
                outside.set_readers(readers).await?;
                let mut targets: Vec<String> = readers.iter().map(|(_, target)| target.clone()).collect();
                targets.sort();
                self.looks.changed_names(Ok(|names: &mut NamesSeen| names.readers = targets));
            }
        }
        Ok(())
    }
}

/// Runs one pass over one managed cluster.
///
/// # Errors
///
/// As [`crate::follow_roles`].
pub async fn follow_managed_roles<O: Managed>(cluster: &mut ManagedPass<O>) -> Result<Report, Failure> {
    let report = settle(cluster).await;
    cluster.lease.released(&cluster.looks.outside, report).await
}

async fn settle<O: Managed>(cluster: &mut ManagedPass<O>) -> Result<Report, Failure> {
    let name = cluster.looks.outside.cluster().to_owned();
    match pass(cluster, |looks: &Vec<Observed>| decide(looks)).await? {
        End::Steady { steps } => Ok(acted(&name, steps)),
        End::Wait(Reason::RecordsUnknown(problem)) => Err(unknown_records(problem)),
        End::Wait(reason) => Ok(Report::new(&name, "waits", reason.to_string())),
        End::Refuse(looks, reason) => {
            if let Some(seen) = looks.last() {
                page_once(&cluster.looks.outside, reason.kind(), seen.state.epoch, &reason.page(seen)).await?;
            }
            Ok(Report::new(&name, "refused", reason.to_string()))
        }
    }
}
