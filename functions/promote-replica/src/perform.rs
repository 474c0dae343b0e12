//! What a pass does. No choices are made here: only in which order the calls
//! of one step are made, so that a pass that dies between any two of them
//! leaves what the next one can see and finish.

use crate::{Cluster, Pass};
use domain::{
    failover::{Evidence, Ledger, Observed, Page, PromotedSeen, Step, Target},
    state::{Change, ChangeKind, Finished, Holder, Loss, Promoted, State, Synchronous},
    time,
};
use reconcile::{Failure, Outside, Turn, World, page_once};
use std::{net::IpAddr, time::Duration};

/// How long one step waits for a member's guard, and how often it looks.
const GUARD: Duration = Duration::from_secs(15);
const GUARD_EVERY: Duration = Duration::from_millis(250);

/// What a member that was silent gets to answer once more before it is stopped.
const SECOND_CHANCE: Duration = Duration::from_millis(500);

/// Failovers that the state item remembers.
const REMEMBERED: usize = 20;

impl<O: Outside> World for Pass<O> {
    type Seen = Observed;
    type Step = Step;

    async fn observe(&mut self) -> Result<Observed, Failure> {
        self.looks.look().await
    }

    async fn perform(&mut self, step: &Step) -> Result<(), Failure> {
        self.in_time()?;
        match step {
            Step::Begin { epoch, change } => self.begin(*epoch, change).await,
            Step::Hold { epoch } => {
                self.looks.outside.resume(*epoch, &self.holder()).await?;
                self.holds_lease = true;
                Ok(())
            }
            Step::Freeze(who) => {
                let frozen = self.looks.outside.freeze(who).await;
                self.or_left_out(who, frozen)
            }
            Step::Follow { standby, upstream } => {
                let followed = self.looks.outside.follow(standby, *upstream).await;
                self.or_left_out(standby, followed)
            }
            Step::StopHost(who) => self.stop_host(who).await,
            Step::Promote { member, timeline, epoch, evidence, loss } => {
                self.promote(member, *timeline, *epoch, evidence, *loss).await
            }
            Step::Prove { member, epoch } => {
                let seen = self.looks.outside.prove(member, *epoch).await?;
                // The pass that promoted it did not live to say from which timeline;
                // PostgreSQL takes the next free one.
                self.note_promotion(member, seen, seen.timeline.saturating_sub(1)).await
            }
            Step::NotePromoted(promoted) => self.note(|change| change.promoted = Some(promoted.clone())).await,
            Step::NoteSilence(since_ms) => self.note(|change| change.new_silent_since_ms = *since_ms).await,
            Step::NoteFrozen(since_ms) => self.note(|change| change.frozen_since_ms = *since_ms).await,
            Step::Checkpoint(who) => self.checkpoint(who).await,
            Step::AwaitGuard { member, epoch } => self.await_guard(member, *epoch).await,
            Step::Apply { member, synchronous } => {
                self.looks.outside.set_synchronous(member, &synchronous.setting()).await
            }
            Step::Publish { synchronous, floor } => self.publish(synchronous, *floor).await,
            Step::PrepareSlots { member, slots } => self.looks.outside.prepare_slots(member, slots).await,
            Step::MoveWriterRecord { from, to } => self.move_record(*from, *to).await,
            Step::SetReaderRecord(addresses) => self.set_readers(addresses).await,
            Step::Abandon { .. } => self.abandon().await,
            Step::Finish { writer, kind, ledger, page } => self.finish(writer, *kind, ledger, page).await,
        }
    }
}

impl<O: Outside> Cluster for Pass<O> {
    async fn release(&mut self) -> Result<(), Failure> {
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

    async fn page(&mut self, kind: &str, page: &Page) -> Result<(), Failure> {
        page_once(&self.looks.outside, kind, self.state()?.epoch, page).await
    }
}

impl<O: Outside> Pass<O> {
    fn turn(&self) -> Turn {
        Turn { pass: self.looks.pass.clone(), deadline_ms: self.deadline_ms }
    }

    fn in_time(&self) -> Result<(), Failure> {
        self.turn().in_time(self.looks.outside.now_ms())
    }

    fn state(&self) -> Result<&State, Failure> {
        let missing = || Failure::Broken { call: "pass", what: "a step before the first look".to_owned() };
        self.looks.state.as_ref().ok_or_else(missing)
    }

    fn holder(&self) -> Holder {
        self.turn().holder()
    }

