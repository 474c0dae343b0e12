"""The databases of RDS: for each DB instance the record that the API shows, its volume and its host of today."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator

import rds_events
import rds_parameters
import rds_sql
import settings
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import rds
from ministack_api import in_background
from rds_hosts import Host
from rds_volumes import CannotStart, Volume

# A change in the state of a database waits for another one this long, and then says that it is stuck.
LOOK_SECONDS = 0.1


def endpoint_of(name: str, kind: str = "lab") -> str:
    """The name of an endpoint in the Region at hand: RDS has the account's own word where this has `lab`."""
    return f"{name}.{kind}.{get_region()}.rds.amazonaws.com"


class Database:
    """One DB instance."""

    def __init__(self, record: dict) -> None:
        self.record = record
        self.id: str = record["DBInstanceIdentifier"]
        self.account, self.region = get_account_id(), get_region()
        self.volume = Volume()
        self.host = self.new_host()
        # Whom it replicates from.
        self.upstream: Database | None = None
        self.dead_since: float | None = None
        # Told by the control: what is `modifying` stays so.
        self.stuck = False
        self.never_replaced = False
        self.gone = False
        # Who changes it, one at a time.
        self.changing = threading.RLock()

    # -- what it is ------------------------------------------------------

    @property
    def cluster(self) -> dict | None:
        """The record of its DB cluster."""
        name = self.record.get("DBClusterIdentifier")
        return rds._clusters.get_scoped(self.account, self.region, name) if name else None

    @property
    def port(self) -> int:
        return int(self.record["Endpoint"]["Port"])

    @property
    def status(self) -> str:
        return self.record["DBInstanceStatus"]

    @property
    def is_replica(self) -> bool:
        """Whether RDS calls it a read replica, of an instance or of a Multi-AZ DB cluster."""
        return bool(self.record["ReadReplicaSourceDBInstanceIdentifier"]
                    or self.record.get("ReadReplicaSourceDBClusterIdentifier"))

    @property
    def full_name(self) -> str:
        """Its identifier alone is that of an instance in each Region."""
        return f"{self.region}/{self.id}"

    def scope(self) -> contextlib.AbstractContextManager:
        """The account and the Region that it is in."""
        return request_scope(self.account, self.region)

    def names(self) -> list[str]:
        """The names that its certificate is good for."""
        own = [self.record["Endpoint"]["Address"]]
        if cluster := self.cluster:
            own += [cluster["Endpoint"], cluster["ReaderEndpoint"]]
        region = f"{self.region}.rds.amazonaws.com"
        others = (f"*.proxy-lab.{region}", f"*.cluster-custom-lab.{region}", "*.global-lab.global.rds.amazonaws.com")
        return [*own, *others]

    def followers(self) -> list["Database"]:
        """Who replicates from it."""
        return [other for other in list(databases.values()) if other.upstream is self]

    # -- status ----------------------------------------------------------

    def enter(self, status: str) -> None:
        """RDS says from now on that this is its status."""
        self.record["DBInstanceStatus"] = status

    def tell(self, event_id: str) -> None:
        """Emits an event."""
        with self.scope():
            rds_events.of_instance(self.record, event_id)

    def pause(self, seconds: float) -> None:
        """What a change takes; for ever if it is stuck in `modifying`, until it is not or is gone."""
        time.sleep(seconds)
        while self.stuck and self.status == "modifying" and not self.gone:
            time.sleep(LOOK_SECONDS)

    def later(self, work: Callable[[], None], name: str, beside: bool = False) -> None:
        """Does a change in the background, after or `beside` others; one that fails is said, and is its status."""
        def run() -> None:
            try:
                with contextlib.nullcontext() if beside else self.changing:
                    if not self.gone:
                        work()
            except CannotStart as failed:
                print(f"rds: {name} of {self.id}: {failed}", file=sys.stderr, flush=True)
                self.enter("failed")

        with self.scope():
            in_background(run, f"{name}-{self.id}")

    # -- PostgreSQL ------------------------------------------------------

    def start(self) -> None:
        """Starts PostgreSQL on its host, with the parameters of today. Raises CannotStart."""
        self.configure()
        self.host.volume, self.host.port = self.volume, self.port
        self.host.certify(self.names())
        self.host.power_on()
        self.dead_since = None
        self.host.wait_ready()

    def configure(self) -> None:
        """Writes its configuration."""
        with self.scope():
            said = rds_parameters.given(self.record, self.cluster)
        try:
            self.volume.configure(rds_parameters.configuration(said), rds_parameters.forces_ssl(said))
        except CannotStart:
            self.enter("incompatible-parameters")
            self.tell("RDS-EVENT-0037")
            raise
        for group in self.record.get("DBParameterGroups") or []:
            group["ParameterApplyStatus"] = "in-sync"

    def make(self) -> None:
        """Makes a new database cluster, with the master user and the database that were asked for."""
        self.volume.initialise()
        self.start()
        owner = self.cluster or self.record
        master = owner["MasterUsername"]
        for database in ("template1", "postgres"):
            made = rds_sql.extensions()
            if database == "template1":
                made += rds_sql.roles(master, owner["_MasterUserPassword"])
            if self.cluster and self.record["Engine"].startswith("aurora"):
                made += rds_sql.aurora(f"{self.record['EngineVersion'].split('.')[0]}.99.0")
            self.host.sql(made, database)
        if name := owner.get("_database"):
            self.host.sql(rds_sql.database(name, master))

    def follow(self, upstream: "Database") -> None:
        """Replicates from another from now on, or from its next start; without a copy of that one it makes one."""
        self.upstream = upstream
        if not self.volume.made:
            self.volume.copy(upstream.host.address, upstream.port)
        same = self.cluster is not None and self.cluster is upstream.cluster
        self.volume.follow(upstream.host.address, upstream.port, self.id if same else self.full_name, upstream.id)
        self.host.reload()

    def refollow(self) -> None:
        """Its followers find it at its new address."""
        for follower in self.followers():
            follower.follow(self)

    def lead(self) -> None:
        """Follows nobody any more: a real promotion, which begins a new timeline."""
        self.upstream = None
        if self.host.sql("SELECT pg_promote(true, 60)") != "t":
            raise CannotStart(f"{self.id} was not promoted within 60 s")
        self.volume.lead()

    # -- hosts -----------------------------------------------------------

    def new_host(self) -> Host:
        """Another host for it, at another address."""
        return Host(self.region, self.id, int(self.record["Endpoint"]["Port"]), self.volume)

    def replace_host(self) -> None:
        """Another host takes over the volume; the old one is fenced first, whatever became of it."""
        self.host.power_off()
        self.host = self.new_host()
        self.start()
        self.refollow()

    def remove(self) -> None:
        """Nothing is left of it."""
        self.gone = True
        self.host.discard()
        self.volume.remove()
        databases.pop((self.account, self.region, self.id), None)
        self.upstream = None


