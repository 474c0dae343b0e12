"""The members' operating systems: real processes, one directory per EC2 instance.

Fills a gap: MiniStack's EC2 instances are records with nothing behind them.

The first boot runs the instance's user data under ROOT, as cloud-init does.
Every boot then runs the services that the member's scripts have enabled, again
and again, as systemd does (Restart=always, KillMode=mixed; see units.py and
supervise.py); a service enabled later starts then. A timer's service runs when
the lab's control says so. Commands of SSM run beside them. Whatever a member
starts lives in the member's directory and control group and dies with it.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import processes
import settings
import units
from cgroups import cgroups
from disks import disks
from packets import CUT_AWS, CUT_FUNCTIONS, DEAD, ISOLATE, PARTITION, packets

# How often it is looked whether another service has been enabled.
LOOK_SECONDS = 0.25
# -S, -E, -s: nothing of this environment, nothing of the user's, and a start in 20 ms.
SUPERVISE = [sys.executable, "-S", "-E", "-s", str(Path(__file__).with_name("supervise.py"))]


class Command:
    """One command of SSM on a member: it dies when the member does."""

    def __init__(self, member: "Member", boot: int, process: subprocess.Popen) -> None:
        self._member, self._boot, self._process = member, boot, process

    @property
    def status(self) -> int | None:
        """Its exit status, as a shell shows it; None while it runs."""
        code = self._process.poll()
        return code if code is None or code >= 0 else 128 - code

    @property
    def lost(self) -> bool:
        """Whether the member went down since the command began."""
        return not self._member.runs(self._boot)

    def kill(self) -> None:
        """Ends it and what it started, as the agent does when its time is over."""
        processes.kill(lambda: {pid for pid in (self._process.pid, *processes.descendants(self._process.pid))
                                if processes.parent_of(pid)})


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
        self._kept: set[str] = set()  # the services of this boot
        self._supervisors: dict[str, int] = {}

    def find(self) -> set[int]:
        """The processes of this member: by its cgroup if there are any, which is quicker."""
        if cgroups.there:
            return cgroups.processes_of(self.instance_id)
        return processes.inside(self.root)

    def count(self, found: set[int]) -> int:
        """How many of these processes are not the lab's own supervisors of units."""
        return len(found - set(self._supervisors.values()))

    def runs(self, boot: int) -> bool:
        """Whether it has been up without a break since that boot."""
        with self._changed:
            return self._powered and self._boot == boot

    # -- power ----------------------------------------------------------

    def power_on(self) -> None:
        """Boots the machine unless it runs. Whatever cut it off before is healed."""
        with self._changed:
            if self._powered:
                return
            packets.heal(self.instance_id)
            self.root.mkdir(parents=True, exist_ok=True)
            self._powered, self._hung, self.dead = True, False, False
            # In memory on a host, where packages make their folders in it anew.
            for left in (self.root / "run").rglob("*"):
                if not left.is_dir() or left.is_symlink():
                    left.unlink(missing_ok=True)
            self._kept = set()
            self._boot += 1
            boot = self._boot
        threading.Thread(target=self._run, args=(boot,), name=f"boot-{self.instance_id}", daemon=True).start()

    def power_off(self) -> int:
        """Kills every process at one instant; says how many it found alive."""
        with self._changed:
            self._powered = self._hung = False
            self._boot += 1
            found = processes.freeze(self.find)
            count = self.count(found)
            memory = processes.SharedMemory(found)
            processes.kill(self.find)
            memory.remove()
            self._changed.notify_all()
        return count

    def reboot(self) -> None:
        """Kills and boots, if it runs. Dead hardware does not, and a stopped machine stays off."""
        with self._changed:
            if self._powered:
                self.power_off()
                self.power_on()

    def wait_for_answer(self, most: float) -> None:
        """Waits until it heeds a shutdown, at most so many seconds: a host that hangs does not."""
        with self._changed:
            self._changed.wait_for(lambda: not self._hung, timeout=most)

    def discard(self) -> None:
        """Deletes the machine's disks, all but what it said on its console."""
        self.power_off()
        packets.heal(self.instance_id)
        disks.detach(self.root)
        for entry in self.root.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != "console.log":
                entry.unlink()

    # -- faults: hosts --------------------------------------------------

    def kill_host(self) -> dict:
        """The hardware dies: no process left, no packet answered. EC2 goes on saying `running`."""
        with self._changed:
            # Frozen before the packets are dropped and killed after: nothing
            # is done in between, and the kernel's goodbyes do not get through.
            self.dead = True
            processes.freeze(self.find)
            dropped = packets.cut(self.instance_id, self.address, DEAD)
            killed = self.power_off()
        return {"processes": killed, "inbound_dropped": dropped,
                "outbound_dropped": dropped and packets.can_cut_outbound}

    def kill_postmaster(self) -> dict:
        """PostgreSQL's first process dies by SIGKILL; the host lives, and who started PostgreSQL sees to it."""
        postgres = {pid for pid in self.find() if processes.name_of(pid) == "postgres"}
        first = {pid for pid in postgres if processes.parent_of(pid) not in postgres}
        processes.send(first, signal.SIGKILL)
        return {"processes": len(first)}

    def hang(self) -> dict:
        """Every process stands still; connections stay open and the kernel still accepts new ones."""
        with self._changed:
            self._hung = True
            return {"processes": self.count(processes.freeze(self.find))}

    def resume(self) -> dict:
        """Undoes `hang`."""
        with self._changed:
            self._hung = False
            found = self.find()
            processes.send(found, signal.SIGCONT)
            self._changed.notify_all()
        return {"processes": self.count(found)}

    # -- faults: networks and disks -------------------------------------

    def partition(self) -> dict:
        """Runs on, cut off from all but itself, the metadata service and the lab's client."""
        return self._cut(PARTITION)

    def isolate(self) -> dict:
        """Runs on, cut off from all but itself."""
        return self._cut(ISOLATE)

    def cut_functions(self) -> dict:
        """Runs on; no packet passes between it and a Lambda function."""
        return self._cut(CUT_FUNCTIONS)

    def cut_aws(self) -> dict:
        """Runs on without the AWS API and the metadata service."""
        return self._cut(CUT_AWS)

    def cut_from(self, other: "Member") -> dict:
        """Both run on; no packet passes between them."""
        cut = packets.part(self.instance_id, self.address, other.instance_id, other.address)
        return {"inbound_dropped": cut, "outbound_dropped": cut}

    def heal(self) -> dict:
        """Undoes all cuts. A dead host stays dead until it is stopped and started."""
        if self.dead:
            raise ValueError(f"{self.instance_id} is dead: StopInstances and StartInstances bring it back")
        packets.heal(self.instance_id)
        return {"inbound_dropped": False, "outbound_dropped": False}

    def _cut(self, how: str) -> dict:
        cut = packets.cut(self.instance_id, self.address, how)
        return {"inbound_dropped": cut, "outbound_dropped": cut and packets.can_cut_outbound}

    def fill_disk(self) -> dict:
        """Its data file system has no block left."""
        return {"filled_bytes": disks.fill(self.root)}

    def grow_disk(self) -> dict:
        """Undoes `fill_disk`."""
        return {"free_bytes": disks.grow(self.root)}

    # -- boot -----------------------------------------------------------

    def _run(self, boot: int) -> None:
        """One boot: its user data if it is the first, and every service that is enabled, until it is over."""
        first, self._booted_before = not self._booted_before, True
        if not settings.RUN_USER_DATA:
            return
        if first:
            # Beside the services: what the user data enables and starts, it may wait for.
            threading.Thread(target=self._run_user_data, args=(boot,), name=f"user-data-{self.instance_id}",
                             daemon=True).start()
        while self.runs(boot):
            for name in units.services(self.root):
                if name not in self._kept:
                    self._kept.add(name)
                    threading.Thread(target=self._keep_running, args=(boot, name),
                                     name=f"{name}-{self.instance_id}", daemon=True).start()
            with self._changed:
                self._changed.wait_for(lambda: self._boot != boot, timeout=LOOK_SECONDS)

    def _keep_running(self, boot: int, name: str) -> None:
        said = ""
        while self.runs(boot):
            pause = LOOK_SECONDS
            try:
                unit = units.read(self.root, name)
                status = self._run_unit(boot, unit)
                if unit.oneshot or not self.runs(boot):
                    return
                self._say(f"{name} ended with status {status}")
                pause = unit.restart_seconds
            except units.BadUnit as bad:  # its folder may just be exchanged for a newer one
                if str(bad) != said:
                    self._say(f"not started: {bad}")
                said = str(bad)
            with self._changed:
                self._changed.wait_for(lambda: self._boot != boot, timeout=pause)

    def run_unit(self, name: str) -> dict:
        """Starts a timer's service and waits for its end. Raises ValueError for one that is not enabled, or is off."""
        with self._changed:
            boot = self._boot
            if not self._powered:
                raise ValueError(f"{self.instance_id} is off")
        unit = units.service_of(self.root, name)
        if unit.name in self._supervisors:
            raise ValueError(f"{unit.name} runs already")
        status = self._run_unit(boot, unit)
        if status is None or not self.runs(boot):
            raise ValueError(f"{self.instance_id} went down")
        return {"unit": unit.name, "status": status}

    def _run_unit(self, boot: int, unit: units.Unit) -> int | None:
        """Runs a service once; its status, or None if `boot` is over."""
        supervise = [*SUPERVISE, "--leave"] if unit.leaves else SUPERVISE
        process = self._start(boot, [*supervise, *unit.command], unit.name)
        if process is None:
            return None
        status = process.wait()
        with self._changed:
            if self._supervisors.get(unit.name) == process.pid:
                del self._supervisors[unit.name]
        return status

    def _run_user_data(self, boot: int) -> None:
        """Runs the user data, as cloud-init does once in an instance's life."""
        script = self.root / "var/lib/cloud/instance/user-data.txt"
        with self._changed:
            if self._boot != boot:  # switched off, or even deleted, before it did anything
                return
            script.parent.mkdir(parents=True)
            (self.root / "tmp").mkdir()
            (self.root / "tmp").chmod(0o1777)
            self.root.chmod(0o755)
            disks.attach(self.root)
        if not self.user_data.startswith(b"#!"):
            return self._say("no user data that is a script")
        script.write_bytes(self.user_data)
        script.chmod(0o700)
        began = time.monotonic()
        started = self._start(boot, [str(script)])
        if started is None:
            return
        status = started.wait()
        self._say(f"user data ended with status {status} after {time.monotonic() - began:.1f} s")

    def _start(self, boot: int, command: list[str], unit: str = "") -> subprocess.Popen | None:
        """Starts a process of this member; None if `boot` is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._boot != boot or not self._hung)
            if self._boot != boot:
                return None
            with (self.root / "console.log").open("ab") as console:
                process = self._spawn(command, console, subprocess.STDOUT)
            if unit:
                self._supervisors[unit] = process.pid
            return process

    # -- commands of SSM --------------------------------------------------

    @property
    def hears_aws(self) -> bool:
        """Whether the agent on it can get a command, or say how one ended."""
        with self._changed:
            return self._powered and not self._hung and not packets.keeps_from_aws(self.instance_id)

    def execute(self, script: Path, stdout: Path, stderr: Path) -> Command | None:
        """Runs a script as the agent does; None if the agent cannot have got it."""
        with self._changed:
            if not self.hears_aws:
                return None
            with stdout.open("wb") as out, stderr.open("wb") as err:
                # A script without a first line that names another is the shell's own.
                return Command(self, self._boot, self._spawn(["sh", "-c", shlex.quote(str(script))], out, err))

    def _spawn(self, command: list[str], stdout, stderr) -> subprocess.Popen:
        return cgroups.start(
            self.instance_id, command, cwd=self.root, env=self._environment(), stdin=subprocess.DEVNULL,
            stdout=stdout, stderr=stderr, start_new_session=True)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.root),
            "TMPDIR": str(self.root / "tmp"),
            "ROOT": str(self.root),
            "IMDS": f"{settings.CONTROL_URL}/{self.instance_id}",
            "AWS_ENDPOINT_URL": settings.GATEWAY_URL,
            "PATRONI": settings.PATRONI,
            "LAB_BACKUPS": str(settings.BACKUPS_DIR),
        }

    def _say(self, text: str) -> None:
        with (self.root / "console.log").open("a") as console:
            console.write(f"lab: {text}\n")


# By instance id.
members: dict[str, Member] = {}


def clear_leftovers() -> None:
    """Kills and deletes what an earlier local AWS, itself killed, left behind."""
    for directory in (settings.MEMBERS_DIR, settings.DATABASES_DIR, settings.HOST_DIR):
        processes.kill(lambda directory=directory: processes.inside(directory))
        for entry in directory.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def power_off_all() -> None:
    """Kills every member and every function of this local AWS."""
    for member in list(members.values()):
        member.power_off()
    for directory in (settings.MEMBERS_DIR, settings.DATABASES_DIR, settings.HOST_DIR):
        processes.kill(lambda directory=directory: processes.inside(directory))
