"""The members' operating systems: real processes, one directory per EC2 instance.

Fills a gap: MiniStack's EC2 instances are records with nothing behind them.

The first boot runs the instance's user data under ROOT, as cloud-init does.
Every boot then runs `start.sh` again and again, as systemd does with the
unit of infra/nodes (Restart=always, RestartSec=1). Whatever a member starts
lives in the member's directory (see processes.py) and dies with it.
"""

import os
import shutil
import signal
import subprocess
import threading
import time

import processes
import settings
from packets import packets

START_SCRIPT = "opt/understudy/start.sh"
RESTART_SECONDS = 1.0


class Member:
    """One EC2 instance's machine: power, processes and what faults do to them."""

    def __init__(self, instance_id: str, address: str, user_data: bytes) -> None:
        self.instance_id = instance_id
        self.address = address
        self.user_data = user_data
        self.root = settings.MEMBERS_DIR / instance_id
        self.dead = False
        self._changed = threading.Condition()
        self._boot = 0  # counts power cycles; a thread of an older boot starts nothing
        self._powered = self._hung = False
        self._booted_before = False
        self._unit_enabled = False

    def find(self) -> set[int]:
        """The processes of this member: by its cgroup if there are any, which is quicker."""
        if packets.can_cut_outbound:
            return packets.processes_of(self.instance_id)
        return processes.inside(self.root)

    # -- power ----------------------------------------------------------

    def power_on(self) -> None:
        """Boots the machine unless it runs. Whatever cut it off before is healed."""
        with self._changed:
            if self._powered:
                return
            packets.heal(self.address, self.instance_id)
            self._powered, self._hung, self.dead = True, False, False
            self._boot += 1
            boot = self._boot
        threading.Thread(target=self._run, args=(boot,), name=f"boot-{self.instance_id}", daemon=True).start()

    def power_off(self) -> int:
        """Kills every process at one instant; says how many it found alive."""
        with self._changed:
            self._powered = self._hung = False
            self._boot += 1
            found = processes.freeze(self.find)
            memory = processes.SharedMemory(found)
            processes.kill(self.find)
            memory.remove()
            self._changed.notify_all()
        return len(found)

    def discard(self) -> None:
        """Deletes the machine's disk, all but what it said on its console."""
        self.power_off()
        packets.heal(self.address, self.instance_id)
        for entry in self.root.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != "console.log":
                entry.unlink()

    # -- faults ---------------------------------------------------------

    def kill_host(self) -> dict:
        """The hardware dies: no process left, no packet answered. EC2 goes on saying `running`."""
        with self._changed:
            # Frozen before the packets are dropped and killed after: nothing
            # is done in between, and the kernel's goodbyes do not get through.
            self.dead = True
            processes.freeze(self.find)
            dropped = packets.drop(self.address, self.instance_id)
            killed = self.power_off()
        return {"processes": killed, "inbound_dropped": dropped,
                "outbound_dropped": dropped and packets.can_cut_outbound}

    def kill_postmaster(self) -> dict:
        """PostgreSQL's first process dies by SIGKILL; the host lives and systemd starts it again."""
        postgres = {pid for pid in self.find() if processes.name_of(pid) == "postgres"}
        first = {pid for pid in postgres if processes.parent_of(pid) not in postgres}
        processes.send(first, signal.SIGKILL)
        return {"processes": len(first)}

    def hang(self) -> dict:
        """Every process stands still; connections stay open and the kernel still accepts new ones."""
        with self._changed:
            self._hung = True
            return {"processes": len(processes.freeze(self.find))}

    def resume(self) -> dict:
        """Undoes `hang`."""
        with self._changed:
            self._hung = False
            found = self.find()
            processes.send(found, signal.SIGCONT)
            self._changed.notify_all()
        return {"processes": len(found)}

    def partition(self) -> dict:
        """Runs on, cut off from all but itself and the lab's client."""
        cut = packets.cut(self.address, self.instance_id)
        return {"inbound_dropped": cut, "outbound_dropped": cut and packets.can_cut_outbound}

    def heal(self) -> dict:
        """Undoes `partition`. A dead host stays dead until it is stopped and started."""
        if self.dead:
            raise ValueError(f"{self.instance_id} is dead: StopInstances and StartInstances bring it back")
        packets.heal(self.address, self.instance_id)
        return {"inbound_dropped": False, "outbound_dropped": False}

    # -- boot -----------------------------------------------------------

    def _run(self, boot: int) -> None:
        """One boot, from power on to power off."""
        first, self._booted_before = not self._booted_before, True
        if first:
            self._unit_enabled = self._run_user_data(boot)
        if not self._unit_enabled:
            return
        others = self.find()
        while unit := self._start(boot, ["bash", str(self.root / START_SCRIPT)]):
            unit.wait()
            self._end_unit(boot, others)
            with self._changed:
                self._changed.wait_for(lambda: self._boot != boot, timeout=RESTART_SECONDS)

    def _run_user_data(self, boot: int) -> bool:
        """Runs the user data once; says whether there is then a unit to keep running."""
        script = self.root / "var/lib/cloud/instance/user-data.txt"
        script.parent.mkdir(parents=True, exist_ok=True)
        (self.root / "tmp").mkdir(exist_ok=True)
        (self.root / "tmp").chmod(0o1777)
        self.root.chmod(0o755)
        if not self.user_data.startswith(b"#!"):
            self._say("no user data that is a script")
            return False
        script.write_bytes(self.user_data)
        script.chmod(0o700)
        began = time.monotonic()
        started = self._start(boot, [str(script)])
        if started is None:
            return False
        status = started.wait()
        self._say(f"user data ended with status {status} after {time.monotonic() - began:.1f} s")
        return status == 0 and (self.root / START_SCRIPT).exists()

    def _start(self, boot: int, command: list[str]) -> subprocess.Popen | None:
        """Starts a process of this member; None if `boot` is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._boot != boot or not self._hung)
            if self._boot != boot:
                return None
            with (self.root / "console.log").open("ab") as console:
                return subprocess.Popen(
                    packets.launcher(self.instance_id) + command,
                    cwd=self.root, env=self._environment(), stdin=subprocess.DEVNULL,
                    stdout=console, stderr=subprocess.STDOUT, start_new_session=True)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.root),
            "TMPDIR": str(self.root / "tmp"),
            "ROOT": str(self.root),
            "IMDS": f"{settings.CONTROL_URL}/{self.instance_id}",
            "AWS_ENDPOINT_URL": settings.GATEWAY_URL,
        }

    def _end_unit(self, boot: int, others: set[int]) -> None:
        """Kills what the unit left behind, as systemd does before it restarts one.

        `others` ran before the unit did and belong to the user data.
        """
        with self._changed:
            if self._boot == boot:
                processes.kill(lambda: self.find() - others)

    def _say(self, text: str) -> None:
        with (self.root / "console.log").open("a") as console:
            console.write(f"lab: {text}\n")


# By instance id.
members: dict[str, Member] = {}


def clear_leftovers() -> None:
    """Kills and deletes what an earlier local AWS, itself killed, left behind."""
    for directory in (settings.MEMBERS_DIR, settings.HOST_DIR):
        processes.kill(lambda directory=directory: processes.inside(directory))
        for entry in directory.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def power_off_all() -> None:
    """Kills every member and every function of this local AWS."""
    for member in list(members.values()):
        member.power_off()
    for directory in (settings.MEMBERS_DIR, settings.HOST_DIR):
        processes.kill(lambda directory=directory: processes.inside(directory))