# By account, Region and identifier.
databases: dict[tuple[str, str, str], Database] = {}


def register(record: dict) -> Database:
    """A database for a new record of the Region at hand."""
    made = Database(record)
    databases[made.account, made.region, made.id] = made
    return made


def of_record(record: dict) -> Database | None:
    """The database of a DB instance's record."""
    return next((d for d in list(databases.values()) if d.record is record), None)


def of_arn(arn: str) -> Database | None:
    """The database that an ARN names, in whichever Region."""
    _, _, _, region, account, _, name = arn.split(":", 6)
    return databases.get((account, region, name))


def find(name: str) -> Database | None:
    """The database that the control means: `id`, first in the lab's own Region, or `id@region`."""
    plain, at, region = name.partition("@")
    return next((d for d in sorted(databases.values(), key=lambda d: d.region != settings.REGION)
                 if d.id == plain and (not at or d.region == region)), None)


def members_of(cluster: dict) -> Iterator[Database]:
    """The databases of a DB cluster, in the order of its members."""
    _, _, _, region, account, *_ = cluster["DBClusterArn"].split(":")
    for member in cluster["DBClusterMembers"]:
        if found := databases.get((account, region, member["DBInstanceIdentifier"])):
            yield found


def writer_of(cluster: dict) -> Database | None:
    """The database that writes for a DB cluster."""
    writing = {m["DBInstanceIdentifier"] for m in cluster["DBClusterMembers"] if m["IsClusterWriter"]}
    return next((d for d in members_of(cluster) if d.id in writing), None)
