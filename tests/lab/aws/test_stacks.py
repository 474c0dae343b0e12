"""Fails when MiniStack no longer deploys a cluster's stack as CloudFormation does."""

import json
import time
import unittest

from botocore.exceptions import ClientError, WaiterError
from canary import Canary, encoded

# How long a member takes to boot.
PAUSE = 1.0
# Reports to CloudFormation as a member does: with its role's credentials.
REPORT = """#!/bin/bash
set -eu
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$IMDS/latest/api/token")
get() { curl -sf -H "X-aws-ec2-metadata-token: $token" "$IMDS/latest/meta-data/$1"; }
role=$(get iam/security-credentials/)
held=$(get "iam/security-credentials/$role")
echo "$(date +%s%N) booted"
sleep "${PAUSE}"
curl -sf --aws-sigv4 aws:amz:eu-west-1:cloudformation \\
    --user "$(jq -r .AccessKeyId <<<"$held"):$(jq -r .SecretAccessKey <<<"$held")" \\
    -H "X-Amz-Security-Token: $(jq -r .Token <<<"$held")" "$AWS_ENDPOINT_URL" \\
    --data-urlencode Action=SignalResource --data-urlencode Version=2010-05-15 \\
    --data-urlencode StackName="${AWS::StackName}" --data-urlencode LogicalResourceId="${NAME}" \\
    --data-urlencode UniqueId="$(get instance-id)" --data-urlencode Status="${STATUS}"
"""


def template(cluster: str, subnet_id: str, statuses: dict[str, str], threshold: int = 1) -> dict:
    """A stack like a cluster's: members with fixed addresses, a secret, a card, an alarm."""
    tags = [{"Key": "understudy:cluster", "Value": cluster}]
    resources: dict[str, dict] = {
        "Role": {"Type": "AWS::IAM::Role", "Properties": {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]},
            "Policies": [{"PolicyName": "report", "PolicyDocument": {"Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Action": "cloudformation:SignalResource",
                "Resource": {"Fn::Sub": "arn:aws:cloudformation:${AWS::Region}:${AWS::AccountId}"
                                        ":stack/${AWS::StackName}/*"}}]}}]}},
        "Profile": {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": [{"Ref": "Role"}]}},
        "Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "members", "Tags": tags}},
        "Among": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {
            "GroupId": {"Ref": "Group"}, "IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432,
            "SourceSecurityGroupId": {"Ref": "Group"}}},
        "Password": {"Type": "AWS::SecretsManager::Secret", "Properties": {
            "Name": f"understudy/lab/{cluster}/operator", "Tags": tags, "GenerateSecretString": {
                "SecretStringTemplate": '{"username": "understudy"}', "GenerateStringKey": "password",
                "PasswordLength": 40, "ExcludePunctuation": True}}},
        "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 14}},
        "Silent": {"Type": "AWS::CloudWatch::Alarm", "Properties": {
            "AlarmName": f"{cluster}-writer-silent", "Namespace": "Understudy", "MetricName": "Silent",
            "Dimensions": [{"Name": "Cluster", "Value": cluster}], "Statistic": "Maximum", "Period": 60,
            "EvaluationPeriods": 1, "Threshold": threshold, "ComparisonOperator": "GreaterThanThreshold"}},
        "Card": {"Type": "AWS::SSM::Parameter", "Properties": {
            "Name": f"/understudy/lab/clusters/{cluster}", "Type": "String", "Tags": {"understudy:cluster": cluster},
            "Value": {"Fn::Sub": '{"address": "${Address1.PrimaryPrivateIpAddress}", "secret": "${Password}"}'}}},
    }
    for number, (name, status) in enumerate(statuses.items(), 1):
        resources |= member(number, name, status, subnet_id, tags)
    return {"Resources": resources, "Outputs": {"First": {"Value": {"Fn::GetAtt": ["Member1", "PrivateIp"]}}}}


