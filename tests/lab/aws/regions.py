"""Regions that are down: no call of AWS in them is answered, no function runs there, every RDS host is dead.

Route 53 and IAM are global, and their calls are answered all the same; calls
of the account's root are, too, who is the lab's owner. Names are still
answered, and records that depend on a health check in another Region move.
EC2 members have no part in it: whoever wants them dead kills their hosts.
"""

import signal
from pathlib import Path

import processes
import rds_watch
import settings
from cgroups import FUNCTIONS, cgroups
from ministack.core import lambda_runtime
from ministack.services import lambda_svc

# By the names under which calls are routed, and signed.
GLOBAL = {"route53", "iam", "cloudfront", "organizations"}
down: set[str] = set()


def take_down(region: str) -> None:
    """From now on."""
    down.add(region)
    _kill_functions(region)
    rds_watch.take_down(region)


def bring_up_all() -> None:
    """Calls are answered and functions run again; database hosts come back when they are healed, or replaced."""
    for region in list(down):
        down.discard(region)
        rds_watch.down.discard(region)


def of_request(headers: dict) -> str:
    """The Region that a request is signed for; "" if it does not say."""
    credential = headers.get("authorization", "").partition("Credential=")[2].partition(",")[0]
    scope = credential.split("/")
    return scope[2] if len(scope) == 5 else ""


def _kill_functions(region: str) -> None:
    """Those that run, or wait for work, in the Region."""
    wanted = f"AWS_REGION={region}".encode()
    found = cgroups.processes_of(FUNCTIONS) if cgroups.there else processes.inside(settings.HOST_DIR)
    processes.send({pid for pid in found if wanted in _environment(pid)}, signal.SIGKILL)


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def is_down(config: dict) -> bool:
    """Whether a function is in a Region that is down."""
    return bool(down) and lambda_runtime._account_region_from_function_config(config)[1] in down


def _execute(function: dict, event: object) -> dict:
    config = function.get("config") or function
    if is_down(config):
        return {"body": {"errorMessage": "the Region is down", "errorType": "ServiceException"}, "error": True}
    return _original_execute(function, event)


_original_execute = lambda_svc._execute_function


def install() -> None:
    """Puts this in MiniStack's place."""
    lambda_svc._execute_function = _execute
