//! The calls of [`Outside`] that these functions make; the others fail.

use super::{Inner, World, lost};
use domain::{
    card::{Card, Topology},
    failover::{Host, Page, Sql, Target},
    lsn::Lsn,
    records::RecordsSeen,
    state::{Approval, Change, ChangeKind, Finished, GuardSeen, Holder, Pause, State, Synchronous},
};
use reconcile::{Desk, Failure, Outside};
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

impl World {
    /// What a function that comes after a change never calls, where Understudy steers on EC2.
    fn only_where_led(&self, call: &str) -> Result<(), Failure> {
        let led = self.card.topology == Topology::Ec2Patroni || self.managed.is_some();
        if led { Ok(()) } else { unused(call) }
    }
}

impl Desk for World {
    fn fleet(&self) -> &str {
        &self.card.fleet
    }

    fn cluster(&self) -> &str {
        self.managed.as_ref().map_or(&self.card.cluster, |card| &card.cluster)
    }

    fn now_ms(&self) -> u64 {
        self.see().now_ms
    }

    async fn sleep(&self, span: Duration) {
        self.later(span);
    }

    async fn state(&self) -> Result<Option<State>, Failure> {
        self.call("state", |inner| Ok(inner.has_state.then(|| inner.state.clone()))).await
    }

    async fn begin(&self, expected_epoch: u64, holder: &Holder, change: &Change) -> Result<(), Failure> {
        self.only_where_led("begin")?;
        self.call("begin", |inner| {
            let now = inner.now_ms;
            let free = |held: &Holder| held.id == holder.id || held.expires_at_ms < now;
            let steady = inner.state.epoch == expected_epoch && inner.state.change.is_none();
            let paused = inner.state.pause.as_ref().is_some_and(|pause| pause.until_ms > now);
            let allowed = !paused || change.kind == ChangeKind::Followed;
            if !steady || !allowed || !inner.state.holder.as_ref().is_none_or(free) {
                return Err(lost("dynamodb:UpdateItem"));
            }
            inner.state.epoch += 1;
            (inner.state.holder, inner.state.change) = (Some(holder.clone()), Some(change.clone()));
            Ok(())
        })
        .await
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

    async fn note(&self, epoch: u64, holder: &str, change: &Change) -> Result<(), Failure> {
        self.only_where_led("note")?;
        self.call("note", |inner| inner.held(epoch, holder).map(|state| state.change = Some(change.clone()))).await
    }

    async fn finish(&self, epoch: u64, holder: &str, finished: &Finished) -> Result<(), Failure> {
        self.only_where_led("finish")?;
        self.call("finish", |inner| {
            let state = inner.held(epoch, holder)?;
            if state.change.is_none() {
                return Err(lost("dynamodb:UpdateItem"));
            }
            (state.writer, state.change, state.holder) = (Some(finished.writer.clone()), None, None);
            (state.timeline, state.changed_at_ms) = (finished.timeline, finished.at_ms);
            state.failovers_ms.clone_from(&finished.failovers_ms);
            Ok(())
        })
        .await
    }

    async fn abandon(&self, epoch: u64, holder: &str) -> Result<(), Failure> {
        self.only_where_led("abandon")?;
        self.call("abandon", |inner| inner.held(epoch, holder).map(|state| (state.change, state.holder) = (None, None)))
            .await
    }

    async fn release(&self, epoch: u64, holder: &str) -> Result<(), Failure> {
        self.call("release", |inner| inner.held(epoch, holder).map(|state| state.holder = None)).await
    }

    async fn pause(&self, epoch: u64, pause: &Pause) -> Result<(), Failure> {
        self.only_where_led("pause")?;
        self.call("pause", |inner| {
            if inner.state.epoch != epoch || inner.state.change.is_some() {
                return Err(lost("dynamodb:UpdateItem"));
            }
            inner.state.pause = Some(pause.clone());
            Ok(())
        })
        .await
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

    async fn send(&self, page: &Page) -> Result<(), Failure> {
        self.call("send", |inner| {
            inner.pages.push(page.clone());
            Ok(())
        })
        .await
    }

    async fn adopt(&self, epoch: u64, writer: &str, timeline: u32, set: &Synchronous) -> Result<(), Failure> {
        self.call("adopt", |inner| {
            if inner.state.writer.is_some() || inner.state.epoch != epoch {
                return Err(lost("dynamodb:UpdateItem"));
            }
            inner.has_state = true;
            inner.state.epoch += 1;
            (inner.state.writer, inner.state.timeline) = (Some(writer.to_owned()), timeline);
            inner.state.synchronous = set.clone();
            Ok(())
        })
        .await
    }

    async fn kept(&self, item: &str) -> Result<Option<Value>, Failure> {
        self.call("kept", |inner| Ok(inner.kept.get(item).cloned())).await
    }

    async fn keep(&self, item: &str, before: Option<&Value>, after: Option<&Value>) -> Result<(), Failure> {
        self.call("keep", |inner| {
            let gone = after.is_none() && !inner.kept.contains_key(item);
            if !gone && inner.kept.get(item) != before {
                return Err(lost("dynamodb:PutItem"));
            }
            match after {
                Some(after) => drop(inner.kept.insert(item.to_owned(), after.clone())),
                None => drop(inner.kept.remove(item)),
            }
            Ok(())
        })
        .await
    }

    async fn approve(&self, approval: &Approval) -> Result<(), Failure> {
        self.only_where_led("approve")?;
        self.call("approve", |inner| {
            if inner.state.epoch != approval.epoch || inner.state.change.is_some() {
                return Err(lost("dynamodb:UpdateItem"));
            }
            inner.state.approval = Some(approval.clone());
            Ok(())
        })
        .await
    }
}

impl Outside for World {
    fn card(&self) -> &Card {
        &self.card
    }

    async fn guard(&self, member: &str) -> Result<Option<GuardSeen>, Failure> {
        self.call("guard", |inner| Ok(inner.guards.get(member).cloned())).await
    }

    async fn publish_synchronous(
        &self,
        epoch: u64,
        holder: &str,
        set: &Synchronous,
        _: Option<Lsn>,
    ) -> Result<(), Failure> {
        self.only_where_led("publish_synchronous")?;
        self.call("publish", |inner| inner.held(epoch, holder).map(|state| state.synchronous = set.clone())).await
    }

    async fn hosts(&self) -> Result<BTreeMap<String, Host>, Failure> {
        self.call("hosts", |inner| Ok(inner.hosts.clone())).await
    }

    async fn probe(&self, member: &Target, _: Duration) -> Sql {
        let answer = self.call("probe", |inner| Ok(inner.sql.get(&member.id).cloned().unwrap_or(Sql::NotAsked)));
        answer.await.unwrap_or_else(|failure| Sql::Silent(failure.to_string()))
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
}
