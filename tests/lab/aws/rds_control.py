"""What the lab may ask of RDS, beyond its API: faults of hosts, the pace, names, whole Regions. See control.py."""

import random
import time
from collections.abc import Callable

import rds_names
import rds_watch
from ministack.services import rds
from rds_databases import Database, databases, find, writer_of
from rds_hosts import Host
from rds_pace import BadPace, pace

HOST_FAULTS: dict[str, Callable[[Host], dict]] = {
    "kill-host": Host.kill_host,
    "kill-postmaster": Host.kill_postmaster,
    "hang": Host.hang,
    "resume": Host.resume,
    "partition": Host.partition,
    "isolate": Host.isolate,
    "cut-functions": Host.cut_functions,
}


def _heal(database: Database) -> dict:
    """Undoes what can be: cuts, standing still, being stuck. A host that died comes back on the same data."""
    database.stuck, database.never_replaced = False, False
    if database.host.dead:
        database.later(lambda: rds_watch.replace(database), "heal")
        return {"replaced": True}
    return {**database.host.heal(), **database.host.resume()}


def _stick(database: Database) -> dict:
    """What is `modifying`, now or later, stays so."""
    database.stuck = True
    return {"status": database.status}


def _unstick(database: Database) -> dict:
    """Undoes `stick`."""
    database.stuck = False
    return {"status": database.status}


def _never_replaced(database: Database) -> dict:
    """A host of it that dies stays dead, unless a standby takes over or `heal` brings it back."""
    database.never_replaced = True
    return {"status": database.status}


DATABASE_FAULTS: dict[str, Callable[[Database], dict]] = {
    "heal": _heal, "stick": _stick, "unstick": _unstick, "never-replaced": _never_replaced}
FAULTS = (*HOST_FAULTS, *DATABASE_FAULTS)


def inject(name: str, fault: str, needs: dict[str, str]) -> tuple[int, dict] | None:
    """Does a fault to the database of that name; None if there is none."""
    database = find(name)
    if database is None:
        return None
    began = time.monotonic()
    if act := HOST_FAULTS.get(fault):
        host = database.host
        done = act(host)
    elif fault in DATABASE_FAULTS:
        host = database.host
        done = DATABASE_FAULTS[fault](database)
    else:
        return 404, {"error": f"no fault {fault}: {', '.join(FAULTS)}"}
    done |= {"instance_id": database.id, "region": database.region, "address": host.address, "fault": fault,
             "milliseconds": round((time.monotonic() - began) * 1000, 1)}
    if fault in needs and not done["inbound_dropped"]:
        return 501, done | {"error": f"{fault} needs {needs[fault]} to drop packets; nothing was done"}
    return 200, done


def list_databases() -> list[dict]:
    """Every instance with its host of today, and every cluster with that of its writer."""
    clusters = [{"id": cluster["DBClusterIdentifier"], "region": region, "kind": "cluster", "role": "writer",
                 "status": cluster["Status"], **_host_of(writer_of(cluster))}
                for (_, region, _), cluster in list(rds._clusters.all_items())]
    return clusters + [{
        "id": d.id, "region": d.region, "kind": "instance", "role": _role(d), "status": d.status, "stuck": d.stuck,
        "zone": d.record["AvailabilityZone"], "cluster": d.record.get("DBClusterIdentifier") or None,
        "upstream": d.upstream.full_name if d.upstream else None, "processes": d.host.count(d.host.find()),
        **_host_of(d)} for d in list(databases.values())]


def _host_of(database: Database | None) -> dict:
    if database is None:
        return {"dead": False, "address": None, "port": None}
    return {"dead": database.host.dead, "address": database.host.address, "port": database.port}


def _role(database: Database) -> str:
    if database.cluster is not None:
        return "writer" if writer_of(database.cluster) is database else "reader"
    return "replica" if database.is_replica else "writer"


def answer(method: str, words: list[str], wishes: object) -> tuple[int, dict] | None:
    """What is not about one database."""
    match method, words:
        case "GET", []:
            addresses = rds_names.show()
            return 200, {"databases": list_databases(), "addresses": addresses,
                         "names": {name: random.choice(at) for name, at in addresses.items()},
                         "health_checks": rds_names.health()}
        case "GET", ["pace"]:
            return 200, {"pace": pace.show()}
        case "POST", ["pace"]:
            try:
                return 200, {"pace": pace.change(wishes)}
            except BadPace as wrong:
                return 400, {"error": str(wrong)}
        case "POST", ["regions", region, "down"]:
            return 200, rds_watch.take_down(region)
        case "POST", ["regions", region, "up"]:
            return 200, rds_watch.bring_up(region)
    return None
