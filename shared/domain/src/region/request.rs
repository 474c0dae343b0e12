//! What a person can ask of `fail-over-region`, by invoking it.

use crate::request::BadRequest;
use serde_json::{Map, Value};
use std::fmt;

/// A request, as read from the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `{"status": "ledger"}`, `{"explain": "ledger"}`: what is, and what would be done; nothing is.
    Status {
        /// The cluster.
        cluster: String,
    },
    /// `{"preflight": "ledger"}`: whether a takeover would work, tried now.
    Preflight {
        /// The cluster.
        cluster: String,
    },
    /// `{"switchover": {"cluster": "ledger", "to": "eu-central-1"}}`
    Switchover {
        /// The cluster.
        cluster: String,
        /// The Region that shall serve.
        to: Option<String>,
    },
    /// `{"failover": {"cluster": "ledger", "to": "eu-central-1", "approval": "ledger.3.1a2b3c4d"}}`, and
    /// `{"approve": {"cluster": "ledger", "token": "ledger.3.1a2b3c4d"}}`
    Failover {
        /// The cluster.
        cluster: String,
        /// The Region that shall serve.
        to: Option<String>,
        /// The token that the page offered.
        approval: Option<String>,
    },
    /// `{"failback": {"cluster": "ledger", "to": "eu-west-1"}}`
    Failback {
        /// The cluster.
        cluster: String,
        /// The Region that shall serve again.
        to: Option<String>,
    },
    /// `{"rebuild": {"cluster": "ledger"}}`: the old Region's servers are made anew, as the second side.
    Rebuild {
        /// The cluster.
        cluster: String,
    },
}

/// Their names, with the fields that each has beside `cluster`; the first must be there.
const NAMES: [(&str, &[&str]); 8] = [
    ("status", &[]),
    ("explain", &[]),
    ("preflight", &[]),
    ("switchover", &["to"]),
    ("failover", &["to", "approval"]),
    ("approve", &["token"]),
    ("failback", &["to"]),
    ("rebuild", &[]),
];

impl Request {
    /// Reads a payload; `None` for one that asks for nothing known here.
    #[must_use]
    pub fn read(payload: &Value) -> Option<Result<Self, BadRequest>> {
        let object = payload.as_object()?;
        let asked: Vec<_> = NAMES.into_iter().filter(|(name, _)| object.contains_key(*name)).collect();
        match asked.as_slice() {
            [] => None,
            [(name, fields)] if object.len() == 1 => Some(read_one(name, fields, &object[*name])),
            _ => {
                let found: Vec<&str> = object.keys().map(String::as_str).collect();
                Some(Err(BadRequest(format!(
                    "the request has {}; one of {} is allowed, and nothing beside it",
                    found.join(", "),
                    NAMES.map(|(name, _)| name).join(", ")
                ))))
            }
        }
    }

    /// The cluster that it is about.
    #[must_use]
    pub fn cluster(&self) -> &str {
        match self {
            Request::Status { cluster }
            | Request::Preflight { cluster }
            | Request::Switchover { cluster, .. }
            | Request::Failover { cluster, .. }
            | Request::Failback { cluster, .. }
            | Request::Rebuild { cluster } => cluster,
        }
    }

    /// Whether it wants another Region to serve, or other servers.
    #[must_use]
    pub fn changes(&self) -> bool {
        !matches!(self, Request::Status { .. } | Request::Preflight { .. })
    }
}

