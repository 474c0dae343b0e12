"""The members' data disks: file systems of their own, which can be full.

Fills a gap: MiniStack's volumes are records. Where root may mount one, a member
has an ext4 file system in a sparse file at var/lib/understudy, from before its
first boot. All of that happens in a mount namespace of this local AWS, which
its members and functions share: when the last of them has ended, however it
did, the kernel unmounts everything and frees the loop devices.
"""

import ctypes
import errno
import os
import shutil
import subprocess
import time
from pathlib import Path

import settings

MOUNTED_ON = "var/lib/understudy"
IMAGE = "data-disk.img"
# What takes the place of data on a full disk.
FILLER = ".filled-by-the-lab"
# Few inodes and no write-ahead of their tables: the image stays some MiB small. No block is kept for root.
MKFS = ("mkfs.ext4", "-q", "-F", "-m", "0", "-i", "262144", "-J", "size=64",
        "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard")
# Well above what that took on a machine with 15 processes waiting for each processor.
BUSY_SECONDS = 20.0
CLONE_NEWNS = 0x00020000
MS_PRIVATE_RECURSIVE = (1 << 18) | (1 << 14)


class NoDisk(Exception):
    """Why this machine has no disks of their own for members."""


class Disks:
    """Whether there can be such disks, and each member's."""

    def __init__(self) -> None:
        self._why_not = "the local AWS has not started"

    def open(self) -> None:
        """Enters a mount namespace. Must run before the first thread starts, or that one stays outside."""
        self._why_not = _enter_namespace() or _missing_programs()

    def attach(self, root: Path) -> None:
        """Makes and mounts a member's disk; leaves an ordinary directory where there can be none."""
        (root / MOUNTED_ON).mkdir(parents=True, exist_ok=True)
        if self._why_not:
            return
        image = root / IMAGE
        with image.open("xb") as new:
            new.truncate(settings.DISK_BYTES)
        try:
            _run(*MKFS, str(image))
            _run("mount", "-o", "loop,noatime,noinit_itable", str(image), str(root / MOUNTED_ON))
        except NoDisk as refused:
            image.unlink()
            self._why_not = str(refused)
            print(f"disks: {refused}", flush=True)

    def detach(self, root: Path) -> None:
        """Unmounts a member's disk for good. The kernel may still be closing files of processes that are dead."""
        deadline = time.monotonic() + BUSY_SECONDS
        while (root / MOUNTED_ON).is_mount():
            try:
                return _run("umount", str(root / MOUNTED_ON))
            except NoDisk as refused:
                if "busy" not in str(refused) or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def fill(self, root: Path) -> int:
        """Leaves no block free; says how many bytes that took. Raises NoDisk where there is none."""
        before = self._free(root)
        with (root / MOUNTED_ON / FILLER).open("ab") as filler:
            step = 1 << 30
            while step >= 4096:
                try:
                    os.posix_fallocate(filler.fileno(), filler.seek(0, os.SEEK_END), step)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    step //= 2
        return before - self._free(root)

    def grow(self, root: Path) -> int:
        """Undoes `fill`; says how many bytes are free. Raises NoDisk where there is none."""
        self._free(root)
        (root / MOUNTED_ON / FILLER).unlink(missing_ok=True)
        return self._free(root)

    def _free(self, root: Path) -> int:
        if not (root / MOUNTED_ON).is_mount():
            raise NoDisk(self._why_not or "the member has no disk of its own any more")
        left = os.statvfs(root / MOUNTED_ON)
        return left.f_bavail * left.f_frsize


def _enter_namespace() -> str:
    """Gives this process mounts of its own; says why it cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.getuid() != 0:
        return "mounting a disk needs root"
    if libc.unshare(CLONE_NEWNS) or libc.mount(None, b"/", None, MS_PRIVATE_RECURSIVE, None):
        return f"no mount namespace: {os.strerror(ctypes.get_errno())}"
    return ""


def _missing_programs() -> str:
    missing = [program for program in ("mkfs.ext4", "mount", "umount") if not shutil.which(program)]
    return f"missing: {', '.join(missing)}" if missing else ""


def _run(*command: str) -> None:
    done = subprocess.run(command, text=True, capture_output=True)
    if done.returncode != 0:
        raise NoDisk(f"{command[0]}: {done.stderr.strip()}")


disks = Disks()
