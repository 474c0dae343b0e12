//! What is promised of a managed cluster that loses its writer.

use crate::{fault::Fault, report::Run};
use domain::card::{ManagedCard, Topology};

/// Who takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Successor {
    /// One of Aurora's readers: another instance, behind the same endpoint; nothing is lost.
    Reader,
    /// The standby behind a Multi-AZ instance: the same instance for everyone; nothing is lost.
    Hidden,
    /// A read replica: another instance, another endpoint; what it had not received is lost, and stated.
    Replica,
}

impl Successor {
    /// Who takes over by the cluster's card.
    pub fn of(card: &ManagedCard) -> Successor {
        match (card.topology, card.aws_fails_over) {
            (Topology::RdsPostgres, true) if card.db_cluster.is_none() => Successor::Hidden,
            (Topology::RdsPostgres, false) => Successor::Replica,
            _ => Successor::Reader,
        }
    }

    /// Whether AWS or Understudy loses nothing that was acknowledged.
    pub fn is_lossless(self) -> bool {
        self != Successor::Replica
    }
}

/// Everything that was promised of one run and not kept.
pub fn broken(run: &Run, successor: Successor, name: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let mut demand = |kept: bool, what: String| {
        if !kept {
            broken.push(what);
        }
    };
    demand(run.outage_ms.is_some(), "no row was accepted after the fault".to_owned());
    let writable = run.writable_members;
    demand(writable == 1, format!("{writable} instances acknowledged a write, expected 1"));
    let moves = u64::from(run.fault.moves_the_writer());
    let rose = matches!(run.epoch, [Some(before), Some(after)] if after == before + moves);
    demand(rose, format!("the epoch went from {:?} to {:?}, expected {moves} more", run.epoch[0], run.epoch[1]));
    // Alarms of CloudWatch and news of stacks come to the same topic; the change itself is told once.
    let of_change = |page: &&String| {
        page.starts_with('P') && page.lines().next().unwrap_or_default().contains(&format!(" {name}: "))
    };
    let pages = run.pages.iter().filter(of_change).count();
    demand(u64::try_from(pages) == Ok(moves), format!("{pages} pages were sent, expected {moves}"));
    let changes = |pair: &[Option<String>; 2]| pair[0].is_some() && pair[1].is_some() && pair[0] != pair[1];
    let moved = moves == 1;
    let expected = [
        ("writer", &run.writer, moved && successor != Successor::Hidden),
        ("record", &run.record, moved && successor == Successor::Replica),
    ];
    for (what, pair, expected) in expected {
        let other = if expected { "another" } else { "the same" };
        demand(
            changes(pair) == expected,
            format!("the {what} went from {:?} to {:?}, expected {other}", pair[0], pair[1]),
        );
    }
    demand_of_losses(run, successor, &mut demand);
    broken
}

/// What was lost is what the ledger states: nothing, or at most what no probe could tell of.
fn demand_of_losses(run: &Run, successor: Successor, demand: &mut impl FnMut(bool, String)) {
    let Some(lost) = run.lost else { return demand(false, "the rows could not be read back".to_owned()) };
    let stated = run.rpo_bytes.map_or_else(|| "no number".to_owned(), |bytes| format!("{bytes} bytes"));
    if successor.is_lossless() {
        demand(lost == 0, format!("{lost} acknowledged rows were lost, and AWS replicates synchronously"));
        let says = run.fault == Fault::KillPostmaster || run.rpo_bytes == Some(0);
        return demand(says, format!("the ledger states {stated} lost, and nothing was"));
    }
    let early = lost.saturating_sub(run.lost_after_last_probe.unwrap_or(0));
    let kept = early == 0 || run.rpo_bytes.is_some_and(|bytes| bytes > 0);
    demand(kept, format!("{early} rows were lost that a probe could have told of, and the ledger states {stated}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(successor: Successor) -> Run {
        let pair = |moves: bool| [Some("a".to_owned()), Some(if moves { "b" } else { "a" }.to_owned())];
        Run {
            fault: Fault::KillHost,
            outage_ms: Some(9_000),
            detect_ms: Some(3_000),
            promote_ms: Some(4_000),
            record_ms: Some(100),
            acked: 500,
            lost: Some(0),
            lost_after_last_probe: Some(0),
            writable_members: 1,
            timeline: [Some(1), Some(2)],
            writer: pair(successor != Successor::Hidden),
            record: pair(successor == Successor::Replica),
            epoch: [Some(1), Some(2)],
            rto_ms: Some(8_000),
            rpo_bytes: Some(0),
            evidence: None,
            pages: vec!["P1 carts: moved".to_owned()],
            patroni: None,
        }
    }

    const ALL: [Successor; 3] = [Successor::Reader, Successor::Hidden, Successor::Replica];

    #[test]
    fn a_kept_promise_is_not_called_broken() {
        for successor in ALL {
            assert_eq!(broken(&good(successor), successor, "carts"), Vec::<String>::new(), "{successor:?}");
        }
        let stated = Run { lost: Some(3), rpo_bytes: Some(400), ..good(Successor::Replica) };
        assert_eq!(broken(&stated, Successor::Replica, "carts"), Vec::<String>::new());
        let rebuilt = vec!["P1 carts: moved".to_owned(), "carts: update started\nNow".to_owned()];
        let rebuilt = Run { pages: rebuilt, ..good(Successor::Replica) };
        assert_eq!(broken(&rebuilt, Successor::Replica, "carts"), Vec::<String>::new());
        let late = Run { lost: Some(3), lost_after_last_probe: Some(3), ..good(Successor::Replica) };
        assert_eq!(broken(&late, Successor::Replica, "carts"), Vec::<String>::new());
    }

    #[test]
    fn every_promise_can_be_broken() {
        type Damage = fn(&mut Run);
        let table: [(&str, Damage); 7] = [
            ("no row was accepted after the fault", |run| run.outage_ms = None),
            ("2 instances acknowledged a write, expected 1", |run| run.writable_members = 2),
            ("the epoch went from Some(1) to Some(3), expected 1 more", |run| run.epoch[1] = Some(3)),
            ("2 pages were sent, expected 1", |run| run.pages.push("P1 carts: moved".to_owned())),
            ("the rows could not be read back", |run| run.lost = None),
            ("the record went from Some(\"a\") to None, expected another", |run| run.record[1] = None),
            ("2 rows were lost that a probe could have told of, and the ledger states 0 bytes", |run| {
                run.lost = Some(2)
            }),
        ];
        for (expected, damage) in table {
            let mut run = good(Successor::Replica);
            damage(&mut run);
            assert_eq!(broken(&run, Successor::Replica, "carts"), [expected]);
        }
        let lost = Run { lost: Some(1), ..good(Successor::Reader) };
        assert_eq!(
            broken(&lost, Successor::Reader, "carts"),
            ["1 acknowledged rows were lost, and AWS replicates synchronously"]
        );
        let unsaid = Run { rpo_bytes: None, ..good(Successor::Hidden) };
        assert_eq!(broken(&unsaid, Successor::Hidden, "carts"), ["the ledger states no number lost, and nothing was"]);
        let another = Run { writer: [Some("a".into()), Some("b".into())], ..good(Successor::Hidden) };
        assert_eq!(
            broken(&another, Successor::Hidden, "carts"),
            ["the writer went from Some(\"a\") to Some(\"b\"), expected the same"]
        );
    }
}
