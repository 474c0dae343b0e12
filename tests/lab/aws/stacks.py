"""CloudFormation stacks: events of their status, and waiting for instances to report.

Fills gaps: MiniStack tells EventBridge nothing of stacks, and a
CreationPolicy only holds up its wait conditions, not EC2 instances. Names that
it makes up follow from the stack's name alone, so that stacks of one name in
two Regions would share their roles.
"""

import functools
import sys

from ministack.core.responses import get_region
from ministack.services import cloudformation
from ministack.services.cloudformation import engine, provisioners, stacks, wait_conditions
from ministack_api import emit

# Where the first fleet is; its names stay as MiniStack has them.
HOME = "eu-west-1"
INSTANCE = "AWS::EC2::Instance"
WAITING = ("AWS::RDS::DBInstance", "AWS::RDS::DBCluster", "AWS::RDS::GlobalCluster")


# -- stack status events -------------------------------------------------


@functools.wraps(stacks._add_event)
def _add_event(stack_id, stack_name, logical_id, resource_type, status, reason="", *args, **kwargs):
    _original_add_event(stack_id, stack_name, logical_id, resource_type, status, reason, *args, **kwargs)
    if resource_type == "AWS::CloudFormation::Stack" and logical_id == stack_name:
        # An operation begins or ends: signals owed to one cut short are void.
        _operations.pop(stack_id, None)
        emit("aws.cloudformation", "CloudFormation Stack Status Change", {
            "stack-id": stack_id,
            "status-details": {"status": status, "status-reason": reason},
            "client-request-token": stacks.CLIENT_REQUEST_TOKEN.get(),
        }, [stack_id])


# -- CreationPolicy of instances -----------------------------------------


def definitions(stack_name: str) -> dict[str, dict]:
    """The resources of the template that the stack's current operation deploys."""
    return engine._parse_template(cloudformation._stacks[stack_name]["_template_body"])["Resources"]


# By stack id: the signals that instances made by its current operation still
# owe, as logical id -> (wait_conditions token, count, seconds to wait).
_operations: dict[str, dict[str, tuple[str, int, int]]] = {}


def register(stack_name: str, logical_id: str) -> None:
    """Called before an instance boots: from now on its signals are taken.

    On CloudFormation all instances of a stack boot side by side and each
    resource waits for its own signals; MiniStack makes resources one after
    another. So an instance is made and left to boot while the next are made,
    and `wait` waits for all of them once no other can be made without them.
    """
    policy = definitions(stack_name)[logical_id].get("CreationPolicy")
    if policy is None:
        return
    signal = policy.get("ResourceSignal") or {}
    count = wait_conditions.validate_count(signal.get("Count"), logical_id)
    seconds = wait_conditions.validate_resource_signal_timeout(signal.get("Timeout"), logical_id)
    stack_id = cloudformation._stacks[stack_name]["StackId"]
    token = wait_conditions.register_slot(stack_id)
    _operations.setdefault(stack_id, {})[logical_id] = (token, count, seconds)
    with wait_conditions._changed:
        wait_conditions._waiting[stack_id, logical_id] = {
            "token": token, "stack_name": stack_name, "resource_type": INSTANCE}


def wait(stack_name: str, logical_id: str) -> None:
    """Waits for all owed signals, unless another instance can be made meanwhile.

    Raises RuntimeError for a signal of failure, TimeoutError for none in time:
    in CloudFormation's words, and with an event of the instance concerned.
    """
    stack_id = cloudformation._stacks[stack_name]["StackId"]
    owed = _operations.get(stack_id, {})
    if not owed or _another_instance_can_be_made(stack_name, logical_id, set(owed)):
        return
    del _operations[stack_id]
    try:
        for name, (token, count, seconds) in owed.items():
            try:
                wait_conditions.wait_for(token, stack_id, stack_name, name, INSTANCE, count, seconds)
            except (RuntimeError, TimeoutError) as failed:
                reason = _reason(failed)
                if name == logical_id:
                    raise type(failed)(reason) from failed
                stacks._add_event(stack_id, stack_name, name, INSTANCE, "CREATE_FAILED", reason)
                raise type(failed)("Resource creation cancelled") from failed
    finally:
        with wait_conditions._changed:
            for name in owed:
                wait_conditions._waiting.pop((stack_id, name), None)


def _reason(failed: Exception) -> str:
    """What CloudFormation says of an instance whose signals are not what its policy wants."""
    if isinstance(failed, TimeoutError):
        return "Failed to receive 1 resource signal(s) within the specified duration"
    _, found, unique_id = str(failed).partition(" for uniqueId: ")
    return f"Received FAILURE signal with UniqueId {unique_id}" if found else str(failed)


def _another_instance_can_be_made(stack_name: str, logical_id: str, booting: set[str]) -> bool:
    resources = definitions(stack_name)
    made = cloudformation._stacks[stack_name]["_resources"].keys() | booting | {logical_id}
    return any(
        definition["Type"] == INSTANCE and "CreationPolicy" in definition
        and not engine._extract_deps(definition, set(resources)) & booting
        for name, definition in resources.items() if name not in made)


def _runs_on_worker_thread(resource_type: str) -> bool:
    """Instances wait, when made for signals and when deleted for their end, and databases for their state; the event
    loop must not."""
    return resource_type == INSTANCE or resource_type in WAITING or _original_runs_on_worker_thread(resource_type)


_original_add_event = stacks._add_event
_original_runs_on_worker_thread = stacks._runs_on_worker_thread


@functools.wraps(provisioners._physical_name)
def _physical_name(stack_name: str, logical_id: str, **options) -> str:
    """IAM has no Regions: a role's name tells them apart, wherever its stack is."""
    where = "" if get_region() == HOME else f"-{get_region().replace('-', '')}"
    return _original_physical_name(f"{stack_name}{where}", logical_id, **options)


_original_physical_name = provisioners._physical_name


def install() -> None:
    """Puts all of this in MiniStack's place, in every module that has a copy of its own."""
    for name, module in list(sys.modules.items()):
        if name.startswith("ministack.services.cloudformation"):
            if getattr(module, "_physical_name", None) is _original_physical_name:
                module._physical_name = _physical_name
            if getattr(module, "_add_event", None) is _original_add_event:
                module._add_event = _add_event
            if getattr(module, "_runs_on_worker_thread", None) is _original_runs_on_worker_thread:
                module._runs_on_worker_thread = _runs_on_worker_thread
