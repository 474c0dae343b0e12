//! What a person asks of a blue/green deployment.

use crate::{events::cluster_name, request::BadRequest};
use serde_json::{Map, Value};
use std::fmt;

/// `{"blue_green": {"cluster": "leads", "action": "create", "engine_version": "17.4", ...}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The cluster.
    pub cluster: String,
    /// What is to be done.
    pub action: Action,
}

/// One of four.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make a copy that follows.
    Create(Wanted),
    /// Say how it stands.
    Status,
    /// Let the copy take over, once.
    SwitchOver,
    /// Before it took over: throw the copy away. Afterwards: forget the deployment, and keep the old databases.
    Delete,
}

/// How the copy shall differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `TargetEngineVersion`: `17` or `17.4`; `None`: as now.
    pub engine_version: Option<String>,
    /// `TargetDBParameterGroupName`.
    pub parameter_group: Option<String>,
    /// `TargetDBClusterParameterGroupName`; only of Aurora.
    pub cluster_parameter_group: Option<String>,
}

const ACTIONS: &str = "\"create\", \"status\", \"switch_over\" or \"delete\"";

/// The fields that only `create` has.
const OF_CREATE: [&str; 3] = ["engine_version", "parameter_group", "cluster_parameter_group"];

/// Reads what stands behind `blue_green`.
///
/// # Errors
///
/// [`BadRequest`]: the field, what was found, what is allowed.
pub fn read(found: &Value) -> Result<Request, BadRequest> {
    let Some(fields) = found.as_object() else {
        return Err(BadRequest(format!("blue_green is {found}; allowed is an object of cluster and action")));
    };
    let cluster = cluster_name("blue_green/cluster", fields.get("cluster").unwrap_or(&Value::Null))?;
    let action = fields.get("action").and_then(Value::as_str);
    let known: &[&str] = if action == Some("create") { &OF_CREATE } else { &[] };
    let is_known = |key: &&String| ["cluster", "action"].contains(&key.as_str()) || known.contains(&key.as_str());
    if let Some(unknown) = fields.keys().find(|key| !is_known(key)) {
        let beside = if known.is_empty() { String::new() } else { format!(", {}", OF_CREATE.join(", ")) };
        return Err(BadRequest(format!("blue_green/{unknown} is unknown here; allowed is cluster, action{beside}")));
    }
    let action = match action {
        Some("create") => Action::Create(wanted(fields)?),
        Some("status") => Action::Status,
        Some("switch_over") => Action::SwitchOver,
        Some("delete") => Action::Delete,
        _ => {
            let found = fields.get("action").unwrap_or(&Value::Null);
            return Err(BadRequest(format!("blue_green/action is {found}; allowed is {ACTIONS}")));
        }
    };
    Ok(Request { cluster, action })
}

fn wanted(fields: &Map<String, Value>) -> Result<Wanted, BadRequest> {
    let version = |text: &str| {
        let mut numbers = text.split('.');
        let number = |part: Option<&str>| part.is_none_or(|part| part.len() <= 2 && part.parse::<u8>().is_ok());
        numbers.clone().count() <= 2 && numbers.all(|part| number(Some(part)))
    };
    let group = |text: &str| {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
        plain && (1..=255).contains(&text.len())
    };
    let read = |name: &str, allowed: &str, is_sound: &dyn Fn(&str) -> bool| match fields.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if is_sound(text) => Ok(Some(text.clone())),
        Some(found) => Err(BadRequest(format!("blue_green/{name} is {found}; allowed is {allowed}"))),
    };
    let allowed = "the name of a parameter group";
    Ok(Wanted {
        engine_version: read("engine_version", "a version as text, such as \"17\" or \"17.4\"", &version)?,
        parameter_group: read("parameter_group", allowed, &group)?,
        cluster_parameter_group: read("cluster_parameter_group", allowed, &group)?,
    })
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Request { cluster, action } = self;
        match action {
            Action::Create(Wanted { engine_version: Some(version), .. }) => {
                write!(f, "a green copy of {cluster} with engine version {version}")
            }
            Action::Create(_) => write!(f, "a green copy of {cluster}"),
            Action::Status => write!(f, "how the green copy of {cluster} stands"),
            Action::SwitchOver => write!(f, "a switchover of {cluster} to its green copy"),
            Action::Delete => write!(f, "the end of the blue/green deployment of {cluster}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_action_is_read() {
        let request = |action| Request { cluster: "leads".into(), action };
        let full = Wanted {
            engine_version: Some("17.4".into()),
            parameter_group: Some("leads-17".into()),
            cluster_parameter_group: None,
        };
        let table = [
            (json!({"cluster": "leads", "action": "create"}), request(Action::Create(Wanted::default()))),
            (
                json!({"cluster": "leads", "action": "create", "engine_version": "17.4", "parameter_group": "leads-17"}),
                request(Action::Create(full)),
            ),
            (json!({"cluster": "leads", "action": "status"}), request(Action::Status)),
            (json!({"cluster": "leads", "action": "switch_over"}), request(Action::SwitchOver)),
            (json!({"cluster": "leads", "action": "delete"}), request(Action::Delete)),
        ];
        for (found, expected) in table {
            assert_eq!(read(&found), Ok(expected), "{found}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_allowed() {
        let table = [
            (json!("leads"), "blue_green is \"leads\"; allowed is an object of cluster and action"),
            (json!({"action": "create"}), "blue_green/cluster is null; allowed is the name of a cluster"),
            (
                json!({"cluster": "leads"}),
                "blue_green/action is null; allowed is \"create\", \"status\", \"switch_over\" or \"delete\"",
            ),
            (
                json!({"cluster": "leads", "action": "switchover"}),
                "blue_green/action is \"switchover\"; allowed is \"create\", \"status\", \"switch_over\" or \"delete\"",
            ),
            (
                json!({"cluster": "leads", "action": "delete", "engine_version": "17"}),
                "blue_green/engine_version is unknown here; allowed is cluster, action",
            ),
            (
                json!({"cluster": "leads", "action": "create", "engine_version": 17}),
                "blue_green/engine_version is 17; allowed is a version as text, such as \"17\" or \"17.4\"",
            ),
            (
                json!({"cluster": "leads", "action": "create", "engine_version": "17.4.1"}),
                "blue_green/engine_version is \"17.4.1\"; allowed is a version as text, such as \"17\" or \"17.4\"",
            ),
            (
                json!({"cluster": "leads", "action": "create", "parameter_group": "a b"}),
                "blue_green/parameter_group is \"a b\"; allowed is the name of a parameter group",
            ),
        ];
        for (found, expected) in table {
            assert_eq!(read(&found), Err(BadRequest(expected.to_owned())), "{found}");
        }
    }
}
