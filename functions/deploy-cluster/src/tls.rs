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
    /// The authority of TLS between hosts, PEM: each host makes its own key and
    /// has its own address signed with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_authority: Option<String>,
    /// Its private key, PEM: who has it can be a host of this cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_authority_key: Option<String>,
}

impl TlsSecret {
    /// Makes a certificate for these names, signed by an authority that signs
    /// nothing else: its key is dropped here. With `peers` also an authority for
    /// TLS between hosts, of which the key stays.
    ///
    /// # Errors
    ///
    /// [`Failure::Broken`] when a name cannot be in a certificate.
    pub fn make(cluster: &str, names: &[String], peers: bool) -> Result<Self, Failure> {
        let broken = |error: rcgen::Error| Failure::Broken {
            call: "make certificate",
            what: format!("a certificate for {}: {error}", names.join(", ")),
        };
        let authority = Authority::make(&format!("{cluster} authority")).map_err(broken)?;
        let key = KeyPair::generate().map_err(broken)?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(broken)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = dated(params, cluster).signed_by(&key, &authority.issuer).map_err(broken)?;
        let peers = if peers { Some(Authority::make(&format!("{cluster} hosts")).map_err(broken)?) } else { None };
        Ok(TlsSecret {
            certificate: certificate.pem(),
            private_key: key.serialize_pem(),
            certificate_authority: authority.certificate,
            names: names.to_vec(),
            peer_authority_key: peers.as_ref().map(|peers| peers.issuer.key().serialize_pem()),
            peer_authority: peers.map(|peers| peers.certificate),
        })
    }
}

/// An authority that signs certificates.
struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn make(name: &str) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let params = dated(params, name);
        let certificate = params.self_signed(&key)?.pem();
        Ok(Authority { certificate, issuer: Issuer::new(params, key) })
    }
}

fn dated(mut params: CertificateParams, name: &str) -> CertificateParams {
    let now = SystemTime::now();
    params.not_before = (now - MARGIN).into();
    params.not_after = (now + VALIDITY).into();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;
    use std::process::Command;

    /// What a client does: trusts the authority only, and wants one of the names.
    #[test]
    fn the_certificate_verifies_for_its_names_and_no_other() {
        let names =
            ["orders-rw.db.internal", "orders-ro.db.internal", "*.elb.eu-west-1.amazonaws.com"].map(str::to_owned);
        let secret = TlsSecret::make("orders", &names, false).unwrap();
        assert_eq!(secret.names, names);
        assert_eq!((&secret.peer_authority, &secret.peer_authority_key), (&None, &None));
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
        for name in ["orders-rw.db.internal", "orders-ro.db.internal", "shop-0123.elb.eu-west-1.amazonaws.com"] {
            assert!(verify(name).0, "{name}: {}", verify(name).1);
        }
        assert!(!verify("orders-rw.other.internal").0);
        assert!(!verify("shop-0123.elb.us-east-1.amazonaws.com").0);
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

    /// What a host does at its setup: its own key, its own address, signed with the secret's key.
    #[test]
    fn a_host_gets_its_address_signed_by_the_hosts_authority_only() {
        let secret = TlsSecret::make("shop", &["a".to_owned()], true).unwrap();
        let folder = std::env::temp_dir().join(format!("understudy-peers-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        write("ca.crt", &secret.certificate_authority);
        write("peers.crt", secret.peer_authority.as_ref().unwrap());
        write("peers.key", secret.peer_authority_key.as_ref().unwrap());
        write("ext", "subjectAltName=IP:10.0.1.5,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n");
        let openssl = |arguments: &str| {
            let arguments: Vec<&str> = arguments.split(' ').collect();
            Command::new("openssl").args(arguments).current_dir(&folder).output().unwrap().status.success()
        };
        assert!(openssl(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout h.key -out h.csr -subj /CN=h"
        ));
        assert!(openssl("x509 -req -in h.csr -CA peers.crt -CAkey peers.key -out h.crt -days 30 -extfile ext"));
        for purpose in ["sslserver", "sslclient"] {
            assert!(openssl(&format!("verify -purpose {purpose} -CAfile peers.crt -verify_ip 10.0.1.5 h.crt")));
        }
        assert!(!openssl("verify -CAfile peers.crt -verify_ip 10.0.1.6 h.crt"));
        assert!(!openssl("verify -CAfile ca.crt -verify_ip 10.0.1.5 h.crt"), "clients must not trust hosts' own keys");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn no_two_clusters_share_an_authority() {
        let names = ["a".to_owned()];
        let make = || TlsSecret::make("orders", &names, true).unwrap();
        let (one, other) = (make(), make());
        assert_ne!(one.certificate_authority, other.certificate_authority);
        assert_ne!(one.peer_authority, other.peer_authority);
        assert_ne!(one.peer_authority.as_ref(), Some(&one.certificate_authority));
    }
}
