"""Aurora in the lab: clusters with real servers, failover that loses nothing, global clusters.

    python -m unittest discover --start-directory tests/lab/aws
"""

import unittest

from botocore.exceptions import ClientError
from rds_canary import PASSWORD, RdsCanary

ROW = "INSERT INTO rows SELECT generate_series({0}, {1})"
COUNT = "SELECT count(*) FROM rows"
WRITER = "carts.cluster-lab.eu-west-1.rds.amazonaws.com"
READER = "carts.cluster-ro-lab.eu-west-1.rds.amazonaws.com"


class AuroraCanary(RdsCanary):
    """What both classes need."""

    def member(self, name: str, rds=None, tier: int = 1, cluster: str = "carts") -> dict:
        """A member of a cluster that is available."""
        (rds or self.rds).create_db_instance(
            DBInstanceIdentifier=name, DBClusterIdentifier=cluster, Engine="aurora-postgresql",
            DBInstanceClass="db.r6g.large", PromotionTier=tier)
        return self.available(name, rds)

    def cluster(self, rds=None) -> dict:
        """What RDS says of the cluster."""
        return (rds or self.rds).describe_db_clusters(DBClusterIdentifier="carts")["DBClusters"][0]

    def writers(self, rds=None) -> list[str]:
        """Who RDS says writes."""
        return [m["DBInstanceIdentifier"] for m in self.cluster(rds)["DBClusterMembers"] if m["IsClusterWriter"]]