def member(number: int, name: str, status: str, subnet_id: str, tags: list[dict]) -> dict:
    """The resources of one member."""
    script = REPORT.replace("${PAUSE}", str(PAUSE)).replace("${NAME}", name).replace("${STATUS}", status)
    # Fn::Sub would take the shell's own ${...}; none is left but AWS::StackName.
    return {
        f"Address{number}": {"Type": "AWS::EC2::NetworkInterface", "Properties": {
            "SubnetId": subnet_id, "GroupSet": [{"Ref": "Group"}], "Tags": tags}},
        f"Data{number}": {"Type": "AWS::EC2::Volume", "DeletionPolicy": "Snapshot", "Properties": {
            "AvailabilityZone": "eu-west-1a", "Size": 10, "Encrypted": True, "VolumeType": "gp3", "Tags": tags}},
        f"Attached{number}": {"Type": "AWS::EC2::VolumeAttachment", "Properties": {
            "Device": "/dev/sdf", "InstanceId": {"Ref": name}, "VolumeId": {"Ref": f"Data{number}"}}},
        name: {
            "Type": "AWS::EC2::Instance",
            "CreationPolicy": {"ResourceSignal": {"Count": 1, "Timeout": "PT20S"}},
            "Properties": {
                "ImageId": "ami-1", "InstanceType": "t3.micro", "IamInstanceProfile": {"Ref": "Profile"},
                "NetworkInterfaces": [{"NetworkInterfaceId": {"Ref": f"Address{number}"}, "DeviceIndex": "0"}],
                "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {
                    "VolumeSize": 16, "VolumeType": "gp3", "Encrypted": True}}],
                "MetadataOptions": {"HttpTokens": "required"}, "Tags": tags,
                "UserData": {"Fn::Base64": {"Fn::Sub": script}}}},
    }


