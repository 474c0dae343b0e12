//! Failure scenarios on real PostgreSQL: what is done, what must be seen, what was.

mod acks;
mod cuts;
mod judge;
mod load;
mod losses;
mod outages;
mod people;
mod returns;
mod stage;

use crate::{
    cluster,
    error::{Error, cannot},
    lab::Lab,
    progress::{Progress, Step},
    steady,
};
use serde::Serialize;
use serde_json::json;
use stage::{Stage, Stop};
use std::{future::Future, pin::Pin, time::Duration};
use tokio::time::timeout;

type Played<'a> = Pin<Box<dyn Future<Output = Result<(), Stop>> + 'a>>;

/// One scenario.
struct Scenario {
    /// As it is asked for.
    id: &'static str,
    /// What is done, and what must be seen.
    expected: &'static str,
    /// The cluster that it needs.
    cluster: Kind,
    /// Seconds until it is given up.
    limit: u64,
    play: for<'a, 'l> fn(&'a mut Stage<'l>) -> Played<'a>,
}

/// The clusters that scenarios need; the name tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
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
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Orders => "orders",
            Kind::Asynchronous => "orders-async",
            Kind::ShortTtl => "short-ttl",
            Kind::AtOnce => "at-once",
            Kind::NeverThird => "never-third",
        }
    }

    fn spec(self, lab: &Lab) -> Result<String, Error> {
        let with = |more: serde_json::Value| {
            let mut spec = json!({"name": self.name(), "topology": "ec2-streaming"});
            if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
                spec.extend(more.clone());
            }
            Ok(spec.to_string())
        };
        match self {
            Kind::Orders | Kind::Asynchronous => cluster::spec(&lab.place, self.name()),
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
const ALL: [Scenario; 25] = [
    scenario!("A1", Orders, 120, losses::stop, "stop the writer's instance: one promotion, the record moves, no acknowledged row lost, RTO and RPO in the ledger"),
    scenario!("A2", Orders, 90, losses::restart, "kill the postmaster: it restarts in place in 5 s, no failover, the same timeline, no page"),
    scenario!("A4", Orders, 150, cuts::isolated, "cut the writer from everyone: it acknowledges nothing after the promotion, and ends down or read-only; no row lost"),
    scenario!("A5", Orders, 120, cuts::from_functions, "cut the writer from the functions only: nothing changes, rows go on, page \"probe path broken\""),
    scenario!("A6", Orders, 200, cuts::from_standbys, "cut the writer from one standby: rows go on; from both: page \"commits wait\", no failover, rows again after the heal"),
    scenario!("A7", Orders, 240, losses::with_a_standby, "lose the writer and a synchronous standby: hold and page; the page's approval promotes, is in the ledger, and is refused a second time"),
    scenario!("A8", Orders, 150, losses::behind, "lose the writer while the preferred standby is behind: the other takes over, no row lost"),
    scenario!("A11", Orders, 240, returns::started, "start the old writer after a failover: it acknowledges nothing at any moment, and becomes a standby"),
    scenario!("A14", Orders, 180, people::paused, "pause and lose the writer: nothing changes, page \"paused\"; resumed, one failover"),
    scenario!("A17", Orders, 200, cuts::still, "the writer stands still for 60 s and cannot be stopped: fenced before the promotion, it acknowledges nothing when it goes on"),
    scenario!("A18", Orders, 280, losses::full_disk, "the writer's disk is full: no failover, page, rows again after it has grown"),
    scenario!("A19", Orders, 260, outages::without_functions, "no function runs while the writer is lost: nothing changes; when they run again, one failover"),
    scenario!("A23", Orders, 150, outages::five_times, "no event, then the same ones five times, at once and in the wrong order: exactly one epoch"),
    scenario!("B1", Orders, 180, outages::records_refused, "Route 53 refuses: the new writer works, the page has a host list that works, the record moves when Route 53 answers"),
    scenario!("B2", Orders, 180, outages::answers_lost, "every kind of answer to promote-replica is lost once: one failover, one or two pages, no row lost"),
    scenario!("B3", Orders, 180, outages::throttled, "EC2 and DynamoDB throttle promote-replica: one failover, no row lost"),
    scenario!("B4", Orders, 150, cuts::from_aws, "the writer cannot reach AWS while its standbys stream: nothing is stopped, rows go on"),
    scenario!("B5", Orders, 120, outages::record_changed, "somebody points the writer record at a standby: update-dns puts it back"),
    scenario!("A10", Asynchronous, 330, returns::diverged, "an old writer with rows of its own is started: it comes back read-only, what only it had is listed, new rows reach it within 20 s"),
    scenario!("A17-async", Asynchronous, 240, cuts::still_asynchronous, "the writer of an asynchronous cluster stands still for 60 s: stopped before the promotion, it acknowledges nothing afterwards"),
    scenario!("A21", Asynchronous, 300, losses::heavy, "lose a writer that is 4 MiB ahead: hold and page with the command; approved, one failover that states the loss"),
    scenario!("A4-async", ShortTtl, 240, cuts::isolated_for_good, "the same without synchronous standbys, and EC2 cannot stop it: it has stopped itself before the promotion"),
    scenario!("A3", AtOnce, 180, losses::at_once, "kill the postmaster again and again with no time for a restart: promoted within 10 s of the proof, no row lost"),
    scenario!("A15", NeverThird, 240, people::asked, "requests that may not be granted are refused in one sentence, nothing changes; a planned switchover loses nothing, the old writer follows"),
    scenario!("A12", NeverThird, 150, losses::never_promoted, "only a member is left that is never promoted: no promotion, page"),
];

/// What one scenario came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    id: &'static str,
    expected: &'static str,
    seen: String,
    passed: bool,
    /// This machine could not do what the scenario needs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    skipped: bool,
}

