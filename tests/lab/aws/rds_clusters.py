"""DB clusters of Aurora: members on one storage, failover, reboot, stop and start.

Fills gaps: MiniStack's clusters change at once and in silence. The writer's
volume stands for Aurora's shared storage: who becomes writer takes it over,
and the old writer goes on with the volume of the new one. So nothing that was
acknowledged is lost, whatever the lag of the readers, and the timeline stays.
Readers are real standbys, and as on Aurora they are asynchronous.
"""

import sys
import time

import rds_isolation
from ministack.services import rds
from ministack_api import in_background
from rds_databases import Database, endpoint_of, members_of, register, writer_of
from rds_events import of_cluster
from rds_instances import (PORT, Answer, Refused, answering, created, error_in, minor_version, named, need, shown,
                           tag_secret)
from rds_pace import pace
from rds_replicas import end_later
from rds_volumes import CannotStart


LOOK_SECONDS = 0.1
# What the instances of a Multi-AZ DB cluster have of its request.
FOR_MEMBERS = ("AllocatedStorage", "Iops", "MonitoringInterval", "MonitoringRoleArn", "AutoMinorVersionUpgrade",
               "PubliclyAccessible")


def shown_cluster(operation: str, record: dict) -> Answer:
    """The answer that shows one cluster."""
    return rds._xml(200, f"{operation}Response", f"<{operation}Result><DBCluster>{rds._cluster_xml(record)}"
                                                 f"</DBCluster></{operation}Result>")


def named_cluster(params: dict) -> dict:
    """The cluster that a request names, in the Region at hand; or RDS's refusal."""
    name = rds._p(params, "DBClusterIdentifier")
    record = rds._resolve_cluster_in_request_region(name)
    if record is None:
        raise Refused("DBClusterNotFoundFault", f"DBCluster {name} not found.", 404)
    return record


def is_secondary(cluster: dict) -> bool:
    """Whether it is a member of a global cluster, and does not write."""
    world = rds._global_clusters.get(cluster.get("GlobalClusterIdentifier") or "")
    return world is not None and any(m["DBClusterArn"] == cluster["DBClusterArn"] and not m["IsWriter"]
                                     for m in world["GlobalClusterMembers"])


# -- CreateDBCluster, ModifyDBCluster, DeleteDBCluster ----------------------


@answering
def _create(params: dict) -> Answer:
    if version := rds._p(params, "EngineVersion"):
        params = {**params, "EngineVersion": [minor_version(version)]}
    status, _, body = _original["CreateDBCluster"](params)[:3]
    if status != 200:
        raise Refused(*error_in(body), status)
    name = rds._p(params, "DBClusterIdentifier")
    record = rds._clusters[name]
    if not is_secondary(record) and not (rds._p(params, "MasterUserPassword") or record["MasterUserSecret"]):
        rds._clusters.pop(name)
        raise Refused("InvalidParameterCombination", "The parameter MasterUserPassword must be provided.")
    record.update({
        "Status": "creating", "Endpoint": endpoint_of(name, "cluster-lab"),
        "ReaderEndpoint": endpoint_of(name, "cluster-ro-lab"), "_database": rds._p(params, "DatabaseName"),
        "Port": int(rds._p(params, "Port") or PORT), "StorageType": rds._p(params, "StorageType"),
        "EnabledCloudwatchLogsExports": rds._parse_member_list(params, "EnableCloudwatchLogsExports")})
    if secret := record["MasterUserSecret"]:
        tag_secret(secret["SecretArn"], "aws:rds:primaryDBClusterArn", record["DBClusterArn"])
    if record["Engine"] == "postgres":
        _fill(record, params)
    _after(record, "available", "RDS-EVENT-0170")
    return shown_cluster("CreateDBCluster", record)


def _fill(record: dict, params: dict) -> None:
    """A Multi-AZ DB cluster of RDS comes with its three instances, each in a zone of its own."""
    name = record["DBClusterIdentifier"]
    given = {field: params[field] for field in FOR_MEMBERS if field in params}
    group = rds._subnet_groups.get(record["DBSubnetGroup"]) or {}
    zones = sorted({s["SubnetAvailabilityZone"]["Name"] for s in group.get("Subnets") or []})
    for number in range(1, 4):
        zone = {"AvailabilityZone": [zones[(number - 1) % len(zones)]]} if zones else {}
        create_member({**given, **zone, "DBInstanceIdentifier": [f"{name}-instance-{number}"], "Engine": ["postgres"],
                       "DBClusterIdentifier": [name], "EngineVersion": [record["EngineVersion"]],
                       "DBInstanceClass": params["DBClusterInstanceClass"],
                       "DBSubnetGroupName": [record["DBSubnetGroup"]]})


