//! A whole AWS on this machine, with real PostgreSQL in it, and what is done with it.

mod backup;
mod clean;
mod client;
mod clock;
mod cluster;
mod command;
mod control;
mod error;
mod evidence;
mod failover;
mod fault;
mod fleet;
mod inside;
mod lab;
mod led;
mod local_aws;
mod lock;
mod logs;
mod managed;
mod names;
mod order;
mod owner;
mod pages;
mod patroni;
mod place;
mod processes;
mod progress;
mod report;
mod scenario;
mod setup;
mod sql;
mod status;
mod steady;
mod story;
mod wake;
mod watching;

use clap::{Parser, Subcommand};
use error::Error;
use fault::Fault;
use lab::Lab;
use lock::Lock;
use place::Place;
use progress::Progress;
use report::Report;
use serde_json::json;
use std::{path::PathBuf, process::ExitCode};
use tokio::signal::unix::{SignalKind, signal};

/// A whole AWS on this machine, with real PostgreSQL in it
#[derive(Parser)]
#[command(name = "lab", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Print one JSON object on standard output, and nothing else there
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Start the local AWS, build and deploy the fleet, and let it run
    Up {
        /// Deploy these clusters, too: specs in infra/clusters
        #[arg(long = "cluster", value_name = "NAME")]
        clusters: Vec<String>,
    },
    /// End everything that a lab started, and remove its files
    Down,
    /// Say what runs
    Status,
    /// Deploy a cluster, break its writer's host, and measure what follows
    Failover {
        /// The cluster: a spec in infra/clusters
        #[arg(long, default_value = "orders")]
        cluster: String,
        /// What is done to the writer's host
        #[arg(long, value_enum, default_value = "stop")]
        fault: Fault,
        /// How often
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        runs: u32,
    },
    /// Deploy a cluster with backups, make a full and a differential one, and restore to a second, row by row
    Backup {
        /// The cluster: a spec in infra/clusters
        #[arg(long, default_value = "vault")]
        cluster: String,
    },
    /// Play failure scenarios: strike a cluster, and compare what is seen with what must be
    Scenario {
        /// The scenarios, such as A1, or all
        #[arg(required = true, value_name = "ID|all")]
        ids: Vec<String>,
    },
    /// Say which function EventBridge would wake with these events, and what it would make of them
    Wake {
        /// Files with one event each
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// How a command ended that did not fail.
enum End {
    /// As it should.
    Well,
    /// It ran to its end, and what it shows is not what was promised.
    Broken,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.command {
        Command::Wake { files } => wake(files, arguments.json),
        command => match Place::find() {
            Ok(place) => with_place(&place, command, arguments.json).await,
            Err(error) => Err(error),
        },
    };
    match outcome {
        Ok(End::Well) => ExitCode::SUCCESS,
        Ok(End::Broken) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("lab: {error}");
            if arguments.json {
                println!("{}", json!({"error": error.to_string()}));
            }
            // 130: what a shell says of a program that Ctrl-C ended.
            if matches!(error, Error::Interrupted) { ExitCode::from(130) } else { ExitCode::FAILURE }
        }
    }
}

async fn with_place(place: &Place, command: &Command, json: bool) -> Result<End, Error> {
    match command {
        Command::Down => down(place, json).await,
        Command::Status => show_status(place, json).await,
        command => {
            if let Command::Scenario { ids } = command {
                scenario::check(ids)?;
            }
            let _lock = Lock::take(place)?;
            let outcome = tokio::select! {
                outcome = with_lock(place, command, json) => outcome,
                name = asked_to_stop() => { eprintln!("  {name}: cleaning up"); Err(Error::Interrupted) }
            };
            end(place, command, outcome).await
        }
    }
}

async fn with_lock(place: &Place, command: &Command, json: bool) -> Result<End, Error> {
    let progress = Progress::new();
    let lab = Lab::up(place, progress).await?;
    match command {
        Command::Failover { cluster, fault, runs } => fail_over(&lab, cluster, *fault, *runs, json, progress).await,
        Command::Backup { cluster } => back_up(&lab, cluster, json, progress).await,
        Command::Scenario { ids } => play(&lab, ids, json, progress).await,
        command => {
            if let Command::Up { clusters } = command {
                for name in clusters {
                    bring_up(&lab, name, progress).await?;
                }
            }
            lab::stay(place)?;
            drop(lab);
            show_status(place, json).await
        }
    }
}

/// Deploys a cluster unless it is there, and waits until it is as new.
async fn bring_up(lab: &Lab, name: &str, progress: Progress) -> Result<(), Error> {
    let spec = cluster::spec(&lab.place, name)?;
    if managed::is_managed(&spec) {
        return managed::take(lab, name, &spec, progress).await.map(drop);
    }
    let step = progress.step("cluster");
    let cluster = steady::take(lab, name, &spec, &step).await?;
    step.done(&format!("{name} is ready: {} members, {}", cluster.card.members.len(), cluster.card.topology));
    Ok(())
}

