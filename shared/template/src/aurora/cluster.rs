//! The DB cluster and the parameters that its instances share.

use super::{ENGINE, class, master};
use crate::{
    Handle, Part, Template,
    managed::{
        engine_version, global_identifier, identifier,
        key::DataKey,
        logs,
        parameters::{self, OfAurora},
        placed::Placed,
        secrets::{MASTER, Master, Secrets},
    },
    resource::{DbCluster, DbClusterParameterGroup, LogGroup, MasterUserSecret, ServerlessScaling},
    site::Site,
};
use domain::card::Topology;
use serde_json::Number;

/// Seconds without a connection after which a cluster that may pauses: AWS's least. A resume takes some 15 s.
const PAUSE_S: u32 = 300;

/// The cluster; kept as a last snapshot when it goes.
pub(super) fn add(
    template: &mut Template,
    site: &Site<'_>,
    placed: &Placed,
    secrets: &Secrets,
    key: Option<&DataKey>,
    log: Option<&Handle<LogGroup>>,
) -> Handle<DbCluster> {
    let managed = site.spec.managed();
    let group = DbClusterParameterGroup {
        description: format!("All instances of PostgreSQL cluster {}", site.spec.name),
        family: family(site),
        parameters: tuned(site).cluster,
        tags: site.tags(),
    };
    let group = template.add("ClusterParameters", group);
    let cluster = DbCluster {
        identifier: identifier(site),
        engine: ENGINE,
        engine_version: engine_version(site),
        port: site.spec.postgresql.port,
        subnet_group: Some(placed.subnet_group.name()),
        vpc_security_group_ids: vec![placed.group.group_id()],
        parameter_group: Some(group.name()),
        storage_encrypted: true,
        kms_key_id: key.map(|key| key.arn.clone()),
        storage_type: site.spec.aurora().io_optimized.then_some("aurora-iopt1"),
        backup_retention_period: managed.backup_retention_days,
        preferred_backup_window: managed.backup_window,
        preferred_maintenance_window: managed.maintenance_window,
        copy_tags_to_snapshot: true,
        deletion_protection: site.spec.deletion_protection,
        iam_authentication: managed.iam_authentication,
        logs_exports: logs::exported(site),
        serverless: (site.spec.topology == Topology::AuroraServerless).then(|| scaling(site)),
        tags: site.named(&site.stack()),
        ..DbCluster::default()
    };
    let cluster = match site.part {
        Part::Primary => first(site, secrets, cluster),
        // Database, master and passwords come from the first.
        Part::Dr => DbCluster { global_cluster_identifier: Some(global_identifier(site)), ..cluster },
    };
    let cluster = template.add("DatabaseCluster", cluster);
    template.snapshot_before_delete(&cluster);
    if let Some(log) = log {
        template.create_after(&cluster, log);
    }
    cluster
}

/// What only a cluster has that follows no other.
fn first(site: &Site<'_>, secrets: &Secrets, cluster: DbCluster) -> DbCluster {
    let by_rds = master(site) == Master::Rds;
    DbCluster {
        database_name: Some(site.spec.postgresql.database.clone()),
        master_username: Some(MASTER),
        master_user_password: secrets.master_password(),
        manage_master_user_password: by_rds.then_some(true),
        master_user_secret: site.kms_key().filter(|_| by_rds).map(|key| MasterUserSecret { kms_key_id: key.into() }),
        ..cluster
    }
}

/// Engine and major version, as parameter groups are told.
pub(super) fn family(site: &Site<'_>) -> String {
    format!("{ENGINE}{}", site.spec.postgresql.version)
}

/// The parameters of this part.
pub(super) fn tuned(site: &Site<'_>) -> OfAurora {
    // Half a unit has one GiB.
    let least_mib = site.spec.aurora().capacity.unwrap_or_default().min_half_acu.max(1) * 1_024;
    parameters::aurora(site, class(site).as_deref(), least_mib)
}

fn scaling(site: &Site<'_>) -> ServerlessScaling {
    let capacity = site.spec.aurora().capacity.unwrap_or_default();
    ServerlessScaling {
        min_capacity: halves(capacity.min_half_acu),
        max_capacity: halves(capacity.max_half_acu),
        seconds_until_auto_pause: (capacity.min_half_acu == 0).then_some(PAUSE_S),
    }
}

/// 1 is 0.5, 256 is 128.
pub(super) fn halves(count: u32) -> Number {
    if count.is_multiple_of(2) {
        return (count / 2).into();
    }
    // Halves are exact.
    Number::from_f64(f64::from(count) / 2.0).unwrap_or_else(|| count.div_ceil(2).into())
}

#[cfg(test)]
mod tests {
    use super::halves;

    #[test]
    fn capacity_is_written_as_aws_reads_it() {
        let written = [0, 1, 2, 255, 256].map(|count| halves(count).to_string());
        assert_eq!(written, ["0", "0.5", "1", "127.5", "128"]);
    }
}