def _after(record: dict, status: str, event_id: str = "") -> None:
    """The status that follows in a while, unless another change began."""
    meanwhile = record["Status"]

    def enter() -> None:
        time.sleep(pace.change_seconds)
        # A Multi-AZ DB cluster is not there before its instances are.
        while meanwhile == "creating" and any(d.status == "creating" for d in members_of(record)):
            time.sleep(LOOK_SECONDS)
        if record["Status"] == meanwhile:
            record["Status"] = status
            if event_id:
                of_cluster(record, event_id)

    in_background(enter, f"cluster-{record['DBClusterIdentifier']}")


@answering
def _modify(params: dict) -> Answer:
    record = named_cluster(params)
    status, _, body = _original["ModifyDBCluster"](params)[:3]
    if status != 200:
        raise Refused(*error_in(body), status)
    exports = set(record.get("EnabledCloudwatchLogsExports") or [])
    exports |= set(rds._parse_member_list(params, "CloudwatchLogsExportConfiguration.EnableLogTypes"))
    exports -= set(rds._parse_member_list(params, "CloudwatchLogsExportConfiguration.DisableLogTypes"))
    record["EnabledCloudwatchLogsExports"] = sorted(exports)
    record["StorageType"] = rds._p(params, "StorageType") or record.get("StorageType", "")
    if record["Status"] == "available":
        record["Status"] = "modifying"
        _after(record, "available")
    for database in members_of(record):
        rds_isolation.follow(database)
        if database.volume.made and database.host.works:
            database.configure()
            database.host.reload()
    return shown_cluster("ModifyDBCluster", record)


@answering
def _delete(params: dict) -> Answer:
    record = named_cluster(params)
    final = rds._p(params, "FinalDBSnapshotIdentifier")
    if rds._p(params, "SkipFinalSnapshot") != "true" and not final:
        raise Refused("InvalidParameterCombination", "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot "
                                                     "is specified.")
    if record["Engine"] == "postgres" and not record["DeletionProtection"]:
        for database in list(members_of(record)):
            end_later(database)
        record["DBClusterMembers"] = []
    status, headers, body = _original["DeleteDBCluster"](params)[:3]
    if status != 200:
        raise Refused(*error_in(body), status)
    if final:
        rds._create_cluster_snapshot_internal(final, record)
    of_cluster(record, "RDS-EVENT-0171")
    return status, headers, body


# -- members ------------------------------------------------------------------


def create_member(params: dict) -> Answer:
    """CreateDBInstance in a cluster: the first is the writer, others are readers."""
    from rds_global import head_of_other  # which needs this module itself

    if rds._p(params, "MasterUserPassword"):
        raise Refused("InvalidParameterCombination", "The requested DB Instance will be a member of a DB Cluster. Set "
                                                     "master user password for the DB Cluster.")
    cluster = named_cluster(params)
    record = created(rds._create_db_instance_impl, {**params, "Port": [str(cluster["Port"])]})
    record["VpcSecurityGroups"] = cluster["VpcSecurityGroups"]
    record["MultiAZ"], record["StorageEncrypted"] = False, cluster["StorageEncrypted"]
    database = register(record)
    secondary = is_secondary(cluster)
    for member in cluster["DBClusterMembers"]:
        member["IsClusterWriter"] &= not secondary
    rds_isolation.follow(database)

    def make() -> None:
        database.pause(pace.change_seconds)
        source = head_of(cluster)
        if source is database:
            source = head_of_other(cluster) if secondary else None
        if source is None:
            database.make()
        else:
            while source.status == "creating" and not database.gone:
                time.sleep(LOOK_SECONDS)
            source.host.wait_ready()
            database.follow(source)
            database.start()
        database.tell("RDS-EVENT-0005")
        database.enter("available")

    database.later(make, "create-member")
    return shown("CreateDBInstance", record)


def head_of(cluster: dict) -> Database | None:
    """Who has the cluster's storage: its writer, or of a secondary one the member that the others replicate from."""
    if writer := writer_of(cluster):
        return writer
    inside = list(members_of(cluster))
    abroad = [d for d in inside if d.upstream is not None and d.upstream.cluster is not cluster]
    return next(iter(abroad or inside), None)


# -- FailoverDBCluster ----------------------------------------------------------


def candidates(cluster: dict) -> list[Database]:
    """The readers that can become writer, the best first: lowest tier, then by identifier."""
    writer = writer_of(cluster)
    able = [d for d in members_of(cluster) if d is not writer and d.status == "available" and d.host.works]
    return sorted(able, key=lambda d: (int(d.record["PromotionTier"]), d.id))


