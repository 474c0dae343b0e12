"""A local AWS of its own for tests, on other ports and in its own directory."""

import base64
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

import boto3
from botocore.config import Config

HERE = Path(__file__).parent
STOP_SECONDS = 0.6
START_SECONDS = 0.2
UNANSWERED_SECONDS = 2

# A Lambda function without an SDK: prints each event and its environment, takes
# `sleep` seconds, says whether something at `connect` speaks to it, and fails the
# first `fail` attempts, if an event says so.
BOOTSTRAP = f"""#!{sys.executable}
import json, os, socket, time, urllib.request
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/"
print("environment", json.dumps(sorted(os.environ)), flush=True)
attempts = 0
while True:
    with urllib.request.urlopen(api + "invocation/next") as reply:
        request, event = reply.headers["Lambda-Runtime-Aws-Request-Id"], json.load(reply)
    print("event", json.dumps(event), flush=True)
    time.sleep(event.get("sleep", 0))
    heard = ""
    if "connect" in event:
        try:
            with socket.create_connection(event["connect"], 0.5) as asked:
                heard = asked.recv(100).decode()
        except OSError as error:
            heard = str(error)
    attempts += 1
    failed = attempts <= event.get("fail", 0)
    body = ({{"errorMessage": "as asked", "errorType": "Asked"}} if failed
            else {{"attempts": attempts, "heard": heard}})
    urllib.request.urlopen(urllib.request.Request(
        api + "invocation/" + request + ("/error" if failed else "/response"),
        data=json.dumps(body).encode(), method="POST")).read()
"""


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port that nobody uses now."""
    with socket.socket(type=kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class LocalAws:
    """One running local_aws.py."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="understudy-canary-")).resolve()
        self.directory.chmod(0o755)
        self.ports = (os.environ.get("CANARY_GATEWAY_PORT") or str(free_port()),
                      os.environ.get("CANARY_CONTROL_PORT") or str(free_port()))
        self.gateway, self.control = (f"http://127.0.0.1:{port}" for port in self.ports)
        # Tests run side by side, and their balancers listen at the same ports.
        number = int(self.ports[1]) % 250
        self.front_network = f"127.1.{number}"
        self.rds_networks = f"127.2.{number}", f"127.3.{number}"
        self.dns_port = free_port(socket.SOCK_DGRAM)
        self.start()

    def start(self) -> None:
        """Starts it and waits until it answers."""
        self.log = (self.directory / "log").open("w+b")
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "local_aws.py")], stdout=subprocess.PIPE, stderr=self.log,
            env={**os.environ, "LAB_DIR": str(self.directory), "GATEWAY_PORT": self.ports[0],
                 "LAB_CONTROL_PORT": self.ports[1], "LAB_STOP_SECONDS": str(STOP_SECONDS),
                 "LAB_START_SECONDS": str(START_SECONDS), "LAB_CREDENTIAL_SECONDS": "3",
                 "LAB_UNANSWERED_SECONDS": str(UNANSWERED_SECONDS),
                 "LAB_MIN_DELIVERY_SECONDS": "1", "LAB_DISK_MIB": "512",
                 "LAB_FRONT_NETWORK": self.front_network,
                 "LAB_RDS_DNS_PORT": str(self.dns_port),
                 "LAB_RDS_NETWORK": self.rds_networks[0], "LAB_RDS_OTHER_NETWORK": self.rds_networks[1],
                 "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.1", "AWS_PROFILE": "must-not-leak"})
        self.ready = self.process.stdout.readline().decode()
        if not self.ready.startswith("ready"):
            self.process.kill()
            said = self.ready + (self.directory / "log").read_text()[-2000:]
            shutil.rmtree(self.directory)
            raise RuntimeError(f"local_aws.py did not start: {said}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stops it as `lab down` does, or more rudely."""
        self.process.send_signal(number)
        self.process.wait(timeout=15)
        self.process.stdout.close()
        self.log.close()

    def remove(self) -> None:
        """Ends it and what is left of it."""
        if self.process.poll() is not None:
            self.start()  # which clears what an earlier one left behind
        self.stop()
        shutil.rmtree(self.directory)

    def client(self, service: str, key: str = "test", secret: str = "test", token: str | None = None,
               region: str = "eu-west-1", **config):
        """An SDK client, as the account's root unless it is told otherwise."""
        return boto3.client(service, endpoint_url=self.gateway, region_name=region, aws_access_key_id=key,
                            aws_secret_access_key=secret, aws_session_token=token,
                            config=Config(retries={"total_max_attempts": 1}, **config))

    def as_role(self, service: str, name: str):
        """An SDK client with a role's session."""
        held = self.client("sts").assume_role(
            RoleArn=f"arn:aws:iam::000000000000:role/{name}", RoleSessionName="canary")["Credentials"]
        return self.client(service, held["AccessKeyId"], held["SecretAccessKey"], held["SessionToken"])

    def fault(self, instance_id: str, fault: str) -> tuple[int, dict]:
        """Asks for a fault; the HTTP status and the answer."""
        return self.ask(f"{instance_id}/{fault}")

    def ask(self, path: str, document: object = None, method: str = "POST") -> tuple[int, dict]:
        """Asks the control for something; the HTTP status and the answer."""
        data = b"" if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"{self.control}/control/{path}", data=data, method=method)
        try:
            with urllib.request.urlopen(request) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.load(refused)

    def imds(self, instance_id: str, path: str, token: str = "", method: str = "GET") -> tuple[int, str]:
        """Asks a member's metadata service; the HTTP status and the answer."""
        headers = {"X-aws-ec2-metadata-token": token} if token else {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        request = urllib.request.Request(
            f"{self.control}/{instance_id}/latest/{path}", headers=headers, method=method)
        try:
            with urllib.request.urlopen(request) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, ""

    def role(self, name: str, statements: list[dict], profile: bool = False) -> str:
        """Makes a role, and an instance profile of the same name if wanted; returns its ARN."""
        iam = self.client("iam")
        trust = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "*", "Service": ["ec2.amazonaws.com", "lambda.amazonaws.com"]},
             "Action": "sts:AssumeRole"}]}
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="only", PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": statements}))
        if profile:
            iam.create_instance_profile(InstanceProfileName=name)
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        return made

    def function(self, name: str, role_arn: str) -> str:
        """Makes a function of BOOTSTRAP; returns its ARN."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("bootstrap", BOOTSTRAP)
        return self.client("lambda").create_function(
            FunctionName=name, Runtime="provided.al2023", Handler="bootstrap", Role=role_arn, Timeout=10,
            Code={"ZipFile": packed.getvalue()}, Environment={"Variables": {"OWN": "1"}})["FunctionArn"]

    def queue(self, name: str, pattern: dict) -> str:
        """Makes a queue that receives the events of a pattern; returns its URL."""
        queue = self.client("sqs").create_queue(QueueName=name)["QueueUrl"]
        events = self.client("events")
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, Targets=[
            {"Id": "1", "Arn": f"arn:aws:sqs:eu-west-1:000000000000:{name}"}])
        return queue

    def received(self, queue: str) -> list[dict]:
        """What a queue holds now; it is then empty."""
        sqs, found = self.client("sqs"), []
        while batch := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(message["Body"]) for message in batch]
            for message in batch:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return found


class Canary(unittest.TestCase):
    """Tests that share one local AWS per class."""

    aws: LocalAws

    @classmethod
    def setUpClass(cls) -> None:
        cls.aws = LocalAws()
        cls.addClassCleanup(cls.aws.remove)

    def within(self, seconds: float, check: Callable[[], object], what: str) -> object:
        """Waits until `check` returns something true; fails with `what` after `seconds`."""
        deadline = time.monotonic() + seconds
        while not (found := check()):
            if time.monotonic() > deadline:
                self.fail(f"not within {seconds} s: {what}")
            time.sleep(0.02)
        return found

    def subnet(self, cidr: str, zone: str) -> str:
        """Makes a subnet in the class's network; returns its id."""
        ec2 = self.aws.client("ec2")
        vpcs = ec2.describe_vpcs(Filters=[{"Name": "cidr", "Values": ["127.0.0.0/16"]}])["Vpcs"]
        vpc = vpcs[0] if vpcs else ec2.create_vpc(CidrBlock="127.0.0.0/16")["Vpc"]
        return ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock=cidr, AvailabilityZone=zone)["Subnet"]["SubnetId"]

    def boot(self, user_data: str, **launch) -> str:
        """Launches an instance and waits until EC2 says that it runs; returns its id."""
        (instance,) = self.aws.client("ec2").run_instances(
            ImageId="ami-1", MinCount=1, MaxCount=1, UserData=user_data, **launch)["Instances"]
        self.within(5, lambda: self.state(instance["InstanceId"]) == "running", "the state running")
        return instance["InstanceId"]

    def root_of(self, instance_id: str) -> Path:
        """A member's root file system."""
        return self.aws.directory / "members" / instance_id

    def state(self, instance_id: str) -> str:
        """An instance's state as EC2 shows it."""
        (reservation,) = self.aws.client("ec2").describe_instances(InstanceIds=[instance_id])["Reservations"]
        return reservation["Instances"][0]["State"]["Name"]

    def console(self, instance_id: str) -> str:
        """What a member said on its console."""
        console = self.root_of(instance_id) / "console.log"
        return console.read_text() if console.exists() else ""


def processes_inside(directory: Path) -> dict[int, str]:
    """The processes whose current directory is inside: their commands by their ids."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink().is_relative_to(directory):
                found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    return found


def enable(*names: str, restart: str = "1", kill_mode: str = "mixed") -> str:
    """Lines of user data that enable a service for each script of /opt/understudy, as setup.sh does."""
    return "".join(f"""
mkdir -p "$ROOT/opt/understudy" "$ROOT/etc/understudy"
cat > "$ROOT/opt/understudy/understudy-{name}.service" <<'END'
[Service]
ExecStart=/bin/bash /opt/understudy/{name}.sh
Restart=always
RestartSec={restart}
KillMode={kill_mode}
END
echo understudy-{name}.service >> "$ROOT/etc/understudy/units"
""" for name in names)


def encoded(script: str) -> str:
    """User data as a template carries it."""
    return base64.b64encode(script.encode()).decode()
