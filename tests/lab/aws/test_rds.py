"""RDS for PostgreSQL in the lab: DB instances with real servers, replicas, promotion, Multi-AZ.

    python -m unittest discover --start-directory tests/lab/aws
"""

import unittest

from botocore.exceptions import ClientError
from rds_canary import RdsCanary

ROW = "INSERT INTO rows SELECT generate_series({0}, {1})"
COUNT = "SELECT count(*) FROM rows"


class Instances(RdsCanary):
    """One instance and its replicas, in the order of the tests' names."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.queue = cls.aws.queue("rds", {"source": ["aws.rds"]})

    def events(self) -> list[tuple[str, str]]:
        """What arrived on the bus since the last call: who and which."""
        return [(e["detail"]["SourceIdentifier"], e["detail"]["EventID"]) for e in self.aws.received(self.queue)]

    def test_1_an_instance_is_a_server_behind_its_endpoint(self) -> None:
        shown = self.create("one")
        endpoint = shown["Endpoint"]["Address"]
        self.assertEqual(endpoint, "one.lab.eu-west-1.rds.amazonaws.com")
        self.assertNotIn("ReadReplicaSourceDBInstanceIdentifier", shown)
        self.assertEqual(self.resolve(endpoint.upper()), (0, self.addresses(endpoint)))
        self.assertEqual(self.resolve(endpoint, kind=28), (0, []), "there is no address of IPv6")
        self.assertEqual(self.resolve("two.lab.eu-west-1.rds.amazonaws.com"), (3, []))
        self.assertEqual(self.sql(endpoint, "SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles "
                                            "WHERE rolname = current_user"), "f|t|t")
        self.assertEqual(self.sql(endpoint, "SELECT pg_has_role('pg_monitor', 'MEMBER') AND "
                                            "pg_has_role('rds_superuser', 'MEMBER')"), "t")
        self.sql(endpoint, "CREATE TABLE rows (n int PRIMARY KEY); " + ROW.format(1, 1000))
        with self.assertRaisesRegex(ConnectionError, "password authentication failed|reject"):
            self.sql(endpoint, "SELECT 1", user="rdsadmin")
        self.assertIn(("one", "RDS-EVENT-0005"), self.events())

    def test_2_a_replica_streams(self) -> None:
        self.rds.create_db_instance_read_replica(
            DBInstanceIdentifier="two", SourceDBInstanceIdentifier="one", DBInstanceClass="db.t4g.micro")
        self.rds.create_db_instance_read_replica(
            DBInstanceIdentifier="three", SourceDBInstanceIdentifier="one", DBInstanceClass="db.t4g.micro")
        shown = self.available("two")
        self.available("three")
        self.assertEqual(shown["ReadReplicaSourceDBInstanceIdentifier"], "one")
        self.assertEqual(self.instance("one")["ReadReplicaDBInstanceIdentifiers"], ["two", "three"])
        self.soon(shown["Endpoint"]["Address"], COUNT, "1000")
        with self.assertRaisesRegex(ConnectionError, "read-only transaction"):
            self.sql(shown["Endpoint"]["Address"], ROW.format(2000, 2000))

    def test_3_a_dead_host_stays_available_and_a_reboot_waits(self) -> None:
        self.control("rds/pace", {"replacement_seconds": None})
        self.control("one/kill-host")
        self.pause(4)
        self.assertEqual(self.instance("one")["DBInstanceStatus"], "available")
        self.assertIsNone(self.connect("one.lab.eu-west-1.rds.amazonaws.com", "127.0.0.9"))
        with self.assertRaisesRegex(ClientError, "Cannot force failover"):
            self.rds.reboot_db_instance(DBInstanceIdentifier="one", ForceFailover=True)

    def test_4_promotion_keeps_rows_and_leaves_the_sibling(self) -> None:
        self.events()
        answer = self.rds.promote_read_replica(DBInstanceIdentifier="two", BackupRetentionPeriod=7)["DBInstance"]
        self.assertEqual(answer["DBInstanceStatus"], "modifying")
        with self.assertRaisesRegex(ClientError, "InvalidDBInstanceState"):
            self.rds.promote_read_replica(DBInstanceIdentifier="two")
        seen = []

        def promoted() -> bool:
            shown = self.instance("two")
            seen.append((shown["DBInstanceStatus"], "ReadReplicaSourceDBInstanceIdentifier" in shown))
            return seen[-1] == ("available", False)

        self.within(60, promoted, "two is promoted")
        self.assertEqual(list(dict.fromkeys(seen)), [
            ("modifying", True), ("rebooting", True), ("backing-up", False), ("available", False)], self.log())
        endpoint = self.instance("two")["Endpoint"]["Address"]
        self.assertEqual(self.sql(endpoint, COUNT), "1000")
        self.sql(endpoint, ROW.format(2001, 2001))
        self.assertEqual(self.sql(endpoint, "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"), "00000002")
        self.assertEqual(self.instance("two")["BackupRetentionPeriod"], 7)
        self.assertEqual(self.instance("three")["ReadReplicaSourceDBInstanceIdentifier"], "one")
        with self.assertRaisesRegex(ClientError, "is not a read replica"):
            self.rds.promote_read_replica(DBInstanceIdentifier="two")
        self.assertIn(("two", "RDS-EVENT-0057"), self.events())

    def test_5_the_old_host_comes_back_with_its_data(self) -> None:
        self.control("one/heal")
        self.soon("one.lab.eu-west-1.rds.amazonaws.com", COUNT, "1000")
        self.sql("one.lab.eu-west-1.rds.amazonaws.com", ROW.format(3001, 3001))
        self.soon("three.lab.eu-west-1.rds.amazonaws.com", COUNT, "1001")

    def test_6_deleting_a_source_promotes_its_replicas(self) -> None:
        with self.assertRaisesRegex(ClientError, "FinalDBSnapshotIdentifier is required"):
            self.rds.delete_db_instance(DBInstanceIdentifier="one")
        self.rds.delete_db_instance(DBInstanceIdentifier="one", SkipFinalSnapshot=True)
        self.within(60, lambda: "ReadReplicaSourceDBInstanceIdentifier" not in self.instance("three"), "promoted")
        self.available("three")
        self.soon("three.lab.eu-west-1.rds.amazonaws.com", ROW.format(4001, 4001), "")
        with self.assertRaisesRegex(ClientError, "DBInstanceNotFound"):
            self.within(60, lambda: self.instance("one") is None, "gone")
        self.assertEqual(self.addresses("one.lab.eu-west-1.rds.amazonaws.com"), [])

    def test_7_one_that_is_stuck_stays_modifying(self) -> None:
        self.control("three/stick")
        self.rds.modify_db_instance(DBInstanceIdentifier="three", BackupRetentionPeriod=3, ApplyImmediately=True)
        self.pause(5)
        self.assertEqual(self.instance("three")["DBInstanceStatus"], "modifying")
        self.control("three/heal")
        self.available("three")

    def test_8_stop_and_start(self) -> None:
        self.rds.stop_db_instance(DBInstanceIdentifier="three")
        self.within(20, lambda: self.instance("three")["DBInstanceStatus"] == "stopped", "stopped")
        self.rds.start_db_instance(DBInstanceIdentifier="three")
        self.available("three")
        self.assertEqual(self.sql("three.lab.eu-west-1.rds.amazonaws.com", COUNT), "1002")


class MultiAz(RdsCanary):
    """Multi-AZ: the other zone takes over what was acknowledged."""

    def test_1_a_dead_host_is_taken_over_from(self) -> None:
        queue = self.aws.queue("rds", {"source": ["aws.rds"]})
        shown = self.create("leads-1", MultiAZ=True)
        endpoint, zone = shown["Endpoint"]["Address"], shown["AvailabilityZone"]
        self.assertNotEqual(shown["SecondaryAvailabilityZone"], zone)
        self.sql(endpoint, "CREATE TABLE rows (n int PRIMARY KEY)")
        for first in range(1, 101, 10):
            self.sql(endpoint, ROW.format(first, first + 9))
        before = self.addresses(endpoint)
        self.control("leads-1/kill-host")
        self.within(30, lambda: self.addresses(endpoint) != before, "the name is elsewhere")
        self.soon(endpoint, COUNT, "100")
        self.sql(endpoint, ROW.format(101, 101))
        self.available("leads-1")
        self.assertEqual(self.instance("leads-1")["SecondaryAvailabilityZone"], zone)
        told = [e["detail"]["EventID"] for e in self.aws.received(queue)]
        self.assertEqual(told[-3:], ["RDS-EVENT-0013", "RDS-EVENT-0015", "RDS-EVENT-0049"])

    def test_2_a_reboot_with_failover(self) -> None:
        endpoint = "leads-1.lab.eu-west-1.rds.amazonaws.com"
        before = self.addresses(endpoint)
        self.rds.reboot_db_instance(DBInstanceIdentifier="leads-1", ForceFailover=True)
        self.available("leads-1")
        self.assertNotEqual(self.addresses(endpoint), before)
        self.assertEqual(self.sql(endpoint, COUNT), "101")

    def test_3_a_reboot_restarts_in_place(self) -> None:
        endpoint = "leads-1.lab.eu-west-1.rds.amazonaws.com"
        since, at = self.sql(endpoint, "SELECT pg_postmaster_start_time()"), self.addresses(endpoint)
        self.rds.reboot_db_instance(DBInstanceIdentifier="leads-1")
        self.available("leads-1")
        self.assertNotEqual(self.sql(endpoint, "SELECT pg_postmaster_start_time()"), since)
        self.assertEqual(self.addresses(endpoint), at)

    def test_4_a_postmaster_that_dies_is_started_again(self) -> None:
        endpoint = "leads-1.lab.eu-west-1.rds.amazonaws.com"
        at = self.addresses(endpoint)
        self.control("leads-1/kill-postmaster")
        self.soon(endpoint, COUNT, "101")
        self.assertEqual(self.addresses(endpoint), at)


if __name__ == "__main__":
    unittest.main()
