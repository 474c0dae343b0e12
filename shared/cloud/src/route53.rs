//! The records of a cluster.
//!
//! Route 53 has no compare-and-swap, but it applies a batch whole or not at
//! all, and deletes a record set only when it is repeated exactly. DELETE of
//! what was read together with CREATE of what shall be is therefore one.
//!
//! Its API allows 5 requests a second to a whole account: a look costs one
//! request in the usual case, where the three records lie side by side.

mod names;
mod pair;
mod sets;

pub use pair::PairSeen;

use crate::{
    SdkConfig,
    failure::{Subject, answer, classify},
};
use aws_sdk_route53::{
    Client,
    config::http::HttpResponse,
    error::{BuildError, SdkError},
    operation::change_resource_record_sets::ChangeResourceRecordSetsError,
    types::{Change, ChangeAction, ChangeBatch, RrType},
};
use domain::{
    card::Records,
    records::{RecordSet, RecordsSeen, epoch_text},
};
use reconcile::Failure;
use std::net::IpAddr;

const LIST: &str = "route53:ListResourceRecordSets";
const CHANGE: &str = "route53:ChangeResourceRecordSets";

/// Records in one page of a look: three of the cluster, and some that may lie between.
const PAGE: i32 = 10;

/// The Route 53 calls the fleet makes.
#[derive(Debug, Clone)]
pub struct Route53(Client);

