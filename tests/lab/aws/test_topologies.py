"""Every cluster of infra/clusters deploys, changes and goes in the local AWS; a broken one rolls back and says why.

Instances are records here: this test says for them what they would report.
"""

import hashlib
import json
import os
import re
import subprocess
import threading
import time
import unittest
from collections.abc import Iterator
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError
from canary import Canary

REPO = Path(__file__).resolve().parents[3]
RENDER = Path(os.environ.get("CARGO_TARGET_DIR") or REPO / "target") / "debug/render"
ALL = {path.stem: json.loads(path.read_text()) for path in sorted((REPO / "infra/clusters").glob("*.json"))}
# Those that AWS runs have real servers here, and tests of their own: test_rds_stacks.py, test_rds_roles.py.
SPECS = {name: spec for name, spec in ALL.items() if spec["topology"].startswith("ec2-")}
BODY_LIMIT = 51200
# What a rendered template has for what exists before the cluster: see functions/deploy-cluster/src/placeholder.rs.
PLACEHOLDER = re.compile(r"\b(?:vpc|subnet|rtb|sg)-0123456789abcdef[0-9a-f]\b|Z0123456789EXAMPLE")
ZONE = "db.internal"
FAILURE = "peer: the secret tls has no peer authority"


def render(spec: dict, part: str) -> str:
    """The template of a spec, as the program prints it."""
    file = Path(os.environ.get("TMPDIR", "/tmp")) / f"understudy-topologies-{os.getpid()}-{spec['name']}.json"
    file.write_text(json.dumps(spec))
    try:
        done = subprocess.run([RENDER, file, "--part", part], capture_output=True, text=True)
    finally:
        file.unlink()
    if done.returncode != 0:
        raise AssertionError(f"{spec['name']}, {part}: {done.stderr}")
    return done.stdout


def regions(spec: dict) -> Iterator[tuple[str, str]]:
    """The parts of a cluster with their Regions, in the order in which they are deployed."""
    if dr := spec.get("dr"):
        yield "dr", dr["region"]
        yield "primary", dr["primary_region"]
    else:
        yield "primary", "eu-west-1"


def reviewed(spec: dict, part: str) -> tuple[dict, str]:
    """The spec with another tag and another network that may connect, and that network."""
    other = json.loads(json.dumps(spec)) | {"deletion_protection": False}
    other.setdefault("tags", {})["reviewed"] = "yes"
    if part == "primary":
        other.setdefault("access", {})["management_cidrs"] = ["198.51.100.0/24"]
        return other, "198.51.100.0/24"
    other["dr"]["primary_cidr"] = "10.9.0.0/16"
    if own := other.get("network", {}).get("own_vpc"):
        own["cidr"] = "10.9.0.0/16"
    return other, "10.9.0.0/16"


class Region:
    """One Region's clients, and what is there before any cluster."""

    def __init__(self, aws, name: str) -> None:
        self.name = name
        self._aws = aws
        self.cfn, self.ec2, self.s3 = (self.client(service) for service in ("cloudformation", "ec2", "s3"))
        self.bucket = f"understudy-test-{name}"
        self.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": name}
                              if name != "us-east-1" else {"LocationConstraint": "EU"})
        self.vpc = self.ec2.create_vpc(CidrBlock="172.20.0.0/16")["Vpc"]["VpcId"]
        self.made: dict[str, str] = {}

    def zone(self) -> str:
        """The hosted zone of the records that a stack makes: one for all Regions."""
        route53 = self.client("route53")
        zones = route53.list_hosted_zones()["HostedZones"]
        zone = zones[0] if zones else route53.create_hosted_zone(Name=ZONE, CallerReference=self.vpc)["HostedZone"]
        return zone["Id"].rpartition("/")[2]

    def client(self, service: str):
        """An SDK client in this Region."""
        return boto3.client(service, endpoint_url=self._aws.gateway, region_name=self.name, aws_access_key_id="test",
                            aws_secret_access_key="test", config=Config(retries={"total_max_attempts": 1}))

    def real(self, found: re.Match) -> str:
        """What stands here for an id that a rendered template has."""
        kind, placeholder = found[0].split("-")[0], found[0]
        if kind == "vpc":
            return self.vpc
        if placeholder.startswith("Z"):
            return self.zone()
        if placeholder not in self.made:
            number = len(self.made)
            self.made[placeholder] = (
                self.ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"172.20.{number}.0/24",
                                       AvailabilityZone=f"{self.name}{'abc'[int(placeholder[-1]) - 1]}")["Subnet"]["SubnetId"]
                if kind == "subnet" else
                self.ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"] if kind == "rtb" else
                self.ec2.create_security_group(VpcId=self.vpc, GroupName=placeholder, Description="functions")["GroupId"])
        return self.made[placeholder]


