//! Lets the second Region take over, keeps it serving, and gives back.
//!
//! Runs in the second Region's fleet and needs nothing of the first: every minute it says by a metric which Region
//! serves, goes on with a change that is under way, keeps an old writer that comes back from writing, and once an hour
//! tries whether a takeover would work. [`domain::region`] decides.

mod perform;
mod preflight;

pub use preflight::preflight;

use domain::{
    failover::{Seen, Sql},
    lsn::Lsn,
    region::{
        ITEM, Look, PREFLIGHT, Phase, Place, Position, Preflight, Region, Request, Server, SideSeen, Status, Step,
        decide, refusal, status,
    },
    time,
};
use futures_util::future::join3;
use reconcile::{End, Failure, Regions, Turn, World, page_once, pass};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// What this function may call, in IAM's words: the same set as its policy in
/// `infra/template.yaml`, proven equal by a test.
pub const CALLS: [&str; 31] = [
    "cloudwatch:DescribeAlarms",
    "cloudwatch:GetMetricData",
    "cloudwatch:PutMetricData",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "ec2:DescribeInstances",
    "ec2:StartInstances",
    "ec2:StopInstances",
    // By Secrets Manager, for secrets with a key of their owner's.
    "kms:Decrypt",
    "kms:DescribeKey",
    // Only tried, by the preflight.
    "kms:GenerateDataKeyWithoutPlaintext",
    "lambda:InvokeFunction",
    "rds:DescribeAccountAttributes",
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "rds:DescribeGlobalClusters",
    "rds:FailoverGlobalCluster",
    "rds:ModifyDBInstance",
    "rds:PromoteReadReplica",
    "rds:SwitchoverGlobalCluster",
    "route53:ChangeResourceRecordSets",
    "route53:GetHealthCheck",
    "route53:ListResourceRecordSets",
    "secretsmanager:GetSecretValue",
    "sns:Publish",
    "ssm:GetParameter",
    "ssm:GetParametersByPath",
    "ssm:ListCommandInvocations",
    "ssm:SendCommand",
];

/// How often a pass that stays looks.
const AGAIN: Duration = Duration::from_secs(2);

/// After this a pass that stays asks again who did not answer it.
const ASK_ANEW_MS: u64 = 30_000;

/// The item with the other Region's last known write position.
const LAST: &str = "region-last";

/// The other Region's last known write position.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Last {
    lsn: Lsn,
    /// When it was read, in milliseconds since 1970.
    at_ms: u64,
}

/// What woke a pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waking {
    /// In words, for the page.
    pub by: String,
    /// What a person asks.
    pub asked: Option<Request>,
    /// Something that nobody knows before: what an offer's token ends in.
    pub fresh: String,
}

/// One pass over one cluster with a second Region.
pub struct Pass<O> {
    outside: O,
    turn: Turn,
    waking: Waking,
    /// The item as this pass last read or wrote it, which every write is compared with.
    item: Option<Value>,
    /// Whether this pass has ordered something that a look may not show yet.
    gave_order: bool,
    /// Whether it has ended clients' sessions since it last stayed.
    ended_sessions: bool,
    /// Whether it changes nothing, also not what it remembers.
    only_looks: bool,
    /// Why the other Region did not answer this pass, and when, in milliseconds since 1970.
    silence: Option<(String, u64)>,
    /// Until when it may stay and look again, in milliseconds since 1970.
    stays_until_ms: u64,
}

impl<O: Regions> Pass<O> {
    /// Begins a pass.
    pub fn new(outside: O, waking: Waking, turn: Turn) -> Self {
        Pass {
            outside,
            turn,
            waking,
            item: None,
            gave_order: false,
            ended_sessions: false,
            only_looks: false,
            silence: None,
            stays_until_ms: 0,
        }
    }

