//! Whether clients are cut off from a writer.

use super::{DrCluster, OtherRegion};
use domain::{
    card::ManagedCard,
    managed::InstanceSeen,
    region::{Cut, Server},
};
use std::time::Duration;

const SESSIONS: Duration = Duration::from_secs(3);

impl DrCluster<'_, OtherRegion> {
    /// Of RDS: it has the isolated group and no other, which keeps new clients out once it is active; tracked
    /// connections live on, so the old clients' sessions must be gone, too.
    pub(super) async fn cut_of(&self, card: &ManagedCard, instance: &InstanceSeen, server: &Server) -> Cut {
        let Some(isolation) = &card.isolation else { return Cut::No };
        let groups: Vec<&(String, String)> =
            instance.security_groups.iter().filter(|(_, status)| status != "removing").collect();
        let isolated = |group: &&(String, String)| group.0 == isolation.isolated_group;
        if !groups.iter().any(&isolated) {
            return Cut::No;
        }
        if let Some((group, status)) = groups.iter().find(|group| !isolated(group) || group.1 != "active") {
            return Cut::UnderWay(format!("group {group} of {} is {status}", instance.id));
        }
        if instance.security_groups.len() != groups.len() {
            return Cut::UnderWay(format!("a group of {} is being removed", instance.id));
        }
        let (Ok(connector), Some(endpoint)) = (&self.connector, &server.endpoint) else {
            return Cut::UnderWay(format!(
                "the sessions of {} cannot be counted: no login or no endpoint",
                instance.id
            ));
        };
        match connector.client_sessions(&self.target(endpoint), SESSIONS).await {
            Ok(0) => Cut::Done {
                because: format!("{} has only its isolated group, active, and no client has a session", instance.id),
                at: server.position(),
            },
            Ok(sessions) => Cut::Sessions(format!("{sessions} sessions of clients are left on {}", instance.id)),
            Err(failure) => {
                Cut::UnderWay(format!("the sessions of {} cannot be counted: {}", instance.id, failure.story()))
            }
        }
    }
}

/// Of members on EC2: all are off.
pub(super) fn of_hosts(servers: &[Server]) -> Cut {
    let on: Vec<String> = servers
        .iter()
        .filter(|server| !matches!(server.status.as_str(), "stopped" | "terminated"))
        .map(|server| format!("{} is {}", server.id, server.status))
        .collect();
    let going =
        |server: &Server| matches!(server.status.as_str(), "stopping" | "shutting-down" | "stopped" | "terminated");
    match (on.is_empty(), servers.iter().all(going)) {
        (true, _) => Cut::Done { because: "all members read back stopped".to_owned(), at: None },
        (false, true) => Cut::UnderWay(on.join(", ")),
        (false, false) => Cut::No,
    }
}
