//! The owner of the account: AWS calls, made by a Python process beside the lab.

use crate::{
    error::{Error, cannot},
    place::Place,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{process::Stdio, sync::Arc};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
    sync::Mutex,
};

/// A Python process that makes one call at a time with boto3.
#[derive(Debug)]
pub struct Owner {
    pipe: Arc<Mutex<Pipe>>,
    region: Option<String>,
}

#[derive(Debug)]
struct Pipe {
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    // Ended when the owner is dropped.
    _process: Child,
}

/// AWS refused a call, or it did not get there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// The service's error code, such as `ParameterNotFound`.
    pub code: String,
    /// What it said.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Answer(Value),
    Error(Refused),
}

impl Owner {
    /// Starts the process.
    pub fn start(place: &Place) -> Result<Owner, Error> {
        let doing = "make AWS calls";
        let mut process = place
            .aws_program(place.tool("python"))
            .arg(place.repo.join("tests/lab/owner.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(cannot(doing))?;
        match (process.stdin.take(), process.stdout.take()) {
            (Some(requests), Some(answers)) => {
                let answers = BufReader::new(answers).lines();
                let pipe = Pipe { requests, answers, _process: process };
                Ok(Owner { pipe: Arc::new(Mutex::new(pipe)), region: None })
            }
            _ => Err(cannot(doing)("the process has no pipes")),
        }
    }

    /// The same owner, whose calls go to another Region.
    pub fn within(&self, region: &str) -> Owner {
        Owner { pipe: Arc::clone(&self.pipe), region: Some(region.to_owned()) }
    }

    /// Makes one call (`ec2`, `stop_instances`) and keeps AWS's refusal apart from the lab's own trouble.
    pub async fn ask(&self, service: &str, call: &str, with: Value) -> Result<Result<Value, Refused>, Error> {
        let doing = format!("call {service} {call}");
        let request = json!({"service": service, "call": call, "with": with, "region": self.region});
        let mut pipe = self.pipe.lock().await;
        pipe.requests.write_all(format!("{request}\n").as_bytes()).await.map_err(cannot(&doing))?;
        let line = pipe.answers.next_line().await.map_err(cannot(&doing))?;
        let line = line.ok_or_else(|| cannot(&doing)("the process that makes AWS calls has ended"))?;
        match serde_json::from_str(&line).map_err(cannot(&doing))? {
            Answer::Answer(answer) => Ok(Ok(answer)),
            Answer::Error(refused) => Ok(Err(refused)),
        }
    }

    /// Makes one call that must succeed.
    pub async fn call(&self, service: &str, call: &str, with: Value) -> Result<Value, Error> {
        self.ask(service, call, with).await?.map_err(cannot(format!("call {service} {call}")))
    }
}

/// A text inside an answer, by its path (`/Vpc/VpcId`).
pub fn text(answer: &Value, path: &str) -> Result<String, Error> {
    let found = answer.pointer(path).and_then(Value::as_str);
    found.map(str::to_owned).ok_or_else(|| cannot("read an answer of AWS")(format!("it has no text at {path}")))
}

/// A list inside an answer, by its path; empty when it is not there, as AWS leaves empty lists out.
pub fn list<'a>(answer: &'a Value, path: &str) -> &'a [Value] {
    answer.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
