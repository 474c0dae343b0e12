//! What Patroni answers, as far as it is needed here.

use serde::Deserialize;
use serde_json::Value;

/// `GET /cluster`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The members.
    pub members: Vec<Listed>,
    /// Whether Patroni is paused.
    pub paused: bool,
}

/// One member of `GET /cluster`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// `leader`, `standby_leader`, `sync_standby`, `quorum_standby`, `replica`.
    pub role: String,
    /// `running`, `streaming`, `start failed`.
    pub state: String,
    /// Its timeline.
    pub timeline: Option<u32>,
    /// Bytes that it has not replayed; Patroni says `unknown` for none.
    pub lag: Option<u64>,
}

/// `GET /patroni`: one member about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// `running`, `starting`, `start failed`.
    pub state: String,
    /// `primary`, `replica`.
    pub role: String,
    /// Whether nobody holds the leader's key, as far as it knows.
    pub unlocked: bool,
    /// When it last reached etcd, in seconds since 1970.
    pub dcs_last_seen_s: Option<u64>,
    /// Whether it is paused.
    pub paused: bool,
}

/// One line of `GET /history`: a timeline, where it ended, why, when the next
/// began, and who began it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The timeline that ended.
    pub timeline: u32,
    /// Where, in bytes.
    pub ended_at: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: Option<u64>,
    /// The member that began the next.
    pub leader: Option<String>,
}

#[derive(Deserialize)]
struct RawCluster {
    members: Vec<Value>,
    #[serde(default)]
    pause: Value,
}

impl Cluster {
    /// Reads the body.
    pub(crate) fn read(body: &[u8]) -> Result<Self, String> {
        let raw: RawCluster = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        Ok(Cluster { members: raw.members.iter().filter_map(Listed::read).collect(), paused: raw.pause == true })
    }
}

impl Listed {
    fn read(value: &Value) -> Option<Self> {
        Some(Listed {
            name: text(value, "name")?,
            role: text(value, "role")?,
            state: text(value, "state").unwrap_or_default(),
            timeline: number(value, "timeline").and_then(|timeline| u32::try_from(timeline).ok()),
            // 4.1 has replay_lag and receive_lag beside lag, which is the receive lag there.
            lag: number(value, "lag").or_else(|| number(value, "receive_lag")),
        })
    }
}

impl Status {
    /// Reads the body.
    pub(crate) fn read(body: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let state = text(&value, "state").ok_or("it names no state")?;
        Ok(Status {
            state,
            role: text(&value, "role").unwrap_or_default(),
            unlocked: value.get("cluster_unlocked") == Some(&Value::Bool(true)),
            dcs_last_seen_s: number(&value, "dcs_last_seen"),
            paused: value.get("pause") == Some(&Value::Bool(true)),
        })
    }
}

impl History {
    /// Reads the body: a list of lists. A line that makes no sense is left out.
    pub(crate) fn read(body: &[u8]) -> Result<Vec<Self>, String> {
        let lines: Vec<Value> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        Ok(lines.iter().filter_map(Self::line).collect())
    }

    fn line(line: &Value) -> Option<Self> {
        Some(History {
            timeline: u32::try_from(line.get(0)?.as_u64()?).ok()?,
            ended_at: line.get(1)?.as_u64()?,
            at_ms: line.get(3).and_then(Value::as_str).and_then(domain::time::parse_stamp),
            leader: line.get(4).and_then(Value::as_str).map(str::to_owned),
        })
    }
}

fn text(value: &Value, name: &str) -> Option<String> {
    // What is this long is no word of Patroni's.
    value.get(name)?.as_str().filter(|text| text.len() <= 200).map(str::to_owned)
}

fn number(value: &Value, name: &str) -> Option<u64> {
    value.get(name)?.as_u64()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;

    /// As Patroni 4.1 answers.
    #[test]
    fn a_cluster_is_read() {
        let body = br#"{"members": [
            {"name": "shop_1", "role": "leader", "state": "running", "api_url": "https://10.0.1.5:8008/patroni",
             "host": "10.0.1.5", "port": 5432, "timeline": 5},
            {"name": "shop_2", "role": "sync_standby", "state": "streaming", "host": "10.0.2.5", "port": 5432,
             "timeline": 5, "receive_lsn": "0/4000060", "receive_lag": 0, "replay_lag": 0, "lag": 0},
            {"name": "shop_3", "role": "replica", "state": "start failed", "host": "10.0.3.5", "lag": "unknown"},
            {"role": "replica"}, 7],
            "scope": "shop", "pause": true, "scheduled_switchover": {}}"#;
        let cluster = Cluster::read(body).unwrap();
        assert!(cluster.paused);
        let seen = cluster.members.iter();
        let seen: Vec<_> =
            seen.map(|m| (m.name.as_str(), m.role.as_str(), m.state.as_str(), m.timeline, m.lag)).collect();
        let expected = [
            ("shop_1", "leader", "running", Some(5), None),
            ("shop_2", "sync_standby", "streaming", Some(5), Some(0)),
            ("shop_3", "replica", "start failed", None, None),
        ];
        assert_eq!(seen, expected);
        assert!(!Cluster::read(br#"{"members": []}"#).unwrap().paused);
    }

    #[test]
    fn a_members_own_word_is_read() {
        let body = br#"{"state": "running", "role": "replica", "server_version": 150018, "timeline": 5,
            "xlog": {"received_location": 67395656}, "cluster_unlocked": true, "pause": true,
            "dcs_last_seen": 1774840327, "patroni": {"version": "4.1.0", "scope": "shop", "name": "shop_2"}}"#;
        let expected = Status {
            state: "running".to_owned(),
            role: "replica".to_owned(),
            unlocked: true,
            dcs_last_seen_s: Some(1_774_840_327),
            paused: true,
        };
        assert_eq!(Status::read(body), Ok(expected));
    }

    #[test]
    fn a_history_is_read_line_by_line() {
        let body = br#"[[1, 25623960, "no recovery target specified", "2019-09-23T16:57:57.123456+02:00", "shop_2"],
            [2, 67395656, "no recovery target specified"], ["x"], [3]]"#;
        let expected = vec![
            History {
                timeline: 1,
                ended_at: 25_623_960,
                at_ms: Some(1_569_250_677_123),
                leader: Some("shop_2".into()),
            },
            History { timeline: 2, ended_at: 67_395_656, at_ms: None, leader: None },
        ];
        assert_eq!(History::read(body), Ok(expected));
        assert_eq!(History::read(b"[]"), Ok(vec![]));
    }

    #[test]
    fn junk_is_an_error_and_no_panic() {
        for junk in [&b""[..], b"null", b"[", b"7", b"\xff\xfe", b"{}", b"{\"members\": 7}", b"<html>"] {
            assert!(Cluster::read(junk).is_err(), "{junk:?}");
            assert!(Status::read(junk).is_err(), "{junk:?}");
            assert!(junk == b"[]" || History::read(junk).is_err(), "{junk:?}");
        }
    }
}
