"""Read replicas of RDS: real standbys, in the source's Region or another, and their promotion. And deletion, which
promotes.

Fills gaps: MiniStack's replicas are records, of the same Region only, and
cannot be promoted.
"""

import copy
import time

import rds_isolation
from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services import rds, secretsmanager
from ministack_api import in_background
from rds_databases import Database, of_arn, of_record, register, writer_of
from rds_instances import Answer, Refused, answering, back_up, furnish, named, need, shown
from rds_pace import pace


# What a request for a replica may say, and where a record has it.
NUMBERS = ("AllocatedStorage", "MaxAllocatedStorage", "Iops", "MonitoringInterval", "PromotionTier",
           "PerformanceInsightsRetentionPeriod")
FLAGS = {"EnablePerformanceInsights": "PerformanceInsightsEnabled", "CopyTagsToSnapshot": "CopyTagsToSnapshot",
         "EnableIAMDatabaseAuthentication": "IAMDatabaseAuthenticationEnabled",
         "AutoMinorVersionUpgrade": "AutoMinorVersionUpgrade", "PubliclyAccessible": "PubliclyAccessible"}


# -- CreateDBInstanceReadReplica ------------------------------------------


@answering
def _create(params: dict) -> Answer:
    replica_id, source = rds._p(params, "DBInstanceIdentifier"), _source(params)
    if replica_id in rds._instances:
        raise Refused("DBInstanceAlreadyExists", f"DB instance {replica_id} already exists")
    need(source, "available", "backing-up")
    owner = source.cluster or source.record
    if int(owner["BackupRetentionPeriod"]) == 0:
        raise Refused("InvalidDBInstanceState",
                      "Automated backups are not enabled for this database instance. To enable automated backups, "
                      "use ModifyDBInstance to set the backup retention period to a non-zero value.")
    record = _record(replica_id, source, params)
    rds._instances[replica_id] = record
    if source.cluster is not None:
        record["ReadReplicaSourceDBClusterIdentifier"] = source.cluster["DBClusterIdentifier"]
    else:
        shown_source = source.id if source.region == get_region() else source.record["DBInstanceArn"]
        record["ReadReplicaSourceDBInstanceIdentifier"] = shown_source
    _list(source, record, present=True)
    database = register(record)
    rds_isolation.follow(database)

    def make() -> None:
        database.pause(pace.change_seconds)
        # RDS copies the source's storage; while its host is dead there is none to read.
        while not source.host.ready() and not database.gone:
            time.sleep(0.2)
        if database.gone:
            return
        database.follow(source)
        database.start()
        database.tell("RDS-EVENT-0005")
        database.enter("available")

    database.later(make, "create-replica")
    return shown("CreateDBInstanceReadReplica", record)


def _source(params: dict) -> Database:
    """The source that a request names: in another Region by its ARN; of a Multi-AZ DB cluster its writer."""
    if wanted := rds._p(params, "SourceDBClusterIdentifier"):
        cluster = rds._resolve_cluster_in_request_region(wanted)
        writer = writer_of(cluster) if cluster else None
        if writer is None:
            raise Refused("DBClusterNotFoundFault", f"DBCluster {wanted} not found.", 404)
        return writer
    name = rds._p(params, "SourceDBInstanceIdentifier")
    found = of_arn(name) if name.startswith("arn:") else of_record(rds._instances.get(name) or {})
    if found is None:
        raise Refused("DBInstanceNotFound", f"DBInstance {name} not found.", 404)
    return found


def _record(replica_id: str, source: Database, params: dict) -> dict:
    """The record of a new replica: its source's, but for what a request may say otherwise."""
    abroad = source.region != get_region()
    record = copy.deepcopy(source.record)
    for key in ("MaxAllocatedStorage", "MasterUserSecret"):
        record.pop(key, None)
    texts = {name: rds._p(params, name) for name in (
        "DBInstanceClass", "StorageType", "KmsKeyId", "MonitoringRoleArn", "PreferredMaintenanceWindow")}
    record.update({name: value for name, value in texts.items() if value})
    record.update({name: int(rds._p(params, name)) for name in NUMBERS if rds._p(params, name)})
    record.update({key: rds._p(params, name) == "true" for name, key in FLAGS.items() if rds._p(params, name)})
    groups = rds._parse_member_list(params, "VpcSecurityGroupIds")
    if groups or abroad:
        record["VpcSecurityGroups"] = [{"VpcSecurityGroupId": g, "Status": "active"} for g in groups]
    if group := rds._p(params, "DBParameterGroupName"):
        record["DBParameterGroups"] = [{"DBParameterGroupName": group, "ParameterApplyStatus": "in-sync"}]
    arn = f"arn:aws:rds:{get_region()}:{get_account_id()}:db:{replica_id}"
    tags = rds._parse_tags(params)
    rds._tags[arn] = tags
    record.update({
        "DBInstanceIdentifier": replica_id, "DBInstanceArn": arn, "TagList": tags, "BackupRetentionPeriod": 0,
        "DbiResourceId": f"db-{new_uuid().replace('-', '')[:20].upper()}", "PendingModifiedValues": {},
        "InstanceCreateTime": rds._format_time(time.time()), "ReadReplicaDBInstanceIdentifiers": [],
        "DBClusterIdentifier": "", "ReadReplicaSourceDBInstanceIdentifier": "",
        "MasterUsername": (source.cluster or source.record)["MasterUsername"],
        "MultiAZ": rds._p(params, "MultiAZ") == "true",
        "DeletionProtection": rds._p(params, "DeletionProtection") == "true"})
    furnish(record, params)
    return record


