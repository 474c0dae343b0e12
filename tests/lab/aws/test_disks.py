"""A member's data disk can be full, and grow."""

import subprocess
import unittest

from canary import Canary, enable, processes_inside

# Writes to the disk all the time, and says when it could and when not.
USER_DATA = """#!/bin/bash
set -eu
cd "$ROOT"
mkdir -p opt/understudy
cat > opt/understudy/start.sh <<'END'
cd "$ROOT"
while sleep 0.02; do
  if head -c 20000 /dev/zero >> var/lib/understudy/data; then echo written; else echo full; fi > tmp/state
done
END
""" + enable("start")
MIB = 1 << 20


class Disks(Canary):
    """One member's disk."""

    def test_it_is_full_and_grows_and_others_are_not_concerned(self) -> None:
        one, other = self.boot(USER_DATA), self.boot(USER_DATA)

        def wrote(member: str) -> bool:
            state = self.root_of(member) / "tmp/state"
            return state.exists() and state.read_text() == "written\n"

        self.within(3, lambda: wrote(one) and wrote(other), "both write")
        status, done = self.aws.fault(one, "fill-disk")
        if status == 501:
            self.assertIn("nothing was done", done["error"])
            self.assertTrue(wrote(one))
            self.skipTest(done["error"])
        self.assertEqual(status, 200)
        self.assertGreater(done["filled_bytes"], 300 * MIB)
        self.within(2, lambda: not wrote(one), "nothing can be written")
        self.assertTrue(wrote(other))
        self.assertGreater(self.aws.fault(one, "grow-disk")[1]["free_bytes"], 300 * MIB)
        self.within(2, lambda: wrote(one), "it writes again")
        # What the disk says it has is not what it takes.
        self.assertLess((self.root_of(one) / "data-disk.img").stat().st_blocks * 512, 100 * MIB)

    def test_it_outlives_its_host_and_goes_with_its_instance(self) -> None:
        member = self.boot(USER_DATA)
        if self.aws.fault(member, "fill-disk")[0] == 501:
            self.skipTest("no disks")
        state = self.root_of(member) / "tmp/state"
        self.within(3, lambda: state.exists() and state.read_text() == "full\n", "nothing can be written")
        state.unlink()
        self.aws.client("ec2").reboot_instances(InstanceIds=[member])
        self.within(3, lambda: state.exists() and state.read_text() == "full\n", "still full after a reboot")
        self.aws.client("ec2").terminate_instances(InstanceIds=[member])
        self.within(3, lambda: self.state(member) == "terminated", "the state terminated")
        self.assertEqual([entry.name for entry in self.root_of(member).iterdir()], ["console.log"])
        self.assertEqual(self.aws.fault(member, "fill-disk")[0], 501)

    def test_no_mount_outlives_a_killed_local_aws_and_its_members(self) -> None:
        member = self.root_of(self.boot(USER_DATA))
        self.within(3, lambda: processes_inside(member), "its unit runs")
        self.aws.stop(9)
        self.assertTrue(processes_inside(member))
        self.aws.start()
        self.assertFalse(member.exists())
        for where in ("/proc/self/mounts", "/proc/%d/mounts" % self.aws.process.pid):
            with open(where) as mounts:
                self.assertNotIn(str(self.aws.directory), mounts.read())

        def loops() -> str:
            return subprocess.run(["losetup", "--list", "--noheadings"], capture_output=True, text=True).stdout

        self.within(3, lambda: str(member) not in loops(), "the loop device is free")


if __name__ == "__main__":
    unittest.main()
