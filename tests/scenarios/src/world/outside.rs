//! The calls of [`Outside`] that these functions make; the others fail.

use super::{Inner, World, lost};
use domain::{
    card::Card,
    failover::{Host, Page, PromotedSeen, Sql, Target},
    lsn::Lsn,
    records::RecordsSeen,
    state::{Approval, Change, Finished, GuardSeen, Holder, Pause, State, Synchronous},
};
use reconcile::{Failure, Outside};
use serde_json::Value;
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

impl Inner {
    /// Writes that only the holder of the lease may make.
    fn held(&mut self, epoch: u64, holder: &str) -> Result<&mut State, Failure> {
        let mine = self.state.holder.as_ref().is_some_and(|held| held.id == holder);
        if self.state.epoch == epoch && mine { Ok(&mut self.state) } else { Err(lost("dynamodb:UpdateItem")) }
    }
}

fn unused<T>(call: &str) -> Result<T, Failure> {
    Err(Failure::Broken { call: "test", what: format!("{call} is none of this function's calls") })
}

impl Outside for World {
    fn card(&self) -> &Card {
        &self.card
    }

    fn now_ms(&self) -> u64 {
        self.see().now_ms
    }

    async fn sleep(&self, span: Duration) {
        self.later(span);
    }

    async fn state(&self) -> Result<Option<State>, Failure> {
        self.call("state", |inner| Ok(Some(inner.state.clone()))).await
    }

    async fn guard(&self, member: &str) -> Result<Option<GuardSeen>, Failure> {
        self.call("guard", |inner| Ok(inner.guards.get(member).cloned())).await
    }

    async fn begin(&self, _: u64, _: &Holder, _: &Change) -> Result<(), Failure> {
        unused("begin")
    }

    async fn resume(&self, epoch: u64, holder: &Holder) -> Result<(), Failure> {
        self.call("resume", |inner| {
            let now = inner.now_ms;
            let free = |held: &Holder| held.id == holder.id || held.expires_at_ms < now;
            if inner.state.epoch != epoch || !inner.state.holder.as_ref().is_none_or(free) {
                return Err(lost("dynamodb:UpdateItem"));
            }
            inner.state.holder = Some(holder.clone());
            Ok(())
        })
        .await
    }

    async fn note(&self, _: u64, _: &str, _: &Change) -> Result<(), Failure> {
        unused("note")
    }

    async fn publish_synchronous(&self, _: u64, _: &str, _: &Synchronous, _: Option<Lsn>) -> Result<(), Failure> {
        unused("publish_synchronous")
    }

    async fn finish(&self, _: u64, _: &str, _: &Finished) -> Result<(), Failure> {
        unused("finish")
    }

    async fn abandon(&self, _: u64, _: &str) -> Result<(), Failure> {
        unused("abandon")
    }

    async fn release(&self, epoch: u64, holder: &str) -> Result<(), Failure> {
        self.call("release", |inner| inner.held(epoch, holder).map(|state| state.holder = None)).await
    }

    async fn pause(&self, _: u64, _: &Pause) -> Result<(), Failure> {
        unused("pause")
    }

    async fn approve(&self, _: &Approval) -> Result<(), Failure> {
        unused("approve")
    }

    async fn tell_once(&self, what: &str, now_ms: u64, every_ms: u64) -> Result<bool, Failure> {
        self.call("tell_once", |inner| {
            if inner.told.get(what).is_some_and(|told| told + every_ms > now_ms) {
                return Ok(false);
            }
            inner.told.insert(what.to_owned(), now_ms);
            Ok(true)
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
        self.call("append", |inner| {
            let new = !inner.ledger.contains_key(item);
            inner.ledger.entry(item.to_owned()).or_insert_with(|| entry.clone());
            Ok(new)
        })
        .await
    }

    async fn hosts(&self) -> Result<BTreeMap<String, Host>, Failure> {
        self.call("hosts", |inner| Ok(inner.hosts.clone())).await
    }

    async fn stop_host(&self, _: &str) -> Result<(), Failure> {
        unused("stop_host")
    }

    async fn probe(&self, member: &Target, _: Duration) -> Sql {
        let answer = self.call("probe", |inner| Ok(inner.sql.get(&member.id).cloned().unwrap_or(Sql::NotAsked)));
        answer.await.unwrap_or_else(|failure| Sql::Silent(failure.to_string()))
    }

    async fn freeze(&self, _: &Target) -> Result<(), Failure> {
        unused("freeze")
    }

    async fn follow(&self, _: &Target, _: IpAddr) -> Result<(), Failure> {
        unused("follow")
    }

    async fn promote(&self, _: &Target) -> Result<PromotedSeen, Failure> {
        unused("promote")
    }

    async fn prove(&self, _: &Target, _: u64) -> Result<PromotedSeen, Failure> {
        unused("prove")
    }

    async fn prepare_slots(&self, _: &Target, _: &[String]) -> Result<(), Failure> {
        unused("prepare_slots")
    }

    async fn set_synchronous(&self, _: &Target, _: &str) -> Result<(), Failure> {
        unused("set_synchronous")
    }

    async fn checkpoint(&self, _: &Target) -> Result<(), Failure> {
        unused("checkpoint")
    }

    async fn records(&self) -> Result<RecordsSeen, Failure> {
        self.call("records", |inner| Ok(inner.records.clone())).await
    }

    async fn move_writer(&self, from: Option<(IpAddr, u64)>, to: (IpAddr, u64)) -> Result<(), Failure> {
        self.call("move_writer", |inner| {
            let records = &mut inner.records;
            let now = records.writer.first().copied().zip(records.epoch);
            if now != Some(to) && now != from {
                return Err(lost("route53:ChangeResourceRecordSets"));
            }
            (records.writer, records.epoch) = (vec![to.0], Some(to.1));
            Ok(())
        })
        .await
    }

    async fn set_readers(&self, addresses: &[IpAddr]) -> Result<(), Failure> {
        self.call("set_readers", |inner| {
            inner.records.reader = addresses.to_vec();
            Ok(())
        })
        .await
    }

    async fn send(&self, page: &Page) -> Result<(), Failure> {
        self.call("send", |inner| {
            inner.pages.push(page.clone());
            Ok(())
        })
        .await
    }
}
