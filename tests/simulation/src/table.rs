//! The state table: one state item, guard items, marks and the ledger.
//!
//! The conditions are those of `cloud::state`, in the words of the trait.

use domain::state::{Approval, Change, Finished, Holder, Pause, State, Synchronous};
use reconcile::Failure;
use serde_json::Value;
use std::collections::BTreeMap;

const UPDATE: &str = "dynamodb:UpdateItem";

/// The items of one cluster.
#[derive(Debug)]
pub struct Table {
    /// The state item.
    pub state: State,
    /// What was told, and when.
    pub told: BTreeMap<String, u64>,
    /// The ledger.
    pub ledger: BTreeMap<String, Value>,
    /// A mutation: conditions on epoch, phase and lease are not looked at.
    pub forgets: bool,
    /// A mutation: every lease is free.
    pub leases_free: bool,
    /// A mutation: pauses are not looked at.
    pub pauses_off: bool,
}

impl Table {
    fn lost(&self) -> Failure {
        let State { epoch, holder, .. } = &self.state;
        Failure::LostRace { call: UPDATE, what: format!("the state item (epoch {epoch}, held by {holder:?})") }
    }

    fn only_if(&self, condition: bool) -> Result<(), Failure> {
        if condition || self.forgets { Ok(()) } else { Err(self.lost()) }
    }

    fn is_free(&self, me: &str, now_ms: u64) -> bool {
        self.leases_free
            || self.state.holder.as_ref().is_none_or(|holder| holder.id == me || holder.expires_at_ms < now_ms)
    }

    fn is_mine(&self, epoch: u64, me: &str) -> bool {
        let mine = self.leases_free || self.state.holder.as_ref().is_some_and(|holder| holder.id == me);
        self.state.epoch == epoch && mine
    }

    fn is_my_change(&self, epoch: u64, me: &str) -> bool {
        self.is_mine(epoch, me) && self.state.change.is_some()
    }

    fn free(&mut self) {
        self.state.holder = None;
    }

    /// `now_ms` is the caller's clock, here and below.
    pub(crate) fn begin(
        &mut self,
        expected: u64,
        holder: &Holder,
        change: &Change,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let state = &self.state;
        let paused = state.pause.as_ref().is_some_and(|pause| pause.until_ms >= now_ms);
        let steady = state.epoch == expected && state.change.is_none();
        self.only_if(steady && (!paused || self.pauses_off) && self.is_free(&holder.id, now_ms))?;
        self.state.epoch = expected + 1;
        self.state.holder = Some(holder.clone());
        self.state.change = Some(change.clone());
        self.state.approval = None;
        Ok(())
    }

    pub(crate) fn resume(&mut self, epoch: u64, holder: &Holder, now_ms: u64) -> Result<(), Failure> {
        self.only_if(self.state.epoch == epoch && self.is_free(&holder.id, now_ms))?;
        self.state.holder = Some(holder.clone());
        Ok(())
    }

    pub(crate) fn note(&mut self, epoch: u64, me: &str, change: &Change) -> Result<(), Failure> {
        self.only_if(self.is_my_change(epoch, me))?;
        self.state.change = Some(change.clone());
        Ok(())
    }

    pub(crate) fn publish(
        &mut self,
        epoch: u64,
        me: &str,
        set: &Synchronous,
        floor: Option<domain::lsn::Lsn>,
    ) -> Result<(), Failure> {
        self.only_if(self.is_mine(epoch, me))?;
        self.state.synchronous = set.clone();
        self.state.floor = floor.or(self.state.floor);
        Ok(())
    }

    pub(crate) fn finish(&mut self, epoch: u64, me: &str, finished: &Finished) -> Result<(), Failure> {
        self.only_if(self.is_my_change(epoch, me))?;
        self.state.writer = Some(finished.writer.clone());
        self.state.changed_at_ms = finished.at_ms;
        self.state.failovers_ms = finished.failovers_ms.clone();
        self.state.timeline = finished.timeline;
        self.state.timeline_began = Some(finished.timeline_began);
        self.state.change = None;
        self.free();
        Ok(())
    }

    pub(crate) fn abandon(&mut self, epoch: u64, me: &str) -> Result<(), Failure> {
        self.only_if(self.is_my_change(epoch, me))?;
        self.state.change = None;
        self.free();
        Ok(())
    }

    pub(crate) fn release(&mut self, epoch: u64, me: &str) -> Result<(), Failure> {
        self.only_if(self.is_mine(epoch, me))?;
        self.free();
        Ok(())
    }

    pub(crate) fn pause(&mut self, epoch: u64, pause: &Pause) -> Result<(), Failure> {
        self.only_if(self.state.epoch == epoch && self.state.change.is_none())?;
        self.state.pause = Some(pause.clone());
        Ok(())
    }

    pub(crate) fn approve(&mut self, approval: &Approval) -> Result<(), Failure> {
        self.only_if(self.state.epoch == approval.epoch && self.state.change.is_none())?;
        self.state.approval = Some(approval.clone());
        Ok(())
    }

    pub(crate) fn tell_once(&mut self, what: &str, now_ms: u64, every_ms: u64) -> bool {
        let due = self.told.get(what).is_none_or(|at| at + every_ms <= now_ms);
        if due {
            self.told.insert(what.to_owned(), now_ms);
        }
        due
    }
}
