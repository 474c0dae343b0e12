//! [`Preflights`] in AWS: whether a takeover would work, tried with this Region's clients alone.

use super::{Alone, DrCluster};
use cloud::cloudwatch::AlarmState;
use domain::{
    failover::{Host, Sql},
    managed::{ROLES, Roles},
    region::{Check, Checked, DrCard, ITEM, Phase, Region},
};
use reconcile::{Desk as _, Failure, Preflights};
use std::time::Duration;

/// What was found: well, or what would fail.
type Found = Result<String, String>;

/// Instances that are made beside the one that takes over, such as the replica in its own Region.
const SPARE_INSTANCES: u64 = 2;

/// A replica further behind than this would lose more than the references promise (5 minutes).
const MOST_LAG_MS: u64 = 5 * 60 * 1_000;

const SQL: Duration = Duration::from_secs(5);

fn failed(failure: Failure) -> String {
    failure.story()
}

impl Preflights for DrCluster<'_, Alone> {
    fn card(&self) -> &DrCard {
        &self.card
    }

    async fn check(&self, check: Check) -> Checked {
        let found = match check {
            Check::Secrets => self.secrets().await,
            Check::Keys => self.keys().await,
            Check::Images => self.images().await,
            Check::Quotas => self.quotas().await,
            Check::Replica => self.replica().await,
            Check::Records => self.records().await,
            Check::Backups => self.backups().await,
        };
        let ok = found.is_ok();
        Checked { check, ok, found: found.unwrap_or_else(|problem| problem) }
    }

    async fn publish_ready(&self, ready: bool) -> Result<(), Failure> {
        let value = if ready { 1.0 } else { 0.0 };
        self.own.cloudwatch.put("Understudy", "RegionReady", &self.dimensions(), value).await
    }
}

