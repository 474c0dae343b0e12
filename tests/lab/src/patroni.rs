//! What Patroni says of a cluster: its REST API on every member, asked as anybody may who trusts the hosts' authority.

use crate::{
    cluster::Cluster,
    error::{Error, cannot},
    place::{CLIENT_ADDRESS, Place},
};
use domain::card::{CardMember, PatroniCard};
use serde::Deserialize;
use serde_json::Value;
use std::{fs, path::PathBuf, process::Stdio};

/// Seconds for one answer.
const PATIENCE: &str = "1";

/// The way to the members' agents.
pub struct Patroni {
    place: Place,
    authority: PathBuf,
    port: u16,
    members: Vec<CardMember>,
}

/// What one member's agent says of itself: `GET /patroni`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Agent {
    /// `primary`, `replica` ...
    pub role: String,
    /// `running`, `starting`, `stopped` ...
    pub state: String,
    /// The timeline of its PostgreSQL, when that runs.
    #[serde(default)]
    pub timeline: Option<u32>,
    /// Whether the cluster is paused.
    #[serde(default)]
    pub pause: bool,
    /// Whether commits wait for it.
    #[serde(default)]
    pub sync_standby: bool,
    /// Where its standbys are, on the leader.
    #[serde(default)]
    pub replication: Vec<Receiver>,
}

/// A standby, as the leader's agent lists it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Receiver {
    /// Its name.
    #[serde(default)]
    pub application_name: String,
    /// `streaming` ...
    #[serde(default)]
    pub state: String,
}

impl Agent {
    /// Whether it leads a PostgreSQL that takes writes.
    pub fn leads(&self) -> bool {
        self.role == "primary" && self.state == "running"
    }
}

impl Patroni {
    /// The way to the agents of a cluster.
    pub fn of(place: &Place, cluster: &Cluster, card: &PatroniCard) -> Result<Patroni, Error> {
        let authority = place.dir.join(format!("{}-peers.pem", cluster.card.cluster));
        fs::write(&authority, &card.peer_authority).map_err(cannot(format!("write {}", authority.display())))?;
        Ok(Patroni { place: place.clone(), authority, port: card.port, members: cluster.card.members.clone() })
    }

    /// Every member with what its agent says; `None` for one that does not answer in a second. All at once.
    pub async fn agents(&self) -> Vec<(CardMember, Option<Agent>)> {
        let mut tasks = tokio::task::JoinSet::new();
        for (number, member) in self.members.iter().enumerate() {
            let asked = self.ask(member, "patroni");
            tasks.spawn(async move { (number, asked.await) });
        }
        let mut answers = tasks.join_all().await;
        answers.sort_by_key(|(number, _)| *number);
        let agents = answers.into_iter().map(|(_, answer)| answer.and_then(|said| serde_json::from_value(said).ok()));
        self.members.iter().cloned().zip(agents).collect()
    }

    /// The members whose agents lead.
    pub async fn leaders(&self) -> Vec<CardMember> {
        let agents = self.agents().await.into_iter();
        agents.filter(|(_, agent)| agent.as_ref().is_some_and(Agent::leads)).map(|(member, _)| member).collect()
    }

    /// One question; curl is its own process, so that what is asked is not what is tested.
    fn ask(&self, member: &CardMember, path: &str) -> impl Future<Output = Option<Value>> + Send + use<> {
        let mut curl = self.place.program("curl");
        curl.args(["-s", "-m", PATIENCE, "--interface", &CLIENT_ADDRESS.to_string(), "--noproxy", "*", "--cacert"]);
        curl.arg(&self.authority).arg(format!("https://{}:{}/{path}", member.address, self.port));
        curl.stdout(Stdio::piped()).stderr(Stdio::null());
        // On a member that does not lead the status is 503, and the body is there.
        async move { serde_json::from_slice(&curl.output().await.ok()?.stdout).ok() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_running_primary_leads() -> Result<(), serde_json::Error> {
        let agent = |role: &str, state: &str| -> Result<Agent, _> {
            serde_json::from_value(json!({"role": role, "state": state, "server_version": 150018, "timeline": 2}))
        };
        assert!(agent("primary", "running")?.leads());
        assert!(!agent("primary", "crashed")?.leads());
        assert!(!agent("replica", "running")?.leads());
        let paused: Agent = serde_json::from_value(json!({
            "role": "primary", "state": "running", "pause": true,
            "replication": [{"usename": "replicator", "application_name": "shop_2", "state": "streaming"}],
        }))?;
        assert!(paused.pause && paused.timeline.is_none());
        assert_eq!(paused.replication[0].application_name, "shop_2");
        Ok(())
    }
}
