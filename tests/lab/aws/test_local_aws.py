"""Fails when MiniStack no longer takes the patches of instances, members, imds and packets.

    python -m unittest discover --start-directory tests/lab/aws
"""

import json
import signal
import socket
import subprocess
import sys
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import ClientError
from canary import START_SECONDS, STOP_SECONDS, Canary, enable, processes_inside

# A member that leaves a daemon behind, which holds a connection to elsewhere, and
# a unit whose first process is called `postgres` and answers on its address.
USER_DATA = """#!/bin/bash
set -eu
echo "user data of $IMDS at $AWS_ENDPOINT_URL"
cd "$ROOT"
setsid bash -c 'cd "$ROOT/tmp" && exec 3<>/dev/tcp/127.0.0.1/ELSEWHERE; exec sleep 1000' &
mkdir -p opt/understudy
cat > opt/understudy/start.sh <<'END'
cd "$ROOT/opt"
echo started >> "$ROOT/starts"
exec PYTHON -c "
import os, socket, urllib.request
open('/proc/self/comm', 'w').write('postgres')
if os.fork() == 0:
    os.setsid()
listening = socket.create_server(('127.0.21.9', 7432), reuse_port=True)
while True:
    asked, _ = listening.accept()
    try:
        urllib.request.urlopen('$AWS_ENDPOINT_URL/_ministack/health', timeout=0.3)
        asked.send(b'connected')
    except OSError:
        asked.send(b'cut off')
    asked.close()
"
END
""".replace("PYTHON", sys.executable) + enable("start")
ANYTHING = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
MEMBER = ("127.0.21.9", 7432)
# The daemon, the two of the unit, and the unit's supervisor.
UP = 4