    /// Lets it stay and look again while nobody can write: by the minute's schedule alone, each of the three waits of a
    /// takeover would cost up to a minute. It leaves when the next one comes, and is needed for nothing.
    #[must_use]
    pub fn staying(mut self, span: Duration) -> Self {
        self.stays_until_ms = self.outside.now_ms() + u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// With time left for what a look may lead to.
    fn may_stay(&self) -> bool {
        const LEAST_MS: u64 = 15_000;
        let now = self.outside.now_ms();
        now < self.stays_until_ms && now + LEAST_MS < self.turn.deadline_ms
    }

    /// The item, read anew.
    async fn read_item(&mut self) -> Result<Region, Failure> {
        self.item = self.outside.kept(ITEM).await?;
        match &self.item {
            None => Ok(Region::default()),
            Some(item) => serde_json::from_value(item.clone()).map_err(|error| Failure::Broken {
                call: "dynamodb:GetItem",
                // Nothing is done, and nothing published: what is latched stays so by the metric's last value.
                what: format!("the item {ITEM} of {} is not understood: {error}", self.outside.cluster()),
            }),
        }
    }

    async fn look(&mut self) -> Result<Look, Failure> {
        let region = self.read_item().await?;
        let (here, there, global) = join3(self.outside.side(Place::Here), self.there(), self.outside.global()).await;
        if let Err(failure) = &there {
            let now = self.outside.now_ms();
            if self.silence.as_ref().is_none_or(|(_, at)| now >= at + ASK_ANEW_MS) {
                self.silence = Some((failure.story(), now));
            }
        } else {
            self.silence = None;
        }
        let risk = self.risk(&region, &here, &there).await?;
        Ok(Look {
            card: self.outside.card().clone(),
            looked_at_ms: self.outside.now_ms(),
            region,
            asked: self.waking.asked.clone(),
            woken_by: self.waking.by.clone(),
            fresh: self.waking.fresh.clone(),
            paused: self.outside.is_paused().await?,
            gave_order: self.gave_order,
            ended_sessions: self.ended_sessions,
            here: seen(here),
            there: seen(there),
            global: seen(global),
            risk,
        })
    }

    /// The other Region's side. Who did not answer this pass once is not waited for again for a while: the next pass, or
    /// one that stays, asks anew.
    async fn there(&self) -> Result<SideSeen, Failure> {
        match &self.silence {
            Some((silence, at)) if self.outside.now_ms() < at + ASK_ANEW_MS => {
                Err(Failure::Transient { call: "the other Region", source: silence.clone().into() })
            }
            _ => self.outside.side(Place::There).await,
        }
    }

    /// How far this side is behind: in time by what it says itself, in bytes by the writer's position, of now or as it
    /// was last known. That position is kept, since it cannot be asked for when it is needed.
    async fn risk(
        &self,
        region: &Region,
        here: &Result<SideSeen, Failure>,
        there: &Result<SideSeen, Failure>,
    ) -> Result<Position, Failure> {
        let (successor, writer) = (first(here), first(there));
        let risk = self.outside.risk(successor).await;
        let has = successor.and_then(Server::position);
        let writes = writer.filter(|server| matches!(server.sql, Sql::Writer(_)));
        let kept = self.outside.kept(LAST).await?;
        let last = match writes.and_then(Server::position) {
            Some(lsn) => {
                let last = Last { lsn, at_ms: self.outside.now_ms() };
                if !self.only_looks && region.phase == Phase::Standby && region.change.is_none() {
                    self.keep_last(kept.as_ref(), &last).await?;
                }
                Some(last)
            }
            None => kept.and_then(|kept| serde_json::from_value::<Last>(kept).ok()),
        };
        let (Some(last), Some(has)) = (last, has) else { return Ok(risk) };
        let ago = Duration::from_millis(self.outside.now_ms().saturating_sub(last.at_ms));
        let by = format!("{}; bytes of the writer's position {} ago", risk.by, time::seconds(ago));
        Ok(Position { bytes: Some(last.lsn.0.saturating_sub(has.0)), by, ..risk })
    }

    /// Once a minute is enough; whoever writes it at the same time knows as much.
    async fn keep_last(&self, kept: Option<&Value>, last: &Last) -> Result<(), Failure> {
        let before: Option<Last> = kept.and_then(|kept| serde_json::from_value(kept.clone()).ok());
        if before.is_some_and(|before| before.at_ms + 30_000 > last.at_ms) {
            return Ok(());
        }
        let value = serde_json::to_value(last).map_err(reconcile::failed("dynamodb:PutItem"))?;
        match self.outside.keep(LAST, kept, Some(&value)).await {
            Err(Failure::LostRace { .. }) => Ok(()),
            done => done,
        }
    }
}

fn first(side: &Result<SideSeen, Failure>) -> Option<&Server> {
    side.as_ref().ok().and_then(SideSeen::first)
}

fn seen<T>(found: Result<T, Failure>) -> Seen<T> {
    found.map_or_else(|failure| Seen::Unavailable(failure.story()), Seen::Known)
}

impl<O: Regions> World for Pass<O> {
    type Seen = Look;
    type Step = Step;

