//! The instances by themselves: a writer and its replicas.
//!
//! Each keeps for life what it was made with, whoever writes today. For CloudFormation reads roles off properties: it
//! promotes a replica whose `SourceDBInstanceIdentifier` is gone, though Understudy did so long before, and RDS refuses
//! that; and to give a promoted replica the name of a master or of a database, it would replace it. So:
//!
//! - the first instance of the first place has database, master and key, and never a source;
//! - all others are made as replicas and keep the source that they were made with, also when they write;
//! - after a change of writer the places that follow are made anew under other identifiers, as replicas of the new one.
//!   What filled them before leaves the stack and stays in the account, cut off: nobody but a person deletes it.
//!
//! Sources: CloudFormation's handler of `AWS::RDS::DBInstance` (aws-cloudformation-resource-providers-rds, pull request
//! 334) and its `createOnlyProperties`; CloudFormation user guide, "UpdateReplacePolicy attribute".

use super::{ENGINE, Ground, class, family, log, places, serves};
use crate::{
    Handle, Part, Template, Value,
    managed::{AUTHORITY, engine_version, identifier, logs, other_region, parameters, secrets::MASTER},
    resource::{DbCluster, DbInstance, DbParameterGroup},
    site::Site,
};
use domain::spec::MultiAz;

/// Of whom an instance was made as a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// Of nobody: it is the first.
    None,
    /// Of an instance of this Region, by its identifier.
    Here(String),
    /// Of one in the other Region, by its ARN.
    There(Value),
    /// Of the Multi-AZ DB cluster.
    Cluster(Value),
}

/// Identifier of whatever fills a place today.
pub(super) fn id(site: &Site<'_>, place: u32) -> String {
    site.today.instance_id(&site.fleet.name, &site.spec.name, place)
}

/// Identifier of the first instance of a place, as the other Region's part must take it.
pub(super) fn first_id(site: &Site<'_>, place: u32) -> String {
    format!("{}-{place}", identifier(site))
}

/// The instances, writer first; beside a Multi-AZ DB cluster only replicas.
pub(super) fn add(
    template: &mut Template,
    ground: &Ground<'_>,
    cluster: Option<&Handle<DbCluster>>,
) -> Vec<(u32, Handle<DbInstance>)> {
    let site = ground.site;
    let first = if cluster.is_some() { 2 } else { 1 };
    let mut order: Vec<u32> = (first..=places(site)).collect();
    if order.is_empty() {
        return Vec::new();
    }
    order.sort_by_key(|&place| (place != site.today.writer, place));
    let group = DbParameterGroup {
        description: format!("Instances of PostgreSQL cluster {}", site.spec.name),
        family: family(site),
        parameters: parameters::rds(site, &class(site)),
        tags: site.tags(),
    };
    let group = template.add("InstanceParameters", group);
    let mut added: Vec<(u32, Handle<DbInstance>)> = Vec::new();
    for place in order {
        let source = match cluster {
            Some(cluster) => Source::Cluster(cluster.identifier()),
            None => source(site, place),
        };
        let (made_as_replica, writes) = (source != Source::None, cluster.is_none() && writes(site, place));
        if matches!(source, Source::There(_)) {
            // E3720 wants StorageEncrypted beside a key, which E3020 forbids of a replica, and RDS with it.
            template.ignore_check("E3720");
        }
        let logical_id = format!("Instance{place}");
        let log = log(template, ground, &logical_id, &logs::Of::Instance(&id(site, place)));
        let instance = template.add(logical_id, instance(ground, place, source, group.name()));
        // No replica leaves a last snapshot, and CloudFormation takes a promoted one for a replica still.
        let on_delete = match (made_as_replica, writes) {
            (false, _) => "Snapshot",
            (true, true) => "Retain",
            (true, false) => "Delete",
        };
        template.keep(&instance, on_delete, "Retain");
        template.create_after_all(&instance, &log.into_iter().collect::<Vec<_>>());
        template.create_after_all(&instance, &ground.placed.network.ways_out);
        if let Some((_, writer)) = added.first().filter(|_| cluster.is_none()) {
            template.create_after(&instance, writer);
        }
        added.push((place, instance));
    }
    added.sort_by_key(|(place, _)| *place);
    added
}

/// Whether what fills a place takes writes today.
fn writes(site: &Site<'_>, place: u32) -> bool {
    place == site.today.writer && serves(site)
}

