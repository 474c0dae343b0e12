//! The outside of a cluster that AWS runs: RDS, its endpoints' PostgreSQL, its names.

use crate::InAws;
use domain::{
    card::ManagedCard,
    failover::{PromotedSeen, Sql},
    lsn::Lsn,
    managed::{Described, InstanceSeen, Lag, NamesSeen},
};
use futures_util::future::join_all;
use postgres::Target;
use reconcile::{Failure, Managed};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Time for what only informs, beside a probe: a look is worth nothing when its parts are seconds apart.
const ASIDE: Duration = Duration::from_secs(1);

/// A write and its commit, or the end of many sessions.
const SETTING: Duration = Duration::from_secs(5);

/// AWS runs the cluster.
pub struct ByAws;

/// One managed cluster in AWS.
pub type ManagedInAws<'a> = InAws<'a, ByAws, ManagedCard>;

impl ManagedInAws<'_> {
    fn at(&self, endpoint: &str) -> Target {
        Target::endpoint(endpoint, self.card.port)
    }

    /// Any server of Aurora knows the lags of all readers; the writer's word is the newest.
    async fn lags_of_aurora(&self, described: &Described) -> BTreeMap<String, Lag> {
        let writer = described.db_cluster.as_ref().and_then(|cluster| cluster.writer.as_deref());
        let mut servers: Vec<&InstanceSeen> = described.instances.iter().filter(|one| one.is_available()).collect();
        servers.sort_by_key(|one| Some(one.id.as_str()) != writer);
        for endpoint in servers.iter().filter_map(|one| one.endpoint.as_deref()) {
            match self.connector.aurora_lags(&self.at(endpoint), ASIDE).await {
                Ok(lags) => return lags,
                Err(failure) => tracing::warn!("{}", failure.story()),
            }
        }
        BTreeMap::new()
    }

    /// Each replica of RDS is asked itself; and those that they follow, how far they are.
    async fn lags_of_replicas(&self, described: &Described) -> BTreeMap<String, Lag> {
        let replicas = described.instances.iter().filter(|one| one.source.is_some());
        let sources: BTreeSet<&str> = replicas.clone().filter_map(|one| one.source.as_deref()).collect();
        let sources = sources.into_iter().filter_map(|id| described.instance(id));
        let positions = join_all(sources.map(|source| self.position(source))).await;
        let positions: BTreeMap<&str, Lsn> = positions.into_iter().flatten().collect();
        let lags = replicas.filter_map(|replica| Some((replica, replica.endpoint.as_deref()?)));
        let lags = lags.map(|(replica, endpoint)| async {
            match self.connector.replica_lag(&self.at(endpoint), ASIDE).await {
                Ok(lag) => {
                    let ahead = replica.source.as_deref().and_then(|source| positions.get(source));
                    let bytes = ahead.and_then(|ahead| Some(lag.replayed?.behind(*ahead)));
                    Some((replica.id.clone(), Lag { bytes, ..lag }))
                }
                Err(failure) => {
                    tracing::warn!("{}", failure.story());
                    None
                }
            }
        });
        join_all(lags).await.into_iter().flatten().collect()
    }

    /// How far a writer is, or a replica that others follow.
    async fn position<'a>(&self, server: &'a InstanceSeen) -> Option<(&'a str, Lsn)> {
        let endpoint = server.endpoint.as_deref()?;
        let at = match self.connector.probe_managed(false, &self.at(endpoint), ASIDE).await {
            Sql::Writer(writer) => Some(writer.lsn),
            Sql::Standby(standby) => standby.furthest(),
            _ => None,
        };
        Some((server.id.as_str(), at?))
    }

    /// Fills in the network ACL of each instance's subnet. What EC2 does not tell proves nothing, and is missing.
    async fn with_network_acls(&self, described: &mut Described) {
        if self.card.isolation.as_ref().is_none_or(|isolation| isolation.network_acl.is_none()) {
            return;
        }
        let subnets: BTreeSet<String> = described.instances.iter().filter_map(|one| one.subnet.clone()).collect();
        let subnets: Vec<String> = subnets.into_iter().collect();
        let acls = self.clients.ec2.network_acls(&subnets).await.unwrap_or_else(|failure| {
            tracing::warn!("{}", failure.story());
            BTreeMap::new()
        });
        for instance in &mut described.instances {
            instance.network_acl = instance.subnet.as_ref().and_then(|subnet| acls.get(subnet)).cloned();
        }
    }
}

