"""What DescribeDBInstances, DescribeDBClusters and DescribeGlobalClusters show.

Fills gaps: MiniStack shows empty elements where RDS shows none, which an SDK
reads as a name that is empty; and leaves out what is asked for of a member of
a stack: logs, zones, secrets, storage. It has no DescribeAccountAttributes.
"""

import re
from xml.sax.saxutils import escape

from ministack.services import rds
from rds_names import global_endpoint

EMPTY = re.compile(r"<(ReadReplicaSourceDBInstanceIdentifier|DBClusterIdentifier|KmsKeyId|MonitoringRoleArn|ReplicaMode"
                   r"|EnhancedMonitoringResourceArn|DBName|StorageType|DatabaseName)></\1>")
# RDS's own default.
MOST_INSTANCES = 40
ENDPOINT = re.compile(r"<Endpoint>\s*<Address>.*?</Endpoint>", re.DOTALL)


def _instance(record: dict) -> str:
    xml = EMPTY.sub("", _original_instance(record))
    if record["DBInstanceStatus"] == "creating":
        xml = ENDPOINT.sub("", xml)
    xml = xml.replace("<EnabledCloudwatchLogsExports/>", _logs(record))
    if record.get("SecondaryAvailabilityZone"):
        xml += f"<SecondaryAvailabilityZone>{record['SecondaryAvailabilityZone']}</SecondaryAvailabilityZone>"
    cluster = record.get("ReadReplicaSourceDBClusterIdentifier")
    if cluster:
        xml += f"<ReadReplicaSourceDBClusterIdentifier>{cluster}</ReadReplicaSourceDBClusterIdentifier>"
    if source := record.get("ReadReplicaSourceDBInstanceIdentifier") or cluster:
        xml = xml.replace("<StatusInfos/>", _replication(record, source))
    return xml + _secret(record)


def _replication(record: dict, source: str) -> str:
    state = "replicating" if source and record["DBInstanceStatus"] == "available" else "connecting"
    return ("<StatusInfos><DBInstanceStatusInfo><StatusType>read replication</StatusType>"
            f"<Status>{state}</Status><Normal>true</Normal></DBInstanceStatusInfo></StatusInfos>")


def _logs(record: dict) -> str:
    members = "".join(f"<member>{name}</member>" for name in record.get("EnabledCloudwatchLogsExports") or [])
    return f"<EnabledCloudwatchLogsExports>{members}</EnabledCloudwatchLogsExports>"


def _secret(record: dict) -> str:
    held = record.get("MasterUserSecret")
    if not held:
        return ""
    return "<MasterUserSecret>" + "".join(f"<{name}>{escape(held[name])}</{name}>" for name in (
        "SecretArn", "SecretStatus", "KmsKeyId") if held.get(name)) + "</MasterUserSecret>"


def _cluster(record: dict) -> str:
    xml = EMPTY.sub("", _original_cluster(record)) + _logs(record)
    return xml + (f"<StorageType>{record['StorageType']}</StorageType>" if record.get("StorageType") else "")


def _global(world: dict) -> str:
    return f"{_original_global(world)}<Endpoint>{global_endpoint(world)}</Endpoint>"


def _attributes(_params: dict) -> tuple:
    """How many instances there are in the Region, and how many there may be."""
    used = len(list(rds._instances.keys()))
    quota = (f"<AccountQuotas><AccountQuota><AccountQuotaName>DBInstances</AccountQuotaName><Used>{used}</Used>"
             f"<Max>{MOST_INSTANCES}</Max></AccountQuota></AccountQuotas>")
    return rds._xml(200, "DescribeAccountAttributesResponse",
                    f"<DescribeAccountAttributesResult>{quota}</DescribeAccountAttributesResult>")


_original_instance, _original_cluster = rds._instance_xml, rds._cluster_xml
_original_global = rds._global_cluster_xml


def install() -> None:
    """Puts all of this in MiniStack's place."""
    rds._instance_xml, rds._cluster_xml, rds._global_cluster_xml = _instance, _cluster, _global
    rds._ACTION_MAP["DescribeAccountAttributes"] = _attributes
