//! Whose certificates are believed, and who is asked for names, where AWS runs the servers.

use crate::names::Names;
use reconcile::Failure;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{fmt, net::SocketAddr, sync::Arc};
use tokio_postgres_rustls::MakeRustlsConnect;

/// RDS's own certificate authorities, three for each Region.
///
/// Made by `infra/rds-ca/make.sh`, 126 KiB.
pub(crate) const BUNDLE: &str = include_str!("../../../infra/rds-ca/bundle.pem");

/// How managed servers are reached: by names that AWS moves, with certificates that AWS signed.
#[derive(Clone)]
pub struct Reach {
    pub(crate) tls: MakeRustlsConnect,
    pub(crate) names: Names,
}

impl Reach {
    /// Trusts RDS's certificate authorities, and `authority` (PEM) beside them; asks `dns_server` for addresses
    /// instead of the system's resolver.
    ///
    /// # Errors
    ///
    /// [`Failure::Broken`] when `authority` holds no usable certificate.
    pub fn new(authority: Option<&str>, dns_server: Option<SocketAddr>) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        add(&mut roots, BUNDLE, "RDS's bundle of certificate authorities")?;
        if let Some(pem) = authority {
            add(&mut roots, pem, "RDS_AUTHORITY of this function")?;
        }
        Ok(Reach { tls: client(roots)?, names: dns_server.map_or(Names::System, Names::Server) })
    }
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach").field("names", &self.names).finish_non_exhaustive()
    }
}

/// Adds what a PEM holds to the trusted.
pub(crate) fn add(roots: &mut RootCertStore, pem: &str, called: &str) -> Result<(), Failure> {
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| broken(format!("{called} is not PEM: {error}")))?;
        roots.add(certificate).map_err(|error| broken(format!("{called} cannot be used: {error}")))?;
    }
    if roots.len() == before { Err(broken(format!("{called} holds no certificate"))) } else { Ok(()) }
}

/// TLS that believes these and no others.
pub(crate) fn client(roots: RootCertStore) -> Result<MakeRustlsConnect, Failure> {
    let mut config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| broken(format!("TLS: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
    // Members share names, and names move; a session resumed with another server would prove nothing.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(MakeRustlsConnect::new(config))
}

fn broken(what: String) -> Failure {
    Failure::Broken { call: "postgres:connect", what }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;
    use x509_parser::{parse_x509_certificate, prelude::ASN1Time};

    #[test]
    fn the_bundle_has_three_roots_of_every_region_that_stay_valid() {
        // The first second of 2027.
        let least = ASN1Time::from_timestamp(1_798_761_600).unwrap();
        let mut regions = std::collections::BTreeMap::<String, u32>::new();
        for der in CertificateDer::pem_slice_iter(BUNDLE.as_bytes()) {
            let der = der.unwrap();
            let (rest, root) = parse_x509_certificate(&der).unwrap();
            let name = root.subject().iter_common_name().next().unwrap().as_str().unwrap().to_owned();
            assert!(rest.is_empty() && root.is_ca() && root.subject() == root.issuer(), "{name}");
            assert!(root.validity().not_after > least, "{name} is valid until {}", root.validity().not_after);
            let region = name.strip_prefix("Amazon RDS ").and_then(|rest| rest.split(' ').next()).unwrap();
            *regions.entry(region.to_owned()).or_default() += 1;
        }
        assert_eq!(regions.len(), 27);
        assert!(regions.values().all(|count| *count == 3), "{regions:?}");
        assert!(["eu-west-1", "eu-central-1", "us-east-1"].iter().all(|region| regions.contains_key(*region)));
        let mut roots = RootCertStore::empty();
        add(&mut roots, BUNDLE, "the bundle").unwrap();
        assert_eq!(roots.len(), 81, "rustls takes all of them");
    }

    #[test]
    fn an_authority_of_ones_own_is_checked() {
        for (pem, problem) in [("", "holds no certificate"), ("-----BEGIN CERTIFICATE-----\nx", "RDS_AUTHORITY")] {
            let failure = Reach::new(Some(pem), None).unwrap_err();
            assert!(failure.to_string().contains(problem), "{failure}");
        }
        assert_eq!(Reach::new(None, None).unwrap().names, Names::System);
    }
}
