//! The names of a managed cluster: CNAMEs to endpoints of AWS.
//!
//! As with addresses, the writer's name moves together with its epoch, by DELETE of what was read and CREATE of what
//! shall be. Readers are weighted CNAMEs of one name, one for each instance, all of weight 1.

use super::{CHANGE, LIST, Route53, sets, unwritable};
use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, ResourceRecordSet, RrType};
use domain::{
    card::Records,
    managed::NamesSeen,
    records::{RecordSet, epoch_text},
};
use reconcile::Failure;

/// Records in one page of a look: up to 15 readers, the writer, the epoch, and some that may lie between.
const PAGE: i32 = 30;

/// Every reader gets as many questions as the others.
const WEIGHT: i64 = 1;

/// The record sets of a cluster as they are, for deleting exactly them.
#[derive(Debug, Default)]
struct Sets {
    writer: Option<ResourceRecordSet>,
    epoch: Option<ResourceRecordSet>,
    readers: Vec<ResourceRecordSet>,
}

impl Route53 {
    /// Reads the names of a managed cluster, and no others.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `route53:ListResourceRecordSets`; [`Failure::Broken`] also when a name of ours carries something
    /// that Understudy does not write: an alias, a reader without a weight, a text that is no epoch.
    pub async fn names(&self, records: &Records) -> Result<NamesSeen, Failure> {
        seen(records, &self.sets(records).await?)
    }

    async fn sets(&self, records: &Records) -> Result<Sets, Failure> {
        let epoch = records.epoch();
        let wanted = [(&*records.reader, RrType::Cname), (&*records.writer, RrType::Cname), (&*epoch, RrType::Txt)];
        let mut sets = Sets::default();
        let mut known = [false; 3];
        for (place, (name, kind)) in wanted.iter().enumerate() {
            if known[place] {
                continue;
            }
            // The page begins with this record, if it exists; the others usually follow.
            let page = self.page(records, name, kind, PAGE).await?;
            for (place, (name, kind)) in wanted.iter().enumerate() {
                let found = page.iter().filter(|set| sets::is(set, name, kind)).cloned();
                let found: Vec<_> = found.filter(|_| !known[place]).collect();
                known[place] |= !found.is_empty();
                match place {
                    0 => sets.readers.extend(found),
                    1 => sets.writer = sets.writer.or(found.into_iter().next()),
                    _ => sets.epoch = sets.epoch.or(found.into_iter().next()),
                }
            }
        }
        Ok(sets)
    }

    /// Moves the writer's CNAME and its epoch from what they hold to `to`, in one batch: both or neither. `from` is
    /// `None` when there is neither. Names are compared without a final dot.
    ///
    /// As [`move_writer`](Self::move_writer): read again first, and a success when `to` is there already.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn move_writer_name(
        &self,
        records: &Records,
        from: Option<(&str, u64)>,
        to: (&str, u64),
    ) -> Result<(), Failure> {
        let sets = self.sets(records).await?;
        let now = seen(records, &sets)?;
        if holds(&now, Some(to)) {
            return Ok(());
        }
        if !holds(&now, from) {
            return Err(lost(records, &now));
        }
        let batch = move_batch(records, sets, to).map_err(|problem| unwritable(&records.writer, &problem))?;
        let Err(failure) = self.change(records, batch).await else { return Ok(()) };
        // The SDK repeats a batch whose answer was lost, and the repetition fails on its own effect.
        if matches!(failure, Failure::LostRace { .. }) {
            let now = self.names(records).await?;
            return if holds(&now, Some(to)) { Ok(()) } else { Err(lost(records, &now)) };
        }
        Err(failure)
    }

    /// Lets the readers' CNAMEs be exactly these, by instance identifier and endpoint; none removes them all.
    ///
    /// # Errors
    ///
    /// As [`set_readers`](Self::set_readers).
    pub async fn set_reader_names(&self, records: &Records, readers: &[(String, String)]) -> Result<(), Failure> {
        let sets = self.sets(records).await?;
        seen(records, &sets)?;
        let broken = |problem: String| unwritable(&records.reader, &problem);
        let changes = reader_changes(records, sets.readers, readers).map_err(broken)?;
        if changes.is_empty() {
            return Ok(());
        }
        let batch = ChangeBatch::builder().comment("Understudy: readers").set_changes(Some(changes)).build();
        self.change(records, batch.map_err(|error| broken(error.to_string()))?).await
    }

    /// Deletes the names of a managed cluster that is gone, in one batch; none there is a success.
    ///
    /// # Errors
    ///
    /// As [`set_readers`](Self::set_readers).
    pub async fn remove_names(&self, records: &Records) -> Result<(), Failure> {
        let Sets { writer, epoch, readers } = self.sets(records).await?;
        let broken = |problem: String| unwritable(&records.writer, &problem);
        let all = writer.into_iter().chain(epoch).chain(readers);
        let deletes =
            all.map(|set| change(ChangeAction::Delete, set)).collect::<Result<Vec<_>, _>>().map_err(broken)?;
        if deletes.is_empty() {
            return Ok(());
        }
        let batch = ChangeBatch::builder().comment("Understudy: the cluster was deleted").set_changes(Some(deletes));
        self.change(records, batch.build().map_err(|error| broken(error.to_string()))?).await
    }
}

