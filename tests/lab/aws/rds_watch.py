"""What RDS does by itself when a host dies: Multi-AZ and Aurora fail over, others get a new host in the end.

RDS looks at hosts from outside PostgreSQL, every second or so: it sees a dead
one, not a database that does not answer its clients. See rds_pace.py for what
it takes for dead, and for how long everything takes.
"""

import sys
import threading
import time

import rds_isolation
from packets import packets
from rds_databases import Database, databases, writer_of
from rds_pace import pace
from rds_volumes import CannotStart

LOOK_SECONDS = 0.25
# Regions that are down: nothing in them is looked after.
down: set[str] = set()


def _seems_dead(database: Database) -> bool:
    host = database.host
    return (host.dead or (pace.sees_hang and host.hangs)
            or (pace.sees_partition and packets.keeps_from_aws(host.instance_id)))


def look() -> None:
    """Looks at every database once, and begins what is due."""
    for database in list(databases.values()):
        if database.region in down or database.gone or not database.volume.made:
            continue
        if not _seems_dead(database):
            database.dead_since = None
            continue
        now = time.monotonic()
        if database.dead_since is None:
            database.dead_since = now
        _help(database, now - database.dead_since)


def _help(database: Database, seconds: float) -> None:
    """Does what is due to a database whose host is dead since so long."""
    import rds_clusters  # which needs this module itself

    if database.cluster is not None:
        if writer_of(database.cluster) is database and rds_clusters.candidates(database.cluster):
            if seconds >= pace.failover_seconds:
                database.dead_since = None
                rds_clusters.begin_failover(database.cluster)
            return
        limit = pace.aurora_replacement_seconds
    elif database.record["MultiAZ"]:
        limit = pace.failover_seconds
    else:
        limit = None if database.never_replaced else pace.replacement_seconds
    if limit is not None and seconds >= limit and database.status not in ("stopping", "stopped"):
        database.dead_since = time.monotonic() + 3600  # until it has been helped
        fails_over = bool(database.record["MultiAZ"]) and database.cluster is None
        database.later((lambda: fail_over_instance(database)) if fails_over else (lambda: replace(database)), "host")


def fail_over_instance(database: Database) -> None:
    """Multi-AZ: the standby in the other zone takes over the mirrored storage, and the name follows."""
    before = database.status
    database.tell("RDS-EVENT-0013")
    if before == "available":
        database.enter("rebooting")
    record = database.record
    record["AvailabilityZone"], record["SecondaryAvailabilityZone"] = (
        record["SecondaryAvailabilityZone"], record["AvailabilityZone"])
    database.replace_host()
    rds_isolation.follow(database)
    database.enter("available")
    database.tell("RDS-EVENT-0015")
    database.tell("RDS-EVENT-0049")


def replace(database: Database) -> None:
    """The only host was lost: another one, on the same data."""
    import rds_global  # which needs this module itself

    if not rds_global.rebuild_if_behind(database):
        database.replace_host()
    rds_isolation.follow(database)
    if database.status == "rebooting":
        database.enter("available")
    database.tell("RDS-EVENT-0006")


# -- whole Regions -----------------------------------------------------------


def take_down(region: str) -> dict:
    """Every database host of a Region dies, and nobody replaces them."""
    down.add(region)
    hit = [database for database in list(databases.values()) if database.region == region]
    for database in hit:
        database.host.kill_host()
    return {"region": region, "databases": [database.id for database in hit]}


def bring_up(region: str) -> dict:
    """The hosts of a Region come back, on the data that they had."""
    down.discard(region)
    back = [database for database in list(databases.values()) if database.region == region and database.host.dead]
    # Sources before their replicas.
    for database in sorted(back, key=lambda d: d.upstream is not None):
        database.later(lambda database=database: replace(database), "region-back")
    return {"region": region, "databases": [database.id for database in back]}


def power_off_all() -> None:
    """Every host of RDS loses its power."""
    for database in list(databases.values()):
        database.host.power_off()


def _keep_looking() -> None:
    while True:
        time.sleep(LOOK_SECONDS)
        try:
            look()
        except CannotStart as failed:
            print(f"rds: {failed}", file=sys.stderr, flush=True)


def install() -> None:
    """Looks from now on."""
    threading.Thread(target=_keep_looking, name="rds-watch", daemon=True).start()
