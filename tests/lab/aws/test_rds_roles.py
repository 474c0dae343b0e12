"""The stack of a cluster of RDS, rendered anew after Understudy promoted a replica: CloudFormation promotes nothing a
second time, replaces only the old writer's place, and leaves the old writer alone.

    python -m unittest discover --start-directory tests/lab/aws
"""

import json
import pathlib
import unittest

from test_rds_stacks import StackCanary

GOLDEN = pathlib.Path(__file__).parents[2] / "golden"
NAME = "example-leads"


class Roles(StackCanary):
    """`leads`, with a standby and one replica."""

    def template(self, name: str) -> str:
        """A golden template in the lab's subnets, not protected."""
        text = (GOLDEN / f"{name}.json").read_text().replace('"DeletionProtection": true', '"DeletionProtection": false')
        for number, subnet in enumerate(self.subnets, 1):
            text = text.replace(f"subnet-0123456789abcdef{number}", subnet)
        # CloudFormation takes 51,200 bytes.
        return json.dumps(json.loads(text), separators=(",", ":"))

    def act(self, name: str) -> str:
        """Makes or updates the stack; its last status."""
        stacks = self.aws.client("cloudformation")
        known = {stack["StackName"] for stack in stacks.describe_stacks()["Stacks"]}
        act = stacks.update_stack if "leads" in known else stacks.create_stack
        act(StackName="leads", TemplateBody=self.template(name), Capabilities=["CAPABILITY_IAM"])
        return self.within(120, lambda: self.ended("leads"), "the stack ends")

    def source(self, place: str) -> str:
        """Whom an instance replicates from."""
        return self.instance(f"{NAME}-{place}").get("ReadReplicaSourceDBInstanceIdentifier", "")

    def test_1_deploy(self) -> None:
        zones = ("eu-west-1a", "eu-west-1b", "eu-west-1c")
        type(self).subnets = [self.subnet(f"127.0.{60 + at}.0/24", zone) for at, zone in enumerate(zones)]
        self.assertEqual(self.act("leads"), "CREATE_COMPLETE", self.reasons("leads") + self.log())
        self.assertEqual(self.source("2"), f"{NAME}-1")
        self.assertTrue(self.instance(f"{NAME}-1")["MultiAZ"])
        self.assertEqual(self.instance(f"{NAME}-2")["BackupRetentionPeriod"], 0)

    def test_2_rendered_anew_after_a_promotion(self) -> None:
        self.rds.promote_read_replica(DBInstanceIdentifier=f"{NAME}-2", BackupRetentionPeriod=30)
        self.within(60, lambda: not self.source("2"), "the replica is promoted")
        self.available(f"{NAME}-2")
        self.assertEqual(self.act("leads.promoted"), "UPDATE_COMPLETE", self.reasons("leads") + self.log())
        self.assertEqual((self.source("2"), self.source("1-g2")), ("", f"{NAME}-2"))
        writer = self.available(f"{NAME}-2")
        self.assertEqual((writer["MultiAZ"], writer["BackupRetentionPeriod"]), (True, 30))
        self.assertEqual(self.instance(f"{NAME}-1")["DBInstanceStatus"], "available", "the old writer stays")

    def test_3_the_same_again_changes_nothing(self) -> None:
        stacks = self.aws.client("cloudformation")
        with self.assertRaisesRegex(Exception, "No updates"):
            stacks.update_stack(StackName="leads", TemplateBody=self.template("leads.promoted"),
                                Capabilities=["CAPABILITY_IAM"])

    def test_4_delete(self) -> None:
        self.aws.client("cloudformation").delete_stack(StackName="leads")
        self.within(60, lambda: len(self.rds.describe_db_instances()["DBInstances"]) == 2, "replicas go")
        left = {instance["DBInstanceIdentifier"] for instance in self.rds.describe_db_instances()["DBInstances"]}
        self.assertEqual(left, {f"{NAME}-1", f"{NAME}-2"}, "what has written stays")


if __name__ == "__main__":
    unittest.main()
