//! What hosts run is what the repository has.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Every file below a folder, by its path in there. Those that begin with a dot are for tools.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with('.') {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Unpacked with the program that hosts have.
#[test]
fn the_bundle_holds_every_file_of_the_nodes() {
    let bundle = template::bundle();
    let folder = std::env::temp_dir().join(format!("understudy-bundle-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("bundle"), bundle.bytes).unwrap();
    let unpack = "test \"$(sha256sum <bundle)\" = \"$0  -\" && mkdir unpacked && tar xzf bundle -C unpacked";
    let mut shell = Command::new("bash");
    let output = shell.args(["-c", unpack, bundle.sha256]).current_dir(&folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let unpacked = files(&folder.join("unpacked"));
    fs::remove_dir_all(&folder).unwrap();

    let mut nodes = files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/nodes")));
    let authorities = concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/rds-ca/bundle.pem");
    nodes.insert("rds-ca/bundle.pem".into(), fs::read(authorities).unwrap());
    assert_eq!(unpacked.keys().collect::<Vec<_>>(), nodes.keys().collect::<Vec<_>>());
    for (name, content) in nodes {
        assert!(unpacked[&name] == content, "{} is another one in the bundle", name.display());
    }
}
