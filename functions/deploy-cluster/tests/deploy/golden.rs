//! The example specs, rendered: real templates that `cfn-lint` reads.
//!
//! `EXPECTORATE=overwrite cargo test -p deploy-cluster --no-default-features` writes them anew.

use deploy_cluster::{placeholder, reading};
use domain::{managed::Roles, spec::Spec};
use std::{collections::BTreeSet, fs, path::PathBuf, time::Instant};
use template::{OBJECT_LIMIT, PARAMETER_LIMIT, Part, Template, USER_DATA_LIMIT};

/// An example with two writers one after the other: `leads.json`, and `leads.promoted.json` when the second place writes.
const PROMOTED: &str = "leads";

/// Every example spec, and every part of it with the name of its golden template: `ledger.json` and `ledger.dr.json`.
fn examples() -> Vec<(Spec, Part, Roles, String)> {
    let mut examples = Vec::new();
    for entry in fs::read_dir(root().join("infra/clusters")).unwrap() {
        let path = entry.unwrap().path();
        let spec = reading::read(&fs::read_to_string(&path).unwrap());
        let spec = spec.unwrap_or_else(|problems| panic!("{}: {problems:?}", path.display()));
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if spec.dr.is_some() {
            examples.push((spec.clone(), Part::Dr, Roles::default(), format!("{name}.dr.json")));
        }
        if name == PROMOTED {
            let promoted = Roles::default().promoted(2, 2);
            examples.push((spec.clone(), Part::Primary, promoted, format!("{name}.promoted.json")));
        }
        examples.push((spec, Part::Primary, Roles::default(), format!("{name}.json")));
    }
    examples.sort_by(|a, b| a.3.cmp(&b.3));
    assert!(examples.len() > 5, "{} examples", examples.len());
    examples
}

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Of the bundle's digest there are zeros: a changed script of `infra/nodes` changes every cluster's settings, and no
/// golden template.
fn golden(spec: &Spec, part: Part, today: &Roles) -> String {
    render(spec, part, today).pretty().unwrap().replace(template::bundle().sha256, &"0".repeat(64))
}

fn render(spec: &Spec, part: Part, today: &Roles) -> Template {
    let (fleet, tls) = (placeholder::fleet(spec, part), placeholder::tls(spec, part));
    template::render(spec, &fleet, &tls, part, today)
}

#[test]
fn the_example_specs_render_to_the_golden_templates() {
    let overwrite = std::env::var("EXPECTORATE").is_ok_and(|value| value == "overwrite");
    let mut names = BTreeSet::new();
    for (spec, part, today, name) in examples() {
        let rendered = golden(&spec, part, &today);
        let golden = root().join("tests/golden").join(&name);
        if overwrite {
            fs::write(&golden, &rendered).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        let line = expected.lines().zip(rendered.lines()).position(|(a, b)| a != b).map_or(0, |line| line + 1);
        assert!(
            expected == rendered,
            "{} differs from line {line} on. If that is meant: EXPECTORATE=overwrite cargo test -p deploy-cluster --no-default-features",
            golden.display(),
        );
        names.insert(name);
    }
    let kept = fs::read_dir(root().join("tests/golden")).unwrap();
    let kept: BTreeSet<String> = kept.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(kept, names, "a golden template of no spec");
}

#[test]
fn the_examples_keep_within_the_limits_of_aws() {
    for (spec, part, today, name) in examples() {
        let template = render(&spec, part, &today);
        let body = template.body().unwrap().len();
        assert!(body <= OBJECT_LIMIT, "{name}: a template of {body} bytes");
        let size = template.longest_user_data();
        assert!(size <= USER_DATA_LIMIT, "{name}: user data of {size} bytes");
        let (parameter, size) = template.longest_parameter();
        assert!(size <= PARAMETER_LIMIT, "{name}: {parameter} of {size} bytes");
    }
}

/// The time is for the reader: what else the machine does is not in the test's hand.
#[test]
fn a_spec_renders_to_the_same_bytes_always() {
    for (spec, part, today, name) in examples() {
        let first = render(&spec, part, &today).body().unwrap();
        let mut times = Vec::new();
        for _ in 0..20 {
            let begin = Instant::now();
            let again = render(&spec, part, &today).body().unwrap();
            times.push(begin.elapsed().as_secs_f64() * 1000.0);
            assert!(first == again, "{name} renders to other bytes");
        }
        times.sort_by(f64::total_cmp);
        println!(
            "{name}: {} bytes; of 20 times the median is {:.1} ms, the longest {:.1} ms",
            first.len(),
            times[10],
            times[19]
        );
    }
}
