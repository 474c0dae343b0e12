//! [`Regions`] in AWS: one call each.

use super::{DrCluster, OtherRegion};
use cloud::cloudwatch::Series;
use domain::{
    card::{ManagedCard, Registered},
    failover::PromotedSeen,
    managed::{GlobalSeen, ROLES, Roles},
    region::{DrCard, ITEM, Place, Position, Server, SideSeen},
    rejoin::Order,
    state::{Change, ChangeKind, Finished, Holder, Pause, State, Synchronous},
};
use reconcile::{Desk as _, Failure, Regions};
use serde_json::{Value, json};
use std::{net::IpAddr, time::Duration};

const SQL: Duration = Duration::from_secs(5);

/// How long ago a lag may have been measured to be said: the outage may be hours old.
const LAG_WITHIN_S: u64 = 6 * 3_600;

/// A pause that ends only when it is taken away.
const A_YEAR_MS: u64 = 365 * 24 * 3_600 * 1_000;

/// Run on the standby's host. What the script asks of a person was answered by the approval or the fence.
const PROMOTE: &str = "bash /opt/understudy/dr-promote.sh --confirm PROMOTE --force-approved";

fn missing(what: &str) -> Failure {
    Failure::Broken { call: "ssm:GetParameter", what: format!("the card has no {what}") }
}

impl DrCluster<'_, OtherRegion> {
    /// The card of a managed side.
    async fn managed(&self, at: Place) -> Result<ManagedCard, Failure> {
        match (at, &self.card) {
            (Place::Here, DrCard::Managed(card)) => Ok((**card).clone()),
            (Place::There, _) => match self.card_there().await? {
                Some(Registered::Managed(card)) => Ok(card),
                _ => Err(missing("side in the other Region that AWS runs")),
            },
            (Place::Here, DrCard::Standby(_)) => Err(missing("side that AWS runs")),
        }
    }

    async fn set_groups(&self, at: Place, server: &str, isolated: bool) -> Result<(), Failure> {
        let isolation = self.managed(at).await?.isolation.ok_or_else(|| missing("isolation"))?;
        let groups = if isolated { vec![isolation.isolated_group] } else { isolation.security_groups };
        match at {
            Place::Here => self.own.rds.set_security_groups(server, &groups).await,
            Place::There => self.far.rds.set_security_groups(server, &groups).await,
        }
    }

    /// Ends the clients' sessions, which a group does not; what cannot be reached is counted again by the next look.
    async fn end_sessions_at(&self, at: Place) {
        let side = self.look_at(at).await;
        let endpoint = side.ok().and_then(|side| side.servers.into_iter().next()).and_then(|server| server.endpoint);
        let (Ok(connector), Some(endpoint)) = (&self.connector, endpoint) else { return };
        match connector.end_sessions(&self.target(&endpoint), SQL).await {
            Ok(ended) => tracing::info!("{ended} sessions of clients ended at {endpoint}"),
            Err(failure) => tracing::warn!("{}", failure.story()),
        }
    }

    /// Members on EC2 are stopped: nobody starts them while their cluster is paused.
    async fn stop_members(&self) -> Result<(), Failure> {
        let Some(Registered::Ec2(card)) = self.card_there().await? else {
            return Err(missing("members in the other Region"));
        };
        let mut stopped = Ok(());
        for member in &card.members {
            // One that cannot be stopped must not keep the others running.
            if let Err(failure) = self.far.ec2.stop(&member.id).await {
                stopped = stopped.and(Err(failure));
            }
        }
        stopped
    }

    /// Pauses the other Region's cluster, or takes that back.
    async fn pause_there(&self, until_ms: u64) -> Result<(), Failure> {
        let Some(state) = self.far.states.read(self.cluster()).await? else { return Ok(()) };
        let is_paused = state.pause.as_ref().is_some_and(|pause| pause.until_ms > self.now_ms());
        if is_paused == (until_ms > self.now_ms()) {
            return Ok(());
        }
        let reason = format!("{} serves; see its fail-over-region", self.card.region());
        self.far.states.pause(self.cluster(), state.epoch, &Pause { until_ms, reason }).await
    }

    async fn newest(&self, name: &str, dimensions: Vec<(String, String)>) -> Option<(f64, u64)> {
        let series = Series {
            namespace: "AWS/RDS".to_owned(),
            name: name.to_owned(),
            dimensions,
            statistic: "Maximum".to_owned(),
        };
        match self.own.cloudwatch.newest(&[series], LAG_WITHIN_S).await {
            Ok(found) => found.into_iter().next().flatten().map(|value| (value.value, value.at_ms)),
            Err(failure) => {
                tracing::warn!("{}", failure.story());
                None
            }
        }
    }

    /// By CloudWatch, as of when it was last measured.
    async fn measured(&self, name: &str, dimensions: Vec<(String, String)>, unit_ms: f64) -> Position {
        let Some((value, at_ms)) = self.newest(name, dimensions).await else {
            return Position { bytes: None, ms: None, by: format!("{name} was not measured in the last 6 hours") };
        };
        let ago = Duration::from_millis(self.now_ms().saturating_sub(at_ms));
        let by = format!("{name}, {} ago", domain::time::seconds(ago));
        // -1: it does not replicate; then this says nothing.
        let ms = (value >= 0.0).then_some((value * unit_ms) as u64);
        Position { bytes: None, ms, by }
    }
}

