"""The AWS that members.sh needs: MiniStack's table, secrets and stack, and an IMDSv2 stand-in.

Run as `aws.py prepare DIRECTORY NODES`, `aws.py imds PORT` and `aws.py watch`, which prints every process
that has a secret among its arguments.
"""

import base64
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


def scripts(nodes: pathlib.Path) -> list[str]:
    """What user data has no room for, as the template packs it into parameters."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path in sorted(nodes.glob("*.*")):
            if path.name not in ("lib.sh", "setup.sh"):
                archive.add(path, path.name)
    text = base64.b64encode(packed.getvalue()).decode()
    return [text[at : at + 4096] for at in range(0, len(text), 4096)]


def prepare(directory: pathlib.Path, nodes: pathlib.Path) -> None:
    """Makes the state table, the parameters, the secrets (their names as shell settings) and a stack."""
    session = boto3.session.Session("test", "test", region_name=REGION)
    client = lambda name: session.client(name, endpoint_url=os.environ["AWS_ENDPOINT_URL"])  # noqa: E731
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
    names = []
    for number, value in enumerate(scripts(nodes), 1):
        names.append(f"/understudy/test/clusters/orders/scripts-{number}")
        client("ssm").put_parameter(Name=names[-1], Value=value, Type="String")
    settings.append(f'SCRIPTS="{" ".join(names)}"\n')
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
    if sys.argv[1] == "prepare":
        prepare(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
    elif sys.argv[1] == "watch":
        watch()
    else:
        ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Imds).serve_forever()
