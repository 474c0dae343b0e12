//! The example specs, rendered: real templates that `cfn-lint` reads.
//!
//! `EXPECTORATE=overwrite cargo test -p deploy-cluster --no-default-features` writes them anew.

use deploy_cluster::{placeholder, reading};
use std::{fs, path::PathBuf};

#[test]
fn the_example_specs_render_to_the_golden_templates() {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let overwrite = std::env::var("EXPECTORATE").is_ok_and(|value| value == "overwrite");
    let mut names: Vec<_> =
        fs::read_dir(root.join("infra/clusters")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert!(!names.is_empty());
    for name in names {
        let spec = reading::read(&fs::read_to_string(root.join("infra/clusters").join(&name)).unwrap()).unwrap();
        let rendered = template::ec2_streaming(&spec, &placeholder::fleet(), &placeholder::tls()).pretty().unwrap();
        let golden = root.join("tests/golden").join(&name);
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
    }
}
