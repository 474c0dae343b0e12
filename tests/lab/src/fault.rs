//! What is done to the writer's host.

use crate::{
    error::{Error, cannot},
    owner::Owner,
    place::{CONTROL_PORT, local},
};
use serde::Serialize;
use serde_json::json;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

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
        let doing = format!("do {self} to {id}");
        let answer = timeout(Duration::from_secs(10), post(&format!("/control/{id}/{self}"))).await;
        let answer = answer.map_err(cannot(&doing))?.map_err(cannot(&doing))?;
        let status = answer.split_whitespace().nth(1);
        if status != Some("200") {
            return Err(cannot(doing)(answer));
        }
        Ok(())
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

/// A POST without a body to the lab's fault control; the whole answer.
async fn post(path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(local(CONTROL_PORT)).await?;
    let request = format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