impl Regions for DrCluster<'_, OtherRegion> {
    fn card(&self) -> &DrCard {
        &self.card
    }

    async fn side(&self, at: Place) -> Result<SideSeen, Failure> {
        self.look_at(at).await
    }

    async fn global(&self) -> Result<Option<GlobalSeen>, Failure> {
        match self.card.global() {
            Some((global, _)) => self.own.rds.global(global).await,
            None => Ok(None),
        }
    }

    async fn risk(&self, successor: Option<&Server>) -> Position {
        match &self.card {
            DrCard::Managed(card) if card.topology.is_aurora() => {
                let cluster = card.db_cluster.clone().unwrap_or_default();
                let from = self.card.other_region().to_owned();
                let by = vec![("DBClusterIdentifier".to_owned(), cluster), ("SourceRegion".to_owned(), from)];
                self.measured("AuroraGlobalDBReplicationLag", by, 1.0).await
            }
            DrCard::Managed(_) => {
                let Some(first) = successor else {
                    return Position { by: "no replica is there".to_owned(), ..Position::default() };
                };
                if let (Ok(connector), Some(endpoint)) = (&self.connector, &first.endpoint)
                    && let Ok(lag) = connector.replica_lag(&self.target(endpoint), SQL).await
                {
                    let by = "since the last transaction that the replica replayed".to_owned();
                    return Position { bytes: lag.bytes, ms: lag.ms, by };
                }
                let by = vec![("DBInstanceIdentifier".to_owned(), first.id.clone())];
                self.measured("ReplicaLag", by, 1_000.0).await
            }
            DrCard::Standby(card) => {
                let endpoint = card.host.address.to_string();
                let Ok(connector) = &self.connector else { return Position::default() };
                match connector.replica_lag(&self.target(&endpoint), SQL).await {
                    Ok(lag) => {
                        let by = "since the last transaction that the standby replayed".to_owned();
                        Position { bytes: lag.bytes, ms: lag.ms, by }
                    }
                    Err(failure) => Position { by: failure.story(), ..Position::default() },
                }
            }
        }
    }

    async fn is_paused(&self) -> Result<bool, Failure> {
        let state = self.state().await?;
        Ok(state.and_then(|state| state.pause).is_some_and(|pause| pause.until_ms > self.now_ms()))
    }

    async fn mark(&self, item: &Value) -> Result<(), Failure> {
        if self.is_on_ec2() {
            // Functions for clusters on EC2 know a pause: repairs wait in it, and nobody is started. Before the item,
            // which says that all is done.
            let serves = item.get("serves").and_then(Value::as_bool).unwrap_or(false);
            self.pause_there(if serves { self.now_ms() } else { self.now_ms() + A_YEAR_MS }).await?;
        }
        let states = &self.far.states;
        let before = states.kept(self.cluster(), ITEM).await?;
        if before.as_ref() == Some(item) {
            return Ok(());
        }
        states.keep(self.cluster(), ITEM, before.as_ref(), Some(item)).await
    }

    async fn cut_off(&self, at: Place, server: &str) -> Result<(), Failure> {
        if self.is_on_ec2() {
            return self.stop_members().await;
        }
        self.set_groups(at, server, true).await?;
        self.end_sessions_at(at).await;
        Ok(())
    }

    async fn end_sessions(&self, at: Place, _: &str) -> Result<(), Failure> {
        self.end_sessions_at(at).await;
        Ok(())
    }

    async fn let_in(&self, at: Place, server: &str) -> Result<(), Failure> {
        if self.is_on_ec2() {
            let Some(Registered::Ec2(card)) = self.card_there().await? else { return Ok(()) };
            for member in &card.members {
                self.far.ec2.start(&member.id).await?;
            }
            return Ok(());
        }
        self.set_groups(at, server, false).await
    }

    async fn promote(&self, at: Place, server: &str, order: &str) -> Result<(), Failure> {
        if let DrCard::Standby(card) = &self.card {
            let order = Order { comment: format!("understudy {} {order}", card.cluster), script: PROMOTE };
            if self.own.ssm.find_command(&card.host.id, &order).await?.is_some() {
                return Ok(());
            }
            return match self.own.ssm.send_command(&card.host.id, &order).await? {
                domain::rejoin::Sent::Command(id) => {
                    tracing::info!("dr-promote.sh is sent to {}: {id}", card.host.id);
                    Ok(())
                }
                domain::rejoin::Sent::NoAgent(why) => {
                    Err(Failure::Transient { call: "ssm:SendCommand", source: why.into() })
                }
            };
        }
        let backups = self.managed(at).await?.backups.ok_or_else(|| missing("backups"))?;
        let rds = if at == Place::Here { &self.own.rds } else { &self.far.rds };
        rds.promote(server, backups.retention_days, &backups.window).await
    }

    async fn move_global(&self, global: &str, to: &str, allow_data_loss: bool) -> Result<(), Failure> {
        match allow_data_loss {
            true => self.own.rds.failover_global(global, to, true).await,
            false => self.own.rds.switchover_global(global, to).await,
        }
    }

    async fn prove(&self, _: Place, endpoint: &str, epoch: u64) -> Result<PromotedSeen, Failure> {
        let (connector, target) = (self.sql()?, self.target(endpoint));
        if self.is_on_ec2() {
            return connector.prove(&target, epoch, self.cluster(), SQL).await;
        }
        connector.prove_managed(self.card.topology().is_aurora(), &target, epoch, self.cluster(), SQL).await
    }

    async fn claim_there(&self, holder: &Holder, writer: &str, promoted: PromotedSeen) -> Result<(), Failure> {
        let (states, cluster) = (&self.far.states, self.cluster());
        let state = states.read(cluster).await?.unwrap_or_else(State::unclaimed);
        let epoch = match (&state.writer, &state.change) {
            (None, _) => {
                return states.adopt(cluster, state.epoch, writer, promoted.timeline, &Synchronous::default()).await;
            }
            (Some(named), None) if named == writer => return Ok(()),
            // Begun by a pass that did not live to finish it.
            (Some(_), Some(_)) => {
                states.resume(cluster, state.epoch, holder).await?;
                state.epoch
            }
            (Some(named), None) => {
                let change = Change { kind: ChangeKind::Switchover, from: named.clone(), ..Change::default() };
                states.begin(cluster, state.epoch, holder, &change).await?;
                state.epoch + 1
            }
        };
        let finished = Finished {
            writer: writer.to_owned(),
            at_ms: self.now_ms(),
            failovers_ms: state.failovers_ms,
            timeline: promoted.timeline,
            timeline_began: promoted.lsn,
        };
        states.finish(cluster, epoch, &holder.id, &finished).await
    }

    async fn keep_roles_there(&self, roles: &Roles) -> Result<(), Failure> {
        let before = self.far.states.kept(self.cluster(), ROLES).await?;
        let after = json!(roles);
        if before.as_ref() == Some(&after) {
            return Ok(());
        }
        self.far.states.keep(self.cluster(), ROLES, before.as_ref(), Some(&after)).await
    }

    async fn set_backups(&self, server: &str) -> Result<(), Failure> {
        let backups = self.managed(Place::Here).await?.backups.ok_or_else(|| missing("backups"))?;
        self.own.rds.set_backups(server, backups.retention_days, &backups.window).await
    }

    async fn point_record(&self, to: &str) -> Result<(), Failure> {
        let address: IpAddr = to.parse().map_err(reconcile::failed("route53:ChangeResourceRecordSets"))?;
        let records = self.card.records();
        let seen = self.own.route53.read(records).await?;
        let epoch = seen.epoch.unwrap_or(0);
        match seen.writer.as_slice() {
            [only] if *only == address => Ok(()),
            [from, ..] => self.own.route53.move_writer(records, Some((*from, epoch)), (address, epoch + 1)).await,
            [] => self.own.route53.move_writer(records, None, (address, 1)).await,
        }
    }

    async fn publish(&self, primary_serves: bool) -> Result<(), Failure> {
        let Some(pair) = self.card.pair() else { return Ok(()) };
        let value = if primary_serves { 1.0 } else { 0.0 };
        self.own.cloudwatch.put(&pair.namespace, &pair.metric, &self.dimensions(), value).await
    }

    async fn render_anew(&self, at: Place) -> Result<(), Failure> {
        let payload = json!({ "render_anew": self.cluster() });
        match at {
            Place::Here => self.own.lambda.wake(&self.own.deploy_function, &payload).await,
            // The fleet has the same name there.
            Place::There => self.far.lambda.wake(&self.own.deploy_function, &payload).await,
        }
    }
}

impl<Far> DrCluster<'_, Far> {
    /// By which a cluster's metrics are told apart.
    pub(super) fn dimensions(&self) -> [(String, String); 2] {
        [("Fleet".to_owned(), self.card.fleet().to_owned()), ("Cluster".to_owned(), self.card.cluster().to_owned())]
    }
}