impl Route53 {
    /// Uses these credentials and time-outs.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Route53(Client::new(config))
    }

    /// Reads the three records of a cluster, and no others.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `route53:ListResourceRecordSets`; [`Failure::Broken`] also
    /// when a name of ours carries something that Understudy does not write: an
    /// alias, a weighted set, a text that is no epoch.
    pub async fn read(&self, records: &Records) -> Result<RecordsSeen, Failure> {
        let wanted = [(&*records.reader, RrType::A), (&*records.writer, RrType::A), (&*records.epoch(), RrType::Txt)];
        let mut found: [Option<RecordSet>; 3] = [None, None, None];
        for (place, (name, kind)) in wanted.iter().enumerate() {
            if found[place].is_some() {
                continue;
            }
            // The page begins with this record, if it exists; the others usually follow.
            let page = self.page(records, name, kind, PAGE).await?;
            for (place, (name, kind)) in wanted.iter().enumerate() {
                if let Some(set) = page.iter().find(|set| sets::is(set, name, kind)) {
                    let problem = |what| Failure::Broken { call: LIST, what: format!("record {kind} {name} {what}") };
                    found[place] = Some(sets::plain(set).map_err(problem)?);
                }
            }
        }
        let [reader, writer, epoch] = found;
        sets::seen(writer, epoch, reader).map_err(|what| Failure::Broken {
            call: LIST,
            what: format!("in the records of {}, {what}", records.writer),
        })
    }

    async fn page(
        &self,
        records: &Records,
        name: &str,
        kind: &RrType,
        most: i32,
    ) -> Result<Vec<aws_sdk_route53::types::ResourceRecordSet>, Failure> {
        let request = self.0.list_resource_record_sets().hosted_zone_id(&records.zone_id);
        let request = request.start_record_name(name).start_record_type(kind.clone()).max_items(most);
        let what = zone(records);
        let output = request.send().await.map_err(|error| classify(LIST, subject(&what), error))?;
        Ok(output.resource_record_sets)
    }

    /// Moves the writer record and its epoch from what they hold to `to`, in
    /// one batch: both or neither. `from` is `None` when there is neither.
    ///
    /// The records are read again first, for the exact sets to delete (I2). Records
    /// that hold `to` already are a success.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `route53:ListResourceRecordSets` or
    /// `route53:ChangeResourceRecordSets`; [`Failure::LostRace`] when the records
    /// do not hold `from`, or changed in between.
    pub async fn move_writer(
        &self,
        records: &Records,
        from: Option<(IpAddr, u64)>,
        to: (IpAddr, u64),
    ) -> Result<(), Failure> {
        let seen = self.read(records).await?;
        if holds(&seen, Some(to)) {
            return Ok(());
        }
        if !holds(&seen, from) {
            return Err(lost(records, &seen));
        }
        let batch = move_batch(records, &seen, to).map_err(|problem| unwritable(&records.writer, &problem))?;
        let Err(failure) = self.change(records, batch).await else { return Ok(()) };
        // The SDK repeats a batch whose answer was lost, and the repetition fails on its own effect.
        if matches!(failure, Failure::LostRace { .. }) {
            let seen = self.read(records).await?;
            return if holds(&seen, Some(to)) { Ok(()) } else { Err(lost(records, &seen)) };
        }
        Err(failure)
    }

    /// Lets the reader record name exactly these addresses; none removes it.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `route53:ListResourceRecordSets` or
    /// `route53:ChangeResourceRecordSets`; [`Failure::LostRace`] when a record
    /// that was to be removed changed in between.
    pub async fn set_readers(&self, records: &Records, addresses: &[IpAddr]) -> Result<(), Failure> {
        let seen = self.read(records).await?;
        let Some(change) =
            reader_change(records, &seen, addresses).map_err(|problem| unwritable(&records.reader, &problem))?
        else {
            return Ok(());
        };
        let batch = ChangeBatch::builder().changes(change).build();
        let batch = batch.map_err(|error| unwritable(&records.reader, &error.to_string()))?;
        self.change(records, batch).await
    }

    /// Deletes the records of a cluster that is gone, in one batch; none there is a success.
    ///
    /// # Errors
    ///
    /// As [`set_readers`](Self::set_readers).
    pub async fn remove(&self, records: &Records) -> Result<(), Failure> {
        let seen = self.read(records).await?;
        let epoch = records.epoch();
        let sets = [
            (&*records.writer, RrType::A, seen.exact.writer),
            (&*epoch, RrType::Txt, seen.exact.epoch),
            (&*records.reader, RrType::A, seen.exact.reader),
        ];
        let deletes = sets
            .into_iter()
            .filter_map(|(name, kind, set)| set.map(|set| change(ChangeAction::Delete, name, kind, &set)));
        let broken = |error: BuildError| unwritable(&records.writer, &error.to_string());
        let deletes = deletes.collect::<Result<Vec<_>, _>>().map_err(broken)?;
        if deletes.is_empty() {
            return Ok(());
        }
        let batch = ChangeBatch::builder().comment("Understudy: the cluster was deleted").set_changes(Some(deletes));
        self.change(records, batch.build().map_err(broken)?).await
    }

    async fn change(&self, records: &Records, batch: ChangeBatch) -> Result<(), Failure> {
        let request = self.0.change_resource_record_sets().hosted_zone_id(&records.zone_id).change_batch(batch);
        let Err(error) = request.send().await else { return Ok(()) };
        Err(match refusal(&error) {
            Some(Refusal::Race) => {
                Failure::LostRace { call: CHANGE, what: format!("the records of {}", records.writer) }
            }
            Some(Refusal::Never(why)) => {
                Failure::Broken { call: CHANGE, what: format!("{} refuses the records: {why}", zone(records)) }
            }
            None => classify(CHANGE, subject(&zone(records)), error),
        })
    }
}

/// Why Route 53 refused a batch.
enum Refusal {
    /// A record set is not as it was read.
    Race,
    /// No such record may be in this zone, whatever it holds now.
    Never(String),
}

fn refusal(error: &SdkError<ChangeResourceRecordSetsError, HttpResponse>) -> Option<Refusal> {
    let text = match error.as_service_error() {
        Some(ChangeResourceRecordSetsError::InvalidChangeBatch(batch)) => {
            let mut text = batch.messages().join(" ");
            text.push_str(batch.message().unwrap_or_default());
            text
        }
        // Route 53 documents this one error without the envelope that the SDK reads codes from.
        Some(_) => {
            let body = error.raw_response()?.body().bytes()?;
            let body = String::from_utf8_lossy(body);
            let (_, text) = body.split_once("<InvalidChangeBatch")?;
            text.to_owned()
        }
        None => return None,
    };
    let never = ["not permitted", "Invalid Resource Record", "FATAL problem"];
    if never.iter().any(|sign| text.contains(sign)) {
        let why = answer(error).map_or(text, |answer| answer.to_string());
        return Some(Refusal::Never(why));
    }
    Some(Refusal::Race)
}

