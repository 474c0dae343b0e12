"""Dropping packets to and from members, as a dead host or a cut cable does.

A killed process still says goodbye: the kernel sends FIN or RST for its
connections and refuses new ones. A dead host says nothing. So where root and
nft are at hand, packets to and from its address are dropped.

A partition needs more. All of the lab shares one loopback interface, and what
a member itself connects to elsewhere carries the source address 127.0.0.1, as
does everybody's. Its processes therefore run in a cgroup (version 2) of their
own, by which nft tells their packets. Without cgroups only connections made
to the member are cut, not those it makes; `can_cut_outbound` says which.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

import processes
import settings

# "unds" in ASCII: marks packets sent by a process of a cut member.
MARK = "0x756e6473"
# <table name>/<instance id> below the root of the hierarchy.
CGROUP_LEVEL = 2

# Filtered on arrival: a packet refused when sent would tell its sender so.
ARRIVING = f"""
    set dead {{ type ipv4_addr; }}
    set cut {{ type ipv4_addr; }}
    chain arriving {{
        type filter hook input priority filter; policy accept;
        ip daddr @dead drop
        ip saddr @dead drop
        %s
        ip saddr {settings.CLIENT_ADDRESS} accept
        ip daddr {settings.CLIENT_ADDRESS} accept
        %s
        ip daddr @cut drop
        ip saddr @cut drop
    }}
"""
# A cut member still talks to itself and to the instance metadata service,
# which on EC2 is the hypervisor's and not across any network.
TO_ITSELF = f"""
        meta mark {MARK} ip daddr @cut accept
        ip saddr @cut socket cgroupv2 level {CGROUP_LEVEL} @cut_members accept
        ip daddr {settings.ADDRESS} tcp dport {settings.CONTROL_PORT} accept
        ip saddr {settings.ADDRESS} tcp sport {settings.CONTROL_PORT} accept
"""
OUTBOUND = f"""
        meta mark {MARK} drop
        socket cgroupv2 level {CGROUP_LEVEL} @cut_members drop
"""
LEAVING = f"""
    set cut_members {{ type cgroupsv2; }}
    chain leaving {{
        type filter hook output priority filter; policy accept;
        socket cgroupv2 level {CGROUP_LEVEL} @cut_members meta mark set {MARK}
    }}
"""


class Packets:
    """This lab's nft table and its cgroups; nothing at all for an ordinary user.

    The cgroups serve a second end: they say at once which processes a member has.
    """

    def __init__(self) -> None:
        self.can_drop = False
        self.can_cut_outbound = False
        self._cgroups: Path | None = None

    def open(self) -> None:
        """Makes the table anew. Leaves both abilities False where the kernel or the user lacks them."""
        if os.getuid() != 0 or not shutil.which("nft"):
            return
        self.close()
        self._cgroups = _make_cgroups()
        if self._cgroups and self._load(LEAVING + ARRIVING % (TO_ITSELF, OUTBOUND)):
            self.can_drop = self.can_cut_outbound = True
        else:
            self.can_drop = self._load(ARRIVING % ("", ""))

    def close(self) -> None:
        """Removes the table, with every drop in it, and the cgroups, with every process in them."""
        if os.getuid() != 0 or not shutil.which("nft"):
            return
        # Declared first, because deleting a table that is not there fails.
        table = f"inet {settings.PACKETS_NAME}"
        _nft(f"table {table} {{ }}\ndelete table {table}\n")
        self.can_drop = self.can_cut_outbound = False
        root = _cgroup_root()
        parent = root / settings.PACKETS_NAME if root else None
        if parent and parent.exists():
            for group in [*parent.glob("*/"), parent]:
                _remove_cgroup(group)

    def launcher(self, name: str) -> list[str]:
        """What to put before a command so that it starts in the cgroup of member `name`."""
        if not self.can_cut_outbound:
            return []
        group = self._cgroups / name
        group.mkdir(exist_ok=True)
        return ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs")]

    def processes_of(self, name: str) -> set[int]:
        """The processes in the cgroup of member `name`. Not one can leave it, zombies have left."""
        return _processes_in(self._cgroups / name)

    def drop(self, address: str, name: str) -> bool:
        """Drops all packets to and from member `name`; says whether it can."""
        return self._change("add", {"dead": address, **self._cgroup_element(name)})

    def cut(self, address: str, name: str) -> bool:
        """Cuts member `name` off from all but itself and the lab's client; says whether it can."""
        return self._change("add", {"cut": address, **self._cgroup_element(name)})

    def heal(self, address: str, name: str) -> None:
        """Undoes `drop` and `cut`."""
        self._change("delete", {"dead": address, "cut": address, **self._cgroup_element(name)})

    def _cgroup_element(self, name: str) -> dict[str, str]:
        if not self.can_cut_outbound:
            return {}
        group = self._cgroups / name
        group.mkdir(exist_ok=True)  # nft looks the directory up
        return {"cut_members": f'"{group.relative_to("/sys/fs/cgroup")}"'}

    def _change(self, verb: str, elements: dict[str, str]) -> bool:
        """Adds or deletes elements of sets, all at once; False if packets cannot be dropped."""
        if not self.can_drop:
            return False
        script = ""
        for of, element in elements.items():
            statement = f"element inet {settings.PACKETS_NAME} {of} {{ {element} }}\n"
            # Added in either case, because deleting one that is not there fails.
            script += f"add {statement}" + (f"delete {statement}" if verb == "delete" else "")
        _nft(script)
        return True

    def _load(self, body: str) -> bool:
        """Makes the table; False if this kernel does not know what is in it."""
        try:
            _nft(f"table inet {settings.PACKETS_NAME} {{ {body} }}\n")
        except RuntimeError as refused:
            print(f"nft: {refused}", flush=True)
            return False
        return True


def _processes_in(group: Path) -> set[int]:
    try:
        return {int(pid) for pid in (group / "cgroup.procs").read_text().split()}
    except FileNotFoundError:  # nothing has been started in it yet
        return set()


def _remove_cgroup(group: Path) -> None:
    """Kills what is in a cgroup and removes it."""
    processes.kill(lambda: _processes_in(group))
    deadline = time.monotonic() + processes.KILL_TIMEOUT
    while True:
        try:
            return group.rmdir()
        except OSError:  # busy, until the last process has not only died but gone
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _nft(script: str) -> None:
    """Runs a script of nft: all of it or nothing."""
    done = subprocess.run(["nft", "-f", "-"], input=script, text=True, capture_output=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())


def _cgroup_root() -> Path | None:
    """Where cgroups version 2 are mounted, if below /sys/fs/cgroup, where nft looks."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mounted_on, kind, *_ = line.split()
        if kind == "cgroup2" and Path(mounted_on).is_relative_to("/sys/fs/cgroup"):
            return Path(mounted_on)
    return None


def _make_cgroups() -> Path | None:
    """The parent of the members' cgroups; None where there can be none."""
    root = _cgroup_root()
    if root is None:
        return None
    parent = root / settings.PACKETS_NAME
    try:
        parent.mkdir(exist_ok=True)
    except OSError:  # mounted read-only, as in most containers
        return None
    return parent


packets = Packets()
