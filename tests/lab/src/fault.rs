//! What is done to the writer's host.

use crate::{
    control::{self, Answer},
    error::{Error, cannot},
    owner::Owner,
};
use serde::Serialize;
use serde_json::json;

/// A way for a writer to be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Its EC2 instance is stopped: all processes end at once, and EC2 says so
    Stop,
    /// Its hardware dies: no process left, no packet answered, and EC2 says running
    KillHost,
    /// It hangs: connections stay open, nothing answers
    Hang,
    /// It runs on, cut off from the standbys and from the functions
    Partition,
    /// PostgreSQL is killed and its host is fine: it restarts in place, nothing may move
    KillPostmaster,
}

impl Fault {
    /// Whether another member must become writer.
    pub fn moves_the_writer(self) -> bool {
        self != Fault::KillPostmaster
    }

    /// What happens, with the writer's instance id.
    pub fn sentence(self, id: &str) -> String {
        match self {
            Fault::Stop => format!("{id}, the writer, is stopped through EC2"),
            Fault::KillHost => format!("the hardware of {id}, the writer, dies; EC2 goes on saying running"),
            Fault::Hang => format!("{id}, the writer, hangs: connections stay open, nothing answers"),
            Fault::Partition => format!("{id}, the writer, is cut off from the standbys and the functions; it runs on"),
            Fault::KillPostmaster => format!("PostgreSQL on {id}, the writer, is killed; the host is fine"),
        }
    }

    /// Does it to an instance. Returns when it is done.
    pub async fn strike(self, owner: &Owner, id: &str) -> Result<(), Error> {
        if self == Fault::Stop {
            return owner.call("ec2", "stop_instances", json!({"InstanceIds": [id]})).await.map(drop);
        }
        match control::fault(id, &self.to_string()).await? {
            Answer::Done(_) => Ok(()),
            Answer::Unable(why) => Err(cannot(format!("do {self} to {id}"))(why)),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Fault::Stop => "stop",
            Fault::KillHost => "kill-host",
            Fault::Hang => "hang",
            Fault::Partition => "partition",
            Fault::KillPostmaster => "kill-postmaster",
        })
    }
}
