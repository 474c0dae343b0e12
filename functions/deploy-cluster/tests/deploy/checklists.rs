//! What three common hand-made set-ups contain, line by line: each number is in a rendered template, in a script of
//! `infra/nodes`, is a default of the spec, or is among the README's deliberate differences.
//!
//! `checklists/reference-N.json`: `{"line": what they have, "proof": [where it is here]}`. A proof is one of
//!
//! - `template NAME POINTER = VALUE` a value in the template of a spec in `infra/clusters` (`NAME.dr`: its DR part)
//! - `template NAME ~ TEXT` a text anywhere in it
//! - `node FILE ~ TEXT` a text in a file of `infra/nodes`
//! - `default POINTER = VALUE` a default in the spec's schema
//! - `different TEXT` a text in the README's table of differences

use deploy_cluster::{placeholder, reading};
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::PathBuf};
use template::Part;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    line: String,
    proof: Vec<String>,
}

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn text(path: &str) -> String {
    let path = repository(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the proofs are looked up in; a template is rendered once.
struct Evidence {
    schema: Value,
    differences: String,
    templates: BTreeMap<String, Value>,
}

impl Evidence {
    fn gather() -> Self {
        let readme = text("README.md");
        let (_, differences) = readme.split_once("\n## Deliberately different\n").expect("the README's section");
        let differences = differences.split("\n## ").next().unwrap_or_default().to_owned();
        Evidence { schema: domain::spec::schema(), differences, templates: BTreeMap::new() }
    }

    fn template(&mut self, name: &str) -> &Value {
        self.templates.entry(name.to_owned()).or_insert_with(|| {
            let (file, part) = name.strip_suffix(".dr").map_or((name, Part::Primary), |file| (file, Part::Dr));
            let spec = reading::read(&text(&format!("infra/clusters/{file}.json"))).expect("a sound spec");
            let fleet = placeholder::fleet(&spec, part);
            let tls = placeholder::tls(&spec, part);
            serde_json::to_value(template::render(&spec, &fleet, &tls, part, &domain::managed::Roles::default()))
                .unwrap()
        })
    }

    /// Whether a proof holds; the error says what was found.
    fn check(&mut self, proof: &str) -> Result<(), String> {
        let (kind, rest) = proof.split_once(' ').ok_or("no kind of proof")?;
        match kind {
            "template" => {
                let (name, rest) = rest.split_once(' ').ok_or("no template")?;
                let template = self.template(name);
                match rest.strip_prefix("~ ") {
                    Some(part) => holds(&template.to_string().replace("\\n", "\n").replace("\\\"", "\""), part),
                    None => is(template, rest),
                }
            }
            "node" => {
                let (file, part) = rest.split_once(" ~ ").ok_or("no text")?;
                holds(&text(&format!("infra/nodes/{file}")), part)
            }
            "default" => is(&self.schema, rest),
            "different" => holds(&self.differences, rest),
            _ => Err(format!("no kind of proof: {kind}")),
        }
    }
}

fn holds(text: &str, part: &str) -> Result<(), String> {
    if text.contains(part) { Ok(()) } else { Err(format!("it does not hold {part:?}")) }
}

fn is(document: &Value, claim: &str) -> Result<(), String> {
    let (pointer, expected) = claim.split_once(" = ").ok_or("no value")?;
    let found = document.pointer(pointer).ok_or_else(|| format!("nothing at {pointer}"))?;
    let expected: Value = serde_json::from_str(expected).map_err(|error| format!("{expected}: {error}"))?;
    if *found == expected { Ok(()) } else { Err(format!("{pointer} is {found}")) }
}

#[test]
fn each_line_of_the_references_is_kept_or_told() {
    let mut evidence = Evidence::gather();
    let mut wrong = Vec::new();
    for name in ["reference-0", "reference-1", "reference-2", "reference-3", "reference-4"] {
        let lines: Vec<Line> =
            serde_json::from_str(&text(&format!("functions/deploy-cluster/tests/deploy/checklists/{name}.json")))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(lines.len() >= 20, "{name} has {} lines", lines.len());
        for Line { line, proof } in lines {
            assert!(!proof.is_empty(), "{name}: {line}: no proof");
            for proof in proof {
                if let Err(found) = evidence.check(&proof) {
                    wrong.push(format!("{name}: {line}: {proof}: {found}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_proof_that_does_not_hold_is_seen() {
    let mut evidence = Evidence::gather();
    let table = [
        ("template shop /Resources/Member1Data/Properties/Size = 100", true),
        ("template shop /Resources/Member1Data/Properties/Size = 101", false),
        ("template shop ~ POOL_SIZE=20", true),
        ("template shop ~ POOL_SIZE=21", false),
        ("node tune.sh ~ wal_level = 'replica'", true),
        ("node tune.sh ~ wal_level = 'minimal'", false),
        ("default /properties/records/properties/ttl_s/default = 1", true),
        ("default /properties/records/properties/ttl_s/default = 2", false),
        ("different Glacier", true),
        ("different nonsense", false),
        ("word shop", false),
    ];
    for (proof, expected) in table {
        assert_eq!(evidence.check(proof).is_ok(), expected, "{proof}: {:?}", evidence.check(proof));
    }
}