impl DrCluster<'_, Alone> {
    /// Copies of the operator's, the superuser's and the application's login, each of which must parse.
    async fn secrets(&self) -> Found {
        let (fleet, cluster) = (self.card.fleet(), self.card.cluster());
        let named = |name: &str| format!("understudy/{fleet}/{cluster}/{name}");
        let mut names = vec![self.card.operator_secret().to_owned()];
        match &self.card {
            DrCard::Managed(_) => names.extend([named("superuser"), named("application")]),
            DrCard::Standby(card) => names.extend(card.secrets.clone()),
        }
        for name in &names {
            self.own.secrets.login(name).await.map_err(failed)?;
        }
        Ok(format!("{} secrets are here and can be read", names.len()))
    }

    async fn key(&self) -> Result<Option<String>, Failure> {
        match &self.card {
            DrCard::Standby(card) => Ok(card.key_arn.clone()),
            DrCard::Managed(card) => {
                let first = self.first().await?;
                self.own.rds.key(card.db_cluster.as_deref(), &first).await
            }
        }
    }

    async fn keys(&self) -> Found {
        let Some(key) = self.key().await.map_err(failed)? else {
            return Ok("no key of its owner's: AWS's own are always there".to_owned());
        };
        if !key.contains(&format!(":{}:", self.card.region())) && key.starts_with("arn:") {
            return Err(format!("{key} is a key of another Region"));
        }
        self.own.kms.is_enabled(&key).await.map_err(failed)?.map_err(|state| format!("{key} is {state}"))?;
        self.own.kms.could_encrypt(&key).await.map_err(failed)?;
        Ok(format!("{key} is enabled and encrypts"))
    }

    async fn images(&self) -> Found {
        let DrCard::Standby(card) = &self.card else { return Ok("no host is made from an image".to_owned()) };
        let Some(parameter) = &card.image_parameter else { return Ok("the spec names the image itself".to_owned()) };
        let image = self.own.images.image(parameter).await.map_err(failed)?;
        Ok(format!("{parameter} is {image}"))
    }

    async fn quotas(&self) -> Found {
        if self.is_on_ec2() {
            return Ok("nothing is made in a takeover: the standby's host runs already".to_owned());
        }
        let room = self.own.rds.room().await.map_err(failed)?;
        let Some(instances) = room.iter().find(|room| room.quota == "DBInstances") else {
            return Err("RDS does not say how many instances are allowed".to_owned());
        };
        let left = instances.most.saturating_sub(instances.used);
        let found = format!("{} of {} DB instances are used", instances.used, instances.most);
        if left < SPARE_INSTANCES { Err(found) } else { Ok(found) }
    }

    /// Identifier of the instance that would write.
    async fn first(&self) -> Result<String, Failure> {
        let roles = self.own.states.kept(self.cluster(), ROLES).await?;
        let roles: Roles = roles.and_then(|roles| serde_json::from_value(roles).ok()).unwrap_or_default();
        Ok(roles.instance_id(self.card.fleet(), self.card.cluster(), roles.writer))
    }

    async fn replica(&self) -> Found {
        let (status, endpoint) = self.successor().await?;
        if !matches!(status.as_str(), "available" | "running" | "backing-up") {
            return Err(format!("the successor is {status}"));
        }
        if let Some((global, other)) = self.card.global() {
            let seen = self.own.rds.global(global).await.map_err(failed)?;
            let seen = seen.ok_or_else(|| format!("there is no global cluster {global}"))?;
            if !seen.members.iter().any(|member| member != other) {
                return Err(format!("this Region's cluster is no member of {global}"));
            }
            return Ok(format!("{status}, a member of {global}, which is {}", seen.status));
        }
        let connector = self.connector.as_ref().map_err(Clone::clone)?;
        let endpoint = endpoint.ok_or("the successor has no endpoint")?;
        let target = self.target(&endpoint);
        let sql = self.probe(Some(&endpoint)).await;
        match sql {
            Sql::Standby(_) => {}
            Sql::Writer(_) => return self.writes(&status).await,
            other => return Err(format!("the successor {other}")),
        }
        match connector.replica_lag(&target, SQL).await.map_err(failed)?.ms {
            Some(ms) if ms > MOST_LAG_MS => {
                let late = domain::time::seconds(Duration::from_millis(ms));
                Err(format!("the last transaction that it replayed is {late} old"))
            }
            Some(ms) => Ok(format!("{status}, {} behind at most", domain::time::seconds(Duration::from_millis(ms)))),
            None => Ok(format!("{status}; it has replayed nothing yet that tells its lag")),
        }
    }

    /// A successor that writes while the first Region serves follows nobody: it can take nothing over.
    async fn writes(&self, status: &str) -> Found {
        let item = self.own.states.kept(self.cluster(), ITEM).await.map_err(failed)?;
        let region: Region = item.and_then(|item| serde_json::from_value(item).ok()).unwrap_or_default();
        if region.phase == Phase::Standby && region.change.is_none() {
            return Err(format!("the successor is {status}, and a writer of its own: it follows nobody"));
        }
        Ok(format!("{status}; it writes: this Region serves"))
    }

    /// AWS's word for the successor, and where it is.
    async fn successor(&self) -> Result<(String, Option<String>), String> {
        match &self.card {
            DrCard::Standby(card) => {
                let hosts = self.own.ec2.hosts(std::slice::from_ref(&card.host.id)).await.map_err(failed)?;
                let status = match hosts.get(&card.host.id) {
                    Some(Host::Running) => "running".to_owned(),
                    other => format!("{other:?}"),
                };
                Ok((status, Some(card.host.address.to_string())))
            }
            DrCard::Managed(card) => match &card.db_cluster {
                Some(cluster) if card.topology.is_aurora() => {
                    let seen = self.own.rds.db_cluster(cluster).await.map_err(failed)?;
                    let seen = seen.ok_or_else(|| format!("there is no DB cluster {cluster}"))?;
                    Ok((seen.status, seen.endpoint))
                }
                _ => {
                    let first = self.first().await.map_err(failed)?;
                    let seen = self.own.rds.instance(&first).await.map_err(failed)?;
                    let seen = seen.ok_or_else(|| format!("there is no instance {first}"))?;
                    Ok((seen.status, seen.endpoint))
                }
            },
        }
    }

    /// The pair, its health check, the alarm behind it, and that the zone can be read at all.
    async fn records(&self) -> Found {
        let records = self.card.records();
        let Some(pair) = self.card.pair() else {
            self.own.route53.is_reachable(records).await.map_err(failed)?;
            return Ok("the zone can be read; there is no pair".to_owned());
        };
        let seen = self.own.route53.pair(records, &pair.name).await.map_err(failed)?;
        if seen.secondary.as_deref() != Some(records.writer.as_str()) {
            return Err(format!(
                "the second record of {} leads to {:?}, not {}",
                pair.name, seen.secondary, records.writer
            ));
        }
        if seen.primary.is_none() || seen.health_check.as_deref() != Some(pair.health_check.as_str()) {
            return Err(format!("the first record of {} does not have health check {}", pair.name, pair.health_check));
        }
        let reads = self.own.route53.health_check(&pair.health_check).await.map_err(failed)?;
        if reads != Some((self.card.region().to_owned(), pair.alarm.clone())) {
            return Err(format!("health check {} reads {reads:?}, not alarm {} here", pair.health_check, pair.alarm));
        }
        match self.own.cloudwatch.alarm(&pair.alarm).await.map_err(failed)? {
            None => Err(format!("there is no alarm {}", pair.alarm)),
            Some(AlarmState::Unknown) => {
                Err(format!("alarm {} has no data: nobody publishes {}", pair.alarm, pair.metric))
            }
            Some(state) => Ok(format!("{} has both records, health check and alarm ({state:?})", pair.name)),
        }
    }

    async fn backups(&self) -> Found {
        match &self.card {
            DrCard::Standby(_) => Ok("pgBackRest's stanza here is made by the promotion itself".to_owned()),
            DrCard::Managed(card) => match &card.backups {
                Some(backups) if backups.retention_days > 0 => {
                    Ok(format!("kept for {} days from the promotion on", backups.retention_days))
                }
                _ if card.topology.is_aurora() => Ok("Aurora's are always on".to_owned()),
                _ => Err("the card says nothing of backups: a promoted replica would have none".to_owned()),
            },
        }
    }
}
