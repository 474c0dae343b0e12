"""DB instances of RDS for PostgreSQL: made, changed, rebooted, stopped, deleted.

Fills a gap: MiniStack's DB instances are records, and change at once. What a
request may say is MiniStack's; what it sets off is here.
"""

import functools
import json
import secrets
import subprocess
import time
from collections.abc import Callable
from xml.etree import ElementTree

import rds_isolation
import rds_sql
from ministack.core.responses import get_region, new_uuid
from ministack.services import rds, secretsmanager
from rds_databases import Database, databases, endpoint_of, of_record, register
from rds_pace import pace
from rds_volumes import BIN

PORT = 5432
Answer = tuple


class Refused(Exception):
    """What RDS would answer instead: an error code, a message and an HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


def answering(act: Callable[[dict], Answer]) -> Callable[[dict], Answer]:
    """An action whose refusals become RDS's answers."""
    def handler(params: dict) -> Answer:
        try:
            return act(params)
        except Refused as refused:
            return rds._error(refused.code, refused.message, refused.status)

    return handler


def named(params: dict, field: str = "DBInstanceIdentifier") -> tuple[dict, Database]:
    """The DB instance that a request names, in the Region at hand; or RDS's refusal."""
    name = rds._p(params, field)
    record = rds._resolve_instance(name)
    database = of_record(record) if record else None
    if database is None:
        raise Refused("DBInstanceNotFound", f"DBInstance {name} not found.", 404)
    return record, database


def need(database: Database, *statuses: str) -> None:
    """RDS's refusal, unless the instance has one of these statuses."""
    if database.status not in statuses:
        raise Refused("InvalidDBInstanceState", f"Instance {database.id} is not in {' or '.join(statuses)} state: "
                                                f"it is {database.status}.")


def shown(operation: str, record: dict) -> Answer:
    """The answer that shows one instance."""
    return rds._single_instance_response(f"{operation}Response", f"{operation}Result", record)


# -- CreateDBInstance -----------------------------------------------------


@answering
def _create(params: dict) -> Answer:
    if rds._p(params, "DBClusterIdentifier"):
        return _create_member(params)
    managed = rds._p(params, "ManageMasterUserPassword") == "true"
    if managed and rds._p(params, "MasterUserPassword"):
        raise Refused("InvalidParameterCombination", "You can't specify MasterUserPassword when "
                                                     "ManageMasterUserPassword is enabled.")
    if managed:
        params = {**params, "MasterUserPassword": [secrets.token_urlsafe(24)]}
    elif not rds._p(params, "MasterUserPassword"):
        raise Refused("InvalidParameterValue", "The parameter MasterUserPassword must be provided and must not be "
                                               "blank.")
    record = created(_original["CreateDBInstance"], params)
    record["_database"] = record["DBName"] = rds._p(params, "DBName")
    if managed:
        record["MasterUserSecret"] = _managed_secret(record, params)
    database = register(record)
    rds_isolation.follow(database)

    def make() -> None:
        database.pause(pace.change_seconds)
        database.make()
        database.tell("RDS-EVENT-0005")
        back_up(database)

    database.later(make, "create")
    return shown("CreateDBInstance", record)


def _create_member(params: dict) -> Answer:
    import rds_clusters  # which needs this module itself

    return rds_clusters.create_member(params)


def created(create: Callable[[dict], Answer], params: dict) -> dict:
    """The record that an action of MiniStack makes, as RDS has it at first. Raises Refused."""
    status, _, body = create(params)[:3]
    if status != 200:
        raise Refused(*error_in(body), status)
    record = rds._instances[rds._p(params, "DBInstanceIdentifier")]
    furnish(record, params)
    return record


def error_in(body: bytes) -> tuple[str, str]:
    """The code and the message of a refusal of MiniStack's."""
    texts = {element.tag.rpartition("}")[2]: element.text or "" for element in ElementTree.fromstring(body).iter()}
    return texts["Code"], texts["Message"]


def furnish(record: dict, params: dict) -> None:
    """What MiniStack leaves out, or gets wrong, of a new record."""
    record["DBInstanceStatus"] = "creating"
    record["Endpoint"] = {"Address": endpoint_of(record["DBInstanceIdentifier"]), "HostedZoneId": "Z2R2ITUGPM61AM",
                          "Port": int(rds._p(params, "Port") or record.get("_port") or PORT)}
    record["_port"] = record["Endpoint"]["Port"]
    record["EngineVersion"] = minor_version(record["EngineVersion"])
    record["DBSubnetGroup"] = rds._subnet_groups.get(rds._p(params, "DBSubnetGroupName")) or record["DBSubnetGroup"]
    zones = zones_of(record)
    record["AvailabilityZone"] = rds._p(params, "AvailabilityZone") or zones[len(databases) % len(zones)]
    record["SecondaryAvailabilityZone"] = other_zone(record) if record["MultiAZ"] else ""
    record["EnabledCloudwatchLogsExports"] = rds._parse_member_list(params, "EnableCloudwatchLogsExports")
    record["PerformanceInsightsKMSKeyId"] = rds._p(params, "PerformanceInsightsKMSKeyId")
    record["StorageThroughput"] = int(rds._p(params, "StorageThroughput") or 0)


