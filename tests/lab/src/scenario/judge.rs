//! Whether what was seen is what was promised: pure, each promise a function that returns what was not kept.

use crate::{client::Row, clock::Moment, cluster::Now, evidence::Evidence, pages::Page};
use serde_json::Value;
use std::time::Duration;

/// A sentence when `kept` is false.
fn unless(kept: bool, what: impl FnOnce() -> String) -> Vec<String> {
    if kept { Vec::new() } else { vec![what()] }
}

/// The writer changed once: the epoch rose by one, and record and writer are others.
pub fn changed_once(before: &Now, after: &Now) -> Vec<String> {
    let epochs = |now: &Now| (now.state_epoch, now.epoch);
    let next = |epoch: Option<u64>| epoch.map(|epoch| epoch + 1);
    let rose = after.state_epoch.is_some() && epochs(after) == (next(before.state_epoch), next(before.epoch));
    let mut broken = unless(rose, || {
        format!("the epochs of state and record went from {:?} to {:?}", epochs(before), epochs(after))
    });
    broken.extend(unless(after.writer.is_some() && after.writer != before.writer, || "the writer is the same".into()));
    broken.extend(unless(after.record.is_some() && after.record != before.record, || "the record did not move".into()));
    broken.extend(unless(after.steady, || "the change is still open".into()));
    broken
}

/// Nothing changed: neither writer nor epochs nor record.
pub fn unchanged(before: &Now, after: &Now) -> Vec<String> {
    let of = |now: &Now| (now.writer.clone(), now.state_epoch, now.record.clone(), now.epoch, now.steady);
    unless(of(before) == of(after), || {
        let said = |now: &Now| {
            let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "nobody".to_owned());
            let phase = if now.steady { "steady" } else { "changing" };
            format!("{} ({}), epoch {}, {phase}", text(&now.writer), text(&now.record), now.state_epoch.unwrap_or(0))
        };
        format!("the cluster went from {} to {}", said(before), said(after))
    })
}

/// The ledger's entry of a failover: measured times, and a proof that holds for the way the cluster replicates.
pub fn ledger(entry: &Value, synchronous: bool) -> Vec<String> {
    let number = |field: &str| entry[field].as_u64();
    let evidence = Evidence::of(entry["evidence"].as_str().unwrap_or_default());
    let mut broken = unless(number("rto_ms").is_some(), || "the ledger has no RTO".to_owned());
    broken.extend(unless(number("rpo_bytes").is_some(), || "the ledger has no RPO".to_owned()));
    let holds = evidence != Evidence::Unknown && (synchronous || evidence.holds_without_synchrony());
    broken.extend(unless(holds, || format!("promoted on evidence {evidence}")));
    if synchronous && entry["approval"].is_null() {
        broken.extend(unless(number("rpo_bytes") == Some(0), || {
            format!("the ledger states a loss of {} bytes", number("rpo_bytes").unwrap_or(0))
        }));
    }
    broken
}

/// No row that was acknowledged is missing.
pub fn kept(lost: &[Row]) -> Vec<String> {
    unless(lost.is_empty(), || format!("{} acknowledged rows were lost", lost.len()))
}

/// No two acknowledgements were further apart than `limit`.
pub fn gap(rows: &[Row], since: Moment, limit: Duration) -> Vec<String> {
    let gap = longest_gap(rows, since);
    unless(gap <= limit, || {
        format!("{:.1} s without a row, {:.1} s are allowed", gap.as_secs_f64(), limit.as_secs_f64())
    })
}

/// The longest time between two acknowledgements of which the later came after `since`.
pub fn longest_gap(rows: &[Row], since: Moment) -> Duration {
    let pairs = rows.windows(2).filter(|pair| pair[1].at > since);
    Duration::from_micros(pairs.map(|pair| pair[1].at.0 - pair[0].at.0).max().unwrap_or(0))
}

/// Between `least` and `most` of the pages have this subject.
pub fn paged(pages: &[Page], subject: &str, least: usize, most: usize) -> Vec<String> {
    let count = pages.iter().filter(|page| page.subject().contains(subject)).count();
    unless((least..=most).contains(&count), || format!("{count} pages \"{subject}\", {least} to {most} expected"))
}

/// Nobody was called, but to be told that the old writer of an earlier scenario is back.
pub fn nobody_called(pages: &[Page]) -> Vec<String> {
    let back = |subject: &&str| subject.contains(" is a standby again");
    let calls: Vec<&str> = pages.iter().map(Page::subject).filter(|subject| !back(subject)).collect();
    unless(calls.is_empty(), || format!("paged: {}", calls.join(", ")))
}