class Topologies(Canary):
    """Each spec's stacks through their lives."""

    @classmethod
    def setUpClass(cls) -> None:
        if not RENDER.exists():
            raise AssertionError(f"{RENDER} is missing: cargo build -p deploy-cluster --bin render")
        os.environ["LAB_RUN_USER_DATA"] = "no"
        cls.addClassCleanup(os.environ.pop, "LAB_RUN_USER_DATA")
        super().setUpClass()
        cls.role_arn = cls.aws.role("stacks", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])
        cls.known: dict[str, Region] = {}

    def region(self, name: str) -> Region:
        if name not in self.known:
            self.known[name] = Region(self.aws, name)
        return self.known[name]

    # -- a stack ----------------------------------------------------------

    def change(self, region: Region, stack: str, kind: str, body: str) -> dict:
        """Makes a change set of a rendered template; what it would change."""
        body = PLACEHOLDER.sub(region.real, body)
        self.resources = json.loads(body)["Resources"]
        where = {"TemplateBody": body}
        if len(body.encode()) > BODY_LIMIT:
            key = f"templates/{hashlib.sha256(body.encode()).hexdigest()}.json"
            region.s3.put_object(Bucket=region.bucket, Key=key, Body=body.encode())
            where = {"TemplateURL": f"https://s3.{region.name}.amazonaws.com/{region.bucket}/{key}"}
        parameters = [{"ParameterKey": name, "ParameterValue": "ami-0abcdef1234567890"}
                      for name in json.loads(body).get("Parameters", {})]
        name = f"{kind.lower()}-{time.monotonic_ns()}"
        region.cfn.create_change_set(
            StackName=stack, ChangeSetName=name, ChangeSetType=kind, RoleARN=self.role_arn, Parameters=parameters,
            Capabilities=["CAPABILITY_IAM"], Tags=[{"Key": "understudy:fleet", "Value": "lab"}], **where)
        try:
            region.cfn.get_waiter("change_set_create_complete").wait(
                StackName=stack, ChangeSetName=name, WaiterConfig={"Delay": 1})
        except WaiterError:
            pass  # FAILED is an answer too
        return region.cfn.describe_change_set(StackName=stack, ChangeSetName=name)

    def execute(self, region: Region, change: dict, statuses: dict[str, str] | None = None) -> str:
        """Executes a change set while its hosts report; how it ended."""
        over = threading.Event()
        reporter = threading.Thread(target=self.report, args=(region, change["StackName"], statuses or {}, over))
        reporter.start()
        try:
            region.cfn.execute_change_set(StackName=change["StackName"], ChangeSetName=change["ChangeSetId"])
            return self.finished(region, change["StackId"])
        finally:
            over.set()
            reporter.join()

    def report(self, region: Region, stack: str, statuses: dict[str, str], over: threading.Event) -> None:
        """Signals for every host that is waited for."""
        cfn = region.client("cloudformation")
        hosts = [name for name, resource in self.resources.items() if "CreationPolicy" in resource]
        while not over.wait(0.1):
            for name in hosts:
                try:
                    status = statuses.get(name, "SUCCESS")
                    cfn.signal_resource(StackName=stack, LogicalResourceId=name, Status=status,
                                        UniqueId=f"i-0{name} {FAILURE}"[:64] if status == "FAILURE" else f"i-0{name}")
                except ClientError:
                    pass  # not made yet, or not waited for any more

    def finished(self, region: Region, stack_id: str) -> str:
        def status() -> str:
            shown = region.cfn.describe_stacks(StackName=stack_id)["Stacks"][0]["StackStatus"]
            return "" if shown.endswith("IN_PROGRESS") else shown
        return self.within(90, status, f"{stack_id} finishes")

    def reasons(self, region: Region, stack: str) -> list[tuple[str, str]]:
        """What failed, and why, in the order in which it did."""
        pages = region.cfn.get_paginator("describe_stack_events").paginate(StackName=stack)
        events = [event for page in pages for event in page["StackEvents"]]
        return [(e["LogicalResourceId"], e.get("ResourceStatusReason", "")) for e in reversed(events)
                if e["ResourceStatus"].endswith("_FAILED")]

    def instances(self, region: Region, stack: str) -> dict[str, str]:
        """The stack's instances by their logical ids."""
        shown = region.cfn.describe_stack_resources(StackName=stack)["StackResources"]
        return {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in shown
                if r["ResourceType"] == "AWS::EC2::Instance"}

    # -- the tests ----------------------------------------------------------

    def test_every_cluster_deploys_changes_and_goes(self) -> None:
        for name, spec in SPECS.items():
            for part, region_name in regions(spec):
                with self.subTest(cluster=name, part=part):
                    self.live(self.region(region_name), f"understudy-test-{name}-{part}", spec, part)

    def live(self, region: Region, stack: str, spec: dict, part: str) -> None:
        """One stack from its creation to its end."""
        created = self.change(region, stack, "CREATE", render(spec, part))
        self.assertEqual(self.execute(region, created), "CREATE_COMPLETE", self.reasons(region, stack))
        before = self.instances(region, stack)
        self.assertEqual(set(before), {n for n, r in self.resources.items() if r["Type"] == "AWS::EC2::Instance"})

        other, network = reviewed(spec, part)
        updated = self.change(region, stack, "UPDATE", render(other, part))
        self.assertNotEqual(updated["Changes"], [], updated.get("StatusReason"))
        replaced = [c["ResourceChange"]["LogicalResourceId"] for c in updated["Changes"]
                    if c["ResourceChange"].get("Replacement") == "True"]
        self.assertFalse([r for r in replaced if self.resources[r]["Type"] == "AWS::EC2::Instance"], replaced)
        self.assertEqual(self.execute(region, updated), "UPDATE_COMPLETE", self.reasons(region, stack))
        self.assertEqual(self.instances(region, stack), before, "no host is replaced")
        tags = {tag["Key"]: tag["Value"] for reservation in region.ec2.describe_instances(
            InstanceIds=list(before.values()))["Reservations"] for i in reservation["Instances"] for tag in i["Tags"]}
        self.assertEqual(tags["reviewed"], "yes")
        groups = json.dumps(region.ec2.describe_security_groups()["SecurityGroups"])
        self.assertIn(network, groups, "the new network may connect")

        volumes = [n for n, r in self.resources.items() if r.get("DeletionPolicy") == "Snapshot"]
        snapshots = len(region.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"])
        region.cfn.delete_stack(StackName=stack, RoleARN=self.role_arn)
        self.assertEqual(self.finished(region, created["StackId"]), "DELETE_COMPLETE",
                         self.reasons(region, created["StackId"]))
        taken = len(region.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) - snapshots
        self.assertEqual(taken, len(volumes), "each data volume leaves a snapshot")
        left = [i["InstanceId"] for r in region.ec2.describe_instances(Filters=[
            {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}])["Reservations"]
            for i in r["Instances"]]
        self.assertEqual(left, [])

    def test_two_regions_know_of_each_other(self) -> None:
        spec = json.loads(json.dumps(SPECS["ledger"])) | {"deletion_protection": False}
        (_, there), (_, here) = regions(spec)
        other, region, stacks = self.region(there), self.region(here), {}
        for part, where in (("dr", other), ("primary", region)):
            stacks[part] = self.change(where, f"understudy-test-both-{part}", "CREATE", render(spec, part))
            self.assertEqual(self.execute(where, stacks[part]), "CREATE_COMPLETE",
                             self.reasons(where, stacks[part]["StackId"]))
            outputs = where.cfn.describe_stacks(StackName=stacks[part]["StackId"])["Stacks"][0]["Outputs"]
            values = {output["OutputKey"]: output["OutputValue"] for output in outputs}
            if part == "dr":
                spec["dr"]["backup_bucket"] = values["BackupBucket"]
            else:
                bucket = values["BackupBucket"]
        (rule,) = region.s3.get_bucket_replication(Bucket=bucket)["ReplicationConfiguration"]["Rules"]
        self.assertEqual(rule["Destination"]["Bucket"], f"arn:aws:s3:::{spec['dr']['backup_bucket']}")
        lifecycle = region.s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
        self.assertTrue(any("AbortIncompleteMultipartUpload" in rule for rule in lifecycle), lifecycle)
        self.assertTrue(region.s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"])
        secrets = [r["Properties"]["Name"] for r in self.resources.values() if r["Type"] == "AWS::SecretsManager::Secret"]
        self.assertLessEqual({"operator", "replication", "source"}, {name.rpartition("/")[2] for name in secrets})
        for name in secrets:
            values = {where.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
                      for where in (region, other)}
            self.assertEqual(len(values), 1, f"{name} is the same in both Regions")
        for part, where in (("primary", region), ("dr", other)):
            where.cfn.delete_stack(StackName=stacks[part]["StackId"], RoleARN=self.role_arn)
            self.assertEqual(self.finished(where, stacks[part]["StackId"]), "DELETE_COMPLETE",
                             self.reasons(where, stacks[part]["StackId"]))
        self.assertTrue(region.s3.head_bucket(Bucket=bucket), "the backups are kept")

    def test_what_is_protected_is_not_deleted(self) -> None:
        region, stack = self.region("eu-west-1"), "understudy-test-protected"
        body = json.loads(render(SPECS["shop"], "primary"))
        # The templates leave this off: a failed creation could not be rolled back.
        for attribute in body["Resources"]["Balancer"]["Properties"]["LoadBalancerAttributes"]:
            if attribute["Key"] == "deletion_protection.enabled":
                attribute["Value"] = "true"
        created = self.change(region, stack, "CREATE", json.dumps(body))
        self.assertEqual(self.execute(region, created), "CREATE_COMPLETE", self.reasons(region, stack))
        region.cfn.delete_stack(StackName=stack, RoleARN=self.role_arn)
        self.assertEqual(self.finished(region, created["StackId"]), "DELETE_FAILED")
        self.assertIn("deletion protection is enabled", str(self.reasons(region, stack)))

    def test_a_broken_one_rolls_back_and_says_why(self) -> None:
        region = self.region("eu-west-1")
        body = json.loads(render(SPECS["shop"], "primary"))
        volume = next(n for n, r in body["Resources"].items() if r["Type"] == "AWS::EC2::Volume")
        body["Resources"][volume]["Properties"]["Colour"] = "green"
        broken = self.change(region, "understudy-test-odd", "CREATE", json.dumps(body))
        self.assertEqual(self.execute(region, broken), "ROLLBACK_COMPLETE")
        self.assertIn((volume, "AWS::EC2::Volume: the lab does not know Colour"), [
            (name, reason.split(" (")[0]) for name, reason in self.reasons(region, "understudy-test-odd")])

        silent = self.change(region, "understudy-test-failing", "CREATE", render(SPECS["shop"], "primary"))
        host = next(n for n in self.resources if n.startswith("Etcd") and "CreationPolicy" in self.resources[n])
        self.assertEqual(self.execute(region, silent, {host: "FAILURE"}), "ROLLBACK_COMPLETE")
        first, reason = self.reasons(region, "understudy-test-failing")[0]
        self.assertEqual((first, reason), (
            host, f"Received FAILURE signal with UniqueId {f'i-0{host} {FAILURE}'[:64]}"))


if __name__ == "__main__":
    unittest.main()
