"""The instance metadata service of every member, at the port that is also the switchboard of faults.

Fills a gap: MiniStack's own metadata service knows one invented instance and
hands out credentials that its own IAM then refuses.

    PUT  /<instance id>/latest/api/token                       IMDSv2, and only that
    GET  /<instance id>/latest/meta-data/...
    ...  /control/...                                          see control.py

It runs on threads of its own, so that a fault need not wait for an API call.
"""

import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import control
import settings
from members import members
from ministack.core.responses import request_scope
from ministack.services import ec2, iam, sts

MAX_TOKEN_SECONDS = 21600
# EC2 hands out new credentials at least five minutes before the old expire;
# a tenth of their life where the lab makes that shorter.
RENEW_SECONDS = min(300.0, settings.CREDENTIAL_SECONDS / 10)

_lock = threading.Lock()
_tokens: dict[str, tuple[str, float]] = {}
_credentials: dict[str, dict] = {}


class NotFound(Exception):
    """There is nothing at this path."""


def find_instance(instance_id: str) -> tuple[dict, str, str]:
    """An instance with the account and the Region it is in."""
    for (account, region, key), instance in ec2._instances.all_items():
        if key == instance_id:
            return instance, account, region
    raise NotFound(f"no instance {instance_id}")


def _role_of(instance: dict) -> dict:
    """The role in the instance's profile."""
    profile = iam._lookup_instance_profile(arn=(instance["IamInstanceProfile"] or {}).get("Arn", ""))
    if profile is None or not profile.get("Roles"):
        raise NotFound("no role in the instance profile")
    return iam._roles[profile["Roles"][0]]


def _iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def credentials(instance: dict, role: dict) -> dict:
    """The member's current temporary credentials, renewed before they expire."""
    instance_id = instance["InstanceId"]
    with _lock:
        held = _credentials.get(instance_id)
        if held is None or held["until"] - time.time() < RENEW_SECONDS or held["role"] != role["Arn"]:
            held = _credentials[instance_id] = _new_session(instance_id, role)
    return held["document"]


def _new_session(instance_id: str, role: dict) -> dict:
    """A session of the role that MiniStack's IAM accepts, as an AssumeRole would make it."""
    now = time.time()
    until = now + settings.CREDENTIAL_SECONDS
    key, secret, token = iam._gen_session_access_key(), iam._gen_secret(), iam._gen_session_token()
    account = role["Arn"].split(":")[4]
    sts.register_session(key, {
        "Arn": f"arn:aws:sts::{account}:assumed-role/{role['RoleName']}/{instance_id}",
        "UserId": f"{role['RoleId']}:{instance_id}",
        "SecretAccessKey": secret,
        "SessionToken": token,
        "Expiration": until,
    })
    return {"until": until, "role": role["Arn"], "document": {
        "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": _iso(now), "Expiration": _iso(until),
        "AccessKeyId": key, "SecretAccessKey": secret, "Token": token}}


def metadata(instance_id: str, path: str) -> str:
    """What the metadata service answers at latest/`path`."""
    instance, account, region = find_instance(instance_id)
    zone = instance["Placement"]["AvailabilityZone"]
    plain = {
        "meta-data/instance-id": instance_id,
        "meta-data/instance-type": instance["InstanceType"],
        "meta-data/local-ipv4": instance["PrivateIpAddress"],
        "meta-data/local-hostname": instance["PrivateDnsName"],
        "meta-data/placement/availability-zone": zone,
        "meta-data/placement/region": region,
    }
    if path in plain:
        return plain[path]
    if path == "user-data":
        return members[instance_id].user_data.decode()
    if path == "dynamic/instance-identity/document":
        return json.dumps({"instanceId": instance_id, "region": region, "accountId": account,
                           "availabilityZone": zone, "privateIp": instance["PrivateIpAddress"]})
    roles = "meta-data/iam/security-credentials"
    if path == roles or path.startswith(f"{roles}/"):
        with request_scope(account, region):
            role = _role_of(instance)
        wanted = path.removeprefix(roles).strip("/")
        if not wanted:
            return role["RoleName"]
        if wanted == role["RoleName"]:
            return json.dumps(credentials(instance, role))
    raise NotFound(path)


class Handler(BaseHTTPRequestHandler):
    """HTTP to the functions above."""

    protocol_version = "HTTP/1.1"
    server_version = "EC2ws"

    def do_PUT(self) -> None:
        instance_id, _, path = self.path.strip("/").partition("/latest/")
        seconds = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if path != "api/token" or instance_id not in members:
            return self._answer(404, "")
        if not seconds.isdigit() or not 0 < int(seconds) <= MAX_TOKEN_SECONDS:
            return self._answer(400, "")
        token = secrets.token_urlsafe(42)
        with _lock:
            _tokens[token] = (instance_id, time.monotonic() + int(seconds))
        self._answer(200, token)

    def do_GET(self) -> None:
        if self.path.startswith("/control/"):
            return self._control()
        instance_id, _, path = self.path.strip("/").partition("/latest/")
        with _lock:
            holder, until = _tokens.get(self.headers.get("X-aws-ec2-metadata-token", ""), ("", 0.0))
        if holder != instance_id or time.monotonic() > until:
            return self._answer(401, "")
        try:
            self._answer(200, metadata(instance_id, path))
        except NotFound:
            self._answer(404, "")

    def do_POST(self) -> None:
        self._control()

    def do_DELETE(self) -> None:
        self._control()

    def _control(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, document = control.answer(self.command, self.path, body)
        self._answer(status, json.dumps(document) + "\n", "application/json")

    def _answer(self, status: int, body: str, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Silent: a boot asks the metadata service dozens of times."""


def bind() -> ThreadingHTTPServer:
    """Takes the port. Raises OSError if someone else has it."""
    server = ThreadingHTTPServer((settings.ADDRESS, settings.CONTROL_PORT), Handler)
    server.daemon_threads = True
    return server


def serve(server: ThreadingHTTPServer) -> None:
    """Serves from now on, on threads of its own."""
    threading.Thread(target=server.serve_forever, name="imds", daemon=True).start()
