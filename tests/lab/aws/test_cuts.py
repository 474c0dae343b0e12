"""Each cut cuts what it says and nothing else, as plain sockets of members and functions see it."""

import itertools
import json
import socket
import sys
import time
import unittest
import urllib.request

from canary import Canary, enable

# A unit that speaks to whoever connects, says in the file `reached` what it reaches over new connections, and in
# the file `heard` what still comes over one connection that the other member made to it.
AGENT = """
import os, select, socket, sys, threading, time
own, other, gateway, control = [("ADDRESS", 7432), ("OTHER", 7432), ("127.0.0.1", GATEWAY), ("127.0.0.1", CONTROL)]
listening = socket.create_server(own)

def serve(accepted):
    accepted.send(b"hello")
    while True:
        time.sleep(0.05)
        try:
            accepted.send(b".")
        except OSError:
            return

def speak():
    while True:
        threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

def reaches(where, says):
    try:
        with socket.create_connection(where, 0.25) as asked:
            if says:
                asked.sendall(says)
            asked.settimeout(0.25)
            return bool(asked.recv(1))
    except OSError:
        return False

def listen():
    while True:
        try:
            with socket.create_connection(other, 0.25) as stream:
                stream.settimeout(None)
                while stream.recv(100):
                    write("heard", str(time.monotonic()))
                write("goodbyes", "one")
        except OSError:
            time.sleep(0.05)

def write(name, text):
    path = os.environ["ROOT"] + "/" + name
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)

threading.Thread(target=speak, daemon=True).start()
threading.Thread(target=listen, daemon=True).start()
GET = b"GET /_ministack/health HTTP/1.0\\r\\n\\r\\n"
while True:
    targets = {"itself": (own, b""), "other": (other, b""), "aws": (gateway, GET), "metadata": (control, GET)}
    began = time.monotonic()
    write("reached", str(began) + " " + " ".join(name for name, (to, says) in targets.items() if reaches(to, says)))
"""
USER_DATA = f"""#!/bin/bash
mkdir -p "$ROOT/opt/understudy"
cat > "$ROOT/opt/understudy/agent.py" <<'END'
{AGENT}
END
echo 'exec {sys.executable} "$ROOT/opt/understudy/agent.py"' > "$ROOT/opt/understudy/start.sh"
""" + enable("start")
A, B = "127.0.23.10", "127.0.23.11"
CLIENT = "127.0.0.9"
EVERYTHING = {f"{member} {target}" for member in "AB" for target in ("itself", "other", "aws", "metadata")} | {
    f"{who} {member}" for who, member in itertools.product(("function", "client", "host"), "AB")}