fn read_one(name: &str, optional: &[&str], body: &Value) -> Result<Request, BadRequest> {
    let short = Map::from_iter([("cluster".to_owned(), body.clone())]);
    let object = match body {
        Value::String(_) => &short,
        Value::Object(object) => object,
        _ => {
            let fields = [&["cluster"], optional].concat().join(", ");
            return Err(BadRequest(format!("{name} is {body}; an object with {fields} is allowed")));
        }
    };
    if let Some(key) = object.keys().find(|key| *key != "cluster" && !optional.contains(&key.as_str())) {
        let fields = [&["cluster"], optional].concat().join(", ");
        return Err(BadRequest(format!("{name}/{key} is not known; {fields} are allowed")));
    }
    let text = |field: &str| match object.get(field) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() && text.len() <= 200 => Ok(Some(text.clone())),
        Some(found) => Err(BadRequest(format!("{name}/{field} is {found}; allowed is a text of 1 to 200 bytes"))),
    };
    let needed = |field: &str| {
        let missing = || BadRequest(format!("{name}/{field} is missing; allowed is a text of 1 to 200 bytes"));
        text(field)?.ok_or_else(missing)
    };
    let cluster = needed("cluster")?;
    Ok(match name {
        "preflight" => Request::Preflight { cluster },
        "switchover" => Request::Switchover { cluster, to: text("to")? },
        "failover" => Request::Failover { cluster, to: text("to")?, approval: text("approval")? },
        "approve" => Request::Failover { cluster, to: None, approval: Some(needed("token")?) },
        "failback" => Request::Failback { cluster, to: text("to")? },
        "rebuild" => Request::Rebuild { cluster },
        _ => Request::Status { cluster },
    })
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::Status { cluster } => write!(f, "how the Regions of {cluster} are"),
            Request::Preflight { cluster } => write!(f, "whether the second Region of {cluster} could take over"),
            Request::Switchover { cluster, .. } => write!(f, "a switchover of {cluster} to its second Region"),
            Request::Failover { cluster, approval: None, .. } => {
                write!(f, "a failover of {cluster} to its second Region")
            }
            Request::Failover { cluster, approval: Some(token), .. } => {
                write!(f, "a failover of {cluster} to its second Region, approved with {token}")
            }
            Request::Failback { cluster, .. } => write!(f, "a failback of {cluster} to its first Region"),
            Request::Rebuild { cluster } => write!(f, "the old Region of {cluster} as its second side"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_request_is_read() {
        let cluster = || "ledger".to_owned();
        let to = Some("eu-central-1".to_owned());
        let token = || Some("ledger.3.1a2b".to_owned());
        let table = [
            (json!({"status": "ledger"}), Request::Status { cluster: cluster() }),
            (json!({"explain": {"cluster": "ledger"}}), Request::Status { cluster: cluster() }),
            (json!({"preflight": "ledger"}), Request::Preflight { cluster: cluster() }),
            (
                json!({"switchover": {"cluster": "ledger", "to": "eu-central-1"}}),
                Request::Switchover { cluster: cluster(), to: to.clone() },
            ),
            (
                json!({"failover": {"cluster": "ledger", "to": "eu-central-1", "approval": "ledger.3.1a2b"}}),
                Request::Failover { cluster: cluster(), to, approval: token() },
            ),
            (json!({"failover": "ledger"}), Request::Failover { cluster: cluster(), to: None, approval: None }),
            (
                json!({"approve": {"cluster": "ledger", "token": "ledger.3.1a2b"}}),
                Request::Failover { cluster: cluster(), to: None, approval: token() },
            ),
            (json!({"failback": {"cluster": "ledger"}}), Request::Failback { cluster: cluster(), to: None }),
            (json!({"rebuild": "ledger"}), Request::Rebuild { cluster: cluster() }),
        ];
        for (payload, expected) in table {
            assert_eq!(Request::read(&payload), Some(Ok(expected)), "{payload}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_allowed() {
        let table = [
            (json!({"failover": 7}), "failover is 7; an object with cluster, to, approval is allowed"),
            (json!({"failover": {}}), "failover/cluster is missing; allowed is a text of 1 to 200 bytes"),
            (
                json!({"failover": {"cluster": "x", "force": true}}),
                "failover/force is not known; cluster, to, approval are allowed",
            ),
            (json!({"approve": "x"}), "approve/token is missing; allowed is a text of 1 to 200 bytes"),
            (json!({"failback": {"cluster": "x", "to": 1}}), "failback/to is 1; allowed is a text of 1 to 200 bytes"),
        ];
        for (payload, expected) in table {
            assert_eq!(Request::read(&payload), Some(Err(BadRequest(expected.to_owned()))), "{payload}");
        }
        assert!(matches!(Request::read(&json!({"status": "x", "failback": "x"})), Some(Err(_))));
        assert_eq!(Request::read(&json!({"detail": {}})), None);
        assert_eq!(Request::read(&json!([])), None);
    }
}
