"""What systemd would run on a member: the units that its setup has enabled.

Under ROOT the scripts of infra/nodes enable units by writing their names, one
a line, to etc/understudy/units. The unit files lie beside the scripts. Of a
service this reads what the lab can do: its one ExecStart, KillMode, RestartSec
and whether it is of Type=oneshot; all of them run as who the member's scripts
run as, and these drop their rights themselves.
"""

from dataclasses import dataclass
from pathlib import Path

SCRIPTS = "opt/understudy"
ENABLED = "etc/understudy/units"
# systemd's own default is 0.1 s.
RESTART_SECONDS = 0.1
# What a template unit, a condition or a second command would do, the lab would leave out in silence.
UNKNOWN = ("ExecStartPre", "ExecStartPost", "ExecCondition", "EnvironmentFile", "ConditionPathExists")


class BadUnit(ValueError):
    """A unit that is not there, or that the lab cannot run as systemd would."""


@dataclass(frozen=True)
class Unit:
    """One service."""

    name: str
    command: tuple[str, ...]
    restart_seconds: float
    oneshot: bool
    # KillMode=process: what the main process leaves behind goes on.
    leaves: bool


def enabled(root: Path) -> list[str]:
    """The names of the enabled units, in the order of the file; those without an ending are services."""
    try:
        names = (root / ENABLED).read_text().split()
    except FileNotFoundError:
        return []
    return list(dict.fromkeys(name if "." in name else f"{name}.service" for name in names))


def services(root: Path) -> list[str]:
    """The enabled services."""
    return [name for name in enabled(root) if name.endswith(".service")]


def service_of(root: Path, name: str) -> Unit:
    """The service of an enabled unit, which may be a timer. Raises BadUnit."""
    stem = name.removesuffix(".service").removesuffix(".timer")
    if not {f"{stem}.service", f"{stem}.timer"} & set(enabled(root)):
        raise BadUnit(f"{stem} is not enabled: {', '.join(enabled(root)) or 'nothing is'}")
    return read(root, f"{stem}.service")


def read(root: Path, name: str) -> Unit:
    """A service by its file. Raises BadUnit."""
    file = next((f for f in (root / SCRIPTS / name, root / "etc/systemd/system" / name) if f.exists()), None)
    if file is None:
        raise BadUnit(f"there is no file of {name}")
    said = _directives(file.read_text())
    if strange := [directive for directive in UNKNOWN if directive in said]:
        raise BadUnit(f"{name}: the lab does not know {', '.join(strange)}")
    commands = said.get("ExecStart", [])
    if len(commands) != 1 or not commands[0].startswith(f"/bin/bash /{SCRIPTS}/"):
        raise BadUnit(f"{name}: one ExecStart=/bin/bash /{SCRIPTS}/... expected, {commands} found")
    words = commands[0].split()
    return Unit(
        name=name,
        command=("bash", *(str(root / word.lstrip("/")) if word.startswith(f"/{SCRIPTS}/") else word
                           for word in words[1:])),
        restart_seconds=_seconds(said.get("RestartSec", [""])[-1]),
        oneshot=said.get("Type", [""])[-1] == "oneshot",
        leaves=said.get("KillMode", [""])[-1] == "process",
    )


def _directives(text: str) -> dict[str, list[str]]:
    """All directives of a unit file, whatever their section."""
    found: dict[str, list[str]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith(("#", ";")):
            found.setdefault(name, []).append(value)
    return found


def _seconds(text: str) -> float:
    return float(text.removesuffix("s")) if text else RESTART_SECONDS
