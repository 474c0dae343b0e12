//! The key that a database is encrypted with.

use super::Rds;
use super::refusal::refused;
use reconcile::Failure;

impl Rds {
    /// ARN of the key of an instance's storage, or of a DB cluster's; `None` when it is not encrypted, or not there.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:DescribeDBInstances` or `rds:DescribeDBClusters`.
    pub async fn key(&self, db_cluster: Option<&str>, instance: &str) -> Result<Option<String>, Failure> {
        if let Some(cluster) = db_cluster {
            let found = self.0.describe_db_clusters().db_cluster_identifier(cluster).send().await;
            let found = found.map_err(|error| refused("rds:DescribeDBClusters", cluster, error))?;
            return Ok(found.db_clusters().first().and_then(|cluster| cluster.kms_key_id().map(str::to_owned)));
        }
        let found = self.0.describe_db_instances().db_instance_identifier(instance).send().await;
        let found = found.map_err(|error| refused("rds:DescribeDBInstances", instance, error))?;
        Ok(found.db_instances().first().and_then(|instance| instance.kms_key_id().map(str::to_owned)))
    }
}
