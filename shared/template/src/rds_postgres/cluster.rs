//! A Multi-AZ DB cluster: three instances that are AWS's to make, name and promote.

use super::{ENGINE, Ground, class, family, instances, log};
use crate::{
    Handle, Template,
    managed::{engine_version, identifier, logs, parameters, secrets::MASTER},
    resource::{DbCluster, DbClusterParameterGroup},
    site::Site,
};

/// Its instances' identifiers, which RDS chooses.
///
/// Source: Amazon RDS User Guide, "Creating a Multi-AZ DB cluster".
pub(super) fn members(site: &Site<'_>) -> Vec<String> {
    (1..=3).map(|number| format!("{}-instance-{number}", identifier(site))).collect()
}

/// The cluster; kept as a last snapshot when it goes.
pub(super) fn add(template: &mut Template, ground: &Ground<'_>) -> Handle<DbCluster> {
    let site = ground.site;
    let (managed, rds) = (site.spec.managed(), site.spec.rds());
    let group = DbClusterParameterGroup {
        description: format!("All instances of PostgreSQL cluster {}", site.spec.name),
        family: family(site),
        parameters: parameters::rds(site, &class(site)),
        tags: site.tags(),
    };
    let group = template.add("ClusterParameters", group);
    let name = identifier(site);
    let log = log(template, ground, "Database", &logs::Of::Cluster(&name));
    let mut cluster = DbCluster {
        identifier: name,
        engine: ENGINE,
        engine_version: engine_version(site),
        database_name: Some(site.spec.postgresql.database.clone()),
        port: site.spec.postgresql.port,
        master_username: Some(MASTER),
        master_user_password: ground.secrets.master_password(),
        subnet_group: Some(ground.placed.subnet_group.name()),
        vpc_security_group_ids: vec![ground.placed.group.group_id()],
        parameter_group: Some(group.name()),
        storage_encrypted: true,
        kms_key_id: ground.key.as_ref().map(|key| key.arn.clone()),
        storage_type: Some(instances::storage_type(site)),
        instance_class: Some(class(site)),
        allocated_storage: Some(rds.storage.size_gib),
        iops: rds.storage.iops,
        auto_minor_version_upgrade: Some(managed.auto_minor_version_upgrade),
        publicly_accessible: Some(false),
        backup_retention_period: managed.backup_retention_days,
        preferred_backup_window: managed.backup_window.clone(),
        preferred_maintenance_window: managed.maintenance_window.clone(),
        copy_tags_to_snapshot: true,
        deletion_protection: site.spec.deletion_protection,
        iam_authentication: managed.iam_authentication,
        logs_exports: logs::exported(site),
        tags: site.named(&site.stack()),
        ..DbCluster::default()
    };
    ground.watching.of_cluster(&mut cluster);
    let cluster = template.add("DatabaseCluster", cluster);
    template.snapshot_before_delete(&cluster);
    template.create_after_all(&cluster, &log.into_iter().collect::<Vec<_>>());
    template.create_after_all(&cluster, &ground.placed.network.ways_out);
    cluster
}
