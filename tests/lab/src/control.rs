//! The local AWS's switchboard of faults: hosts that die, packets that are dropped, AWS calls that fail.

use crate::{
    clock::Moment,
    error::{Error, cannot},
    place::{CONTROL_PORT, local},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Time for one fault: a disk of 16 GiB is filled in well under a second.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time for what a timer starts: a backup of a small database takes some seconds.
const UNIT_PATIENCE: Duration = Duration::from_secs(180);

/// What the switchboard answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done(Value),
    /// This machine cannot do it (501), in the switchboard's words; nothing was done.
    Unable(String),
}

/// One member's machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Host {
    /// Its instance id.
    pub instance_id: String,
    /// Whether its hardware died.
    pub dead: bool,
    /// What EC2 says of it.
    pub state: String,
}

/// The front of one load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Front {
    /// The balancer's DNS name.
    pub dns_name: String,
    /// Where it listens.
    pub address: IpAddr,
    /// What it listens to, by port.
    pub listeners: Vec<FrontListener>,
}

/// One port of a front.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FrontListener {
    /// The port.
    pub port: u16,
    /// Where connections go.
    pub targets: Vec<FrontTarget>,
}

/// A target, as the front's health checks see it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FrontTarget {
    /// Its instance id.
    pub id: String,
    /// `initial`, `healthy`, `unhealthy` or `unused`.
    pub state: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
}

/// What runs behind RDS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Databases {
    /// Every server there is.
    pub databases: Vec<DatabaseHost>,
    /// Where each endpoint's name leads now.
    pub names: BTreeMap<String, IpAddr>,
}

/// One server of a database.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DatabaseHost {
    /// Identifier of its instance.
    pub id: String,
    /// Its Region.
    pub region: String,
    /// What RDS says of it.
    pub status: String,
    /// Whether its hardware died.
    pub dead: bool,
    /// Where it listens; nowhere while it is being made.
    pub address: Option<IpAddr>,
}

impl Front {
    /// The healthy targets of a port, with the time since when they are.
    pub fn healthy(&self, port: u16) -> Vec<(String, Moment)> {
        let targets = self.listeners.iter().filter(|listener| listener.port == port).flat_map(|found| &found.targets);
        let healthy = targets.filter(|target| target.state == "healthy");
        healthy.map(|target| (target.id.clone(), Moment::from_ms(target.since_ms))).collect()
    }
}

/// Does a fault to an instance: `kill-host`, `cut-from/<other id>`, `heal` ...
pub async fn fault(id: &str, fault: &str) -> Result<Answer, Error> {
    ask("POST", &format!("/control/{id}/{fault}"), None).await
}

/// Has AWS calls fail as `rule` says (service, action, fault, count, seconds, caller).
pub async fn rule(rule: &Value) -> Result<(), Error> {
    must(ask("POST", "/control/aws", Some(rule)).await?, "have AWS calls fail").map(drop)
}

/// Has all AWS calls succeed again; how often a call had failed, over all rules.
pub async fn clear_rules() -> Result<u64, Error> {
    let answer = must(ask("DELETE", "/control/aws", None).await?, "have AWS calls succeed again")?;
    let rules = answer["rules"].as_array().cloned().unwrap_or_default();
    Ok(rules.iter().filter_map(|rule| rule["struck"].as_u64()).sum())
}

/// Every machine there is.
pub async fn hosts() -> Result<Vec<Host>, Error> {
    let mut answer = must(ask("GET", "/control/instances", None).await?, "list the machines")?;
    serde_json::from_value(answer["instances"].take()).map_err(cannot("list the machines"))
}

/// The front of every load balancer there is.
pub async fn fronts() -> Result<Vec<Front>, Error> {
    let doing = "list the load balancers";
    let mut answer = must(ask("GET", "/control/balancers", None).await?, doing)?;
    serde_json::from_value(answer["balancers"].take()).map_err(cannot(doing))
}