    async fn observe(&mut self) -> Result<Look, Failure> {
        self.look().await
    }

    async fn perform(&mut self, step: &Step) -> Result<(), Failure> {
        self.turn.in_time(self.outside.now_ms())?;
        self.step(step).await
    }
}

/// What a pass came to: the answer of the function and its last log line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The cluster; empty when the call was about none.
    pub cluster: String,
    /// `steady`, `acted`, `waits`, `refused` or `explained`.
    pub outcome: &'static str,
    /// Why, in one sentence.
    pub because: String,
    /// What was asked for with `{"status": "ledger"}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Box<Status>>,
    /// What was asked for with `{"preflight": "ledger"}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preflight: Option<Preflight>,
}

impl Report {
    /// A report.
    #[must_use]
    pub fn new(cluster: &str, outcome: &'static str, because: String) -> Self {
        Report { cluster: cluster.to_owned(), outcome, because, status: None, preflight: None }
    }
}

/// Runs one pass over one cluster.
///
/// # Errors
///
/// The first [`Failure`]; what was done stays done, and the next pass goes on from there. The metric says what is
/// latched in any case (R4).
pub async fn change_region<O: Regions>(cluster: &mut Pass<O>) -> Result<Report, Failure> {
    let name = cluster.outside.cluster().to_owned();
    let report = settle(cluster, &name).await;
    // After a failure too: who serves does not depend on what failed.
    let published = publish(cluster).await;
    let report = report?;
    published?;
    Ok(report)
}

/// What is true now, by the item as it is after the pass.
async fn publish<O: Regions>(cluster: &mut Pass<O>) -> Result<(), Failure> {
    if cluster.outside.card().pair().is_none() {
        return Ok(());
    }
    let primary_serves = cluster.read_item().await?.primary_serves();
    cluster.outside.publish(primary_serves).await
}

async fn settle<O: Regions>(cluster: &mut Pass<O>, name: &str) -> Result<Report, Failure> {
    let mut end = pass(cluster, decide).await?;
    while let End::Wait(reason) = &end
        && reason.is_short()
        && cluster.may_stay()
    {
        tracing::info!("stays: {reason}");
        cluster.outside.sleep(AGAIN).await;
        cluster.ended_sessions = false;
        end = pass(cluster, decide).await?;
    }
    match end {
        End::Steady { steps: 0 } => Ok(Report::new(name, "steady", "nothing is to be done".to_owned())),
        End::Steady { steps } => Ok(Report::new(name, "acted", format!("{steps} steps; nothing is left to do"))),
        End::Wait(reason) => Ok(Report::new(name, "waits", reason.to_string())),
        End::Refuse(look, reason) => {
            if !reason.is_answer() {
                let page = refusal(&look, &reason);
                page_once(&cluster.outside, reason.kind(), look.region.epoch, &page).await?;
            }
            Ok(Report::new(name, "refused", reason.to_string()))
        }
    }
}

/// What is, and what would be done; nothing is.
///
/// # Errors
///
/// The [`Failure`] of the look.
pub async fn explain<O: Regions>(cluster: &mut Pass<O>) -> Result<Report, Failure> {
    let name = cluster.outside.cluster().to_owned();
    let last = cluster.outside.kept(PREFLIGHT).await?.and_then(|kept| serde_json::from_value(kept).ok());
    cluster.only_looks = true;
    let look = cluster.observe().await?;
    let status = status(&look, last);
    let because = format!("{}; if asked now for a failover: {}", status.phase, status.if_failover);
    Ok(Report { status: Some(Box::new(status)), ..Report::new(&name, "explained", because) })
}
