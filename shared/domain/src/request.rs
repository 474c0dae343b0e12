//! What a person can ask of `promote-replica`, by invoking it.

use serde_json::{Map, Value};
use std::fmt;

/// A pause lasts at most this long, and this long when nothing is said.
pub const LONGEST_PAUSE_MINUTES: u64 = 24 * 60;
const PAUSE_MINUTES: u64 = 60;

/// A request, as read from the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `{"explain": "orders"}`: what would be done now; nothing is.
    Explain {
        /// The cluster.
        cluster: String,
    },
    /// `{"switchover": {"cluster": "orders", "to": "orders_2"}}`
    Switchover {
        /// The cluster.
        cluster: String,
        /// Instance id or name of the member that shall write.
        to: String,
    },
    /// `{"pause": {"cluster": "orders", "minutes": 30, "reason": "kernel update"}}`
    Pause {
        /// The cluster.
        cluster: String,
        /// For how long.
        minutes: u64,
        /// Why, for everybody who finds it paused.
        reason: String,
    },
    /// `{"resume": {"cluster": "orders"}}`
    Resume {
        /// The cluster.
        cluster: String,
    },
    /// `{"approve": {"cluster": "orders", "epoch": 6, "data_loss_bytes": 2097152}}`,
    /// or `"any"` in place of the number.
    Approve {
        /// The cluster.
        cluster: String,
        /// The epoch that the page named.
        epoch: u64,
        /// Bytes of log that may be lost; `None` is any number, known or not.
        data_loss_bytes: Option<u64>,
    },
}

/// Why a payload that looks like a request is none: the field, what was found,
/// what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRequest(pub String);

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The names of all requests.
const NAMES: [&str; 5] = ["explain", "switchover", "pause", "resume", "approve"];

impl Request {
    /// Reads a payload; `None` for one that asks for nothing known here.
    #[must_use]
    pub fn read(payload: &Value) -> Option<Result<Self, BadRequest>> {
        let object = payload.as_object()?;
        let asked: Vec<&str> = NAMES.into_iter().filter(|name| object.contains_key(*name)).collect();
        match asked.as_slice() {
            [] => None,
            [name] if object.len() == 1 => Some(read_one(name, &object[*name])),
            _ => {
                let found: Vec<&str> = object.keys().map(String::as_str).collect();
                Some(Err(BadRequest(format!(
                    "the request has {}; one of {} is allowed, and nothing beside it",
                    found.join(", "),
                    NAMES.join(", ")
                ))))
            }
        }
    }

    /// The cluster that it is about.
    #[must_use]
    pub fn cluster(&self) -> &str {
        match self {
            Request::Explain { cluster }
            | Request::Switchover { cluster, .. }
            | Request::Pause { cluster, .. }
            | Request::Resume { cluster }
            | Request::Approve { cluster, .. } => cluster,
        }
    }
}

fn read_one(name: &str, body: &Value) -> Result<Request, BadRequest> {
    if let ("explain" | "resume", Value::String(cluster)) = (name, body) {
        let cluster = cluster.clone();
        return Ok(if name == "explain" { Request::Explain { cluster } } else { Request::Resume { cluster } });
    }
    let allowed: &[&str] = match name {
        "switchover" => &["cluster", "to"],
        "pause" => &["cluster", "minutes", "reason"],
        "approve" => &["cluster", "epoch", "data_loss_bytes"],
        _ => &["cluster"],
    };
    let Some(object) = body.as_object() else {
        let fields = allowed.join(", ");
        return Err(BadRequest(format!("{name} is {body}; an object with {fields} is allowed")));
    };
    let fields = Fields { name, object };
    fields.only(allowed)?;
    let cluster = fields.text("cluster")?;
    Ok(match name {
        "explain" => Request::Explain { cluster },
        "switchover" => Request::Switchover { cluster, to: fields.text("to")? },
        "pause" => Request::Pause {
            cluster,
            minutes: fields.minutes()?,
            reason: if object.contains_key("reason") { fields.text("reason")? } else { "no reason given".to_owned() },
        },
        "resume" => Request::Resume { cluster },
        _ => Request::Approve {
            cluster,
            epoch: fields.whole("epoch", "the epoch that the page named")?,
            data_loss_bytes: fields.loss()?,
        },
    })
}

struct Fields<'a> {
    name: &'a str,
    object: &'a Map<String, Value>,
}

