//! One cluster in AWS: what a pass does. No choices are made here.

use crate::world::InAws;
use cloud::now_ms;
use domain::{
    failover::{Ledger, Observed, Page, Step, Target as Who},
    records::RecordsSeen,
    state::{Change, Holder, Promoted, State, Synchronous},
    time,
};
use postgres::{PromotedSeen, Target};
use promote_replica::Cluster;
use reconcile::{Failure, World};
use std::{net::IpAddr, time::Duration};

/// Long enough for a reload and a WAL receiver that dies, short enough to leave
/// time for the promotion.
const SETTING: Duration = Duration::from_secs(5);

/// Promotion first replays all that was received.
const PROMOTION: Duration = Duration::from_secs(20);

/// The lease outlives the invocation by this much: a statement that was under
/// way when Lambda ended the process may still take effect.
const AFTER_DEADLINE_MS: u64 = 2_000;

/// No step begins with less time left than this.
const LEAST_TIME_MS: u64 = 3_000;

/// The same refusal is told again after this long.
const TELL_AGAIN_MS: u64 = 15 * 60 * 1000;

impl World for InAws<'_> {
    type Seen = Observed;
    type Step = Step;

    async fn observe(&mut self) -> Result<Observed, Failure> {
        self.look().await
    }

    async fn perform(&mut self, step: &Step) -> Result<(), Failure> {
        self.in_time()?;
        match step {
            Step::Begin { epoch, from, seen, silent_since_ms, last_writer_lsn, synchronous_setting } => {
                let change = Change {
                    from: from.clone(),
                    seen: seen.clone(),
                    last_writer_lsn: *last_writer_lsn,
                    silent_since_ms: *silent_since_ms,
                    woken_at_ms: self.waking.at_ms,
                    woken_by: self.waking.by.clone(),
                    began_at_ms: now_ms(),
                    synchronous: self.state()?.synchronous.clone(),
                    synchronous_setting: synchronous_setting.clone(),
                    ..Change::default()
                };
                self.begin(*epoch, change).await
            }
            Step::Hold { epoch } => self.hold(*epoch).await,
            Step::Freeze(who) => {
                let frozen = self.connector.freeze(&self.target(who)?, SETTING).await;
                self.or_left_out(who, frozen.map(drop))
            }
            Step::Follow { standby, upstream } => {
                let port = self.card.port;
                let followed =
                    self.connector.follow(&self.target(standby)?, *upstream, port, &standby.name, SETTING).await;
                self.or_left_out(standby, followed)
            }
            Step::StopHost(who) => self.stop_host(who).await,
            Step::Promote { member, timeline, epoch, evidence, lost_bytes } => {
                self.note(|change| change.promoting = Some(member.id.clone())).await?;
                self.connector.promote(&self.target(member)?, PROMOTION).await?;
                let seen = self.connector.prove(&self.target(member)?, *epoch, &member.id, SETTING).await?;
                self.note_promotion(member, seen, *timeline, Some(evidence.to_string()), *lost_bytes).await
            }
            Step::Prove { member, epoch } => {
                let seen = self.connector.prove(&self.target(member)?, *epoch, &member.id, SETTING).await?;
                // The pass that promoted it did not live to say from which timeline;
                // PostgreSQL takes the next free one.
                let before = seen.timeline.saturating_sub(1);
                self.note_promotion(member, seen, before, None, None).await
            }
            Step::NoteSilence(since_ms) => self.note(|change| change.new_silent_since_ms = *since_ms).await,
            Step::SetSynchronous { member, synchronous } => self.set_synchronous(member, synchronous).await,
            Step::PrepareSlots { member, slots } => {
                self.connector.prepare_slots(&self.target(member)?, slots, SETTING).await
            }
            Step::MoveWriterRecord { from, to } => self.move_record(*from, *to).await,
            Step::SetReaderRecord(addresses) => self.set_readers(addresses).await,
            Step::Abandon { .. } => self.abandon().await,
            Step::Finish { writer, ledger, page } => self.finish(writer, ledger, page).await,
        }
    }
}

