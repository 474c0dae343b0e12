"""A Network Load Balancer of a stack listens, checks its targets and follows them."""

import json
import socket
import sys
import time
import unittest

from botocore.exceptions import ClientError
from canary import Canary, enable, encoded

INTERVAL = 1
# Answers health checks as the file `role` says, and connections with its address, until these end.
SERVER = """
import http.server, os, socketserver, threading
root, address = os.environ["ROOT"], "ADDRESS"
class Check(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        role = open(root + "/role").read().strip()
        self.send_response(200 if self.path == "/" + role else 503)
        self.end_headers()
    def log_message(self, *_): pass
class Speak(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(address.encode())
        while heard := self.request.recv(1000):
            self.request.sendall(heard)
http.server.ThreadingHTTPServer.allow_reuse_address = socketserver.ThreadingTCPServer.allow_reuse_address = True
threading.Thread(target=http.server.ThreadingHTTPServer((address, 8008), Check).serve_forever, daemon=True).start()
socketserver.ThreadingTCPServer((address, 5432), Speak).serve_forever()
"""
USER_DATA = f"""#!/bin/bash
cd "$ROOT"
mkdir -p opt/understudy
echo ROLE > role
cat > opt/understudy/server.py <<'END'
{SERVER}
END
echo 'cd "$ROOT"; exec {sys.executable} opt/understudy/server.py' > opt/understudy/server.sh
""" + enable("server")


