//! What a run measured, and whether that is what was promised.

use crate::{evidence::Evidence, fault::Fault, led::Measured};
use serde::Serialize;

/// Before the fault, and after everything was over.
pub type Pair<T> = [Option<T>; 2];

/// One run. What could not be measured is `null`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// What was done to the writer's host.
    pub fault: Fault,
    /// Longest time between two acknowledged rows of which the second came after the fault.
    pub outage_ms: Option<u64>,
    /// From the fault until the lease was taken.
    pub detect_ms: Option<u64>,
    /// From the lease until the new writer had accepted a write.
    pub promote_ms: Option<u64>,
    /// From then until the writer record had moved.
    pub record_ms: Option<u64>,
    /// Rows that were acknowledged to the client.
    pub acked: u64,
    /// Acknowledged rows that were not there afterwards.
    pub lost: Option<u64>,
    /// Of those, the ones acknowledged after the last probe that the writer answered: one probe interval before the
    /// first that it did not, as the ledger has it. Of these nobody but the client can know.
    pub lost_after_last_probe: Option<u64>,
    /// Members that acknowledged a write when all were asked at once, after the first row was accepted again.
    pub writable_members: usize,
    /// The writer's timeline.
    pub timeline: Pair<u32>,
    /// The writer's instance id, as the state item has it.
    pub writer: Pair<String>,
    /// The writer record's address.
    pub record: Pair<String>,
    /// The epoch record's number.
    pub epoch: Pair<u64>,
    /// The failover's own measure of the time without a writer, from its ledger item.
    pub rto_ms: Option<u64>,
    /// Bytes of log lost, from its ledger item.
    pub rpo_bytes: Option<u64>,
    /// Why the old writer could acknowledge nothing more, from its ledger item.
    pub evidence: Option<Evidence>,
    /// Pages sent, as sent.
    pub pages: Vec<String>,
    /// What was seen of Patroni and of the load balancer, where there are such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patroni: Option<Measured>,
}

/// All runs of one command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The cluster's name.
    pub cluster: String,
    /// How it is built.
    pub topology: String,
    /// Whether a commit waits for a standby.
    pub synchronous: bool,
    /// The runs in order.
    pub runs: Vec<Run>,
    /// The median of the runs' outages; of an even number the mean of the two in the middle.
    pub median_outage_ms: Option<u64>,
    /// The longest outage.
    pub max_outage_ms: Option<u64>,
    /// Acknowledged rows lost in all runs; `null` when one run could not say.
    pub lost: Option<u64>,
}

impl Report {
    /// Sums the runs up.
    pub fn new(cluster: String, topology: String, synchronous: bool, runs: Vec<Run>) -> Report {
        let outages: Option<Vec<u64>> = runs.iter().map(|run| run.outage_ms).collect();
        let outages = outages.unwrap_or_default();
        Report {
            cluster,
            topology,
            synchronous,
            median_outage_ms: median(outages.clone()),
            max_outage_ms: outages.into_iter().max(),
            lost: runs.iter().map(|run| run.lost).sum(),
            runs,
        }
    }

    /// The runs in one line.
    pub fn summary(&self) -> String {
        let value =
            |value: Option<u64>, unit: &str| value.map_or("not seen".to_owned(), |value| format!("{value}{unit}"));
        format!(
            "without a row {} in the median, {} at most; {} acknowledged rows lost",
            value(self.median_outage_ms, " ms"),
            value(self.max_outage_ms, " ms"),
            value(self.lost, ""),
        )
    }

    /// Everything that was promised and not kept, in sentences that begin with the run's number.
    pub fn broken(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (run, number) in self.runs.iter().zip(1..) {
            all.extend(run.broken(self.synchronous).into_iter().map(|what| format!("run {number}: {what}")));
        }
        all
    }
}

fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some(u64::midpoint(values[middle - 1], upper))
}

