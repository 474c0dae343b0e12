"""Health checks of a load balancer's targets, as Elastic Load Balancing makes them.

Each target of a group is asked at the group's interval, from the balancer's
own address; so many answers in a row that are not as wanted make it unhealthy,
so many that are make it healthy, and the first good one of a new target does
at once. A certificate is not verified, as by the real one. A target whose
instance does not run is not asked and not used.
"""

import asyncio
import ssl
import time
from collections.abc import Callable

INITIAL, HEALTHY, UNHEALTHY, UNUSED = "initial", "healthy", "unhealthy", "unused"
REASONS = {INITIAL: ("Elb.InitialHealthChecking", "Initial health checks in progress"),
           UNHEALTHY: ("Target.FailedHealthChecks", "Health checks failed"),
           UNUSED: ("Target.InvalidState", "Target is in the stopped state")}
# The first line of an answer; no more is read of it.
LINE_LIMIT = 1024


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


UNVERIFIED = _unverified()


class Target:
    """One target of one group: its state, and the connections it has."""

    def __init__(self, target_id: str, address: str, port: int) -> None:
        self.id, self.address, self.port = target_id, address, port
        self.state, self.since, self.why = INITIAL, time.time(), ""
        self.connections: set[Callable[[], None]] = set()  # each ends one
        self._in_a_row = 0

    def enter(self, state: str, why: str = "") -> None:
        """Changes the state; counting begins anew."""
        if state != self.state:
            self.state, self.since, self.why, self._in_a_row = state, time.time(), why, 0

    def count(self, good: bool, why: str, healthy: int, unhealthy: int) -> bool:
        """Takes the outcome of a check; says whether the target has just become unhealthy."""
        against = good != (self.state == HEALTHY) if self.state != INITIAL else True
        self._in_a_row = self._in_a_row + 1 if against else 0
        if good and self.state == INITIAL or good and self.state == UNHEALTHY and self._in_a_row >= healthy:
            self.enter(HEALTHY)
        elif not good and self.state in (INITIAL, HEALTHY) and self._in_a_row >= unhealthy:
            self.enter(UNHEALTHY, why)
            return True
        return False

    def end_connections(self) -> None:
        """Ends what goes through it."""
        for end in list(self.connections):
            end()


async def check(target: Target, group: dict, source: str) -> str:
    """Asks a target once; why the answer is not as wanted, or nothing."""
    seconds = group["HealthCheckTimeoutSeconds"]
    try:
        return await asyncio.wait_for(_ask(target, group, source), seconds)
    except TimeoutError:
        return f"no answer in {seconds} s"
    except (OSError, ssl.SSLError, ValueError, IndexError) as error:
        return str(error) or type(error).__name__


async def _ask(target: Target, group: dict, source: str) -> str:
    port = group["HealthCheckPort"]
    secure = UNVERIFIED if group["HealthCheckProtocol"] == "HTTPS" else None
    reader, writer = await asyncio.open_connection(
        target.address, target.port if port == "traffic-port" else int(port), ssl=secure, local_addr=(source, 0),
        limit=LINE_LIMIT)
    try:
        if group["HealthCheckProtocol"] not in ("HTTP", "HTTPS"):
            return ""
        writer.write(f"GET {group['HealthCheckPath']} HTTP/1.1\r\nHost: {target.address}:{port}\r\n"
                     "User-Agent: ELB-HealthChecker/2.0\r\nConnection: close\r\n\r\n".encode())
        status = (await reader.readline()).split()[1].decode()
        wanted = group["Matcher"]["HttpCode"]
        return "" if matches(int(status), wanted) else f"Health checks failed with these codes: [{status}]"
    finally:
        writer.transport.abort()


def matches(status: int, wanted: str) -> bool:
    """Whether a status is one of those wanted, as "200", "200,301" or "200-399" has them."""
    return any(int(low) <= status <= int(high or low)
               for low, _, high in (part.partition("-") for part in wanted.split(",")))
