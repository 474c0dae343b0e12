"""Runs one unit of a member as systemd does: `python supervise.py [--leave] COMMAND...`

Waits for the command, kills what it left behind (KillMode=mixed; not with
--leave, KillMode=process) and ends with the command's status. A process whose parent ends is given to the nearest
ancestor that asked for it, which is this one: so whatever descends from here
belongs to the unit, in whatever session it is, and nothing else does.
"""

import ctypes
import os
import signal
import sys
import time

import processes

PR_SET_CHILD_SUBREAPER = 36
CANNOT_RUN = 127


def run(command: list[str], leave: bool) -> int:
    """Runs the command and ends all that it started, unless that is left; returns its status as a shell shows it."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    main = os.fork()
    if main == 0:
        _become(command)
    while (ended := os.wait())[0] != main:
        pass  # an orphan of the unit
    if not leave:
        processes.kill(_left_behind)
    code = os.waitstatus_to_exitcode(ended[1])
    return code if code >= 0 else 128 - code


def _become(command: list[str]) -> None:
    """Turns this new process into the command."""
    os.setsid()
    # Python ignores these two, and what is ignored stays ignored in a new program.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error}", file=sys.stderr, flush=True)
        os._exit(CANNOT_RUN)


def _left_behind() -> set[int]:
    """What descends from here and lives. Empty only when the kernel says so, not when a look missed something."""
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return set()
        if found := processes.descendants(os.getpid()):
            return found
        time.sleep(0.001)


if __name__ == "__main__":
    leave = sys.argv[1] == "--leave"
    sys.exit(run(sys.argv[1 + leave:], leave))
