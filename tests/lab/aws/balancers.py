"""Network Load Balancers that really listen: a TCP front for each, on 127.0.14.x.

Fills a gap: MiniStack's Network Load Balancers are records, and every target
is healthy. A front takes the place of a balancer's nodes in all zones. It
follows what the ELBv2 API shows: listeners, target groups, targets, attributes.
As the real one it sends a new connection to a healthy target, to any target if
none is healthy, and ends the connections of a target that becomes unhealthy,
where the group says so. Targets see the front's address, and never the
client's, whatever the group says of preserving it.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

import settings
from balancer_health import HEALTHY, INITIAL, REASONS, UNUSED, Target, check
from ministack.core.responses import request_scope
from ministack.services import alb, ec2

LOOK_SECONDS = 0.25
# How long a balancer lets a target's silence hold a new connection up.
CONNECT_SECONDS = 10.0
FIRST_HOST, LAST_HOST = 10, 250
CHUNK = 65536
# Closed with this, a connection ends by a reset.
AT_ONCE = struct.pack("ii", 1, 0)


@dataclass
class Group:
    """One target group, with its checks."""

    record: dict
    attributes: dict[str, str]
    targets: dict[str, Target] = field(default_factory=dict)
    checks: dict[str, asyncio.Task] = field(default_factory=dict)

    def choose(self) -> Target | None:
        """Where a new connection goes: to a healthy target, or to any that runs if none is."""
        usable = [t for t in self.targets.values() if t.state != UNUSED]
        return random.choice([t for t in usable if t.state == HEALTHY] or usable or [None])


class Front:
    """The front of one balancer."""

    def __init__(self, arn: str, record: dict, address: str) -> None:
        self.arn, self.record, self.address = arn, record, address
        self.groups: dict[str, Group] = {}
        self.servers: dict[int, asyncio.Server] = {}
        self.forwards: dict[int, str] = {}  # port -> target group
        self.said = ""

    # -- what the API shows ----------------------------------------------

    async def follow(self) -> None:
        """Brings listeners, groups and targets to what the API shows now."""
        listeners = {l["Port"]: l["DefaultActions"][0]["TargetGroupArn"] for l in list(alb._listeners.values())
                     if l["LoadBalancerArn"] == self.arn and l["DefaultActions"]}
        for port in self.servers.keys() - listeners.keys():
            self.servers.pop(port).close()
        self.forwards = listeners
        for port in listeners.keys() - self.servers.keys():
            await self._listen(port)
        for arn in self.groups.keys() - set(listeners.values()):
            self._forget(self.groups.pop(arn))
        for arn in set(listeners.values()):
            if record := alb._tgs.get(arn):
                attributes = {a["Key"]: a["Value"] for a in alb._tg_attrs.get(arn, [])}
                group = self.groups.setdefault(arn, Group(record, attributes))
                group.record, group.attributes = record, attributes
                self._follow_targets(group, list(alb._targets.get(arn, [])))

    async def _listen(self, port: int) -> None:
        try:
            self.servers[port] = await asyncio.start_server(
                lambda reader, writer: self._serve(port, reader, writer), self.address, port)
        except OSError as taken:
            self._say(f"cannot listen at {self.address}:{port}: {taken}")

    def _follow_targets(self, group: Group, registered: list[dict]) -> None:
        wanted = {t["Id"]: int(t.get("Port") or group.record["Port"]) for t in registered}
        for target_id in group.targets.keys() - wanted.keys():
            group.targets.pop(target_id)
            group.checks.pop(target_id).cancel()
        for target_id, port in wanted.items():
            instance = ec2._instances.get(target_id)
            target = group.targets.get(target_id)
            if target is None:
                target = group.targets[target_id] = Target(
                    target_id, instance["PrivateIpAddress"] if instance else target_id, port)
                group.checks[target_id] = asyncio.create_task(self._keep_checking(group, target))
            running = instance is not None and instance["State"]["Name"] in ("pending", "running")
            if not running and target.state != UNUSED:
                target.enter(UNUSED)
                target.end_connections()
            elif running and target.state == UNUSED:
                target.enter(INITIAL)

    async def _keep_checking(self, group: Group, target: Target) -> None:
        while True:
            began = time.monotonic()
            if target.state != UNUSED:
                why = await check(target, group.record, self.address)
                if target.state != UNUSED and target.count(
                        not why, why, group.record["HealthyThresholdCount"], group.record["UnhealthyThresholdCount"]):
                    if group.attributes.get("target_health_state.unhealthy.connection_termination.enabled") != "false":
                        target.end_connections()
            passed = time.monotonic() - began
            # The instance runs again, or the target is new: asked soon, then at the interval.
            pause = LOOK_SECONDS if target.state == UNUSED else group.record["HealthCheckIntervalSeconds"]
            await asyncio.sleep(max(0.05, pause - passed))

    def _forget(self, group: Group) -> None:
        for task in group.checks.values():
            task.cancel()
        for target in group.targets.values():
            target.end_connections()

    def close(self) -> None:
        """Ends everything."""
        for server in self.servers.values():
            server.close()
        for group in self.groups.values():
            self._forget(group)

    def _say(self, text: str) -> None:
        if text != self.said:
            print(f"{self.record['LoadBalancerName']}: {text}", flush=True)
        self.said = text

    # -- connections -----------------------------------------------------

    async def _serve(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        group = self.groups.get(self.forwards.get(port, ""))
        target = group.choose() if group else None
        if target is None:
            return _reset(writer)
        try:
            there, back = await asyncio.wait_for(asyncio.open_connection(
                target.address, target.port, local_addr=(self.address, 0)), CONNECT_SECONDS)
        except (OSError, TimeoutError):
            return _reset(writer)

        def end() -> None:
            _reset(writer)
            _reset(back)

        target.connections.add(end)
        try:
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
            writer.close()
            back.close()
        except OSError:
            end()
        finally:
            target.connections.discard(end)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What comes in on one side goes out on the other, and so does its end."""
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection by a reset: nothing is waited for, and the other side notices."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    writer.transport.abort()


