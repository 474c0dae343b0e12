//! What the scenarios need: the sample events in `events/`, and the rules of
//! `infra/template.yaml` that say whom EventBridge wakes with them.

pub mod rules;
pub mod world;

use serde_json::Value;
use std::path::{Path, PathBuf};

/// A path in the repository.
#[must_use]
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The event in `events/<name>.json`.
///
/// # Panics
///
/// When there is no such file, or it is no JSON: a test that asks for it is wrong.
#[must_use]
pub fn event(name: &str) -> Value {
    let path = repository("events").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names of all events in `events/`, sorted.
///
/// # Panics
///
/// When the folder cannot be read.
#[must_use]
pub fn event_names() -> Vec<String> {
    let folder = repository("events");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".json").map(str::to_owned))
        .collect();
    names.sort();
    names
}
