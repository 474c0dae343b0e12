//! What a person asks of `deploy-cluster`, beside giving it a spec.

use crate::{blue_green, request::BadRequest};
use serde_json::Value;
use std::fmt;

/// A request, by direct invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// `{"plan": SPEC}`: what would deploying this spec change?
    Plan {
        /// The cluster that the spec names, when it names one.
        cluster: Option<String>,
    },
    /// `{"delete": "orders", "confirm": "orders"}`.
    Delete {
        /// The cluster.
        cluster: String,
    },
    /// `{"status": "orders"}`.
    Status {
        /// The cluster.
        cluster: String,
    },
    /// `{"render_anew": "leads"}`: its roles have changed; `promote-replica` and `fail-over-region` ask for it.
    RenderAnew {
        /// The cluster.
        cluster: String,
    },
    /// `{"blue_green": {"cluster": "leads", "action": "create"}}`.
    BlueGreen(blue_green::Request),
    /// `{"plan_upgrade": {"cluster": "leads", "to": 17}}`: the way to another major version.
    PlanUpgrade {
        /// The cluster.
        cluster: String,
        /// The major version.
        to: u32,
    },
}

/// What a payload without an envelope is to `deploy-cluster`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// `SPEC` or `{"deploy": SPEC}`: the name in it.
    Spec(Option<String>),
    /// One of the others.
    Order(Order),
}

/// The names of all requests.
const NAMES: [&str; 7] = ["plan", "deploy", "delete", "status", "render_anew", "blue_green", "plan_upgrade"];

/// Reads a payload. What is no request is taken for a spec, whose reader says what is wrong with it.
pub(super) fn read(payload: &Value) -> Result<Asked, BadRequest> {
    let name = |spec: &Value| super::envelope::text(spec, "/name").map(str::to_owned);
    let Some(object) = payload.as_object() else { return Ok(Asked::Spec(None)) };
    let asked: Vec<&str> = NAMES.into_iter().filter(|name| object.contains_key(*name)).collect();
    let beside = object.keys().filter(|key| *key != "confirm" || asked != ["delete"]).count();
    match asked.as_slice() {
        [] => Ok(Asked::Spec(name(payload))),
        ["plan"] if beside == 1 => Ok(Asked::Order(Order::Plan { cluster: name(&payload["plan"]) })),
        ["deploy"] if beside == 1 => Ok(Asked::Spec(name(&payload["deploy"]))),
        ["status"] if beside == 1 => {
            Ok(Asked::Order(Order::Status { cluster: cluster("status", &payload["status"])? }))
        }
        ["render_anew"] if beside == 1 => {
            let cluster = cluster("render_anew", &payload["render_anew"])?;
            Ok(Asked::Order(Order::RenderAnew { cluster }))
        }
        ["blue_green"] if beside == 1 => Ok(Asked::Order(Order::BlueGreen(blue_green::read(&payload["blue_green"])?))),
        ["plan_upgrade"] if beside == 1 => plan_upgrade(&payload["plan_upgrade"]),
        ["delete"] if beside == 1 => delete(&payload["delete"], payload.get("confirm")),
        _ => {
            let found: Vec<&str> = object.keys().map(String::as_str).collect();
            let names = NAMES.join(", ");
            Err(BadRequest(format!(
                "the request has {}; one of {names} is allowed, and nothing beside it but confirm beside delete",
                found.join(", ")
            )))
        }
    }
}

fn delete(found: &Value, confirm: Option<&Value>) -> Result<Asked, BadRequest> {
    let cluster = cluster("delete", found)?;
    match confirm {
        Some(Value::String(again)) if *again == cluster => Ok(Asked::Order(Order::Delete { cluster })),
        Some(other) => {
            Err(BadRequest(format!("confirm is {other}; allowed is the name of the cluster again, \"{cluster}\"")))
        }
        None => Err(BadRequest(format!("confirm is missing; allowed is the name of the cluster again, \"{cluster}\""))),
    }
}

fn plan_upgrade(found: &Value) -> Result<Asked, BadRequest> {
    let fields = found.as_object().filter(|fields| fields.len() == 2 && fields.contains_key("to"));
    let (Some(fields), Some(name)) = (fields, fields.and_then(|fields| fields.get("cluster"))) else {
        return Err(BadRequest(format!(
            "plan_upgrade is {found}; allowed is an object of cluster and to, the major version"
        )));
    };
    let cluster = cluster("plan_upgrade/cluster", name)?;
    let to = fields["to"].as_u64().and_then(|to| u32::try_from(to).ok()).filter(|to| (13..=99).contains(to));
    let to = to.ok_or_else(|| {
        BadRequest(format!("plan_upgrade/to is {}; allowed is a major version of PostgreSQL, such as 17", fields["to"]))
    })?;
    Ok(Asked::Order(Order::PlanUpgrade { cluster, to }))
}

