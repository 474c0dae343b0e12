//! Aurora's global clusters: one writer Region, others that follow its storage.
//!
//! Their control plane answers in every member's Region, and takes a failover in the Region that takes over.

use super::{
    Rds,
    refusal::{is_missing, refused},
};
use aws_sdk_rds::types::GlobalCluster;
use domain::managed::{GlobalFailover, GlobalSeen};
use reconcile::Failure;

const DESCRIBE: &str = "rds:DescribeGlobalClusters";
const FAILOVER: &str = "rds:FailoverGlobalCluster";
const SWITCHOVER: &str = "rds:SwitchoverGlobalCluster";
const REMOVE: &str = "rds:RemoveFromGlobalCluster";

impl Rds {
    /// A global cluster; `None` when there is none of this name.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:DescribeGlobalClusters`.
    pub async fn global(&self, id: &str) -> Result<Option<GlobalSeen>, Failure> {
        match self.0.describe_global_clusters().global_cluster_identifier(id).send().await {
            Ok(found) => {
                let ours = |one: &&GlobalCluster| one.global_cluster_identifier() == Some(id);
                Ok(found.global_clusters().iter().find(ours).map(seen))
            }
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(refused(DESCRIBE, &called(id), error)),
        }
    }

    /// Orders the member with this ARN to write from now on, whatever the others have that it has not: what it lacks is
    /// lost. Called in the Region of that member.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:FailoverGlobalCluster`; [`Failure::Transient`] also while another change is under way.
    pub async fn failover_global(&self, id: &str, target_arn: &str, allow_data_loss: bool) -> Result<(), Failure> {
        let request = self.0.failover_global_cluster().global_cluster_identifier(id);
        let request = request.target_db_cluster_identifier(target_arn).allow_data_loss(allow_data_loss);
        request.send().await.map_err(|error| refused(FAILOVER, &called(id), error))?;
        Ok(())
    }

    /// Orders the member with this ARN to write once it has everything; both Regions must be well.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:SwitchoverGlobalCluster`, as [`failover_global`](Self::failover_global).
    pub async fn switchover_global(&self, id: &str, target_arn: &str) -> Result<(), Failure> {
        let request = self.0.switchover_global_cluster().global_cluster_identifier(id);
        let request = request.target_db_cluster_identifier(target_arn);
        request.send().await.map_err(|error| refused(SWITCHOVER, &called(id), error))?;
        Ok(())
    }

    /// Takes a member out of a global cluster: it becomes a cluster of its own, and writes. Irreversible.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:RemoveFromGlobalCluster`.
    pub async fn remove_from_global(&self, id: &str, member_arn: &str) -> Result<(), Failure> {
        let request = self.0.remove_from_global_cluster().global_cluster_identifier(id);
        let request = request.db_cluster_identifier(member_arn);
        request.send().await.map_err(|error| refused(REMOVE, &called(id), error))?;
        Ok(())
    }
}

fn called(id: &str) -> String {
    format!("global cluster {id}")
}

fn seen(global: &GlobalCluster) -> GlobalSeen {
    let members = global.global_cluster_members();
    let writer = members.iter().find(|member| member.is_writer() == Some(true));
    // A failover that is over is told with an empty state, or without one.
    let failover = global.failover_state().and_then(|state| {
        Some(GlobalFailover {
            status: state.status().map(|status| status.as_str().to_owned()).filter(|status| !status.is_empty())?,
            to: state.to_db_cluster_arn().map(str::to_owned),
            allows_data_loss: state.is_data_loss_allowed() == Some(true),
        })
    });
    GlobalSeen {
        id: global.global_cluster_identifier().unwrap_or_default().to_owned(),
        status: global.status().unwrap_or_default().to_owned(),
        writer: writer.and_then(|member| member.db_cluster_arn()).map(str::to_owned),
        members: members.iter().filter_map(|member| member.db_cluster_arn().map(str::to_owned)).collect(),
        failover,
    }
}