class Stacks(Canary):
    """Change sets, a service role, signals, events, deletion."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.cfn, cls.ec2 = cls.aws.client("cloudformation"), cls.aws.client("ec2")
        cls.subnet_id = cls.subnet(cls, "127.0.23.0/24", "eu-west-1a")
        cls.queue = cls.aws.queue("stacks", {
            "source": ["aws.cloudformation"], "detail-type": ["CloudFormation Stack Status Change"]})
        cls.role_arn = cls.aws.role("stacks", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])

    def change(self, stack: str, kind: str, name: str, body: dict) -> dict:
        """Makes a change set, waits for it and returns it."""
        self.cfn.create_change_set(
            StackName=stack, ChangeSetName=name, ChangeSetType=kind, TemplateBody=json.dumps(body),
            RoleARN=self.role_arn, Capabilities=["CAPABILITY_IAM"], Tags=[{"Key": "understudy:fleet", "Value": "lab"}])
        try:
            self.cfn.get_waiter("change_set_create_complete").wait(
                StackName=stack, ChangeSetName=name, WaiterConfig={"Delay": 1})
        except WaiterError:
            pass  # FAILED is an answer too
        return self.cfn.describe_change_set(StackName=stack, ChangeSetName=name)

    def finished(self, stack: str) -> str:
        """The stack's status, once its operation has ended."""
        def status() -> str:
            shown = self.cfn.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
            return "" if shown.endswith("IN_PROGRESS") else shown
        return self.within(15, status, f"{stack} finishes")

    def interfaces(self, owner: str) -> list[dict]:
        """The interfaces of a stack or an instance."""
        return [i for i in self.ec2.describe_network_interfaces()["NetworkInterfaces"]
                if i.get("Attachment", {}).get("InstanceId") == owner
                or {"Key": "aws:cloudformation:stack-name", "Value": owner} in i["TagSet"]]

    def test_a_cluster_is_deployed_changed_and_deleted(self) -> None:
        stack, members = "understudy-lab-orders", {"Member1": "SUCCESS", "Member2": "SUCCESS"}
        body = template("orders", self.subnet_id, members)
        self.change(stack, "CREATE", "first", body)
        began = time.monotonic()
        self.cfn.execute_change_set(StackName=stack, ChangeSetName="first")
        self.assertEqual(self.finished(stack), "CREATE_COMPLETE")
        self.assertGreater(time.monotonic() - began, PAUSE, "waits for the members to report")
        self.check_what_was_made()

        nothing = self.change(stack, "UPDATE", "nothing", body)
        self.assertEqual((nothing["Status"], nothing["ExecutionStatus"]), ("FAILED", "UNAVAILABLE"))
        self.assertIn("didn't contain changes", nothing["StatusReason"])
        other = self.change(stack, "UPDATE", "other", template("orders", self.subnet_id, members, threshold=2))
        self.assertEqual([c["ResourceChange"]["LogicalResourceId"] for c in other["Changes"]], ["Silent"])
        self.cfn.execute_change_set(StackName=stack, ChangeSetName="other")
        self.assertEqual(self.finished(stack), "UPDATE_COMPLETE")

        stack_id = self.cfn.describe_stacks(StackName=stack)["Stacks"][0]["StackId"]
        self.cfn.delete_stack(StackName=stack, RoleARN=self.role_arn)
        self.assertEqual(self.finished(stack_id), "DELETE_COMPLETE")
        self.check_that_nothing_is_left()
        told = [(e["detail"]["stack-id"], e["detail"]["status-details"]["status"])
                for e in self.aws.received(self.queue) if e["detail"]["stack-id"] == stack_id]
        self.assertEqual(told, [(stack_id, status) for status in (
            "REVIEW_IN_PROGRESS", "CREATE_IN_PROGRESS", "CREATE_COMPLETE", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE",
            "DELETE_IN_PROGRESS", "DELETE_COMPLETE")])

    def check_what_was_made(self) -> None:
        """What the stack's resources are, as other APIs show them."""
        found = [i for r in self.ec2.describe_instances(Filters=[
            {"Name": "tag:understudy:fleet", "Values": ["lab"]},
            {"Name": "tag:understudy:cluster", "Values": ["orders"]}])["Reservations"] for i in r["Instances"]]
        self.assertEqual(sorted(i["PrivateIpAddress"] for i in found), ["127.0.23.4", "127.0.23.5"])
        for interface in self.interfaces("understudy-lab-orders"):
            self.assertIn({"Key": "understudy:fleet", "Value": "lab"}, interface["TagSet"])
        booted = sorted(int(self.console(i["InstanceId"]).split()[0]) for i in found)
        self.assertLess(booted[1] - booted[0], PAUSE * 1e9, "they boot side by side")
        for instance in found:
            self.assertEqual(instance["MetadataOptions"]["HttpTokens"], "required")
        secret = self.aws.client("secretsmanager").get_secret_value(SecretId="understudy/lab/orders/operator")
        generated = json.loads(secret["SecretString"])
        self.assertEqual(generated["username"], "understudy")
        self.assertRegex(generated["password"], "^[A-Za-z0-9]{40}$")
        card = self.aws.client("ssm").get_parameter(Name="/understudy/lab/clusters/orders")["Parameter"]["Value"]
        self.assertEqual(json.loads(card), {"address": "127.0.23.4", "secret": secret["ARN"]})

    def check_that_nothing_is_left(self) -> None:
        """Everything is gone but the final snapshots."""
        self.assertEqual(self.interfaces("understudy-lab-orders"), [])
        self.assertEqual(self.ec2.describe_volumes()["Volumes"], [])
        self.assertEqual(len(self.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]), 2)
        with self.assertRaises(ClientError):
            self.aws.client("ssm").get_parameter(Name="/understudy/lab/clusters/orders")

    def test_a_member_that_reports_failure_fails_the_stack(self) -> None:
        stack = "understudy-lab-broken"
        self.change(stack, "CREATE", "first", template(
            "broken", self.subnet_id, {"Member1": "SUCCESS", "Member2": "FAILURE"}))
        self.cfn.execute_change_set(StackName=stack, ChangeSetName="first")
        self.assertEqual(self.finished(stack), "ROLLBACK_COMPLETE")
        failed = [(e["LogicalResourceId"], e.get("ResourceStatusReason", "")) for e in self.cfn.describe_stack_events(
            StackName=stack)["StackEvents"] if e["ResourceStatus"] == "CREATE_FAILED"]
        self.assertRegex(str(failed), r"^\[\('Member2', 'Received FAILURE signal with UniqueId i-[0-9a-f]+'\)\]$")
        self.assertEqual(self.interfaces(stack), [])

    def test_refuses_a_property_it_would_ignore(self) -> None:
        stack = "understudy-lab-odd"
        self.change(stack, "CREATE", "first", {"Resources": {"Odd": {
            "Type": "AWS::EC2::Instance", "Properties": {"ImageId": "ami-1", "HostResourceGroupArn": "x"}}}})
        self.cfn.execute_change_set(StackName=stack, ChangeSetName="first")
        self.assertEqual(self.finished(stack), "ROLLBACK_COMPLETE")

    def test_tells_when_a_member_would_be_replaced(self) -> None:
        stack = "understudy-lab-replaced"
        body = {"Resources": {"One": {"Type": "AWS::EC2::Instance", "Properties": {
            "ImageId": "ami-1", "SubnetId": self.subnet_id, "UserData": encoded("#!/bin/true")}}}}
        self.change(stack, "CREATE", "first", body)
        self.cfn.execute_change_set(StackName=stack, ChangeSetName="first")
        self.assertEqual(self.finished(stack), "CREATE_COMPLETE")
        instance_id = self.cfn.describe_stack_resource(
            StackName=stack, LogicalResourceId="One")["StackResourceDetail"]["PhysicalResourceId"]
        self.assertEqual(len(self.interfaces(instance_id)), 1)
        for changed, replacement in (("ImageId", "True"), ("UserData", "Conditional"), ("Tags", "False")):
            value = [{"Key": "a", "Value": "b"}] if changed == "Tags" else "x"
            other = json.loads(json.dumps(body))
            other["Resources"]["One"]["Properties"][changed] = value
            (change,) = self.change(stack, "UPDATE", f"set{changed}", other)["Changes"]
            self.assertEqual(change["ResourceChange"]["Replacement"], replacement, changed)
        self.cfn.delete_stack(StackName=stack)
        self.within(10, lambda: not self.interfaces(instance_id), "the instance's own interface goes with it")


if __name__ == "__main__":
    unittest.main()