/// The old writer acknowledged nothing any more when the new one had been proven writable.
pub fn fenced(last_acknowledged: Option<Moment>, promoted: Option<Moment>) -> Vec<String> {
    match (last_acknowledged, promoted) {
        (_, None) => vec!["the ledger does not say when the new writer was promoted".to_owned()],
        (Some(last), Some(promoted)) if last >= promoted => {
            vec![format!("the old writer acknowledged {:.2} s after the promotion", last.seconds_since(promoted))]
        }
        _ => Vec::new(),
    }
}

/// What the ledger states as lost covers what the client lost, but for what no probe can have told of: rows
/// acknowledged after `last_probe`.
pub fn loss_is_stated(entry: &Value, lost: &[(Moment, u64)], last_probe: Option<Moment>) -> Vec<String> {
    let Some(last_probe) = last_probe else {
        return vec!["the ledger does not say since when the writer was silent".to_owned()];
    };
    let early: u64 = lost.iter().filter(|(at, _)| *at <= last_probe).map(|(_, bytes)| bytes).sum();
    let stated = entry["rpo_bytes"].as_u64();
    unless(stated.is_some_and(|stated| stated >= early), || {
        let stated = stated.map_or_else(|| "nothing".to_owned(), |bytes| format!("{bytes} bytes"));
        format!("{early} bytes of rows were lost that a probe could have told of, the ledger states {stated}")
    })
}

/// A request that was refused, in one sentence that has these words.
pub fn refused(outcome: &str, because: &str, words: &str) -> Vec<String> {
    let mut broken = unless(outcome == "refused", || format!("{outcome}, not refused: {because}"));
    let sentence = !because.is_empty() && !because.contains('\n') && because.len() < 300;
    broken.extend(unless(sentence, || format!("this is no sentence: {because:?}")));
    broken.extend(unless(because.contains(words), || format!("\"{because}\" does not say \"{words}\"")));
    broken
}

