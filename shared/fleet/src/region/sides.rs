//! What each Region's side of a cluster is.

use super::{DrCluster, OtherRegion, cut};
use cloud::{ec2::Ec2, rds::Rds, state::StateTable};
use domain::{
    card::{Card, ManagedCard, Registered, Topology},
    failover::{Host, Sql},
    managed::{ROLES, Roles},
    region::{Cut, DrCard, ITEM, Place, Server, SideSeen, StandbyCard},
};
use futures_util::future::join_all;
use reconcile::{Desk as _, Failure};
use serde_json::Value;

impl DrCluster<'_, OtherRegion> {
    pub(super) async fn look_at(&self, at: Place) -> Result<SideSeen, Failure> {
        let (rds, ec2, states) = match at {
            Place::Here => (&self.own.rds, &self.own.ec2, &self.own.states),
            Place::There => (&self.far.rds, &self.far.ec2, &self.far.states),
        };
        let mut side = match (&self.card, at) {
            (DrCard::Managed(card), _) if card.topology.is_aurora() => self.aurora(rds, card, at).await?,
            (DrCard::Managed(card), Place::Here) => self.rds(rds, states, card).await?,
            (DrCard::Managed(_), Place::There) => match self.card_there().await? {
                Some(Registered::Managed(card)) => self.rds(rds, states, &card).await?,
                _ => SideSeen::default(),
            },
            (DrCard::Standby(card), Place::Here) => self.standby(ec2, card).await?,
            (DrCard::Standby(_), Place::There) => match self.card_there().await? {
                Some(Registered::Ec2(card)) => self.members(ec2, &card).await?,
                _ => SideSeen::default(),
            },
        };
        let item = states.kept(self.card.cluster(), ITEM).await?;
        side.serves = item.as_ref().and_then(|item| item.get("serves")).and_then(Value::as_bool);
        // Members on EC2 are kept off by the pause, not by the item: without it, that side is not marked.
        if at == Place::There && self.is_on_ec2() && side.serves == Some(false) && !self.is_paused_there().await? {
            side.serves = None;
        }
        Ok(side)
    }

    /// A cluster that was never claimed has no state to pause, and nobody who would repair it.
    async fn is_paused_there(&self) -> Result<bool, Failure> {
        let Some(state) = self.far.states.read(self.cluster()).await? else { return Ok(true) };
        Ok(state.pause.is_some_and(|pause| pause.until_ms > self.now_ms()))
    }

    /// The other Region's card: which servers there are, and what cuts them off.
    pub(super) async fn card_there(&self) -> Result<Option<Registered>, Failure> {
        self.far.ssm.card(self.card.fleet(), self.card.cluster()).await
    }

    /// Aurora's cluster stands for its instances.
    async fn aurora(&self, rds: &Rds, card: &ManagedCard, at: Place) -> Result<SideSeen, Failure> {
        let arn = card.other.as_ref().and_then(|other| other.db_cluster_arn.as_deref());
        let id = match at {
            Place::Here => card.db_cluster.as_deref(),
            Place::There => arn.and_then(|arn| arn.rsplit(':').next()),
        };
        let Some(id) = id else { return Ok(SideSeen::default()) };
        let Some(cluster) = rds.db_cluster(id).await? else { return Ok(SideSeen::default()) };
        // The writer's endpoint of a cluster that does not write leads nowhere.
        let sql = self.probe(cluster.endpoint.as_deref()).await;
        let server = Server {
            id: cluster.id,
            arn: Some(cluster.arn),
            status: cluster.status,
            writer: cluster.writer,
            endpoint: cluster.endpoint,
            source: None,
            sql,
        };
        Ok(SideSeen { servers: vec![server], ..SideSeen::default() })
    }

    /// The instance that writes, or would write, first; the others of the side behind it.
    async fn rds(&self, rds: &Rds, states: &StateTable, card: &ManagedCard) -> Result<SideSeen, Failure> {
        let roles = states.kept(&card.cluster, ROLES).await?;
        let roles: Option<Roles> = roles.and_then(|roles| serde_json::from_value(roles).ok());
        let today = roles.clone().unwrap_or_default();
        let first = today.instance_id(&card.fleet, &card.cluster, today.writer);
        let described = rds.described(card).await?;
        let mut instances = described.instances;
        if !instances.iter().any(|instance| instance.id == first) {
            instances.extend(rds.instance(&first).await?);
        }
        instances.sort_by_key(|instance| instance.id != first);
        let mut servers = Vec::new();
        for instance in &instances {
            let is_first = instance.id == first;
            let sql = if is_first { self.probe(instance.endpoint.as_deref()).await } else { Sql::NotAsked };
            servers.push(Server {
                id: instance.id.clone(),
                arn: Some(instance.arn.clone()),
                status: instance.status.clone(),
                writer: None,
                endpoint: instance.endpoint.clone(),
                source: instance.source.clone(),
                sql,
            });
        }
        // The place's instance is gone: whoever else is there is no successor of its own.
        servers.retain(|_| instances.first().is_some_and(|instance| instance.id == first));
        let cut = match (instances.first(), servers.first()) {
            (Some(instance), Some(server)) => self.cut_of(card, instance, server).await,
            _ => Cut::No,
        };
        Ok(SideSeen { servers, cut, can_cut: card.isolation.is_some(), serves: None, roles })
    }

    async fn standby(&self, ec2: &Ec2, card: &StandbyCard) -> Result<SideSeen, Failure> {
        let hosts = ec2.hosts(std::slice::from_ref(&card.host.id)).await?;
        let status = status_of(hosts.get(&card.host.id));
        let endpoint = card.host.address.to_string();
        let sql = self.probe(Some(&endpoint)).await;
        let server = Server {
            id: card.host.id.clone(),
            arn: None,
            status,
            writer: None,
            endpoint: Some(endpoint),
            source: source_of(&sql, &card.other.region),
            sql,
        };
        Ok(SideSeen { servers: vec![server], ..SideSeen::default() })
    }

    /// Patroni's members, the one out of recovery first.
    async fn members(&self, ec2: &Ec2, card: &Card) -> Result<SideSeen, Failure> {
        let ids: Vec<String> = card.members.iter().map(|member| member.id.clone()).collect();
        let hosts = ec2.hosts(&ids).await?;
        let probes = card.members.iter().map(async |member| {
            let endpoint = member.address.to_string();
            let sql = self.probe(Some(&endpoint)).await;
            Server {
                id: member.id.clone(),
                arn: None,
                status: status_of(hosts.get(&member.id)),
                writer: None,
                endpoint: Some(endpoint),
                source: source_of(&sql, "its leader"),
                sql,
            }
        });
        let mut servers = join_all(probes).await;
        servers.sort_by_key(|server| !matches!(server.sql, Sql::Writer(_)));
        let cut = cut::of_hosts(&servers);
        Ok(SideSeen { servers, cut, can_cut: true, serves: None, roles: None })
    }
}

/// EC2's word.
fn status_of(host: Option<&Host>) -> String {
    match host {
        Some(Host::Pending) => "pending".to_owned(),
        Some(Host::Running) => "running".to_owned(),
        Some(Host::Stopping) => "stopping".to_owned(),
        Some(Host::Stopped) => "stopped".to_owned(),
        Some(Host::ShuttingDown) => "shutting-down".to_owned(),
        Some(Host::Terminated) => "terminated".to_owned(),
        Some(Host::Missing) | None => "missing".to_owned(),
        Some(Host::Unknown(why)) => format!("unknown ({why})"),
    }
}

/// Whoever is out of recovery follows nobody; of who does not answer that is not known.
fn source_of(sql: &Sql, source: &str) -> Option<String> {
    (!matches!(sql, Sql::Writer(_))).then(|| source.to_owned())
}

impl<Far> DrCluster<'_, Far> {
    /// Whether this cluster is on EC2.
    pub(super) fn is_on_ec2(&self) -> bool {
        self.card.topology() == Topology::Ec2Patroni
    }
}
