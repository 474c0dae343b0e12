//! Where a secret is, and how it comes and goes.

use super::{Secrets, subject};
use crate::failure::classify;
use aws_sdk_secretsmanager::{
    error::ProvideErrorMetadata,
    types::{ReplicaRegionType, StatusType},
};
use reconcile::Failure;

const DESCRIBE: &str = "secretsmanager:DescribeSecret";
const REPLICATE: &str = "secretsmanager:ReplicateSecretToRegions";
const UNREPLICATE: &str = "secretsmanager:RemoveRegionsFromReplication";
const RESTORE: &str = "secretsmanager:RestoreSecret";
const DELETE: &str = "secretsmanager:DeleteSecret";

/// What a secret is, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its ARN.
    pub arn: String,
    /// Whether it is marked for deletion.
    pub deleted: bool,
    /// The Region that this one is a copy from; `None` for one that is no copy.
    pub copy_of: Option<String>,
    /// The Regions it is copied to, and whether the copy is there.
    pub replicas: Vec<(String, bool)>,
}

impl Secrets {
    /// A secret, by name; `None` when there is no such secret.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `secretsmanager:DescribeSecret`.
    pub async fn describe(&self, name: &str) -> Result<Option<Described>, Failure> {
        let output = match self.0.describe_secret().secret_id(name).send().await {
            Ok(output) => output,
            Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) => {
                return Ok(None);
            }
            Err(error) => return Err(classify(DESCRIBE, subject(&format!("secret {name}")), error)),
        };
        let replica = |status: &aws_sdk_secretsmanager::types::ReplicationStatusType| {
            Some((status.region()?.to_owned(), status.status() == Some(&StatusType::InSync)))
        };
        let replicas = output.replication_status().iter().filter_map(replica).collect();
        let arn = output.arn.unwrap_or_default();
        // An ARN's fourth word: a secret without copies says nothing of its Region.
        let home = arn.split(':').nth(3).map(str::to_owned);
        let copy_of = output.primary_region.filter(|region| home.as_ref() != Some(region));
        Ok(Some(Described { arn, deleted: output.deleted_date.is_some(), copy_of, replicas }))
    }

    /// Copies a secret to another Region, and keeps the copy as it is.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `secretsmanager:ReplicateSecretToRegions`.
    pub async fn replicate(&self, name: &str, region: &str, key_arn: Option<&str>) -> Result<(), Failure> {
        let to = ReplicaRegionType::builder().region(region).set_kms_key_id(key_arn.map(str::to_owned)).build();
        let request = self.0.replicate_secret_to_regions().secret_id(name).add_replica_regions(to);
        request.send().await.map_err(|error| classify(REPLICATE, subject(&format!("secret {name}")), error))?;
        Ok(())
    }

    /// Deletes the copies of a secret, at once.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `secretsmanager:RemoveRegionsFromReplication`.
    pub async fn unreplicate(&self, name: &str, regions: Vec<String>) -> Result<(), Failure> {
        let request = self.0.remove_regions_from_replication().secret_id(name);
        let request = request.set_remove_replica_regions(Some(regions));
        request.send().await.map_err(|error| classify(UNREPLICATE, subject(&format!("secret {name}")), error))?;
        Ok(())
    }

    /// Takes back that a secret is to be deleted.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `secretsmanager:RestoreSecret`.
    pub async fn restore(&self, name: &str) -> Result<(), Failure> {
        let request = self.0.restore_secret().secret_id(name);
        request.send().await.map_err(|error| classify(RESTORE, subject(&format!("secret {name}")), error))?;
        Ok(())
    }

    /// Marks a secret for deletion in so many days, 7 to 30; one that is gone or marked already is a success: of two
    /// calls that both saw it whole, the second is told that it cannot be done.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `secretsmanager:DeleteSecret`.
    pub async fn delete(&self, name: &str, days: i64) -> Result<(), Failure> {
        match self.0.delete_secret().secret_id(name).recovery_window_in_days(days).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) => Ok(()),
            Err(error) if is_marked(&error) => Ok(()),
            Err(error) => Err(classify(DELETE, subject(&format!("secret {name}")), error)),
        }
    }
}

