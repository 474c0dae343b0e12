//! What Patroni and EC2 do to a cluster that Patroni owns.

use super::{Inner, World, account, name, writer};
use domain::{
    failover::{Host, ReceiverSeen, Seen, Sql, StandbySeen, WriterSeen},
    follow::{Fork, Handover, StoreHost},
    lsn::Lsn,
    rejoin::{CommandSeen, Order, Sent},
};
use reconcile::{Failure, Keeper, Members, Mends, Outside, Voices};
use std::{collections::BTreeMap, time::Duration};

impl Inner {
    /// Patroni makes this member leader, on the next timeline.
    ///
    /// # Panics
    ///
    /// When nobody led before.
    pub fn elect(&mut self, leader: &str) {
        let before = |sql: &Sql| match sql {
            Sql::Writer(answer) => Some(answer.timeline),
            _ => None,
        };
        let timeline = self.sql.values().filter_map(before).max().unwrap_or(2);
        let others: Vec<&str> = ["i-a", "i-b", "i-c"].into_iter().filter(|id| *id != leader).collect();
        let Sql::Writer(answer) = writer(&others) else { panic!("no writer") };
        self.sql.insert(leader.to_owned(), Sql::Writer(WriterSeen { timeline: timeline + 1, ..answer }));
        let upstream = Some(super::address(leader));
        for other in others {
            let receiver = ReceiverSeen { streaming: true, silent_for: Duration::from_millis(100), upstream };
            let standby = StandbySeen {
                timeline: timeline + 1,
                known_timeline: timeline + 1,
                received: Some(Lsn(900)),
                replayed: Some(Lsn(900)),
                system_id: 42,
                receiver: Some(receiver),
                upstream,
            };
            self.sql.insert(other.to_owned(), Sql::Standby(standby));
        }
        let mut said = account(leader);
        let ended_at = Lsn(900);
        said.forks.push(Fork { timeline, ended_at, at_ms: Some(self.now_ms), leader: Some(name(leader)) });
        self.account = Seen::Known(said);
    }
}

impl Keeper for World {
    fn name(&self) -> &'static str {
        "Patroni"
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(33)
    }

    async fn voices(&self) -> Voices {
        let answer = self.call("voices", |inner| Ok(inner.account.clone())).await;
        let account = answer.unwrap_or_else(|failure| Seen::Unavailable(failure.to_string()));
        Voices { account, heard: vec!["Patroni on orders_b: replica, running".to_owned()] }
    }

    async fn store(&self) -> Result<Vec<StoreHost>, Failure> {
        let etcd = self.card().patroni.iter().flat_map(|patroni| patroni.etcd.clone()).collect::<Vec<_>>();
        self.call("store", |inner| {
            let host = |card: domain::card::CardHost| {
                let host = inner.hosts.get(&card.id).cloned().unwrap_or(Host::Missing);
                StoreHost { card, host }
            };
            Ok(etcd.into_iter().map(host).collect())
        })
        .await
    }

    async fn hand_over(&self, handover: &Handover) -> Result<String, Failure> {
        self.call("hand_over", |inner| {
            inner.orders.push(format!("switchover {} {}", handover.from.name, handover.to.name));
            inner.elect(&handover.to.id);
            Ok(format!("Successfully switched over to \"{}\"", handover.to.name))
        })
        .await
    }

    async fn set_paused(&self, paused: bool) -> Result<(), Failure> {
        self.call("set_paused", |inner| {
            if let Seen::Known(account) = &mut inner.account {
                account.paused = paused;
            }
            Ok(())
        })
        .await
    }
}

impl Mends for World {
    async fn impaired(&self, ids: &[String]) -> Result<BTreeMap<String, String>, Failure> {
        let ids = ids.to_vec();
        self.call("impaired", |inner| {
            Ok(inner
                .impaired
                .iter()
                .filter(|(id, _)| ids.contains(id))
                .map(|(id, why)| (id.clone(), why.clone()))
                .collect())
        })
        .await
    }

    async fn start_host(&self, id: &str) -> Result<(), Failure> {
        self.call("start_host", |inner| {
            inner.orders.push(format!("start {id}"));
            inner.hosts.insert(id.to_owned(), Host::Running);
            Ok(())
        })
        .await
    }

    async fn reboot_host(&self, id: &str) -> Result<(), Failure> {
        self.call("reboot_host", |inner| {
            inner.orders.push(format!("reboot {id}"));
            Ok(())
        })
        .await
    }

    async fn send_command(&self, host: &str, order: &Order) -> Result<Sent, Failure> {
        self.see().orders.push(format!("{} {host}", order.script));
        Members::send_command(self, host, order).await
    }

    async fn find_command(&self, host: &str, order: &Order) -> Result<Option<String>, Failure> {
        Members::find_command(self, host, order).await
    }

    async fn command(&self, host: &str, command: &str) -> Result<CommandSeen, Failure> {
        Members::command(self, host, command).await
    }
}
