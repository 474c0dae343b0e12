"""The hosts of RDS's databases: each runs PostgreSQL, on one volume, at an address of its own.

A fault strikes a host as it strikes a member of EC2 (see members.py). RDS
starts PostgreSQL again when it dies, and finds another host when a host does.
"""

import itertools
import shutil
import signal
import subprocess
import threading
import time

import processes
import rds_authority
import settings
from members import Member
from packets import packets
from rds_volumes import AS_POSTGRES, BIN, SUPERUSER, CannotStart, Volume

# RDS restarts a dead postmaster within seconds.
RESTART_SECONDS = 1.0
READY_SECONDS = 60.0
SHUTDOWN_SECONDS = 10.0
FIRST, LAST = 10, 250

_numbers = itertools.count(1)
_addresses: dict[str, "itertools.cycle[int]"] = {}
_lock = threading.Lock()


def _next_address(region: str) -> str:
    """The addresses of a Region in turn, so that a name's new address is never one that somebody still cuts off."""
    network = settings.RDS_NETWORK if region == settings.REGION else settings.RDS_OTHER_NETWORK
    with _lock:
        turn = _addresses.setdefault(network, itertools.cycle(range(FIRST, LAST)))
        return f"{network}.{next(turn)}"


class Host(Member):
    """One host, in one Availability Zone."""

    def __init__(self, region: str, database: str, port: int, volume: Volume) -> None:
        number = next(_numbers)
        super().__init__(f"{region}.{database}.{number}", _next_address(region), b"")
        self.region, self.database, self.port, self.volume = region, database, port, volume
        self.root = settings.DATABASES_DIR / "hosts" / self.instance_id
        # Short: the path of a socket has room for 107 bytes.
        self._sockets = settings.DATABASES_DIR / f"s{number}"

    def find(self) -> set[int]:
        """Its processes. Without cgroups by PostgreSQL's directory, which is the volume's."""
        found = super().find()
        return found | processes.inside(self.volume.path) if not packets.can_cut_outbound else found

    def certify(self, names: list[str]) -> None:
        """Gives it a certificate for these names."""
        self.root.mkdir(parents=True, exist_ok=True)
        certificate, key = rds_authority.authority.sign(names)
        for name, text in (("server.crt", certificate), ("server.key", key)):
            file = self.root / name
            file.write_bytes(text)
            file.chmod(0o600)
            if AS_POSTGRES:
                shutil.chown(file, "postgres", "postgres")

    # -- PostgreSQL ------------------------------------------------------

    def _run(self, boot: int) -> None:
        """Keeps PostgreSQL running until the boot is over."""
        self._sockets.mkdir(exist_ok=True)
        if AS_POSTGRES:
            shutil.chown(self._sockets, "postgres", "postgres")
        self._sockets.chmod(0o700)
        while self.runs(boot):
            process = self._start(boot, [*AS_POSTGRES, *self._command()])
            if process is None:
                return
            status = process.wait()
            if not self.runs(boot):
                return
            self._say(f"PostgreSQL ended with status {status}")
            with self._changed:
                self._changed.wait_for(lambda: self._boot != boot, timeout=RESTART_SECONDS)

    def _command(self) -> list[str]:
        settings_of_host = {
            "listen_addresses": self.address, "port": self.port, "unix_socket_directories": self._sockets,
            "cluster_name": self.database, "ssl": "on", "ssl_cert_file": self.root / "server.crt",
            "ssl_key_file": self.root / "server.key"}
        return [str(BIN / "postgres"), "-D", str(self.volume.data),
                *(part for name, value in settings_of_host.items() for part in ("-c", f"{name}={value}"))]

    def sql(self, statement: str, database: str = "postgres") -> str:
        """What a statement answers to RDS itself. Raises CannotStart."""
        done = subprocess.run(
            [str(BIN / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", str(self._sockets), "-p", str(self.port),
             "-U", SUPERUSER, "-d", database, "-f", "-"], input=statement, capture_output=True, text=True,
            timeout=READY_SECONDS, check=False)
        if done.returncode != 0:
            raise CannotStart(f"{self.database}: {done.stderr.strip()[-500:]}")
        return done.stdout.strip()

    def ready(self) -> bool:
        """Whether PostgreSQL takes connections."""
        asked = [str(BIN / "pg_isready"), "-q", "-h", str(self._sockets), "-p", str(self.port), "-t", "1"]
        return self.works and subprocess.run(asked, check=False).returncode == 0

    @property
    def works(self) -> bool:
        """Whether the host is up, and does not stand still."""
        with self._changed:
            return self._powered and not self._hung

    @property
    def hangs(self) -> bool:
        """Whether it stands still."""
        with self._changed:
            return self._hung

    def wait_ready(self) -> None:
        """Waits until PostgreSQL takes connections. Raises CannotStart."""
        deadline = time.monotonic() + READY_SECONDS
        while not self.ready():
            if time.monotonic() > deadline:
                raise CannotStart(f"{self.database} is not ready after {READY_SECONDS:.0f} s: {self._last_words()}")
            time.sleep(0.1)

    def _last_words(self) -> str:
        console = self.root / "console.log"
        return console.read_text()[-500:] if console.exists() else ""

    def reload(self) -> None:
        """Has PostgreSQL read its configuration again."""
        processes.send(self._postmaster(), signal.SIGHUP)

    def _postmaster(self) -> set[int]:
        try:
            return {int((self.volume.data / "postmaster.pid").read_text().split()[0])} & self.find()
        except (FileNotFoundError, IndexError):
            return set()

    # -- power -----------------------------------------------------------

    def halt(self) -> None:
        """Shuts PostgreSQL down in order, and then the host; one that does not heed it loses its power."""
        with self._changed:
            if not self._powered:
                return
            heeds = not self._hung
            self._boot += 1  # nothing is started again
            self._changed.notify_all()
        deadline = time.monotonic() + SHUTDOWN_SECONDS
        processes.send(self._postmaster(), signal.SIGINT)
        while heeds and self.find() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.power_off()

    def discard(self) -> None:
        """It is no more."""
        self.power_off()
        packets.heal(self.instance_id)
        shutil.rmtree(self._sockets, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        return {name: value for name, value in super()._environment().items() if name in ("PATH", "LANG", "ROOT")}
