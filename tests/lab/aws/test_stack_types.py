"""What a stack makes is what other APIs show, and a template in S3 is read with its caller's rights."""

import json
import time
import unittest

from botocore.exceptions import ClientError
from canary import Canary

NETWORK = {"Resources": {
    "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.7.0.0/16"}},
    "Public": {"Type": "AWS::EC2::Subnet", "Properties": {
        "VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.7.0.0/24", "AvailabilityZone": {"Fn::Select": [0, {"Fn::GetAZs": ""}]}}},
    "Address": {"Type": "AWS::EC2::EIP", "Properties": {"Domain": "vpc", "Tags": [{"Key": "Name", "Value": "way out"}]}},
    "Nat": {"Type": "AWS::EC2::NatGateway", "Properties": {
        "AllocationId": {"Fn::GetAtt": ["Address", "AllocationId"]}, "SubnetId": {"Ref": "Public"}}},
    "Table": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": {"Ref": "Vpc"}}},
    "WayOut": {"Type": "AWS::EC2::Route", "Properties": {
        "RouteTableId": {"Ref": "Table"}, "DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": {"Ref": "Nat"}}},
    "Other": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.8.0.0/16"}},
    "Peering": {"Type": "AWS::EC2::VPCPeeringConnection", "Properties": {
        "VpcId": {"Ref": "Vpc"}, "PeerVpcId": {"Ref": "Other"}}},
    "ToOther": {"Type": "AWS::EC2::Route", "Properties": {
        "RouteTableId": {"Ref": "Table"}, "DestinationCidrBlock": "10.8.0.0/16",
        "VpcPeeringConnectionId": {"Ref": "Peering"}}}},
    "Outputs": {"Vpc": {"Value": {"Ref": "Vpc"}}}}
BUCKET = {"Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {
    "BucketName": "understudy-types", "VersioningConfiguration": {"Status": "Enabled"},
    "BucketEncryption": {"ServerSideEncryptionConfiguration": [{
        "BucketKeyEnabled": True, "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "k"}}]},
    "LifecycleConfiguration": {"Rules": [{
        "Id": "tidy", "Status": "Enabled", "Transitions": [{"StorageClass": "STANDARD_IA", "TransitionInDays": "30"}],
        "NoncurrentVersionExpiration": {"NoncurrentDays": 7},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}]},
    "Tags": [{"Key": "team", "Value": "payments"}]}}}}