impl Managed for ManagedInAws<'_> {
    fn card(&self) -> &ManagedCard {
        &self.card
    }

    async fn describe(&self) -> Result<Described, Failure> {
        let mut described = self.clients.rds.described(&self.card).await?;
        self.with_network_acls(&mut described).await;
        Ok(described)
    }

    async fn probe(&self, endpoint: &str, timeout: Duration) -> Sql {
        self.connector.probe_managed(self.card.topology.is_aurora(), &self.at(endpoint), timeout).await
    }

    async fn lags(&self, described: &Described) -> BTreeMap<String, Lag> {
        match self.card.topology.is_aurora() {
            true => self.lags_of_aurora(described).await,
            false => self.lags_of_replicas(described).await,
        }
    }

    async fn client_sessions(&self, endpoint: &str) -> Option<u32> {
        match self.connector.client_sessions(&self.at(endpoint), ASIDE).await {
            Ok(sessions) => Some(sessions),
            Err(failure) => {
                tracing::warn!("{}", failure.story());
                None
            }
        }
    }

    async fn names(&self) -> Result<NamesSeen, Failure> {
        self.clients.route53.names(&self.card.records).await
    }

    async fn move_writer(&self, from: Option<(&str, u64)>, to: (&str, u64)) -> Result<(), Failure> {
        self.clients.route53.move_writer_name(&self.card.records, from, to).await
    }

    async fn set_readers(&self, readers: &[(String, String)]) -> Result<(), Failure> {
        self.clients.route53.set_reader_names(&self.card.records, readers).await
    }

    async fn set_security_groups(&self, instance: &str, groups: &[String]) -> Result<(), Failure> {
        self.clients.rds.set_security_groups(instance, groups).await
    }

    async fn set_network_acl(&self, subnet: &str, acl: &str) -> Result<(), Failure> {
        self.clients.ec2.set_network_acl(subnet, acl).await
    }

    async fn end_sessions(&self, endpoint: &str) -> Result<u32, Failure> {
        self.connector.end_sessions(&self.at(endpoint), SETTING).await
    }

    async fn reboot(&self, instance: &str) -> Result<(), Failure> {
        self.clients.rds.reboot(instance).await
    }

    async fn stop(&self, instance: &str) -> Result<(), Failure> {
        self.clients.rds.stop(instance).await
    }

    async fn promote(&self, instance: &str, retention_days: u32, window: &str) -> Result<(), Failure> {
        self.clients.rds.promote(instance, retention_days, window).await
    }

    async fn set_backups(&self, instance: &str, retention_days: u32, window: &str) -> Result<(), Failure> {
        self.clients.rds.set_backups(instance, retention_days, window).await
    }

    async fn fail_over(&self, db_cluster: &str, to: &str) -> Result<(), Failure> {
        self.clients.rds.fail_over(db_cluster, to).await
    }

    async fn prove(&self, endpoint: &str, epoch: u64) -> Result<PromotedSeen, Failure> {
        // The row names who wrote it: the first label of an endpoint is the identifier in RDS.
        let who = endpoint.split('.').next().unwrap_or(endpoint);
        let aurora = self.card.topology.is_aurora();
        self.connector.prove_managed(aurora, &self.at(endpoint), epoch, who, SETTING).await
    }

    async fn render_anew(&self) -> Result<(), Failure> {
        const CALL: &str = "lambda:InvokeFunction";
        let missing =
            || Failure::Broken { call: CALL, what: "DEPLOY_FUNCTION_NAME of this function is not set".into() };
        let deploy = self.clients.deploy.as_deref().ok_or_else(missing)?;
        self.clients.lambda.wake(deploy, &json!({ "render_anew": self.card.cluster })).await
    }
}
