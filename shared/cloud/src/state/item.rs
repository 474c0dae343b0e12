//! A cluster's state item, attribute by attribute.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{
    lsn::Lsn,
    state::{Approval, Change, GuardSeen, Holder, Pause, State, Synchronous},
    time,
};
use std::collections::HashMap;

/// An item as DynamoDB gives it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// `phase` when no change of writer is under way.
pub(super) const STEADY: &str = "steady";

/// `phase` from the advance of the epoch to the end of the change.
pub(super) const CHANGING: &str = "changing";

pub(super) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(super) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Reads a state item, or says in words what is wrong with it.
pub(super) fn state(item: &Item) -> Result<State, String> {
    let epoch = whole(item, "epoch")?.ok_or("epoch is missing")?;
    let change = match string(item, "phase")? {
        Some(STEADY) => None,
        Some(CHANGING) => {
            let json = string(item, "change")?.ok_or("phase is changing, but change is missing")?;
            let change: Change =
                serde_json::from_str(json).map_err(|error| format!("change is not readable: {error}"))?;
            Some(change)
        }
        Some(other) => return Err(format!("phase is {other:?}, neither {STEADY:?} nor {CHANGING:?}")),
        None => return Err("phase is missing".to_owned()),
    };
    let holder = match (string(item, "holder")?, whole(item, "expires_at_ms")?) {
        (Some(id), Some(expires_at_ms)) => Some(Holder { id: id.to_owned(), expires_at_ms }),
        (Some(id), None) => return Err(format!("holder is {id}, but expires_at_ms is missing")),
        (None, _) => None,
    };
    Ok(State {
        epoch,
        writer: string(item, "writer")?.map(str::to_owned),
        synchronous: synchronous(item)?,
        holder,
        change,
        // Nothing has changed since the first member claimed the cluster.
        changed_at_ms: whole(item, "changed_at_ms")?.unwrap_or(0),
        failovers_ms: numbers(item, "failovers_ms")?,
        timeline: small(item, "timeline")?,
        timeline_began: position(item, "timeline_began")?,
        floor: position(item, "floor")?,
        pause: whole(item, "paused_until_ms")?
            .map(|until_ms| {
                string(item, "pause_reason")
                    .map(|reason| Pause { until_ms, reason: reason.unwrap_or_default().to_owned() })
            })
            .transpose()?,
        approval: string(item, "approval")?
            .map(serde_json::from_str::<Approval>)
            .transpose()
            .map_err(|error| format!("approval is not readable: {error}"))?,
    })
}

/// Reads a guard item, or says in words what is wrong with it.
pub(super) fn guard(item: &Item) -> Result<GuardSeen, String> {
    Ok(GuardSeen {
        epoch: whole(item, "epoch")?.unwrap_or(0),
        holds: string(item, "held")? == Some("yes"),
        clean: string(item, "shutdown")? == Some("clean"),
        checkpoint: position(item, "checkpoint_lsn")?,
        timeline: small(item, "timeline")?,
        disk_full: string(item, "disk_full")? == Some("yes"),
        written_at_ms: string(item, "written_at")?.and_then(time::parse_stamp).unwrap_or_default(),
    })
}

fn small(item: &Item, name: &str) -> Result<u32, String> {
    u32::try_from(whole(item, name)?.unwrap_or(0)).map_err(|_| format!("{name} is too large"))
}

fn position(item: &Item, name: &str) -> Result<Option<Lsn>, String> {
    let read = |text: &str| text.parse().map_err(|_| format!("{name} is {text:?}, not a position in the log"));
    string(item, name)?.map(read).transpose()
}

fn numbers(item: &Item, name: &str) -> Result<Vec<u64>, String> {
    let list = match item.get(name) {
        Some(AttributeValue::L(list)) => list,
        Some(_) => return Err(format!("{name} is not a list")),
        None => return Ok(Vec::new()),
    };
    let read = |value: &AttributeValue| value.as_n().ok().and_then(|number| number.parse().ok());
    list.iter().map(read).collect::<Option<Vec<u64>>>().ok_or(format!("{name} holds more than whole numbers"))
}

fn synchronous(item: &Item) -> Result<Synchronous, String> {
    let required = whole(item, "synchronous_required")?.ok_or("synchronous_required is missing")?;
    let required = u32::try_from(required).map_err(|_| format!("synchronous_required is {required}, too many"))?;
    let list = match item.get("synchronous_names") {
        Some(AttributeValue::L(list)) => list,
        Some(_) => return Err("synchronous_names is not a list".to_owned()),
        None => return Err("synchronous_names is missing".to_owned()),
    };
    let name = |value: &AttributeValue| value.as_s().cloned().map_err(|_| "synchronous_names holds more than names");
    let mut names = list.iter().map(name).collect::<Result<Vec<_>, _>>()?;
    names.sort();
    Ok(Synchronous { required, names })
}

fn string<'a>(item: &'a Item, name: &str) -> Result<Option<&'a str>, String> {
    match item.get(name) {
        Some(AttributeValue::S(value)) => Ok(Some(value)),
        Some(_) => Err(format!("{name} is not a string")),
        None => Ok(None),
    }
}

fn whole(item: &Item, name: &str) -> Result<Option<u64>, String> {
    match item.get(name) {
        Some(AttributeValue::N(value)) => {
            value.parse().map(Some).map_err(|_| format!("{name} is {value}, not a whole number"))
        }
        Some(_) => Err(format!("{name} is not a number")),
        None => Ok(None),
    }
}

/// What a refused write found, for the log: `epoch 8, changing, held by 5f-9a until 1774840327249`.
pub(super) fn summary(found: Option<&Item>) -> String {
    let Some(item) = found.filter(|item| !item.is_empty()) else { return "no item".to_owned() };
    let shown = |name: &str| match item.get(name) {
        Some(AttributeValue::S(value) | AttributeValue::N(value)) => value.clone(),
        Some(_) => "malformed".to_owned(),
        None => "none".to_owned(),
    };
    let holder = match item.contains_key("holder") {
        true => format!("held by {} until {}", shown("holder"), shown("expires_at_ms")),
        false => "held by nobody".to_owned(),
    };
    format!("epoch {}, phase {}, {holder}", shown("epoch"), shown("phase"))
}