fn seen(records: &Records, sets: &Sets) -> Result<NamesSeen, Failure> {
    let broken = |name: &str, what: &str| Failure::Broken { call: LIST, what: format!("record {name} {what}") };
    let writer = match &sets.writer {
        Some(set) => {
            let plain = sets::plain(set).map_err(|what| broken(&records.writer, what))?;
            Some(target(&plain).ok_or_else(|| broken(&records.writer, "has not one target"))?)
        }
        None => None,
    };
    let epoch = match &sets.epoch {
        Some(set) => {
            let plain = sets::plain(set).map_err(|what| broken(&records.epoch(), what))?;
            Some(sets::epoch_of(&plain).map_err(|what| broken(&records.epoch(), &what))?)
        }
        None => None,
    };
    let mut readers = Vec::new();
    for set in &sets.readers {
        let odd = || broken(&records.reader, "is not one that Understudy made (weighted, with one target): remove it");
        if set.weight().is_none() || set.set_identifier().is_none() || set.alias_target().is_some() {
            return Err(odd());
        }
        let values = set.resource_records().iter().map(|record| record.value().to_owned()).collect();
        readers.push(target(&RecordSet { ttl_s: 0, values }).ok_or_else(odd)?);
    }
    readers.sort();
    Ok(NamesSeen { writer, epoch, readers })
}

/// Where a CNAME points, as names are compared.
fn target(set: &RecordSet) -> Option<String> {
    match set.values.as_slice() {
        [name] => Some(bare(name)),
        _ => None,
    }
}

fn bare(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn holds(seen: &NamesSeen, wanted: Option<(&str, u64)>) -> bool {
    match wanted {
        Some((name, epoch)) => seen.writer == Some(bare(name)) && seen.epoch == Some(epoch),
        None => seen.writer.is_none() && seen.epoch.is_none(),
    }
}

/// DELETE of what was read, CREATE of what shall be.
fn move_batch(records: &Records, sets: Sets, (name, epoch): (&str, u64)) -> Result<ChangeBatch, String> {
    let ttl_s = i64::from(records.ttl_s);
    let cname = RecordSet { ttl_s, values: vec![bare(name)] };
    let txt = RecordSet { ttl_s, values: vec![format!("\"{}\"", epoch_text(epoch))] };
    let build = |name: &str, kind, set: &RecordSet| sets::build(name, kind, set).map_err(|error| error.to_string());
    let made = [build(&records.writer, RrType::Cname, &cname)?, build(&records.epoch(), RrType::Txt, &txt)?];
    let deletes = sets.writer.into_iter().chain(sets.epoch).map(|set| change(ChangeAction::Delete, set));
    let creates = made.into_iter().map(|set| change(ChangeAction::Create, set));
    let changes = deletes.chain(creates).collect::<Result<Vec<_>, _>>()?;
    let comment = format!("Understudy: writer {}, epoch {epoch}", bare(name));
    ChangeBatch::builder().comment(comment).set_changes(Some(changes)).build().map_err(|error| error.to_string())
}

/// What makes the readers' CNAMEs exactly these; empty when they are.
fn reader_changes(
    records: &Records,
    now: Vec<ResourceRecordSet>,
    readers: &[(String, String)],
) -> Result<Vec<Change>, String> {
    let mut wanted = Vec::new();
    for (id, endpoint) in readers {
        let set = RecordSet { ttl_s: i64::from(records.ttl_s), values: vec![bare(endpoint)] };
        let mut set = sets::build(&records.reader, RrType::Cname, &set).map_err(|error| error.to_string())?;
        set.set_identifier = Some(id.clone());
        set.weight = Some(WEIGHT);
        wanted.push(set);
    }
    let same = |one: &ResourceRecordSet, other: &ResourceRecordSet| {
        let value = |set: &ResourceRecordSet| set.resource_records().first().map(|record| bare(record.value()));
        one.set_identifier() == other.set_identifier()
            && one.weight() == other.weight()
            && one.ttl() == other.ttl()
            && value(one) == value(other)
    };
    let mut changes = Vec::new();
    for set in &now {
        if !wanted.iter().any(|wanted| wanted.set_identifier() == set.set_identifier()) {
            changes.push(change(ChangeAction::Delete, set.clone())?);
        }
    }
    for set in wanted {
        if !now.iter().any(|now| same(now, &set)) {
            changes.push(change(ChangeAction::Upsert, set)?);
        }
    }
    Ok(changes)
}

fn change(action: ChangeAction, set: ResourceRecordSet) -> Result<Change, String> {
    Change::builder().action(action).resource_record_set(set).build().map_err(|error| error.to_string())
}

fn lost(records: &Records, seen: &NamesSeen) -> Failure {
    let epoch = seen.epoch.map_or("none".to_owned(), |epoch| epoch.to_string());
    let now = seen.writer.as_deref().unwrap_or("none");
    Failure::LostRace { call: CHANGE, what: format!("the record {} (now {now}, epoch {epoch})", records.writer) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests;
