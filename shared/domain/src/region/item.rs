//! The item `region` of the state table: which Region serves, and the change that is under way.

use super::advance::TAKEN;
use crate::{card::Side, lsn::Lsn};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// The item's name.
pub const ITEM: &str = "region";

/// Whether a side of a cluster serves, by the item `region` of its own Region's table.
///
/// Functions that assign roles within a Region ask this first: a side that does not serve has no writer to look after.
/// Of an item that cannot be read the safe side is said: that it does not serve.
#[must_use]
pub fn serves(side: Side, item: Option<&Value>) -> bool {
    match item {
        None => side == Side::Primary,
        Some(item) => item.get("serves").and_then(Value::as_bool).unwrap_or(false),
    }
}

/// The item that is written in the other Region's table, as soon as that can be reached: whether it serves, and who does.
#[must_use]
pub fn mark_of(serves: bool, serving: &str, epoch: u64) -> Value {
    serde_json::json!({ "serves": serves, "serving": serving, "epoch": epoch })
}

/// What the second Region knows of who serves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Whether this side serves: only when no change is under way.
    #[serde(default)]
    pub serves: bool,
    /// Number of the last change of Region, begun or done. Only grows.
    #[serde(default)]
    pub epoch: u64,
    /// Where it stands.
    #[serde(default)]
    pub phase: Phase,
    /// The change that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// What a person was offered and may approve, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Offer>,
    /// Since when every look found proof that the other Region can acknowledge no write, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven_since_ms: Option<u64>,
    /// What became of the old writer, since this side serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Old>,
    /// Since when this side serves, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_since_ms: Option<u64>,
}

impl Region {
    /// Whether the metric shall say that the primary serves (R4).
    ///
    /// From the order of a failover on it does not, and in a switchover from when AWS is seen to be at it. In a failback it does again only
    /// when the primary is proven to write.
    #[must_use]
    pub fn primary_serves(&self) -> bool {
        match &self.change {
            Some(change) if change.kind == Kind::Failback => change.promoted.is_some(),
            // The old writer is well, and AWS may refuse the order: not before it is seen to be taken.
            Some(change) if change.kind == Kind::Switchover => !change.has_done(TAKEN) && change.promoted.is_none(),
            Some(change) => change.ordered_at_ms.is_none(),
            None => self.phase == Phase::Standby,
        }
    }
}

/// Where a cluster's second Region stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The first Region serves.
    #[default]
    Standby,
    /// The second Region serves.
    Serving,
}

/// Why the Region is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Planned: both sides are well, nothing is lost.
    Switchover,
    /// The first Region is gone: what was not replicated is lost.
    Failover,
    /// Planned, back to the first Region.
    Failback,
}

impl Kind {
    /// Whether nothing may be lost by it.
    #[must_use]
    pub fn is_planned(self) -> bool {
        self != Kind::Failover
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Switchover => "switchover",
            Kind::Failover => "failover",
            Kind::Failback => "failback",
        })
    }
}

/// A change of Region under way. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Why.
    pub kind: Kind,
    /// By whom or what it was asked for.
    pub woken_by: String,
    /// When it was begun.
    pub began_at_ms: u64,
    /// What was seen when it was begun, a sentence each.
    pub seen: Vec<String>,
    /// How far behind the successor was when it was begun, as far as that was known.
    pub risk: Position,
    /// Who wrote before, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Who shall write.
    pub to: String,
    /// The token that a person gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// When the old writer was ordered to be cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence_ordered_at_ms: Option<u64>,
    /// Since when an approved failover finds the old Region silent, and so nothing to fence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_since_ms: Option<u64>,
    /// Why the old writer can acknowledge no more writes, or that a person does not wait for that (R2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sure: Option<String>,
    /// When that was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sure_at_ms: Option<u64>,
    /// The old writer's last position, when it could be read after the fence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_lsn: Option<Lsn>,
    /// How often the order was given, or was about to be.
    #[serde(default)]
    pub orders: u32,
    /// When it was first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_at_ms: Option<u64>,
    /// When it was last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_order_at_ms: Option<u64>,
    /// The new writer, once proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted: Option<Promoted>,
    /// Which of the finishing steps are done, by name.
    #[serde(default)]
    pub done: Vec<String>,
    /// Why a switchover is given up; the fence is taken away again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoing: Option<String>,
}

impl Change {
    /// Whether a finishing step is done.
    #[must_use]
    pub fn has_done(&self, what: &str) -> bool {
        self.done.iter().any(|done| done == what)
    }
}

/// How far a copy is behind, and how that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Bytes of log, when the writer's position is known.
    pub bytes: Option<u64>,
    /// Milliseconds.
    pub ms: Option<u64>,
    /// From what this is known.
    pub by: String,
}

impl Position {
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        let bytes = self.bytes.map_or_else(|| "an unknown number of bytes".to_owned(), crate::time::bytes);
        let span = self.ms.map_or_else(
            || "an unknown time".to_owned(),
            |ms| crate::time::seconds(std::time::Duration::from_millis(ms)),
        );
        format!("{bytes}, {span} ({})", self.by)
    }
}

/// Who was proven to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promoted {
    /// Identifier.
    pub instance: String,
    /// Where its timeline begins, or its position; of Aurora only a position.
    pub lsn: Lsn,
    /// Its timeline.
    pub timeline: u32,
    /// When it accepted a write, in milliseconds since 1970.
    pub at_ms: u64,
}

/// A one-use approval that a page offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// What the person must say.
    pub token: String,
    /// The epoch for which it is worth something.
    pub epoch: u64,
    /// After this it is worth nothing, in milliseconds since 1970.
    pub expires_at_ms: u64,
}

/// What became of the old writer after its Region came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Old {
    /// When its Region answered again, in milliseconds since 1970.
    pub back_at_ms: u64,
    /// What was done about it, or what it is.
    pub what: String,
    /// Whether it is certain that it acknowledges no write.
    pub fenced: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_serves_is_said_by_the_item_and_else_by_the_side() {
        let table = [
            (Side::Primary, None, true),
            (Side::Dr, None, false),
            (Side::Primary, Some(json!({ "serves": false })), false),
            (Side::Dr, Some(json!({ "serves": true })), true),
            (Side::Primary, Some(json!({})), false),
            (Side::Primary, Some(json!("x")), false),
        ];
        for (side, item, expected) in table {
            assert_eq!(serves(side, item.as_ref()), expected, "{side:?} {item:?}");
        }
    }

    #[test]
    fn an_item_that_was_written_is_read_back() {
        let region = Region { epoch: 3, phase: Phase::Serving, serves: true, ..Region::default() };
        let value = serde_json::to_value(&region).unwrap_or_default();
        assert_eq!(serde_json::from_value::<Region>(value.clone()).ok(), Some(region));
        assert!(serves(Side::Dr, Some(&value)));
        assert_eq!(serde_json::from_value::<Region>(json!({})).ok(), Some(Region::default()));
    }
}
