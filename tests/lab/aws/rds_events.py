"""RDS's events, in EventBridge's shape and in DescribeEvents.

Fills a gap: MiniStack's RDS says nothing to EventBridge.
"""

import time

from ministack.core.responses import new_uuid
from ministack.services import rds
from ministack_api import emit

# id: (category, message), as the RDS and Aurora User Guides have them.
INSTANCE = {
    "RDS-EVENT-0003": ("deletion", "DB instance deleted"),
    "RDS-EVENT-0004": ("availability", "DB instance shutdown"),
    "RDS-EVENT-0005": ("creation", "DB instance created"),
    "RDS-EVENT-0006": ("availability", "DB instance restarted"),
    "RDS-EVENT-0013": ("failover", "Multi-AZ instance failover started"),
    "RDS-EVENT-0014": ("configuration change", "Finished applying modification to DB instance class"),
    "RDS-EVENT-0015": ("failover", "Multi-AZ failover to standby complete - DNS propagation may take a few minutes"),
    "RDS-EVENT-0034": ("failover", "Abandoning user requested failover since a failover recently occurred on the "
                                   "database instance"),
    "RDS-EVENT-0037": ("failure", "DB instance put into incompatible-parameters"),
    "RDS-EVENT-0045": ("read replica", "Replication has stopped"),
    "RDS-EVENT-0049": ("failover", "Multi-AZ instance failover completed"),
    "RDS-EVENT-0057": ("read replica", "Replication streaming has been terminated"),
    "RDS-EVENT-0087": ("notification", "DB instance stopped"),
    "RDS-EVENT-0088": ("notification", "DB instance started"),
    "RDS-EVENT-0422": ("notification", "RDS has replaced the host of the DB instance"),
}
CLUSTER = {
    "RDS-EVENT-0069": ("failover", "Cluster failover failed, check the health of your cluster instances and try again"),
    "RDS-EVENT-0071": ("failover", "Completed failover to DB instance: {0}"),
    "RDS-EVENT-0072": ("failover", "Started same AZ failover to DB instance: {0}"),
    "RDS-EVENT-0073": ("failover", "Started cross AZ failover to DB instance: {0}"),
    "RDS-EVENT-0150": ("notification", "DB cluster stopped"),
    "RDS-EVENT-0151": ("notification", "DB cluster started"),
    "RDS-EVENT-0170": ("creation", "DB cluster created"),
    "RDS-EVENT-0171": ("deletion", "DB cluster deleted"),
    "RDS-EVENT-0181": ("global failover", "Global switchover to DB cluster {0} in Region {1} started."),
    "RDS-EVENT-0185": ("global failover", "Global switchover to DB cluster {0} in Region {1} finished."),
    "RDS-EVENT-0238": ("global failover", "Global failover to DB cluster {0} in Region {1} completed."),
    "RDS-EVENT-0239": ("global failover", "Global failover to DB cluster {0} in Region {1} failed."),
    "RDS-EVENT-0240": ("global failover", "Started resynchronizing members of DB cluster {0} in Region {1} "
                                          "post global failover."),
    "RDS-EVENT-0241": ("global failover", "Finished resynchronizing members of DB cluster {0} in Region {1} "
                                          "post global failover."),
}
KINDS = {"DB_INSTANCE": ("RDS DB Instance Event", "db-instance"), "CLUSTER": ("RDS DB Cluster Event", "db-cluster")}


def of_instance(record: dict, event_id: str) -> None:
    """Tells of a DB instance."""
    category, message = INSTANCE[event_id]
    _tell("DB_INSTANCE", record["DBInstanceIdentifier"], record["DBInstanceArn"], event_id, category, message)


def of_cluster(record: dict, event_id: str, *said: str) -> None:
    """Tells of a DB cluster."""
    category, message = CLUSTER[event_id]
    _tell("CLUSTER", record["DBClusterIdentifier"], record["DBClusterArn"], event_id, category, message.format(*said))


def _tell(kind: str, name: str, arn: str, event_id: str, category: str, message: str) -> None:
    now = time.time()
    detail_type, source_type = KINDS[kind]
    tags = {tag["Key"]: tag["Value"] for tag in rds._tags.get(arn) or []}
    emit("aws.rds", detail_type, {
        "EventCategories": [category], "SourceType": kind, "SourceArn": arn,
        "Date": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z",
        "Message": message, "SourceIdentifier": name, "EventID": event_id, **({"Tags": tags} if tags else {}),
    }, [arn])
    rds._events[new_uuid()] = {"SourceIdentifier": name, "SourceType": source_type, "SourceArn": arn,
                               "Message": message, "Date": now, "EventCategories": [category]}
