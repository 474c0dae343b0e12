"""What tests of RDS share: SQL by an endpoint's name, and waiting for statuses."""

import json
import os
import socket
import ssl
import struct
import subprocess
import time
import urllib.request

from canary import Canary

PSQL = "/usr/lib/postgresql/15/bin/psql"
# Everything that AWS takes minutes for takes this.
SECONDS = 0.3
# A machine that does other things too takes a while to make a database.
PATIENCE = 60
PASSWORD = "correct-horse"


class RdsCanary(Canary):
    """Tests that share one local AWS, with databases in it."""

    @classmethod
    def setUpClass(cls) -> None:
        # Read by the local AWS that is about to start, and by nobody else.
        os.environ["LAB_RDS_SECONDS"] = str(SECONDS)
        try:
            super().setUpClass()
        finally:
            del os.environ["LAB_RDS_SECONDS"]
        cls.rds = cls.aws.client("rds")
        cls.authority = cls.aws.directory / "rds-authority.pem"

    def create(self, name: str, **more) -> dict:
        """A DB instance of RDS that is available."""
        self.rds.create_db_instance(**{
            "DBInstanceIdentifier": name, "DBInstanceClass": "db.t4g.micro", "Engine": "postgres",
            "EngineVersion": "15.10", "AllocatedStorage": 20, "MasterUsername": "postgres",
            "MasterUserPassword": PASSWORD, "DBName": "app", "BackupRetentionPeriod": 1, **more})
        return self.available(name)

    def instance(self, name: str, rds=None) -> dict:
        """What RDS says of an instance."""
        return (rds or self.rds).describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]

    def available(self, name: str, rds=None) -> dict:
        """Waits until it is available."""
        def look() -> dict | None:
            shown = self.instance(name, rds)
            self.assertNotIn(shown["DBInstanceStatus"], ("failed", "incompatible-parameters"), self.log())
            return shown if shown["DBInstanceStatus"] == "available" else None

        return self.within(PATIENCE, look, f"{name} is available")

    def log(self) -> str:
        """The end of what the local AWS said."""
        return (self.aws.directory / "log").read_text()[-1500:]

    def control(self, path: str, document: object = None, method: str = "POST") -> dict:
        """Asks the control, which must do it."""
        status, said = self.aws.ask(path, document, method)
        self.assertEqual(status, 200, said)
        return said

    def addresses(self, name: str) -> list[str]:
        """What the lab's DNS server would answer."""
        with urllib.request.urlopen(f"{self.aws.control}/control/rds") as reply:
            return json.load(reply)["addresses"].get(name, [])

    def sql(self, endpoint: str, statement: str, address: str = "", user: str = "postgres",
            password: str = PASSWORD, port: int = 5432) -> str:
        """What a statement answers over TLS, verified against the endpoint's own name."""
        address = address or self.addresses(endpoint)[0]
        done = subprocess.run(
            [PSQL, "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement,
             f"host={endpoint} hostaddr={address} port={port} dbname=app user={user} connect_timeout=3 "
             f"sslmode=verify-full sslrootcert={self.authority}"],
            env={"PGPASSWORD": password, "PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=30)
        if done.returncode != 0:
            raise ConnectionError(done.stderr.strip())
        return done.stdout.strip()

    def soon(self, endpoint: str, statement: str, expected: str, **how) -> None:
        """Waits until a statement answers that."""
        def look() -> bool:
            try:
                return self.sql(endpoint, statement, **how) == expected
            except (ConnectionError, IndexError, subprocess.TimeoutExpired):
                return False

        self.within(PATIENCE, look, f"{statement} at {endpoint} answers {expected}")

    def connect(self, endpoint: str, source: str) -> socket.socket | None:
        """A TLS connection to PostgreSQL from an address, before it logs in; None if nobody answers."""
        try:
            made = socket.create_connection((self.addresses(endpoint)[0], 5432), 1, (source, 0))
            self.addCleanup(made.close)
            made.sendall(bytes([0, 0, 0, 8, 4, 210, 22, 47]))  # SSLRequest
            return made if made.recv(1) == b"S" else None
        except OSError:
            return None

    def answers(self, made: socket.socket) -> bool:
        """Whether the other end of such a connection still answers: to the first word of TLS."""
        context = ssl.create_default_context(cafile=str(self.authority))
        context.check_hostname = False
        made.settimeout(1.5)
        try:
            context.wrap_socket(made).close()
        except OSError:
            return False
        return True

    def resolve(self, name: str, kind: int = 1) -> tuple[int, list[str]]:
        """What the DNS server of functions answers: the response code and addresses."""
        labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
        question = labels + struct.pack("!BHH", 0, kind, 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(2)
            asking.sendto(struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + question, ("127.0.0.1", self.aws.dns_port))
            said = asking.recv(512)
        number, flags, _, count = struct.unpack_from("!HHHH", said)
        self.assertEqual((number, said[12:12 + len(question)]), (7, question))
        records = [said[12 + len(question) + 16 * at:][:16] for at in range(count)]
        return flags & 0xF, [socket.inet_ntoa(record[12:]) for record in records]

    def pause(self, changes: float) -> None:
        """So many ordinary changes."""
        time.sleep(changes * SECONDS)
