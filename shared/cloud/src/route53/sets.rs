//! Record sets between Route 53's form and ours.

use aws_sdk_route53::{
    error::BuildError,
    types::{ResourceRecord, ResourceRecordSet, RrType},
};
use domain::records::{ExactSets, RecordSet, RecordsSeen, parse_epoch};
use std::net::IpAddr;

/// Whether this is the set of that name and type. Route 53 returns names in
/// lower case with a final dot.
pub(super) fn is(set: &ResourceRecordSet, name: &str, kind: &RrType) -> bool {
    let bare = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
    set.r#type() == kind && bare(set.name()) == bare(name)
}

/// What Understudy writes: values with a time to live. Everything else that can
/// stand at a name is refused in words.
pub(super) fn plain(set: &ResourceRecordSet) -> Result<RecordSet, &'static str> {
    if set.alias_target().is_some() {
        return Err("is an alias, which Understudy did not make: remove it");
    }
    if set.set_identifier().is_some() {
        return Err("is one of several weighted or routed sets, which Understudy did not make: remove them");
    }
    let ttl_s = set.ttl().ok_or("has no time to live")?;
    let values = set.resource_records().iter().map(|record| record.value().to_owned()).collect();
    Ok(RecordSet { ttl_s, values })
}

/// The records in the words of a decision.
pub(super) fn seen(
    writer: Option<RecordSet>,
    epoch: Option<RecordSet>,
    reader: Option<RecordSet>,
) -> Result<RecordsSeen, String> {
    let number = match &epoch {
        Some(set) => Some(epoch_of(set)?),
        None => None,
    };
    Ok(RecordsSeen {
        writer: addresses(writer.as_ref())?,
        epoch: number,
        reader: addresses(reader.as_ref())?,
        exact: ExactSets { writer, epoch, reader },
    })
}

pub(super) fn epoch_of(set: &RecordSet) -> Result<u64, String> {
    // Route 53 keeps a TXT value with its quotation marks.
    let text = match set.values.as_slice() {
        [value] => value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')),
        _ => None,
    };
    text.and_then(parse_epoch)
        .ok_or_else(|| format!("the TXT record holds {}, not one \"epoch=NUMBER\"", set.values.join(" ")))
}

fn addresses(set: Option<&RecordSet>) -> Result<Vec<IpAddr>, String> {
    let values = set.map(|set| set.values.as_slice()).unwrap_or_default();
    values.iter().map(|value| value.parse().map_err(|_| format!("{value} is not an address"))).collect()
}

/// An address as the value of an A record.
pub(super) fn address(address: IpAddr) -> Result<String, String> {
    match address {
        IpAddr::V4(address) => Ok(address.to_string()),
        IpAddr::V6(address) => Err(format!("{address} is an IPv6 address; the record is an A record")),
    }
}

/// The order of values in a set means nothing.
pub(super) fn same_values(now: &[String], sorted: &[String]) -> bool {
    let mut now = now.to_vec();
    now.sort();
    now == sorted
}

pub(super) fn build(name: &str, kind: RrType, set: &RecordSet) -> Result<ResourceRecordSet, BuildError> {
    let records = set.values.iter().map(|value| ResourceRecord::builder().value(value).build());
    let records = records.collect::<Result<Vec<_>, _>>()?;
    ResourceRecordSet::builder().name(name).r#type(kind).ttl(set.ttl_s).set_resource_records(Some(records)).build()
}
