"""The switchboard of faults: what the lab asks for over HTTP, at the port of the metadata service.

    GET    /control/instances
    GET    /control/balancers                                  see balancers.py
    POST   /control/<instance id>/<fault>
    POST   /control/<instance id>/run-unit/<name>              what a timer of the member would start
    POST   /control/<instance id>/cut-from/<other instance id>
    *      /control/aws                                        see call_faults.py

Of RDS (see rds_control.py, rds_pace.py, rds_names.py, rds_watch.py):

    GET    /control/rds                                        databases: instances and clusters, with host of today;
                                                               names: an address for each endpoint (of several one by
                                                               lot), addresses: all of them; health_checks by id
    GET    /control/rds/pace                                   how fast RDS moves, in seconds, and what it sees
    POST   /control/rds/pace                                   {"replacement_seconds": null}: never; any field of Pace
    POST   /control/rds/regions/<Region>/down, .../up          every database host of a Region dies, or comes back
    POST   /control/<DB instance id>/<fault>                   kill-host, kill-postmaster, hang, resume, partition,
                                                               isolate, cut-functions; stick (`modifying` for ever),
                                                               unstick; never-replaced (a dead host); heal (all of
                                                               these; a dead host comes back on the same data).
                                                               An id that two Regions have is the primary's,
                                                               <id>@<Region> is one Region's

A fault that this machine cannot do is refused with 501 and the reason.
"""

import json
import time
from collections.abc import Callable

import balancers
import rds_control
from call_faults import BadRule, rules
from disks import NoDisk
from members import Member, members
from ministack.services import ec2

FAULTS = {
    "kill-host": Member.kill_host,
    "kill-postmaster": Member.kill_postmaster,
    "hang": Member.hang,
    "resume": Member.resume,
    "partition": Member.partition,
    "isolate": Member.isolate,
    "cut-functions": Member.cut_functions,
    "cut-aws": Member.cut_aws,
    "heal": Member.heal,
    "fill-disk": Member.fill_disk,
    "grow-disk": Member.grow_disk,
}
CUT_FROM = "cut-from"
# Without dropping a packet these would be no faults at all. A partition is worth having by half; what
# the others cut is told by control groups alone.
NEED_PACKETS = {
    "partition": "root and nft",
    "isolate": "root, nft and control groups of version 2",
    "cut-functions": "root, nft and control groups of version 2",
    "cut-aws": "root, nft and control groups of version 2",
    CUT_FROM: "root, nft and control groups of version 2",
}


def answer(method: str, path: str, body: bytes) -> tuple[int, dict]:
    """Does what is asked: the HTTP status and what to say."""
    match method, path.strip("/").split("/"):
        case "GET", ["control", "instances"]:
            return 200, {"instances": list_members()}
        case "GET", ["control", "balancers"]:
            return 200, {"balancers": balancers.show()}
        case "GET", ["control", "aws"]:
            return 200, {"rules": rules.show()}
        case "DELETE", ["control", "aws"]:
            return 200, {"rules": rules.clear()}
        case "POST", ["control", "aws"]:
            return _make_rule(body)
        case _, ["control", "rds", *words]:
            return rds_control.answer(method, words, _document(body)) or (
                404, {"error": f"nothing to {method} at {path}"})
        case "POST", ["control", instance_id, "run-unit", name]:
            return inject(instance_id, f"run-unit {name}", lambda member: member.run_unit(name))
        case "POST", ["control", instance_id, fault] if instance_id not in members:
            return rds_control.inject(instance_id, fault, NEED_PACKETS) or (
                404, {"error": f"no member {instance_id}"})
        case "POST", ["control", instance_id, fault]:
            return inject(instance_id, fault, FAULTS.get(fault))
        case "POST", ["control", instance_id, "cut-from", other] if other in members and other != instance_id:
            return inject(instance_id, CUT_FROM, lambda member: member.cut_from(members[other]))
        case "POST", ["control", instance_id, "cut-from", other]:
            return 404, {"error": f"no other member {other}"}
    return 404, {"error": f"nothing to {method} at {path}"}


def inject(instance_id: str, fault: str, act: Callable[[Member], dict] | None) -> tuple[int, dict]:
    """Does a fault to a member."""
    member = members.get(instance_id)
    if member is None or act is None:
        return 404, {"error": f"no member {instance_id}" if member is None
                     else f"no fault {fault}: {', '.join((*FAULTS, f'{CUT_FROM}/<other>'))}"}
    began = time.monotonic()
    try:
        done = act(member)
    except ValueError as refused:
        return 409, {"error": str(refused)}
    except NoDisk as reason:
        return 501, {"error": f"{fault}: {reason}; nothing was done"}
    done |= {"instance_id": instance_id, "fault": fault, "milliseconds": round((time.monotonic() - began) * 1000, 1)}
    if fault in NEED_PACKETS and not done["inbound_dropped"]:
        return 501, done | {"error": f"{fault} needs {NEED_PACKETS[fault]} to drop packets; nothing was done"}
    return 200, done


def list_members() -> list[dict]:
    """Every instance that has a machine, whether EC2 still shows it or not."""
    states = {key[2]: instance["State"]["Name"] for key, instance in ec2._instances.all_items()}
    return [{"instance_id": m.instance_id, "address": m.address, "dead": m.dead,
             "state": states.get(m.instance_id, "terminated"), "processes": m.count(m.find())}
            for m in list(members.values())]


def _document(body: bytes) -> object:
    """What was sent, or nothing."""
    try:
        return json.loads(body)
    except json.JSONDecodeError:
        return None


def _make_rule(body: bytes) -> tuple[int, dict]:
    try:
        return 200, {"rule": rules.make(json.loads(body))}
    except json.JSONDecodeError as wrong:
        return 400, {"error": f"not JSON: {wrong}"}
    except BadRule as wrong:
        return 400, {"error": str(wrong)}