/// Leaves behind what the command is meant to leave: a lab that `lab up` started, the logs after a failure, else
/// nothing. Who interrupts a command wants everything gone.
async fn end(place: &Place, command: &Command, outcome: Result<End, Error>) -> Result<End, Error> {
    match &outcome {
        Ok(End::Well) if matches!(command, Command::Up { .. }) => {}
        Err(Error::Interrupted) => clean::remove(place).await?,
        _ if lab::stays(place) => {}
        Ok(End::Well) => clean::remove(place).await?,
        Ok(End::Broken) | Err(_) => {
            clean::stop(place).await?;
            if place.dir.exists() {
                eprintln!("  logs are kept in {} until the next lab or `lab down`", place.dir.display());
            }
        }
    }
    outcome
}

/// Waits for a signal that asks the lab to stop; its name.
async fn asked_to_stop() -> &'static str {
    let wait = async |kind| match signal(kind) {
        Ok(mut signal) => signal.recv().await,
        // Without a handler the signal ends the process as it always did; `lab down` cleans up after it.
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        _ = wait(SignalKind::interrupt()) => "Ctrl-C",
        _ = wait(SignalKind::terminate()) => "SIGTERM",
        _ = wait(SignalKind::hangup()) => "SIGHUP",
    }
}

async fn fail_over(
    lab: &Lab,
    cluster: &str,
    fault: Fault,
    runs: u32,
    json: bool,
    progress: Progress,
) -> Result<End, Error> {
    let (mut done, mut topology, mut synchronous, mut broken) = (Vec::new(), String::new(), false, Vec::new());
    let is_managed = managed::is_managed(&cluster::spec(&lab.place, cluster)?);
    for number in 1..=runs {
        let outcome = if is_managed {
            let (outcome, of, what) = managed::run(lab, cluster, fault, number, runs, progress).await?;
            (topology, synchronous) = (of.card.topology.to_string(), of.card.aws_fails_over);
            broken.extend(what.into_iter().map(|what| format!("run {number}: {what}")));
            outcome
        } else {
            let (outcome, of) = failover::run(lab, cluster, fault, number, runs, progress).await?;
            (topology, synchronous) = (of.card.topology.to_string(), of.synchronous);
            outcome
        };
        if !json {
            println!("{}", outcome.story);
        }
        done.push(outcome.run);
    }
    let report = Report::new(cluster.to_owned(), topology, synchronous, done);
    if !is_managed {
        broken = report.broken();
    }
    if json {
        println!("{}", serde_json::to_string(&report).map_err(error::cannot("print the report"))?);
    } else if runs > 1 {
        println!("{runs} runs: {}", report.summary());
    }
    for what in &broken {
        eprintln!("  not as promised: {what}");
    }
    Ok(if broken.is_empty() { End::Well } else { End::Broken })
}

async fn back_up(lab: &Lab, name: &str, json: bool, progress: Progress) -> Result<End, Error> {
    let spec = cluster::spec(&lab.place, name)?;
    let step = progress.step("cluster");
    let cluster = steady::take(lab, name, &spec, &step).await?;
    step.done(&format!("{name} is ready: {} members, as new", cluster.card.members.len()));
    let step = progress.step("backup");
    let report = backup::run(lab, &cluster, &step).await?;
    step.done("made, restored and compared");
    if json {
        println!("{}", serde_json::to_string(&report).map_err(error::cannot("print the report"))?);
    } else {
        print!("{report}");
    }
    let broken = report.broken();
    for what in &broken {
        eprintln!("  not as promised: {what}");
    }
    Ok(if broken.is_empty() { End::Well } else { End::Broken })
}

async fn play(lab: &Lab, ids: &[String], json: bool, progress: Progress) -> Result<End, Error> {
    let tell = |row: &scenario::Row| {
        if json {
            eprintln!("  {}", row.to_string().replace('\n', "\n  "));
        } else {
            println!("{row}");
        }
    };
    let rows = scenario::run(lab, ids, progress, tell).await?;
    if json {
        let report = scenario::Report { scenarios: &rows };
        println!("{}", serde_json::to_string(&report).map_err(error::cannot("print the report"))?);
    }
    Ok(if rows.iter().any(scenario::Row::failed) { End::Broken } else { End::Well })
}

async fn down(place: &Place, json: bool) -> Result<End, Error> {
    let _lock = clean::take_over(place).await?;
    let ended = processes::below(&place.dir).len();
    clean::remove(place).await?;
    if json {
        println!("{}", json!({"ended_processes": ended}));
    } else {
        println!("The lab is down: {ended} processes ended, files removed");
    }
    Ok(End::Well)
}

async fn show_status(place: &Place, json: bool) -> Result<End, Error> {
    let status = status::look(place).await?;
    if json {
        println!("{}", serde_json::to_string(&status).map_err(error::cannot("print the status"))?);
    } else {
        print!("{status}");
    }
    Ok(End::Well)
}

fn wake(files: &[PathBuf], json: bool) -> Result<End, Error> {
    let template = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../infra/template.yaml");
    let rows = wake::run(files, &template);
    if json {
        println!("{}", json!({"events": rows}));
    } else {
        for row in rows {
            println!("{row}");
        }
    }
    Ok(End::Well)
}
