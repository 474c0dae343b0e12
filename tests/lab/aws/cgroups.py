"""Control groups (version 2): one for each member, one for all Lambda functions.

By them the packet filter tells whose packets it sees, and they say at once
which processes a member has. Not one process can leave its group. An ordinary
user has none, and neither has a container whose cgroups cannot be written.
"""

import os
import subprocess
import time
from pathlib import Path

import processes
import settings

# <PACKETS_NAME>/<member or FUNCTIONS> below the root of the hierarchy.
LEVEL = 2
FUNCTIONS = "functions"
# A shell joins its group in a millisecond, unless the machine is very busy.
JOIN_TIMEOUT = 10.0


class Cgroups:
    """This lab's control groups, or nothing."""

    def __init__(self) -> None:
        self._parent: Path | None = None

    @property
    def there(self) -> bool:
        """Whether there are any."""
        return self._parent is not None

    def open(self) -> None:
        """Makes the parent of all groups where that is allowed."""
        root = _root() if os.getuid() == 0 else None
        if root is None:
            return
        parent = root / settings.PACKETS_NAME
        try:
            parent.mkdir(exist_ok=True)
        except OSError:  # mounted read-only, as in most containers
            return
        self._parent = parent

    def close(self) -> None:
        """Removes the groups, with every process in them, also those of an earlier local AWS."""
        root = _root() if os.getuid() == 0 else None
        parent = root / settings.PACKETS_NAME if root else None
        if parent and parent.exists():
            for group in [*parent.glob("*/"), parent]:
                _remove(group)
        self._parent = None

    def path(self, name: str) -> str:
        """The group of a member, or of the functions, as nft wants it: it exists from now on."""
        group = self._parent / name
        group.mkdir(exist_ok=True)
        return str(group.relative_to("/sys/fs/cgroup"))

    def processes_of(self, name: str) -> set[int]:
        """The processes of a member. Zombies have left."""
        return _processes_in(self._parent / name)

    def launcher(self, name: str) -> list[str]:
        """What to put before a command so that it starts in a group."""
        if not self.there:
            return []
        group = self._parent / name
        group.mkdir(exist_ok=True)
        return ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs")]

    def start(self, name: str, command: list[str], **how) -> subprocess.Popen:
        """Starts a command in a group; when this returns, it is in it or has ended."""
        process = subprocess.Popen(self.launcher(name) + command, **how)
        deadline = time.monotonic() + JOIN_TIMEOUT
        while self.there and process.pid not in self.processes_of(name) and process.poll() is None:
            if time.monotonic() > deadline:
                process.kill()
                raise TimeoutError(f"process {process.pid} did not join {name} within {JOIN_TIMEOUT} s")
            time.sleep(0.0005)
        return process


def _root() -> Path | None:
    """Where cgroups version 2 are mounted, if below /sys/fs/cgroup, where nft looks."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mounted_on, kind, *_ = line.split()
        if kind == "cgroup2" and Path(mounted_on).is_relative_to("/sys/fs/cgroup"):
            return Path(mounted_on)
    return None


def _processes_in(group: Path) -> set[int]:
    try:
        return {int(pid) for pid in (group / "cgroup.procs").read_text().split()}
    except FileNotFoundError:  # nothing has been started in it yet
        return set()


def _remove(group: Path) -> None:
    """Kills what is in a group and removes it."""
    processes.kill(lambda: _processes_in(group))
    deadline = time.monotonic() + processes.KILL_TIMEOUT
    while True:
        try:
            return group.rmdir()
        except OSError:  # busy, until the last process has not only died but gone
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


cgroups = Cgroups()
