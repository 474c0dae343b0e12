"""Calling MiniStack from inside: an API of one of its services, an event on its bus."""

import contextvars
import json
import threading
import time
from collections.abc import Callable

import botocore.session
from botocore import parsers, serialize
from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services import ec2, eventbridge, rds

_SESSION = botocore.session.get_session()


class CallFailed(ValueError):
    """An API of MiniStack said no. Prints as `Code: message`."""


def call_ec2(operation: str, **arguments) -> dict:
    """Calls an EC2 API with the SDK's names and types, without going over HTTP."""
    ec2._ensure_defaults_initialized()
    return _call("ec2", ec2._ACTION_MAP, operation, arguments)


def call_rds(operation: str, **arguments) -> dict:
    """Calls an RDS API with the SDK's names and types, without going over HTTP."""
    return _call("rds", rds._ACTION_MAP, operation, arguments)


def input_of(service_name: str, operation: str) -> dict:
    """The parameters of an API: their shapes by their names."""
    return _SESSION.get_service_model(service_name).operation_model(operation).input_shape.members


def _call(service_name: str, actions: dict[str, Callable], operation: str, arguments: dict) -> dict:
    service = _SESSION.get_service_model(service_name)
    model, protocol = service.operation_model(operation), service.metadata["protocol"]
    request = serialize.create_serializer(protocol).serialize_to_request(arguments, model)
    status, headers, body = actions[operation]({k: [str(v)] for k, v in request["body"].items()})[:3]
    reply = parsers.create_parser(protocol).parse(
        {"status_code": status, "headers": headers, "body": body if isinstance(body, bytes) else body.encode()},
        model.output_shape)
    if status >= 400:
        raise CallFailed(f"{reply['Error']['Code']}: {reply['Error']['Message']}")
    return reply


def emit(source: str, detail_type: str, detail: dict, resources: list[str]) -> None:
    """Puts an event of an AWS service on the default bus of the account and Region at hand."""
    eventbridge._dispatch_event({
        "EventId": new_uuid(),
        "Source": source,
        "DetailType": detail_type,
        "Detail": json.dumps(detail),
        "EventBusName": "default",
        "Time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "Resources": resources,
        "Account": get_account_id(),
        "Region": get_region(),
    })


def arn(service: str, resource: str) -> str:
    """The ARN of a resource in the account and Region at hand."""
    return f"arn:aws:{service}:{get_region()}:{get_account_id()}:{resource}"


def in_background(work: Callable[[], None], name: str) -> None:
    """Runs `work` on a thread that sees the account and Region at hand."""
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work,), name=name, daemon=True).start()
