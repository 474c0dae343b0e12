//! What Patroni's answers mean for a cluster of this card.

use crate::answer::{Cluster, History, Status};
use domain::{
    card::Card,
    follow::{Account, Fork, Role},
    lsn::Lsn,
    time::seconds,
};
use std::time::Duration;

/// What the agent on the member called `by` says of the cluster.
#[must_use]
pub fn account(card: &Card, by: &str, cluster: &Cluster, history: &[History]) -> Account {
    let id = |name: &str| {
        let member = card.members.iter().find(|member| member.name == name);
        member.map_or_else(|| name.to_owned(), |member| member.id.clone())
    };
    let leader = cluster.members.iter().find(|member| member.role == "leader");
    Account {
        by: by.to_owned(),
        leader: leader.map(|member| id(&member.name)),
        paused: cluster.paused,
        roles: cluster
            .members
            .iter()
            .map(|member| Role {
                id: id(&member.name),
                role: member.role.clone(),
                state: member.state.clone(),
                timeline: member.timeline,
                lag: member.lag,
            })
            .collect(),
        forks: history
            .iter()
            .map(|line| Fork {
                timeline: line.timeline,
                ended_at: Lsn(line.ended_at),
                at_ms: line.at_ms,
                leader: line.leader.clone(),
            })
            .collect(),
    }
}

/// What the agent on a member says of itself, in a sentence for a page.
#[must_use]
pub fn sentence(name: &str, status: &Status, now_ms: u64) -> String {
    let (state, role) = (&status.state, &status.role);
    let mut text = format!("Patroni on {name}: {role}, {state}");
    if status.paused {
        text.push_str(", paused");
    }
    if status.unlocked {
        text.push_str(", nobody holds the leader's key");
    }
    if let Some(seen) = status.dcs_last_seen_s {
        let ago = Duration::from_millis(now_ms.saturating_sub(seen.saturating_mul(1_000)));
        text.push_str(&format!(", etcd last seen {} ago", seconds(ago)));
    }
    text
}
