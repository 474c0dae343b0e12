//! Prints the template that a spec would become, without AWS.
//!
//! Account, network and certificate are placeholders. Exit code 2: the spec has
//! problems, one a line on standard error; 1: it could not be read or printed.

use deploy_cluster::{placeholder, reading};
use std::{error::Error, process::ExitCode};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("render: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [argument] = arguments.as_slice() else {
        return Err("usage: render SPEC.json, or render --schema for the JSON Schema of a spec".into());
    };
    if argument == "--schema" {
        println!("{}", serde_json::to_string_pretty(&domain::spec::schema())?);
        return Ok(ExitCode::SUCCESS);
    }
    let text = std::fs::read_to_string(argument).map_err(|error| format!("{argument}: {error}"))?;
    match reading::read(&text) {
        Ok(spec) => {
            print!("{}", template::ec2_streaming(&spec, &placeholder::fleet(), &placeholder::tls()).pretty()?);
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            for problem in problems {
                eprintln!("{argument}: {problem}");
            }
            Ok(ExitCode::from(2))
        }
    }
}