class Instances(Canary):
    """One instance through its life, in the order of the tests' names."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.ec2 = cls.aws.client("ec2")
        cls.queue = cls.aws.queue("states", {
            "source": ["aws.ec2"], "detail-type": ["EC2 Instance State-change Notification"]})
        cls.aws.role("member", [{"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "*"}], profile=True)
        cls.aws.client("ssm").put_parameter(Name="/card", Value="{}", Type="String")
        subnet = cls.subnet(cls, "127.0.21.0/24", "eu-west-1b")
        interface = cls.ec2.create_network_interface(SubnetId=subnet, PrivateIpAddress=MEMBER[0])["NetworkInterface"]
        cls.interface, cls.subnet_id = interface["NetworkInterfaceId"], subnet
        cls.elsewhere = socket.create_server(("127.0.0.1", 0))
        cls.addClassCleanup(cls.elsewhere.close)
        launched = cls.ec2.run_instances(
            ImageId="ami-1", InstanceType="t3.micro", MinCount=1, MaxCount=1,
            UserData=USER_DATA.replace("ELSEWHERE", str(cls.elsewhere.getsockname()[1])),
            NetworkInterfaces=[{"NetworkInterfaceId": cls.interface, "DeviceIndex": 0}],
            IamInstanceProfile={"Name": "member"})["Instances"][0]
        cls.launched, cls.id = launched, launched["InstanceId"]
        cls.root = cls.aws.directory / "members" / cls.id

    def starts(self) -> int:
        """How often the unit was started."""
        path = self.root / "starts"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def ask(self, source: str = "", timeout: float = 0.7) -> str:
        """What the member answers a connection, or why it does not."""
        try:
            with socket.create_connection(MEMBER, timeout, (source, 0) if source else None) as asked:
                return asked.recv(100).decode() or "closed"
        except TimeoutError:
            return "silence"
        except OSError:
            return "refused"

    def heard(self, connection: socket.socket) -> str:
        """What comes over an open connection on which the other side has nothing to say."""
        connection.settimeout(0.7)
        try:
            return connection.recv(1).decode() or "goodbye"
        except TimeoutError:
            return "silence"
        except ConnectionResetError:
            return "goodbye"

    def answers(self) -> None:
        """Waits for the member to be up."""
        self.within(5, lambda: self.ask() == "connected", "the member answers")

    def states(self) -> list[str]:
        """The states that arrived as events since the last call."""
        return [event["detail"]["state"] for event in self.aws.received(self.queue)]

    def test_1_runs_in_its_subnet_and_says_so(self) -> None:
        self.assertEqual(self.launched["State"]["Name"], "pending")
        self.answers()
        self.within(START_SECONDS + 2, lambda: self.state(self.id) == "running", "the state running")
        shown = self.ec2.describe_instances(Filters=[
            {"Name": "private-ip-address", "Values": [MEMBER[0]]},
            {"Name": "instance-state-name", "Values": ["running"]}])["Reservations"][0]["Instances"][0]
        self.assertEqual(shown["Placement"]["AvailabilityZone"], "eu-west-1b")
        self.assertEqual(shown["NetworkInterfaces"][0]["NetworkInterfaceId"], self.interface)
        self.assertEqual(self.states(), ["pending", "running"])
        self.assertIn(f"user data of {self.aws.control}/{self.id} at {self.aws.gateway}", self.console(self.id))

    def test_2_refuses_what_ec2_refuses(self) -> None:
        create = self.ec2.create_network_interface
        with self.assertRaisesRegex(ClientError, "InvalidIPAddress.InUse"):
            create(SubnetId=self.subnet_id, PrivateIpAddress=MEMBER[0])
        with self.assertRaisesRegex(ClientError, "does not fall within"):
            create(SubnetId=self.subnet_id, PrivateIpAddress="10.0.0.1")
        with self.assertRaisesRegex(ClientError, "InvalidNetworkInterface.InUse"):
            self.ec2.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1, NetworkInterfaces=[
                {"NetworkInterfaceId": self.interface, "DeviceIndex": 0}])
        with self.assertRaisesRegex(ClientError, "limited to 16384 bytes"):
            self.ec2.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1, UserData="#" * 16385)
        self.assertEqual(create(SubnetId=self.subnet_id)["NetworkInterface"]["PrivateIpAddress"], "127.0.21.4")

    def test_3_metadata_needs_a_token_and_gives_the_roles_credentials(self) -> None:
        self.assertEqual(self.aws.imds(self.id, "meta-data/instance-id", token="guess"), (401, ""))
        status, token = self.aws.imds(self.id, "api/token", method="PUT")
        self.assertEqual(status, 200)
        self.assertEqual(self.aws.imds(self.id, "meta-data/instance-id", token), (200, self.id))
        path = "meta-data/iam/security-credentials/"
        self.assertEqual(self.aws.imds(self.id, path, token), (200, "member"))
        held = json.loads(self.aws.imds(self.id, f"{path}member", token)[1])
        names = (held["AccessKeyId"], held["SecretAccessKey"], held["Token"])
        ssm = self.aws.client("ssm", *names)
        self.assertEqual(ssm.get_parameter(Name="/card")["Parameter"]["Value"], "{}")
        with self.assertRaisesRegex(ClientError, "AccessDenied"):
            ssm.put_parameter(Name="/card", Value="x", Type="String", Overwrite=True)
        with self.assertRaisesRegex(ClientError, "UnauthorizedOperation"):
            self.aws.client("ec2", *names).stop_instances(InstanceIds=[self.id])

        def renewed() -> bool:
            return json.loads(self.aws.imds(self.id, f"{path}member", token)[1])["AccessKeyId"] != names[0]

        self.within(6, renewed, "credentials are renewed before they expire")

    def test_4_postgresql_is_started_again_and_the_hosts_daemon_lives(self) -> None:
        self.answers()
        before = self.starts()
        status, done = self.aws.fault(self.id, "kill-postmaster")
        self.assertEqual((status, done["processes"]), (200, 1))
        self.within(4, lambda: self.starts() == before + 1, "the unit is started again")
        self.answers()
        self.assertEqual(sum("sleep 1000" in p for p in processes_inside(self.root).values()), 1)
        self.assertEqual(sum("postgres" in p for p in processes_inside(self.root).values()), 2)

    def test_5_hangs_and_resumes(self) -> None:
        self.answers()
        self.assertEqual(self.aws.fault(self.id, "hang")[1]["processes"], 3)
        self.assertEqual(self.ask(), "silence")
        self.assertEqual(self.aws.fault(self.id, "resume")[0], 200)
        self.answers()

    def test_6_is_cut_off_from_all_but_the_client(self) -> None:
        self.answers()
        status, done = self.aws.fault(self.id, "partition")
        if "packets cannot" in self.aws.ready:
            self.assertEqual((status, done["inbound_dropped"]), (501, False))
            self.skipTest("not root, or no nft")
        self.assertTrue(done["inbound_dropped"])
        self.assertEqual(self.ask(), "silence")
        self.assertEqual(self.ask("127.0.0.9"), "cut off" if done["outbound_dropped"] else "connected")
        self.assertEqual(self.aws.fault(self.id, "heal")[0], 200)
        self.answers()

    def test_7_dies_at_once_while_ec2_says_running(self) -> None:
        self.answers()
        self.states()
        with self.elsewhere.accept()[0] as from_member:
            began = time.monotonic()
            status, done = self.aws.fault(self.id, "kill-host")
            self.assertLess(time.monotonic() - began, 0.5)
            self.assertEqual(self.heard(from_member), "silence" if done["outbound_dropped"] else "goodbye")
        self.assertEqual((status, done["processes"]), (200, 3))
        self.assertEqual(processes_inside(self.root), {})
        self.assertEqual(self.ask(), "silence" if done["inbound_dropped"] else "refused")
        self.assertEqual((self.state(self.id), self.states()), ("running", []))
        self.assertEqual(self.aws.fault(self.id, "heal")[0], 409)

    def test_8_stops_starts_and_boots_without_its_user_data(self) -> None:
        self.ec2.stop_instances(InstanceIds=[self.id], Force=True)
        self.assertEqual(self.state(self.id), "stopping")
        with self.assertRaisesRegex(ClientError, "IncorrectInstanceState"):
            self.ec2.start_instances(InstanceIds=[self.id])
        self.within(STOP_SECONDS + 2, lambda: self.state(self.id) == "stopped", "the state stopped")
        self.ec2.stop_instances(InstanceIds=[self.id])
        self.assertEqual(self.states(), ["stopping", "stopped"])
        with self.assertRaisesRegex(ClientError, "IncorrectInstanceState"):
            self.ec2.reboot_instances(InstanceIds=[self.id])
        self.ec2.start_instances(InstanceIds=[self.id])
        self.answers()
        self.assertEqual(self.console(self.id).count("user data of"), 1)
        self.within(START_SECONDS + 2, lambda: self.state(self.id) == "running", "the state running")
        with self.assertRaisesRegex(ClientError, "InvalidInstanceID.NotFound"):
            self.ec2.reboot_instances(InstanceIds=["i-00000000000000000"])
        # Killed while it runs: nothing of it is left when the call returns, or just after.
        self.ec2.stop_instances(InstanceIds=[self.id])
        self.within(0.3, lambda: not processes_inside(self.root), "no process is left")
        self.within(STOP_SECONDS + 2, lambda: self.state(self.id) == "stopped", "the state stopped")
        self.ec2.start_instances(InstanceIds=[self.id])
        self.answers()

    def test_9_ends_and_leaves_only_its_interface_and_console(self) -> None:
        self.ec2.terminate_instances(InstanceIds=[self.id])
        self.assertEqual(self.state(self.id), "shutting-down")
        self.within(STOP_SECONDS + 2, lambda: self.state(self.id) == "terminated", "the state terminated")
        self.assertEqual([entry.name for entry in self.root.iterdir()], ["console.log"])
        (interface,) = self.ec2.describe_network_interfaces(NetworkInterfaceIds=[self.interface])["NetworkInterfaces"]
        self.assertEqual(interface["Status"], "available")
        self.assertIn("terminated", self.states())


class Shutdown(Canary):
    """Nothing is left behind, or not for long."""

    def member(self) -> str:
        """Boots a member; returns its id."""
        ec2 = self.aws.client("ec2")
        launched = ec2.run_instances(
            ImageId="ami-1", MinCount=1, MaxCount=1, UserData=USER_DATA.replace("ELSEWHERE", "9"))
        instance_id = launched["Instances"][0]["InstanceId"]
        root = self.aws.directory / "members" / instance_id
        self.within(5, lambda: (root / "starts").exists() and len(processes_inside(root)) == UP,
                    "the member is up")
        return instance_id

    def test_sigterm_kills_members_and_functions_even_in_the_middle_of_an_invocation(self) -> None:
        self.member()
        function = self.aws.function("echo", self.aws.role("function", ANYTHING))
        # A function is not ready the moment it is made.
        self.aws.client("lambda").get_waiter("function_active_v2").wait(FunctionName=function)
        threads = ThreadPoolExecutor()
        self.addCleanup(threads.shutdown)
        invoked = threads.submit(self.aws.client("lambda").invoke, FunctionName=function, Payload='{"sleep": 60}')
        log = self.aws.directory / "functions" / "echo.log"
        self.within(5, lambda: log.exists() and "sleep" in log.read_text(), "the function sleeps")
        self.assertIn("bootstrap", " ".join(processes_inside(self.aws.directory).values()))
        self.aws.stop()
        self.assertEqual(invoked.result()["FunctionError"], "Unhandled")
        self.assertEqual(processes_inside(self.aws.directory), {})
        self.assertEqual(self.aws.process.returncode, 0)
        if "packets can be" in self.aws.ready:
            self.assertNotIn("understudy_lab_" + self.aws.ports[1], subprocess.run(
                ["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout)
        self.aws.start()

    def test_what_outlives_a_killed_local_aws_dies_when_the_next_one_starts(self) -> None:
        root = self.aws.directory / "members" / self.member()
        self.aws.stop(signal.SIGKILL)
        self.assertEqual(len(processes_inside(root)), UP)
        self.aws.start()
        self.assertEqual(processes_inside(root), {})
        self.assertFalse(root.exists())


if __name__ == "__main__":
    unittest.main()