class Clusters(AuroraCanary):
    """One cluster, in the order of the tests' names."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.queue = cls.aws.queue("rds", {"source": ["aws.rds"], "detail-type": ["RDS DB Cluster Event"]})

    def events(self) -> list[tuple[str, str]]:
        """What arrived on the bus since the last call."""
        return [(e["detail"]["EventID"], e["detail"]["Message"]) for e in self.aws.received(self.queue)]

    def test_1_a_cluster_has_a_writer_and_readers(self) -> None:
        made = self.rds.create_db_cluster(
            DBClusterIdentifier="carts", Engine="aurora-postgresql", EngineVersion="15.10", MasterUsername="postgres",
            MasterUserPassword=PASSWORD, DatabaseName="app")["DBCluster"]
        self.assertEqual(made["Status"], "creating")
        self.member("carts-1")
        self.member("carts-2", tier=2)
        self.member("carts-3", tier=0)
        self.assertEqual(self.writers(), ["carts-1"])
        self.within(60, lambda: self.cluster()["Status"] == "available", "the cluster is available")
        self.sql(WRITER, "CREATE TABLE rows (n int PRIMARY KEY); " + ROW.format(1, 1000))
        self.assertEqual(len(self.addresses(READER)), 2)
        for address in self.addresses(READER):
            self.soon(READER, COUNT, "1000", address=address)
        self.assertEqual(self.sql(WRITER, "SELECT aurora_version()"), "15.99.0")
        self.soon(WRITER, "SELECT string_agg(server_id, ',' ORDER BY server_id) FROM aurora_replica_status() "
                          "WHERE replica_lag_in_msec < 1000 OR session_id = 'MASTER_SESSION_ID' "
                          "AND durable_lsn > 0", "carts-1,carts-2,carts-3")
        self.assertEqual(self.sql(READER, "SELECT server_id FROM aurora_replica_status() "
                                          "WHERE session_id = 'MASTER_SESSION_ID'"), "carts-1")

    def test_2_a_dead_writer_is_failed_over_from(self) -> None:
        self.events()
        # What a reader has not got yet is in the shared storage.
        for address in self.addresses(READER):
            self.sql(READER, "SELECT pg_sleep(0)", address=address)
        self.sql(WRITER, ROW.format(1001, 3000))
        self.control("carts-1/kill-host")
        self.within(60, lambda: self.writers() == ["carts-3"] and self.cluster()["Status"] == "available",
                    "the best tier writes")
        self.soon(WRITER, COUNT, "3000")
        self.assertEqual(self.sql(WRITER, "SELECT aurora_db_instance_identifier()"), "carts-3")
        self.sql(WRITER, ROW.format(3001, 3001))
        self.soon("carts-2.lab.eu-west-1.rds.amazonaws.com", COUNT, "3001")
        told = self.events()
        self.assertEqual([event for event, _ in told], ["RDS-EVENT-0073", "RDS-EVENT-0071"], told)
        self.assertEqual(told[-1][1], "Completed failover to DB instance: carts-3")

    def test_3_the_old_writer_comes_back_as_reader(self) -> None:
        self.soon("carts-1.lab.eu-west-1.rds.amazonaws.com", "SELECT pg_is_in_recovery()", "t")
        self.soon("carts-1.lab.eu-west-1.rds.amazonaws.com", COUNT, "3001")

    def test_4_a_failover_that_is_ordered_twice_happens_twice(self) -> None:
        with self.assertRaisesRegex(ClientError, "InvalidDBInstanceState"):
            self.rds.failover_db_cluster(DBClusterIdentifier="carts", TargetDBInstanceIdentifier="carts-3")
        self.rds.failover_db_cluster(DBClusterIdentifier="carts", TargetDBInstanceIdentifier="carts-1")
        with self.assertRaisesRegex(ClientError, "InvalidDBClusterStateFault"):
            self.rds.failover_db_cluster(DBClusterIdentifier="carts", TargetDBInstanceIdentifier="carts-2")
        self.within(60, lambda: self.cluster()["Status"] == "available", "failed over")
        self.assertEqual(self.writers(), ["carts-1"])
        self.rds.failover_db_cluster(DBClusterIdentifier="carts")
        self.within(60, lambda: self.cluster()["Status"] == "available", "failed over again")
        self.assertEqual(self.writers(), ["carts-3"])
        self.soon(WRITER, COUNT, "3001")
        self.sql(WRITER, ROW.format(4001, 4001))
        for name in ("carts-1", "carts-2"):
            self.soon(f"{name}.lab.eu-west-1.rds.amazonaws.com", COUNT, "3002")

    def test_5_a_gray_failure_is_not_seen(self) -> None:
        self.control("carts-3/hang")
        self.pause(8)
        self.assertEqual((self.writers(), self.cluster()["Status"]), (["carts-3"], "available"))
        self.rds.failover_db_cluster(DBClusterIdentifier="carts", TargetDBInstanceIdentifier="carts-1")
        self.within(60, lambda: self.cluster()["Status"] == "available", "failed over")
        self.soon(WRITER, COUNT, "3002")
        self.soon("carts-3.lab.eu-west-1.rds.amazonaws.com", "SELECT pg_is_in_recovery()", "t")

    def test_6_deletion(self) -> None:
        with self.assertRaisesRegex(ClientError, "while it contains DB instances"):
            self.rds.delete_db_cluster(DBClusterIdentifier="carts", SkipFinalSnapshot=True)
        for name in ("carts-1", "carts-2", "carts-3"):
            self.rds.delete_db_instance(DBInstanceIdentifier=name)
        self.within(60, lambda: not self.cluster()["DBClusterMembers"], "no members")
        self.rds.delete_db_cluster(DBClusterIdentifier="carts", SkipFinalSnapshot=True)
        with self.assertRaisesRegex(ClientError, "DBClusterNotFoundFault"):
            self.cluster()


class MultiAzCluster(AuroraCanary):
    """A Multi-AZ DB cluster of RDS: three instances that AWS makes, and a replica beside them."""

    def test_1_it_comes_with_three_instances(self) -> None:
        self.rds.create_db_cluster(
            DBClusterIdentifier="carts", Engine="postgres", EngineVersion="15", MasterUsername="postgres",
            MasterUserPassword=PASSWORD, DatabaseName="app", DBClusterInstanceClass="db.m6gd.large",
            StorageType="io1", AllocatedStorage=100, Iops=1000)
        self.within(60, lambda: self.cluster()["Status"] == "available", "available")
        self.assertEqual(self.writers(), ["carts-instance-1"])
        self.sql(WRITER, "CREATE TABLE rows (n int PRIMARY KEY); " + ROW.format(1, 1000))
        self.rds.create_db_instance_read_replica(
            DBInstanceIdentifier="carts-2", SourceDBClusterIdentifier="carts", DBInstanceClass="db.m6gd.large")
        self.assertEqual(self.available("carts-2")["ReadReplicaSourceDBClusterIdentifier"], "carts")
        self.soon("carts-2.lab.eu-west-1.rds.amazonaws.com", COUNT, "1000")

    def test_2_failover_and_deletion(self) -> None:
        self.control("carts-instance-1/kill-host")
        self.within(60, lambda: self.writers() not in ([], ["carts-instance-1"])
                    and self.cluster()["Status"] == "available", "another one writes")
        self.soon(WRITER, COUNT, "1000")
        self.sql(WRITER, ROW.format(1001, 1001))
        self.soon("carts-2.lab.eu-west-1.rds.amazonaws.com", COUNT, "1001")
        self.rds.delete_db_instance(DBInstanceIdentifier="carts-2", SkipFinalSnapshot=True)
        self.rds.delete_db_cluster(DBClusterIdentifier="carts", SkipFinalSnapshot=True)
        self.within(30, lambda: not self.rds.describe_db_instances()["DBInstances"], "nothing is left")


class Global(AuroraCanary):
    """One global cluster, in the order of the tests' names."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.there = cls.aws.client("rds", region="eu-central-1")

    def world(self) -> dict:
        """What RDS says of the global cluster."""
        return self.there.describe_global_clusters(GlobalClusterIdentifier="world")["GlobalClusters"][0]

    def settled(self, arn: str) -> None:
        """Waits until the member writes, and nothing is under way."""
        def look() -> bool:
            shown = self.world()
            writer = [m["DBClusterArn"] for m in shown["GlobalClusterMembers"] if m["IsWriter"]]
            return writer == [arn] and shown["Status"] == "available" and "FailoverState" not in shown

        self.within(60, look, f"{arn} writes: {self.world()}")

    def arn(self, region: str) -> str:
        """The ARN of the cluster in a Region."""
        return f"arn:aws:rds:{region}:000000000000:cluster:carts"

    THERE = WRITER.replace("eu-west-1", "eu-central-1")

    def test_1_a_secondary_streams(self) -> None:
        self.rds.create_db_cluster(
            DBClusterIdentifier="carts", Engine="aurora-postgresql", EngineVersion="15.10", MasterUsername="postgres",
            MasterUserPassword=PASSWORD, DatabaseName="app")
        self.member("carts-1")
        self.rds.create_global_cluster(GlobalClusterIdentifier="world", SourceDBClusterIdentifier=self.arn("eu-west-1"))
        self.there.create_db_cluster(DBClusterIdentifier="carts", Engine="aurora-postgresql", EngineVersion="15.10",
                                     GlobalClusterIdentifier="world")
        self.member("carts-1", self.there)
        self.member("carts-2", self.there)
        self.assertEqual(self.writers(self.there), [])
        self.sql(WRITER, "CREATE TABLE rows (n int PRIMARY KEY); " + ROW.format(1, 1000))
        self.soon("carts-1.lab.eu-central-1.rds.amazonaws.com", COUNT, "1000")
        self.soon("carts-2.lab.eu-central-1.rds.amazonaws.com", COUNT, "1000")
        self.assertEqual(self.addresses(self.THERE), [])
        metrics = self.aws.client("cloudwatch", region="eu-central-1")
        self.within(20, lambda: metrics.list_metrics(
            Namespace="AWS/RDS", MetricName="AuroraGlobalDBReplicationLag")["Metrics"], "the lag is published")

    def test_2_a_switchover_loses_nothing_and_turns_the_stream(self) -> None:
        self.sql(WRITER, ROW.format(1001, 5000))
        said = self.there.switchover_global_cluster(
            GlobalClusterIdentifier="world", TargetDbClusterIdentifier=self.arn("eu-central-1"))["GlobalCluster"]
        self.assertEqual(said["FailoverState"]["ToDbClusterArn"], self.arn("eu-central-1"))
        self.settled(self.arn("eu-central-1"))
        self.assertEqual((self.writers(), self.writers(self.there)), ([], ["carts-1"]))
        self.soon(self.THERE, COUNT, "5000")
        self.sql(self.THERE, ROW.format(5001, 5001))
        self.soon("carts-1.lab.eu-west-1.rds.amazonaws.com", COUNT, "5001")
        self.soon("carts-2.lab.eu-central-1.rds.amazonaws.com", COUNT, "5001")

    def test_3_a_lost_region_is_left_on_request_only(self) -> None:
        self.rds.switchover_global_cluster(GlobalClusterIdentifier="world",
                                           TargetDbClusterIdentifier=self.arn("eu-west-1"))
        self.settled(self.arn("eu-west-1"))
        self.soon(WRITER, COUNT, "5001")
        self.control("rds/regions/eu-west-1/down")
        self.pause(10)
        self.assertEqual(self.writers(), ["carts-1"])
        with self.assertRaisesRegex(ClientError, "not healthy"):
            self.there.switchover_global_cluster(GlobalClusterIdentifier="world",
                                                 TargetDbClusterIdentifier=self.arn("eu-central-1"))
        self.there.failover_global_cluster(GlobalClusterIdentifier="world", AllowDataLoss=True,
                                           TargetDbClusterIdentifier=self.arn("eu-central-1"))
        self.settled(self.arn("eu-central-1"))
        self.soon(self.THERE, COUNT, "5001")
        self.sql(self.THERE, ROW.format(6001, 6001))

    def test_4_a_region_that_heals_follows(self) -> None:
        self.control("rds/regions/eu-west-1/up")
        self.soon("carts-1.lab.eu-west-1.rds.amazonaws.com", COUNT, "5002")
        self.assertEqual(self.sql("carts-1.lab.eu-west-1.rds.amazonaws.com", "SELECT pg_is_in_recovery()"), "t")
        self.settled(self.arn("eu-central-1"))

    def test_5_who_leaves_stands_alone(self) -> None:
        self.there.remove_from_global_cluster(GlobalClusterIdentifier="world",
                                              DbClusterIdentifier=self.arn("eu-west-1"))
        self.within(60, lambda: self.writers() == ["carts-1"] and self.cluster()["Status"] == "available", "alone")
        self.soon(WRITER, COUNT, "5002")
        self.sql(WRITER, ROW.format(7001, 7001))


if __name__ == "__main__":
    unittest.main()
