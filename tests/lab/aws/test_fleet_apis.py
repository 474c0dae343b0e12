"""Fails when MiniStack no longer wakes functions, denies and refuses as AWS does."""

import json
import time
import unittest

from botocore.exceptions import ClientError
from canary import STOP_SECONDS, Canary

ANYTHING = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
TAGS = [{"Key": "understudy:fleet", "Value": "lab"}]
FOREIGN = [{"Key": "understudy:fleet", "Value": "other"}]


class Functions(Canary):
    """What wakes a function, how often, and what it can see."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.lambda_ = cls.aws.client("lambda")
        cls.arn = cls.aws.function("echo", cls.aws.role("function", ANYTHING))
        cls.lambda_.get_waiter("function_active_v2").wait(FunctionName="echo")
        cls.log = cls.aws.directory / "functions" / "echo.log"

    def events(self, wanted: str) -> list[dict]:
        """The events the function printed that contain a text."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line.removeprefix("event ")) for line in lines
                if line.startswith("event ") and wanted in line]

    def woken(self, wanted: str, times: int = 1) -> list[dict]:
        """Waits until the function has had that many events with a text."""
        return self.within(5, lambda: len(found := self.events(wanted)) == times and found, wanted)

    def rule(self, name: str, pattern: dict) -> None:
        """Wakes the function on the events of a pattern."""
        events = self.aws.client("events")
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": self.arn}])

    def test_a_stopped_instance_wakes_it_within_a_second(self) -> None:
        self.rule("stopped", {"source": ["aws.ec2"], "detail": {"state": ["stopping", "stopped"]}})
        ec2 = self.aws.client("ec2")
        instance_id = ec2.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
        self.within(2, lambda: self.state(instance_id) == "running", "the state running")
        began = time.monotonic()
        ec2.stop_instances(InstanceIds=[instance_id])
        event = self.woken('"stopping"')[0]
        self.assertLess(time.monotonic() - began, 1)
        self.assertEqual(event["detail"], {"instance-id": instance_id, "state": "stopping"})
        self.assertEqual(event["resources"], [f"arn:aws:ec2:eu-west-1:000000000000:instance/{instance_id}"])
        self.woken('"stopped"')
        self.assertGreater(time.monotonic() - began, STOP_SECONDS)

    def test_an_alarm_wakes_it_directly_over_eventbridge_and_over_sns(self) -> None:
        self.rule("alarms", {"source": ["aws.cloudwatch"], "detail-type": ["CloudWatch Alarm State Change"]})
        sns, cloudwatch = self.aws.client("sns"), self.aws.client("cloudwatch")
        topic = sns.create_topic(Name="pages")["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=self.arn)
        cloudwatch.put_metric_alarm(
            AlarmName="orders-writer-silent", Namespace="Understudy", MetricName="Silent", Statistic="Maximum",
            Period=60, EvaluationPeriods=1, Threshold=0, ComparisonOperator="GreaterThanThreshold",
            Dimensions=[{"Name": "Cluster", "Value": "orders"}], AlarmActions=[self.arn, topic])
        cloudwatch.put_metric_data(Namespace="Understudy", MetricData=[
            {"MetricName": "Silent", "Value": 1, "Dimensions": [{"Name": "Cluster", "Value": "orders"}]}])
        direct, bus, paged = (self.woken(text)[0] for text in (
            '"alarmData"', '"CloudWatch Alarm State Change"', '"aws:sns"'))
        self.assertEqual(direct["alarmData"]["state"]["value"], "ALARM")
        self.assertEqual(bus["detail"]["alarmName"], "orders-writer-silent")
        self.assertEqual(json.loads(paged["Records"][0]["Sns"]["Message"])["NewStateValue"], "ALARM")

    def other(self, name: str, inputs: list[dict], **rules) -> None:
        """Makes a function and wakes it once with each input."""
        arn = self.aws.function(name, self.aws.role(name, ANYTHING))
        self.lambda_.get_waiter("function_active_v2").wait(FunctionName=name)
        self.lambda_.put_function_event_invoke_config(FunctionName=name, **rules)
        self.lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
        events = self.aws.client("events")
        events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
        events.put_targets(Rule=name, Targets=[
            {"Id": str(n), "Arn": arn, "Input": json.dumps(event)} for n, event in enumerate(inputs)])
        events.put_events(Entries=[{"Source": name, "DetailType": "x", "Detail": "{}"}])

    def test_a_throttled_event_waits_for_its_turn(self) -> None:
        self.other("single", [{"sleep": 0.4, "n": 1}, {"sleep": 0.4, "n": 2}], MaximumRetryAttempts=0)
        log = self.aws.directory / "functions" / "single.log"
        self.within(5, lambda: log.exists() and log.read_text().count("event ") == 2, "both run, one after the other")

    def test_a_failed_event_is_tried_again_and_then_sent_to_its_destination(self) -> None:
        queue = self.aws.client("sqs").create_queue(QueueName="failed")["QueueUrl"]
        self.other("fails", [{"fail": 2}], MaximumRetryAttempts=1, DestinationConfig={
            "OnFailure": {"Destination": "arn:aws:sqs:eu-west-1:000000000000:failed"}})
        (sent,) = self.within(5, lambda: self.aws.received(queue), "the failure arrives")
        self.assertEqual(sent["requestPayload"], {"fail": 2})
        attempts = (self.aws.directory / "functions" / "fails.log").read_text().count("event ")
        self.assertEqual(attempts, 2)

    def test_it_sees_its_own_environment_only_and_its_logs_are_kept(self) -> None:
        self.lambda_.invoke(FunctionName="echo", Payload='{"plain": "invocation"}')
        self.woken('"invocation"')
        line = next(x for x in self.log.read_text().splitlines() if x.startswith("environment "))
        names = set(json.loads(line.removeprefix("environment ")))
        self.assertLessEqual({"OWN", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_SESSION_TOKEN", "TMPDIR"}, names)
        self.assertEqual(names & {"AWS_PROFILE", "AUTH", "GATEWAY_PORT", "STATE_DIR", "HOME", "LAB_DIR"}, set())
        kept = self.aws.client("logs").filter_log_events(logGroupName="/aws/lambda/echo")["events"]
        self.assertTrue(any('"invocation"' in event["message"] for event in kept))


class Permissions(Canary):
    """Conditions that the fleet's policies use: both what they allow and what they deny."""

    def role_client(self, service: str, action: str, resource: str, condition: dict):
        """A client that may do one thing under a condition."""
        name = f"{service}-only"
        self.aws.role(name, [{"Effect": "Allow", "Action": action, "Resource": resource, "Condition": condition}])
        return self.aws.as_role(service, name)

    def denied(self):
        """Expects an IAM denial."""
        return self.assertRaisesRegex(ClientError, "AccessDenied|UnauthorizedOperation")

    def test_instances_by_tag(self) -> None:
        own, foreign = ([i["InstanceId"] for i in self.aws.client("ec2").run_instances(
            ImageId="ami-1", MinCount=1, MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}])["Instances"]] for tags in (TAGS, FOREIGN))
        ec2 = self.role_client("ec2", "ec2:StopInstances", "arn:aws:ec2:*:*:instance/*",
                               {"StringEquals": {"aws:ResourceTag/understudy:fleet": "lab"}})
        self.within(2, lambda: self.state(own[0]) == "running", "the state running")
        ec2.stop_instances(InstanceIds=own)
        with self.denied():
            ec2.stop_instances(InstanceIds=foreign)
        with self.denied():
            ec2.stop_instances(InstanceIds=own + foreign)

    def test_secrets_by_tag(self) -> None:
        root = self.aws.client("secretsmanager")
        root.create_secret(Name="own", SecretString="{}", Tags=TAGS)
        root.create_secret(Name="foreign", SecretString="{}", Tags=FOREIGN)
        role = self.role_client("secretsmanager", "secretsmanager:GetSecretValue", "*",
                                {"StringEquals": {"aws:ResourceTag/understudy:fleet": "lab"}})
        self.assertEqual(role.get_secret_value(SecretId="own")["SecretString"], "{}")
        with self.denied():
            role.get_secret_value(SecretId="foreign")

    def test_parameters_by_path(self) -> None:
        root = self.aws.client("ssm")
        for name in ("/understudy/lab/clusters/orders", "/understudy/other/clusters/orders"):
            root.put_parameter(Name=name, Value="{}", Type="String")
        role = self.role_client("ssm", "ssm:GetParametersByPath",
                                "arn:aws:ssm:*:*:parameter/understudy/lab/*", {})
        found = role.get_parameters_by_path(Path="/understudy/lab/clusters")["Parameters"]
        self.assertEqual([p["Name"] for p in found], ["/understudy/lab/clusters/orders"])
        with self.denied():
            role.get_parameters_by_path(Path="/understudy/other/clusters")

    def test_items_by_leading_key_and_the_compare_and_swap_on_them(self) -> None:
        self.aws.client("dynamodb").create_table(
            TableName="state", BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("cluster", "item")],
            KeySchema=[{"AttributeName": "cluster", "KeyType": "HASH"}, {"AttributeName": "item", "KeyType": "RANGE"}])
        role = self.role_client("dynamodb", "dynamodb:*", "arn:aws:dynamodb:*:*:table/state",
                                {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["orders"]}})

        def claim(cluster: str, member: str) -> dict:
            return {"TableName": "state", "Key": {"cluster": {"S": cluster}, "item": {"S": "state"}},
                    "UpdateExpression": "SET writer = :me ADD epoch :one",
                    "ConditionExpression": "attribute_not_exists(writer)",
                    "ExpressionAttributeValues": {":me": {"S": member}, ":one": {"N": "1"}}}

        role.update_item(**claim("orders", "i-1"))
        with self.assertRaisesRegex(ClientError, "ConditionalCheckFailed"):
            role.update_item(**claim("orders", "i-2"))
        # `cluster` is one of DynamoDB's reserved words.
        query = {"TableName": "state", "KeyConditionExpression": "#c = :c",
                 "ExpressionAttributeNames": {"#c": "cluster"}}
        (item,) = role.query(**query, ExpressionAttributeValues={":c": {"S": "orders"}})["Items"]
        self.assertEqual((item["writer"], item["epoch"]), ({"S": "i-1"}, {"N": "1"}))
        with self.denied():
            role.query(**query, ExpressionAttributeValues={":c": {"S": "billing"}})
        with self.denied():
            role.update_item(**claim("billing", "i-1"))
        with self.denied():
            role.transact_write_items(TransactItems=[{"Update": claim("billing", "i-1")}])

    def test_records_by_name_and_the_compare_and_swap_on_them(self) -> None:
        root = self.aws.client("route53")
        zone = root.create_hosted_zone(Name="db.internal", CallerReference="1")["HostedZone"]["Id"].rpartition("/")[2]
        role = self.role_client("route53", "route53:ChangeResourceRecordSets", f"arn:aws:route53:::hostedzone/{zone}",
                                {"ForAllValues:StringLike": {
                                    "route53:ChangeResourceRecordSetsNormalizedRecordNames": ["*orders-rw.db.internal"],
                                    "route53:ChangeResourceRecordSetsRecordTypes": ["A", "TXT"]}})

        def pair(action: str, address: str, epoch: int, name: str = "orders-rw") -> list[dict]:
            return [{"Action": action, "ResourceRecordSet": {
                "Name": f"{prefix}{name}.db.internal", "Type": kind, "TTL": 1, "ResourceRecords": [{"Value": value}]}}
                for prefix, kind, value in (("", "A", address), ("_understudy.", "TXT", f'"epoch={epoch}"'))]

        def change(*batch: dict) -> None:
            role.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": list(batch)})

        def records() -> dict[str, str]:
            return {r["Type"]: r["ResourceRecords"][0]["Value"] for r in root.list_resource_record_sets(
                HostedZoneId=zone)["ResourceRecordSets"] if "orders-rw" in r["Name"]}

        change(*pair("CREATE", "127.0.11.10", 6))
        change(*pair("DELETE", "127.0.11.10", 6), *pair("CREATE", "127.0.12.10", 7))
        self.assertEqual(records(), {"A": "127.0.12.10", "TXT": '"epoch=7"'})
        with self.assertRaisesRegex(ClientError, "InvalidChangeBatch"):
            change(*pair("DELETE", "127.0.12.10", 6), *pair("CREATE", "127.0.13.10", 7))
        self.assertEqual(records(), {"A": "127.0.12.10", "TXT": '"epoch=7"'}, "all or nothing")
        with self.denied():
            change(*pair("CREATE", "127.0.11.10", 1, "billing-rw"))


if __name__ == "__main__":
    unittest.main()
