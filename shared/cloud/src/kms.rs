//! Keys: whether they could be used, without using them.

use crate::{
    SdkConfig,
    failure::{Subject, classify},
};
use aws_sdk_kms::{
    Client,
    operation::generate_data_key_without_plaintext::GenerateDataKeyWithoutPlaintextError,
    types::{DataKeySpec, KeyState},
};
use reconcile::Failure;

const DESCRIBE: &str = "kms:DescribeKey";
const GENERATE: &str = "kms:GenerateDataKeyWithoutPlaintext";
const CHECK: &str = "is it of this Region, and was it deleted?";

/// The KMS calls the fleet makes.
#[derive(Debug, Clone)]
pub struct Kms(Client);

impl Kms {
    /// Uses these credentials and time-outs.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Kms(Client::new(config))
    }

    /// Whether a key is enabled; otherwise its state (`PendingDeletion`, `Disabled`) in words of KMS.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `kms:DescribeKey`.
    pub async fn is_enabled(&self, key: &str) -> Result<Result<(), String>, Failure> {
        let what = format!("key {key}");
        let found = self.0.describe_key().key_id(key).send().await;
        let found = found.map_err(|error| classify(DESCRIBE, Subject { what: &what, check: CHECK }, error))?;
        Ok(match found.key_metadata().and_then(|key| key.key_state()) {
            Some(KeyState::Enabled) => Ok(()),
            Some(state) => Err(state.as_str().to_owned()),
            None => Err("unknown".to_owned()),
        })
    }

    /// Asks whether this function could have data encrypted with a key, by a dry run: nothing is generated.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `kms:GenerateDataKeyWithoutPlaintext`: it could not.
    pub async fn could_encrypt(&self, key: &str) -> Result<(), Failure> {
        let what = format!("key {key}");
        let request = self.0.generate_data_key_without_plaintext().key_id(key).key_spec(DataKeySpec::Aes256);
        let Err(error) = request.dry_run(true).send().await else { return Ok(()) };
        match error.as_service_error() {
            // KMS's way to say yes to a dry run.
            Some(GenerateDataKeyWithoutPlaintextError::DryRunOperationException(_)) => Ok(()),
            _ => Err(classify(GENERATE, Subject { what: &what, check: CHECK }, error)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;
    use crate::replay::{answer, json_error, kind};
    use serde_json::json;

    const KEY: &str = "arn:aws:kms:eu-central-1:000000000000:key/k-1";

    #[tokio::test]
    async fn a_key_is_enabled_or_says_what_it_is() {
        for (state, expected) in [("Enabled", Ok(())), ("PendingDeletion", Err("PendingDeletion".to_owned()))] {
            let key = json!({ "KeyMetadata": { "KeyId": "k-1", "KeyState": state } });
            let (config, replay) = answer(200, key.to_string());
            assert_eq!(Kms::new(&config).is_enabled(KEY).await.unwrap(), expected);
            assert_eq!(replay.only().json(), json!({ "KeyId": KEY }));
        }
        let (config, _) = answer(400, json_error("NotFoundException", "Key does not exist"));
        assert_eq!(kind(&Kms::new(&config).is_enabled(KEY).await.unwrap_err()), "broken");
    }

    #[tokio::test]
    async fn a_dry_run_that_would_succeed_is_told_by_an_error() {
        let (config, replay) = answer(412, json_error("DryRunOperationException", "would have succeeded"));
        Kms::new(&config).could_encrypt(KEY).await.unwrap();
        assert_eq!(replay.only().json(), json!({ "KeyId": KEY, "KeySpec": "AES_256", "DryRun": true }));
        for (code, expected) in [
            ("AccessDeniedException", "broken"),
            ("DisabledException", "broken"),
            ("KMSInternalException", "transient"),
        ] {
            let replies = || crate::replay::Reply::Http(400, json_error(code, "no"));
            let count = if expected == "transient" { 3 } else { 1 };
            let (config, _) = crate::replay::script((0..count).map(|_| replies()));
            assert_eq!(kind(&Kms::new(&config).could_encrypt(KEY).await.unwrap_err()), expected, "{code}");
        }
    }
}
