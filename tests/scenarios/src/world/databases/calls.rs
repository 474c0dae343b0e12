//! The calls of [`Managed`], as AWS and PostgreSQL answer them.

use super::{Databases, Later};
use crate::world::{Inner, World, lost};
use domain::{
    card::ManagedCard,
    failover::{PromotedSeen, Sql},
    lsn::Lsn,
    managed::{Described, Lag, NamesSeen},
};
use reconcile::{Failure, Managed};
use std::{collections::BTreeMap, time::Duration};

impl World {
    async fn order(
        &self,
        call: &'static str,
        order: String,
        effect: impl FnOnce(&mut Databases, u64) -> Result<(), String>,
    ) -> Result<(), Failure> {
        self.call(call, |inner| {
            let now = inner.now_ms;
            match effect(&mut inner.databases, now) {
                Ok(()) => {
                    inner.databases.orders.push(order);
                    inner.databases.check();
                    Ok(())
                }
                Err(refused) => Err(Failure::Transient { call, source: refused.into() }),
            }
        })
        .await
    }
}

fn is_available(databases: &mut Databases, id: &str) -> Result<(), String> {
    let status = databases.server(id).rds.status.clone();
    if status == "available" { Ok(()) } else { Err(format!("InvalidDBInstanceState: {id} is {status}")) }
}

impl Inner {
    fn moved(&mut self, from: Option<(&str, u64)>, to: (&str, u64)) -> Result<(), Failure> {
        let names = &mut self.databases.names;
        let now = names.writer.as_deref().zip(names.epoch);
        if now != Some(to) && now != from {
            return Err(lost("route53:ChangeResourceRecordSets"));
        }
        (names.writer, names.epoch) = (Some(to.0.to_owned()), Some(to.1));
        Ok(())
    }
}

impl Managed for World {
    fn card(&self) -> &ManagedCard {
        self.managed.as_deref().unwrap_or_else(|| panic!("this world is on EC2"))
    }

    async fn describe(&self) -> Result<Described, Failure> {
        self.call("describe", |inner| Ok(inner.databases.described())).await
    }

    async fn probe(&self, endpoint: &str, _: Duration) -> Sql {
        let answer = self.call("probe", |inner| Ok(inner.databases.sql(endpoint))).await;
        answer.unwrap_or_else(|failure| Sql::Silent(failure.to_string()))
    }

    async fn lags(&self, described: &Described) -> BTreeMap<String, Lag> {
        let lag = |id: &String| (id.clone(), Lag { bytes: Some(0), ms: Some(20), replayed: Some(Lsn(900)) });
        let replicas = described.instances.iter().filter(|it| it.source.is_some() || described.db_cluster.is_some());
        let lags: BTreeMap<String, Lag> = replicas.map(|instance| lag(&instance.id)).collect();
        self.call("lags", |_| Ok(lags)).await.unwrap_or_default()
    }

    async fn client_sessions(&self, endpoint: &str) -> Option<u32> {
        let answer = self.call("client_sessions", |inner| Ok(inner.databases.sql(endpoint).answers().then_some(0)));
        answer.await.ok().flatten()
    }

    async fn names(&self) -> Result<NamesSeen, Failure> {
        self.call("names", |inner| Ok(inner.databases.names.clone())).await
    }

    async fn move_writer(&self, from: Option<(&str, u64)>, to: (&str, u64)) -> Result<(), Failure> {
        self.call("move_writer", |inner| inner.moved(from, to)).await
    }

    async fn set_readers(&self, readers: &[(String, String)]) -> Result<(), Failure> {
        self.call("set_readers", |inner| {
            inner.databases.names.readers = readers.iter().map(|(_, target)| target.clone()).collect();
            Ok(())
        })
        .await
    }