fn holds(seen: &RecordsSeen, wanted: Option<(IpAddr, u64)>) -> bool {
    match wanted {
        Some((address, epoch)) => seen.writer == [address] && seen.epoch == Some(epoch),
        None => seen.writer.is_empty() && seen.epoch.is_none(),
    }
}

/// DELETE of what was read, CREATE of what shall be.
fn move_batch(records: &Records, seen: &RecordsSeen, (address, epoch): (IpAddr, u64)) -> Result<ChangeBatch, String> {
    let text = records.epoch();
    let a = RecordSet { ttl_s: i64::from(records.ttl_s), values: vec![sets::address(address)?] };
    let txt = RecordSet { ttl_s: i64::from(records.ttl_s), values: vec![format!("\"{}\"", epoch_text(epoch))] };
    let changes = [
        (ChangeAction::Delete, &*records.writer, RrType::A, seen.exact.writer.as_ref()),
        (ChangeAction::Delete, &*text, RrType::Txt, seen.exact.epoch.as_ref()),
        (ChangeAction::Create, &*records.writer, RrType::A, Some(&a)),
        (ChangeAction::Create, &*text, RrType::Txt, Some(&txt)),
    ];
    let changes = changes.into_iter().filter_map(|(action, name, kind, set)| Some(change(action, name, kind, set?)));
    let changes = changes.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let comment = format!("Understudy: writer {address}, epoch {epoch}");
    ChangeBatch::builder().comment(comment).set_changes(Some(changes)).build().map_err(|error| error.to_string())
}

/// What makes the reader record name these; `None` when it does.
fn reader_change(records: &Records, seen: &RecordsSeen, addresses: &[IpAddr]) -> Result<Option<Change>, String> {
    let mut values = addresses.iter().copied().map(sets::address).collect::<Result<Vec<_>, _>>()?;
    values.sort();
    values.dedup();
    let ttl_s = i64::from(records.ttl_s);
    let (action, set) = match &seen.exact.reader {
        None if values.is_empty() => return Ok(None),
        Some(now) if values.is_empty() => (ChangeAction::Delete, now.clone()),
        Some(now) if now.ttl_s == ttl_s && sets::same_values(&now.values, &values) => return Ok(None),
        _ => (ChangeAction::Upsert, RecordSet { ttl_s, values }),
    };
    change(action, &records.reader, RrType::A, &set).map(Some).map_err(|error| error.to_string())
}

fn change(action: ChangeAction, name: &str, kind: RrType, set: &RecordSet) -> Result<Change, BuildError> {
    Change::builder().action(action).resource_record_set(sets::build(name, kind, set)?).build()
}

fn lost(records: &Records, seen: &RecordsSeen) -> Failure {
    let addresses: Vec<String> = seen.writer.iter().map(ToString::to_string).collect();
    let epoch = seen.epoch.map_or("none".to_owned(), |epoch| epoch.to_string());
    let what = format!("the record {} (now [{}], epoch {epoch})", records.writer, addresses.join(", "));
    Failure::LostRace { call: CHANGE, what }
}

fn unwritable(name: &str, problem: &str) -> Failure {
    Failure::Broken { call: CHANGE, what: format!("record {name} cannot be written: {problem}") }
}

fn zone(records: &Records) -> String {
    format!("hosted zone {}", records.zone_id)
}

fn subject(what: &str) -> Subject<'_> {
    Subject { what, check: "is it the zone of the cluster's card, and was it deleted?" }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests;
