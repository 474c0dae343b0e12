//! Which function EventBridge would wake with an event, and what it would make
//! of it. Needs no lab that runs: the rules are read from the template.

use domain::events::{Function, Meaning, meaning_for};
use scenarios::rules::{BadTemplate, Scope, Template};
use serde::Serialize;
use serde_json::Value;
use std::{
    fmt,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// More than any event has: EventBridge takes 1 MiB at most, envelope included.
const LONGEST: u64 = 1 << 20;

/// What becomes of one event at one function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The file, as it was given.
    pub file: String,
    /// The function.
    pub function: &'static str,
    /// Whether a rule of the template brings the event to the function.
    pub delivered: bool,
    /// What the function makes of it, or why it never gets it: one sentence.
    pub meaning: String,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let woken = if self.delivered { "woken" } else { "-" };
        write!(f, "{}  {:15}  {woken:5}  {}", self.file, self.function, self.meaning)
    }
}

/// A row for every file and function, in that order.
pub fn run(files: &[PathBuf], template: &Path) -> Vec<Row> {
    let template = Template::read(template);
    let mut rows = Vec::new();
    for file in files {
        let event = read(file);
        for function in Function::ALL {
            let (delivered, meaning) = match (&event, &template) {
                (Err(problem), _) => (false, format!("ignored: {problem}")),
                (Ok(_), Err(problem)) => (false, unknown(problem)),
                (Ok(event), Ok(template)) => ask(template, function, event),
            };
            rows.push(Row { file: file.display().to_string(), function: function.name(), delivered, meaning });
        }
    }
    rows
}

fn unknown(problem: &BadTemplate) -> String {
    format!("not known, because the rules cannot be read: {}", problem.to_string().replace('\n', " "))
}

fn ask(template: &Template, function: Function, event: &Value) -> (bool, String) {
    let scope = Scope::of(event, template);
    let meaning = meaning_for(function, &scope.fleet, event);
    let delivered = match template.rules(function, &scope) {
        Ok(rules) => rules.iter().any(|rule| rule.matches(event)),
        Err(problem) => return (false, unknown(&problem)),
    };
    let how = match &meaning {
        _ if delivered => "",
        Meaning::Ignored(_) => "",
        Meaning::Suspicion(_)
        | Meaning::Attention { .. }
        | Meaning::Spec { .. }
        | Meaning::Order(_)
        | Meaning::Request(_)
        | Meaning::Region(_)
        | Meaning::BadRequest(_) => " (it arrives by direct invocation, not by a rule)",
        _ => " (but no rule brings it here)",
    };
    (delivered, format!("{meaning}{how}"))
}

/// The event in a file, or why there is none.
fn read(file: &Path) -> Result<Value, String> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(format!("the file cannot be read: {error}")),
        Ok(0) => Err("the file is empty".to_owned()),
        Ok(_) if bytes.len() as u64 > LONGEST => Err("the file is longer than 1 MiB, as no event is".to_owned()),
        Ok(_) => serde_json::from_slice(&bytes).map_err(|error| format!("this is no JSON: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scenarios::repository;

    fn rows(files: &[PathBuf]) -> Vec<Row> {
        run(files, &repository("infra/template.yaml"))
    }

    /// What promote-replica says of a file with this content.
    fn of(name: &str, content: &[u8]) -> String {
        let file = std::env::temp_dir().join(format!("understudy-wake-{}-{name}", std::process::id()));
        assert!(std::fs::write(&file, content).is_ok(), "cannot write {}", file.display());
        let rows = rows(std::slice::from_ref(&file));
        assert!(std::fs::remove_file(&file).is_ok(), "cannot remove {}", file.display());
        assert_eq!(rows.iter().map(|row| row.function).collect::<Vec<_>>(), Function::ALL.map(Function::name));
        assert!(rows.iter().all(|row| !row.delivered), "{rows:?}");
        rows[2].meaning.clone()
    }

    #[test]
    fn a_row_for_every_file_and_function() {
        let files: Vec<PathBuf> =
            scenarios::event_names().iter().map(|name| repository("events").join(format!("{name}.json"))).collect();
        let rows = rows(&files);
        assert_eq!(rows.len(), files.len() * Function::ALL.len());
        let woken: Vec<&Row> =
            rows.iter().filter(|row| row.delivered && row.file.contains("ec2-state-stopping")).collect();
        assert!(matches!(woken[..], [Row { function: "promote-replica", .. }]), "{woken:?}");
        assert_eq!(woken[0].meaning, "EC2 says that i-0a1b2c3d4e5f60002 is stopping: look at its cluster");
        let direct = rows.iter().find(|row| row.file.contains("watch-writer") && row.function == "promote-replica");
        assert!(direct.is_some_and(|row| !row.delivered && row.meaning.contains("by direct invocation")), "{direct:?}");
    }

    #[test]
    fn what_is_no_event_is_said_to_be_none() {
        assert_eq!(of("text", b"a text"), "ignored: this is no JSON: expected value at line 1 column 1");
        assert_eq!(of("empty", b""), "ignored: the file is empty");
        assert_eq!(of("list", b"[1]"), "ignored: this is no JSON object");
        assert!(of("latin", &[b'"', 0xE9, b'"']).starts_with("ignored: this is no JSON: invalid unicode"));
        assert!(of("deep", "[".repeat(100_000).as_bytes()).starts_with("ignored: this is no JSON: recursion limit"));
        assert_eq!(of("long", &vec![b' '; 2 << 20]), "ignored: the file is longer than 1 MiB, as no event is");
        for file in ["/", "/nowhere/at-all.json"] {
            let rows = rows(&[PathBuf::from(file)]);
            assert!(rows.len() == Function::ALL.len() && rows.iter().all(|row| !row.delivered), "{rows:?}");
            assert!(rows[0].meaning.starts_with("ignored: the file cannot be read: "), "{rows:?}");
        }
    }

    #[test]
    fn a_template_that_cannot_be_read_is_said_not_to_be() {
        let rows = run(&[repository("events/ec2-state-stopped.json")], Path::new("/nowhere/template.yaml"));
        assert!(
            rows.iter().all(|row| row.meaning.starts_with("not known, because the rules cannot be read")),
            "{rows:?}"
        );
    }
}
