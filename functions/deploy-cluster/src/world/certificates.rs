//! The secret with the certificate of a cluster on EC2.

use super::Aws;
use crate::tls::TlsSecret;
use deploy_cluster::outside::{Certificate, TlsSeen};
use reconcile::Failure;
use template::Tls;

/// How long a certificate can be restored: the longest that Secrets Manager keeps it, in days.
const RECOVERY_DAYS: i64 = 30;

impl Aws {
    pub(super) fn tls_secret(&self, cluster: &str) -> String {
        format!("understudy/{}/{cluster}/tls", self.settings.fleet)
    }

    pub(super) async fn certificate(&self, cluster: &str) -> Result<Option<Certificate>, Failure> {
        let name = self.tls_secret(cluster);
        let Some(found) = self.secrets.describe(&name).await? else { return Ok(None) };
        if found.deleted {
            return Ok(Some(Certificate::Marked));
        }
        let Some(text) = self.secrets.find(&found.arn).await? else { return Ok(None) };
        // The error's own text may quote the key.
        let secret: TlsSecret = serde_json::from_str(&text).map_err(|error| Failure::Broken {
            call: "secretsmanager:GetSecretValue",
            what: format!(
                "secret {name} is not as Understudy writes it: see line {}, column {}",
                error.line(),
                error.column()
            ),
        })?;
        let tls = Tls {
            secret_arn: found.arn,
            certificate_authority: secret.certificate_authority,
            peer_authority: secret.peer_authority,
        };
        let copies = found.replicas.into_iter().map(|(region, _)| region).collect();
        Ok(Some(Certificate::There(TlsSeen { tls, names: secret.names, copy_of: found.copy_of, copies })))
    }

    pub(super) async fn make_certificate(
        &self,
        cluster: &str,
        names: &[String],
        peers: bool,
        key_arn: Option<&str>,
    ) -> Result<(), Failure> {
        let secret = serde_json::to_string(&TlsSecret::make(cluster, names, peers)?)
            .map_err(|error| Failure::Broken { call: "make certificate", what: error.to_string() })?;
        let tags = [("understudy:fleet", self.settings.fleet.as_str()), ("understudy:cluster", cluster)];
        self.secrets.create(&self.tls_secret(cluster), &secret, &tags, key_arn).await
    }

    pub(super) async fn drop_certificate(&self, cluster: &str) -> Result<(), Failure> {
        let name = self.tls_secret(cluster);
        let Some(found) = self.secrets.describe(&name).await? else { return Ok(()) };
        let copies: Vec<String> = found.replicas.into_iter().map(|(region, _)| region).collect();
        if !copies.is_empty() {
            // Secrets Manager does not delete a secret that has copies.
            self.secrets.unreplicate(&name, copies).await?;
        }
        self.secrets.delete(&name, RECOVERY_DAYS).await
    }
}