    async fn begin(&mut self, epoch: u64, change: &Change) -> Result<(), Failure> {
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
    async fn note(&mut self, edit: impl FnOnce(&mut Change)) -> Result<(), Failure> {
        let epoch = self.state()?.epoch;
        let missing = || Failure::Broken { call: "pass", what: "a note without a change".to_owned() };
        let mut change = self.looks.change.clone().ok_or_else(missing)?;
        edit(&mut change);
        self.looks.outside.note(epoch, &self.looks.pass, &change).await?;
        self.looks.change = Some(change);
        Ok(())
    }

    /// Whom, why and at what cost is noted before `pg_promote`, which cannot be
    /// withdrawn.
    async fn promote(
        &mut self,
        member: &Target,
        timeline: u32,
        epoch: u64,
        evidence: &Evidence,
        loss: Loss,
    ) -> Result<(), Failure> {
        self.note(|change| {
            change.promoting = Some(member.id.clone());
            change.sure = Some(evidence.to_string());
            change.loss = Some(loss);
        })
        .await?;
        self.looks.outside.promote(member).await?;
        let seen = self.looks.outside.prove(member, epoch).await?;
        self.note_promotion(member, seen, timeline).await
    }

    async fn note_promotion(&mut self, member: &Target, seen: PromotedSeen, before: u32) -> Result<(), Failure> {
        let at_ms = self.looks.outside.now_ms();
        let promoted = Promoted { member: member.id.clone(), at: seen.lsn, timeline: [before, seen.timeline], at_ms };
        tracing::info!("promoted {}", promoted.sentence());
        self.note(|change| change.promoted = Some(promoted)).await
    }

    /// Whether an old host can be stopped holds nothing else up: before the
    /// promotion the proof is missing and a person is told, after it the page
    /// says so.
    async fn stop_host(&mut self, who: &Target) -> Result<(), Failure> {
        let decided = self.looks.change.as_ref().is_some_and(|change| change.promoted.is_some());
        // I2: it was silent when this pass asked it first; the stop must not hit one that is back.
        if !decided && self.looks.outside.probe(who, SECOND_CHANCE).await.answers() {
            tracing::warn!("{} is not stopped: it answers again", who.id);
            self.looks.ask_anew();
            return Ok(());
        }
        let stopped = self.looks.outside.stop_host(&who.id).await;
        let problem = stopped.err().map(|failure| {
            tracing::warn!("{}", failure.story());
            failure.to_string()
        });
        self.looks.stopped(problem);
        Ok(())
    }

    /// A writer that cannot make a checkpoint now shuts down all the same, only
    /// later.
    async fn checkpoint(&mut self, who: &Target) -> Result<(), Failure> {
        if let Err(failure) = self.looks.outside.checkpoint(who).await {
            tracing::warn!("{}", failure.story());
        }
        Ok(())
    }

    async fn await_guard(&mut self, member: &Target, epoch: u64) -> Result<(), Failure> {
        let until = self.looks.outside.now_ms() + u64::try_from(GUARD.as_millis()).unwrap_or(u64::MAX);
        while self.looks.outside.now_ms() < until {
            let guard = self.looks.outside.guard(&member.id).await?;
            if guard.is_some_and(|guard| guard.holds && guard.epoch == epoch) {
                return Ok(());
            }
            self.in_time()?;
            self.looks.outside.sleep(GUARD_EVERY).await;
        }
        Ok(())
    }

    async fn publish(&mut self, synchronous: &Synchronous, floor: Option<domain::lsn::Lsn>) -> Result<(), Failure> {
        let epoch = self.state()?.epoch;
        self.looks.outside.publish_synchronous(epoch, &self.looks.pass, synchronous, floor).await
    }

    /// A standby that cannot be altered (its disk is full, say) is one that does
    /// not answer, for the rest of this pass: the rules for that decide, instead
    /// of the whole change failing on it for ever.
    fn or_left_out(&mut self, who: &Target, done: Result<(), Failure>) -> Result<(), Failure> {
        match done {
            Err(failure) if !matches!(failure, Failure::LostRace { .. }) => {
                tracing::warn!("{} is left out: {}", who.id, failure.story());
                self.looks.leave_out(&who.id, failure.story());
                Ok(())
            }
            done => done,
        }
    }

    async fn move_record(&mut self, from: Option<(IpAddr, u64)>, to: (IpAddr, u64)) -> Result<(), Failure> {
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

    async fn set_readers(&mut self, addresses: &[IpAddr]) -> Result<(), Failure> {
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
    fn record_waits(&mut self, failure: Failure) -> Result<(), Failure> {
        if let Failure::LostRace { .. } = failure {
            return Err(failure);
        }
        tracing::warn!("{}", failure.story());
        self.looks.changed_records(Err::<fn(&mut domain::records::RecordsSeen), _>(failure.story()));
        Ok(())
    }

    async fn abandon(&mut self) -> Result<(), Failure> {
        let epoch = self.state()?.epoch;
        self.looks.outside.abandon(epoch, &self.looks.pass).await?;
        self.holds_lease = false;
        Ok(())
    }

    /// The page before the phase: a pass that dies in between tells twice,
    /// which is better than never.
    async fn finish(&mut self, writer: &Target, kind: ChangeKind, ledger: &Ledger, page: &Page) -> Result<(), Failure> {
        let (epoch, mut failovers) = (self.state()?.epoch, self.state()?.failovers_ms.clone());
        let now = self.looks.outside.now_ms();
        let word = if kind == ChangeKind::Failover { "failover" } else { "switchover" };
        let item = format!("ledger#{}#{word}#{epoch}", time::stamp(ledger.began_at_ms));
        let entry = serde_json::to_value(ledger).map_err(reconcile::failed("dynamodb:PutItem"))?;
        self.looks.outside.append(&item, &entry).await?;
        self.send(page).await?;
        if kind == ChangeKind::Failover {
            failovers.push(now);
            failovers.drain(..failovers.len().saturating_sub(REMEMBERED));
        }
        let finished = Finished {
            writer: writer.id.clone(),
            at_ms: now,
            failovers_ms: failovers,
            timeline: ledger.timeline[1],
            timeline_began: ledger.promoted_at_lsn,
        };
        self.looks.outside.finish(epoch, &self.looks.pass, &finished).await?;
        self.holds_lease = false;
        Ok(())
    }

    async fn send(&self, page: &Page) -> Result<(), Failure> {
        tracing::info!("page: {}", page.subject);
        self.looks.outside.send(page).await
    }
}
