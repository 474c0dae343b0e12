"""Members run two units and the commands of SSM, each with processes of its own."""

import os
import signal
import time
import unittest

from botocore.exceptions import ClientError
from canary import STOP_SECONDS, UNANSWERED_SECONDS, Canary, enable, processes_inside

# A unit that counts its starts and its seconds, and starts a process that leaves it: other session, other parent.
UNIT = """
cat > opt/understudy/NAME.sh <<'END'
echo started >> "$ROOT/NAME-starts"
(setsid sleep SECONDS &)
while sleep 0.05; do echo >> "$ROOT/NAME-ticks"; done
END
"""
USER_DATA = """#!/bin/bash
set -eu
cd "$ROOT"
mkdir -p opt/understudy
(setsid sleep 1000 &)
""" + UNIT.replace("NAME", "start").replace("SECONDS", "1001") + enable("start")
WITH_GUARD = USER_DATA + UNIT.replace("NAME", "guard").replace("SECONDS", "1002") + enable("guard")
FAILING = USER_DATA.replace("set -eu", "set -eu\nexit 1")
# A timer's service, one that lets its children live, and one that is there and not enabled.
OTHERS = USER_DATA + """
for name in report broken; do
  echo 'echo "$0 $*" >> "$ROOT/reports"; exit 3' > opt/understudy/$name.sh
  printf '[Service]\\nType=oneshot\\nExecStart=/bin/bash /opt/understudy/%s.sh full 1\\n' $name \\
    > opt/understudy/$name.service
done
echo report.timer >> etc/understudy/units
cat > opt/understudy/lasting.sh <<'END'
setsid sleep 1005 &
sleep 0.1
END
""" + enable("lasting", restart="60", kill_mode="process")
COMMAND = "(setsid sleep 1003 &); exec sleep 1004"
ALL = ["sleep 1000", "sleep 1001", "sleep 1002", "sleep 1003", "sleep 1004"]


class Units(Canary):
    """Two units side by side."""

    def setUp(self) -> None:
        self.id = self.boot(WITH_GUARD)
        self.within(5, lambda: self.ticks("start") and self.ticks("guard"), "both units run")
        self.addCleanup(self.aws.client("ec2").terminate_instances, InstanceIds=[self.id])

    def lines(self, name: str) -> int:
        path = self.root_of(self.id) / name
        return path.read_text().count("\n") if path.exists() else 0

    def ticks(self, unit: str) -> int:
        """How often a unit's loop went round."""
        return self.lines(f"{unit}-ticks")

    def sleepers(self) -> dict[str, int]:
        """The processes that only sleep, by what they are for."""
        return {command.strip(): pid for pid, command in processes_inside(self.root_of(self.id)).items()
                if command.startswith("sleep 1")}

    def main_of(self, unit: str) -> int:
        """The first process of a unit."""
        return next(pid for pid, command in processes_inside(self.root_of(self.id)).items()
                    if command.startswith("bash") and f"{unit}.sh" in command)

    def run_command(self) -> None:
        self.aws.client("ssm").send_command(InstanceIds=[self.id], DocumentName="AWS-RunShellScript",
                                            Parameters={"commands": [COMMAND]})
        self.within(5, lambda: sorted(self.sleepers()) == ALL, "the command runs")

    def test_a_units_restart_takes_what_it_left_behind_and_nothing_else(self) -> None:
        self.run_command()
        for unit, left_behind in (("guard", "sleep 1002"), ("start", "sleep 1001")):
            with self.subTest(unit=unit):
                before, began = self.sleepers(), time.monotonic()
                os.kill(self.main_of(unit), signal.SIGKILL)
                self.within(0.5, lambda: left_behind not in self.sleepers(), "what it left behind is killed")
                self.within(3, lambda: self.lines(f"{unit}-starts") == 2, "it is started again")
                self.assertGreater(time.monotonic() - began, 0.9, "after a second")
                self.within(1, lambda: sorted(self.sleepers()) == ALL, "with what it starts")
                changed = {name for name, pid in self.sleepers().items() if before[name] != pid}
                self.assertEqual(changed, {left_behind})
        self.assertEqual((self.lines("start-starts"), self.lines("guard-starts")), (2, 2))
        self.assertIn("understudy-guard.service ended with status 137", self.console(self.id))

    def test_faults_of_the_host_strike_both_units_and_the_commands(self) -> None:
        self.run_command()
        ended = len(processes_inside(self.root_of(self.id)))
        # All but the two supervisors are the member's own; each unit may just be between two sleeps.
        self.assertAlmostEqual(self.aws.fault(self.id, "hang")[1]["processes"], ended - 2, delta=2)
        ticks = (self.ticks("start"), self.ticks("guard"))
        time.sleep(0.3)
        self.assertEqual((self.ticks("start"), self.ticks("guard")), ticks)
        self.aws.fault(self.id, "resume")
        self.within(2, lambda: self.ticks("start") > ticks[0] and self.ticks("guard") > ticks[1], "both go on")
        self.aws.fault(self.id, "kill-host")
        self.assertEqual(processes_inside(self.root_of(self.id)), {})

    def test_a_host_that_hangs_heeds_no_stop_until_it_is_forced(self) -> None:
        ec2, forced = self.aws.client("ec2"), self.boot(WITH_GUARD)
        self.aws.fault(self.id, "hang")
        self.aws.fault(forced, "hang")
        ec2.stop_instances(InstanceIds=[self.id])
        ec2.stop_instances(InstanceIds=[forced], Force=True, SkipOsShutdown=True)
        self.within(0.5, lambda: not processes_inside(self.root_of(forced)), "the forced one is dead")
        time.sleep(UNANSWERED_SECONDS / 2)
        self.assertEqual(self.state(self.id), "stopping")
        self.assertTrue(processes_inside(self.root_of(self.id)), "stopping, and its processes are all there")
        self.within(UNANSWERED_SECONDS + STOP_SECONDS, lambda: self.state(self.id) == "stopped", "the state stopped")
        self.assertEqual(processes_inside(self.root_of(self.id)), {})

    def test_both_start_at_every_boot(self) -> None:
        ec2 = self.aws.client("ec2")
        ec2.reboot_instances(InstanceIds=[self.id])
        for unit in ("start", "guard"):
            self.within(3, lambda unit=unit: self.lines(f"{unit}-starts") == 2, f"{unit} after the reboot")
        self.assertEqual(self.state(self.id), "running")
        self.assertNotIn("sleep 1000", self.sleepers(), "the user data ran once")
        ec2.stop_instances(InstanceIds=[self.id])
        self.within(STOP_SECONDS + 2, lambda: self.state(self.id) == "stopped", "the state stopped")
        with self.assertRaisesRegex(ClientError, "IncorrectInstanceState"):
            ec2.reboot_instances(InstanceIds=[self.id])
        self.assertEqual(processes_inside(self.root_of(self.id)), {})
        ec2.start_instances(InstanceIds=[self.id])
        for unit in ("start", "guard"):
            self.within(3, lambda unit=unit: self.lines(f"{unit}-starts") == 3, f"{unit} after the start")


