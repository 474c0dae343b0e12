//! What RDS says of a cluster.

use super::{ENGINES, Rds, refusal::refused};
use aws_sdk_rds::types::{DbCluster, DbInstance, Filter};
use domain::{
    card::ManagedCard,
    managed::{DbClusterSeen, Described, InstanceSeen},
};
use reconcile::Failure;
use std::collections::BTreeSet;

const INSTANCES: &str = "rds:DescribeDBInstances";
const CLUSTERS: &str = "rds:DescribeDBClusters";

impl Rds {
    /// What RDS says of the cluster of a card: its DB cluster with all instances in it, the instances of the card, those
    /// that replicate from them in this Region, and the global cluster. What RDS does not know is missing.
    ///
    /// The network ACLs of the subnets are EC2's to tell.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:DescribeDBInstances`, `rds:DescribeDBClusters` or `rds:DescribeGlobalClusters`.
    pub async fn described(&self, card: &ManagedCard) -> Result<Described, Failure> {
        let mut described = Described::default();
        if let Some(cluster) = &card.db_cluster {
            described.db_cluster = self.db_cluster(cluster).await?;
            described.instances = self.instances_by("db-cluster-id", [cluster.clone()].into()).await?;
        }
        let mut unknown: BTreeSet<String> = card.instances.iter().map(|instance| instance.id.clone()).collect();
        // Who was made since the card was written replicates from somebody who is known; not from its own kind twice.
        for _ in 0..2 {
            unknown.retain(|id| described.instance(id).is_none());
            if unknown.is_empty() {
                break;
            }
            let found = self.instances_by("db-instance-id", std::mem::take(&mut unknown)).await?;
            described.instances.extend(found);
            let replicas = described.instances.iter().flat_map(|instance| &instance.replicas);
            // Those of other Regions are told as ARNs.
            unknown = replicas.filter(|id| !id.starts_with("arn:")).cloned().collect();
        }
        described.instances.sort_by(|one, other| one.id.cmp(&other.id));
        if let Some(global) = &card.global_cluster {
            described.global = self.global(global).await?;
        }
        Ok(described)
    }

    /// One instance; `None` when RDS does not know it, or it is no PostgreSQL.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:DescribeDBInstances`.
    pub async fn instance(&self, id: &str) -> Result<Option<InstanceSeen>, Failure> {
        Ok(self.instances_by("db-instance-id", [id.to_owned()].into()).await?.pop())
    }

    /// One DB cluster; `None` when RDS does not know it, or it is no PostgreSQL.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:DescribeDBClusters`.
    pub async fn db_cluster(&self, id: &str) -> Result<Option<DbClusterSeen>, Failure> {
        Ok(self.raw_cluster(id).await?.as_ref().map(cluster_seen))
    }

    /// ARN of the secret in which RDS itself keeps the master's password, when it does.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:DescribeDBClusters`.
    pub async fn master_secret(&self, db_cluster: &str) -> Result<Option<String>, Failure> {
        let cluster = self.raw_cluster(db_cluster).await?;
        Ok(cluster.and_then(|cluster| cluster.master_user_secret?.secret_arn))
    }

    async fn raw_cluster(&self, id: &str) -> Result<Option<DbCluster>, Failure> {
        let request = self.0.describe_db_clusters().filters(filter("db-cluster-id", [id.to_owned()].into()));
        let mut pages = request.into_paginator().send();
        let mut found = None;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| refused(CLUSTERS, &format!("DB cluster {id}"), error))?;
            let ours = |cluster: &DbCluster| is(cluster.db_cluster_identifier(), id) && postgresql(cluster.engine());
            found = found.or(page.db_clusters.unwrap_or_default().into_iter().find(ours));
        }
        Ok(found)
    }

    /// By a filter, not by id: one that RDS does not know would make the other form fail for all.
    async fn instances_by(&self, name: &str, values: BTreeSet<String>) -> Result<Vec<InstanceSeen>, Failure> {
        let request = self.0.describe_db_instances().filters(filter(name, values.clone()));
        let mut pages = request.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| refused(INSTANCES, "DB instances", error))?;
            // Only what was asked for: an emulator or a proxy that ignores the filter adds no instance.
            found.extend(
                page.db_instances()
                    .iter()
                    .filter(|instance| {
                        let key = match name {
                            "db-cluster-id" => instance.db_cluster_identifier(),
                            _ => instance.db_instance_identifier(),
                        };
                        postgresql(instance.engine()) && values.iter().any(|value| is(key, value))
                    })
                    .map(instance_seen),
            );
        }
        Ok(found)
    }
}

fn filter(name: &str, values: BTreeSet<String>) -> Filter {
    Filter::builder().name(name).set_values(Some(values.into_iter().collect())).build()
}

/// Identifiers are kept in lower case, and may be asked for in any.
fn is(found: Option<&str>, id: &str) -> bool {
    found.is_some_and(|found| found.eq_ignore_ascii_case(id))
}

fn postgresql(engine: Option<&str>) -> bool {
    engine.is_some_and(|engine| ENGINES.contains(&engine))
}

fn cluster_seen(cluster: &DbCluster) -> DbClusterSeen {
    let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let writer = cluster.db_cluster_members().iter().find(|member| member.is_cluster_writer() == Some(true));
    let capacity = cluster.serverless_v2_scaling_configuration().and_then(|capacity| capacity.min_capacity());
    DbClusterSeen {
        id: text(cluster.db_cluster_identifier()).unwrap_or_default(),
        arn: text(cluster.db_cluster_arn()).unwrap_or_default(),
        status: text(cluster.status()).unwrap_or_default(),
        endpoint: text(cluster.endpoint()),
        reader_endpoint: text(cluster.reader_endpoint()),
        writer: writer.and_then(|member| text(member.db_instance_identifier())),
        pauses: capacity == Some(0.0),
    }
}

fn instance_seen(instance: &DbInstance) -> InstanceSeen {
    let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let zone = text(instance.availability_zone());
    let source = text(instance.read_replica_source_db_instance_identifier())
        .or_else(|| text(instance.read_replica_source_db_cluster_identifier()));
    let groups = instance.vpc_security_groups().iter().filter_map(|group| {
        Some((text(group.vpc_security_group_id())?, group.status().unwrap_or_default().to_owned()))
    });
    InstanceSeen {
        id: text(instance.db_instance_identifier()).unwrap_or_default(),
        arn: text(instance.db_instance_arn()).unwrap_or_default(),
        status: text(instance.db_instance_status()).unwrap_or_default(),
        endpoint: instance.endpoint().and_then(|endpoint| text(endpoint.address())),
        class: text(instance.db_instance_class()).unwrap_or_default(),
        multi_az: instance.multi_az() == Some(true),
        source,
        replicas: instance.read_replica_db_instance_identifiers().to_vec(),
        backup_retention_days: instance.backup_retention_period().and_then(|days| days.try_into().ok()).unwrap_or(0),
        promotion_tier: instance.promotion_tier().and_then(|tier| tier.try_into().ok()),
        security_groups: groups.collect(),
        subnet: zone.as_deref().and_then(|zone| only_subnet(instance, zone)),
        network_acl: None,
        zone,
    }
}

/// The subnet that an instance in this zone must be in; `None` when its group has several there.
fn only_subnet(instance: &DbInstance, zone: &str) -> Option<String> {
    let subnets = instance.db_subnet_group()?.subnets();
    let mut here =
        subnets.iter().filter(|subnet| subnet.subnet_availability_zone().and_then(|zone| zone.name()) == Some(zone));
    let only = here.next().filter(|_| here.next().is_none())?;
    only.subnet_identifier().map(str::to_owned)
}