@functools.cache
def _own_version() -> str:
    """The version of the PostgreSQL that runs here: `15.18`."""
    said = subprocess.run([str(BIN / "postgres"), "--version"], capture_output=True, text=True, check=True).stdout
    return said.split()[2]


def minor_version(version: str) -> str:
    """RDS chooses the minor version where only the major one is asked for."""
    own = _own_version()
    return own if version == own.split(".")[0] else version


def zones_of(record: dict) -> list[str]:
    """The Availability Zones of an instance's subnet group."""
    subnets = record["DBSubnetGroup"].get("Subnets") or []
    zones = sorted({s["SubnetAvailabilityZone"]["Name"] for s in subnets})
    return zones or [f"{get_region()}{letter}" for letter in "abc"]


def other_zone(record: dict) -> str:
    """Where a standby is: another zone than the instance."""
    return next((z for z in zones_of(record) if z != record["AvailabilityZone"]), record["AvailabilityZone"])


def _managed_secret(record: dict, params: dict) -> dict:
    arn = secretsmanager.create_secret_in_process(
        f"rds!db-{new_uuid()}",
        json.dumps({"username": record["MasterUsername"], "password": record["_MasterUserPassword"]}),
        description=f"Secret managed by RDS for DB instance {record['DBInstanceIdentifier']}")
    tag_secret(arn, "aws:rds:primaryDBInstanceArn", record["DBInstanceArn"])
    return {"SecretArn": arn, "SecretStatus": "active", "KmsKeyId": rds._p(params, "MasterUserSecretKmsKeyId")}


def tag_secret(secret_arn: str, key: str, database_arn: str) -> None:
    """The tags that RDS gives a secret of its own, by which policies know whose it is."""
    secret = next(s for s in secretsmanager._secrets.values() if s["ARN"] == secret_arn)
    secret["Tags"] = [{"Key": "aws:secretsmanager:owningService", "Value": "rds"}, {"Key": key, "Value": database_arn}]


def back_up(database: Database) -> None:
    """What follows a creation, and a promotion: the first backup, if there are to be any."""
    if int(database.record["BackupRetentionPeriod"]) > 0:
        database.enter("backing-up")
        database.pause(pace.change_seconds)
    database.enter("available")


# -- ModifyDBInstance -----------------------------------------------------

# What takes no restart and no time.
QUIET = {"DBInstanceIdentifier", "ApplyImmediately", "Action", "Version", "DeletionProtection", "CopyTagsToSnapshot",
         "PreferredBackupWindow", "PreferredMaintenanceWindow", "AllowMajorVersionUpgrade",
         "AutoMinorVersionUpgrade", "PromotionTier"}


@answering
def _modify(params: dict) -> Answer:
    record, database = named(params)
    need(database, "available", "backing-up", "storage-full", "incompatible-parameters", "stopped", "modifying")
    before = int(record["BackupRetentionPeriod"])
    groups = rds._parse_member_list(params, "VpcSecurityGroupIds")
    known = record["VpcSecurityGroups"]
    status, _, body = _original["ModifyDBInstance"](params)[:3]
    if status != 200:
        raise Refused(*error_in(body), status)
    _rest_of(record, params)
    if groups:
        record["VpcSecurityGroups"] = known
        _change_groups(database, groups)
    if password := rds._p(params, "MasterUserPassword"):
        database.later(lambda: database.host.sql(rds_sql.password(record["MasterUsername"], password)), "password")
    others = {name.split(".")[0] for name in params} - QUIET - {"VpcSecurityGroupIds", "MasterUserPassword"}
    if others and database.status != "stopped":
        _work(database, before)
    return shown("ModifyDBInstance", record)


def _rest_of(record: dict, params: dict) -> None:
    """What MiniStack does not keep of a modification."""
    if tier := rds._p(params, "PromotionTier"):
        record["PromotionTier"] = int(tier)
        for member in (cluster_of(record) or {}).get("DBClusterMembers", []):
            if member["DBInstanceIdentifier"] == record["DBInstanceIdentifier"]:
                member["PromotionTier"] = int(tier)
    exports = set(record.get("EnabledCloudwatchLogsExports") or [])
    exports |= set(rds._parse_member_list(params, "CloudwatchLogsExportConfiguration.EnableLogTypes"))
    exports -= set(rds._parse_member_list(params, "CloudwatchLogsExportConfiguration.DisableLogTypes"))
    record["EnabledCloudwatchLogsExports"] = sorted(exports)
    for field, key in (("EnablePerformanceInsights", "PerformanceInsightsEnabled"),
                       ("AutoMinorVersionUpgrade", "AutoMinorVersionUpgrade")):
        if rds._p(params, field):
            record[key] = rds._p(params, field) == "true"
    if record["MultiAZ"] != bool(record.get("SecondaryAvailabilityZone")):
        record["SecondaryAvailabilityZone"] = other_zone(record) if record["MultiAZ"] else ""


