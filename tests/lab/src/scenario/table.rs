//! All scenarios, and the clusters that they need.

use super::{
    cuts, led, losses, outages, people, returns,
    stage::{Stage, Stop},
};
use crate::{cluster, error::Error, lab::Lab};
use serde_json::json;
use std::{future::Future, pin::Pin};

/// A scenario that is being played.
pub type Played<'a> = Pin<Box<dyn Future<Output = Result<(), Stop>> + 'a>>;

/// One scenario.
pub struct Scenario {
    /// As it is asked for.
    pub id: &'static str,
    /// What is done, and what must be seen.
    pub expected: &'static str,
    /// The cluster that it needs.
    pub cluster: Kind,
    /// Seconds until it is given up.
    pub limit: u64,
    /// What is done.
    pub play: for<'a, 'l> fn(&'a mut Stage<'l>) -> Played<'a>,
}

/// Scenarios of whole Regions: as they are asked for, and what must be seen.
pub const REGIONS: [(&str, &str); 4] = [
    ("A24", "RDS, both Regions well: a person moves the writer to the second Region; nothing is lost, one side writes"),
    ("A25", "Aurora: a switchover to the second Region and the failback; nothing is lost, asked twice is refused"),
    ("region", "Aurora, the first Region lost: the second takes over on approval; healed, nothing moves back"),
    ("region-rds", "RDS, the first Region lost: its replica is promoted on approval; healed, nothing moves back"),
];

/// The clusters that scenarios need; the name tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `infra/clusters/orders.json`
    Orders,
    /// `infra/clusters/orders-async.json`
    Asynchronous,
    /// Asynchronous, its guard gives up after 10 s: the shortest that is allowed.
    ShortTtl,
    /// A crash is not given the time to be mended by a restart.
    AtOnce,
    /// The third member never becomes writer.
    NeverThird,
    /// `infra/clusters/shop.json`: Patroni leads.
    Shop,
    /// The same, and what is off for 10 s is repaired.
    ShopRepair,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Orders => "orders",
            Kind::Asynchronous => "orders-async",
            Kind::ShortTtl => "short-ttl",
            Kind::AtOnce => "at-once",
            Kind::NeverThird => "never-third",
            Kind::Shop => "shop",
            Kind::ShopRepair => "shop-repair",
        }
    }

    /// Its spec, as JSON.
    pub fn spec(self, lab: &Lab) -> Result<String, Error> {
        let with = |more: serde_json::Value| {
            let mut spec = json!({"name": self.name(), "topology": "ec2-streaming"});
            if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
                spec.extend(more.clone());
            }
            Ok(spec.to_string())
        };
        match self {
            Kind::Orders | Kind::Asynchronous | Kind::Shop => cluster::spec(&lab.place, self.name()),
            Kind::ShopRepair => with(json!({
                "topology": "ec2-patroni", "synchronous": {"required": 1}, "policy": {"repair_after_s": 10},
            })),
            Kind::ShortTtl => with(json!({"synchronous": {"required": 0}, "policy": {"ttl_s": 10}})),
            Kind::AtOnce => with(json!({"policy": {"local_restart_ms": 0}})),
            Kind::NeverThird => with(json!({"members": {"count": 3, "never_promote": [3]}})),
        }
    }
}

macro_rules! scenario {
    ($id:literal, $kind:ident, $limit:literal, $play:path, $expected:literal) => {
        Scenario {
            id: $id,
            expected: $expected,
            cluster: Kind::$kind,
            limit: $limit,
            play: |stage| Box::pin($play(stage)),
        }
    };
}