/// Whether Secrets Manager refuses since the secret is to be deleted already. The same error has other reasons, which it
/// tells apart in prose only.
///
/// Source: AWS Secrets Manager API Reference, "InvalidRequestException"; both wordings have been seen.
fn is_marked(error: &impl ProvideErrorMetadata) -> bool {
    let words = ["scheduled for deletion", "marked for deletion"];
    error.code() == Some("InvalidRequestException")
        && error.message().is_some_and(|message| words.iter().any(|words| message.contains(words)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;
    use crate::replay::{answer, json_error};
    use serde_json::json;

    const NAME: &str = "understudy/lab/shop/tls";
    const ARN: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:understudy/lab/shop/tls-AbCdEf";

    #[tokio::test]
    async fn a_secret_says_where_it_is_and_what_becomes_of_it() {
        let plain = json!({ "ARN": ARN });
        let copied = json!({ "ARN": ARN, "PrimaryRegion": "us-east-1", "ReplicationStatus": [
            { "Region": "us-west-2", "Status": "InSync" }, { "Region": "eu-west-1", "Status": "InProgress" } ] });
        let copy = json!({ "ARN": ARN, "PrimaryRegion": "us-west-2" });
        let marked = json!({ "ARN": ARN, "DeletedDate": 1_774_840_327 });
        let described = Described { arn: ARN.into(), deleted: false, copy_of: None, replicas: vec![] };
        let replicas = vec![("us-west-2".to_owned(), true), ("eu-west-1".to_owned(), false)];
        let table = [
            (plain, described.clone()),
            (copied, Described { replicas, ..described.clone() }),
            (copy, Described { copy_of: Some("us-west-2".into()), ..described.clone() }),
            (marked, Described { deleted: true, ..described }),
        ];
        for (body, expected) in table {
            let (config, _) = answer(200, body.to_string());
            assert_eq!(Secrets::new(&config).describe(NAME).await.unwrap(), Some(expected), "{body}");
        }
    }

    #[tokio::test]
    async fn a_secret_is_copied_uncopied_restored_and_deleted_with_a_way_back() {
        let (config, replay) = answer(200, "{}");
        Secrets::new(&config).replicate(NAME, "us-west-2", None).await.unwrap();
        assert_eq!(replay.only().json(), json!({ "SecretId": NAME, "AddReplicaRegions": [{ "Region": "us-west-2" }] }));
        let (config, replay) = answer(200, "{}");
        Secrets::new(&config).unreplicate(NAME, vec!["us-west-2".into()]).await.unwrap();
        assert_eq!(replay.only().json(), json!({ "SecretId": NAME, "RemoveReplicaRegions": ["us-west-2"] }));
        let (config, replay) = answer(200, "{}");
        Secrets::new(&config).restore(NAME).await.unwrap();
        assert_eq!(replay.only().json(), json!({ "SecretId": NAME }));
        let (config, replay) = answer(200, "{}");
        Secrets::new(&config).delete(NAME, 30).await.unwrap();
        assert_eq!(replay.only().json(), json!({ "SecretId": NAME, "RecoveryWindowInDays": 30 }));
        let (config, _) = answer(400, json_error("ResourceNotFoundException", "no"));
        Secrets::new(&config).delete(NAME, 30).await.unwrap();
    }

    #[tokio::test]
    async fn of_two_calls_that_mark_a_secret_the_second_is_a_success_too() {
        let marked = [
            "You tried to perform the operation on a secret that's currently marked deleted: it is already scheduled for deletion.",
            "You can't perform this operation on the secret because it was marked for deletion.",
        ];
        for words in marked {
            let (config, _) = answer(400, json_error("InvalidRequestException", words));
            Secrets::new(&config).delete(NAME, 30).await.unwrap();
        }
        // The same error for another reason is none.
        let copied = "You can't delete secret that still has replica regions.";
        let (config, _) = answer(400, json_error("InvalidRequestException", copied));
        let failure = Secrets::new(&config).delete(NAME, 30).await.unwrap_err();
        assert!(failure.to_string().contains("secretsmanager:DeleteSecret"), "{failure}");
    }
}
