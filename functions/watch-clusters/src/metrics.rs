//! Metrics, as documents of CloudWatch's embedded metric format.
//!
//! Written here, in some forty lines, and not by a recorder of the `metrics`
//! facade: such a recorder is one for the process and never forgets a gauge, so
//! that a warm function would report the last `WriterUp` of a cluster that it
//! no longer watches, and hide from the alarm that nobody looks.
//!
//! Source: Amazon CloudWatch User Guide, "Specification: Embedded metric format".

use serde_json::{Map, Value, json};

/// Values that one metric of one document may hold at most.
const MOST_VALUES: usize = 100;

/// What the probes since the last document found of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Whether the last probe of the writer found it out of recovery; `None` where another Region serves.
    pub writer_up: Option<bool>,
    /// Members that answered their last probe, whatever they answered.
    pub members_up: usize,
    /// Log that the standby furthest behind lacks; `None` when unknown.
    pub lag_bytes: Option<u64>,
    /// How long each probe of the writer took.
    pub probe_ms: Vec<u64>,
}

impl Sample {
    /// The document of one cluster.
    pub(crate) fn document(&self, now_ms: u64, fleet: &str, cluster: &str) -> Value {
        let mut values = Vec::new();
        if let Some(up) = self.writer_up {
            values.push(("WriterUp", "Count", json!(u8::from(up))));
        }
        values.push(("MembersUp", "Count", json!(self.members_up)));
        if let Some(bytes) = self.lag_bytes {
            values.push(("ReplicationLagBytes", "Bytes", json!(bytes)));
        }
        if !self.probe_ms.is_empty() {
            values.push(("ProbeMs", "Milliseconds", json!(&self.probe_ms[..self.probe_ms.len().min(MOST_VALUES)])));
        }
        document(now_ms, &[("Fleet", fleet), ("Cluster", cluster)], values)
    }
}

/// The document of the fleet itself.
pub(crate) fn cards_unreadable(now_ms: u64, fleet: &str, count: usize) -> Value {
    document(now_ms, &[("Fleet", fleet)], vec![("CardsUnreadable", "Count", json!(count))])
}

fn document(now_ms: u64, dimensions: &[(&str, &str)], values: Vec<(&str, &str, Value)>) -> Value {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let metrics: Vec<Value> = values.iter().map(|(name, unit, _)| json!({ "Name": name, "Unit": unit })).collect();
    let metadata = json!({
        "Timestamp": now_ms,
        "CloudWatchMetrics": [{ "Namespace": "Understudy", "Dimensions": [names], "Metrics": metrics }],
    });
    let mut document = Map::from_iter([("_aws".to_owned(), metadata)]);
    document.extend(dimensions.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    document.extend(values.into_iter().map(|(name, _, value)| (name.to_owned(), value)));
    Value::Object(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_in_the_specified_form() {
        let sample = Sample { writer_up: Some(true), members_up: 3, lag_bytes: Some(4096), probe_ms: vec![12, 15] };
        let expected = json!({
            "_aws": {
                "Timestamp": 1_795_230_730_123_u64,
                "CloudWatchMetrics": [{
                    "Namespace": "Understudy",
                    "Dimensions": [["Fleet", "Cluster"]],
                    "Metrics": [
                        { "Name": "WriterUp", "Unit": "Count" },
                        { "Name": "MembersUp", "Unit": "Count" },
                        { "Name": "ReplicationLagBytes", "Unit": "Bytes" },
                        { "Name": "ProbeMs", "Unit": "Milliseconds" },
                    ],
                }],
            },
            "Fleet": "prod", "Cluster": "orders",
            "WriterUp": 1, "MembersUp": 3, "ReplicationLagBytes": 4096, "ProbeMs": [12, 15],
        });
        assert_eq!(sample.document(1_795_230_730_123, "prod", "orders"), expected);
    }

    #[test]
    fn what_is_unknown_is_left_out_and_what_is_long_is_cut() {
        let mut sample = Sample { writer_up: Some(false), members_up: 0, lag_bytes: None, probe_ms: vec![] };
        let document = sample.document(0, "prod", "orders");
        assert_eq!(document["WriterUp"], 0);
        assert_eq!((document.get("ReplicationLagBytes"), document.get("ProbeMs")), (None, None));
        assert_eq!(document["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().map(Vec::len), Some(2));
        sample.probe_ms = vec![1; 101];
        assert_eq!(sample.document(0, "prod", "orders")["ProbeMs"].as_array().map(Vec::len), Some(MOST_VALUES));
    }

    #[test]
    fn the_fleet_has_one_dimension() {
        let document = cards_unreadable(0, "prod", 2);
        assert_eq!(document["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["Fleet"]]));
        assert_eq!((&document["CardsUnreadable"], &document["Fleet"]), (&json!(2), &json!("prod")));
    }
}
