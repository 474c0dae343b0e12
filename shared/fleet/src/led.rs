//! A cluster that Patroni owns: its account, and the few calls that it takes.

use crate::InAws;
use domain::{
    card::{Card, CardMember, PatroniCard},
    failover::Seen,
    follow::{Handover, StoreHost},
    rejoin::{CommandSeen, Order, Sent},
};
use futures_util::future::{join, join_all};
use patroni::{Api, Cluster, LOOK, Status, Trouble, account, sentence};
use reconcile::{Desk as _, Failure, Keeper, Mends, Outside, Voices};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// Patroni owns the cluster.
pub struct WithPatroni {
    api: Api,
    card: PatroniCard,
}

impl WithPatroni {
    /// # Errors
    ///
    /// [`Failure::Broken`] when the card does not say where Patroni is, or its
    /// certificate cannot be used.
    pub(crate) fn of(card: &Card) -> Result<Self, Failure> {
        let missing = || Failure::Broken {
            call: "ssm:GetParameter",
            what: format!("the card of {} is of {} and has no patroni", card.cluster, card.topology),
        };
        let patroni = card.patroni.clone().ok_or_else(missing)?;
        Ok(WithPatroni { api: Api::new(&patroni.peer_authority, patroni.port)?, card: patroni })
    }
}

/// What one agent answered.
struct Answer<'a> {
    member: &'a CardMember,
    status: Result<Status, Trouble>,
    cluster: Result<Cluster, Trouble>,
}

impl InAws<'_, WithPatroni> {
    async fn ask<'a>(&self, member: &'a CardMember) -> Answer<'a> {
        let api = &self.by.api;
        let (status, cluster) = join(api.status(member.address, LOOK), api.cluster(member.address, LOOK)).await;
        Answer { member, status, cluster }
    }

    /// Tells the agents one after the other, until one has done it.
    async fn tell(
        &self,
        call: &'static str,
        order: impl AsyncFn(IpAddr) -> Result<(), Trouble>,
    ) -> Result<(), Failure> {
        let mut last = Failure::Broken { call, what: "the card names no member".to_owned() };
        for member in &self.card().members {
            match order(member.address).await {
                Ok(()) => return Ok(()),
                Err(trouble) => last = trouble.failure(call, &member.name),
            }
            tracing::warn!("{}", last.story());
        }
        Err(last)
    }
}

impl Keeper for InAws<'_, WithPatroni> {
    fn name(&self) -> &'static str {
        "Patroni"
    }

    /// The leader's key expires after `ttl`; an agent sees it within
    /// `loop_wait`; its calls to etcd may be tried again for `retry_timeout`,
    /// of which Patroni demands `loop_wait + 2 * retry_timeout <= ttl`.
    fn patience(&self) -> Duration {
        let (ttl, wait) = (self.by.card.ttl_s, self.by.card.loop_wait_s);
        Duration::from_secs(u64::from(ttl + wait + ttl.saturating_sub(wait).div_ceil(2)))
    }

    async fn voices(&self) -> Voices {
        let answers = join_all(self.card().members.iter().map(|member| self.ask(member))).await;
        let now_ms = self.now_ms();
        let heard = answers
            .iter()
            .map(|answer| match &answer.status {
                Ok(status) => sentence(&answer.member.name, status, now_ms),
                Err(trouble) => format!("Patroni on {}: {trouble}", answer.member.name),
            })
            .collect();
        // The leader's own agent first: it is the one that must know.
        let leads = |answer: &&Answer| matches!(&answer.status, Ok(Status { role, .. }) if role == "primary");
        let told = answers.iter().filter(|answer| answer.cluster.is_ok());
        let chosen = told.clone().find(leads).or_else(|| told.clone().next());
        let account = match chosen.map(|answer| (answer.member, &answer.cluster)) {
            Some((member, Ok(cluster))) => {
                let history = self.by.api.history(member.address, LOOK).await.unwrap_or_else(|trouble| {
                    tracing::warn!("no history from Patroni on {}: {trouble}", member.name);
                    Vec::new()
                });
                Seen::Known(account(self.card(), &member.name, cluster, &history))
            }
            _ => {
                let problem = answers.iter().find_map(|answer| answer.cluster.as_ref().err());
                let problem = problem.map_or_else(|| "the card names no member".to_owned(), Trouble::to_string);
                Seen::Unavailable(format!("no Patroni says who leads: {problem}"))
            }
        };
        Voices { account, heard }
    }

    async fn store(&self) -> Result<Vec<StoreHost>, Failure> {
        let ids: Vec<String> = self.by.card.etcd.iter().map(|host| host.id.clone()).collect();
        let mut hosts = self.clients.ec2.hosts(&ids).await?;
        let of = |card: &domain::card::CardHost| {
            let host = hosts.remove(&card.id).unwrap_or(domain::failover::Host::Missing);
            StoreHost { card: card.clone(), host }
        };
        Ok(self.by.card.etcd.iter().map(of).collect())
    }

    async fn hand_over(&self, handover: &Handover) -> Result<String, Failure> {
        let login = self.clients.patroni_login(&self.by.card.api_secret).await?;
        let Handover { from, to } = handover;
        let said = self.by.api.switchover(from.address, &login, &from.name, &to.name).await;
        said.map_err(|trouble| trouble.failure("patroni:switchover", &from.name))
    }

    async fn set_paused(&self, paused: bool) -> Result<(), Failure> {
        let login = self.clients.patroni_login(&self.by.card.api_secret).await?;
        self.tell("patroni:pause", async |address| self.by.api.set_paused(address, &login, paused).await).await
    }
}

impl Mends for InAws<'_, WithPatroni> {
    async fn impaired(&self, ids: &[String]) -> Result<BTreeMap<String, String>, Failure> {
        self.clients.ec2.impaired(ids).await
    }

    async fn start_host(&self, id: &str) -> Result<(), Failure> {
        self.clients.ec2.start(id).await
    }

    async fn reboot_host(&self, id: &str) -> Result<(), Failure> {
        self.clients.ec2.reboot(id).await
    }

    async fn send_command(&self, host: &str, order: &Order) -> Result<Sent, Failure> {
        self.clients.ssm.send_command(host, order).await
    }

    async fn find_command(&self, host: &str, order: &Order) -> Result<Option<String>, Failure> {
        self.clients.ssm.find_command(host, order).await
    }

    async fn command(&self, host: &str, command: &str) -> Result<CommandSeen, Failure> {
        self.clients.ssm.command(host, command).await
    }
}
