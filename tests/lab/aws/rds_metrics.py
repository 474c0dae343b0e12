"""The lag of replicas in CloudWatch, as RDS and Aurora publish it. Their other metrics mean nothing here.

| metric | unit | dimensions |
|---|---|---|
| ReplicaLag | seconds | DBInstanceIdentifier |
| AuroraReplicaLag | milliseconds | DBInstanceIdentifier; DBClusterIdentifier and Role |
| AuroraGlobalDBReplicationLag | milliseconds | DBClusterIdentifier and SourceRegion |
"""

import subprocess
import threading
import time
from collections.abc import Iterator

from ministack.services import cloudwatch
from rds_databases import Database, databases
from rds_pace import pace
from rds_volumes import CannotStart

# RDS publishes each minute. Here that is as much faster as everything else is.
SECONDS = 10.0
NAMESPACE = "AWS/RDS"
# How long ago the last transaction that was replayed was written, unless nothing is left to replay.
LAG = """SELECT CASE WHEN pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn()
    AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming') THEN 0
    ELSE coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0) END"""


def _series(database: Database, upstream: Database, seconds: float) -> Iterator[tuple[str, dict, float]]:
    """The metrics of one replica: name, dimensions, value."""
    cluster = database.cluster
    if cluster is None:
        yield "ReplicaLag", {"DBInstanceIdentifier": database.id}, seconds
    elif upstream.cluster is cluster:
        yield "AuroraReplicaLag", {"DBInstanceIdentifier": database.id}, seconds * 1000
        name = cluster["DBClusterIdentifier"]
        yield "AuroraReplicaLag", {"DBClusterIdentifier": name, "Role": "READER"}, seconds * 1000
    else:
        dimensions = {"DBClusterIdentifier": cluster["DBClusterIdentifier"], "SourceRegion": upstream.region}
        yield "AuroraGlobalDBReplicationLag", dimensions, seconds * 1000


def publish() -> None:
    """Asks every replica that answers, once."""
    for database in list(databases.values()):
        upstream = database.upstream  # which a promotion takes away meanwhile
        if upstream is None or database.status != "available" or not database.host.works:
            continue
        try:
            lag = float(database.host.sql(LAG))
        except (CannotStart, subprocess.TimeoutExpired):
            continue  # one that does not answer publishes nothing
        with database.scope():
            for name, dimensions, value in _series(database, upstream, lag):
                cloudwatch._store_datum(NAMESPACE, name, dimensions, time.time(), "None", value, None, None, None)
            cloudwatch._evaluate_all_alarms()


def _keep_publishing() -> None:
    while True:
        time.sleep(min(SECONDS, max(1.0, 5 * pace.change_seconds)))
        publish()


def install() -> None:
    """Publishes from now on."""
    threading.Thread(target=_keep_publishing, name="rds-metrics", daemon=True).start()