impl Run {
    /// Everything that was promised for this fault and not kept.
    pub fn broken(&self, synchronous: bool) -> Vec<String> {
        let mut broken = Vec::new();
        let mut demand = |kept: bool, what: String| {
            if !kept {
                broken.push(what);
            }
        };
        match self.lost {
            None => demand(false, "the rows could not be read back".to_owned()),
            Some(lost) => demand(
                lost == 0 || !synchronous,
                format!("{lost} acknowledged rows were lost by a cluster whose commits wait for a standby"),
            ),
        }
        match &self.patroni {
            Some(led) => demand_of_patroni(led, self.fault, &self.writer, &mut demand),
            None if !synchronous && self.fault.moves_the_writer() => demand_of_asynchronous(self, &mut demand),
            None => {}
        }
        demand(self.outage_ms.is_some(), "no row was accepted after the fault".to_owned());
        let writable = self.writable_members;
        demand(writable == 1, format!("{writable} members acknowledged a write, expected 1"));
        let steps = u64::from(self.fault.moves_the_writer());
        demand(
            rose_by(self.timeline.map(|timeline| timeline.map(u64::from)), steps),
            format!("the timeline went from {}, expected {steps} more", went(&self.timeline)),
        );
        demand(rose_by(self.epoch, steps), format!("the epoch went from {}, expected {steps} more", went(&self.epoch)));
        for (name, pair) in [("writer", &self.writer), ("writer record", &self.record)] {
            let known = pair.iter().all(Option::is_some);
            let moved = pair[0] != pair[1];
            let expected = if steps == 1 { "another one" } else { "the same" };
            demand(known && moved == (steps == 1), format!("the {name} went from {}, expected {expected}", went(pair)));
        }
        // The old writer of the run before may have rejoined, and been told of, only now.
        let rejoined = |page: &&String| page.lines().next().unwrap_or_default().contains(" is a standby again");
        let pages = self.pages.iter().filter(|page| !rejoined(page)).count();
        demand(u64::try_from(pages) == Ok(steps), format!("{pages} pages were sent, expected {steps}"));
        broken
    }
}

/// What holds where Patroni leads: it, the load balancer and Understudy name the same member in the end.
fn demand_of_patroni(led: &Measured, fault: Fault, writer: &Pair<String>, demand: &mut impl FnMut(bool, String)) {
    let [before, after] = &led.leader;
    let moved = before != after;
    let expected = if fault.moves_the_writer() { "another one" } else { "the same" };
    demand(
        before.is_some() && after.is_some() && moved == fault.moves_the_writer(),
        format!("Patroni's leader went from {}, expected {expected}", went(&led.leader)),
    );
    demand(&led.leader == writer, format!("Understudy's writer went from {}", went(writer)));
    let front: Vec<&String> = after.iter().collect();
    demand(led.front.iter().eq(front), format!("the load balancer sends writers to {:?}", led.front));
}

/// What holds where commits wait for nobody: no promotion before the old writer was certainly off, and what is lost is
/// what the ledger and the page state, but for the last probe interval.
fn demand_of_asynchronous(run: &Run, demand: &mut impl FnMut(bool, String)) {
    match run.evidence {
        None => demand(false, "the ledger has no evidence".to_owned()),
        Some(kind) => demand(
            kind.holds_without_synchrony(),
            format!("promoted on evidence {kind}, which proves nothing where commits wait for nobody"),
        ),
    }
    let (Some(lost), Some(late)) = (run.lost, run.lost_after_last_probe) else {
        return demand(run.lost == Some(0), "when the lost rows were acknowledged is not known".to_owned());
    };
    let early = lost.saturating_sub(late);
    let stated = run.rpo_bytes.map_or_else(|| "no number of".to_owned(), |bytes| bytes.to_string());
    demand(
        early == 0 || run.rpo_bytes.is_some_and(|bytes| bytes > 0),
        format!("{early} rows were lost that a probe could have told of, and the ledger states {stated} bytes lost"),
    );
}

fn rose_by(pair: Pair<u64>, steps: u64) -> bool {
    matches!(pair, [Some(before), Some(after)] if after == before + steps)
}

