//! Packing, for the build: the same files are the same bytes, always and everywhere. Another key would make every host
//! fetch the bundle again; so there is no time and no owner in it, and gzip does not say on what it was made.

use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use std::io;

/// When all files were last changed, in seconds since 1970: always the first day of 2026. Of 1970, tar would not
/// believe it.
const PACKED_AT: u64 = 1_767_225_600;

/// Files, by name and content, as `tar xz` unpacks them.
pub(crate) fn pack(files: &[(String, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    let mut tar = tar::Builder::new(gzip);
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(if name.ends_with(".sh") { 0o755 } else { 0o644 });
        header.set_mtime(PACKED_AT);
        header.set_uid(0);
        header.set_gid(0);
        tar.append_data(&mut header, name, content.as_slice())?;
    }
    tar.into_inner()?.finish()
}

/// SHA-256 in lower-case hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
