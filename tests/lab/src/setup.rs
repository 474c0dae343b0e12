//! Tools, functions, local AWS: what must be there before a fleet can be deployed.

use crate::{
    command::{Keep, Line, run},
    error::{Error, cannot},
    place::Place,
    progress::{Progress, Step},
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The functions, by the names of their packages.
pub const FUNCTIONS: [&str; 6] =
    ["deploy-cluster", "watch-clusters", "promote-replica", "update-dns", "rejoin-replica", "fail-over-region"];

/// Installs what is missing: Debian packages, the Python environment.
pub async fn tools(place: &Place, progress: Progress) -> Result<(), Error> {
    let step = progress.step("tools");
    step.tell("looking for what is needed");
    script(place, &[], &step).await?;
    step.done("PostgreSQL, jq, curl, openssl and the Python environment are there");
    Ok(())
}

/// Installs what only clusters with Patroni or with backups need.
pub async fn cluster_tools(place: &Place, step: &Step) -> Result<(), Error> {
    step.tell("looking for Patroni, etcd, PgBouncer and pgBackRest");
    script(place, &["--clusters"], step).await
}

async fn script(place: &Place, arguments: &[&str], step: &Step) -> Result<(), Error> {
    let mut script = place.program("bash");
    script.arg(place.repo.join("tests/lab/setup.sh")).args(arguments);
    run(place, "setup", "set this machine up", script, |line| {
        let (Line::Out(text) | Line::Err(text)) = line;
        step.tell(text.trim());
        Keep::Yes
    })
    .await
}

/// A line of `cargo build --message-format json`, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    executable: Option<PathBuf>,
    package_id: Option<String>,
    #[serde(default)]
    fresh: bool,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Builds the functions and packs each as `bootstrap` in a folder of its own.
///
/// The whole workspace's programs are built, not their packages alone: Cargo chooses the features of shared
/// dependencies by what is built together, and another choice than that of `cargo test --workspace` would compile all
/// AWS SDKs a second time.
pub async fn functions(place: &Place, progress: Progress) -> Result<(), Error> {
    let step = progress.step("functions");
    step.tell("asking Cargo what is to be built");
    let total = packages(place).await?;
    let mut cargo = place.program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--workspace", "--bins", "--message-format", "json-render-diagnostics"]);
    cargo.arg("--manifest-path").arg(place.repo.join("Cargo.toml"));
    // Cargo reads its configuration and a relative target folder from the current directory, which is the lab's.
    if std::env::var_os("CARGO_TARGET_DIR").is_none() {
        cargo.env("CARGO_TARGET_DIR", place.repo.join("target"));
    }
    let (mut built, mut seen, mut fresh) = (BTreeMap::new(), HashSet::new(), true);
    run(place, "cargo-build", "build the functions", cargo, |line| {
        let Line::Out(text) = line else { return Keep::Yes };
        let Ok(message) = serde_json::from_str::<Message>(text) else { return Keep::Yes };
        if message.reason == "compiler-artifact" {
            fresh &= message.fresh;
            seen.extend(message.package_id);
            let name = message.target.map(|target| target.name).unwrap_or_default();
            step.tell(format!("compiling: {} of {total} packages, last {name}", seen.len()));
            if let Some(program) = message.executable {
                built.insert(name, program);
            }
        }
        Keep::No
    })
    .await?;
    let mut packed = 0;
    for name in FUNCTIONS {
        let program = built.get(name).ok_or_else(|| cannot("build the functions")(format!("no program {name}")))?;
        packed += usize::from(pack(place, name, program).await?);
    }
    step.done(if fresh && packed == 0 { "built before, unchanged" } else { "built" });
    Ok(())
}

/// How many packages the workspace consists of, with everything it depends on.
async fn packages(place: &Place) -> Result<usize, Error> {
    let mut cargo = place.program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["tree", "--workspace", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"]);
    cargo.arg("--manifest-path").arg(place.repo.join("Cargo.toml"));
    let mut names = HashSet::new();
    run(place, "cargo-tree", "ask Cargo what is to be built", cargo, |line| {
        if let Line::Out(text) = line {
            names.insert(text.trim_end_matches(" (*)").to_owned());
        }
        Keep::Yes
    })
    .await?;
    Ok(names.len())
}

/// Copies a program without its symbols to `<functions>/<name>/bootstrap`, unless it is the one already there;
/// whether it was copied.
async fn pack(place: &Place, name: &str, program: &Path) -> Result<bool, Error> {
    let doing = format!("pack the function {name}");
    let folder = place.functions().join(name);
    let (bootstrap, next) = (folder.join("bootstrap"), folder.join("bootstrap.next"));
    let modified = |path: &Path| fs::metadata(path).and_then(|found| found.modified());
    let built: SystemTime = modified(program).map_err(cannot(&doing))?;
    if modified(&bootstrap).is_ok_and(|packed| packed >= built) {
        return Ok(false);
    }
    fs::create_dir_all(&folder).map_err(cannot(&doing))?;
    let mut strip = place.program("strip");
    strip.arg("-o").arg(&next).arg(program);
    run(place, "strip", &doing, strip, |_| Keep::Yes).await?;
    // Renamed when whole, so that a lab cut short here leaves no half of a program.
    fs::rename(&next, &bootstrap).map_err(cannot(&doing))?;
    Ok(true)
}
