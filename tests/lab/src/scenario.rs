//! Failure scenarios on real PostgreSQL: what is done, what must be seen, what was.

mod acks;
mod cuts;
mod judge;
mod led;
mod load;
mod losses;
mod outages;
mod people;
mod returns;
mod stage;
mod table;
mod waits;

use crate::{
    cluster,
    error::{Error, cannot},
    lab::Lab,
    managed,
    progress::{Progress, Step},
    steady,
};
use serde::Serialize;
use stage::{Stage, Stop};
use std::time::Duration;
use table::{ALL, REGIONS, Scenario};
use tokio::time::timeout;

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

/// What all came to.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    /// In the order of the table.
    pub scenarios: &'a [Row],
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
    let known: Vec<&str> = ALL.iter().map(|scenario| scenario.id).chain(REGIONS.iter().map(|(id, _)| *id)).collect();
    Err(cannot(format!("play {}", unknown.join(", ")))(format!("there are {} and all", known.join(", "))))
}

fn is_known(id: &str) -> bool {
    let regions = REGIONS.iter().map(|(id, _)| *id);
    ALL.iter().map(|scenario| scenario.id).chain(regions).any(|known| known.eq_ignore_ascii_case(id))
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
    for (id, expected) in REGIONS {
        if !ids.iter().any(|asked| asked == "all" || asked.eq_ignore_ascii_case(id)) {
            continue;
        }
        let (seen, wrong) = match managed::play(lab, id, progress).await {
            Ok(played) => (played.seen.join("; "), played.wrong.join("; ")),
            Err(error) => (String::new(), format!("the lab: {error}")),
        };
        let passed = wrong.is_empty();
        let seen = if passed { seen } else { format!("{seen}; BUT {wrong}") };
        let row = Row { id, expected, seen, passed, skipped: false };
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
    let row = row(
        scenario,
        seen,
        unmet,
        ended.unwrap_or_else(|_| Err(Stop::Unmet(format!("not over after {} s", scenario.limit)))),
    );
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
    use serde_json::json;
    use std::collections::BTreeSet;

    #[test]
    fn every_scenario_is_there_once_and_clusters_stand_together() {
        let ids: BTreeSet<&str> = ALL.iter().map(|scenario| scenario.id).collect();
        assert_eq!(ids.len(), ALL.len());
        let mut names: Vec<&str> = ALL.iter().map(|scenario| scenario.cluster.name()).collect();
        names.dedup();
        assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len(), "{names:?}");
        for id in [
            "A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A10", "A11", "A12", "A14", "A15", "A17", "A18", "A19",
            "A21", "A23", "A24", "A25", "region", "P1", "P2", "P3", "P4", "P5",
        ] {
            assert!(is_known(id), "{id} of the acceptance scenarios is missing");
        }
    }

    #[test]
    fn an_unknown_scenario_is_refused_with_what_there_is() {
        assert!(check(&["a1".to_owned(), "all".to_owned()]).is_ok());
        let told = check(&["A1".to_owned(), "A99".to_owned()]).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(
            told.starts_with("cannot play A99: there are A1, A2,") && told.ends_with("region-rds and all"),
            "{told}"
        );
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
        assert_eq!(
            of("", unable()),
            ("one failover; BUT this machine cannot do it: needs root".to_owned(), false, false)
        );
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
