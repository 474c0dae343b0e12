"""Stacks of RDS and Aurora in the lab: deployed, changed, deleted.

    python -m unittest discover --start-directory tests/lab/aws
"""

import json
import unittest

from rds_canary import RdsCanary


class StackCanary(RdsCanary):
    """What the classes need."""

    def deploy(self, name: str, resources: dict, region: str = "eu-west-1", outputs: dict | None = None) -> str:
        """Makes or updates a stack; its last status."""
        stacks = self.aws.client("cloudformation", region=region)
        body = json.dumps({"Resources": resources, "Outputs": {
            key: {"Value": value} for key, value in (outputs or {}).items()}})
        known = {s["StackName"] for s in stacks.describe_stacks()["Stacks"]}
        act = stacks.update_stack if name in known else stacks.create_stack
        act(StackName=name, TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
        return self.within(120, lambda: self.ended(name, region), f"{name} ends")

    def ended(self, name: str, region: str = "eu-west-1") -> str | None:
        """The status of a stack at which nothing happens."""
        status = self.stack(name, region)["StackStatus"]
        return None if status.endswith("_IN_PROGRESS") else status

    def stack(self, name: str, region: str = "eu-west-1") -> dict:
        """What CloudFormation says of a stack."""
        return self.aws.client("cloudformation", region=region).describe_stacks(StackName=name)["Stacks"][0]

    def outputs(self, name: str) -> dict:
        """The outputs of a stack."""
        return {o["OutputKey"]: o["OutputValue"] for o in self.stack(name)["Outputs"]}

    def reasons(self, name: str) -> str:
        """Why something failed."""
        events = self.aws.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
        return "; ".join(f"{e['LogicalResourceId']} {e.get('ResourceStatusReason', '')}" for e in events
                         if e["ResourceStatus"].endswith("FAILED"))

    def network(self) -> dict:
        """Two subnets, and the group of them."""
        subnets = [self.subnet("127.0.60.0/24", "eu-west-1a"), self.subnet("127.0.61.0/24", "eu-west-1b")]
        return {"Subnets": {"Type": "AWS::RDS::DBSubnetGroup", "Properties": {
            "DBSubnetGroupDescription": "test", "SubnetIds": subnets}}}


class Postgres(StackCanary):
    """An instance of RDS with a replica."""

    def resources(self, **replica) -> dict:
        """The template."""
        return {
            **self.group,
            "Parameters": {"Type": "AWS::RDS::DBParameterGroup", "Properties": {
                "Description": "test", "Family": "postgres15", "Parameters": {
                    "max_connections": "77", "shared_buffers": "{DBInstanceClassMemory/32768}",
                    "shared_preload_libraries": "pg_stat_statements,pg_hint_plan", "log_min_duration_statement": "900",
                    "rds.force_ssl": "1"}}},
            "Superuser": {"Type": "AWS::SecretsManager::Secret", "Properties": {
                "Name": "leads/superuser", "GenerateSecretString": {
                    "SecretStringTemplate": "{\"username\":\"postgres\"}", "GenerateStringKey": "password",
                    "ExcludePunctuation": True}}},
            "Instance1": {"Type": "AWS::RDS::DBInstance", "Properties": {
                "DBInstanceIdentifier": "leads-1", "Engine": "postgres", "EngineVersion": "15",
                "DBInstanceClass": "db.t4g.micro", "AllocatedStorage": "20", "DBName": "app", "Port": "5433",
                "MasterUsername": "postgres", "MasterUserPassword": {"Fn::Join": ["", [
                    "{{resolve:secretsmanager:", {"Ref": "Superuser"}, ":SecretString:password}}"]]},
                "DBSubnetGroupName": {"Ref": "Subnets"}, "DBParameterGroupName": {"Ref": "Parameters"},
                "MultiAZ": True, "BackupRetentionPeriod": 7, "EnableCloudwatchLogsExports": ["postgresql"]}},
            "Instance2": {"Type": "AWS::RDS::DBInstance", "Properties": {
                "DBInstanceIdentifier": "leads-2", "Engine": "postgres", "DBInstanceClass": "db.t4g.micro",
                "SourceDBInstanceIdentifier": {"Ref": "Instance1"}, "DBParameterGroupName": {"Ref": "Parameters"},
                **replica}},
        }

    def test_1_deploy(self) -> None:
        type(self).group = self.network()
        status = self.deploy("leads", self.resources(), outputs={
            "Name": {"Fn::GetAtt": ["Instance1", "Endpoint.Address"]}})
        self.assertEqual(status, "CREATE_COMPLETE", self.reasons("leads") + self.log())
        self.assertEqual(self.outputs("leads")["Name"], "leads-1.lab.eu-west-1.rds.amazonaws.com")
        shown = self.instance("leads-1")
        self.assertEqual((shown["DBInstanceStatus"], shown["MultiAZ"], shown["EnabledCloudwatchLogsExports"],
                          shown["Endpoint"]["Port"]), ("available", True, ["postgresql"], 5433))
        self.assertEqual(self.instance("leads-2")["ReadReplicaSourceDBInstanceIdentifier"], "leads-1")
        secret = self.aws.client("secretsmanager").get_secret_value(SecretId="leads/superuser")["SecretString"]
        how = {"password": json.loads(secret)["password"], "port": 5433}
        endpoint = shown["Endpoint"]["Address"]
        self.assertEqual(self.sql(endpoint, "SHOW max_connections", **how), "77")
        self.assertEqual(self.sql(endpoint, "SHOW shared_preload_libraries", **how), "pg_stat_statements")
        self.assertRegex(self.instance("leads-1")["EngineVersion"], r"^15\.\d+$")

    def test_2_update(self) -> None:
        status = self.deploy("leads", self.resources(BackupRetentionPeriod=3))
        self.assertEqual(status, "UPDATE_COMPLETE", self.reasons("leads"))
        self.assertEqual(self.instance("leads-2")["BackupRetentionPeriod"], 3)

    def test_3_a_bad_parameter_rolls_back(self) -> None:
        resources = self.resources(BackupRetentionPeriod=3)
        resources["Bad"] = {"Type": "AWS::RDS::DBParameterGroup", "Properties": {
            "Description": "test", "Family": "postgres15", "Parameters": {"work_mem": "lots"}}}
        resources["Instance3"] = {"Type": "AWS::RDS::DBInstance", "Properties": {
            **resources["Instance1"]["Properties"], "DBInstanceIdentifier": "leads-3", "MultiAZ": False,
            "DBParameterGroupName": {"Ref": "Bad"}}}
        self.assertEqual(self.deploy("leads", resources), "UPDATE_ROLLBACK_COMPLETE")
        self.assertIn("did not stabilize: it is", self.reasons("leads"))

    def test_4_a_source_that_disappears_is_a_promotion(self) -> None:
        resources = self.resources(BackupRetentionPeriod=3)
        del resources["Instance2"]["Properties"]["SourceDBInstanceIdentifier"]
        self.assertEqual(self.deploy("leads", resources), "UPDATE_COMPLETE", self.reasons("leads"))
        self.assertNotIn("ReadReplicaSourceDBInstanceIdentifier", self.instance("leads-2"))

    def test_5_delete(self) -> None:
        self.aws.client("cloudformation").delete_stack(StackName="leads")
        self.within(60, lambda: not self.rds.describe_db_instances()["DBInstances"], "no instance is left")
        self.assertEqual(self.control("rds", method="GET")["databases"], [])


class Aurora(StackCanary):
    """An Aurora cluster with all that goes with it."""

    def test_1_deploy_and_delete(self) -> None:
        self.aws.role("proxy", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])
        resources = {
            **self.network(),
            "Key": {"Type": "AWS::KMS::Key", "Properties": {"EnableKeyRotation": True, "KeyPolicy": {
                "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"},
                                                        "Action": "kms:*", "Resource": "*"}]}}},
            "Cluster": {"Type": "AWS::RDS::DBCluster", "DeletionPolicy": "Snapshot", "Properties": {
                "DBClusterIdentifier": "carts", "Engine": "aurora-postgresql", "EngineVersion": "15",
                "MasterUsername": "postgres", "ManageMasterUserPassword": True, "DatabaseName": "app", "Port": 5432,
                "MasterUserSecret": {"KmsKeyId": {"Fn::GetAtt": ["Key", "Arn"]}}, "StorageEncrypted": True,
                "KmsKeyId": {"Fn::GetAtt": ["Key", "Arn"]}, "DBSubnetGroupName": {"Ref": "Subnets"},
                "ServerlessV2ScalingConfiguration": {"MinCapacity": "0.5", "MaxCapacity": 4}}},
            "Instance1": {"Type": "AWS::RDS::DBInstance", "Properties": {
                "DBInstanceIdentifier": "carts-1", "DBClusterIdentifier": {"Ref": "Cluster"},
                "Engine": "aurora-postgresql", "DBInstanceClass": "db.serverless", "AvailabilityZone": "eu-west-1a"}},
            "World": {"Type": "AWS::RDS::GlobalCluster", "Properties": {
                "GlobalClusterIdentifier": "carts-global",
                "SourceDBClusterIdentifier": {"Fn::GetAtt": ["Cluster", "DBClusterArn"]}}},
            "Proxy": {"Type": "AWS::RDS::DBProxy", "Properties": {
                "DBProxyName": "carts", "EngineFamily": "POSTGRESQL", "RequireTLS": True,
                "RoleArn": "arn:aws:iam::000000000000:role/proxy", "VpcSubnetIds": self.subnets(),
                "Auth": [{"AuthScheme": "SECRETS", "IAMAuth": "DISABLED",
                          "SecretArn": {"Fn::GetAtt": ["Cluster", "MasterUserSecret.SecretArn"]}}]}},
            "Targets": {"Type": "AWS::RDS::DBProxyTargetGroup", "Properties": {
                "DBProxyName": {"Ref": "Proxy"}, "TargetGroupName": "default",
                "DBClusterIdentifiers": [{"Ref": "Cluster"}],
                "ConnectionPoolConfigurationInfo": {"MaxConnectionsPercent": "90"}}},
        }
        resources["Targets"]["DependsOn"] = ["Instance1"]
        resources["World"]["DependsOn"] = ["Instance1"]
        status = self.deploy("carts", resources, outputs={"Proxy": {"Fn::GetAtt": ["Proxy", "Endpoint"]}})
        self.assertEqual(status, "CREATE_COMPLETE", self.reasons("carts") + self.log())
        shown = self.rds.describe_db_clusters(DBClusterIdentifier="carts")["DBClusters"][0]
        secret = self.aws.client("secretsmanager").get_secret_value(
            SecretId=shown["MasterUserSecret"]["SecretArn"])["SecretString"]
        self.assertEqual(shown["ServerlessV2ScalingConfiguration"]["MinCapacity"], 0.5)
        self.aws.role("reader", [{
            "Effect": "Allow", "Action": "secretsmanager:GetSecretValue",
            "Resource": "arn:aws:secretsmanager:eu-west-1:000000000000:secret:rds!*",
            "Condition": {"StringLike": {"aws:ResourceTag/aws:rds:primaryDBClusterArn": "*:cluster:car*"}}}])
        self.aws.as_role("secretsmanager", "reader").get_secret_value(SecretId=shown["MasterUserSecret"]["SecretArn"])
        how = {"password": json.loads(secret)["password"]}
        self.assertEqual(self.sql(shown["Endpoint"], "SELECT 1", **how), "1")
        self.assertEqual(self.sql(self.outputs("carts")["Proxy"], "SELECT 2", **how), "2")
        self.aws.client("cloudformation").delete_stack(StackName="carts")
        self.within(60, lambda: not self.rds.describe_db_clusters()["DBClusters"], "no cluster is left")
        self.assertEqual(len(self.rds.describe_db_cluster_snapshots()["DBClusterSnapshots"]), 1)
        self.assertEqual(self.rds.describe_global_clusters()["GlobalClusters"], [])

    def subnets(self) -> list[str]:
        """The ids of the subnets that `network` made."""
        return [s["SubnetId"] for s in self.aws.client("ec2").describe_subnets()["Subnets"]
                if s["CidrBlock"].startswith("127.0.6")]


