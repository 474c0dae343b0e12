"""Finding and ending the processes that live in a directory.

A process lives in a directory when its current directory is that one or one
below, or when the environment it was started with says ROOT=that one or one
below. That is how the processes of a member are told: PostgreSQL puts each of
its backends into a session of its own and daemons leave their parents, so
neither process groups nor parents tell. PostgreSQL stays in its directory but
overwrites its environment; runuser goes to / but keeps its environment.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

# A killed process is gone in microseconds unless it waits for a disk.
KILL_TIMEOUT = 10.0


def inside(directory: Path) -> set[int]:
    """The processes that live in `directory` or below, without this one.

    A zombie has neither a current directory nor an environment any more and
    does not count.
    """
    where = os.fsencode(directory)
    found = {int(name) for name in filter(str.isdigit, os.listdir("/proc"))
             if _is_within(_current_directory(name), where) or _is_within(_root(name), where)}
    return found - {os.getpid()}


def _is_within(path: bytes, directory: bytes) -> bool:
    return path == directory or path.startswith(directory + b"/")


def _current_directory(pid: str) -> bytes:
    try:
        return os.readlink(f"/proc/{pid}/cwd".encode()).removesuffix(b" (deleted)")
    except OSError:  # ended meanwhile, or someone else's
        return b""


def _root(pid: str) -> bytes:
    """ROOT in the environment a process was started with."""
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return b""
    return next((v.removeprefix(b"ROOT=") for v in variables if v.startswith(b"ROOT=")), b"")


def name_of(pid: int) -> str:
    """The command name of a process, "" if it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def parent_of(pid: int) -> int:
    """The parent of a process, 0 if it has ended; a zombie has."""
    try:
        # The name, in parentheses, may itself hold spaces and parentheses.
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return 0
    return 0 if state == "Z" else int(parent)


def descendants(ancestor: int) -> set[int]:
    """The children of a process, theirs, and so on."""
    parents = {int(name): parent_of(int(name)) for name in filter(str.isdigit, os.listdir("/proc"))}
    found: set[int] = set()
    while fresh := {pid for pid, parent in parents.items() if parent == ancestor or parent in found} - found:
        found |= fresh
    return found


def send(pids: set[int], number: signal.Signals) -> None:
    """Sends a signal to each process that still lives."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def freeze(find: Callable[[], set[int]]) -> set[int]:
    """Stops what `find` finds, until it finds nothing new.

    A stopped process cannot start another one, so this ends, and then
    everything that `find` can find stands still.
    """
    frozen: set[int] = set()
    while fresh := find() - frozen:
        send(fresh, signal.SIGSTOP)
        frozen |= fresh
    return frozen


def kill(find: Callable[[], set[int]]) -> None:
    """Kills what `find` finds at one instant: frozen first, so that none sees another die.

    Raises TimeoutError if something outlives SIGKILL.
    """
    deadline = time.monotonic() + KILL_TIMEOUT
    while frozen := freeze(find):
        send(frozen, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise TimeoutError(f"still alive {KILL_TIMEOUT} s after SIGKILL: {sorted(frozen)}")
        time.sleep(0.001)


class SharedMemory:
    """The shared memory that processes have mapped, which outlives them if they are killed.

    On a host of their own it would not outlive the host.
    """

    def __init__(self, pids: set[int]) -> None:
        self._files: set[Path] = set()
        self._segments: set[str] = set()
        for pid in pids:
            try:
                lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
            except OSError:
                continue
            for fields in (line.split(maxsplit=5) for line in lines):
                if len(fields) == 6 and fields[5].startswith("/dev/shm/"):
                    self._files.add(Path(fields[5].removesuffix(" (deleted)")))
                elif len(fields) == 6 and fields[5].startswith("/SYSV"):
                    self._segments.add(fields[4])  # shown as the inode

    def remove(self) -> None:
        """Gives it back."""
        for file in self._files:
            file.unlink(missing_ok=True)
        if self._segments:
            # A segment that is marked for removal already is refused; that is fine.
            subprocess.run(["ipcrm", *(f"--shmem-id={s}" for s in self._segments)],
                           stderr=subprocess.DEVNULL, check=False)