    async fn set_security_groups(&self, instance: &str, groups: &[String]) -> Result<(), Failure> {
        self.order("set_security_groups", format!("isolate {instance}"), |databases, now| {
            databases.server(instance).rds.security_groups =
                groups.iter().map(|group| (group.clone(), "adding".to_owned())).collect();
            databases.at(now + 4_000, Later::Group(instance.to_owned()));
            Ok(())
        })
        .await
    }

    async fn set_network_acl(&self, subnet: &str, acl: &str) -> Result<(), Failure> {
        self.order("set_network_acl", format!("cut {subnet}"), |databases, _| {
            let there = databases.servers.iter_mut().filter(|it| it.rds.subnet.as_deref() == Some(subnet));
            there.for_each(|server| server.rds.network_acl = Some(acl.to_owned()));
            Ok(())
        })
        .await
    }

    async fn end_sessions(&self, endpoint: &str) -> Result<u32, Failure> {
        self.call("end_sessions", |_| Err(Failure::Broken { call: "test", what: format!("sessions of {endpoint}") }))
            .await
    }

    async fn reboot(&self, instance: &str) -> Result<(), Failure> {
        self.order("reboot", format!("reboot {instance}"), |databases, now| {
            is_available(databases, instance)?;
            databases.server(instance).rds.status = "rebooting".to_owned();
            databases.at(now + 15_000, Later::Ended(instance.to_owned()));
            databases.at(now + 15_000, Later::Status(instance.to_owned(), "available"));
            Ok(())
        })
        .await
    }

    async fn stop(&self, instance: &str) -> Result<(), Failure> {
        self.order("stop", format!("stop {instance}"), |databases, now| {
            is_available(databases, instance)?;
            databases.server(instance).rds.status = "stopping".to_owned();
            databases.at(now + 30_000, Later::Stopped(instance.to_owned()));
            Ok(())
        })
        .await
    }

    async fn promote(&self, instance: &str, retention_days: u32, _: &str) -> Result<(), Failure> {
        self.order("promote", format!("promote {instance}"), |databases, now| {
            is_available(databases, instance)?;
            if databases.server(instance).rds.source.is_none() {
                return Err("InvalidDBInstanceState: not a replica".to_owned());
            }
            let server = databases.server(instance);
            (server.rds.status, server.rds.backup_retention_days) = ("modifying".to_owned(), retention_days);
            if let Some(takes) = databases.promotion_ms {
                databases.at(now + takes / 2, Later::Status(instance.to_owned(), "rebooting"));
                databases.at(now + takes, Later::Promoted(instance.to_owned()));
            }
            Ok(())
        })
        .await
    }

    async fn set_backups(&self, instance: &str, retention_days: u32, _: &str) -> Result<(), Failure> {
        self.order("set_backups", format!("back up {instance}"), |databases, _| {
            databases.server(instance).rds.backup_retention_days = retention_days;
            Ok(())
        })
        .await
    }

    async fn fail_over(&self, db_cluster: &str, to: &str) -> Result<(), Failure> {
        self.order("fail_over", format!("fail over {db_cluster} to {to}"), |databases, now| {
            let Some(cluster) = &mut databases.cluster else { return Err("DBClusterNotFound".to_owned()) };
            if cluster.status != "available" {
                return Err(format!("InvalidDBClusterState: {}", cluster.status));
            }
            cluster.status = "failing-over".to_owned();
            databases.at(now + 20_000, Later::FailedOver(to.to_owned()));
            Ok(())
        })
        .await
    }

    async fn prove(&self, endpoint: &str, epoch: u64) -> Result<PromotedSeen, Failure> {
        self.call("prove", |inner| match inner.databases.sql(endpoint) {
            Sql::Writer(answer) => Ok(PromotedSeen { timeline: answer.timeline, lsn: answer.lsn }),
            sql => {
                Err(Failure::Transient { call: "postgres:prove", source: format!("epoch {epoch}: it {sql}").into() })
            }
        })
        .await
    }

    async fn render_anew(&self) -> Result<(), Failure> {
        self.order("render_anew", "render anew".to_owned(), |_, _| Ok(())).await
    }
}