def _list(source: Database, replica: dict, present: bool) -> None:
    """The source shows its replicas: by name, and in another Region by ARN."""
    names = (replica["DBInstanceIdentifier"], replica["DBInstanceArn"])
    held = [name for name in source.record["ReadReplicaDBInstanceIdentifiers"] if name not in names]
    abroad = replica["DBInstanceArn"].split(":")[3] != source.region
    source.record["ReadReplicaDBInstanceIdentifiers"] = held + ([names[abroad]] if present else [])


# -- PromoteReadReplica -----------------------------------------------------


@answering
def _promote(params: dict) -> Answer:
    record, database = named(params)
    if not database.is_replica:
        raise Refused("InvalidDBInstanceState", f"DB Instance {database.id} is not a read replica.")
    need(database, "available")
    retention = rds._p(params, "BackupRetentionPeriod")
    window = rds._p(params, "PreferredBackupWindow")
    begin_promotion(database, 1 if retention == "" else int(retention), window)
    return shown("PromoteReadReplica", record)


def begin_promotion(database: Database, retention: int, window: str = "") -> None:
    """Orders a promotion: minutes on RDS, and without a way back."""
    database.enter("modifying")

    def promote() -> None:
        database.pause(pace.promotion_seconds)
        database.enter("rebooting")
        source = database.upstream
        database.host.halt()
        database.start()
        database.lead()
        _detach(database, source)
        database.record["BackupRetentionPeriod"] = retention
        if window:
            database.record["PreferredBackupWindow"] = window
        database.tell("RDS-EVENT-0057")
        database.tell("RDS-EVENT-0006")
        back_up(database)

    database.later(promote, "promote")


def _detach(database: Database, source: Database | None) -> None:
    """It is nobody's replica any more."""
    database.record["ReadReplicaSourceDBInstanceIdentifier"] = ""
    database.record["ReadReplicaSourceDBClusterIdentifier"] = ""
    database.record["ReplicaMode"] = ""
    if source:
        _list(source, database.record, present=False)


# -- DeleteDBInstance ---------------------------------------------------------


@answering
def _delete(params: dict) -> Answer:
    record, database = named(params)
    skips = rds._p(params, "SkipFinalSnapshot") == "true"
    if record["DeletionProtection"]:
        raise Refused("InvalidParameterCombination", "Cannot delete protected DB Instance, please disable deletion "
                                                     "protection and try again.")
    if database.status == "deleting":
        raise Refused("InvalidDBInstanceState", f"Instance {database.id} is already being deleted.")
    final = rds._p(params, "FinalDBSnapshotIdentifier")
    if not record["DBClusterIdentifier"] and not skips and not final:
        raise Refused("InvalidParameterCombination", "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot "
                                                     "is specified.")
    if database.is_replica and not skips:
        raise Refused("InvalidParameterCombination", "FinalDBSnapshotIdentifier can not be specified when deleting a "
                                                     "replica instance")
    if final:
        rds._create_snapshot_internal(final, record)
    database.enter("deleting")
    answer = shown("DeleteDBInstance", record)
    _let_go(database)
    end_later(database)
    return answer


def end_later(database: Database) -> None:
    """It is gone in a while."""
    def end() -> None:
        time.sleep(pace.change_seconds)
        with database.changing:
            _end(database)

    database.enter("deleting")
    database.gone = True  # what else changes it ends
    in_background(end, f"delete-{database.id}")


def _let_go(database: Database) -> None:
    """Replicas in the same Region are promoted; others have nobody to replicate from until they are."""
    if database.upstream:
        _list(database.upstream, database.record, present=False)
    for replica in database.followers():
        if replica.cluster is not None:
            continue
        if replica.region == database.region:
            with replica.scope():
                begin_promotion(replica, int(database.record["BackupRetentionPeriod"]))
        else:
            replica.tell("RDS-EVENT-0045")


def _end(database: Database) -> None:
    rds._unregister_instance_from_clusters(database.id)
    if secret := (database.record.get("MasterUserSecret") or {}).get("SecretArn"):
        secretsmanager.delete_secret_in_process(secret)
    rds_isolation.forget(database)
    database.tell("RDS-EVENT-0003")
    database.remove()
    rds._instances.pop(database.id, None)
    rds._tags.pop(database.record["DBInstanceArn"], None)


def install() -> None:
    """Puts all of this in MiniStack's place."""
    rds._ACTION_MAP.update({"CreateDBInstanceReadReplica": _create, "PromoteReadReplica": _promote,
                            "DeleteDBInstance": _delete})