/// Of whom the instance of a place was made, or is to be made, as a replica.
fn source(site: &Site<'_>, place: u32) -> Source {
    let today = site.today;
    let is_first = site.part == Part::Primary && place == 1 && today.generation(1) == 1;
    if is_first {
        return Source::None;
    }
    if place != today.writer {
        return Source::Here(id(site, today.writer));
    }
    if let Some(arn) = today.follows() {
        return Source::There(arn.into());
    }
    match (today.made_from.as_deref(), site.part) {
        (Some(arn), _) if arn.starts_with("arn:") => Source::There(arn.into()),
        (Some(name), _) => Source::Here(format!("{}-{name}", identifier(site))),
        (None, Part::Primary) => Source::Here(first_id(site, 1)),
        (None, Part::Dr) => Source::There(first_there(site)),
    }
}

/// ARN of the first Region's first writer.
fn first_there(site: &Site<'_>) -> Value {
    let region = site.spec.dr.as_ref().map_or("", |dr| &dr.primary_region);
    Value::join([
        "arn:".into(),
        Value::partition(),
        format!(":rds:{region}:").into(),
        Value::account(),
        format!(":db:{}", first_id(site, 1)).into(),
    ])
}

fn instance(ground: &Ground<'_>, place: u32, source: Source, parameter_group: Value) -> DbInstance {
    let site = ground.site;
    let (managed, rds) = (site.spec.managed(), site.spec.rds());
    // Beside a Multi-AZ DB cluster, which has its standbys, replicas have none.
    let writes = !matches!(source, Source::Cluster(_)) && writes(site, place);
    let has_standby = writes && rds.multi_az == MultiAz::Instance;
    let name = id(site, place);
    let mut made = DbInstance {
        engine: ENGINE,
        engine_version: Some(engine_version(site)),
        class: class(site),
        port: Some(site.spec.postgresql.port.to_string()),
        // With a standby in another zone, which of both is in use is RDS's to choose.
        availability_zone: (!has_standby).then(|| ground.placed.network.private(place).zone.clone()),
        multi_az: Some(has_standby),
        security_groups: vec![ground.placed.group.group_id()],
        parameter_group: Some(parameter_group),
        publicly_accessible: false,
        max_allocated_storage: rds.storage.max_size_gib,
        allocated_storage: allocated(site, &source),
        storage_type: Some(storage_type(site)),
        iops: rds.storage.iops,
        // Of replicas there are none, so that they cost nothing; promotion turns them on.
        backup_retention_period: writes.then_some(managed.backup_retention_days),
        preferred_backup_window: writes.then(|| managed.backup_window.clone()),
        preferred_maintenance_window: Some(managed.maintenance_window.clone()),
        delete_automated_backups: Some(false),
        copy_tags_to_snapshot: Some(true),
        deletion_protection: Some(site.spec.deletion_protection),
        iam_authentication: Some(managed.iam_authentication),
        logs_exports: logs::exported(site),
        auto_minor_version_upgrade: managed.auto_minor_version_upgrade,
        authority: AUTHORITY,
        tags: site.named(&name),
        identifier: name,
        ..DbInstance::default()
    };
    ground.watching.of_instance(&mut made);
    born(ground, source, made)
}

/// GiB. Where storage grows by itself, a replica takes what its source has by then: less is refused.
fn allocated(site: &Site<'_>, source: &Source) -> Option<String> {
    let storage = site.spec.rds().storage;
    (*source == Source::None || storage.max_size_gib.is_none()).then(|| storage.size_gib.to_string())
}

/// Volume type, as RDS calls it.
pub(super) fn storage_type(site: &Site<'_>) -> &'static str {
    match site.spec.rds().storage.r#type {
        domain::spec::VolumeType::Gp3 => "gp3",
        domain::spec::VolumeType::Io1 => "io1",
        domain::spec::VolumeType::Io2 => "io2",
    }
}

/// What an instance is born with and cannot be given later.
fn born(ground: &Ground<'_>, source: Source, made: DbInstance) -> DbInstance {
    let key = ground.key.as_ref().map(|key| key.arn.clone());
    let subnets = ground.placed.subnet_group.name();
    match source {
        Source::None => DbInstance {
            database_name: Some(ground.site.spec.postgresql.database.clone()),
            master_username: Some(MASTER),
            master_user_password: ground.secrets.master_password(),
            subnet_group: Some(subnets),
            storage_encrypted: Some(true),
            kms_key_id: key,
            ..made
        },
        // In one Region a replica has its source's subnets and key, and RDS refuses to be told.
        Source::Here(id) => DbInstance { source: Some(id.into()), ..made },
        Source::Cluster(id) => DbInstance { source_cluster: Some(id), ..made },
        Source::There(arn) => DbInstance {
            source: Some(arn),
            source_region: other_region(ground.site).map(str::to_owned),
            subnet_group: Some(subnets),
            // A copy in another Region needs a key of that Region; AWS's own when there is no other.
            kms_key_id: Some(key.unwrap_or_else(|| "alias/aws/rds".into())),
            ..made
        },
    }
}
