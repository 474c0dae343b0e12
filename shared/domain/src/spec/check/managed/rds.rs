//! RDS for PostgreSQL.

use super::{KEPT, class, roles};
use crate::{
    card::Topology,
    spec::{Finding, MultiAz, PoolerTier, Rds, Spec, Storage, VolumeType},
};

/// Class, storage, and the hosts in front.
pub(in super::super) fn rds(spec: &Spec) -> Vec<Finding> {
    if spec.topology != Topology::RdsPostgres {
        return Vec::new();
    }
    let rds = spec.rds();
    let mut found = class(spec, "/rds/instance_class", &rds.instance_class);
    found.extend(storage(&rds.storage));
    found.extend(of_a_cluster(&rds));
    found.extend(roles(spec));
    if spec.dr.is_some() && rds.multi_az == MultiAz::Cluster {
        let allowed = "\"instance\" or \"none\" beside /dr: RDS copies no Multi-AZ DB cluster to another Region";
        found.push(Finding::new(&["/rds/multi_az", "/dr"], "\"cluster\"", allowed));
    }
    if let Some(pooler) = &rds.pooler {
        found.extend(pools(spec, pooler));
    }
    if let Some(proxy) = spec.managed().proxy.filter(|_| rds.multi_az == MultiAz::Cluster) {
        let allowed = "nothing beside a Multi-AZ DB cluster, whose readers a proxy does not know";
        let percent = format!("a proxy of {} %", proxy.max_connections_percent);
        found.push(Finding::new(&["/managed/proxy", "/rds/multi_az"], percent, allowed));
    }
    found
}

/// What RDS takes. Storage grows at most by an order of AWS, and never shrinks.
///
/// Source: Amazon RDS User Guide, "Amazon RDS DB instance storage".
fn storage(storage: &Storage) -> Vec<Finding> {
    let (iops, size, kind) = ("/rds/storage/iops", "/rds/storage/size_gib", "/rds/storage/type");
    let mut found = Vec::new();
    let gib = storage.size_gib;
    let mut io = |least_gib: u32, ratio: u32, top: u32| {
        if gib < least_gib {
            let allowed = format!("at least {least_gib} GiB for {}", storage.r#type);
            found.push(Finding::new(&[size, kind], gib.to_string(), allowed));
            return;
        }
        let most = gib.saturating_mul(ratio).min(top);
        if !storage.iops.is_some_and(|given| (1_000..=most).contains(&given)) {
            let given = storage.iops.map_or_else(|| "nothing".to_owned(), |iops| iops.to_string());
            let allowed =
                format!("1000 to {most} for {} of {gib} GiB ({ratio} per GiB, at most {top})", storage.r#type);
            found.push(Finding::new(&[iops, size, kind], given, allowed));
        }
    };
    match storage.r#type {
        VolumeType::Io1 => io(100, 50, 256_000),
        VolumeType::Io2 => io(100, 1_000, 256_000),
        VolumeType::Gp3 => found.extend(general_purpose(storage, [iops, size, kind])),
    }
    if let Some(max) = storage.max_size_gib.filter(|&max| u64::from(max) * 10 < u64::from(gib) * 11) {
        let allowed = format!("at least {}, a tenth more than the size", gib.saturating_mul(11).div_ceil(10));
        found.push(Finding::new(&["/rds/storage/max_size_gib", size], max.to_string(), allowed));
    }
    found
}

/// gp3 has 3,000 IOPS below 400 GiB and 12,000 from there on, where more can be had.
fn general_purpose(storage: &Storage, paths: [&str; 3]) -> Option<Finding> {
    let given = storage.iops?;
    let allowed = if storage.size_gib < 400 {
        "nothing for gp3 below 400 GiB, which has 3000".to_owned()
    } else if !(12_000..=64_000).contains(&given) || given > storage.size_gib.saturating_mul(500) {
        format!("12000 to {} for gp3 of {} GiB", storage.size_gib.saturating_mul(500).min(64_000), storage.size_gib)
    } else {
        return None;
    };
    Some(Finding::new(&paths, given.to_string(), allowed))
}

/// A Multi-AZ DB cluster has classes of its own.
///
/// Source: Amazon RDS User Guide, "Instance class availability for Multi-AZ DB clusters".
fn of_a_cluster(rds: &Rds) -> Option<Finding> {
    let (class, path) = (rds.instance_class.strip_prefix("db.")?, "/rds/instance_class");
    let family = class.split('.').next()?;
    // A local disk ("d"), or the few families that are offered without one.
    let is_offered = family.ends_with('d') || ["r8g", "m8g", "c6gd"].contains(&family);
    (rds.multi_az == MultiAz::Cluster && !is_offered).then(|| {
        let allowed = "a class with a disk of its own, such as db.r6gd.xlarge, for a Multi-AZ DB cluster";
        Finding::new(&[path, "/rds/multi_az"], format!("\"{}\"", rds.instance_class), allowed)
    })
}

/// Pools within each other, and all hosts' pools within the server's connections.
fn pools(spec: &Spec, tier: &PoolerTier) -> Vec<Finding> {
    let mut found = Vec::new();
    let (size, reserve) = ("/rds/pooler/default_pool_size", "/rds/pooler/reserve_pool_size");
    if tier.min_pool_size > tier.default_pool_size {
        let allowed = format!("at most default_pool_size, {}", tier.default_pool_size);
        found.push(Finding::new(&["/rds/pooler/min_pool_size", size], tier.min_pool_size.to_string(), allowed));
    }
    let each = tier.default_pool_size + tier.reserve_pool_size;
    if tier.max_client_conn < each {
        let allowed = format!("at least {each}, the connections to PostgreSQL that clients share");
        let paths = ["/rds/pooler/max_client_conn", size, reserve];
        found.push(Finding::new(&paths, tier.max_client_conn.to_string(), allowed));
    }
    let (all, most) = (each * tier.count, spec.postgresql.max_connections);
    if all + KEPT > most {
        let paths = [size, reserve, "/rds/pooler/count", "/postgresql/max_connections"];
        let allowed = format!(
            "at most {} for all {} hosts: max_connections is {most}, and {KEPT} are kept for RDS, replicas and Understudy; \
             /postgresql/max_connections of {} would do",
            most.saturating_sub(KEPT),
            tier.count,
            all + KEPT
        );
        found.push(Finding::new(&paths, format!("{all} with the reserve"), allowed));
    }
    found
}