def template(subnet: str, vpc: str, network: str, **attributes: str) -> dict:
    """A balancer with a writer's and a reader's group over two members."""
    hosts = {f"Member{n}": f"{network}.{9 + n}" for n in (1, 2)}
    roles = {"Member1": "primary", "Member2": "replica"}
    resources: dict[str, dict] = {name: {"Type": "AWS::EC2::Instance", "Properties": {
        "ImageId": "ami-1", "SubnetId": subnet, "PrivateIpAddress": address,
        "UserData": encoded(USER_DATA.replace("ADDRESS", address).replace("ROLE", roles[name]))}}
        for name, address in hosts.items()}
    resources["Balancer"] = {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {
        "Scheme": "internal", "Type": "network", "Subnets": [subnet], "LoadBalancerAttributes": [
            {"Key": "load_balancing.cross_zone.enabled", "Value": "true"}]}}
    for name, port, path in (("Writer", 5432, "/primary"), ("Reader", 5433, "/replica")):
        resources[f"{name}Group"] = {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {
            "VpcId": vpc, "TargetType": "instance", "Protocol": "TCP", "Port": 5432,
            "Targets": [{"Id": {"Ref": member}} for member in hosts],
            "HealthCheckProtocol": "HTTP", "HealthCheckPort": "8008", "HealthCheckPath": path,
            "HealthCheckIntervalSeconds": INTERVAL, "HealthCheckTimeoutSeconds": 1, "HealthyThresholdCount": 2,
            "UnhealthyThresholdCount": 2, "Matcher": {"HttpCode": "200"},
            "TargetGroupAttributes": [{"Key": key, "Value": value} for key, value in attributes.items()]}}
        resources[f"{name}Listener"] = {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {
            "LoadBalancerArn": {"Ref": "Balancer"}, "Protocol": "TCP", "Port": port,
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": f"{name}Group"}}]}}
    return {"Resources": resources, "Outputs": {
        "Name": {"Value": {"Fn::GetAtt": ["Balancer", "DNSName"]}},
        "Full": {"Value": {"Fn::GetAtt": ["Balancer", "LoadBalancerFullName"]}},
        "Group": {"Value": {"Ref": "WriterGroup"}}}}


class Balancers(Canary):
    """One stack with a balancer."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.cfn, cls.elb = cls.aws.client("cloudformation"), cls.aws.client("elbv2")
        cls.subnet_id = cls.subnet(cls, "127.0.25.0/24", "eu-west-1a")
        cls.vpc_id = cls.aws.client("ec2").describe_subnets(SubnetIds=[cls.subnet_id])["Subnets"][0]["VpcId"]

    def deploy(self, body: dict) -> dict:
        """Makes the stack; its outputs."""
        self.cfn.create_stack(StackName="front", TemplateBody=json.dumps(body))
        self.addCleanup(self.delete)
        self.within(15, lambda: self.status() == "CREATE_COMPLETE", "the stack is complete")
        (stack,) = self.cfn.describe_stacks(StackName="front")["Stacks"]
        self.fronts = self.within(5, self.listening, "the front listens")
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def status(self) -> str:
        return self.cfn.describe_stacks(StackName="front")["Stacks"][0]["StackStatus"]

    def delete(self) -> None:
        self.cfn.delete_stack(StackName="front")
        self.within(15, lambda: not self.aws.ask("balancers", method="GET")[1]["balancers"], "the front is gone")

    def listening(self) -> list[dict]:
        shown = self.aws.ask("balancers", method="GET")[1]["balancers"]
        return shown if shown and len(shown[0]["listeners"]) == 2 else []

    def connect(self, port: int) -> socket.socket:
        return socket.create_connection((self.fronts[0]["address"], port), 2)

    def heard(self, port: int) -> str:
        """Who answers behind a port; nothing if nobody does."""
        with self.connect(port) as asked:
            try:
                return asked.recv(100).decode()
            except OSError:
                return ""

    def states(self, group: str) -> dict[str, str]:
        shown = self.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return {t["Target"]["Id"]: t["TargetHealth"]["State"] for t in shown}

    def test_it_follows_roles_and_ends_what_goes_to_an_unhealthy_target(self) -> None:
        outputs = self.deploy(template(self.subnet_id, self.vpc_id, "127.0.25"))
        self.assertRegex(outputs["Name"], r"^[a-z0-9-]+\.elb\.eu-west-1\.amazonaws\.com$")
        self.assertTrue(outputs["Full"].startswith("net/"), outputs["Full"])
        (shown,) = self.elb.describe_load_balancers()["LoadBalancers"]
        self.assertEqual((shown["DNSName"], shown["VpcId"], shown["Scheme"]),
                         (outputs["Name"], self.vpc_id, "internal"))
        one, two = (self.cfn.describe_stack_resource(StackName="front", LogicalResourceId=name)[
            "StackResourceDetail"]["PhysicalResourceId"] for name in ("Member1", "Member2"))
        group = outputs["Group"]
        self.within(6, lambda: self.states(group) == {one: "healthy", two: "unhealthy"}, "one is healthy")
        self.assertEqual({self.heard(5432) for _ in range(5)}, {"127.0.25.10"})
        self.assertEqual({self.heard(5433) for _ in range(5)}, {"127.0.25.11"})
        open_ = self.connect(5432)
        self.addCleanup(open_.close)
        self.assertEqual(open_.recv(100), b"127.0.25.10")
        open_.sendall(b"x" * 900)
        self.assertEqual(open_.recv(1000), b"x" * 900)
        (self.root_of(one) / "role").write_text("replica")
        (self.root_of(two) / "role").write_text("primary")
        began = time.monotonic()
        with self.assertRaises(ConnectionResetError):
            open_.recv(100)
        self.assertGreater(time.monotonic() - began, 0.9 * INTERVAL, "the first bad answer is not enough")
        self.within(3, lambda: self.states(group) == {one: "unhealthy", two: "healthy"}, "the roles are exchanged")
        self.assertEqual({self.heard(5432) for _ in range(5)}, {"127.0.25.11"})

        self.aws.fault(two, "kill-host")
        self.within(5, lambda: self.states(group)[two] == "unhealthy", "a dead host is unhealthy")
        heard = next(filter(None, (self.heard(5432) for _ in range(15))), "")
        self.assertEqual(heard, "127.0.25.10", "none is healthy: any is tried")
        self.aws.client("ec2").stop_instances(InstanceIds=[two])
        self.within(3, lambda: self.states(group)[two] == "unused", "a stopped host is not used")
        self.assertEqual({self.heard(5432) for _ in range(5)}, {"127.0.25.10"})

    def test_what_elb_does_not_know_fails_the_stack(self) -> None:
        body = template(self.subnet_id, self.vpc_id, "127.0.25", **{"deregistration_delay.timeout": "3"})
        self.cfn.create_stack(StackName="odd", TemplateBody=json.dumps(body))
        self.within(15, lambda: self.cfn.describe_stacks(StackName="odd")["Stacks"][0]["StackStatus"]
                    == "ROLLBACK_COMPLETE", "the stack is rolled back")
        reasons = [e.get("ResourceStatusReason", "") for e in self.cfn.describe_stack_events(
            StackName="odd")["StackEvents"]]
        self.assertTrue(any("deregistration_delay.timeout is not recognized" in reason for reason in reasons), reasons)
        with self.assertRaises(ClientError):
            self.elb.describe_target_health(TargetGroupArn="arn:aws:elasticloadbalancing:eu-west-1:000000000000:"
                                                           "targetgroup/none/1")


if __name__ == "__main__":
    unittest.main()
