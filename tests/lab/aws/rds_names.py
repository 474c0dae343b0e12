"""The names of RDS's endpoints, and what they mean now: what the lab's DNS server answers.

An instance is where its host is today; a cluster's own name is where its
writer is, its `-ro-` name is at every reader, or at the writer if there is
none; a proxy's is where what it stands before is. What has no address now is
not there, as the writer's name of a secondary cluster.

And the health checks of Route 53 that follow an alarm, since a pair of
failover records depends on them.
"""

from collections.abc import Iterator

from ministack.services import cloudwatch, rds, route53
from rds_databases import Database, databases, members_of, writer_of
from rds_global import writing_cluster


def show() -> dict[str, list[str]]:
    """Addresses by name, lower case and without a final dot."""
    found = {name.lower(): [d.host.address for d in at if d is not None and d.status != "creating"]
             for name, at in _all()}
    return {name: addresses for name, addresses in found.items() if addresses}


def _all() -> Iterator[tuple[str, list[Database | None]]]:
    for database in list(databases.values()):
        yield database.record["Endpoint"]["Address"], [database]
    for key, cluster in list(rds._clusters.all_items()):
        writer = writer_of(cluster)
        readers = [d for d in members_of(cluster) if d is not writer and d.status == "available"]
        yield cluster["Endpoint"], [writer]
        yield cluster["ReaderEndpoint"], readers or [writer]
        for proxy in _proxies(key[:2]):
            if ("TRACKED_CLUSTER", cluster["DBClusterIdentifier"]) in targets_of(proxy):
                yield proxy["Endpoint"], [writer]
    for database in list(databases.values()):
        for proxy in _proxies((database.account, database.region)):
            if ("RDS_INSTANCE", database.id) in targets_of(proxy):
                yield proxy["Endpoint"], [database]
    for _, world in list(rds._global_clusters._data.items()):
        writing = writing_cluster(world)
        yield global_endpoint(world), [writer_of(writing) if writing else None]


def _proxies(scope: tuple[str, str]) -> list[dict]:
    return [proxy for key, proxy in list(rds._db_proxies.all_items()) if key[:2] == scope]


def targets_of(proxy: dict) -> list[tuple[str, str]]:
    """The instances and clusters that a proxy stands before, with their kinds."""
    return [(target["Type"], target["RdsResourceId"]) for target in proxy["Targets"]]


def global_endpoint(world: dict) -> str:
    """The writer's name of a global cluster."""
    return f"{world['GlobalClusterIdentifier']}.global-lab.global.rds.amazonaws.com"


def health() -> dict[str, bool]:
    """Whether each health check that follows an alarm is healthy, by its id."""
    checks = {key[-1]: check for key, check in list(route53._health_checks._data.items())}
    return {check_id: _is_healthy(check["config"]) for check_id, check in checks.items()
            if check["config"].get("Type") == "CLOUDWATCH_METRIC"}


# By Region and name of the alarm: the last state that was one.
_last_known: dict[tuple[str, str], str] = {}


def _is_healthy(config: dict) -> bool:
    alarm = config.get("AlarmIdentifier") or {}
    which = (alarm.get("Region", ""), alarm.get("Name", ""))
    state = next((a["StateValue"] for (_, region, name), a in list(cloudwatch._alarms.all_items())
                  if (region, name) == which), "INSUFFICIENT_DATA")
    if state != "INSUFFICIENT_DATA":
        _last_known[which] = state
    elif config.get("InsufficientDataHealthStatus", "LastKnownStatus") == "LastKnownStatus":
        state = _last_known.get(which, "OK")
    healthy = state == "OK" or config.get("InsufficientDataHealthStatus") == "Healthy" and state != "ALARM"
    return healthy != bool(config.get("Inverted", False))