/// The JSON payloads of the commands that a page offers.
pub fn payloads(page: &str) -> Vec<Value> {
    // A page's lines may be broken anywhere for width; a payload is not.
    let commands = page.split("--payload '").skip(1).filter_map(|rest| rest.split('\'').next());
    commands.filter_map(|payload| serde_json::from_str(payload).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now(writer: &str, epoch: u64) -> Now {
        Now {
            writer: Some(writer.to_owned()),
            state_epoch: Some(epoch),
            steady: true,
            synchronous: true,
            names: Vec::new(),
            record: Some(format!("address of {writer}")),
            epoch: Some(epoch),
        }
    }

    fn row(number: i64, ms: u64) -> Row {
        Row { number, at: Moment::from_ms(ms) }
    }

    #[test]
    fn one_change_and_none() {
        let (before, after) = (now("i-1", 6), now("i-2", 7));
        assert_eq!(changed_once(&before, &after), Vec::<String>::new());
        assert_eq!(unchanged(&before, &before), Vec::<String>::new());
        assert_eq!(unchanged(&before, &after).len(), 1);
        assert_eq!(unchanged(&before, &Now { steady: false, ..before.clone() }).len(), 1);
        for (name, wrong) in [
            ("twice", now("i-2", 8)),
            ("the record's epoch is old", Now { epoch: Some(6), ..after.clone() }),
            ("the same writer", Now { writer: Some("i-1".to_owned()), ..after.clone() }),
            ("the record stays", Now { record: before.record.clone(), ..after.clone() }),
            ("open", Now { steady: false, ..after.clone() }),
        ] {
            assert_eq!(changed_once(&before, &wrong).len(), 1, "{name}");
        }
        assert!(!changed_once(&Now::default(), &Now::default()).is_empty(), "nothing known is nothing shown");
    }

    #[test]
    fn a_ledger_entry_has_times_and_a_proof_that_holds() {
        let entry = |evidence: &str, rpo: u64| json!({"evidence": evidence, "rto_ms": 4100, "rpo_bytes": rpo});
        let none = Vec::<String>::new();
        assert_eq!(ledger(&entry("commits frozen on 2 of 2", 0), true), none);
        assert_eq!(ledger(&entry("commits frozen on 2 of 2", 0), false).len(), 1);
        assert_eq!(ledger(&entry("EC2 reads i-1 back as stopped", 99), false), none);
        assert_eq!(ledger(&entry("EC2 reads i-1 back as stopped", 99), true).len(), 1, "a loss, and nobody allowed it");
        let mut approved = entry("EC2 reads i-1 back as stopped", 99);
        approved["approval"] = json!({"epoch": 6});
        assert_eq!(ledger(&approved, true), none);
        assert_eq!(ledger(&json!({"evidence": "EC2 reads i-1 back as stopped"}), false).len(), 2);
        assert_eq!(ledger(&entry("i-1 is stopping", 0), true).len(), 1);
    }

    #[test]
    fn rows_and_gaps() {
        assert_eq!(kept(&[]), Vec::<String>::new());
        assert_eq!(kept(&[row(1, 0)]), ["1 acknowledged rows were lost"]);
        let rows = [row(1, 1_000), row(2, 9_000), row(3, 10_000), row(4, 12_000)];
        assert_eq!(longest_gap(&rows, Moment::from_ms(9_500)), Duration::from_secs(2), "earlier gaps do not count");
        assert_eq!(gap(&rows, Moment::from_ms(9_500), Duration::from_secs(2)), Vec::<String>::new());
        assert_eq!(gap(&rows, Moment::from_ms(9_500), Duration::from_millis(1_999)).len(), 1);
        assert_eq!(longest_gap(&[], Moment::default()), Duration::ZERO);
    }

    #[test]
    fn pages_are_counted_by_their_subject() {
        let page = |text: &str| Page { at: Moment::default(), text: text.to_owned() };
        let pages =
            [page("P1 orders: writer moved to i-2\nSeen  x"), page("P1 orders: not acting\nSeen  writer moved")];
        assert_eq!(paged(&pages, "writer moved", 1, 1), Vec::<String>::new());
        assert_eq!(paged(&pages, "writer moved", 2, 2), ["1 pages \"writer moved\", 2 to 2 expected"]);
        assert_eq!(paged(&pages, "paused", 0, 0), Vec::<String>::new());
        assert_eq!(paged(&pages, "not acting", 0, 0).len(), 1);
        assert_eq!(nobody_called(&pages).len(), 1);
        assert_eq!(nobody_called(&[page("P3 orders: i-1 is a standby again; nothing was lost")]), Vec::<String>::new());
        assert_eq!(nobody_called(&[page("")]).len(), 1, "a page without a subject is a page");
    }

    #[test]
    fn an_old_writer_must_be_silent_at_the_promotion() {
        let at = |ms| Some(Moment::from_ms(ms));
        assert_eq!(fenced(at(9), at(10)), Vec::<String>::new());
        assert_eq!(fenced(None, at(10)), Vec::<String>::new());
        assert_eq!(fenced(at(10), at(10)).len(), 1);
        assert_eq!(fenced(at(9), None).len(), 1);
    }

    #[test]
    fn a_stated_loss_covers_what_a_probe_could_tell() {
        let lost = [(Moment::from_ms(1_000), 100), (Moment::from_ms(2_000), 50)];
        let of = |stated: Value, last_probe| loss_is_stated(&json!({"rpo_bytes": stated}), &lost, last_probe).len();
        assert_eq!(of(json!(100), Some(Moment::from_ms(1_500))), 0, "the second row came after the last probe");
        assert_eq!(of(json!(99), Some(Moment::from_ms(1_500))), 1);
        assert_eq!(of(json!(149), Some(Moment::from_ms(2_000))), 1);
        assert_eq!(of(json!(150), Some(Moment::from_ms(2_000))), 0);
        assert_eq!(of(Value::Null, Some(Moment::from_ms(1_500))), 1);
        assert_eq!(of(json!(150), None), 1);
    }

    #[test]
    fn a_refusal_is_one_sentence_that_says_why() {
        assert_eq!(refused("refused", "i-1 is the writer already", "the writer"), Vec::<String>::new());
        assert_eq!(refused("acted", "i-1 is the writer already", "the writer").len(), 1);
        assert_eq!(refused("refused", "i-1 is the writer already", "never").len(), 1);
        assert_eq!(refused("refused", "", "").len(), 1);
        assert_eq!(refused("refused", "one\ntwo", "two").len(), 1);
    }

    #[test]
    fn a_pages_commands_are_read() {
        let page = "Next    bring it back; or: aws lambda invoke --function-name lab-promote-replica \
                    --payload '{\"approve\":{\"cluster\":\"orders\",\"epoch\":6,\"data_loss_bytes\":\"any\"}}' /dev/stdout\n";
        let expected = json!({"approve": {"cluster": "orders", "epoch": 6, "data_loss_bytes": "any"}});
        assert_eq!(payloads(page), [expected]);
        assert_eq!(payloads("no command"), [] as [Value; 0]);
        assert_eq!(payloads("--payload 'no JSON'"), [] as [Value; 0]);
    }
}