class Cuts(Canary):
    """Two members, a function, the lab's client."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        subnet = cls.subnet(cls, "127.0.23.0/24", "eu-west-1a")
        gateway, control = cls.aws.ports
        cls.ids = {}
        for name, address, other in (("A", A, B), ("B", B, A)):
            script = USER_DATA.replace("ADDRESS", address).replace("OTHER", other).replace(
                "GATEWAY", gateway).replace("CONTROL", control)
            (launched,) = cls.aws.client("ec2").run_instances(
                ImageId="ami-1", MinCount=1, MaxCount=1, UserData=script, SubnetId=subnet,
                PrivateIpAddress=address)["Instances"]
            cls.ids[name] = launched["InstanceId"]
        cls.aws.function("reaches", cls.aws.role("function", [{"Effect": "Allow", "Action": "*", "Resource": "*"}]))
        cls.aws.client("lambda").get_waiter("function_active_v2").wait(FunctionName="reaches")

    def setUp(self) -> None:
        self.within(10, lambda: self.reached() == EVERYTHING, "everything is reached")
        if "packets cannot" in self.aws.ready:
            for fault in ("cut-functions", "cut-aws", "isolate", f"cut-from/{self.ids['B']}"):
                status, done = self.aws.fault(self.ids["A"], fault)
                self.assertEqual((status, done["inbound_dropped"]), (501, False))
                self.assertIn("nothing was done", done["error"])
            self.skipTest("not root, or no nft")

    def reached(self) -> set[str]:
        """Who reaches what over new connections, looked at from now on."""
        found = set()
        for name, address in (("A", A), ("B", B)):
            if self.speaks(address, CLIENT):
                found.add(f"client {name}")
            if self.speaks(address, "127.0.0.1"):
                found.add(f"host {name}")
            ran = self.aws.client("lambda").invoke(
                FunctionName="reaches", Payload=json.dumps({"connect": [address, 7432]}))
            if json.load(ran["Payload"])["heard"].startswith("hello"):
                found.add(f"function {name}")
        now = time.monotonic()
        for name, instance_id in self.ids.items():
            found |= {f"{name} {target}" for target in self.report(instance_id, now)}
        return found

    def report(self, instance_id: str, since: float) -> list[str]:
        """What a member reaches, by a look that began after a moment of the clock that all processes share."""
        path = self.root_of(instance_id) / "reached"

        def fresh() -> list[str] | None:
            began, *names = path.read_text().split() if path.exists() else ["0"]
            return [*names, ""] if float(began) > since else None

        return self.within(8, fresh, f"{instance_id} looks around")[:-1]

    def speaks(self, address: str, source: str) -> bool:
        try:
            with socket.create_connection((address, 7432), 0.25, (source, 0)) as asked:
                asked.settimeout(0.25)
                return bool(asked.recv(1))
        except OSError:
            return False

    def hears(self, name: str) -> bool:
        """Whether anything comes over the connection that this member made to the other."""
        path = self.root_of(self.ids[name]) / "heard"
        before = path.read_text()
        time.sleep(0.4)
        return path.read_text() != before

    def cut(self, member: str, fault: str) -> None:
        """Does it, and undoes it after the test."""
        self.addCleanup(self.aws.fault, self.ids[member], "heal")
        status, done = self.aws.fault(self.ids[member], fault)
        self.assertEqual((status, done["inbound_dropped"], done["outbound_dropped"]), (200, True, True), done)

    def assert_cut(self, *expected: str) -> None:
        """Exactly this is not reached any more, and all of it again once it is healed."""
        self.assertEqual(EVERYTHING - self.reached(), set(expected))

    def test_cut_functions(self) -> None:
        self.cut("A", "cut-functions")
        self.assert_cut("function A")
        self.assertTrue(self.hears("A") and self.hears("B"))

    def test_cut_aws(self) -> None:
        self.cut("A", "cut-aws")
        self.assert_cut("A aws", "A metadata")
        # Whoever else asks for its metadata is answered.
        with urllib.request.urlopen(f"{self.aws.control}/control/instances", timeout=1) as answer:
            self.assertEqual(answer.status, 200)

    def test_cut_from(self) -> None:
        self.cut("A", f"cut-from/{self.ids['B']}")
        self.assert_cut("A other", "B other")
        self.aws.fault(self.ids["B"], "heal")
        self.assert_cut()

    def test_isolate(self) -> None:
        self.cut("A", "isolate")
        self.assert_cut("function A", "client A", "host A", "A other", "A aws", "A metadata", "B other")

    def test_partition(self) -> None:
        self.cut("A", "partition")
        self.assert_cut("function A", "host A", "A other", "A aws", "B other")

    def test_several_at_once_and_all_of_a_member_healed_together(self) -> None:
        self.cut("A", "cut-functions")
        self.cut("A", "cut-aws")
        self.cut("B", "cut-functions")
        self.assert_cut("function A", "function B", "A aws", "A metadata")
        self.aws.fault(self.ids["A"], "heal")
        self.assert_cut("function B")

    def test_open_connections_fall_silent_both_ways_and_go_on_when_healed(self) -> None:
        goodbyes = [self.root_of(self.ids[name]) / "goodbyes" for name in "AB"]
        for path in goodbyes:
            path.unlink(missing_ok=True)
        for fault in (f"cut-from/{self.ids['B']}", "isolate"):
            with self.subTest(fault=fault):
                self.within(5, lambda: self.hears("A") and self.hears("B"), "both hear each other")
                self.cut("A", fault)
                self.assertFalse(self.hears("A") or self.hears("B"))
                self.aws.fault(self.ids["A"], "heal")
                self.within(5, lambda: self.hears("A") and self.hears("B"), "both hear each other again")
        self.assertFalse(any(path.exists() for path in goodbyes), "nobody was told that the other is gone")

    def test_a_reboot_heals_and_a_wrong_name_is_refused(self) -> None:
        self.cut("A", f"cut-from/{self.ids['B']}")
        self.aws.client("ec2").reboot_instances(InstanceIds=[self.ids["A"]])
        self.within(5, lambda: self.reached() == EVERYTHING, "everything is reached")
        self.assertEqual(self.aws.fault(self.ids["A"], "cut-from/i-00000000000000000")[0], 404)
        self.assertEqual(self.aws.fault(self.ids["A"], f"cut-from/{self.ids['A']}")[0], 404)
        self.assertEqual(self.aws.fault(self.ids["A"], "cut-everything")[0], 404)


if __name__ == "__main__":
    unittest.main()
