"""Lambda functions: asynchronous invocation, what they are told, what they print.

Fills gaps: MiniStack invokes functions from EventBridge and SNS once and
never again, counts a throttled attempt as a failed one, hands its own
environment on to functions, and shows their output only once an invocation
is over. And functions start in a control group of their own, so that packets
can tell theirs.
"""

import json
import os
import subprocess
import time
from pathlib import Path

import regions
import settings
from cgroups import FUNCTIONS, cgroups
from ministack.core import lambda_runtime
from ministack.core.responses import request_scope
from ministack.services import eventbridge, lambda_svc, sns
from ministack_api import in_background

# Lambda retries after one minute, then after two. Here the first is a second.
FIRST_RETRY_SECONDS = float(os.environ.get("LAMBDA_ASYNC_RETRY_BASE_SECONDS", "1"))
MAX_RETRY_SECONDS = 30.0
# What every function may see of this process's environment.
RDS = ("DNS_SERVER", "RDS_AUTHORITY")
VISIBLE = {"PATH", "LANG", "TZ", "TMPDIR", "AWS_ENDPOINT_URL", *RDS}


# -- asynchronous invocation ---------------------------------------------


def invoke_by_arn(function_arn: str, event: object) -> None:
    """What EventBridge, SNS, a schedule or an alarm does with a function."""
    function, config, name = lambda_svc._get_func_record_for_ref(function_arn)
    if not function or not config:
        print(f"no function {name or function_arn}: event dropped", flush=True)
        return
    invoke_async(lambda_svc._execution_record_for_config(function, config), event)


def invoke_async(function: dict, event: object) -> None:
    """Lambda's asynchronous invocation: retries, the event's maximum age, on-failure destination."""
    in_background(lambda: _deliver(function, event), "invoke-async")


def _deliver(function: dict, event: object) -> None:
    config = function["config"]
    account, region = lambda_runtime._account_region_from_function_config(config)
    rules = function.get("event_invoke_config") or (function.get("event_invoke_configs") or {}).get("$LATEST") or {}
    attempts = 1 + int(rules.get("MaximumRetryAttempts", 2))
    oldest = time.monotonic() + float(rules.get("MaximumEventAgeInSeconds", 21600))
    pause, failures = FIRST_RETRY_SECONDS, 0
    with request_scope(account, region):
        while True:
            if regions.is_down(config):  # nothing is delivered there, and nobody keeps it
                return
            result = lambda_svc._execute_function(function, event)
            if not result.get("error"):
                return
            # A throttled attempt did not run: it costs time, not a retry.
            failures += not result.get("throttle")
            if failures >= attempts or time.monotonic() + pause > oldest:
                break
            time.sleep(pause)
            pause = min(2 * pause, MAX_RETRY_SECONDS)
        target = (((rules.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
                  or (config.get("DeadLetterConfig") or {}).get("TargetArn"))
        if target:
            lambda_svc._route_async_failure(target, config["FunctionName"], event, result)


def _from_eventbridge(function_arn: str, payload: str) -> None:
    invoke_by_arn(function_arn, json.loads(payload))


def _from_sns(function_arn: str, envelope: str, _topic: str, subscription: str, *_: object) -> None:
    invoke_by_arn(function_arn, {"Records": [{
        "EventVersion": "1.0", "EventSource": "aws:sns",
        "EventSubscriptionArn": subscription, "Sns": json.loads(envelope)}]})


# -- environment ---------------------------------------------------------


def _environment(config: dict, code_dir: str, port: int) -> dict[str, str]:
    """A function's environment without what MiniStack's own process has in its."""
    mixed = _original_environment(config, code_dir, port)
    declared = (config.get("Environment") or {}).get("Variables") or {}
    leaked = {name for name, value in os.environ.items()
              if name not in VISIBLE and name not in declared and mixed.get(name) == value}
    seen = {name: value for name, value in mixed.items() if name not in leaked}
    # A parameter of the fleet's template that was left empty says nothing.
    return seen | {name: os.environ[name] for name in VISIBLE if not seen.get(name) and os.environ.get(name)}


# -- output --------------------------------------------------------------


class _Copied:
    """A function's output, line by line, copied to a file on the way."""

    def __init__(self, stream, copy: Path) -> None:
        self._stream, self._copy = stream, copy.open("ab", buffering=0)

    def readline(self) -> bytes:
        line = self._stream.readline()
        self._copy.write(line)
        return line

    def close(self) -> None:
        self._copy.close()
        self._stream.close()


def _pump_output(worker, stream, log_queue) -> None:
    _original_pump(worker, _Copied(stream, settings.LOGS_DIR / f"{worker.func_name}.log"), log_queue)


# -- control group -------------------------------------------------------


class _Grouped:
    """The module `subprocess` to a worker, but what it starts is in the functions' group."""

    def __getattr__(self, name: str) -> object:
        return getattr(subprocess, name)

    def Popen(self, command: list[str], **how) -> subprocess.Popen:  # noqa: N802  the name of what it replaces
        return subprocess.Popen(cgroups.launcher(FUNCTIONS) + command, **how)


_original_environment = lambda_svc._provided_worker_env
_original_pump = lambda_runtime.ProvidedWorker._pump_output


def install() -> None:
    """Puts all of this in MiniStack's place."""
    lambda_svc.invoke_async_with_retry = invoke_async
    eventbridge._dispatch_to_lambda = _from_eventbridge
    sns._deliver_to_lambda = _from_sns
    lambda_svc._provided_worker_env = _environment
    lambda_runtime.ProvidedWorker._pump_output = _pump_output
    lambda_runtime.subprocess = _Grouped()
