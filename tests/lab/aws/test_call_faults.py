"""AWS calls fail as they were told to, and no others do."""

import json
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import ClientError, ConnectionClosedError
from canary import Canary

ANYTHING = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
KEY = {"cluster": {"S": "orders"}}


class CallFaults(Canary):
    """Rules, made and removed over the control."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.aws.role("other", ANYTHING)
        cls.aws.function("lab-promote-replica", cls.aws.role("lab-PromoteReplicaRole-1", ANYTHING))
        cls.aws.client("dynamodb").create_table(
            TableName="state", BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "cluster", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "cluster", "KeyType": "HASH"}])

    def setUp(self) -> None:
        self.addCleanup(self.clear)

    def clear(self) -> list[int]:
        """Removes all rules; how often each struck."""
        status, removed = self.aws.ask("aws", method="DELETE")
        self.assertEqual(status, 200)
        return [rule["struck"] for rule in removed["rules"]]

    def rule(self, service: str, action: str, fault: str, **more) -> int:
        """Makes a rule; its number."""
        status, made = self.aws.ask("aws", {"service": service, "action": action, "fault": fault, **more})
        self.assertEqual(status, 200, made)
        return made["rule"]

    def client(self, service: str, role: str = "other"):
        return self.aws.as_role(service, role)

    def failure(self, call) -> tuple[str, int]:
        """The code and the HTTP status of a call that fails."""
        with self.assertRaises(ClientError) as failed:
            call()
        answer = failed.exception.response
        return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]

    def test_each_service_throttles_in_its_own_words_and_protocol(self) -> None:
        self.rule("*", "*", "throttle")
        zone = {"HostedZoneId": "Z1", "ChangeBatch": {"Changes": [{"Action": "CREATE", "ResourceRecordSet": {
            "Name": "a.b", "Type": "A", "TTL": 1, "ResourceRecords": [{"Value": "127.0.0.1"}]}}]}}
        root = self.aws.client("sts").assume_role(
            RoleArn="arn:aws:iam::000000000000:role/other", RoleSessionName="canary")["Credentials"]
        keys = (root["AccessKeyId"], root["SecretAccessKey"], root["SessionToken"])
        for service, call, expected in (
            ("dynamodb", lambda c: c.get_item(TableName="state", Key=KEY),
             ("ProvisionedThroughputExceededException", 400)),
            ("ec2", lambda c: c.describe_instances(), ("RequestLimitExceeded", 503)),
            ("route53", lambda c: c.change_resource_record_sets(**zone), ("Throttling", 400)),
            ("ssm", lambda c: c.get_parameter(Name="/a"), ("ThrottlingException", 400)),
            ("secretsmanager", lambda c: c.get_secret_value(SecretId="a"), ("ThrottlingException", 400)),
            ("cloudwatch", lambda c: c.put_metric_data(Namespace="a", MetricData=[{"MetricName": "b", "Value": 1}]),
             ("Throttling", 400)),
            ("sns", lambda c: c.publish(TopicArn="arn:aws:sns:eu-west-1:000000000000:a", Message="b"),
             ("Throttling", 400)),
            ("lambda", lambda c: c.invoke(FunctionName="a"), ("TooManyRequestsException", 429)),
            ("cloudformation", lambda c: c.describe_stacks(), ("Throttling", 400)),
            ("s3", lambda c: c.list_buckets(), ("SlowDown", 503)),
        ):
            with self.subTest(service=service):
                client = self.aws.client(service, *keys)
                self.assertEqual(self.failure(lambda: call(client)), expected)
        self.assertEqual(self.clear(), [10])

    def test_an_error_strikes_only_what_it_names_and_as_often_as_it_says(self) -> None:
        made = self.rule("dynamodb", "PutItem", "error", count=2)
        table = self.client("dynamodb")
        self.assertEqual(table.get_item(TableName="state", Key=KEY)["ResponseMetadata"]["HTTPStatusCode"], 200)
        for _ in range(2):
            self.assertEqual(self.failure(lambda: table.put_item(TableName="state", Item=KEY))[1], 500)
        self.assertNotIn("Item", table.get_item(TableName="state", Key=KEY), "without effect")
        table.put_item(TableName="state", Item=KEY)
        table.delete_item(TableName="state", Key=KEY)
        status, shown = self.aws.ask("aws", method="GET")
        self.assertEqual((status, shown["rules"][0]["rule"], shown["rules"][0]["struck"]), (200, made, 2))
        self.assertEqual(self.clear(), [2])
        self.assertEqual(self.clear(), [])

    def test_a_lost_answer_had_its_effect(self) -> None:
        self.rule("route53", "ChangeResourceRecordSets", "lose-answer", count=1)
        root = self.aws.client("route53")
        zone = root.create_hosted_zone(Name="db.internal", CallerReference="1")["HostedZone"]["Id"].rpartition("/")[2]
        change = {"HostedZoneId": zone, "ChangeBatch": {"Changes": [{"Action": "CREATE", "ResourceRecordSet": {
            "Name": "orders-rw.db.internal", "Type": "A", "TTL": 1, "ResourceRecords": [{"Value": "127.0.11.10"}]}}]}}
        role = self.client("route53")
        with self.assertRaises(ConnectionClosedError):
            role.change_resource_record_sets(**change)
        records = root.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        self.assertIn("orders-rw.db.internal.", [record["Name"] for record in records])
        # Who tries again finds its own change in its way.
        self.assertEqual(self.failure(lambda: role.change_resource_record_sets(**change))[0], "InvalidChangeBatch")
        self.assertEqual(self.clear(), [1])

    def test_a_delayed_answer_comes_late_and_its_effect_does_not(self) -> None:
        self.rule("dynamodb", "PutItem", "delay", seconds=0.8)
        role, root, late = self.client("dynamodb"), self.aws.client("dynamodb"), {"cluster": {"S": "late"}}
        with ThreadPoolExecutor() as threads:
            began = time.monotonic()
            put = threads.submit(role.put_item, TableName="state", Item=late)
            self.within(0.6, lambda: "Item" in root.get_item(TableName="state", Key=late), "the effect")
            put.result()
            self.assertGreater(time.monotonic() - began, 0.8)

    def test_it_strikes_the_named_functions_role_and_never_the_owner(self) -> None:
        self.rule("*", "*", "error", caller="promote-replica")
        self.assertEqual(self.failure(lambda: self.client("ec2", "lab-PromoteReplicaRole-1").describe_vpcs())[1], 500)
        self.client("ec2").describe_vpcs()
        self.assertEqual(self.clear(), [1])
        self.rule("*", "*", "error")
        self.aws.client("ec2").describe_vpcs()
        self.assertEqual(self.failure(lambda: self.client("ec2").describe_vpcs())[1], 500)
        # A function runs and answers all the same: its runtime is not among the calls.
        self.aws.client("lambda").get_waiter("function_active_v2").wait(FunctionName="lab-promote-replica")
        ran = self.aws.client("lambda").invoke(FunctionName="lab-promote-replica", Payload="{}")
        self.assertEqual(json.load(ran["Payload"])["attempts"], 1)
        self.assertEqual(self.clear(), [1])

    def test_a_rule_that_means_nothing_is_refused(self) -> None:
        good = {"service": "ec2", "action": "*", "fault": "error"}
        for wrong in ({"fault": "explode"}, {"count": 0}, {"count": "2"}, {"seconds": -1}, {"fault": "delay"},
                      {"caller": "nobody"}, {"action": None}, {"times": 3}):
            with self.subTest(wrong=wrong):
                status, answer = self.aws.ask("aws", {**good, **wrong})
                self.assertEqual(status, 400)
                self.assertTrue(answer["error"])
        self.assertEqual(self.clear(), [])


if __name__ == "__main__":
    unittest.main()
