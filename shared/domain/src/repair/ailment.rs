//! What is wrong with a host.

use super::{Act, HostSeen, Ward};
use crate::failover::{Host, Sql};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What ails a host. Prints as what follows "it".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ailment {
    /// EC2 says stopped.
    Off,
    /// EC2 says terminated, or does not know it.
    Gone,
    /// A status check of EC2 fails.
    Impaired,
    /// EC2 says running, and neither PostgreSQL nor the keeper's agent answers.
    Silent,
    /// The host answers, and PostgreSQL does not run.
    Down,
    /// The keeper could not start PostgreSQL.
    Failed,
    /// PostgreSQL runs and follows nobody: the keeper cannot rewind it.
    Astray,
}

impl Ailment {
    /// What can be done about it from here.
    #[must_use]
    pub fn remedy(self) -> Option<Act> {
        match self {
            Ailment::Off => Some(Act::Start),
            Ailment::Impaired | Ailment::Silent => Some(Act::Reboot),
            Ailment::Down | Ailment::Failed | Ailment::Astray => Some(Act::Remake),
            Ailment::Gone => None,
        }
    }
}

/// What ails a host now; `None` when nothing does.
///
/// # Errors
///
/// In words, why that cannot be said now.
pub fn ailment(ward: &Ward, host: &HostSeen) -> Result<Option<Ailment>, String> {
    match &host.host {
        Host::Stopped => return Ok(Some(Ailment::Off)),
        Host::Terminated | Host::Missing => return Ok(Some(Ailment::Gone)),
        Host::Pending | Host::Stopping | Host::ShuttingDown => return Err(format!("EC2 says {}", host.host)),
        Host::Unknown(problem) => return Err(problem.clone()),
        Host::Running => {}
    }
    if host.impaired.is_some() {
        return Ok(Some(Ailment::Impaired));
    }
    let Some(sql) = &host.sql else { return Ok(None) };
    let state = host.role.as_ref().map(|role| role.state.as_str());
    if host.role.as_ref().is_some_and(super::Role::has_failed) {
        return Ok(Some(Ailment::Failed));
    }
    match (sql, state) {
        // What it is doing takes as long as it takes.
        (_, Some("creating replica" | "starting" | "restarting" | "stopping" | "in archive recovery")) => Ok(None),
        (Sql::Writer(_) | Sql::Alive(_), _) => Ok(None),
        (Sql::NotAsked, _) => Err("PostgreSQL was not asked".to_owned()),
        // Its own agent is well: our way to it is what is broken.
        (Sql::Silent(_), Some("running" | "streaming")) => Ok(None),
        (Sql::Silent(_), _) => Ok(Some(Ailment::Silent)),
        (Sql::Refused, _) => Ok(Some(Ailment::Down)),
        (Sql::Standby(standby), _) => {
            let streams = standby.receiver.as_ref().is_some_and(|receiver| receiver.streaming);
            // Without a leader nobody has anybody to follow.
            let strays = !streams && state != Some("streaming") && ward.led.settled().is_ok();
            Ok(strays.then_some(Ailment::Astray))
        }
    }
}

impl fmt::Display for Ailment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ailment::Off => "is stopped",
            Ailment::Gone => "is terminated",
            Ailment::Impaired => "fails a status check of EC2",
            Ailment::Silent => "does not answer at all, and EC2 says running",
            Ailment::Down => "answers, and PostgreSQL does not run on it",
            Ailment::Failed => "could not start PostgreSQL",
            Ailment::Astray => "runs PostgreSQL, and follows nobody",
        })
    }
}
