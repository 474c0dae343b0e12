"""SSM Run Command: what reaches a member, what comes back, who may."""

import time
import unittest

from botocore.exceptions import ClientError
from canary import Canary, processes_inside

MEMBER = """#!/bin/bash
set -eu
mkdir -p "$ROOT/opt/understudy"
echo 'echo "in $ROOT at $PWD"; echo oops >&2; exit "$1"' > "$ROOT/opt/understudy/answer.sh"
"""
DOCUMENT = "arn:aws:ssm:*:*:document/AWS-RunShellScript"
OPEN = ("Pending", "InProgress", "Cancelling")


def tagged(fleet: str) -> list[dict]:
    """The tags of a member of a fleet, for a launch."""
    return [{"ResourceType": "instance", "Tags": [{"Key": "understudy:fleet", "Value": fleet}]}]


class Commands(Canary):
    """Commands sent by the account's owner."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        # Not checked by the SDK: shorter time-outs than AWS takes, and what the server is to refuse.
        cls.ssm, cls.ec2 = cls.aws.client("ssm", parameter_validation=False), cls.aws.client("ec2")

    def member(self) -> str:
        """Boots a member that is gone after the test."""
        instance_id = self.boot(MEMBER)
        self.addCleanup(self.ec2.terminate_instances, InstanceIds=[instance_id])
        self.within(5, lambda: "user data ended" in self.console(instance_id), "it has booted")
        return instance_id

    def send(self, instance_id: str, *commands: str, seconds: int = 60, **how) -> str:
        """Sends a command; returns its id."""
        return self.ssm.send_command(
            InstanceIds=[instance_id], DocumentName="AWS-RunShellScript", Comment="a test",
            Parameters={"commands": list(commands), "executionTimeout": [str(seconds)]}, **how)["Command"]["CommandId"]

    def seen(self, command_id: str, instance_id: str) -> dict:
        """What GetCommandInvocation says."""
        return self.ssm.get_command_invocation(CommandId=command_id, InstanceId=instance_id)

    def ended(self, command_id: str, instance_id: str, seconds: float = 5) -> dict:
        """What it says when the command has ended."""
        def check() -> dict | None:
            seen = self.seen(command_id, instance_id)
            return None if seen["Status"] in OPEN else seen
        return self.within(seconds, check, "the command ends")

    def outcome(self, command_id: str, instance_id: str) -> tuple[str, str, int]:
        """How a command ended."""
        seen = self.ended(command_id, instance_id)
        return seen["Status"], seen["StatusDetails"], seen["ResponseCode"]

    def begun(self, command_id: str, instance_id: str) -> None:
        self.within(3, lambda: self.seen(command_id, instance_id)["Status"] == "InProgress", "it runs")

    def test_it_runs_on_the_member_and_says_how_it_ended(self) -> None:
        member = self.member()
        # Where the scripts are on an instance: in the lab those of this member.
        command = self.send(member, "bash /opt/understudy/answer.sh 3")
        seen = self.ended(command, member)
        self.assertEqual((seen["Status"], seen["StatusDetails"], seen["ResponseCode"]), ("Failed", "Failed", 3))
        root = self.root_of(member)
        self.assertEqual(seen["StandardOutputContent"], f"in {root} at {root}\n")
        self.assertEqual(seen["StandardErrorContent"], "oops\n")
        self.assertEqual((seen["Comment"], seen["PluginName"]), ("a test", "aws:runShellScript"))
        good = self.ended(self.send(
            member, "#!/bin/bash", 'bash "$ROOT/opt/understudy/answer.sh" 0', "echo ${BASH}"), member)
        self.assertEqual((good["Status"], good["ResponseCode"]), ("Success", 0))
        self.assertIn("bash\n", good["StandardOutputContent"])
        shown = self.ssm.list_commands(CommandId=command)["Commands"][0]
        self.assertEqual((shown["Status"], shown["ErrorCount"]), ("Failed", 1))

    def test_output_is_cut_where_ssm_cuts_it(self) -> None:
        member = self.member()
        seen = self.ended(self.send(member, "yes ä | head -n 40000; yes o | head -n 9000 >&2"), member)
        self.assertEqual(seen["StandardOutputContent"], "ä\n" * 12000)
        self.assertEqual(seen["StandardErrorContent"], "o\n" * 4000)

    def test_what_ssm_refuses(self) -> None:
        with self.assertRaisesRegex(ClientError, "InvalidInstanceId"):
            self.send("i-00000000000000000", "true")
        member = self.boot(MEMBER)
        for wrong, code in (({"DocumentName": "AWS-RunPowerShellScript"}, "InvalidDocument"),
                            ({"Parameters": {"commands": []}}, "InvalidParameters"),
                            ({"Parameters": {"commands": ["true"], "executionTimeout": ["0"]}}, "InvalidParameters"),
                            ({"TimeoutSeconds": 2592001}, "ValidationException")):
            with self.subTest(code=code), self.assertRaisesRegex(ClientError, code):
                self.ssm.send_command(**{"InstanceIds": [member], "DocumentName": "AWS-RunShellScript",
                                         "Parameters": {"commands": ["true"]}, **wrong})
        with self.assertRaisesRegex(ClientError, "InvocationDoesNotExist"):
            self.seen("00000000-0000-0000-0000-000000000000", member)
        command = self.send(member, "true")
        with self.assertRaisesRegex(ClientError, "InvocationDoesNotExist"):
            self.seen(command, "i-00000000000000000")
        self.ec2.stop_instances(InstanceIds=[member])
        with self.assertRaisesRegex(ClientError, "InvalidInstanceId"):
            self.send(member, "true")

    def test_a_member_that_nothing_reaches_does_not_get_it(self) -> None:
        faults = ["kill-host", "hang"] + (
            ["cut-aws", "isolate", "partition"] if "packets can be" in self.aws.ready else [])
        for fault in faults:
            with self.subTest(fault=fault):
                member = self.member()
                self.assertEqual(self.aws.fault(member, fault)[0], 200)
                command = self.send(member, "touch $ROOT/ran", TimeoutSeconds=1)
                time.sleep(0.4)
                seen = self.seen(command, member)
                self.assertEqual((seen["Status"], seen["ResponseCode"]), ("Pending", -1))
                self.assertEqual(self.outcome(command, member), ("TimedOut", "DeliveryTimedOut", -1))
                self.aws.fault(member, "resume")
                self.aws.fault(member, "heal")
                time.sleep(0.2)
                self.assertFalse((self.root_of(member) / "ran").exists(), "too late")

    def test_it_is_delivered_as_soon_as_the_member_is_back(self) -> None:
        member = self.member()
        self.aws.fault(member, "hang")
        command = self.send(member, "true", TimeoutSeconds=30)
        time.sleep(0.3)
        self.assertEqual(self.seen(command, member)["Status"], "Pending")
        self.aws.fault(member, "resume")
        self.assertEqual(self.outcome(command, member), ("Success", "Success", 0))

    def test_it_dies_with_its_host_which_tells_so_after_its_next_boot(self) -> None:
        member = self.member()
        command = self.send(member, "exec sleep 1000")
        self.begun(command, member)
        self.aws.fault(member, "kill-host")
        self.assertEqual(processes_inside(self.root_of(member)), {})
        time.sleep(0.3)
        self.assertEqual(self.seen(command, member)["Status"], "InProgress", "nobody is there who could tell")
        self.ec2.stop_instances(InstanceIds=[member])
        self.within(3, lambda: self.state(member) == "stopped", "the state stopped")
        self.ec2.start_instances(InstanceIds=[member])
        self.assertEqual(self.outcome(command, member), ("Failed", "Failed", -1))

    def test_it_goes_on_while_its_member_is_cut_off_and_tells_later(self) -> None:
        member = self.member()
        command = self.send(member, "sleep 0.5; echo done")
        self.begun(command, member)
        if self.aws.fault(member, "cut-aws")[0] == 501:
            self.skipTest("packets cannot be dropped")
        time.sleep(1)
        self.assertEqual(self.seen(command, member)["Status"], "InProgress")
        self.aws.fault(member, "heal")
        self.assertEqual(self.ended(command, member)["StandardOutputContent"], "done\n")

    def test_it_ends_after_its_time_or_when_it_is_cancelled_with_all_that_it_started(self) -> None:
        member = self.member()
        slow = self.send(member, "sleep 1001 & sleep 1000", seconds=1)
        other = self.send(member, "sleep 1003 & sleep 1002")
        self.begun(other, member)
        self.assertEqual(self.outcome(slow, member), ("TimedOut", "ExecutionTimedOut", 137))
        self.assertEqual(sorted(c.strip() for c in processes_inside(self.root_of(member)).values() if "sleep 1" in c
                                and c.startswith("sleep")), ["sleep 1002", "sleep 1003"])
        self.ssm.cancel_command(CommandId=other)
        self.assertEqual(self.outcome(other, member), ("Cancelled", "Cancelled", 137))
        self.assertEqual(processes_inside(self.root_of(member)), {})

    def test_invocations_are_listed_by_instance_and_by_command(self) -> None:
        one, two = self.member(), self.member()
        first, second, third = (self.send(m, f"echo {m}") for m in (one, one, two))
        for command, member in ((first, one), (second, one), (third, two)):
            self.ended(command, member)

        def listed(**by) -> list[str]:
            return [i["CommandId"] for i in self.ssm.list_command_invocations(**by)["CommandInvocations"]]

        self.assertEqual(sorted(listed(InstanceId=one)), sorted([first, second]))
        self.assertEqual(listed(CommandId=third), [third])
        self.assertEqual(listed(CommandId=third, InstanceId=one), [])
        (shown,) = self.ssm.list_command_invocations(CommandId=third, Details=True)["CommandInvocations"]
        self.assertEqual((shown["Status"], shown["CommandPlugins"][0]["Output"]), ("Success", f"{two}\n"))


class Permission(Canary):
    """SendCommand is allowed on the document and on each instance, or not at all."""

    def test_the_document_and_the_instances_tags_decide(self) -> None:
        own, foreign = (self.boot(MEMBER, TagSpecifications=tagged(fleet)) for fleet in ("lab", "other"))
        on_document = {"Effect": "Allow", "Action": "ssm:SendCommand", "Resource": DOCUMENT}
        for key in ("aws:ResourceTag/understudy:fleet", "ssm:resourceTag/understudy:fleet"):
            with self.subTest(key=key):
                on_instances = {
                    "Effect": "Allow", "Action": "ssm:SendCommand", "Resource": "arn:aws:ec2:*:*:instance/*",
                    "Condition": {"StringEquals": {key: "lab"}}}
                name = key.partition(":")[0]
                self.assertTrue(self.may(f"{name}-both", [on_document, on_instances], own))
                self.assertFalse(self.may(f"{name}-foreign", [on_document, on_instances], foreign))
                self.assertFalse(self.may(f"{name}-one-foreign", [on_document, on_instances], own, foreign))
                self.assertFalse(self.may(f"{name}-no-document", [on_instances], own))
        self.assertFalse(self.may("no-instances", [on_document], own))

    def test_reading_what_came_of_it_is_a_right_of_its_own(self) -> None:
        member = self.boot(MEMBER)
        sent = self.aws.client("ssm").send_command(InstanceIds=[member], DocumentName="AWS-RunShellScript",
                                                   Parameters={"commands": ["true"]})["Command"]["CommandId"]
        self.aws.role("reads", [{"Effect": "Allow", "Action": "ssm:GetCommandInvocation", "Resource": "*"}])
        self.aws.role("none", [{"Effect": "Allow", "Action": "ssm:SendCommand", "Resource": "*"}])
        self.assertEqual(self.aws.as_role("ssm", "reads").get_command_invocation(
            CommandId=sent, InstanceId=member)["CommandId"], sent)
        with self.assertRaisesRegex(ClientError, "AccessDenied"):
            self.aws.as_role("ssm", "none").get_command_invocation(CommandId=sent, InstanceId=member)

    def may(self, role: str, statements: list[dict], *instances: str) -> bool:
        """Whether a role with these statements may send a command to these instances."""
        self.aws.role(role, statements)
        try:
            self.aws.as_role("ssm", role).send_command(
                InstanceIds=list(instances), DocumentName="AWS-RunShellScript", Parameters={"commands": ["true"]})
        except ClientError as error:
            self.assertIn("AccessDenied", str(error))
            return False
        return True


if __name__ == "__main__":
    unittest.main()
