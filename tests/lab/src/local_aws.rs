//! The local AWS: starts it, says whether it runs.

use crate::{
    error::{Error, cannot},
    owner::Owner,
    place::{AWS_PORT, CONTROL_PORT, Place, local},
    processes,
    progress::Step,
};
use serde_json::json;
use std::{
    fs::File,
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

/// Time for the local AWS to answer; it took 0.3 s alone and 3 s beside a build.
const START: Duration = Duration::from_secs(30);

/// Whether this lab's local AWS runs: its port is open, and the process that has it is in the lab's folder.
pub fn runs(place: &Place) -> bool {
    let open = TcpStream::connect_timeout(&local(AWS_PORT), Duration::from_millis(200)).is_ok();
    let owner = processes::listener(AWS_PORT);
    open && owner.is_some_and(|owner| processes::below(&place.dir).iter().any(|process| process.id == owner.id))
}

/// Starts the local AWS with IAM enforced and waits until it answers. It goes on when the lab ends.
pub async fn start(place: &Place, step: &Step) -> Result<(), Error> {
    let doing = "start the local AWS";
    for port in [AWS_PORT, CONTROL_PORT] {
        free(port).map_err(cannot(doing))?;
    }
    let log = place.logs().join("local-aws.log");
    let file = File::create(&log).map_err(cannot(format!("write {}", log.display())))?;
    let other = file.try_clone().map_err(cannot(doing))?;
    let mut python = place.aws_program(place.tool("python"));
    python.arg(place.repo.join("tests/lab/aws/local_aws.py")).stdout(file).stderr(other).kill_on_drop(false);
    let mut process = python.spawn().map_err(cannot(doing))?;
    step.tell("starting");
    let owner = Owner::start(place)?;
    let until = Instant::now() + START;
    loop {
        let ended = process.try_wait().map_err(cannot(doing))?;
        if ended.is_some() || Instant::now() > until {
            let tail = tail(&std::fs::read_to_string(&log).unwrap_or_default());
            return Err(Error::Program {
                doing: doing.to_owned(),
                program: "local_aws.py".to_owned(),
                status: ended.map_or_else(|| "no answer in 30 s".to_owned(), |status| status.to_string()),
                tail,
                log,
            });
        }
        if owner.ask("sts", "get_caller_identity", json!({})).await?.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The last lines of a log.
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}

/// Says who has a port that the lab needs.
fn free(port: u16) -> Result<(), String> {
    let Err(error) = TcpListener::bind(local(port)) else { return Ok(()) };
    Err(busy(port, &error))
}

/// What to say of a port that could not be had.
pub fn busy(port: u16, error: &std::io::Error) -> String {
    match processes::listener(port) {
        Some(process) => format!(
            "port {port} of 127.0.0.1 is in use by {} (process {}); end it, or end an earlier lab with `lab down`",
            process.name, process.id
        ),
        None => format!("port {port} of 127.0.0.1 cannot be used: {error}"),
    }
}