class Others(Canary):
    """Members that enable other units, or none."""

    def test_what_is_not_enabled_does_not_run(self) -> None:
        member = self.root_of(self.boot(USER_DATA))
        self.within(3, (member / "start-ticks").exists, "the unit that is there runs")
        self.assertEqual(sum("supervise.py" in command for command in processes_inside(member).values()), 1)
        instance_id = self.boot(FAILING)
        self.within(3, lambda: "ended with status 1" in self.console(instance_id), "the user data fails")
        time.sleep(0.4)
        self.assertFalse((self.root_of(instance_id) / "start-starts").exists())

    def test_a_service_that_is_enabled_later_starts_then(self) -> None:
        member = self.root_of(self.boot(USER_DATA))
        self.within(3, (member / "start-ticks").exists, "the first runs")
        (member / "opt/understudy/late.sh").write_text('touch "$ROOT/late"; exec sleep 1006')
        with (member / "etc/understudy/units").open("a") as units:
            units.write("late\n")
        self.within(2, lambda: "there is no file of late.service" in self.console(member.name), "it says what it lacks")
        (member / "opt/understudy/late.service").write_text("[Service]\nExecStart=/bin/bash /opt/understudy/late.sh\n")
        self.within(2, (member / "late").exists, "the late one runs")

    def test_a_timers_service_runs_when_it_is_asked_for(self) -> None:
        instance_id = self.boot(OTHERS)
        member = self.root_of(instance_id)
        self.within(3, lambda: "lasting.service ended with status 0" in self.console(instance_id), "one unit ends")
        self.assertIn("sleep 1005 ", processes_inside(member).values(), "what it leaves behind goes on")
        self.assertFalse((member / "reports").exists())
        status, done = self.aws.ask(f"{instance_id}/run-unit/report")
        self.assertEqual((status, done["unit"], done["status"]), (200, "report.service", 3))
        self.assertEqual((member / "reports").read_text(), f"{member}/opt/understudy/report.sh full 1\n")
        status, done = self.aws.ask(f"{instance_id}/run-unit/broken.timer")
        self.assertEqual((status, done["error"].partition(":")[0]), (409, "broken is not enabled"))
        self.aws.fault(instance_id, "kill-host")
        self.assertEqual(self.aws.ask(f"{instance_id}/run-unit/report")[0], 409)


if __name__ == "__main__":
    unittest.main()
