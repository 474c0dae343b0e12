//! Packs `infra/nodes`, all of it, so that no file is ever forgotten, and RDS's certificate authorities.

#[path = "src/bundle/pack.rs"]
mod pack;

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    let nodes = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../infra/nodes");
    // A folder counts with all that is in it.
    println!("cargo::rerun-if-changed={}", nodes.display());
    let mut paths = Vec::new();
    collect(&nodes, &mut paths)?;
    // In an order that no file system decides.
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let name = path.strip_prefix(&nodes)?.to_str().ok_or("a file name that is no text")?.to_owned();
        files.push((name, fs::read(&path)?));
    }
    // What PgBouncer verifies RDS with.
    let authorities = nodes.join("../rds-ca/bundle.pem");
    println!("cargo::rerun-if-changed={}", authorities.display());
    files.push(("rds-ca/bundle.pem".to_owned(), fs::read(&authorities)?));
    let bundle = pack::pack(&files)?;
    println!("cargo::rustc-env=BUNDLE_SHA256={}", pack::sha256(&bundle));
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("bundle.tar.gz"), bundle)?;
    Ok(())
}

/// Files that begin with a dot are for the repository's tools.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}
