"""Aurora's global clusters: a secondary cluster in another Region is a real standby, and switchover and failover
promote it.

Fills gaps: MiniStack only moves the flag of who writes.
"""

import sys

import rds_isolation
from ministack.services import rds
from ministack_api import in_background
from rds_clusters import head_of, is_secondary
from rds_databases import Database, members_of, writer_of
from rds_events import of_cluster
from rds_instances import Answer, Refused, answering, error_in
from rds_pace import pace
from rds_volumes import CannotStart

# A failover in which data may be lost goes through these; a switchover too.
PENDING, FAILING_OVER, SWITCHING_OVER = "pending", "failing-over", "switching-over"


def _named(params: dict) -> dict:
    name = rds._p(params, "GlobalClusterIdentifier")
    world = rds._resolve_global_cluster(name)
    if world is None:
        raise Refused("GlobalClusterNotFoundFault", f"Global cluster {name} not found.", 404)
    return world


def _cluster(arn: str) -> dict | None:
    return rds._resolve_cluster(arn)


def writing_cluster(world: dict) -> dict | None:
    """The member that writes."""
    return next((_cluster(m["DBClusterArn"]) for m in world["GlobalClusterMembers"] if m["IsWriter"]), None)


def head_of_other(cluster: dict) -> Database | None:
    """Whom a secondary cluster replicates from: the writer of the global cluster."""
    world = rds._global_clusters[cluster["GlobalClusterIdentifier"]]
    writing = writing_cluster(world)
    return writer_of(writing) if writing else None


def _shown(operation: str, world: dict) -> Answer:
    shown = f"<GlobalCluster>{rds._global_cluster_xml(world)}</GlobalCluster>"
    return rds._xml(200, f"{operation}Response", f"<{operation}Result>{shown}</{operation}Result>")


# -- FailoverGlobalCluster, SwitchoverGlobalCluster ---------------------------


@answering
def _failover(params: dict) -> Answer:
    loses = rds._p(params, "AllowDataLoss") == "true"
    if loses and rds._p(params, "Switchover") == "true":
        raise Refused("InvalidParameterCombination", "AllowDataLoss and Switchover cannot both be specified.")
    return _move(params, "FailoverGlobalCluster", loses)


@answering
def _switchover(params: dict) -> Answer:
    return _move(params, "SwitchoverGlobalCluster", False)


def _move(params: dict, operation: str, loses: bool) -> Answer:
    world = _named(params)
    wanted = rds._p(params, "TargetDbClusterIdentifier")
    target = _cluster(wanted)
    member = next((m for m in world["GlobalClusterMembers"] if target and m["DBClusterArn"] == target["DBClusterArn"]),
                  None)
    if member is None:
        raise Refused("DBClusterNotFoundFault", f"DBCluster {wanted} is not a member of global cluster "
                                                f"{world['GlobalClusterIdentifier']}.", 404)
    if world["Status"] != "available" or member["IsWriter"]:
        raise Refused("InvalidGlobalClusterStateFault", f"Global cluster {world['GlobalClusterIdentifier']} is "
                                                        f"{world['Status']}, or the target is its writer already.")
    source = writing_cluster(world)
    head, writer = head_of(target), writer_of(source)
    if head is None or not head.host.works:
        raise Refused("InvalidDBClusterStateFault", f"DBCluster {wanted} has no instance that could be promoted.")
    if not loses and not (writer and writer.host.works and writer.status == "available"):
        raise Refused("InvalidGlobalClusterStateFault", "The primary cluster is not healthy: a switchover needs it to "
                                                        "be; a failover needs AllowDataLoss.")
    world["FailoverState"] = {"Status": PENDING, "FromDbClusterArn": source["DBClusterArn"],
                              "ToDbClusterArn": target["DBClusterArn"], "IsDataLossAllowed": loses}
    world["Status"] = FAILING_OVER if loses else SWITCHING_OVER
    answer = _shown(operation, world)
    in_background(lambda: _carry_out(world, source, target, loses), "global-failover")
    return answer


