//! Clusters that AWS runs, in RDS, Secrets Manager and PostgreSQL.

use super::{Aws, PROBE};
use cloud::rds::Rds;
use deploy_cluster::{managed::SetUp, outside::Needed};
use domain::{
    blue_green::{Server, Source},
    card::ManagedCard,
    failover::Sql,
};
use postgres::{Connector, Target};
use reconcile::{Failure, Login};
use std::{collections::BTreeMap, time::Duration};
use tokio::task::JoinSet;

/// Roles, a database and its extensions: a second or two each on a server that has just been made.
const SET_UP: Duration = Duration::from_secs(25);

/// A look at catalogues of some ten thousand tables.
const LOOK: Duration = Duration::from_secs(10);

impl Aws {
    /// How the servers are reached, as the functions' own role.
    async fn operator(&self, card: &ManagedCard) -> Result<Connector, Failure> {
        Ok(Connector::managed(&self.reach, self.secrets.login(&card.operator_secret).await?))
    }

    /// A login that a cluster's stack has made.
    async fn secret(&self, card: &ManagedCard, what: &str) -> Result<Login, Failure> {
        self.secrets.login(&format!("understudy/{}/{}/{what}", card.fleet, card.cluster)).await
    }

    /// The master's login: RDS keeps it in a secret of its own, or the stack has made one.
    async fn master(&self, card: &ManagedCard) -> Result<Login, Failure> {
        let own = match &card.db_cluster {
            Some(cluster) => self.rds.master_secret(cluster).await?,
            None => None,
        };
        match own {
            Some(arn) => self.secrets.login(&arn).await,
            None => self.secret(card, "superuser").await,
        }
    }

    pub(super) async fn set_up_database(
        &self,
        card: &ManagedCard,
        endpoint: &str,
        wanted: &SetUp,
    ) -> Result<Vec<String>, Failure> {
        let connector = Connector::managed(&self.reach, self.master(card).await?);
        let wanted = postgres::SetUp {
            database: wanted.database.clone(),
            application: self.secret(card, "application").await?,
            operator: self.secrets.login(&card.operator_secret).await?,
            roles: wanted.roles.clone(),
        };
        connector.set_up(&Target::endpoint(endpoint, card.port), &wanted, SET_UP).await
    }

    pub(super) async fn ask_all(
        &self,
        card: &ManagedCard,
        endpoints: &[String],
    ) -> Result<BTreeMap<String, Sql>, Failure> {
        let connector = self.operator(card).await?;
        let is_aurora = card.topology.is_aurora();
        let mut asked = JoinSet::new();
        for endpoint in endpoints {
            let (connector, target, endpoint) =
                (connector.clone(), Target::endpoint(endpoint, card.port), endpoint.clone());
            asked.spawn(async move { (endpoint, connector.probe_managed(is_aurora, &target, PROBE).await) });
        }
        let mut answers: BTreeMap<String, Sql> =
            endpoints.iter().map(|endpoint| (endpoint.clone(), Sql::NotAsked)).collect();
        while let Some(answer) = asked.join_next().await {
            // A probe that panicked is a bug, and its server one that was not asked.
            match answer {
                Ok((endpoint, sql)) => drop(answers.insert(endpoint, sql)),
                Err(error) => tracing::error!("a probe of {} ended badly: {error}", card.cluster),
            }
        }
        Ok(answers)
    }

    pub(super) async fn look_elsewhere(&self, region: &str, needed: &Needed) -> Result<Option<String>, Failure> {
        let there = Rds::new(&cloud::in_region(&self.config, region));
        Ok(match needed {
            Needed::GlobalCluster(id) => there.global(id).await?.map(|global| global.status),
            Needed::Instance(id) => match there.instance(id).await? {
                // RDS makes replicas only of what has automated backups.
                Some(seen) if seen.is_available() && seen.backup_retention_days == 0 => {
                    Some("available, and without automated backups".into())
                }
                seen => seen.map(|seen| seen.status),
            },
        })
    }

    /// Identifier of the instance that writes, on record or by the first place.
    async fn writer_of(&self, card: &ManagedCard) -> Result<String, Failure> {
        let state = self.states.read(&card.cluster).await?;
        let first = card.instances.first().map(|instance| instance.id.clone()).unwrap_or_default();
        Ok(state.and_then(|state| state.writer).unwrap_or(first))
    }

    pub(super) async fn blue_side(&self, card: &ManagedCard) -> Result<Option<Source>, Failure> {
        let writer = self.writer_of(card).await?;
        let Some((arn, version)) = self.rds.version(card.db_cluster.as_deref(), &writer).await? else {
            return Ok(None);
        };
        let rds = self.rds.described(card).await?;
        let instances = rds.instances.iter().filter(|instance| !instance.is_available());
        let busy = instances.map(|instance| format!("{} is {}", instance.id, instance.status));
        Ok(Some(Source { arn, version, not_available: busy.collect() }))
    }

    pub(super) async fn keeps_password(&self, card: &ManagedCard) -> Result<bool, Failure> {
        match &card.db_cluster {
            Some(cluster) => Ok(self.rds.master_secret(cluster).await?.is_some()),
            None => Ok(false),
        }
    }

    /// The endpoint that writes.
    async fn writer_endpoint(&self, card: &ManagedCard) -> Result<Option<Target>, Failure> {
        let rds = self.rds.described(card).await?;
        let cluster = rds.db_cluster.as_ref().and_then(|cluster| cluster.endpoint.clone());
        let endpoint = match cluster {
            Some(endpoint) => Some(endpoint),
            None => rds.instance(&self.writer_of(card).await?).and_then(|instance| instance.endpoint.clone()),
        };
        Ok(endpoint.map(|endpoint| Target::endpoint(&endpoint, card.port)))
    }

    pub(super) async fn server_says(&self, card: &ManagedCard) -> Result<Option<(bool, Server)>, Failure> {
        let Some(target) = self.writer_endpoint(card).await? else { return Ok(None) };
        match self.operator(card).await?.before_upgrade(&target, &card.database, LOOK).await {
            Ok(server) => Ok(Some(server)),
            Err(failure @ Failure::Broken { .. }) => Err(failure),
            Err(failure) => {
                tracing::warn!("{}", failure.story());
                Ok(None)
            }
        }
    }

    pub(super) async fn behind(&self, card: &ManagedCard) -> Result<Option<u64>, Failure> {
        let Some(target) = self.writer_endpoint(card).await? else { return Ok(None) };
        match self.operator(card).await?.slowest_follower(&target, LOOK).await {
            Ok(bytes) => Ok(bytes),
            Err(failure @ Failure::Broken { .. }) => Err(failure),
            Err(failure) => {
                tracing::warn!("{}", failure.story());
                Ok(None)
            }
        }
    }
}
