//! What RDS is told to do. It answers when it has taken the order; what comes of it is seen by describing.

use super::{Rds, refusal::refused};
use reconcile::Failure;

const MODIFY: &str = "rds:ModifyDBInstance";
const REBOOT: &str = "rds:RebootDBInstance";
const STOP: &str = "rds:StopDBInstance";
const PROMOTE: &str = "rds:PromoteReadReplica";
const FAILOVER: &str = "rds:FailoverDBCluster";

impl Rds {
    /// Gives an instance these security groups and no others, at once. Connections that are open stay open: security
    /// groups track them.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:ModifyDBInstance`; [`Failure::Transient`] also while RDS is busy with the instance.
    pub async fn set_security_groups(&self, id: &str, groups: &[String]) -> Result<(), Failure> {
        let request = self.0.modify_db_instance().db_instance_identifier(id);
        let request = request.set_vpc_security_group_ids(Some(groups.to_vec())).apply_immediately(true);
        request.send().await.map_err(|error| refused(MODIFY, &called(id), error))?;
        Ok(())
    }

    /// Sets the automated backups of an instance, at once: days that they are kept, and the window of the day (UTC).
    ///
    /// # Errors
    ///
    /// As [`set_security_groups`](Self::set_security_groups).
    pub async fn set_backups(&self, id: &str, retention_days: u32, window: &str) -> Result<(), Failure> {
        let request = self.0.modify_db_instance().db_instance_identifier(id).apply_immediately(true);
        let request = request.backup_retention_period(days(retention_days)).preferred_backup_window(window);
        request.send().await.map_err(|error| refused(MODIFY, &called(id), error))?;
        Ok(())
    }

    /// Restarts an instance where it is.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:RebootDBInstance`.
    pub async fn reboot(&self, id: &str) -> Result<(), Failure> {
        let request = self.0.reboot_db_instance().db_instance_identifier(id).force_failover(false);
        request.send().await.map_err(|error| refused(REBOOT, &called(id), error))?;
        Ok(())
    }

    /// Stops an instance; RDS starts it again by itself after seven days.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:StopDBInstance`: an instance with read replicas cannot be stopped.
    pub async fn stop(&self, id: &str) -> Result<(), Failure> {
        self.0
            .stop_db_instance()
            .db_instance_identifier(id)
            .send()
            .await
            .map_err(|error| refused(STOP, &called(id), error))?;
        Ok(())
    }

    /// Makes a read replica a writer of its own, with automated backups; it restarts for that. Irreversible.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:PromoteReadReplica`; [`Failure::LostRace`] when it is no read replica (any more).
    pub async fn promote(&self, id: &str, retention_days: u32, window: &str) -> Result<(), Failure> {
        let request = self.0.promote_read_replica().db_instance_identifier(id);
        let request = request.backup_retention_period(days(retention_days)).preferred_backup_window(window);
        request.send().await.map_err(|error| refused(PROMOTE, &called(id), error))?;
        Ok(())
    }

    /// Orders a DB cluster to fail over to this instance. A second call fails over again.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:FailoverDBCluster`.
    pub async fn fail_over(&self, db_cluster: &str, to: &str) -> Result<(), Failure> {
        let request = self.0.failover_db_cluster().db_cluster_identifier(db_cluster);
        let request = request.target_db_instance_identifier(to);
        request.send().await.map_err(|error| refused(FAILOVER, &format!("DB cluster {db_cluster}"), error))?;
        Ok(())
    }
}

fn called(id: &str) -> String {
    format!("DB instance {id}")
}

/// RDS takes at most 35.
fn days(days: u32) -> i32 {
    i32::try_from(days).unwrap_or(i32::MAX)
}
