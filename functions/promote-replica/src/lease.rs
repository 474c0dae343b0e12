//! What every change of writer does, whoever made it: the lease, the notes, the
//! records, the ledger and the page. Nothing here touches a server.

use crate::Pass;
use domain::{
    failover::{Ledger, Page},
    state::{Change, ChangeKind, Finished, Holder, State, Synchronous},
    time,
};
use reconcile::{Failure, Outside, Turn};
use std::net::IpAddr;

/// Failovers that the state item remembers.
const REMEMBERED: usize = 20;

impl<O: Outside> Pass<O> {
    /// Gives the lease back, if this pass holds it.
    pub(crate) async fn give_back(&mut self) -> Result<(), Failure> {
        if !self.holds_lease {
            return Ok(());
        }
        let epoch = self.state()?.epoch;
        match self.looks.outside.release(epoch, &self.looks.pass).await {
            // Expired and taken by another pass: there is nothing to give back.
            Ok(()) | Err(Failure::LostRace { .. }) => {
                self.holds_lease = false;
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    pub(crate) fn turn(&self) -> Turn {
        Turn { pass: self.looks.pass.clone(), deadline_ms: self.deadline_ms }
    }

    pub(crate) fn in_time(&self) -> Result<(), Failure> {
        self.turn().in_time(self.looks.outside.now_ms())
    }

    pub(crate) fn state(&self) -> Result<&State, Failure> {
        let missing = || Failure::Broken { call: "pass", what: "a step before the first look".to_owned() };
        self.looks.state.as_ref().ok_or_else(missing)
    }

    pub(crate) fn holder(&self) -> Holder {
        self.turn().holder()
    }

    pub(crate) async fn begin(&mut self, epoch: u64, change: &Change) -> Result<(), Failure> {
        let change = Change {
            woken_at_ms: self.looks.waking.at_ms,
            woken_by: self.looks.waking.by.clone(),
            began_at_ms: self.looks.outside.now_ms(),
            ..change.clone()
        };
        self.looks.outside.begin(epoch, &self.holder(), &change).await?;
        self.holds_lease = true;
        // From here the state item says what is wanted.
        self.looks.waking.switchover = None;
        // The steps that follow in this look belong to the new epoch.
        self.looks.change = Some(change.clone());
        if let Some(state) = &mut self.looks.state {
            state.epoch = epoch + 1;
            state.change = Some(change);
        }
        tracing::info!("lease taken, epoch {}", epoch + 1);
        Ok(())
    }

    /// Writes the change back, so that the next pass knows as much as this one.
    pub(crate) async fn note(&mut self, edit: impl FnOnce(&mut Change)) -> Result<(), Failure> {
        let epoch = self.state()?.epoch;
        let missing = || Failure::Broken { call: "pass", what: "a note without a change".to_owned() };
        let mut change = self.looks.change.clone().ok_or_else(missing)?;
        edit(&mut change);
        self.looks.outside.note(epoch, &self.looks.pass, &change).await?;
        self.looks.change = Some(change);
        Ok(())
    }

    pub(crate) async fn publish(
        &mut self,
        synchronous: &Synchronous,
        floor: Option<domain::lsn::Lsn>,
    ) -> Result<(), Failure> {
        let epoch = self.state()?.epoch;
        self.looks.outside.publish_synchronous(epoch, &self.looks.pass, synchronous, floor).await
    }

    pub(crate) async fn move_record(&mut self, from: Option<(IpAddr, u64)>, to: (IpAddr, u64)) -> Result<(), Failure> {
        match self.looks.outside.move_writer(from, to).await {
            Ok(()) => {
                let name = &self.looks.outside.card().records.writer;
                tracing::info!("record {name} moved to {}, epoch {}", to.0, to.1);
                self.looks.changed_records(Ok(|records: &mut domain::records::RecordsSeen| {
                    (records.writer, records.epoch) = (vec![to.0], Some(to.1));
                }));
                let at = self.looks.outside.now_ms();
                // Outside a change there is nobody to tell.
                match self.looks.change {
                    Some(_) => self.note(|change| change.record_moved_at_ms = Some(at)).await,
                    None => Ok(()),
                }
            }
            Err(failure) => self.record_waits(failure),
        }
    }

    pub(crate) async fn set_readers(&mut self, addresses: &[IpAddr]) -> Result<(), Failure> {
        match self.looks.outside.set_readers(addresses).await {
            Ok(()) => {
                let readers = addresses.to_vec();
                self.looks.changed_records(Ok(|records: &mut domain::records::RecordsSeen| records.reader = readers));
                Ok(())
            }
            Err(failure) => self.record_waits(failure),
        }
    }

    /// Route 53's control plane is in one Region: when it is down, everything
    /// that does not need it goes on. A lost race is another matter.
    pub(crate) fn record_waits(&mut self, failure: Failure) -> Result<(), Failure> {
        if let Failure::LostRace { .. } = failure {
            return Err(failure);
        }
        tracing::warn!("{}", failure.story());
        self.looks.changed_records(Err::<fn(&mut domain::records::RecordsSeen), _>(failure.story()));
        Ok(())
    }

    pub(crate) async fn abandon(&mut self) -> Result<(), Failure> {
        let epoch = self.state()?.epoch;
        self.looks.outside.abandon(epoch, &self.looks.pass).await?;
        self.holds_lease = false;
        Ok(())
    }

    /// The page before the phase: a pass that dies in between tells twice,
    /// which is better than never.
    pub(crate) async fn finish(
        &mut self,
        writer: &str,
        kind: ChangeKind,
        ledger: &Ledger,
        page: &Page,
    ) -> Result<(), Failure> {
        let (epoch, mut failovers) = (self.state()?.epoch, self.state()?.failovers_ms.clone());
        let now = self.looks.outside.now_ms();
        let word = match kind {
            ChangeKind::Failover => "failover",
            ChangeKind::Switchover => "switchover",
            ChangeKind::Followed => "followed",
        };
        let item = format!("ledger#{}#{word}#{epoch}", time::stamp(ledger.began_at_ms));
        let entry = serde_json::to_value(ledger).map_err(reconcile::failed("dynamodb:PutItem"))?;
        self.looks.outside.append(&item, &entry).await?;
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
        self.looks.outside.finish(epoch, &self.looks.pass, &finished).await?;
        self.holds_lease = false;
        Ok(())
    }

    pub(crate) async fn send(&self, page: &Page) -> Result<(), Failure> {
        tracing::info!("page: {}", page.subject);
        self.looks.outside.send(page).await
    }
}