class Guards(StackCanary):
    """What cuts a writer off, and the pair of failover records."""

    def test_1_isolation(self) -> None:
        subnets = self.network()["Subnets"]["Properties"]["SubnetIds"]
        vpc = self.aws.client("ec2").describe_subnets(SubnetIds=subnets)["Subnets"][0]["VpcId"]
        rule = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432}
        resources = {
            "Subnets": {"Type": "AWS::RDS::DBSubnetGroup", "Properties": {
                "DBSubnetGroupDescription": "test", "SubnetIds": subnets}},
            "Usual": {"Type": "AWS::EC2::SecurityGroup", "Properties": {
                "GroupDescription": "usual", "VpcId": vpc,
                "SecurityGroupIngress": [{**rule, "CidrIp": "127.0.0.0/16"}]}},
            "Isolated": {"Type": "AWS::EC2::SecurityGroup", "Properties": {
                "GroupDescription": "isolated", "VpcId": vpc}},
            "FromFunctions": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {
                **rule, "GroupId": {"Fn::GetAtt": ["Isolated", "GroupId"]},
                "SourceSecurityGroupId": {"Fn::GetAtt": ["Usual", "GroupId"]}}},
            "Nobody": {"Type": "AWS::EC2::NetworkAcl", "Properties": {"VpcId": vpc}},
            "Functions": {"Type": "AWS::EC2::NetworkAclEntry", "Properties": {
                "NetworkAclId": {"Ref": "Nobody"}, "RuleNumber": 100, "RuleAction": "allow", "Egress": False,
                "Protocol": 6, "CidrBlock": "10.1.0.0/24", "PortRange": {"From": 5432, "To": 5432}}},
        }
        status = self.deploy("guards", resources, outputs={
            "Usual": {"Fn::GetAtt": ["Usual", "GroupId"]}, "Isolated": {"Fn::GetAtt": ["Isolated", "GroupId"]},
            "Acl": {"Ref": "Nobody"}, "Group": {"Ref": "Subnets"}})
        self.assertEqual(status, "CREATE_COMPLETE", self.reasons("guards"))
        made = self.outputs("guards")
        shown = self.create("leads-1", DBSubnetGroupName=made["Group"], VpcSecurityGroupIds=[made["Usual"]])
        endpoint = shown["Endpoint"]["Address"]
        if "cannot" in self.aws.ready:
            self.skipTest("no packet can be dropped here")
        tracked, other = self.connect(endpoint, "127.0.0.9"), self.connect(endpoint, "127.0.0.9")
        self.rds.modify_db_instance(DBInstanceIdentifier="leads-1", VpcSecurityGroupIds=[made["Isolated"]],
                                    ApplyImmediately=True)
        self.assertIn({"VpcSecurityGroupId": made["Isolated"], "Status": "adding"},
                      self.instance("leads-1")["VpcSecurityGroups"])
        self.within(20, lambda: self.instance("leads-1")["VpcSecurityGroups"] == [
            {"VpcSecurityGroupId": made["Isolated"], "Status": "active"}], "the group is active")
        self.assertIsNone(self.connect(endpoint, "127.0.0.9"), "a new connection of a client")
        self.assertIsNotNone(self.connect(endpoint, "127.0.0.1"), "a new connection of a function")
        self.assertTrue(self.answers(tracked), "a connection that was open lives on")
        ec2 = self.aws.client("ec2")
        subnet = next(s["SubnetIdentifier"] for s in shown["DBSubnetGroup"]["Subnets"]
                      if s["SubnetAvailabilityZone"]["Name"] == shown["AvailabilityZone"])
        acl = ec2.describe_network_acls(Filters=[{"Name": "association.subnet-id", "Values": [subnet]}])["NetworkAcls"]
        self.assertEqual([a["IsDefault"] for a in acl], [True])
        association = next(a["NetworkAclAssociationId"] for a in acl[0]["Associations"] if a["SubnetId"] == subnet)
        ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=made["Acl"])
        self.assertFalse(self.answers(other), "with the list it does not")
        self.assertIsNotNone(self.connect(endpoint, "127.0.0.1"), "a new connection of a function")
        acl = ec2.describe_network_acls(Filters=[{"Name": "association.subnet-id", "Values": [subnet]}])["NetworkAcls"]
        self.assertEqual([a["NetworkAclId"] for a in acl], [made["Acl"]])

    def test_2_a_health_check_follows_its_alarm(self) -> None:
        names = self.aws.client("route53")
        zone = names.create_hosted_zone(Name="db.internal", CallerReference="1")["HostedZone"]["Id"]
        record = {"Type": "AWS::Route53::RecordSet", "Properties": {
            "HostedZoneId": zone.rpartition("/")[2], "Name": "carts.db.internal", "Type": "CNAME", "TTL": "1"}}
        resources = {
            "Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": {
                "AlarmName": "carts-primary-serves", "Namespace": "Understudy", "MetricName": "PrimaryServes",
                "Dimensions": [{"Name": "Cluster", "Value": "carts"}], "Statistic": "Minimum", "Period": 60,
                "EvaluationPeriods": 1, "Threshold": 1, "ComparisonOperator": "LessThanThreshold",
                "TreatMissingData": "ignore"}},
            "Check": {"Type": "AWS::Route53::HealthCheck", "Properties": {"HealthCheckConfig": {
                "Type": "CLOUDWATCH_METRIC", "InsufficientDataHealthStatus": "LastKnownStatus",
                "AlarmIdentifier": {"Name": {"Ref": "Alarm"}, "Region": "eu-central-1"}}}},
            "Primary": {**record, "Properties": {
                **record["Properties"], "SetIdentifier": "primary", "Failover": "PRIMARY",
                "HealthCheckId": {"Ref": "Check"}, "ResourceRecords": ["carts-rw.db.internal"]}},
            "Secondary": {**record, "Properties": {
                **record["Properties"], "SetIdentifier": "secondary", "Failover": "SECONDARY",
                "ResourceRecords": ["carts-dr-rw.db.internal"]}},
        }
        self.assertEqual(self.deploy("pair", resources, "eu-central-1"), "CREATE_COMPLETE")
        sets = names.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        pair = {s["Failover"]: s for s in sets if "Failover" in s}
        self.assertEqual(set(pair), {"PRIMARY", "SECONDARY"})
        check = pair["PRIMARY"]["HealthCheckId"]
        self.assertEqual(self.control("rds", method="GET")["health_checks"], {check: True})
        metrics = self.aws.client("cloudwatch", region="eu-central-1")
        metrics.put_metric_data(Namespace="Understudy", MetricData=[{
            "MetricName": "PrimaryServes", "Dimensions": [{"Name": "Cluster", "Value": "carts"}], "Value": 0}])
        self.within(10, lambda: self.control("rds", method="GET")["health_checks"] == {check: False}, "unhealthy")


if __name__ == "__main__":
    unittest.main()
