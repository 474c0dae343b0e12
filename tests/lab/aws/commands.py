"""SSM Run Command: AWS-RunShellScript on members, as their own processes.

Fills gaps: MiniStack runs commands in Docker containers only, at once and
whether anything reaches them or not; it does not ask IAM about the instances,
and it has neither ListCommandInvocations nor CancelCommand.

Like the agent on an instance: a command that nobody fetches within
TimeoutSeconds is never run; one that began ends by itself, with its host, or
after executionTimeout; what it said arrives when the member reaches AWS again.
A script's absolute paths below /opt/understudy are the member's own.
"""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import permissions
import settings
from members import Command, Member, members
from ministack.core.responses import error_response_json, json_response
from ministack.services import ec2, ssm
from units import SCRIPTS

SHELL = "AWS-RunShellScript"
PARAMETERS = {"commands", "executionTimeout"}
MAX_DELIVERY_SECONDS = 2592000
EXECUTION_SECONDS = 3600
MAX_EXECUTION_SECONDS = 172800
# ListCommandInvocations shows the beginning of what a command printed; GetCommandInvocation shows more.
SUMMARY_LIMIT = 2500
# A status of the agent's own: it ended the script before its time.
STOPPED = 137
NOT_RUN = -1
LOOK_SECONDS = 0.02
# Where the agent keeps the script and what it prints, below a member's root.
ORCHESTRATION = "var/lib/amazon/ssm"
OWN_PATH = re.compile(rf"(?<![\w./}}])/{SCRIPTS}/")