impl Fields<'_> {
    fn only(&self, allowed: &[&str]) -> Result<(), BadRequest> {
        match self.object.keys().find(|key| !allowed.contains(&key.as_str())) {
            Some(key) => {
                Err(BadRequest(format!("{}/{key} is not known; {} are allowed", self.name, allowed.join(", "))))
            }
            None => Ok(()),
        }
    }

    fn bad(&self, field: &str, allowed: &str) -> BadRequest {
        match self.object.get(field) {
            Some(found) => BadRequest(format!("{}/{field} is {found}; allowed is {allowed}", self.name)),
            None => BadRequest(format!("{}/{field} is missing; allowed is {allowed}", self.name)),
        }
    }

    fn text(&self, field: &str) -> Result<String, BadRequest> {
        let text = self.object.get(field).and_then(Value::as_str).filter(|text| !text.is_empty() && text.len() <= 200);
        text.map(str::to_owned).ok_or_else(|| self.bad(field, "a text of 1 to 200 bytes"))
    }

    fn whole(&self, field: &str, allowed: &str) -> Result<u64, BadRequest> {
        self.object.get(field).and_then(Value::as_u64).ok_or_else(|| self.bad(field, allowed))
    }

    fn minutes(&self) -> Result<u64, BadRequest> {
        let allowed = format!("a whole number of minutes, 1 to {LONGEST_PAUSE_MINUTES}");
        match self.object.get("minutes") {
            None => Ok(PAUSE_MINUTES),
            Some(_) => self
                .whole("minutes", &allowed)
                .ok()
                .filter(|minutes| (1..=LONGEST_PAUSE_MINUTES).contains(minutes))
                .ok_or_else(|| self.bad("minutes", &allowed)),
        }
    }

    fn loss(&self) -> Result<Option<u64>, BadRequest> {
        if self.object.get("data_loss_bytes").and_then(Value::as_str) == Some("any") {
            return Ok(None);
        }
        self.whole("data_loss_bytes", "a whole number of bytes, or \"any\"").map(Some)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::Explain { cluster } => write!(f, "what would be done to {cluster} now"),
            Request::Switchover { cluster, to } => write!(f, "a switchover of {cluster} to {to}"),
            Request::Pause { cluster, minutes, .. } => write!(f, "a pause of {cluster} for {minutes} min"),
            Request::Resume { cluster } => write!(f, "an end of the pause of {cluster}"),
            Request::Approve { cluster, epoch, data_loss_bytes: Some(bytes) } => {
                write!(f, "an approval for {cluster}, epoch {epoch}, to lose up to {}", crate::time::bytes(*bytes))
            }
            Request::Approve { cluster, epoch, data_loss_bytes: None } => {
                write!(f, "an approval for {cluster}, epoch {epoch}, to lose whatever is lost")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_request_is_read() {
        let cluster = || "orders".to_owned();
        let table = [
            (json!({"explain": "orders"}), Request::Explain { cluster: cluster() }),
            (
                json!({"switchover": {"cluster": "orders", "to": "orders_2"}}),
                Request::Switchover { cluster: cluster(), to: "orders_2".to_owned() },
            ),
            (
                json!({"pause": {"cluster": "orders", "minutes": 30, "reason": "kernel"}}),
                Request::Pause { cluster: cluster(), minutes: 30, reason: "kernel".to_owned() },
            ),
            (
                json!({"pause": {"cluster": "orders"}}),
                Request::Pause { cluster: cluster(), minutes: 60, reason: "no reason given".to_owned() },
            ),
            (json!({"resume": "orders"}), Request::Resume { cluster: cluster() }),
            (json!({"resume": {"cluster": "orders"}}), Request::Resume { cluster: cluster() }),
            (
                json!({"approve": {"cluster": "orders", "epoch": 6, "data_loss_bytes": 7}}),
                Request::Approve { cluster: cluster(), epoch: 6, data_loss_bytes: Some(7) },
            ),
            (
                json!({"approve": {"cluster": "orders", "epoch": 6, "data_loss_bytes": "any"}}),
                Request::Approve { cluster: cluster(), epoch: 6, data_loss_bytes: None },
            ),
        ];
        for (payload, expected) in table {
            assert_eq!(Request::read(&payload), Some(Ok(expected)), "{payload}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_allowed() {
        let table = [
            (json!({"explain": 7}), "explain is 7; an object with cluster is allowed"),
            (
                json!({"switchover": {"cluster": "orders"}}),
                "switchover/to is missing; allowed is a text of 1 to 200 bytes",
            ),
            (
                json!({"switchover": {"cluster": "orders", "to": "x", "force": true}}),
                "switchover/force is not known; cluster, to are allowed",
            ),
            (
                json!({"pause": {"cluster": "orders", "minutes": 0}}),
                "pause/minutes is 0; allowed is a whole number of minutes, 1 to 1440",
            ),
            (
                json!({"pause": {"cluster": "orders", "minutes": 1.5}}),
                "pause/minutes is 1.5; allowed is a whole number of minutes, 1 to 1440",
            ),
            (
                json!({"approve": {"cluster": "orders", "epoch": -1, "data_loss_bytes": 1}}),
                "approve/epoch is -1; allowed is the epoch that the page named",
            ),
            (
                json!({"approve": {"cluster": "orders", "epoch": 1}}),
                "approve/data_loss_bytes is missing; allowed is a whole number of bytes, or \"any\"",
            ),
            (
                json!({"explain": "orders", "resume": "orders"}),
                "the request has explain, resume; one of explain, switchover, pause, resume, approve is allowed, and nothing beside it",
            ),
        ];
        for (payload, expected) in table {
            assert_eq!(Request::read(&payload), Some(Err(BadRequest(expected.to_owned()))), "{payload}");
        }
        assert_eq!(Request::read(&json!({"detail": {}})), None);
        assert_eq!(Request::read(&json!([])), None);
    }
}
