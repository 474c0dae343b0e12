"""Who may do what to RDS in the lab; and a Region that is down.

    python -m unittest discover --start-directory tests/lab/aws
"""

import json
import unittest

from botocore.exceptions import ClientError
from rds_canary import PASSWORD, RdsCanary

FLEET = {"StringEquals": {"aws:ResourceTag/understudy:fleet": "prod"}}
ANYTHING = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]


class Access(RdsCanary):
    """IAM conditions on RDS's resources."""

    def test_tags_and_all_named_resources_count(self) -> None:
        tags = [{"Key": "understudy:fleet", "Value": "prod"}]
        for name, tagged in (("prod-carts", tags), ("prod-other", [])):
            self.rds.create_db_cluster(DBClusterIdentifier=name, Engine="aurora-postgresql", Tags=tagged,
                                       MasterUsername="postgres", MasterUserPassword=PASSWORD)
        self.aws.role("over", [
            {"Effect": "Allow", "Action": ["rds:FailoverDBCluster", "rds:StopDBCluster"], "Condition": FLEET,
             "Resource": ["arn:aws:rds:eu-west-1:000000000000:cluster:prod-*"]}])
        role = self.aws.as_role("rds", "over")
        # Allowed, and then refused by RDS itself: it has no reader.
        self.within(10, lambda: self.rds.describe_db_clusters(DBClusterIdentifier="prod-carts")["DBClusters"][0][
            "Status"] == "available", "available")
        with self.assertRaisesRegex(ClientError, "InvalidDBClusterStateFault"):
            role.failover_db_cluster(DBClusterIdentifier="prod-carts")
        with self.assertRaisesRegex(ClientError, "AccessDenied"):
            role.failover_db_cluster(DBClusterIdentifier="prod-other")
        # The instance that is to write is a resource of the call, too.
        to = {"DBClusterIdentifier": "prod-carts", "TargetDBInstanceIdentifier": "prod-carts-2"}
        with self.assertRaisesRegex(ClientError, "AccessDenied"):
            role.failover_db_cluster(**to)
        self.aws.role("both", [{"Effect": "Allow", "Action": "rds:FailoverDBCluster", "Resource": [
            "arn:aws:rds:eu-west-1:000000000000:cluster:prod-*", "arn:aws:rds:eu-west-1:000000000000:db:prod-*"]}])
        with self.assertRaisesRegex(ClientError, "DBInstanceNotFound"):
            self.aws.as_role("rds", "both").failover_db_cluster(**to)

    def test_a_subnet_is_a_resource_of_its_acl(self) -> None:
        ec2 = self.aws.client("ec2")
        subnets = [self.subnet("127.0.70.0/24", "eu-west-1a"), self.subnet("127.0.71.0/24", "eu-west-1b")]
        ec2.create_tags(Resources=subnets[:1], Tags=[{"Key": "understudy:fleet", "Value": "prod"}])
        vpc = ec2.describe_subnets(SubnetIds=subnets)["Subnets"][0]["VpcId"]
        acl = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
        self.aws.role("cut", [
            {"Effect": "Allow", "Action": "ec2:ReplaceNetworkAclAssociation", "Condition": FLEET,
             "Resource": "arn:aws:ec2:eu-west-1:000000000000:subnet/*"},
            {"Effect": "Allow", "Action": "ec2:ReplaceNetworkAclAssociation",
             "Resource": "arn:aws:ec2:eu-west-1:000000000000:network-acl/*"}])
        role = self.aws.as_role("ec2", "cut")
        shown = ec2.describe_network_acls(Filters=[{"Name": "association.subnet-id", "Values": subnets}])["NetworkAcls"]
        held = {a["SubnetId"]: a["NetworkAclAssociationId"] for a in shown[0]["Associations"]}
        role.replace_network_acl_association(AssociationId=held[subnets[0]], NetworkAclId=acl)
        with self.assertRaisesRegex(ClientError, "UnauthorizedOperation"):
            role.replace_network_acl_association(AssociationId=held[subnets[1]], NetworkAclId=acl)


class Down(RdsCanary):
    """A Region in which nothing answers."""

    def test_a_region_is_down_and_comes_back(self) -> None:
        arn = self.aws.role("other", ANYTHING)
        self.aws.function("lab-watch", arn)
        self.aws.client("lambda").get_waiter("function_active_v2").wait(FunctionName="lab-watch")
        self.create("leads-1")
        endpoint = "leads-1.lab.eu-west-1.rds.amazonaws.com"
        held = self.aws.client("sts").assume_role(RoleArn=arn, RoleSessionName="canary")["Credentials"]
        keys = (held["AccessKeyId"], held["SecretAccessKey"], held["SessionToken"])

        def client(service: str, region: str):
            return self.aws.client(service, *keys, region=region)

        self.control("aws", {"region": "eu-west-1", "fault": "unavailable"})
        for service, call in (("rds", lambda c: c.describe_db_instances()), ("dynamodb", lambda c: c.list_tables()),
                              ("ssm", lambda c: c.get_parameter(Name="/a")), ("s3", lambda c: c.list_buckets())):
            with self.subTest(service=service), self.assertRaises(ClientError) as failed:
                call(client(service, "eu-west-1"))
            self.assertEqual(failed.exception.response["ResponseMetadata"]["HTTPStatusCode"], 503, service)
        client("rds", "eu-central-1").describe_db_instances()
        client("route53", "us-east-1").list_hosted_zones()
        ran = self.aws.client("lambda").invoke(FunctionName="lab-watch", Payload="{}")
        self.assertIn("the Region is down", ran["Payload"].read().decode())
        self.assertIsNone(self.connect(endpoint, "127.0.0.1"))
        self.pause(8)
        self.assertIsNone(self.connect(endpoint, "127.0.0.1"), "nobody looks after it")
        (quota,) = self.rds.describe_account_attributes()["AccountQuotas"]
        self.assertEqual((quota["AccountQuotaName"], quota["Used"]), ("DBInstances", 1))
        status, said = self.aws.ask("aws", method="DELETE")
        self.assertEqual(status, 200, said)
        client("rds", "eu-west-1").describe_db_instances()
        ran = self.aws.client("lambda").invoke(FunctionName="lab-watch", Payload="{}")
        self.assertEqual(json.load(ran["Payload"])["attempts"], 1)
        self.control("leads-1@eu-west-1/heal")
        self.soon(endpoint, "SELECT 1", "1")


if __name__ == "__main__":
    unittest.main()