# -- all fronts -----------------------------------------------------------

_fronts: dict[str, Front] = {}


async def _follow_all() -> None:
    while True:
        try:
            await _look()
        except RuntimeError as changed:  # a dictionary of MiniStack's, while it was read: the next look sees the change
            print(f"balancers: {changed}", flush=True)
        await asyncio.sleep(LOOK_SECONDS)


async def _look() -> None:
    there = {arn: (account, region, record) for (account, region, arn), record in list(alb._lbs.all_items())
             if record["Type"] == "network"}
    for arn in _fronts.keys() - there.keys():
        _fronts.pop(arn).close()
    for arn, (account, region, record) in there.items():
        front = _fronts.get(arn)
        if front is None:
            front = _fronts[arn] = Front(arn, record, _free_address())
        with request_scope(account, region):
            await front.follow()


def _free_address() -> str:
    used = {front.address for front in _fronts.values()}
    return next(address for address in (f"{settings.FRONT_NETWORK}.{n}" for n in range(FIRST_HOST, LAST_HOST))
                if address not in used)


def show() -> list[dict]:
    """Every front: its name, address, listeners and the state of each target, for the lab's control."""
    return [{
        "name": front.record["LoadBalancerName"], "dns_name": front.record["DNSName"], "address": front.address,
        "listeners": [{
            "port": port,
            "targets": [{"id": t.id, "state": t.state, "since_ms": round(t.since * 1000), "why": t.why,
                         "connections": len(t.connections)}
                        for t in (list(front.groups[arn].targets.values()) if arn in front.groups else [])],
        } for port, arn in sorted(front.forwards.items())],
    } for front in list(_fronts.values())]


# -- DescribeTargetHealth ---------------------------------------------------


def _describe_target_health(params: dict) -> tuple:
    """The state of each target, as the front sees it; one of a group without a balancer is unused."""
    arn = alb._p(params, "TargetGroupArn")
    if arn not in alb._tgs:
        return alb._error("TargetGroupNotFound", f"Target group '{arn}' not found.")
    group = next((front.groups[arn] for front in list(_fronts.values()) if arn in front.groups), None)
    asked = {t["Id"] for t in alb._parse_targets_param(params)}
    shown = ""
    for registered in alb._targets.get(arn, []):
        if asked and registered["Id"] not in asked:
            continue
        target = group.targets.get(registered["Id"]) if group else None
        state = target.state if target else (INITIAL if group else UNUSED)
        reason, words = REASONS.get(state, ("", "")) if group else (
            "Target.NotInUse", "Target group is not configured to receive traffic from the load balancer")
        port = registered.get("Port") or alb._tgs[arn]["Port"]
        told = f"<Reason>{reason}</Reason><Description>{target and target.why or words}</Description>" if reason else ""
        shown += (f"<member><Target><Id>{registered['Id']}</Id><Port>{port}</Port></Target>"
                  f"<HealthCheckPort>{alb._tgs[arn]['HealthCheckPort']}</HealthCheckPort>"
                  f"<TargetHealth><State>{state}</State>{told}</TargetHealth></member>")
    return alb._xml(200, "DescribeTargetHealth", f"<TargetHealthDescriptions>{shown}</TargetHealthDescriptions>")


def install() -> None:
    """Puts all of this in MiniStack's place, and starts the fronts on a thread of their own."""
    alb._ACTION_MAP["DescribeTargetHealth"] = _describe_target_health
    threading.Thread(target=lambda: asyncio.run(_follow_all()), name="balancers", daemon=True).start()
