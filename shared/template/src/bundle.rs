//! What hosts run: all of `infra/nodes`, packed by the build, for the fleet's bucket.

#[cfg(test)]
mod pack;

/// The files of `infra/nodes`, packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bundle {
    /// Where in the fleet's bucket it belongs: `nodes/<sha256>.tar.gz`.
    pub key: &'static str,
    /// Its SHA-256, in lower-case hexadecimal digits.
    pub sha256: &'static str,
    /// Tar, gzip.
    pub bytes: &'static [u8],
}

/// The folder of bundles in the fleet's bucket.
pub(crate) const FOLDER: &str = "nodes";

/// The bundle of this build.
#[must_use]
pub fn bundle() -> Bundle {
    Bundle {
        key: concat!("nodes/", env!("BUNDLE_SHA256"), ".tar.gz"),
        sha256: env!("BUNDLE_SHA256"),
        bytes: include_bytes!(concat!(env!("OUT_DIR"), "/bundle.tar.gz")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that another version of the packing crates would make others of: seen here, not at a deployment.
    #[test]
    fn packing_is_the_same_everywhere() -> std::io::Result<()> {
        let file = |name: &str, content: &str| (name.to_owned(), content.as_bytes().to_vec());
        let packed = pack::pack(&[file("a.sh", "echo a\n"), file("b/c.json", "{}\n")])?;
        assert_eq!(pack::sha256(&packed), "5362ebfbb1202660bca9ffce7e51a5e6459f785824653c8a6c7ecd2f27fbc4b2");
        Ok(())
    }

    #[test]
    fn a_bundle_is_named_by_its_content() {
        assert_eq!(bundle().sha256, pack::sha256(bundle().bytes));
        assert_eq!(bundle().key, format!("{FOLDER}/{}.tar.gz", bundle().sha256));
    }
}
