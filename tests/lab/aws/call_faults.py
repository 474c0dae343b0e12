"""AWS calls that fail: errors, throttling, delays, answers that are lost.

    POST   /control/aws   makes a rule; see `make`
    GET    /control/aws   the rules, and how often each struck
    DELETE /control/aws   the same, and removes them

A rule strikes the calls that pass through the gateway, so neither what the
local AWS does by itself nor a function's runtime; and never those of the
account's root, who is the lab's owner and wants the truth.

    {"service": "dynamodb", "action": "PutItem", "fault": "error", "count": 2, "caller": "promote-replica"}
    {"region": "eu-west-1", "fault": "unavailable"}     every call there, and more: the Region is down, see regions.py
"""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from xml.sax.saxutils import escape

import ministack.app as gateway
import regions
from hypercorn.protocol.events import StreamClosed
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import fix_error_content_type
from ministack.core.router import detect_service, extract_access_key_id
from ministack.services import lambda_svc

FAULTS = ("error", "unavailable", "throttle", "lose-answer", "delay")
FIELDS = {"service", "action", "fault", "count", "seconds", "caller", "region"}
# A Region for which every call has one of these is down altogether: see regions.py.
DOWN = ("error", "unavailable")
ANY = "*"

# How each service throttles: its code and HTTP status. All are codes on which the SDKs back off and try again.
THROTTLING = {
    "dynamodb": ("ProvisionedThroughputExceededException", 400),
    "ec2": ("RequestLimitExceeded", 503),
    "s3": ("SlowDown", 503),
    "lambda": ("TooManyRequestsException", 429),
}
# Those whose protocol is XML say it short.
THROTTLING_XML, THROTTLING_JSON = ("Throttling", 400), ("ThrottlingException", 400)
# Their XML wraps an error; MiniStack's common form is that of S3, which does not.
WRAPPED = {"route53": "https://route53.amazonaws.com/doc/2013-04-01/",
           "cloudfront": "http://cloudfront.amazonaws.com/doc/2020-05-31/"}


class AnswerLost(Exception):
    """The call is done; the connection is to be closed without an answer."""


class BadRule(ValueError):
    """What is wrong with a rule, in a sentence."""


@dataclass(frozen=True)
class Call:
    """One call: the service by all its names (`monitoring`, `cloudwatch`), the action as policies name it
    (`InvokeFunction`), the caller's role, the Region it is signed for."""

    services: frozenset[str]
    action: str
    role: str
    region: str


@dataclass
class Rule:
    """Which calls fail, how, and how often that has happened."""

    rule: int
    service: str
    action: str
    fault: str
    count: int | None
    seconds: float
    caller: str | None
    region: str | None
    struck: int = 0

    def strikes(self, call: Call) -> bool:
        """Whether this call is to fail now."""
        return ((self.count is None or self.struck < self.count)
                and (self.service == ANY or self.service in call.services)
                and (self.action == ANY or self.action == call.action)
                and (self.region is None or self.region == call.region and not call.services & regions.GLOBAL)
                and (self.caller is None or call.role in roles_of(self.caller)))

    @property
    def takes_region_down(self) -> bool:
        """Whether nothing in a Region is answered any more."""
        return bool(self.region and self.fault in DOWN and self.service == self.action == ANY
                    and self.count is self.caller is None)