def cluster_of(record: dict) -> dict | None:
    """The record of an instance's DB cluster."""
    return rds._clusters.get(record.get("DBClusterIdentifier") or "")


def _work(database: Database, retention_before: int) -> None:
    database.enter("modifying")

    def work() -> None:
        database.pause(pace.change_seconds)
        # Parameters that need no restart hold from now on.
        if database.host.works and database.volume.made:
            database.configure()
            database.host.reload()
        if retention_before == 0 and database.record["BackupRetentionPeriod"]:
            back_up(database)
        else:
            database.enter("available")

    database.later(work, "modify")


def _change_groups(database: Database, groups: list[str]) -> None:
    """They are `adding` and `removing` for a while, and hold only then."""
    record = database.record
    old = {g["VpcSecurityGroupId"] for g in record["VpcSecurityGroups"]}
    record["VpcSecurityGroups"] = (
        [{"VpcSecurityGroupId": g, "Status": "active" if g in old else "adding"} for g in groups]
        + [{"VpcSecurityGroupId": g, "Status": "removing"} for g in sorted(old - set(groups))])
    asked = record["VpcSecurityGroups"]

    def hold() -> None:
        time.sleep(pace.change_seconds)
        if record["VpcSecurityGroups"] is asked:
            record["VpcSecurityGroups"] = [{"VpcSecurityGroupId": g, "Status": "active"} for g in groups]
            rds_isolation.follow(database)

    # They are the network's, which waits for no change of the instance.
    database.later(hold, "security-groups", beside=True)


# -- RebootDBInstance, StopDBInstance, StartDBInstance ----------------------


@answering
def _reboot(params: dict) -> Answer:
    import rds_watch  # which needs this module itself

    record, database = named(params)
    need(database, "available")
    forced = rds._p(params, "ForceFailover") == "true"
    if forced and not record["MultiAZ"]:
        raise Refused("InvalidParameterCombination", "Cannot force failover since the instance is not configured as "
                                                     "a Multi-AZ deployment.")
    database.enter("rebooting")

    def reboot() -> None:
        if forced:
            return rds_watch.fail_over_instance(database)
        if not database.host.works:
            return None  # until there is a host again, which rds_watch sees to
        database.host.halt()
        database.pause(pace.change_seconds)
        database.start()
        database.tell("RDS-EVENT-0006")
        return database.enter("available")

    database.later(reboot, "reboot")
    return shown("RebootDBInstance", record)


@answering
def _stop(params: dict) -> Answer:
    record, database = named(params)
    need(database, "available")
    if database.is_replica or record["ReadReplicaDBInstanceIdentifiers"]:
        raise Refused("InvalidDBInstanceState", f"Cannot stop the instance {database.id}: it has a read replica, or "
                                                "is one.")
    database.enter("stopping")

    def stop() -> None:
        database.pause(pace.change_seconds)
        database.host.halt()
        database.enter("stopped")
        database.tell("RDS-EVENT-0087")

    database.later(stop, "stop")
    return shown("StopDBInstance", record)


@answering
def _start(params: dict) -> Answer:
    record, database = named(params)
    need(database, "stopped")
    database.enter("starting")

    def start() -> None:
        database.pause(pace.change_seconds)
        database.start()
        database.enter("available")
        database.tell("RDS-EVENT-0088")

    database.later(start, "start")
    return shown("StartDBInstance", record)


# -- RestoreDBInstanceFromDBSnapshot ----------------------------------------


@answering
def _restore(params: dict) -> Answer:
    """The data is that of a new database: copies of data are not the lab's yet."""
    record = created(_original["RestoreDBInstanceFromDBSnapshot"], params)
    record["_MasterUserPassword"] = secrets.token_urlsafe(24)
    record["_database"] = record.get("DBName")
    record["VpcSecurityGroups"] = [{"VpcSecurityGroupId": g, "Status": "active"}
                                   for g in rds._parse_member_list(params, "VpcSecurityGroupIds")]
    tags = rds._parse_tags(params)
    rds._tags[record["DBInstanceArn"]] = record["TagList"] = tags
    database = register(record)
    rds_isolation.follow(database)

    def make() -> None:
        database.pause(pace.change_seconds)
        database.make()
        back_up(database)

    database.later(make, "restore")
    return shown("RestoreDBInstanceFromDBSnapshot", record)


_original = {name: rds._ACTION_MAP[name] for name in (
    "CreateDBInstance", "ModifyDBInstance", "DeleteDBInstance", "RestoreDBInstanceFromDBSnapshot")}


def install() -> None:
    """Puts all of this in MiniStack's place."""
    rds._get_docker = lambda: None
    rds._ACTION_MAP.update({
        "CreateDBInstance": _create, "ModifyDBInstance": _modify, "RebootDBInstance": _reboot,
        "StopDBInstance": _stop, "StartDBInstance": _start, "RestoreDBInstanceFromDBSnapshot": _restore})
