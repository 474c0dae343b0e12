//! The calls of [`Regions`] and [`Preflights`].

use crate::world::World;
use domain::{
    failover::{Page, PromotedSeen},
    managed::{GlobalSeen, Roles},
    region::{Check, Checked, DrCard, Place, Position, Server, SideSeen},
    state::{Approval, Change, Finished, Holder, Pause, State, Synchronous},
};
use reconcile::{Desk, Failure, Preflights, Regions};
use serde_json::Value;
use std::time::Duration;

fn lost(what: &str) -> Failure {
    Failure::LostRace { call: "dynamodb:PutItem", what: what.to_owned() }
}

fn unused<T>(call: &str) -> Result<T, Failure> {
    Err(Failure::Broken { call: "test", what: format!("{call} is none of this function's calls") })
}

impl Desk for World {
    fn fleet(&self) -> &str {
        self.card.fleet()
    }
    fn cluster(&self) -> &str {
        self.card.cluster()
    }
    fn now_ms(&self) -> u64 {
        self.see().now_ms
    }
    async fn sleep(&self, span: Duration) {
        self.later(u64::try_from(span.as_millis()).unwrap());
    }
    async fn state(&self) -> Result<Option<State>, Failure> {
        self.call("state", |inner| Ok(inner.state.clone())).await
    }
    async fn begin(&self, epoch: u64, holder: &Holder, change: &Change) -> Result<(), Failure> {
        self.call("begin", |inner| match &mut inner.state {
            Some(state) if state.epoch == epoch && state.change.is_none() => {
                state.epoch += 1;
                (state.holder, state.change) = (Some(holder.clone()), Some(change.clone()));
                Ok(())
            }
            _ => Err(lost("state")),
        })
        .await
    }
    async fn resume(&self, epoch: u64, holder: &Holder) -> Result<(), Failure> {
        self.call("resume", |inner| match &mut inner.state {
            Some(state) if state.epoch == epoch => {
                state.holder = Some(holder.clone());
                Ok(())
            }
            _ => Err(lost("state")),
        })
        .await
    }
    async fn note(&self, _: u64, _: &str, _: &Change) -> Result<(), Failure> {
        unused("note")
    }
    async fn finish(&self, epoch: u64, holder: &str, finished: &Finished) -> Result<(), Failure> {
        self.call("finish", |inner| match &mut inner.state {
            Some(state) if state.epoch == epoch && state.holder.as_ref().is_some_and(|held| held.id == holder) => {
                (state.writer, state.change, state.holder) = (Some(finished.writer.clone()), None, None);
                state.changed_at_ms = finished.at_ms;
                Ok(())
            }
            _ => Err(lost("state")),
        })
        .await
    }
    async fn abandon(&self, _: u64, _: &str) -> Result<(), Failure> {
        unused("abandon")
    }
    async fn release(&self, _: u64, _: &str) -> Result<(), Failure> {
        unused("release")
    }
    async fn pause(&self, _: u64, _: &Pause) -> Result<(), Failure> {
        unused("pause")
    }
    async fn tell_once(&self, what: &str, now_ms: u64, every_ms: u64) -> Result<bool, Failure> {
        self.call("tell_once", |inner| {
            let due = inner.told.get(what).is_none_or(|at| at + every_ms <= now_ms);
            if due {
                inner.told.insert(what.to_owned(), now_ms);
            }
            Ok(due)
        })
        .await
    }
    async fn untell(&self, what: &str) -> Result<(), Failure> {
        self.call("untell", |inner| {
            inner.told.remove(what);
            Ok(())
        })
        .await
    }
    async fn append(&self, item: &str, entry: &Value) -> Result<bool, Failure> {
        self.call("append", |inner| Ok(inner.ledger.insert(item.to_owned(), entry.clone()).is_none())).await
    }
    async fn send(&self, page: &Page) -> Result<(), Failure> {
        self.call("send", |inner| {
            inner.pages.push(page.clone());
            Ok(())
        })
        .await
    }
    async fn adopt(&self, epoch: u64, writer: &str, timeline: u32, _: &Synchronous) -> Result<(), Failure> {
        self.call("adopt", |inner| {
            let now = inner.state.clone().unwrap_or_else(State::unclaimed);
            if now.writer.is_some() || now.epoch != epoch {
                return Err(lost("state"));
            }
            inner.state = Some(State {
                epoch: epoch + 1,
                writer: Some(writer.to_owned()),
                timeline,
                changed_at_ms: inner.now_ms,
                ..now
            });
            Ok(())
        })
        .await
    }
    async fn kept(&self, item: &str) -> Result<Option<Value>, Failure> {
        self.call("kept", |inner| Ok(inner.kept.get(item).cloned())).await
    }
    async fn keep(&self, item: &str, before: Option<&Value>, after: Option<&Value>) -> Result<(), Failure> {
        self.call("keep", |inner| {
            if inner.kept.get(item) != before {
                return Err(lost(item));
            }
            match after {
                Some(after) => inner.kept.insert(item.to_owned(), after.clone()),
                None => inner.kept.remove(item),
            };
            Ok(())
        })
        .await
    }
    async fn approve(&self, _: &Approval) -> Result<(), Failure> {
        unused("approve")
    }
}

