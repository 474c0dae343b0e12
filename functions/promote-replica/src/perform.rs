//! What a pass does. No choices are made here: only in which order the calls
//! of one step are made, so that a pass that dies between any two of them
//! leaves what the next one can see and finish.

use crate::{Cluster, Pass};
use domain::{
    failover::{Evidence, Observed, Page, PromotedSeen, Step, Target},
    state::{Loss, Promoted},
};
use reconcile::{Failure, Steers, World, page_every};
use std::time::Duration;

/// How long one step waits for a member's guard, and how often it looks.
const GUARD: Duration = Duration::from_secs(15);
const GUARD_EVERY: Duration = Duration::from_millis(250);

/// What a member that was silent gets to answer once more before it is stopped.
const SECOND_CHANCE: Duration = Duration::from_millis(500);

impl<O: Steers> World for Pass<O> {
    type Seen = Observed;
    type Step = Step;

    async fn observe(&mut self) -> Result<Observed, Failure> {
        self.looks.look().await
    }

    async fn perform(&mut self, step: &Step) -> Result<(), Failure> {
        self.at_desk().in_time()?;
        match step {
            Step::Begin { epoch, change } => self.at_desk().begin(*epoch, change).await,
            Step::Hold { epoch } => self.at_desk().hold(*epoch).await,
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
            Step::NotePromoted(promoted) => {
                self.at_desk().note(|change| change.promoted = Some(promoted.clone())).await
            }
            Step::NoteSilence(since_ms) => self.at_desk().note(|change| change.new_silent_since_ms = *since_ms).await,
            Step::NoteFrozen(since_ms) => self.at_desk().note(|change| change.frozen_since_ms = *since_ms).await,
            Step::Checkpoint(who) => self.checkpoint(who).await,
            Step::AwaitGuard { member, epoch } => self.await_guard(member, *epoch).await,
            Step::Apply { member, synchronous } => {
                self.looks.outside.set_synchronous(member, &synchronous.setting()).await
            }
            Step::Publish { synchronous, floor } => self.publish(synchronous, *floor).await,
            Step::PrepareSlots { member, slots } => self.looks.outside.prepare_slots(member, slots).await,
            Step::MoveWriterRecord { from, to } => self.move_record(*from, *to).await,
            Step::SetReaderRecord(addresses) => self.set_readers(addresses).await,
            Step::Abandon { .. } => self.at_desk().abandon().await,
            Step::Finish { writer, kind, ledger, page } => self.at_desk().finish(&writer.id, *kind, ledger, page).await,
        }
    }
}

impl<O: Steers> Cluster for Pass<O> {
    async fn page(&mut self, kind: &str, again: Duration, page: &Page) -> Result<(), Failure> {
        let epoch = self.at_desk().state()?.epoch;
        page_every(&self.looks.outside, again, kind, epoch, page).await
    }
}

impl<O: Steers> Pass<O> {
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
        let now = self.looks.outside.now_ms();
        self.at_desk()
            .note(|change| {
                change.fenced_at_ms = change.fenced_at_ms.or(Some(now));
                change.ordered_at_ms = Some(now);
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
        self.at_desk().note(|change| change.promoted = Some(promoted)).await
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
            self.at_desk().in_time()?;
            self.looks.outside.sleep(GUARD_EVERY).await;
        }
        Ok(())
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
}