/// Runs a member's timer's service, and waits for its end; its exit status.
pub async fn run_unit(id: &str, name: &str) -> Result<i64, Error> {
    let doing = format!("run {name} on {id}");
    let path = format!("/control/{id}/run-unit/{name}");
    let answer = timeout(UNIT_PATIENCE, send("POST", &path, None)).await;
    let answer = answer.map_err(cannot(&doing))?.map_err(cannot(&doing))?;
    let answer = must(read(&answer).map_err(cannot(&doing))?, &doing)?;
    answer["status"].as_i64().ok_or_else(|| cannot(doing)("it has no exit status"))
}

/// Every database there is, and every name.
pub async fn databases() -> Result<Databases, Error> {
    let doing = "list the databases";
    let answer = must(ask("GET", "/control/rds", None).await?, doing)?;
    serde_json::from_value(answer).map_err(cannot(doing))
}

fn must(answer: Answer, doing: &str) -> Result<Value, Error> {
    match answer {
        Answer::Done(body) => Ok(body),
        Answer::Unable(why) => Err(cannot(doing)(why)),
    }
}

async fn ask(method: &str, path: &str, body: Option<&Value>) -> Result<Answer, Error> {
    let doing = format!("do {path}");
    let answer = timeout(PATIENCE, send(method, path, body)).await;
    let answer = answer.map_err(cannot(&doing))?.map_err(cannot(&doing))?;
    read(&answer).map_err(cannot(doing))
}

/// One request; the whole answer.
async fn send(method: &str, path: &str, body: Option<&Value>) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(local(CONTROL_PORT)).await?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Reads an HTTP answer with a JSON body; on any other status than 200 and 501, why not.
fn read(answer: &str) -> Result<Answer, String> {
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("no HTTP answer: {answer:?}"))?;
    let body: Value = serde_json::from_str(body).unwrap_or_else(|_| json!({"error": body}));
    let why = || body["error"].as_str().map_or_else(|| body.to_string(), str::to_owned);
    match head.split_whitespace().nth(1) {
        Some("200") => Ok(Answer::Done(body)),
        Some("501") => Ok(Answer::Unable(why())),
        status => Err(format!("{}: {}", status.unwrap_or("no status"), why())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_healthy_targets_of_the_port_count() -> Result<(), serde_json::Error> {
        let target =
            |id: &str, state: &str| json!({"id": id, "state": state, "since_ms": 7, "why": "", "connections": 0});
        let front: Front = serde_json::from_value(json!({
            "name": "shop", "dns_name": "shop-1.elb.eu-west-1.amazonaws.com", "address": "127.0.14.10",
            "listeners": [
                {"port": 5432, "targets": [target("i-1", "healthy"), target("i-2", "unhealthy"), target("i-3", "initial")]},
                {"port": 5433, "targets": [target("i-2", "healthy")]},
            ],
        }))?;
        assert_eq!(front.healthy(5432), [("i-1".to_owned(), Moment::from_ms(7))]);
        assert_eq!(front.healthy(6432), []);
        Ok(())
    }

    #[test]
    fn an_answer_is_done_impossible_or_wrong() {
        let of = |status: &str, body: &str| read(&format!("HTTP/1.0 {status}\r\nServer: lab\r\n\r\n{body}"));
        assert_eq!(of("200 OK", r#"{"processes":9}"#), Ok(Answer::Done(json!({"processes": 9}))));
        let needs = r#"{"error":"isolate needs root"}"#;
        assert_eq!(of("501 Not Implemented", needs), Ok(Answer::Unable("isolate needs root".to_owned())));
        assert_eq!(of("404 Not Found", r#"{"error":"no member i-1"}"#), Err("404: no member i-1".to_owned()));
        assert_eq!(of("500 Oh", "a trace"), Err("500: a trace".to_owned()));
        assert!(read("").is_err());
    }
}
