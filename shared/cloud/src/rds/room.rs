//! Whether AWS has room for what a takeover needs.

use super::{Rds, refusal::refused};
use reconcile::Failure;

const ATTRIBUTES: &str = "rds:DescribeAccountAttributes";
const ORDERABLE: &str = "rds:DescribeOrderableDBInstanceOptions";

/// A quota of RDS in this Region, and how much of it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// RDS's name of it: `DBInstances`, `AllocatedStorage` (GiB), `ReadReplicasPerMaster`.
    pub quota: String,
    /// In use.
    pub used: u64,
    /// Allowed.
    pub most: u64,
}

impl Rds {
    /// RDS's quotas in this Region.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:DescribeAccountAttributes`.
    pub async fn room(&self) -> Result<Vec<Room>, Failure> {
        let found = self.0.describe_account_attributes().send().await;
        let found = found.map_err(|error| refused(ATTRIBUTES, "the account's quotas of RDS", error))?;
        let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        Ok(found
            .account_quotas()
            .iter()
            .filter_map(|quota| {
                let (used, most) = (number(quota.used())?, number(quota.max())?);
                Some(Room { quota: quota.account_quota_name()?.to_owned(), used, most })
            })
            .collect())
    }

    /// Whether instances of this class can be had here now; of any version when none is given (`15.7`).
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:DescribeOrderableDBInstanceOptions`.
    pub async fn is_offered(&self, engine: &str, version: Option<&str>, class: &str) -> Result<bool, Failure> {
        let request = self.0.describe_orderable_db_instance_options().engine(engine).db_instance_class(class);
        // The least that RDS takes.
        let request = request.set_engine_version(version.map(str::to_owned)).vpc(true).max_records(20);
        let found = request.send().await.map_err(|error| refused(ORDERABLE, &format!("class {class}"), error))?;
        Ok(found.orderable_db_instance_options().iter().any(|option| option.db_instance_class() == Some(class)))
    }
}
