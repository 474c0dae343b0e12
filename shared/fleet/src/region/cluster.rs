//! One cluster with a second Region, at its desk in this Region.

use super::OwnRegion;
use domain::{
    card::Topology,
    failover::{Page, Sql},
    region::DrCard,
    state::{Approval, Change, Finished, Holder, Pause, State, Synchronous},
};
use postgres::{Connector, Target};
use reconcile::{Desk, Failure};
use serde_json::Value;
use std::time::Duration;

/// A server in another Region answers in a fifth of a second, and TLS and a login are some ten round trips.
const PROBE: Duration = Duration::from_secs(3);

/// Nothing of the other Region.
pub struct Alone;

/// A cluster whose second Region this is. `Far` says whether the first one can be asked.
pub struct DrCluster<'a, Far> {
    pub(super) own: &'a OwnRegion,
    pub(super) card: DrCard,
    /// Without a login nothing is asked of PostgreSQL; AWS is asked all the same.
    pub(super) connector: Result<Connector, String>,
    pub(super) far: Far,
}

impl<'a, Far> DrCluster<'a, Far> {
    /// Opens a cluster.
    pub async fn open(own: &'a OwnRegion, card: DrCard, far: Far) -> Self {
        let connector = own.connector(&card).await.map_err(|failure| failure.story());
        DrCluster { own, card, connector, far }
    }

    pub(super) fn port(&self) -> u16 {
        match &self.card {
            DrCard::Managed(card) => card.port,
            DrCard::Standby(card) => card.port,
        }
    }

    /// A server behind an endpoint's name, or at an address.
    pub(super) fn target(&self, endpoint: &str) -> Target {
        let target = Target::endpoint(endpoint, self.port());
        match (&self.card, endpoint.parse()) {
            (DrCard::Standby(card), Ok(address)) => {
                Target { host: postgres::Host::Address(address), server_name: card.server_name.clone(), ..target }
            }
            _ => target,
        }
    }

    pub(super) fn sql(&self) -> Result<&Connector, Failure> {
        self.connector.as_ref().map_err(|problem| Failure::Transient {
            call: "secretsmanager:GetSecretValue",
            source: problem.clone().into(),
        })
    }

    /// What PostgreSQL behind an endpoint answers; never an error.
    pub(super) async fn probe(&self, endpoint: Option<&str>) -> Sql {
        let (Ok(connector), Some(endpoint)) = (&self.connector, endpoint) else { return Sql::NotAsked };
        let target = self.target(endpoint);
        match self.card.topology() {
            Topology::Ec2Patroni | Topology::Ec2Streaming => connector.probe(&target, PROBE).await,
            managed => connector.probe_managed(managed.is_aurora(), &target, PROBE).await,
        }
    }
}

impl<Far> Desk for DrCluster<'_, Far> {
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
        self.own.states.read(self.cluster()).await
    }

    async fn begin(&self, expected_epoch: u64, holder: &Holder, change: &Change) -> Result<(), Failure> {
        self.own.states.begin(self.cluster(), expected_epoch, holder, change).await
    }

    async fn resume(&self, epoch: u64, holder: &Holder) -> Result<(), Failure> {
        self.own.states.resume(self.cluster(), epoch, holder).await
    }

    async fn note(&self, epoch: u64, holder: &str, change: &Change) -> Result<(), Failure> {
        self.own.states.note(self.cluster(), epoch, holder, change).await
    }

    async fn finish(&self, epoch: u64, holder: &str, finished: &Finished) -> Result<(), Failure> {
        self.own.states.finish(self.cluster(), epoch, holder, finished).await
    }

    async fn abandon(&self, epoch: u64, holder: &str) -> Result<(), Failure> {
        self.own.states.abandon(self.cluster(), epoch, holder).await
    }

    async fn release(&self, epoch: u64, holder: &str) -> Result<(), Failure> {
        self.own.states.release(self.cluster(), epoch, holder).await
    }

    async fn pause(&self, epoch: u64, pause: &Pause) -> Result<(), Failure> {
        self.own.states.pause(self.cluster(), epoch, pause).await
    }

    async fn tell_once(&self, what: &str, now_ms: u64, every_ms: u64) -> Result<bool, Failure> {
        self.own.states.tell_once(self.cluster(), what, now_ms, every_ms).await
    }

    async fn untell(&self, what: &str) -> Result<(), Failure> {
        self.own.states.untell(self.cluster(), what).await
    }

    async fn append(&self, item: &str, entry: &Value) -> Result<bool, Failure> {
        self.own.states.append(self.cluster(), item, entry).await
    }

    async fn send(&self, page: &Page) -> Result<(), Failure> {
        self.own.sns.publish(&self.own.topic, &page.subject, &page.text).await
    }

    async fn adopt(&self, epoch: u64, writer: &str, timeline: u32, set: &Synchronous) -> Result<(), Failure> {
        self.own.states.adopt(self.cluster(), epoch, writer, timeline, set).await
    }

    async fn kept(&self, item: &str) -> Result<Option<Value>, Failure> {
        self.own.states.kept(self.cluster(), item).await
    }

    async fn keep(&self, item: &str, before: Option<&Value>, after: Option<&Value>) -> Result<(), Failure> {
        self.own.states.keep(self.cluster(), item, before, after).await
    }

    async fn approve(&self, approval: &Approval) -> Result<(), Failure> {
        self.own.states.approve(self.cluster(), approval).await
    }
}
