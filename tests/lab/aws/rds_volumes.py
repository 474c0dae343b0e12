"""Volumes: what the databases of RDS are kept on, each a directory with PostgreSQL's files.

A volume outlives the host that uses it. A host that takes over from a dead
one starts PostgreSQL on the same volume, as on RDS Multi-AZ, whose storage is
mirrored, and on Aurora, whose storage is shared: what was acknowledged is
there, and the timeline stays. Only a read replica has a volume of its own.
"""

import itertools
import os
import secrets
import shutil
import subprocess
from pathlib import Path

import settings

BIN = Path("/usr/lib/postgresql/15/bin")
LIBRARIES = BIN.parent / "lib"
# RDS's own superuser, and who its replicas log in as.
SUPERUSER, REPLICATION = "rdsadmin", "rdsrepladmin"
# As root, PostgreSQL runs as its own user.
AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"] if os.getuid() == 0 else []
PASSFILE = settings.DATABASES_DIR / "replication.pass"
REPLICATION_PASSWORD = secrets.token_urlsafe(24)
# A copy of a lab's database takes a second or two.
COPY_SECONDS = 120

# Nobody but RDS logs in as its roles. Nothing but TLS where the parameter rds.force_ssl says so.
ACCESS = """local all {superuser} trust
host replication {replication} 127.0.0.0/8 scram-sha-256
host all {superuser},{replication} all reject
{secure} all all all scram-sha-256
"""

_numbers = itertools.count(1)


class CannotStart(RuntimeError):
    """Why a database cannot be brought up."""


def run(command: list[str], **how) -> str:
    """Runs one of PostgreSQL's programs as its user; what it printed. Raises CannotStart."""
    done = subprocess.run([*AS_POSTGRES, *command], capture_output=True, text=True, cwd=settings.DATABASES_DIR,
                          env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PGPASSFILE": str(PASSFILE)}, **how)
    if done.returncode != 0:
        raise CannotStart(f"{Path(command[0]).name}: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


class Volume:
    """One volume."""

    def __init__(self) -> None:
        self.path = settings.DATABASES_DIR / "volumes" / str(next(_numbers))
        self.path.mkdir(parents=True)
        for made in (self.path.parent, self.path):
            made.chmod(0o755)
        self.data = self.path / "data"
        if AS_POSTGRES:
            shutil.chown(self.path, "postgres")

    @property
    def made(self) -> bool:
        """Whether there is a database on it."""
        return (self.data / "PG_VERSION").exists()

    def initialise(self) -> None:
        """Makes a new database cluster on it."""
        run([str(BIN / "initdb"), "--pgdata", str(self.data), "--username", SUPERUSER, "--auth=trust", "--no-sync",
             "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"])

    def copy(self, address: str, port: int) -> None:
        """Makes it a copy of the database that runs at an address; whatever was on it is gone."""
        shutil.rmtree(self.data, ignore_errors=True)
        try:
            run([str(BIN / "pg_basebackup"), "--pgdata", str(self.data), "--wal-method=stream", "--checkpoint=fast",
                 "--no-sync", "--dbname", f"host={address} port={port} user={REPLICATION} connect_timeout=5"],
                timeout=COPY_SECONDS)
        except subprocess.TimeoutExpired as slow:
            raise CannotStart(f"no copy of {address} within {COPY_SECONDS} s") from slow

    def configure(self, parameters: dict[str, str], force_ssl: bool) -> None:
        """Writes the configuration. Raises CannotStart for one that PostgreSQL does not take."""
        lines = [f"{name} = '{value}'\n" for name, value in parameters.items()]
        self._write("postgresql.conf", "".join(lines) + "include_if_exists 'follow.conf'\n")
        self._write("pg_hba.conf", ACCESS.format(
            superuser=SUPERUSER, replication=REPLICATION, secure="hostssl" if force_ssl else "host"))
        # With this setting PostgreSQL reads and checks its whole configuration, and then prints one value.
        run([str(BIN / "postgres"), "-D", str(self.data), "-C", "max_connections"])

    def follow(self, address: str, port: int, name: str, writer: str) -> None:
        """From its next start, or reload, it replicates from `writer` at an address, and says that it is `name`."""
        self._write("follow.conf", f"primary_conninfo = 'host={address} port={port} user={REPLICATION} "
                                   f"application_name={name} passfile={PASSFILE} connect_timeout=5'\n"
                                   f"lab.writer = '{writer}'\n")
        self._write("standby.signal", "")

    def lead(self) -> None:
        """From its next start it follows nobody."""
        for name in ("standby.signal", "follow.conf"):
            (self.data / name).unlink(missing_ok=True)

    @property
    def follows(self) -> bool:
        """Whether it is that of a standby."""
        return (self.data / "standby.signal").exists()

    def checkpoint(self) -> str:
        """Where its last checkpoint is: after an orderly shutdown, the last position there is."""
        said = run([str(BIN / "pg_controldata"), "-D", str(self.data)])
        return next(line.split()[-1] for line in said.splitlines() if line.startswith("Latest checkpoint location:"))

    def remove(self) -> None:
        """Deletes it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _write(self, name: str, text: str) -> None:
        file = self.data / name
        file.write_text(text)
        if AS_POSTGRES:
            shutil.chown(file, "postgres", "postgres")


def install() -> None:
    """Writes the password of replicas where PostgreSQL finds it."""
    PASSFILE.write_text(f"*:*:*:{REPLICATION}:{REPLICATION_PASSWORD}\n")
    PASSFILE.chmod(0o600)
    if AS_POSTGRES:
        shutil.chown(PASSFILE, "postgres", "postgres")
