//! The certificate of a cluster: made once, before its members are.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use reconcile::Failure;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// Ten years: longer than an instance lives. Nobody has to replace a certificate
/// in the middle of the night.
const VALIDITY: Duration = Duration::from_secs(3_652 * 24 * 3_600);

/// Clocks differ; a member must not find its own certificate in the future.
const MARGIN: Duration = Duration::from_secs(24 * 3_600);

/// What the secret holds.
#[derive(Serialize, Deserialize)]
pub struct TlsSecret {
    /// The members' server certificate, PEM.
    pub certificate: String,
    /// Its private key, PEM.
    pub private_key: String,
    /// The certificate that signed it, PEM. Its own key exists nowhere.
    pub certificate_authority: String,
    /// The names in the server certificate.
    pub names: Vec<String>,
}

impl TlsSecret {
    /// Makes a certificate for these names, signed by an authority that signs
    /// nothing else: its key is dropped here.
    ///
    /// # Errors
    ///
    /// [`Failure::Broken`] when a name cannot be in a certificate.
    pub fn make(cluster: &str, names: &[String]) -> Result<Self, Failure> {
        let broken = |error: rcgen::Error| Failure::Broken {
            call: "make certificate",
            what: format!("a certificate for {}: {error}", names.join(", ")),
        };
        let now = SystemTime::now();
        let dated = |mut params: CertificateParams, name: String| {
            params.not_before = (now - MARGIN).into();
            params.not_after = (now + VALIDITY).into();
            params.distinguished_name.push(DnType::CommonName, name);
            params
        };

        let authority_key = KeyPair::generate().map_err(broken)?;
        let mut params = CertificateParams::new(Vec::new()).map_err(broken)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let params = dated(params, format!("{cluster} authority"));
        let authority = params.self_signed(&authority_key).map_err(broken)?;
        let issuer = Issuer::new(params, authority_key);

        let key = KeyPair::generate().map_err(broken)?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(broken)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = dated(params, cluster.to_owned()).signed_by(&key, &issuer).map_err(broken)?;

        Ok(TlsSecret {
            certificate: certificate.pem(),
            private_key: key.serialize_pem(),
            certificate_authority: authority.pem(),
            names: names.to_vec(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;
    use std::process::Command;

    /// What a client does: trusts the authority only, and wants one of the names.
    #[test]
    fn the_certificate_verifies_for_its_names_and_no_other() {
        let names = ["orders-rw.db.internal".to_owned(), "orders-ro.db.internal".to_owned()];
        let secret = TlsSecret::make("orders", &names).unwrap();
        assert_eq!(secret.names, names);
        let folder = std::env::temp_dir().join(format!("understudy-tls-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        write("ca.crt", &secret.certificate_authority);
        write("server.crt", &secret.certificate);
        write("server.key", &secret.private_key);
        let openssl = |arguments: &[&str]| {
            let output = Command::new("openssl").args(arguments).current_dir(&folder).output().unwrap();
            (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let verify = |name: &str| {
            let purpose = ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.crt", "-verify_hostname"];
            openssl(&[&purpose[..], &[name, "server.crt"]].concat())
        };
        for name in &names {
            assert!(verify(name).0, "{name}: {}", verify(name).1);
        }
        assert!(!verify("orders-rw.other.internal").0);
        // Nine years from now it still holds, eleven from now it does not.
        let year = 365 * 24 * 3_600;
        assert!(openssl(&["x509", "-in", "server.crt", "-noout", "-checkend", &(9 * year).to_string()]).0);
        assert!(!openssl(&["x509", "-in", "server.crt", "-noout", "-checkend", &(11 * year).to_string()]).0);
        let public = |arguments: &[&str]| openssl(arguments).1;
        assert_eq!(
            public(&["x509", "-in", "server.crt", "-noout", "-pubkey"]),
            public(&["pkey", "-in", "server.key", "-pubout"]),
            "the key is not the certificate's"
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn no_two_clusters_share_an_authority() {
        let names = ["a".to_owned()];
        let make = || TlsSecret::make("orders", &names).unwrap();
        assert_ne!(make().certificate_authority, make().certificate_authority);
    }
}
