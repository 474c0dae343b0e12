//! Prints the template that a spec would become, without AWS.
//!
//! Account, network and certificate are placeholders. Exit code 2: the spec has
//! problems, one a line on standard error, or the arguments have; 1: it could not
//! be read or printed.

use clap::{Parser, ValueEnum};
use deploy_cluster::{cost, placeholder, reading};
use domain::{managed::Roles, spec::Spec};
use std::{
    error::Error,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Prints the CloudFormation template that a cluster's spec becomes.
///
/// No AWS is needed: account, network and certificate are placeholders. A spec
/// with problems is refused with all of them, one a line (exit code 2).
#[derive(Parser)]
#[command(name = "render", version)]
struct Arguments {
    /// The spec: a JSON file, such as infra/clusters/orders.json
    #[arg(required_unless_present = "schema")]
    spec: Option<PathBuf>,
    /// Which side of a cluster with `dr`: the members, or the standby in the second Region
    #[arg(long, value_enum, default_value_t = Side::Primary)]
    part: Side,
    /// Print what it costs a month instead, line by line, from the list of prices in infra/prices.json
    #[arg(long)]
    cost: bool,
    /// Print the JSON Schema of a spec instead, for an editor
    #[arg(long, conflicts_with_all = ["spec", "part", "cost"])]
    schema: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    Primary,
    Dr,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        // Whoever reads has seen enough, as `head` has.
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("render: {error}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let Some(path) = &arguments.spec else {
        return print(&(serde_json::to_string_pretty(&domain::spec::schema())? + "\n"));
    };
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    match reading::read(&text) {
        Ok(spec) => rendered(arguments, path, &spec),
        Err(problems) => {
            for problem in problems {
                eprintln!("{}: {problem}", path.display());
            }
            Ok(ExitCode::from(2))
        }
    }
}

fn rendered(arguments: &Arguments, path: &Path, spec: &Spec) -> Result<ExitCode, Box<dyn Error>> {
    let part = match (arguments.part, &spec.dr) {
        (Side::Primary, _) => template::Part::Primary,
        (Side::Dr, Some(_)) => template::Part::Dr,
        (Side::Dr, None) => {
            eprintln!("{}: /dr: found nothing, and --part dr is the side that it describes", path.display());
            return Ok(ExitCode::from(2));
        }
    };
    let (fleet, tls) = (placeholder::fleet(spec, part), placeholder::tls(spec, part));
    let template = template::render(spec, &fleet, &tls, part, &Roles::default());
    if arguments.cost {
        let template = serde_json::from_str(&template.body()?)?;
        return print(&format!("{}\n", cost::cost(&template).to_string().trim_end()));
    }
    print(&template.pretty()?)
}

fn print(text: &str) -> Result<ExitCode, Box<dyn Error>> {
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