class Rules:
    """All rules, oldest first; the control's threads and the gateway's share them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._made = 0

    def make(self, request: object) -> int:
        """Makes the rule that a request describes; returns its number. Raises BadRule."""
        wanted = _checked(request)
        with self._lock:
            self._made += 1
            rule = Rule(self._made, **wanted)
            self._rules.append(rule)
        if rule.takes_region_down:
            regions.take_down(rule.region)
        return rule.rule

    def show(self) -> list[dict]:
        """The rules, with how often each struck."""
        with self._lock:
            return [asdict(rule) for rule in self._rules]

    def clear(self) -> list[dict]:
        """Removes all; returns what there was."""
        with self._lock:
            removed, self._rules = self._rules, []
        regions.bring_up_all()
        return [asdict(rule) for rule in removed]

    def strike(self, read_call: Callable[[], Call | None]) -> tuple[Rule, Call] | None:
        """The first rule that strikes a call, counted. The call is read only if there are rules at all."""
        if not self._rules or (call := read_call()) is None:
            return None
        with self._lock:
            rule = next((rule for rule in self._rules if rule.strikes(call)), None)
            if rule is None:
                return None
            rule.struck += 1
            return rule, call


def roles_of(function: str) -> set[str]:
    """The names of the roles of a function, which in a stack may be called STACK-FUNCTION."""
    return {record["config"]["Role"].rpartition("/")[2]
            for (_, _, name), record in lambda_svc._functions.all_items()
            if name == function or name.endswith(f"-{function}")}


def _checked(request: object) -> dict:
    """The fields of a rule, complete and of the right kind."""
    if not isinstance(request, dict):
        raise BadRule("a rule is a JSON object")
    region = request.get("region")
    if region is not None and (not isinstance(region, str) or not region):
        raise BadRule("region must be the name of a Region")
    if region:
        request = {"service": ANY, "action": ANY, **request}
    if unknown := set(request) - FIELDS:
        raise BadRule(f"a rule has no {', '.join(sorted(unknown))}, but {', '.join(sorted(FIELDS))}")
    fault, count, seconds = request.get("fault"), request.get("count"), request.get("seconds")
    caller = request.get("caller")
    if fault not in FAULTS:
        raise BadRule(f"fault must be one of {', '.join(FAULTS)}")
    for name in ("service", "action"):
        if not isinstance(request.get(name), str) or not request[name]:
            raise BadRule(f'{name} must be a name, or "{ANY}" for every one')
    if count is not None and (type(count) is not int or count < 1):
        raise BadRule("count must be a number from 1, or null for every call")
    if seconds is not None and (type(seconds) not in (int, float) or seconds < 0):
        raise BadRule("seconds must be a number from 0")
    if fault == "delay" and not seconds:
        raise BadRule("a delay needs seconds")
    if caller is not None and (not isinstance(caller, str) or not roles_of(caller)):
        raise BadRule(f"there is no function {caller}")
    return {"service": request["service"], "action": request["action"], "fault": fault, "count": count,
            "seconds": seconds or 0.0, "caller": caller, "region": region}


rules = Rules()


# -- in the gateway ----------------------------------------------------------


def _read(method: str, path: str, headers: dict, body: bytes, query: dict) -> Call | None:
    """What a request calls and who calls; None for the account's root."""
    if iam_evaluator.is_root_access_key(extract_access_key_id(headers, query)):
        return None
    params = gateway._routing_params(method, path, headers, body, query)
    service = detect_service(method, path, headers, params)
    name = iam_actions.extract_iam_action(service, method, path, headers, body, params) or f"{service}:"
    namespace, _, action = name.partition(":")
    # arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION
    role = iam_evaluator.request_caller_arn(headers, query).split("/")[1:2]
    return Call(frozenset((service, namespace)), action, role[0] if role else "", regions.of_request(headers))


async def _dispatch(method: str, path: str, headers: dict, body: bytes, query: dict, request_id: str) -> tuple:
    struck = rules.strike(lambda: _read(method, path, headers, body, query))
    if struck is None:
        return await _original_dispatch(method, path, headers, body, query, request_id)
    rule, call = struck
    service = detect_service(method, path, headers, gateway._routing_params(method, path, headers, body, query))
    match rule.fault:
        case "error":
            return refusal(service, call, "InternalFailure", 500, "the lab has this call fail", headers, request_id)
        case "unavailable":
            return refusal(service, call, "ServiceUnavailable", 503, "the lab has no such call answered", headers,
                           request_id)
        case "throttle":
            code, status = throttling(service)
            return refusal(service, call, code, status, "Rate exceeded", headers, request_id)
    answer = await _original_dispatch(method, path, headers, body, query, request_id)
    if rule.fault == "lose-answer":
        raise AnswerLost
    await asyncio.sleep(rule.seconds)
    return answer


def throttling(service: str) -> tuple[str, int]:
    """The code and the status with which a service throttles."""
    xml = iam_actions._SERVICE_PROTOCOL.get(service, "json") != "json"
    return THROTTLING.get(service) or (THROTTLING_XML if xml else THROTTLING_JSON)


def refusal(service: str, call: Call, code: str, status: int, message: str, headers: dict, request_id: str) -> tuple:
    """An error in the protocol of the service and of the request."""
    if namespace := WRAPPED.get(service):
        body = (f'<?xml version="1.0"?>\n<ErrorResponse xmlns="{namespace}"><Error><Type>Sender</Type>'
                f"<Code>{code}</Code><Message>{escape(message)}</Message></Error>"
                f"<RequestId>{request_id}</RequestId></ErrorResponse>")
        return status, {"Content-Type": "text/xml", "x-amzn-requestid": request_id}, body.encode()
    _, reply, body = iam_actions.access_denied_response(
        service, call.action, "", request_id, error_code=code, message=message, headers=headers)
    fix_error_content_type(service, status, reply)
    return status, {**reply, "x-amzn-requestid": request_id}, body


async def app(scope: dict, receive: Callable, send: Callable) -> None:
    """The gateway, which can also hang up."""
    try:
        await gateway.app(scope, receive, send)
    except AnswerLost:
        # Told that it is over before it began, Hypercorn closes the connection.
        stream = send.__self__
        await stream.send(StreamClosed(stream_id=stream.stream_id))


_original_dispatch = gateway._dispatch_service_request


def install() -> None:
    """Puts this in MiniStack's place."""
    gateway._dispatch_service_request = _dispatch
