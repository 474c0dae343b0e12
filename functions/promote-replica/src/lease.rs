//! What every change of writer does, whoever made it and however the cluster is built: the lease, the notes, the
//! ledger and the page. Nothing here touches a server or a record.

use domain::{
    failover::{Ledger, Page},
    state::{Change, ChangeKind, Finished, Holder, State},
    time,
};
use reconcile::{Desk, Failure, Turn, Waking};

/// Failovers that the state item remembers.
const REMEMBERED: usize = 20;

/// A pass at its desk: what it knows of the state item, and whether it holds the lease.
pub(crate) struct AtDesk<'pass, D> {
    pub desk: &'pass D,
    pub turn: Turn,
    pub waking: &'pass mut Waking,
    pub state: &'pass mut Option<State>,
    pub change: &'pass mut Option<Change>,
    pub holds_lease: &'pass mut bool,
}

impl<D: Desk> AtDesk<'_, D> {
    /// Gives the lease back, if this pass holds it.
    pub async fn give_back(&mut self) -> Result<(), Failure> {
        if !*self.holds_lease {
            return Ok(());
        }
        let epoch = self.state()?.epoch;
        match self.desk.release(epoch, &self.turn.pass).await {
            // Expired and taken by another pass: there is nothing to give back.
            Ok(()) | Err(Failure::LostRace { .. }) => {
                *self.holds_lease = false;
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    pub fn in_time(&self) -> Result<(), Failure> {
        self.turn.in_time(self.desk.now_ms())
    }

    pub fn state(&self) -> Result<&State, Failure> {
        let missing = || Failure::Broken { call: "pass", what: "a step before the first look".to_owned() };
        self.state.as_ref().ok_or_else(missing)
    }

    pub fn holder(&self) -> Holder {
        self.turn.holder()
    }

    /// Takes the lease; the epoch stays.
    pub async fn hold(&mut self, epoch: u64) -> Result<(), Failure> {
        self.desk.resume(epoch, &self.holder()).await?;
        *self.holds_lease = true;
        Ok(())
    }

    pub async fn begin(&mut self, epoch: u64, change: &Change) -> Result<(), Failure> {
        let change = Change {
            woken_at_ms: self.waking.at_ms,
            woken_by: self.waking.by.clone(),
            began_at_ms: self.desk.now_ms(),
            ..change.clone()
        };
        self.desk.begin(epoch, &self.holder(), &change).await?;
        *self.holds_lease = true;
        // From here the state item says what is wanted.
        self.waking.switchover = None;
        // The steps that follow in this look belong to the new epoch.
        *self.change = Some(change.clone());
        if let Some(state) = self.state {
            state.epoch = epoch + 1;
            state.change = Some(change);
        }
        tracing::info!("lease taken, epoch {}", epoch + 1);
        Ok(())
    }

    /// Writes the change back, so that the next pass knows as much as this one.
    pub async fn note(&mut self, edit: impl FnOnce(&mut Change)) -> Result<(), Failure> {
        let epoch = self.state()?.epoch;
        let missing = || Failure::Broken { call: "pass", what: "a note without a change".to_owned() };
        let mut change = self.change.clone().ok_or_else(missing)?;
        edit(&mut change);
        self.desk.note(epoch, &self.turn.pass, &change).await?;
        *self.change = Some(change);
        Ok(())
    }

    /// Notes when the writer's record was moved. Outside a change there is nobody to tell.
    pub async fn note_moved(&mut self) -> Result<(), Failure> {
        let at = self.desk.now_ms();
        match self.change {
            Some(_) => self.note(|change| change.record_moved_at_ms = Some(at)).await,
            None => Ok(()),
        }
    }

    pub async fn abandon(&mut self) -> Result<(), Failure> {
        let epoch = self.state()?.epoch;
        self.desk.abandon(epoch, &self.turn.pass).await?;
        *self.holds_lease = false;
        Ok(())
    }

    /// The page before the phase: a pass that dies in between tells twice,
    /// which is better than never.
    pub async fn finish(
        &mut self,
        writer: &str,
        kind: ChangeKind,
        ledger: &Ledger,
        page: &Page,
    ) -> Result<(), Failure> {
        let (epoch, mut failovers) = (self.state()?.epoch, self.state()?.failovers_ms.clone());
        let now = self.desk.now_ms();
        let word = match kind {
            ChangeKind::Failover => "failover",
            ChangeKind::Switchover => "switchover",
            ChangeKind::Followed => "followed",
        };
        let item = format!("ledger#{}#{word}#{epoch}", time::stamp(ledger.began_at_ms));
        let entry = serde_json::to_value(ledger).map_err(reconcile::failed("dynamodb:PutItem"))?;
        self.desk.append(&item, &entry).await?;
        self.send(page).await?;
        if kind != ChangeKind::Switchover {
            failovers.push(now);
            failovers.drain(..failovers.len().saturating_sub(REMEMBERED));
        }
        let finished = Finished {
            writer: writer.to_owned(),
            at_ms: now,
            failovers_ms: failovers,
            timeline: ledger.timeline[1],
            timeline_began: ledger.promoted_at_lsn,
        };
        self.desk.finish(epoch, &self.turn.pass, &finished).await?;
        *self.holds_lease = false;
        Ok(())
    }

    async fn send(&self, page: &Page) -> Result<(), Failure> {
        tracing::info!("page: {}", page.subject);
        self.desk.send(page).await
    }
}
