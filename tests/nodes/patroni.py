"""The AWS that patroni.sh needs beside aws.py: MiniStack's table and the secrets of an ec2-patroni cluster.

Run as `patroni.py prepare DIRECTORY`, which writes the secrets' ARNs as shell settings, and `patroni.py watch`, which
prints every process that has a secret among its arguments.
"""

import json
import os
import pathlib
import sys
import time

import boto3

# Characters that a passfile, an SQL literal, YAML, PgBouncer's list and a shell would each trip over.
PASSWORDS = {
    "operator": ("understudy", "o:p\\e'r$a"),
    "replication": ("replicator", "r:e\\p'l&c"),
    "application": ("app", "a:p\\p'l i"),
    "superuser": ("postgres", "s:u\\p'e\"r#"),
    "pooler": ("pgbouncer", "p:o\\o'l\"e%"),
    "patroni": ("admin", "p:a\\t'r\"o{"),
}
# What the instance profile's credentials are; see aws.py.
KEYS = ("te/st+secret", "session/token==")


def prepare(directory: pathlib.Path) -> None:
    """Makes the state table and the secrets."""
    session = boto3.session.Session("test", "test", region_name="eu-west-1")
    client = lambda name: session.client(name, endpoint_url=os.environ["AWS_ENDPOINT_URL"])  # noqa: E731
    client("dynamodb").create_table(
        TableName="test-state",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("cluster", "item")],
        KeySchema=[{"AttributeName": "cluster", "KeyType": "HASH"}, {"AttributeName": "item", "KeyType": "RANGE"}],
    )
    read = lambda name: (directory / "tls" / name).read_text()  # noqa: E731
    secrets = {name: {"username": user, "password": password} for name, (user, password) in PASSWORDS.items()}
    secrets["tls"] = {
        "certificate": read("server.crt"),
        "private_key": read("server.key"),
        "certificate_authority": read("ca.crt"),
        "peer_authority": read("peer.crt"),
        "peer_authority_key": read("peer.key"),
    }
    lines = []
    for name, content in secrets.items():
        made = client("secretsmanager").create_secret(
            Name=f"understudy/test/shop/{name}", SecretString=json.dumps(content)
        )
        lines.append(f"{name.upper()}_SECRET={made['ARN']}\n")
    (directory / "references.env").write_text("".join(lines))


def watch() -> None:
    """Looks at the arguments of all processes, again and again, until it is killed."""
    secrets = [secret.encode() for secret in (*KEYS, *(password for _, password in PASSWORDS.values()))]
    while True:
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                arguments = (process / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
            if any(secret in arguments for secret in secrets):
                print(arguments, flush=True)
        time.sleep(0.1)


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare(pathlib.Path(sys.argv[2]))
    else:
        watch()
