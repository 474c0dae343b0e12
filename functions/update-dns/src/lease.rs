//! The lease of a pass that only moves records.

use domain::state::Holder;
use reconcile::{Desk, Failure, Turn};

/// The lease is held no longer than this, whatever becomes of the pass: a
/// failover must not wait for a record. It may end before the pass does: a
/// move that comes late meets other records than it must replace, and readers
/// that are set late are set right by the next pass.
const HOLD_MS: u64 = 10_000;

/// The lease of one pass.
pub(crate) struct Lease {
    pub turn: Turn,
    /// The epoch of the lease that this pass holds.
    held: Option<u64>,
}

impl Lease {
    pub fn new(turn: Turn) -> Self {
        Lease { turn, held: None }
    }

    /// Takes it.
    pub async fn hold<D: Desk>(&mut self, desk: &D, epoch: u64) -> Result<(), Failure> {
        let holder = self.turn.holder();
        let expires_at_ms = holder.expires_at_ms.min(desk.now_ms() + HOLD_MS);
        // Also when the answer is lost: what was taken is given back.
        self.held = Some(epoch);
        desk.resume(epoch, &Holder { expires_at_ms, ..holder }).await
    }

    /// Gives it back, if this pass holds it; then says what the pass came to.
    pub async fn released<D: Desk, T>(&mut self, desk: &D, report: Result<T, Failure>) -> Result<T, Failure> {
        let released = self.release(desk).await;
        let report = report?;
        released?;
        Ok(report)
    }

    async fn release<D: Desk>(&mut self, desk: &D) -> Result<(), Failure> {
        let Some(epoch) = self.held else { return Ok(()) };
        match desk.release(epoch, &self.turn.pass).await {
            // Expired and taken by another pass: there is nothing to give back.
            Ok(()) | Err(Failure::LostRace { .. }) => {
                self.held = None;
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }
}