impl Regions for World {
    fn card(&self) -> &DrCard {
        &self.card
    }
    async fn side(&self, at: Place) -> Result<SideSeen, Failure> {
        match at {
            Place::Here => self.call("here", |inner| Ok(inner.seen(at))).await,
            Place::There => self.call_there("there", |inner| Ok(inner.seen(at))).await,
        }
    }
    async fn global(&self) -> Result<Option<GlobalSeen>, Failure> {
        self.call("global", |inner| Ok(inner.aurora.then(|| inner.global.clone()))).await
    }
    async fn risk(&self, _: Option<&Server>) -> Position {
        self.see().risk()
    }
    async fn is_paused(&self) -> Result<bool, Failure> {
        Ok(self.see().kept.contains_key("paused"))
    }
    async fn mark(&self, item: &Value) -> Result<(), Failure> {
        self.call_there("mark", |inner| {
            inner.kept_there.insert("region".to_owned(), item.clone());
            Ok(())
        })
        .await
    }
    async fn cut_off(&self, at: Place, _: &str) -> Result<(), Failure> {
        let effect = |inner: &mut crate::world::Inner| {
            inner.orders.push(format!("cut off {at:?}"));
            inner.server(at).cut = true;
            Ok(())
        };
        if at == Place::Here { self.call("cut_off", effect).await } else { self.call_there("cut_off", effect).await }
    }
    async fn end_sessions(&self, at: Place, _: &str) -> Result<(), Failure> {
        let effect = |inner: &mut crate::world::Inner| {
            inner.orders.push(format!("end sessions {at:?}"));
            inner.server(at).sessions = 0;
            Ok(())
        };
        if at == Place::Here {
            self.call("end_sessions", effect).await
        } else {
            self.call_there("end_sessions", effect).await
        }
    }
    async fn let_in(&self, at: Place, _: &str) -> Result<(), Failure> {
        let effect = |inner: &mut crate::world::Inner| {
            inner.orders.push(format!("let in {at:?}"));
            inner.server(at).cut = false;
            Ok(())
        };
        if at == Place::Here { self.call("let_in", effect).await } else { self.call_there("let_in", effect).await }
    }
    async fn promote(&self, at: Place, _: &str, _: &str) -> Result<(), Failure> {
        let effect = |inner: &mut crate::world::Inner| inner.promote(at);
        if at == Place::Here { self.call("promote", effect).await } else { self.call_there("promote", effect).await }
    }
    async fn move_global(&self, _: &str, to: &str, allow_data_loss: bool) -> Result<(), Failure> {
        self.call("move_global", |inner| inner.move_global(to, allow_data_loss)).await
    }
    async fn prove(&self, at: Place, _: &str, _: u64) -> Result<PromotedSeen, Failure> {
        self.call("prove", |inner| inner.proven(at)).await
    }
    async fn claim_there(&self, _: &Holder, writer: &str, _: PromotedSeen) -> Result<(), Failure> {
        self.call_there("claim_there", |inner| {
            inner.kept_there.insert("writer".to_owned(), writer.into());
            Ok(())
        })
        .await
    }
    async fn keep_roles_there(&self, roles: &Roles) -> Result<(), Failure> {
        self.call_there("keep_roles_there", |inner| {
            inner.kept_there.insert("roles".to_owned(), serde_json::json!(roles));
            Ok(())
        })
        .await
    }
    async fn set_backups(&self, _: &str) -> Result<(), Failure> {
        self.call("set_backups", |inner| {
            inner.backups = 30;
            Ok(())
        })
        .await
    }
    async fn point_record(&self, _: &str) -> Result<(), Failure> {
        self.call("point_record", |_| Ok(())).await
    }
    async fn publish(&self, primary_serves: bool) -> Result<(), Failure> {
        self.call("publish", |inner| {
            inner.published.push(primary_serves);
            Ok(())
        })
        .await
    }
    async fn render_anew(&self, at: Place) -> Result<(), Failure> {
        let effect = |inner: &mut crate::world::Inner| {
            inner.rendered.push(at);
            Ok(())
        };
        if at == Place::Here { self.call("render", effect).await } else { self.call_there("render", effect).await }
    }
}

impl Preflights for World {
    fn card(&self) -> &DrCard {
        &self.card
    }
    async fn check(&self, check: Check) -> Checked {
        let ok = !self.see().failing.contains(&check);
        Checked { check, ok, found: if ok { "well" } else { "denied" }.to_owned() }
    }
    async fn publish_ready(&self, ready: bool) -> Result<(), Failure> {
        self.call("publish_ready", |inner| {
            inner.kept.insert("ready".to_owned(), ready.into());
            Ok(())
        })
        .await
    }
}