@answering
def _failover(params: dict) -> Answer:
    cluster = named_cluster(params)
    name = cluster["DBClusterIdentifier"]
    if cluster["Status"] != "available":
        raise Refused("InvalidDBClusterStateFault", f"DbCluster {name} is in {cluster['Status']} state but expected it "
                                                    "to be one of available.")
    target = None
    if wanted := rds._p(params, "TargetDBInstanceIdentifier"):
        _, target = named(params, "TargetDBInstanceIdentifier")
        if target.cluster is not cluster or target is writer_of(cluster):
            raise Refused("InvalidDBInstanceState", f"DBInstance {wanted} is not a reader of DB cluster {name}.")
        need(target, "available")
    if is_secondary(cluster) or not (target or candidates(cluster)):
        raise Refused("InvalidDBClusterStateFault", f"Cannot failover DB cluster {name} because it has no reader "
                                                    "instance that could be promoted.")
    begin_failover(cluster, target, ordered=True)
    return shown_cluster("FailoverDBCluster", cluster)


def begin_failover(cluster: dict, target: Database | None = None, ordered: bool = False) -> None:
    """Fails over in the background; one that nobody ordered has waited already."""
    if cluster["Status"] == "failing-over":
        return
    cluster["Status"] = "failing-over"
    chosen = target or candidates(cluster)[0]

    def fail_over() -> None:
        old = writer_of(cluster)
        same_zone = old is not None and old.record["AvailabilityZone"] == chosen.record["AvailabilityZone"]
        with chosen.scope():
            of_cluster(cluster, "RDS-EVENT-0072" if same_zone else "RDS-EVENT-0073", chosen.id)
        if ordered:
            chosen.pause(pace.change_seconds)
        try:
            swap(cluster, chosen)
            event = ("RDS-EVENT-0071", chosen.id)
        except CannotStart as failed:
            print(f"rds: failover of {cluster['DBClusterIdentifier']}: {failed}", file=sys.stderr, flush=True)
            event = ("RDS-EVENT-0069",)
        cluster["Status"] = "available"
        with chosen.scope():
            of_cluster(cluster, *event)

    chosen.later(fail_over, "failover")


def swap(cluster: dict, chosen: Database) -> None:
    """The chosen one takes over the storage; the old writer is fenced, and a reader from then on if it lives."""
    old = writer_of(cluster)
    lives = not old.host.dead  # one that stood still is started again, too
    old.host.power_off()
    chosen.host.halt()
    old.volume, chosen.volume = chosen.volume, old.volume
    chosen.upstream = None
    chosen.volume.lead()
    chosen.start()
    for member in cluster["DBClusterMembers"]:
        member["IsClusterWriter"] = member["DBInstanceIdentifier"] == chosen.id
    # The old writer's host finds its new volume when it is started again, now or after its replacement.
    old.follow(chosen)
    for follower in old.followers():
        follower.follow(chosen)
    if lives:
        old.start()


# -- StopDBCluster, StartDBCluster ------------------------------------------------


@answering
def _stop(params: dict) -> Answer:
    cluster = named_cluster(params)
    if cluster["Status"] != "available" or cluster.get("GlobalClusterIdentifier"):
        raise Refused("InvalidDBClusterStateFault", f"DbCluster {cluster['DBClusterIdentifier']} cannot be stopped: "
                                                    "it is not available, or in a global cluster.")
    cluster["Status"] = "stopping"
    for database in members_of(cluster):
        database.enter("stopping")

    def stop() -> None:
        for database in members_of(cluster):
            database.host.halt()
            database.enter("stopped")
        cluster["Status"] = "stopped"
        of_cluster(cluster, "RDS-EVENT-0150")

    in_background(stop, "stop-cluster")
    return shown_cluster("StopDBCluster", cluster)


@answering
def _start(params: dict) -> Answer:
    cluster = named_cluster(params)
    if cluster["Status"] != "stopped":
        raise Refused("InvalidDBClusterStateFault", f"DbCluster {cluster['DBClusterIdentifier']} is in "
                                                    f"{cluster['Status']} state but expected it to be stopped.")
    cluster["Status"] = "starting"

    def start() -> None:
        for database in sorted(members_of(cluster), key=lambda d: d is not writer_of(cluster)):
            database.start()
            database.enter("available")
        cluster["Status"] = "available"
        of_cluster(cluster, "RDS-EVENT-0151")

    in_background(start, "start-cluster")
    return shown_cluster("StartDBCluster", cluster)


_original = {name: rds._ACTION_MAP[name] for name in ("CreateDBCluster", "ModifyDBCluster", "DeleteDBCluster")}


def install() -> None:
    """Puts all of this in MiniStack's place."""
    rds._sync_cluster_endpoints = lambda cluster: None
    rds._refresh_cluster_status = lambda name: None
    rds._ACTION_MAP.update({
        "CreateDBCluster": _create, "ModifyDBCluster": _modify, "DeleteDBCluster": _delete,
        "FailoverDBCluster": _failover, "StopDBCluster": _stop, "StartDBCluster": _start})