impl Cluster for InAws<'_> {
    async fn release(&mut self) -> Result<(), Failure> {
        if !self.learnt.holds_lease {
            return Ok(());
        }
        let epoch = self.state()?.epoch;
        match self.clients.states.release(&self.card.cluster, epoch, &self.pass).await {
            // Expired and taken by another pass: there is nothing to give back.
            Ok(()) | Err(Failure::LostRace { .. }) => {
                self.learnt.holds_lease = false;
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    async fn page(&mut self, kind: &str, page: &Page) -> Result<(), Failure> {
        let told = self.clients.states.tell_once(&self.card.cluster, kind, now_ms(), TELL_AGAIN_MS).await;
        // Rather told twice than not at all.
        let first = told.unwrap_or_else(|failure| {
            tracing::warn!("{}", failure.story());
            true
        });
        if !first {
            tracing::info!("not paged again within {} min: {}", TELL_AGAIN_MS / 60_000, page.subject);
            return Ok(());
        }
        self.send(page).await
    }
}

impl InAws<'_> {
    /// A step that Lambda would cut is not begun.
    fn in_time(&self) -> Result<(), Failure> {
        let left = self.deadline_ms.saturating_sub(now_ms());
        if left >= LEAST_TIME_MS {
            return Ok(());
        }
        let source = format!("{left} ms are left of this invocation; the next pass goes on");
        Err(Failure::Transient { call: "pass", source: source.into() })
    }

    fn target(&self, who: &Who) -> Result<Target, Failure> {
        let member = self.card.member(&who.id).ok_or_else(|| Failure::Broken {
            call: "pass",
            what: format!("{} is not in the card of {}", who.id, self.card.cluster),
        })?;
        Ok(Target::member(&self.card, member))
    }

    fn state(&self) -> Result<&State, Failure> {
        self.learnt
            .state
            .as_ref()
            .ok_or(Failure::Broken { call: "pass", what: "a step before the first look".to_owned() })
    }

    fn holder(&self) -> Holder {
        Holder { id: self.pass.clone(), expires_at_ms: self.deadline_ms + AFTER_DEADLINE_MS }
    }

    async fn begin(&mut self, epoch: u64, change: Change) -> Result<(), Failure> {
        self.clients.states.begin(&self.card.cluster, epoch, &self.holder(), &change).await?;
        self.learnt.holds_lease = true;
        self.learnt.change = Some(change);
        if let Some(state) = &mut self.learnt.state {
            state.epoch = epoch + 1;
        }
        Ok(())
    }

    async fn hold(&mut self, epoch: u64) -> Result<(), Failure> {
        self.clients.states.resume(&self.card.cluster, epoch, &self.holder()).await?;
        self.learnt.holds_lease = true;
        Ok(())
    }

    /// Writes the change back, so that the next pass knows as much as this one.
    async fn note(&mut self, edit: impl FnOnce(&mut Change)) -> Result<(), Failure> {
        let epoch = self.state()?.epoch;
        let mut change = self
            .learnt
            .change
            .clone()
            .ok_or(Failure::Broken { call: "pass", what: "a note without a change".to_owned() })?;
        edit(&mut change);
        self.clients.states.note(&self.card.cluster, epoch, &self.pass, &change).await?;
        self.learnt.change = Some(change);
        Ok(())
    }

    async fn note_promotion(
        &mut self,
        member: &Who,
        seen: PromotedSeen,
        before: u32,
        sure: Option<String>,
        lost_bytes: Option<u64>,
    ) -> Result<(), Failure> {
        let promoted =
            Promoted { member: member.id.clone(), at: seen.lsn, timeline: [before, seen.timeline], at_ms: now_ms() };
        tracing::info!("promoted {}", promoted.sentence());
        self.note(|change| {
            change.promoted = Some(promoted);
            change.sure = sure.or(change.sure.take());
            change.lost_bytes = lost_bytes.or(change.lost_bytes);
        })
        .await
    }

    /// Whether an old host can be stopped holds nothing else up: before the
    /// promotion the proof is missing and a person is told, after it the page
    /// says so.
    async fn stop_host(&mut self, who: &Who) -> Result<(), Failure> {
        self.forget_hosts();
        if let Err(failure) = self.clients.ec2.stop(&who.id).await {
            tracing::warn!("{}", failure.story());
            self.learnt.stop_problem = Some(failure.to_string());
        }
        Ok(())
    }

    /// At every moment the quorum of the published set must meet whatever set
    /// acknowledges. A set that asks less or names others is published before it
    /// is applied, one that only leaves names out after it.
    async fn set_synchronous(&mut self, member: &Who, synchronous: &Synchronous) -> Result<(), Failure> {
        let (epoch, published) = (self.state()?.epoch, self.state()?.synchronous.clone());
        let leaves_out_only = synchronous.required >= published.required
            && synchronous.names.iter().all(|name| published.names.contains(name));
        let target = self.target(member)?;
        if leaves_out_only {
            self.connector.set_synchronous(&target, &synchronous.setting(), SETTING).await?;
        }
        self.clients.states.publish_synchronous(&self.card.cluster, epoch, &self.pass, synchronous).await?;
        if !leaves_out_only {
            self.connector.set_synchronous(&target, &synchronous.setting(), SETTING).await?;
        }
        Ok(())
    }

    /// A standby that cannot be altered (its disk is full, say) is one that does
    /// not answer, for the rest of this pass: the rules for that decide, instead
    /// of the whole change failing on it for ever.
    fn or_left_out(&mut self, who: &Who, done: Result<(), Failure>) -> Result<(), Failure> {
        match done {
            Err(failure) if !matches!(failure, Failure::LostRace { .. }) => {
                tracing::warn!("{} is left out: {}", who.id, failure.story());
                self.learnt.leave_out(&who.id, failure.story());
                Ok(())
            }
            done => done,
        }
    }

    async fn move_record(&mut self, from: Option<(IpAddr, u64)>, to: (IpAddr, u64)) -> Result<(), Failure> {
        match self.clients.route53.move_writer(&self.card.records, from, to).await {
            Ok(()) => {
                tracing::info!("record {} moved to {}, epoch {}", self.card.records.writer, to.0, to.1);
                self.learnt.records = Some(moved(self.learnt.records.take(), to));
                let at = now_ms();
                self.note(|change| change.record_moved_at_ms = Some(at)).await
            }
            Err(failure) => self.record_waits(failure),
        }
    }

    async fn set_readers(&mut self, addresses: &[IpAddr]) -> Result<(), Failure> {
        match self.clients.route53.set_readers(&self.card.records, addresses).await {
            Ok(()) => {
                if let Some(records) = &mut self.learnt.records {
                    records.reader = addresses.to_vec();
                }
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
        self.learnt.record_problem = Some(failure.story());
        Ok(())
    }

    async fn abandon(&mut self) -> Result<(), Failure> {
        let epoch = self.state()?.epoch;
        self.clients.states.abandon(&self.card.cluster, epoch, &self.pass).await?;
        self.learnt.holds_lease = false;
        Ok(())
    }

    /// The page before the phase: a pass that dies in between tells twice,
    /// which is better than never.
    async fn finish(&mut self, writer: &Who, ledger: &Ledger, page: &Page) -> Result<(), Failure> {
        let epoch = self.state()?.epoch;
        let now = now_ms();
        let item = format!("ledger#{}#failover#{epoch}", time::stamp(ledger.began_at_ms));
        let entry = serde_json::to_value(ledger).map_err(reconcile::failed("dynamodb:PutItem"))?;
        self.clients.states.append(&self.card.cluster, &item, &entry).await?;
        self.send(page).await?;
        self.clients.states.finish(&self.card.cluster, epoch, &self.pass, &writer.id, now).await?;
        self.learnt.holds_lease = false;
        Ok(())
    }

    async fn send(&self, page: &Page) -> Result<(), Failure> {
        tracing::info!("page: {}", page.subject);
        self.clients.sns.publish(&self.clients.topic, &page.subject, &page.text).await
    }
}

/// The records after a move: what the next look of this pass finds.
fn moved(records: Option<RecordsSeen>, to: (IpAddr, u64)) -> RecordsSeen {
    RecordsSeen { writer: vec![to.0], epoch: Some(to.1), ..records.unwrap_or_default() }
}