/// A cluster's name as specs have them: what is none would be part of a stack's name all the same.
pub(crate) fn cluster(field: &str, found: &Value) -> Result<String, BadRequest> {
    let is_name = |text: &str| {
        let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        (2..=40).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.split('-').all(word)
    };
    match found.as_str() {
        Some(text) if is_name(text) => Ok(text.to_owned()),
        _ => Err(BadRequest(format!("{field} is {found}; allowed is the name of a cluster"))),
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Order::Plan { cluster: Some(cluster) } => write!(f, "what deploying the spec of {cluster} would change"),
            Order::Plan { cluster: None } => f.write_str("what deploying a spec would change"),
            Order::Delete { cluster } => write!(f, "the end of {cluster}"),
            Order::Status { cluster } => write!(f, "how {cluster} stands"),
            Order::RenderAnew { cluster } => write!(f, "the stack of {cluster} with the roles of today"),
            Order::BlueGreen(request) => request.fmt(f),
            Order::PlanUpgrade { cluster, to } => write!(f, "the way of {cluster} to PostgreSQL {to}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn orders() -> String {
        "orders".to_owned()
    }

    #[test]
    fn every_request_is_read() {
        let spec = json!({"name": "orders", "topology": "ec2-streaming"});
        let table = [
            (spec.clone(), Asked::Spec(Some(orders()))),
            (json!({"deploy": spec}), Asked::Spec(Some(orders()))),
            (json!({"deploy": 7}), Asked::Spec(None)),
            (json!([]), Asked::Spec(None)),
            (json!({"plan": spec}), Asked::Order(Order::Plan { cluster: Some(orders()) })),
            (json!({"plan": null}), Asked::Order(Order::Plan { cluster: None })),
            (json!({"status": "orders"}), Asked::Order(Order::Status { cluster: orders() })),
            (json!({"delete": "orders", "confirm": "orders"}), Asked::Order(Order::Delete { cluster: orders() })),
            (json!({"render_anew": "orders"}), Asked::Order(Order::RenderAnew { cluster: orders() })),
            (
                json!({"plan_upgrade": {"cluster": "orders", "to": 17}}),
                Asked::Order(Order::PlanUpgrade { cluster: orders(), to: 17 }),
            ),
            // Not ours, and no request: its reader says that it is no spec.
            (json!({"confirm": "orders"}), Asked::Spec(None)),
        ];
        for (payload, expected) in table {
            assert_eq!(read(&payload), Ok(expected), "{payload}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_allowed() {
        let table = [
            (json!({"delete": "orders"}), "confirm is missing; allowed is the name of the cluster again, \"orders\""),
            (
                json!({"delete": "orders", "confirm": "order"}),
                "confirm is \"order\"; allowed is the name of the cluster again, \"orders\"",
            ),
            (
                json!({"delete": "orders", "confirm": true}),
                "confirm is true; allowed is the name of the cluster again, \"orders\"",
            ),
            (json!({"delete": "*", "confirm": "*"}), "delete is \"*\"; allowed is the name of a cluster"),
            (json!({"delete": "a--b", "confirm": "a--b"}), "delete is \"a--b\"; allowed is the name of a cluster"),
            (json!({"status": ["orders"]}), "status is [\"orders\"]; allowed is the name of a cluster"),
            (json!({"status": "o"}), "status is \"o\"; allowed is the name of a cluster"),
            (json!({"render_anew": {}}), "render_anew is {}; allowed is the name of a cluster"),
            (
                json!({"plan_upgrade": "orders"}),
                "plan_upgrade is \"orders\"; allowed is an object of cluster and to, the major version",
            ),
            (
                json!({"plan_upgrade": {"cluster": "orders", "to": "17.1"}}),
                "plan_upgrade/to is \"17.1\"; allowed is a major version of PostgreSQL, such as 17",
            ),
            (
                json!({"plan": {}, "deploy": {}}),
                "the request has deploy, plan; one of plan, deploy, delete, status, render_anew, blue_green, plan_upgrade is allowed, and nothing beside it \
                 but confirm beside delete",
            ),
            (
                json!({"plan": {}, "confirm": "orders"}),
                "the request has confirm, plan; one of plan, deploy, delete, status, render_anew, blue_green, plan_upgrade is allowed, and nothing beside it \
                 but confirm beside delete",
            ),
            (
                json!({"delete": "orders", "confirm": "orders", "force": true}),
                "the request has confirm, delete, force; one of plan, deploy, delete, status, render_anew, blue_green, plan_upgrade is allowed, and nothing \
                 beside it but confirm beside delete",
            ),
        ];
        for (payload, expected) in table {
            assert_eq!(read(&payload), Err(BadRequest(expected.to_owned())), "{payload}");
        }
    }
}