class Types(Canary):
    """Stacks of one type or two."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.cfn, cls.ec2, cls.s3 = (cls.aws.client(name) for name in ("cloudformation", "ec2", "s3"))

    def finished(self, stack: str) -> str:
        def status() -> str:
            shown = self.cfn.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
            return "" if shown.endswith("IN_PROGRESS") else shown
        return self.within(15, status, f"{stack} finishes")

    def make(self, name: str, body: dict) -> str:
        """Makes a stack; its id."""
        stack = self.cfn.create_stack(StackName=name, TemplateBody=json.dumps(body))["StackId"]
        self.assertEqual(self.finished(stack), "CREATE_COMPLETE")
        return stack

    def test_a_network_is_what_the_api_shows_and_goes_in_order(self) -> None:
        stack = self.make("network", NETWORK)
        (output,) = self.cfn.describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
        (nat,) = self.ec2.describe_nat_gateways(Filters=[{"Name": "vpc-id", "Values": [output["OutputValue"]]}])[
            "NatGateways"]
        (address,) = self.ec2.describe_addresses()["Addresses"]
        (peering,) = self.ec2.describe_vpc_peering_connections()["VpcPeeringConnections"]
        self.assertEqual((nat["State"], peering["Status"]["Code"]), ("available", "active"))
        self.assertIn({"Key": "Name", "Value": "way out"}, address["Tags"])
        tables = self.ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [output["OutputValue"]]}])
        routes = {r["DestinationCidrBlock"]: r.get("NatGatewayId") or r.get("VpcPeeringConnectionId")
                  for table in tables["RouteTables"] for r in table["Routes"]}
        self.assertEqual((routes["0.0.0.0/0"], routes["10.8.0.0/16"]),
                         (nat["NatGatewayId"], peering["VpcPeeringConnectionId"]))
        self.cfn.delete_stack(StackName=stack)
        self.assertEqual(self.finished(stack), "DELETE_COMPLETE")
        self.assertEqual(self.ec2.describe_addresses()["Addresses"], [])

    def test_a_bucket_keeps_what_its_template_says(self) -> None:
        stack, name = self.make("bucket", BUCKET), "understudy-types"
        (rule,) = self.s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
        self.assertEqual((rule["ApplyServerSideEncryptionByDefault"], rule["BucketKeyEnabled"]),
                         ({"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "k"}, True))
        (rule,) = self.s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
        self.assertEqual((rule["ID"], rule["Transitions"], rule["NoncurrentVersionExpiration"]),
                         ("tidy", [{"Days": 30, "StorageClass": "STANDARD_IA"}], {"NoncurrentDays": 7}))
        self.assertEqual(self.s3.get_bucket_tagging(Bucket=name)["TagSet"], [{"Key": "team", "Value": "payments"}])
        self.s3.put_object(Bucket=name, Key="kept", Body=b"1")
        self.cfn.delete_stack(StackName=stack)
        self.assertEqual(self.finished(stack), "DELETE_FAILED", "CloudFormation deletes no bucket with objects in it")
        self.s3.delete_object(Bucket=name, Key="kept")

    def test_what_the_lab_would_ignore_fails_the_stack(self) -> None:
        for kind, prop in (("AWS::S3::Bucket", "ObjectLockEnabled"), ("AWS::EC2::VPC", "InstanceTenancy"),
                           ("AWS::EC2::EIP", "PublicIpv4Pool"), ("AWS::SNS::Topic", "FifoTopic")):
            with self.subTest(kind=kind):
                name = f"odd-{kind.rpartition(':')[2].lower()}-{time.monotonic_ns()}"
                self.cfn.create_stack(StackName=name, TemplateBody=json.dumps(
                    {"Resources": {"Odd": {"Type": kind, "Properties": {prop: "true"}}}}))
                self.assertEqual(self.finished(name), "ROLLBACK_COMPLETE")
                reasons = str([e.get("ResourceStatusReason") for e in self.cfn.describe_stack_events(
                    StackName=name)["StackEvents"]])
                self.assertIn(f"{kind}: the lab does not know {prop}", reasons)

    def test_a_template_in_s3_is_read_with_its_callers_rights(self) -> None:
        bucket = self.s3.create_bucket(Bucket="understudy-fleet", CreateBucketConfiguration={
            "LocationConstraint": "eu-west-1"}) and "understudy-fleet"
        body = {"Resources": {"Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 14}}}}
        self.s3.put_object(Bucket=bucket, Key="templates/a.json", Body=json.dumps(body).encode())
        path, host = (f"https://s3.eu-west-1.amazonaws.com/{bucket}", f"https://{bucket}.s3.eu-west-1.amazonaws.com")
        for number, url in enumerate((path, host)):
            stack = self.cfn.create_stack(StackName=f"url-{number}", TemplateURL=f"{url}/templates/a.json")["StackId"]
            self.assertEqual(self.finished(stack), "CREATE_COMPLETE")
        for url in (f"{host}/templates/none.json", "https://example.com/templates/a.json"):
            with self.assertRaisesRegex(ClientError, "ValidationError"):
                self.cfn.create_stack(StackName="none", TemplateURL=url)
        may = {"Effect": "Allow", "Action": "cloudformation:*", "Resource": "*"}
        self.aws.role("blind", [may])
        self.aws.role("reader", [may, {
            "Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/templates/*"}])
        validate = {"TemplateURL": f"{host}/templates/a.json"}
        with self.assertRaisesRegex(ClientError, "s3:GetObject"):
            self.aws.as_role("cloudformation", "blind").validate_template(**validate)
        self.aws.as_role("cloudformation", "reader").validate_template(**validate)


if __name__ == "__main__":
    unittest.main()
