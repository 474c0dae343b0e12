//! What a pass does. No choices are made here: only in which order the calls of one step are made.

use crate::Pass;
use domain::{
    failover::PromotedSeen,
    managed::{ROLES, Roles},
    region::{Change, ITEM, Place, Promoted, Region, Step, mark_of},
    state::{ChangeKind, Finished, State, Synchronous},
    time,
};
use reconcile::{Failure, Regions, page_once};

/// Failovers that the state item remembers.
const REMEMBERED: usize = 20;

impl<O: Regions> Pass<O> {
    pub(crate) async fn step(&mut self, step: &Step) -> Result<(), Failure> {
        match step {
            Step::Note { after, .. } => self.note(after).await,
            Step::Mark { serves, serving, epoch } => self.outside.mark(&mark_of(*serves, serving, *epoch)).await,
            Step::CutOff { at, server } => {
                self.gave_order = true;
                self.outside.cut_off(*at, server).await
            }
            Step::EndSessions { at, server } => {
                self.ended_sessions = true;
                self.outside.end_sessions(*at, server).await
            }
            Step::LetIn { at, server } => {
                self.gave_order = true;
                self.outside.let_in(*at, server).await
            }
            Step::Promote { at, server, order, epoch } => {
                self.outside.promote(*at, server, &format!("region-{epoch}-{order}")).await
            }
            Step::MoveGlobal { global, to, allow_data_loss } => {
                self.outside.move_global(global, to, *allow_data_loss).await
            }
            Step::Publish { primary_serves } => self.publish(*primary_serves).await,
            Step::Prove { at, server, endpoint, change } => self.prove(*at, server, endpoint, change).await,
            Step::Claim { at, writer, change } => self.claim(*at, writer, change).await,
            Step::KeepRoles { at, after } => self.keep_roles(*at, after).await,
            Step::SetBackups { server } => self.outside.set_backups(server).await,
            Step::PointRecord { to } => self.or_waits(self.outside.point_record(to).await),
            Step::RenderAnew { at } => {
                self.gave_order = true;
                self.outside.render_anew(*at).await
            }
            Step::Tell { entry, page } => {
                let item = format!("ledger#{}#region-{}#{}", time::stamp(entry.began_at_ms), entry.kind, entry.epoch);
                let value = serde_json::to_value(entry).map_err(reconcile::failed("dynamodb:PutItem"))?;
                self.outside.append(&item, &value).await?;
                tracing::info!("page: {}", page.subject);
                self.outside.send(page).await
            }
            Step::Page { kind, page } => {
                let epoch = self.region()?.epoch;
                page_once(&self.outside, kind, epoch, page).await
            }
        }
    }

    /// The item as this pass last saw it.
    fn region(&self) -> Result<Region, Failure> {
        match &self.item {
            None => Ok(Region::default()),
            Some(item) => serde_json::from_value(item.clone()).map_err(reconcile::failed("dynamodb:GetItem")),
        }
    }

    /// R1: only if it still is what this pass saw.
    async fn note(&mut self, after: &Region) -> Result<(), Failure> {
        let value = serde_json::to_value(after).map_err(reconcile::failed("dynamodb:PutItem"))?;
        if self.item.as_ref() == Some(&value) {
            return Ok(());
        }
        self.outside.keep(ITEM, self.item.as_ref(), Some(&value)).await?;
        self.item = Some(value);
        // An offer over a change that is under way is still to be answered with.
        if after.change.is_some() && after.offer.is_none() {
            // From here the item says what is wanted.
            self.waking.asked = None;
        }
        Ok(())
    }

    /// A cluster without a pair has nobody to tell.
    async fn publish(&self, primary_serves: bool) -> Result<(), Failure> {
        match self.outside.card().pair() {
            Some(_) => self.outside.publish(primary_serves).await,
            None => Ok(()),
        }
    }

    /// Route 53's control plane is in one Region, which may be the one that is gone: everything else goes on.
    fn or_waits(&self, done: Result<(), Failure>) -> Result<(), Failure> {
        done.or_else(|failure| {
            tracing::warn!("the record waits: {}", failure.story());
            Ok(())
        })
    }

    async fn prove(&mut self, at: Place, server: &str, endpoint: &str, change: &Change) -> Result<(), Failure> {
        let mut region = self.region()?;
        let PromotedSeen { timeline, lsn } = self.outside.prove(at, endpoint, region.epoch).await?;
        let promoted = Promoted { instance: server.to_owned(), lsn, timeline, at_ms: self.outside.now_ms() };
        region.change = Some(Change { promoted: Some(promoted), ..change.clone() });
        self.note(&region).await
    }

    /// The state item of the side that serves now names its writer, one epoch on.
    async fn claim(&mut self, at: Place, writer: &str, change: &Change) -> Result<(), Failure> {
        let promoted = change.promoted.clone().unwrap_or(Promoted {
            instance: writer.to_owned(),
            lsn: Default::default(),
            timeline: 0,
            at_ms: change.began_at_ms,
        });
        let seen = PromotedSeen { timeline: promoted.timeline, lsn: promoted.lsn };
        let holder = self.turn.holder();
        if at == Place::There {
            return self.outside.claim_there(&holder, writer, seen).await;
        }
        let state = self.outside.state().await?.unwrap_or_else(State::unclaimed);
        match (&state.writer, &state.change) {
            (None, _) => self.outside.adopt(state.epoch, writer, seen.timeline, &Synchronous::default()).await,
            // Done by a pass that did not live to note it.
            (Some(named), None) if named == writer && state.changed_at_ms >= change.began_at_ms => Ok(()),
            // Begun by one.
            (Some(_), Some(_)) => {
                self.outside.resume(state.epoch, &holder).await?;
                self.finish_claim(&state, state.epoch, writer, change, seen).await
            }
            (Some(named), None) => {
                let kind = if change.kind.is_planned() { ChangeKind::Switchover } else { ChangeKind::Failover };
                let begun = domain::state::Change { kind, from: named.clone(), ..domain::state::Change::default() };
                self.outside.begin(state.epoch, &holder, &begun).await?;
                self.finish_claim(&state, state.epoch + 1, writer, change, seen).await
            }
        }
    }

    async fn finish_claim(
        &self,
        state: &State,
        epoch: u64,
        writer: &str,
        change: &Change,
        seen: PromotedSeen,
    ) -> Result<(), Failure> {
        let mut failovers_ms = state.failovers_ms.clone();
        if !change.kind.is_planned() {
            failovers_ms.push(self.outside.now_ms());
            failovers_ms.drain(..failovers_ms.len().saturating_sub(REMEMBERED));
        }
        let finished = Finished {
            writer: writer.to_owned(),
            at_ms: self.outside.now_ms(),
            failovers_ms,
            timeline: seen.timeline,
            timeline_began: seen.lsn,
        };
        self.outside.finish(epoch, &self.turn.holder().id, &finished).await
    }

    async fn keep_roles(&self, at: Place, after: &Roles) -> Result<(), Failure> {
        if at == Place::There {
            return self.outside.keep_roles_there(after).await;
        }
        let before = self.outside.kept(ROLES).await?;
        let after = serde_json::to_value(after).map_err(reconcile::failed("dynamodb:PutItem"))?;
        if before.as_ref() == Some(&after) {
            return Ok(());
        }
        self.outside.keep(ROLES, before.as_ref(), Some(&after)).await
    }
}
