"""The AWS that members.sh needs: MiniStack's table, secrets, settings, bucket and stack, and an IMDSv2 stand-in.

Run as `aws.py prepare DIRECTORY`, `aws.py settings FILE NODES`, `aws.py imds PORT` and `aws.py watch`, which
prints every process that has a secret among its arguments.
"""

import gzip
import hashlib
import io
import json
import os
import pathlib
import sys
import tarfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3

REGION = "eu-west-1"
TOKEN = "stand-in-token"
# Characters that a passfile, an SQL literal and a shell would each trip over.
KEY, SESSION = "te/st+secret", "session/token=="
PASSWORDS = {"operator": "o:p\\e'r$a", "replication": "r:e\\p'l&c", "application": "a:p\\p'l i"}


SETTINGS = "/understudy/test/clusters/orders/settings"
BUCKET = "understudy-test"


def client(name: str):
    session = boto3.session.Session("test", "test", region_name=REGION)
    return session.client(name, endpoint_url=os.environ["AWS_ENDPOINT_URL"])


def bundle(nodes: pathlib.Path) -> bytes:
    """The scripts, as deploy-cluster packs them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in sorted(nodes.glob("[!.]*")):
            archive.add(path, path.name)
    return gzip.compress(packed.getvalue(), mtime=0)


def put_settings(lines: str, nodes: pathlib.Path, sha256: str = "") -> None:
    """Puts the bundle and the parameter that names it; the cluster's other settings are `lines`."""
    packed = bundle(nodes)
    digest = hashlib.sha256(packed).hexdigest()
    key = f"nodes/{digest}.tar.gz"
    client("s3").put_object(Bucket=BUCKET, Key=key, Body=packed)
    value = f"{lines}BUNDLE={key}\nBUNDLE_SHA256={sha256 or digest}\n"
    client("ssm").put_parameter(Name=SETTINGS, Value=value, Type="String", Overwrite=True)


def prepare(directory: pathlib.Path) -> None:
    """Makes the state table, the bucket, the secrets (their names as shell settings) and a stack."""
    client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    client("dynamodb").create_table(
        TableName="test-state",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("cluster", "item")],
        KeySchema=[{"AttributeName": "cluster", "KeyType": "HASH"}, {"AttributeName": "item", "KeyType": "RANGE"}],
    )
    read = lambda name: (directory / "tls" / name).read_text()  # noqa: E731
    secrets = {name: {"username": name, "password": password} for name, password in PASSWORDS.items()}
    secrets["tls"] = {
        "certificate": read("server.crt"),
        "private_key": read("server.key"),
        "certificate_authority": read("ca.crt"),
    }
    settings = []
    for name, content in secrets.items():
        made = client("secretsmanager").create_secret(
            Name=f"understudy/test/orders/{name}", SecretString=json.dumps(content)
        )
        settings.append(f"{name.upper()}_SECRET={made['ARN']}\n")
    (directory / "references.env").write_text("".join(settings))
    wait = {
        "Type": "AWS::CloudFormation::WaitCondition",
        "CreationPolicy": {"ResourceSignal": {"Count": 1, "Timeout": "PT5M"}},
    }
    client("cloudformation").create_stack(
        StackName="understudy-test-orders",
        TemplateBody=json.dumps({"Resources": {f"Member{n}": wait for n in (1, 2, 3)}}),
    )


class Imds(BaseHTTPRequestHandler):
    """Version 2 only: a token by PUT, and nothing without it. The first part of a path is the instance id."""

    def log_message(self, *_arguments) -> None:
        """Keeps the test's output to the test."""

    def answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_PUT(self) -> None:
        asked = self.path.endswith("/latest/api/token") and self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self.answer(200 if asked else 403, TOKEN)

    def do_GET(self) -> None:
        instance, _, path = self.path.removeprefix("/").partition("/latest/meta-data/")
        credentials = {"AccessKeyId": "test", "SecretAccessKey": KEY, "Token": SESSION}
        answers = {
            "instance-id": instance,
            "iam/security-credentials/": "member",
            "iam/security-credentials/member": json.dumps(credentials),
        }
        if self.headers["X-aws-ec2-metadata-token"] != TOKEN:
            self.answer(401, "no token")
        else:
            self.answer(200 if path in answers else 404, answers.get(path, "not found"))


def watch() -> None:
    """Looks at the arguments of all processes, again and again, until it is killed."""
    secrets = [secret.encode() for secret in (KEY, SESSION, *PASSWORDS.values())]
    while True:
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                arguments = (process / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
            if any(secret in arguments for secret in secrets):
                print(arguments, flush=True)
        time.sleep(0.01)


if __name__ == "__main__":
    match sys.argv[1]:
        case "prepare":
            prepare(pathlib.Path(sys.argv[2]))
        case "settings":
            put_settings(pathlib.Path(sys.argv[2]).read_text(), pathlib.Path(sys.argv[3]), *sys.argv[4:])
        case "watch":
            watch()
        case "imds":
            ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Imds).serve_forever()
        case other:
            sys.exit(f"no such command: {other}")