/// All scenarios; those of one cluster stand together, so that it is used again.
pub const ALL: [Scenario; 30] = [
    scenario!(
        "A1",
        Orders,
        120,
        losses::stop,
        "stop the writer's instance: one promotion, the record moves, no acknowledged row lost, RTO and RPO in the ledger"
    ),
    scenario!(
        "A2",
        Orders,
        90,
        losses::restart,
        "kill the postmaster: it restarts in place in 5 s, no failover, the same timeline, no page"
    ),
    scenario!(
        "A4",
        Orders,
        150,
        cuts::isolated,
        "cut the writer from everyone: it acknowledges nothing after the promotion, and ends down or read-only; no row lost"
    ),
    scenario!(
        "A5",
        Orders,
        120,
        cuts::from_functions,
        "cut the writer from the functions only: nothing changes, rows go on, page \"probe path broken\""
    ),
    scenario!(
        "A6",
        Orders,
        200,
        cuts::from_standbys,
        "cut the writer from one standby: rows go on; from both: page \"commits wait\", no failover, rows again after the heal"
    ),
    scenario!(
        "A7",
        Orders,
        240,
        losses::with_a_standby,
        "lose the writer and a synchronous standby: hold and page; the page's approval promotes, is in the ledger, and is refused a second time"
    ),
    scenario!(
        "A8",
        Orders,
        150,
        losses::behind,
        "lose the writer while the preferred standby is behind: the other takes over, no row lost"
    ),
    scenario!(
        "A11",
        Orders,
        240,
        returns::started,
        "start the old writer after a failover: it acknowledges nothing at any moment, and becomes a standby"
    ),
    scenario!(
        "A14",
        Orders,
        180,
        people::paused,
        "pause and lose the writer: nothing changes, page \"paused\"; resumed, one failover"
    ),
    scenario!(
        "A17",
        Orders,
        200,
        cuts::still,
        "the writer stands still for 60 s and cannot be stopped: fenced before the promotion, it acknowledges nothing when it goes on"
    ),
    scenario!(
        "A18",
        Orders,
        280,
        losses::full_disk,
        "the writer's disk is full: no failover, page, rows again after it has grown"
    ),
    scenario!(
        "A19",
        Orders,
        260,
        outages::without_functions,
        "no function runs while the writer is lost: nothing changes; when they run again, one failover"
    ),
    scenario!(
        "A23",
        Orders,
        150,
        outages::five_times,
        "no event, then the same ones five times, at once and in the wrong order: exactly one epoch"
    ),
    scenario!(
        "B1",
        Orders,
        180,
        outages::records_refused,
        "Route 53 refuses: the new writer works, the page has a host list that works, the record moves when Route 53 answers"
    ),
    scenario!(
        "B2",
        Orders,
        180,
        outages::answers_lost,
        "every kind of answer to promote-replica is lost once: one failover, one or two pages, no row lost"
    ),
    scenario!(
        "B3",
        Orders,
        180,
        outages::throttled,
        "EC2 and DynamoDB throttle promote-replica: one failover, no row lost"
    ),
    scenario!(
        "B4",
        Orders,
        150,
        cuts::from_aws,
        "the writer cannot reach AWS while its standbys stream: nothing is stopped, rows go on"
    ),
    scenario!(
        "B5",
        Orders,
        120,
        outages::record_changed,
        "somebody points the writer record at a standby: update-dns puts it back"
    ),
    scenario!(
        "A10",
        Asynchronous,
        330,
        returns::diverged,
        "an old writer with rows of its own is started: it comes back read-only, what only it had is listed, new rows reach it within 20 s"
    ),
    scenario!(
        "A17-async",
        Asynchronous,
        240,
        cuts::still_asynchronous,
        "the writer of an asynchronous cluster stands still for 60 s: stopped before the promotion, it acknowledges nothing afterwards"
    ),
    scenario!(
        "A21",
        Asynchronous,
        300,
        losses::heavy,
        "lose a writer that is 4 MiB ahead: hold and page with the command; approved, one failover that states the loss"
    ),
    scenario!(
        "A4-async",
        ShortTtl,
        240,
        cuts::isolated_for_good,
        "cut the writer of an asynchronous cluster from everyone, EC2 cannot stop it: it has stopped itself before the promotion"
    ),
    scenario!(
        "A3",
        AtOnce,
        180,
        losses::at_once,
        "kill the postmaster again and again with no time for a restart: promoted within 10 s of the proof, no row lost"
    ),
    scenario!(
        "A15",
        NeverThird,
        240,
        people::asked,
        "requests that may not be granted are refused in one sentence, nothing changes; a planned switchover loses nothing, the old writer follows"
    ),
    scenario!(
        "A12",
        NeverThird,
        150,
        losses::never_promoted,
        "only a member is left that is never promoted: no promotion, page"
    ),
    scenario!(
        "P1",
        Shop,
        240,
        led::dead,
        "Patroni leads, its leader's hardware dies: Patroni elects, load balancer and record follow, one page, no acknowledged row lost"
    ),
    scenario!(
        "P2",
        Shop,
        120,
        led::crashed,
        "Patroni leads, PostgreSQL of the leader is killed: Patroni starts it in place, the same timeline, no page"
    ),
    scenario!(
        "P3",
        Shop,
        150,
        led::without_a_store_host,
        "Patroni leads, one host of etcd dies: nothing changes, rows go on"
    ),
    scenario!(
        "P5",
        Shop,
        360,
        led::paused,
        "Patroni leads, pause and lose the leader: nobody is elected, page; resumed, Patroni elects and Understudy follows once"
    ),
    scenario!(
        "P4",
        ShopRepair,
        300,
        led::standby_off,
        "Patroni leads, a standby's instance is stopped: Understudy starts it after repair_after_s, it streams again, nothing else changes"
    ),
];