fn went<T: std::fmt::Display>(pair: &Pair<T>) -> String {
    let [before, after] = pair.each_ref().map(|value| match value {
        Some(value) => value.to_string(),
        None => "(not seen)".to_owned(),
    });
    format!("{before} to {after}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    fn good(fault: Fault) -> Run {
        let moves = fault.moves_the_writer();
        let pair = |before: &str, after: &str| [before, if moves { after } else { before }].map(|x| Some(x.to_owned()));
        Run {
            fault,
            outage_ms: Some(4_100),
            detect_ms: moves.then_some(3_000),
            promote_ms: moves.then_some(400),
            record_ms: moves.then_some(50),
            acked: 900,
            lost: Some(0),
            lost_after_last_probe: Some(0),
            writable_members: 1,
            timeline: [Some(1), Some(1 + u32::from(moves))],
            writer: pair("i-0a1", "i-0b2"),
            record: pair("127.0.11.10", "127.0.12.10"),
            epoch: [Some(1), Some(1 + u64::from(moves))],
            rto_ms: moves.then_some(3_900),
            rpo_bytes: moves.then_some(0),
            evidence: moves.then_some(Evidence::Stopped),
            pages: if moves { vec!["P1 orders".to_owned()] } else { Vec::new() },
            patroni: None,
        }
    }

    #[test]
    fn patroni_the_balancer_and_understudy_must_agree() {
        let led = |fault: Fault| {
            let run = good(fault);
            let after = run.writer[1].clone().unwrap_or_default();
            let led = Measured {
                leader: run.writer.clone(),
                leader_ms: None,
                front_ms: None,
                record_ms: None,
                front: vec![after],
            };
            Run { patroni: Some(led), evidence: None, ..run }
        };
        for &fault in Fault::value_variants() {
            assert_eq!(led(fault).broken(true), Vec::<String>::new(), "{fault}");
            assert_eq!(led(fault).broken(false), Vec::<String>::new(), "{fault}: no evidence is Understudy's to give");
        }
        type Damage = fn(&mut Measured);
        let table: [(&[&str], Damage); 3] = [
            (
                &[
                    "Patroni's leader went from i-0a1 to (not seen), expected another one",
                    "Understudy's writer went from i-0a1 to i-0b2",
                    "the load balancer sends writers to [\"i-0b2\"]",
                ],
                |led| led.leader[1] = None,
            ),
            (
                &["Understudy's writer went from i-0a1 to i-0b2", "the load balancer sends writers to [\"i-0b2\"]"],
                |led| led.leader[1] = Some("i-0c3".to_owned()),
            ),
            (&["the load balancer sends writers to [\"i-0b2\", \"i-0a1\"]"], |led| led.front.push("i-0a1".to_owned())),
        ];
        for (expected, damage) in table {
            let mut run = led(Fault::KillHost);
            if let Some(led) = &mut run.patroni {
                damage(led);
            }
            assert_eq!(run.broken(true), expected);
        }
    }

    #[test]
    fn a_kept_promise_is_not_called_broken() {
        for &fault in Fault::value_variants() {
            assert_eq!(good(fault).broken(true), Vec::<String>::new(), "{fault}");
        }
    }

    #[test]
    fn every_promise_can_be_broken() {
        type Damage = fn(&mut Run);
        let table: [(&str, Damage); 12] = [
            ("2 acknowledged rows were lost by a cluster whose commits wait for a standby", |run| run.lost = Some(2)),
            ("the rows could not be read back", |run| run.lost = None),
            ("no row was accepted after the fault", |run| run.outage_ms = None),
            ("2 members acknowledged a write, expected 1", |run| run.writable_members = 2),
            ("0 members acknowledged a write, expected 1", |run| run.writable_members = 0),
            ("the timeline went from 1 to 3, expected 1 more", |run| run.timeline[1] = Some(3)),
            ("the timeline went from 1 to (not seen), expected 1 more", |run| run.timeline[1] = None),
            ("the epoch went from 1 to 1, expected 1 more", |run| run.epoch[1] = Some(1)),
            ("the writer went from i-0a1 to i-0a1, expected another one", |run| run.writer[1] = run.writer[0].clone()),
            ("the writer record went from 127.0.11.10 to (not seen), expected another one", |run| run.record[1] = None),
            ("0 pages were sent, expected 1", |run| run.pages.clear()),
            ("2 pages were sent, expected 1", |run| run.pages.push("P1 orders".to_owned())),
        ];
        for (expected, damage) in table {
            let mut run = good(Fault::KillHost);
            damage(&mut run);
            assert_eq!(run.broken(true), [expected]);
        }
    }

    #[test]
    fn a_member_of_the_run_before_may_still_rejoin() {
        let mut run = good(Fault::KillHost);
        run.pages.push("P3 orders: i-0a1 (eu-west-1a) is a standby again; nothing was lost\nSeen".to_owned());
        assert_eq!(run.broken(true), Vec::<String>::new());
    }

    #[test]
    fn a_restart_in_place_must_move_nothing() {
        let mut run = good(Fault::KillPostmaster);
        run.timeline[1] = Some(2);
        run.pages.push("P1 orders".to_owned());
        let expected =
            ["the timeline went from 1 to 2, expected 0 more", "1 pages were sent, expected 0"].map(str::to_owned);
        assert_eq!(run.broken(true), expected);
    }

    #[test]
    fn an_asynchronous_cluster_may_lose_what_is_stated_and_the_last_interval() {
        let none = Vec::<String>::new();
        let run = |lost, late, rpo_bytes| {
            let of = Run { lost: Some(lost), lost_after_last_probe: late, rpo_bytes, ..good(Fault::Stop) };
            of.broken(false)
        };
        assert_eq!(run(0, Some(0), Some(0)), none);
        assert_eq!(run(3, Some(3), Some(0)), none, "acknowledged after the last probe");
        assert_eq!(run(3, Some(2), Some(160)), none, "stated");
        let told = |stated| {
            format!("1 rows were lost that a probe could have told of, and the ledger states {stated} bytes lost")
        };
        assert_eq!(run(3, Some(2), Some(0)), [told("0")]);
        assert_eq!(run(3, Some(2), None), [told("no number of")]);
        assert_eq!(run(3, None, Some(0)), ["when the lost rows were acknowledged is not known"]);
        assert_eq!(run(0, None, Some(0)), none);
    }

    #[test]
    fn an_asynchronous_cluster_promotes_on_a_proof_that_holds_there() {
        let of = |evidence, synchronous| Run { evidence, ..good(Fault::Hang) }.broken(synchronous);
        for kind in [Evidence::Stopped, Evidence::SelfFenced, Evidence::PostgresDown] {
            assert_eq!(of(Some(kind), false), Vec::<String>::new(), "{kind}");
        }
        let expected = "promoted on evidence CommitsFrozen, which proves nothing where commits wait for nobody";
        assert_eq!(of(Some(Evidence::CommitsFrozen), false), [expected]);
        assert_eq!(of(Some(Evidence::CommitsFrozen), true), Vec::<String>::new());
        assert_eq!(of(None, false), ["the ledger has no evidence"]);
    }

    #[test]
    fn the_report_is_the_documented_object() -> Result<(), serde_json::Error> {
        let report = Report::new("orders".to_owned(), "ec2-streaming".to_owned(), true, vec![good(Fault::KillHost)]);
        let expected = serde_json::json!({
            "cluster": "orders", "topology": "ec2-streaming", "synchronous": true,
            "runs": [{
                "fault": "kill-host", "outage_ms": 4100, "detect_ms": 3000, "promote_ms": 400, "record_ms": 50,
                "acked": 900, "lost": 0, "lost_after_last_probe": 0, "writable_members": 1, "timeline": [1, 2], "writer": ["i-0a1", "i-0b2"],
                "record": ["127.0.11.10", "127.0.12.10"], "epoch": [1, 2], "rto_ms": 3900, "rpo_bytes": 0,
                "evidence": "Stopped", "pages": ["P1 orders"],
            }],
            "median_outage_ms": 4100, "max_outage_ms": 4100, "lost": 0,
        });
        assert_eq!(serde_json::to_value(report)?, expected);
        Ok(())
    }

    #[test]
    fn medians() {
        let of = |outages: &[Option<u64>]| {
            let runs = outages.iter().map(|&outage_ms| Run { outage_ms, ..good(Fault::Stop) }).collect();
            let report = Report::new("orders".to_owned(), String::new(), true, runs);
            (report.median_outage_ms, report.max_outage_ms)
        };
        assert_eq!(of(&[Some(5), Some(1), Some(3)]), (Some(3), Some(5)));
        assert_eq!(of(&[Some(5), Some(1)]), (Some(3), Some(5)));
        assert_eq!(of(&[Some(5), None]), (None, None), "an outage without an end has no length");
    }
}
