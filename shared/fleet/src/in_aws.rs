//! The outside of a cluster, as AWS and PostgreSQL answer it: one call each.

use crate::Clients;
use domain::{
    card::{Card, ManagedCard},
    failover::{Host, Page, PromotedSeen, Sql, Target},
    lsn::Lsn,
    records::RecordsSeen,
    state::{Approval, Change, Finished, GuardSeen, Holder, Pause, State, Synchronous},
};
use postgres::Connector;
use reconcile::{Desk, Failure, Outside, Steers};
use serde_json::Value;
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// Long enough for a reload and a WAL receiver that dies, short enough to leave
/// time for the promotion.
const SETTING: Duration = Duration::from_secs(5);

/// Promotion first replays all that was received; a checkpoint writes all that
/// changed since the last.
const PROMOTION: Duration = Duration::from_secs(20);

/// One cluster in AWS. `By` says who steers it, and therefore what may be done
/// to it: only [`Ours`] has the calls of [`Steers`], only
/// [`ByAws`](crate::ByAws) those of [`Managed`](reconcile::Managed). `C` is its card.
pub struct InAws<'a, By, C = Card> {
    pub(crate) clients: &'a Clients,
    pub(crate) card: C,
    pub(crate) connector: Connector,
    pub(crate) by: By,
}

/// Which cluster a card is about, whatever else it says.
pub trait About {
    /// Its fleet.
    fn fleet(&self) -> &str;
    /// Its name.
    fn cluster(&self) -> &str;
}

impl About for Card {
    fn fleet(&self) -> &str {
        &self.fleet
    }

    fn cluster(&self) -> &str {
        &self.cluster
    }
}

impl About for ManagedCard {
    fn fleet(&self) -> &str {
        &self.fleet
    }

    fn cluster(&self) -> &str {
        &self.cluster
    }
}

/// Understudy itself steers the cluster.
pub struct Ours;

impl<By> InAws<'_, By> {
    fn at(&self, who: &Target) -> postgres::Target {
        postgres::Target::at(&self.card, who.address)
    }
}

impl<By, C: About> Desk for InAws<'_, By, C> {
    fn fleet(&self) -> &str {
        self.card.fleet()
    }

    fn cluster(&self) -> &str {
        self.card.cluster()
    }

    fn now_ms(&self) -> u64 {
        cloud::now_ms()
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    async fn state(&self) -> Result<Option<State>, Failure> {
        self.clients.states.read(self.cluster()).await
    }

    async fn begin(&self, expected_epoch: u64, holder: &Holder, change: &Change) -> Result<(), Failure> {
        self.clients.states.begin(self.cluster(), expected_epoch, holder, change).await
    }

    async fn resume(&self, epoch: u64, holder: &Holder) -> Result<(), Failure> {
        self.clients.states.resume(self.cluster(), epoch, holder).await
    }

    async fn note(&self, epoch: u64, holder: &str, change: &Change) -> Result<(), Failure> {
        self.clients.states.note(self.cluster(), epoch, holder, change).await
    }

    async fn finish(&self, epoch: u64, holder: &str, finished: &Finished) -> Result<(), Failure> {
        self.clients.states.finish(self.cluster(), epoch, holder, finished).await
    }

    async fn abandon(&self, epoch: u64, holder: &str) -> Result<(), Failure> {
        self.clients.states.abandon(self.cluster(), epoch, holder).await
    }

    async fn release(&self, epoch: u64, holder: &str) -> Result<(), Failure> {
        self.clients.states.release(self.cluster(), epoch, holder).await
    }

    async fn pause(&self, epoch: u64, pause: &Pause) -> Result<(), Failure> {
        self.clients.states.pause(self.cluster(), epoch, pause).await
    }

    async fn tell_once(&self, what: &str, now_ms: u64, every_ms: u64) -> Result<bool, Failure> {
        self.clients.states.tell_once(self.cluster(), what, now_ms, every_ms).await
    }

    async fn untell(&self, what: &str) -> Result<(), Failure> {
        self.clients.states.untell(self.cluster(), what).await
    }

    async fn append(&self, item: &str, entry: &Value) -> Result<bool, Failure> {
        self.clients.states.append(self.cluster(), item, entry).await
    }

    async fn send(&self, page: &Page) -> Result<(), Failure> {
        self.clients.sns.publish(&self.clients.topic, &page.subject, &page.text).await
    }

    async fn adopt(&self, epoch: u64, writer: &str, timeline: u32, set: &Synchronous) -> Result<(), Failure> {
        self.clients.states.adopt(self.cluster(), epoch, writer, timeline, set).await
    }

    async fn kept(&self, item: &str) -> Result<Option<Value>, Failure> {
        self.clients.states.kept(self.cluster(), item).await
    }

    async fn keep(&self, item: &str, before: Option<&Value>, after: Option<&Value>) -> Result<(), Failure> {
        self.clients.states.keep(self.cluster(), item, before, after).await
    }

    async fn approve(&self, approval: &Approval) -> Result<(), Failure> {
        self.clients.states.approve(self.cluster(), approval).await
    }
}