class Refused(Exception):
    """What SSM would answer instead: an error code and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


# -- SendCommand ----------------------------------------------------------


def _send_command(data: dict) -> tuple:
    try:
        _check(data)
    except Refused as refused:
        return error_response_json(refused.code, refused.message, 400)
    data = {**data, "DocumentName": data["DocumentName"].rpartition("/")[2]}
    answer = _original_send(data)
    if answer[0] != 200:
        return answer
    command = ssm._commands[json.loads(answer[2])["Command"]["CommandId"]]
    command["ExpiresAfter"] = command["RequestedDateTime"] + command["TimeoutSeconds"] + _execution_seconds(command)
    return json_response({"Command": ssm._public_command(command)})


def _check(data: dict) -> None:
    """Refuses what SSM refuses, and what the lab cannot do."""
    if (data.get("DocumentName") or "").rpartition("/")[2] != SHELL:
        raise Refused("InvalidDocument", f"the lab has no document but {SHELL}")
    if data.get("Targets"):
        raise Refused("InvalidTarget", "the lab takes InstanceIds only")
    given = data.get("Parameters") or {}
    if unknown := set(given) - PARAMETERS:
        raise Refused("InvalidParameters", f"the lab does not know the parameters {sorted(unknown)}")
    if not given.get("commands"):
        raise Refused("InvalidParameters", "Parameter commands is required")
    limit = (given.get("executionTimeout") or [str(EXECUTION_SECONDS)])[0]
    if not limit.isdigit() or not 1 <= int(limit) <= MAX_EXECUTION_SECONDS:
        raise Refused("InvalidParameters", f"executionTimeout must be 1 to {MAX_EXECUTION_SECONDS} seconds")
    delivery = data.get("TimeoutSeconds", MAX_DELIVERY_SECONDS)
    if not settings.MIN_DELIVERY_SECONDS <= delivery <= MAX_DELIVERY_SECONDS:
        raise Refused("ValidationException", f"1 validation error detected: Value '{delivery}' at 'timeoutSeconds' "
                      f"must be {settings.MIN_DELIVERY_SECONDS:g} to {MAX_DELIVERY_SECONDS}")
    if len(data.get("Comment") or "") > 100:
        raise Refused("ValidationException", "1 validation error detected: 'comment' must have at most 100 characters")


def _execution_seconds(command: dict) -> int:
    return int((command["Parameters"].get("executionTimeout") or [EXECUTION_SECONDS])[0])


def _running_instances() -> set[str]:
    """Those that SendCommand takes, whether or not anything reaches their agent."""
    return {instance_id for instance_id, instance in ec2._instances.items()
            if instance["State"]["Name"] == "running" and instance_id in members}


# -- one command on one member ----------------------------------------------


def _carry_out(command_id: str, instance_id: str, shell: list[str]) -> None:
    """From Pending to its end, on a thread of its own."""
    record = ssm._commands[command_id]
    invocation, member = record["Invocations"][instance_id], members[instance_id]
    sent = time.monotonic()
    folder = member.root / ORCHESTRATION / command_id
    running = _until(lambda: _deliver(member, folder, shell[-1]) or invocation["Status"] == "Cancelling",
                     sent + record["TimeoutSeconds"])
    if not isinstance(running, Command):
        status = "Cancelled" if running else "DeliveryTimedOut"
        return _end(record, invocation, status, NOT_RUN)
    began = time.monotonic()
    invocation |= {"ExecutionStartDateTime": ssm._now_iso(), "StatusDetails": "InProgress"}
    if invocation["Status"] == "Pending":
        invocation["Status"] = "InProgress"
    _sum_up(record)
    status, code = _follow(member, running, invocation, began, _execution_seconds(record), record["TimeoutSeconds"])
    invocation["ExecutionElapsedTime"] = f"PT{time.monotonic() - began:.3f}S"
    _end(record, invocation, status, code, folder)


def _deliver(member: Member, folder: Path, script: str) -> Command | None:
    """Has the member run it, if its agent can get it now."""
    if not member.hears_aws:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "_script.sh"
    file.write_text(OWN_PATH.sub(lambda _: f"{member.root}/{SCRIPTS}/", script))
    file.chmod(0o700)
    return member.execute(file, folder / "stdout", folder / "stderr")


def _follow(member: Member, running: Command, invocation: dict, began: float, limit: int,
            delivery: int) -> tuple[str, int]:
    """Waits for the end of a command, and until the agent can tell of it: its status and its code."""
    ended: tuple[str, int] | None = None

    def told() -> bool:
        nonlocal ended
        awake = member.hears_aws
        if ended is None and running.lost:
            ended = "Failed", NOT_RUN
        if ended is None and running.status is not None:
            ended = "Failed" if running.status else "Success", running.status
        if ended is None and awake and invocation["Status"] == "Cancelling":
            ended = "Cancelled", STOPPED
            running.kill()
        if ended is None and awake and time.monotonic() - began > limit:
            ended = "ExecutionTimedOut", STOPPED
            running.kill()
        return ended is not None and awake

    # After all of its time SSM no longer waits for the agent.
    told_in_time = _until(told, began + delivery + limit)
    return ended if told_in_time else ("DeliveryTimedOut", NOT_RUN)


def _until(check: Callable[[], object], deadline: float) -> object:
    """What `check` returns as soon as that is true; its last answer after the deadline."""
    while not (found := check()) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    return found


def _end(record: dict, invocation: dict, details: str, code: int, folder: Path | None = None) -> None:
    """Publishes how it ended; the status last, so that who sees that sees everything."""
    if folder:
        invocation |= {"StandardOutputContent": _beginning(folder / "stdout", ssm._STDOUT_LIMIT),
                       "StandardErrorContent": _beginning(folder / "stderr", ssm._STDERR_LIMIT)}
    invocation |= {"ExecutionEndDateTime": ssm._now_iso() if folder else "", "ResponseCode": code,
                   "StatusDetails": details}
    invocation["Status"] = "TimedOut" if details.endswith("TimedOut") else details
    _sum_up(record)


def _beginning(file: Path, characters: int) -> str:
    try:
        with file.open("rb") as stream:
            return stream.read(4 * characters).decode(errors="replace")[:characters]
    except FileNotFoundError:  # the member's disk is gone, and the command with it
        return ""


def _sum_up(record: dict) -> None:
    """What ListCommands says of all invocations together."""
    statuses = [invocation["Status"] for invocation in record["Invocations"].values()]
    open_ = [status for status in statuses if status in ("Pending", "InProgress", "Cancelling")]
    record["CompletedCount"] = len(statuses) - len(open_)
    record["ErrorCount"] = sum(status in ("Failed", "TimedOut") for status in statuses)
    if open_:
        record["Status"] = "Pending" if set(statuses) == {"Pending"} else "InProgress"
    else:
        record["Status"] = next((s for s in ("Failed", "TimedOut", "Cancelled") if s in statuses), "Success")
    record["StatusDetails"] = record["Status"]


# -- what MiniStack has not --------------------------------------------------


def _list_command_invocations(data: dict) -> tuple:
    filters = {f["key"]: f["value"] for f in data.get("Filters") or []}
    if unknown := set(filters) - {"Status"}:
        return error_response_json("InvalidFilterKey", f"the lab does not know the filters {sorted(unknown)}", 400)
    found = [
        _summary(record, invocation, bool(data.get("Details")))
        for record in sorted(ssm._commands.values(), key=lambda r: r["RequestedDateTime"], reverse=True)
        for invocation in record["Invocations"].values()
        if data.get("CommandId") in (None, record["CommandId"])
        and data.get("InstanceId") in (None, invocation["InstanceId"])
        and filters.get("Status") in (None, invocation["Status"])
    ]
    first = ssm._decode_next_token(data["NextToken"]) if data.get("NextToken") else 0
    last = first + (data.get("MaxResults") or 50)
    more = {"NextToken": ssm._encode_next_token(last)} if last < len(found) else {}
    return json_response({"CommandInvocations": found[first:last], **more})


def _summary(record: dict, invocation: dict, details: bool) -> dict:
    shown = {name: invocation[name] for name in (
        "CommandId", "InstanceId", "Comment", "DocumentName", "DocumentVersion", "Status", "StatusDetails")}
    plugin = {
        "Name": ssm._RUN_COMMAND_PLUGIN, "Status": invocation["Status"], "StatusDetails": invocation["StatusDetails"],
        "ResponseCode": invocation["ResponseCode"],
        "Output": (invocation["StandardOutputContent"] + invocation["StandardErrorContent"])[:SUMMARY_LIMIT],
    }
    return {**shown, "InstanceName": "", "RequestedDateTime": record["RequestedDateTime"],
            "CommandPlugins": [plugin] if details else []}


def _cancel_command(data: dict) -> tuple:
    record = ssm._commands.get(data.get("CommandId") or "")
    if record is None:
        return error_response_json("InvalidCommandId", f"no command {data.get('CommandId')}", 400)
    for instance_id, invocation in record["Invocations"].items():
        chosen = not data.get("InstanceIds") or instance_id in data["InstanceIds"]
        if chosen and invocation["Status"] in ("Pending", "InProgress"):
            invocation["Status"] = "Cancelling"
    return json_response({})


async def _handle_request(method: str, path: str, headers: dict, body: bytes, query: dict) -> tuple:
    action = headers.get("x-amz-target", "").rpartition(".")[2]
    data = json.loads(body or b"{}")
    if action == "SendCommand":
        refused = permissions.refuse_command(headers, query, data.get("InstanceIds") or [])
        if refused:
            return refused
    if handler := {"ListCommandInvocations": _list_command_invocations, "CancelCommand": _cancel_command}.get(action):
        return handler(data)
    return await _original_handle(method, path, headers, body, query)


_original_send = ssm._send_command
_original_handle = ssm.handle_request


def install() -> None:
    """Puts all of this in MiniStack's place."""
    ssm._managed_instance_ids = _running_instances
    ssm._finish_invocation = _carry_out
    ssm._send_command = _send_command
    ssm.handle_request = _handle_request