impl Row {
    /// Whether it says that something is wrong.
    pub fn failed(&self) -> bool {
        !self.passed && !self.skipped
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = match (self.passed, self.skipped) {
            (true, _) => "passed",
            (false, true) => "skipped",
            (false, false) => "FAILED",
        };
        write!(f, "{:10} {word:8} {}\n{:19} {}", self.id, self.expected, "", self.seen)
    }
}

/// Says which of the scenarios that are asked for do not exist.
pub fn check(ids: &[String]) -> Result<(), Error> {
    let unknown: Vec<&str> = ids.iter().map(String::as_str).filter(|id| *id != "all" && !is_known(id)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let known: Vec<&str> = ALL.iter().map(|scenario| scenario.id).collect();
    Err(cannot(format!("play {}", unknown.join(", ")))(format!("there are {} and all", known.join(", "))))
}

fn is_known(id: &str) -> bool {
    ALL.iter().any(|scenario| scenario.id.eq_ignore_ascii_case(id))
}

/// Plays the scenarios that are asked for, in the order of the table; `each` gets every row as it comes.
pub async fn run(lab: &Lab, ids: &[String], progress: Progress, mut each: impl FnMut(&Row)) -> Result<Vec<Row>, Error> {
    let asked = |scenario: &&Scenario| ids.iter().any(|id| id == "all" || id.eq_ignore_ascii_case(scenario.id));
    let mut rows = Vec::new();
    for scenario in ALL.iter().filter(asked) {
        let step = progress.step(scenario.id);
        let row = one(lab, scenario, &step).await?;
        step.done(if row.passed { "passed" } else { "NOT passed" });
        each(&row);
        rows.push(row);
    }
    Ok(rows)
}

async fn one(lab: &Lab, scenario: &Scenario, step: &Step) -> Result<Row, Error> {
    // One cluster at a time: two would slow each other down.
    for name in cluster::all(&lab.owner).await? {
        if name != scenario.cluster.name() {
            cluster::remove(&lab.owner, &lab.fleet, &name, step).await?;
        }
    }
    let cluster = steady::take(lab, scenario.cluster.name(), &scenario.cluster.spec(lab)?, step).await?;
    let mut stage = Stage::begin(lab, cluster, step).await?;
    let ended = timeout(Duration::from_secs(scenario.limit), (scenario.play)(&mut stage)).await;
    let healed = steady::heal(&stage.cluster).await;
    let (seen, unmet) = stage.told();
    let row = row(scenario, seen, unmet, ended.unwrap_or_else(|_| Err(Stop::Unmet(format!("not over after {} s", scenario.limit)))));
    healed?;
    Ok(row)
}

/// What a scenario came to, from what was seen, what was not as expected, and how it ended.
fn row(scenario: &Scenario, seen: String, unmet: String, ended: Result<(), Stop>) -> Row {
    let (why, skipped) = match ended {
        Ok(()) => (String::new(), false),
        Err(Stop::Unmet(why)) => (why, false),
        Err(Stop::Unable(why)) => (format!("this machine cannot do it: {why}"), true),
        Err(Stop::Lab(error)) => (format!("the lab: {error}"), false),
    };
    let wrong: Vec<&str> = [unmet.as_str(), why.as_str()].into_iter().filter(|text| !text.is_empty()).collect();
    let passed = wrong.is_empty();
    let seen = match (seen.as_str(), passed) {
        (_, true) => seen,
        ("", false) => wrong.join("; "),
        (_, false) => format!("{seen}; BUT {}", wrong.join("; ")),
    };
    // What was seen to be wrong is wrong, whatever the machine could not do afterwards.
    let skipped = skipped && unmet.is_empty();
    Row { id: scenario.id, expected: scenario.expected, seen, passed, skipped }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_scenario_is_there_once_and_clusters_stand_together() {
        let ids: BTreeSet<&str> = ALL.iter().map(|scenario| scenario.id).collect();
        assert_eq!(ids.len(), ALL.len());
        let mut names: Vec<&str> = ALL.iter().map(|scenario| scenario.cluster.name()).collect();
        names.dedup();
        assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len(), "{names:?}");
        for id in ["A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A10", "A11", "A12", "A14", "A15", "A17", "A18", "A19",
            "A21", "A23"]
        {
            assert!(is_known(id), "{id} of the acceptance scenarios is missing");
        }
    }

    #[test]
    fn an_unknown_scenario_is_refused_with_what_there_is() {
        assert!(check(&["a1".to_owned(), "all".to_owned()]).is_ok());
        let told = check(&["A1".to_owned(), "A99".to_owned()]).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(told.starts_with("cannot play A99: there are A1, A2,") && told.ends_with("A12 and all"), "{told}");
    }

    #[test]
    fn a_row_passes_only_when_nothing_is_wrong() {
        let of = |unmet: &str, ended| {
            let row = row(&ALL[0], "one failover".to_owned(), unmet.to_owned(), ended);
            (row.seen.clone(), row.passed, row.failed())
        };
        assert_eq!(of("", Ok(())), ("one failover".to_owned(), true, false));
        assert_eq!(of("2 pages", Ok(())), ("one failover; BUT 2 pages".to_owned(), false, true));
        let late = || Err(Stop::Unmet("no page".to_owned()));
        assert_eq!(of("", late()), ("one failover; BUT no page".to_owned(), false, true));
        assert_eq!(of("2 pages", late()), ("one failover; BUT 2 pages; no page".to_owned(), false, true));
        let unable = || Err(Stop::Unable("needs root".to_owned()));
        assert_eq!(of("", unable()), ("one failover; BUT this machine cannot do it: needs root".to_owned(), false, false));
        assert!(of("2 pages", unable()).2, "what was wrong before is wrong");
        let lab = Err(Stop::Lab(cannot("ask")("no answer")));
        assert_eq!(of("", lab), ("one failover; BUT the lab: cannot ask: no answer".to_owned(), false, true));
    }

    #[test]
    fn the_row_is_the_documented_object() -> Result<(), serde_json::Error> {
        let passed = row(&ALL[1], "nothing".to_owned(), String::new(), Ok(()));
        let expected = json!({"id": "A2", "expected": ALL[1].expected, "seen": "nothing", "passed": true});
        assert_eq!(serde_json::to_value(passed)?, expected);
        let skipped = row(&ALL[1], String::new(), String::new(), Err(Stop::Unable("no disks".to_owned())));
        assert_eq!(serde_json::to_value(&skipped)?["skipped"], true);
        assert!(!skipped.passed && !skipped.failed());
        Ok(())
    }
}