def _carry_out(world: dict, source: dict, target: dict, loses: bool) -> None:
    head = head_of(target)
    name, region = target["DBClusterIdentifier"], head.region
    state = world["FailoverState"]
    with head.scope():
        if not loses:
            of_cluster(target, "RDS-EVENT-0181", name, region)
        head.pause(pace.change_seconds)
        state["Status"] = FAILING_OVER
        target["Status"] = FAILING_OVER if loses else SWITCHING_OVER
        head.pause(pace.change_seconds)
        try:
            _switch(source, target) if not loses else _take_over(source, target)
            rds._set_global_cluster_writer(
                world, next(m for m in world["GlobalClusterMembers"] if m["DBClusterArn"] == target["DBClusterArn"]))
            event = "RDS-EVENT-0238" if loses else "RDS-EVENT-0185"
        except CannotStart as failed:
            print(f"rds: global failover to {name}: {failed}", file=sys.stderr, flush=True)
            event = "RDS-EVENT-0239"
        target["Status"] = "available"
        world["Status"] = "available"
        world.pop("FailoverState", None)
        of_cluster(target, event, name, region)
    if loses:
        _resynchronise(source, target)


def _promote(target: dict) -> Database:
    """The head of a cluster becomes its writer; its readers follow it onto the new timeline."""
    head = head_of(target)
    head.lead()
    for member in target["DBClusterMembers"]:
        member["IsClusterWriter"] = member["DBInstanceIdentifier"] == head.id
    return head


def _readers_only(cluster: dict) -> None:
    for member in cluster["DBClusterMembers"]:
        member["IsClusterWriter"] = False


def _switch(source: dict, target: dict) -> None:
    """Nothing is lost: the writer ends in order, the other side has all of it, and only then is promoted."""
    old, head = writer_of(source), head_of(target)
    old.host.halt()
    end = old.volume.checkpoint()
    if head.host.sql(f"SELECT pg_last_wal_receive_lsn() >= '{end}'::pg_lsn") != "t":
        old.start()
        raise CannotStart(f"{head.full_name} does not have everything up to {end}")
    _promote(target)
    _readers_only(source)
    old.follow(head)
    old.start()


def _take_over(source: dict, target: dict) -> None:
    """Whatever did not reach the other side is lost. The old side's storage takes no writes any more, if it can be
    reached."""
    for database in members_of(source):
        if database.host.works:
            database.host.power_off()
    _promote(target)
    _readers_only(source)


def _resynchronise(source: dict, target: dict) -> None:
    """The old side, where it is up, becomes a secondary of the new one: with a copy of its storage, not its own."""
    head = writer_of(target)
    reachable = [d for d in members_of(source) if not d.host.dead]
    if not reachable or head is None:
        return
    where = (source["DBClusterIdentifier"], reachable[0].region)
    with head.scope():
        of_cluster(target, "RDS-EVENT-0240", *where)
        for database in reachable:
            rebuild_if_behind(database)
        of_cluster(target, "RDS-EVENT-0241", *where)


def rebuild_if_behind(database: Database) -> bool:
    """A member of a secondary cluster, which was a writer or follows one that is none any more, gets a new copy."""
    cluster = database.cluster
    if cluster is None or not is_secondary(cluster):
        return False
    head = head_of_other(cluster)
    if head is None or (database.upstream is not None and _leads_to(database, head)):
        return False
    inside = next((d for d in members_of(cluster) if d is not database and d.host.works
                   and d.upstream is not None and _leads_to(d, head)), None)
    database.host.power_off()
    database.host = database.new_host()
    database.volume.copy((inside or head).host.address, (inside or head).port)
    database.follow(inside or head)
    database.start()
    rds_isolation.follow(database)
    return True


def _leads_to(database: Database, head: Database) -> bool:
    """Whether what it replicates from is that one in the end."""
    seen = database.upstream
    while seen is not None and seen is not head:
        seen = seen.upstream
    return seen is head


# -- RemoveFromGlobalCluster ---------------------------------------------------


@answering
def _remove(params: dict) -> Answer:
    """A secondary cluster that is removed stands alone from then on, and writes."""
    world = _named(params)
    cluster = _cluster(rds._p(params, "DbClusterIdentifier"))
    secondary = cluster is not None and is_secondary(cluster)
    status, headers, body = _original_remove(params)[:3]
    if status != 200:
        raise Refused(*error_in(body), status)
    if secondary and (head := head_of(cluster)):
        cluster["Status"] = "promoting"

        def promote() -> None:
            head.pause(pace.change_seconds)
            if head.host.works:
                _promote(cluster)
            cluster["Status"] = "available"

        head.later(promote, "detach")
        return _shown("RemoveFromGlobalCluster", world)
    return status, headers, body


_original_remove = rds._ACTION_MAP["RemoveFromGlobalCluster"]


def install() -> None:
    """Puts all of this in MiniStack's place."""
    rds._ACTION_MAP.update({"FailoverGlobalCluster": _failover, "SwitchoverGlobalCluster": _switchover,
                            "RemoveFromGlobalCluster": _remove})