impl<By> Outside for InAws<'_, By> {
    fn card(&self) -> &Card {
        &self.card
    }

    async fn guard(&self, member: &str) -> Result<Option<GuardSeen>, Failure> {
        self.clients.states.guard(self.cluster(), member).await
    }

    async fn publish_synchronous(
        &self,
        epoch: u64,
        holder: &str,
        set: &Synchronous,
        floor: Option<Lsn>,
    ) -> Result<(), Failure> {
        self.clients.states.publish_synchronous(self.cluster(), epoch, holder, set, floor).await
    }

    async fn hosts(&self) -> Result<BTreeMap<String, Host>, Failure> {
        let ids: Vec<String> = self.card.members.iter().map(|member| member.id.clone()).collect();
        self.clients.ec2.hosts(&ids).await
    }

    async fn probe(&self, member: &Target, timeout: Duration) -> Sql {
        self.connector.probe(&self.at(member), timeout).await
    }

    async fn records(&self) -> Result<RecordsSeen, Failure> {
        self.clients.route53.read(&self.card.records).await
    }

    async fn move_writer(&self, from: Option<(IpAddr, u64)>, to: (IpAddr, u64)) -> Result<(), Failure> {
        self.clients.route53.move_writer(&self.card.records, from, to).await
    }

    async fn set_readers(&self, addresses: &[IpAddr]) -> Result<(), Failure> {
        self.clients.route53.set_readers(&self.card.records, addresses).await
    }
}

impl Steers for InAws<'_, Ours> {
    async fn stop_host(&self, id: &str) -> Result<(), Failure> {
        self.clients.ec2.stop(id).await
    }

    async fn freeze(&self, member: &Target) -> Result<(), Failure> {
        self.connector.freeze(&self.at(member), SETTING).await.map(drop)
    }

    async fn follow(&self, member: &Target, upstream: IpAddr) -> Result<(), Failure> {
        self.connector.follow(&self.at(member), upstream, self.card.port, &member.name, SETTING).await
    }

    async fn promote(&self, member: &Target) -> Result<PromotedSeen, Failure> {
        self.connector.promote(&self.at(member), PROMOTION).await
    }

    async fn prove(&self, member: &Target, epoch: u64) -> Result<PromotedSeen, Failure> {
        self.connector.prove(&self.at(member), epoch, &member.id, SETTING).await
    }

    async fn prepare_slots(&self, member: &Target, slots: &[String]) -> Result<(), Failure> {
        self.connector.prepare_slots(&self.at(member), slots, SETTING).await
    }

    async fn set_synchronous(&self, member: &Target, setting: &str) -> Result<(), Failure> {
        self.connector.set_synchronous(&self.at(member), setting, SETTING).await
    }

    async fn checkpoint(&self, member: &Target) -> Result<(), Failure> {
        self.connector.checkpoint(&self.at(member), PROMOTION).await
    }
}
