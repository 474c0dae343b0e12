//! Aurora and RDS: every rule and both sides of its limit.

use crate::{card::Topology, spec::*};

fn spec(topology: Topology, change: impl FnOnce(&mut Spec)) -> Vec<String> {
    let mut spec = Spec { topology, ..Spec::new("orders") };
    change(&mut spec);
    check(&spec).into_iter().map(|finding| finding.problem.path).collect()
}

fn rds(change: impl FnOnce(&mut Rds)) -> Vec<String> {
    spec(Topology::RdsPostgres, |spec| {
        let mut rds = Rds::default();
        change(&mut rds);
        spec.rds = Some(rds);
    })
}

fn managed(change: impl FnOnce(&mut Managed)) -> Vec<String> {
    spec(Topology::AuroraProvisioned, |spec| {
        let mut managed = Managed::default();
        change(&mut managed);
        spec.managed = Some(managed);
    })
}

fn capacity(min_half_acu: u32, max_half_acu: u32) -> Vec<String> {
    spec(Topology::AuroraServerless, |spec| {
        spec.aurora = Some(Aurora { capacity: Some(Capacity { min_half_acu, max_half_acu }), ..Aurora::default() });
    })
}

fn aurora(class: &str) -> Vec<String> {
    spec(Topology::AuroraProvisioned, |spec| {
        spec.aurora = Some(Aurora { instance_class: Some(class.into()), ..Aurora::default() });
    })
}

fn storage(size_gib: u32, r#type: VolumeType, iops: Option<u32>, max_size_gib: Option<u32>) -> Vec<String> {
    rds(|rds| rds.storage = Storage { size_gib, r#type, iops, max_size_gib })
}

fn compare(table: &[(&str, Vec<String>, &[&str])]) {
    for (name, found, expected) in table {
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn the_shortest_specs_are_sound() {
    for topology in [Topology::AuroraProvisioned, Topology::AuroraServerless, Topology::RdsPostgres] {
        assert_eq!(spec(topology, |_| {}), Vec::<String>::new(), "{topology}");
    }
}

#[test]
fn windows_that_touch_do_not_meet() {
    let windows = |backup: &str, upkeep: &str| {
        let (backup, upkeep) = (backup.to_owned(), upkeep.to_owned());
        managed(|managed| (managed.backup_window, managed.maintenance_window) = (backup, upkeep))
    };
    let (backup, upkeep) = ("/managed/backup_window", "/managed/maintenance_window");
    compare(&[
        ("one after the other", windows("02:00-03:00", "sun:03:00-sun:04:00"), &[]),
        ("a minute shared", windows("02:00-03:01", "sun:03:00-sun:04:00"), &[upkeep]),
        ("over midnight", windows("23:30-00:30", "mon:00:30-mon:01:00"), &[]),
        ("over midnight, shared", windows("23:30-00:31", "mon:00:30-mon:01:00"), &[upkeep]),
        ("half an hour", windows("02:00-02:30", "sun:04:00-sun:04:30"), &[]),
        ("less", windows("02:00-02:29", "sun:04:00-sun:04:29"), &[backup, upkeep]),
        ("an hour that is none", windows("24:00-24:30", "sun:04:00-sun:05:00"), &[backup]),
    ]);
}

#[test]
fn what_rds_would_refuse() {
    use VolumeType::{Gp3, Io1, Io2};
    let (iops, size, max) = ("/rds/storage/iops", "/rds/storage/size_gib", "/rds/storage/max_size_gib");
    compare(&[
        ("io1 at 50 per GiB", storage(400, Io1, Some(20_000), None), &[]),
        ("io1 above", storage(399, Io1, Some(20_000), None), &[iops]),
        ("io1 too small", storage(99, Io1, Some(1_000), None), &[size]),
        ("io1 without", storage(400, Io1, None, None), &[iops]),
        ("io2 at 1000", storage(100, Io2, Some(100_000), None), &[]),
        ("io2 above", storage(100, Io2, Some(100_001), None), &[iops]),
        ("gp3's own", storage(20, Gp3, None, None), &[]),
        ("gp3 below 400", storage(399, Gp3, Some(12_000), None), &[iops]),
        ("gp3 from 400", storage(400, Gp3, Some(12_000), None), &[]),
        ("gp3 too few", storage(400, Gp3, Some(11_999), None), &[iops]),
        ("a tenth more", storage(100, Gp3, None, Some(110)), &[]),
        ("less than that", storage(100, Gp3, None, Some(109)), &[max]),
        (
            "a cluster with disks",
            rds(|rds| (rds.multi_az, rds.instance_class) = (MultiAz::Cluster, "db.r6gd.large".into())),
            &[],
        ),
        ("a cluster without", rds(|rds| rds.multi_az = MultiAz::Cluster), &["/rds/instance_class"]),
    ]);
}

#[test]
fn connections_are_shared_by_pools_roles_and_memory() {
    let pools = |default_pool_size, max_connections| {
        spec(Topology::RdsPostgres, |spec| {
            let pooler = Some(PoolerTier { default_pool_size, reserve_pool_size: 0, ..PoolerTier::default() });
            spec.rds = Some(Rds { pooler, ..Rds::default() });
            spec.postgresql.max_connections = max_connections;
        })
    };
    let roles = |max_connections| {
        spec(Topology::RdsPostgres, |spec| {
            spec.managed = Some(Managed { roles: Some(Roles::default()), ..Managed::default() });
            spec.postgresql.max_connections = max_connections;
        })
    };
    let connections = |max| spec(Topology::RdsPostgres, |spec| spec.postgresql.max_connections = max);
    compare(&[
        ("three pools of 100", pools(100, 315), &[]),
        ("one too many", pools(100, 314), &["/rds/pooler/default_pool_size"]),
        ("the roles of the list", roles(775), &[]),
        ("one session too few", roles(774), &["/managed/roles"]),
        ("RDS's formula for 32 GiB", connections(3_604), &[]),
        ("one more", connections(3_605), &["/postgresql/max_connections"]),
    ]);
}

#[test]
fn classes_and_capacity() {
    let class = "/aurora/instance_class";
    let least = "/aurora/capacity/min_half_acu";
    let second = |change: fn(&mut Spec)| {
        spec(Topology::AuroraServerless, |spec| {
            let capacity = Some(Capacity { min_half_acu: 0, max_half_acu: 2 });
            spec.aurora = Some(Aurora { capacity, ..Aurora::default() });
            change(spec);
        })
    };
    compare(&[
        ("memory-optimised", aurora("db.r6g.2xlarge"), &[]),
        ("a small one", aurora("db.t4g.medium"), &[]),
        ("too small a one", aurora("db.t4g.small"), &[class]),
        ("general purpose", aurora("db.m7g.large"), &[class]),
        ("half a unit to 128", capacity(1, 256), &[]),
        ("equal", capacity(4, 4), &[]),
        ("crossed", capacity(5, 4), &[least]),
        ("it pauses", second(|_| {}), &[]),
        (
            "it cannot pause",
            second(|spec| spec.managed = Some(Managed { proxy: Some(Proxy::default()), ..Managed::default() })),
            &[least],
        ),
    ]);
}
