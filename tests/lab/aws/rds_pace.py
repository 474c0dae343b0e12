"""How fast the lab's RDS moves, and what it sees: what the control may change while it runs."""

from dataclasses import asdict, dataclass, fields

import settings


class BadPace(ValueError):
    """What is wrong with a wish, in a sentence."""


@dataclass
class Pace:
    """All in seconds; RDS takes 30 to 60 times as long."""

    # An ordinary change: creating, modifying, backing-up, rebooting, and the security groups of an instance.
    change_seconds: float = settings.RDS_SECONDS
    # The status `modifying` of a replica that is being promoted.
    promotion_seconds: float = settings.RDS_SECONDS
    # From the death of a host to the first step of a failover: Multi-AZ, Aurora, global.
    failover_seconds: float = settings.RDS_FAILOVER_SECONDS
    # From the death of a host that nobody can take over from to its replacement; None: it never comes.
    replacement_seconds: float | None = settings.RDS_REPLACEMENT_SECONDS
    # The same of Aurora, whose instances have no volume of their own.
    aurora_replacement_seconds: float | None = 5 * settings.RDS_SECONDS
    # Whether RDS takes a host that stands still, or one that is partitioned, for dead. If not, that is a gray failure.
    sees_hang: bool = False
    sees_partition: bool = True

    def change(self, wishes: object) -> dict:
        """Changes what is asked for; says how it is now. Raises BadPace."""
        if not isinstance(wishes, dict):
            raise BadPace("a JSON object of the pace's fields is wanted")
        known = {field.name: field.type for field in fields(self)}
        if unknown := set(wishes) - set(known):
            raise BadPace(f"there is no {', '.join(sorted(unknown))}, but {', '.join(known)}")
        for name, value in wishes.items():
            never = value is None and "replacement" in name
            fits = type(value) is bool if name.startswith("sees") else (
                never or (type(value) in (int, float) and value >= 0))
            if not fits:
                raise BadPace(f"{name} cannot be {value!r}")
        for name, value in wishes.items():
            setattr(self, name, value)
        return self.show()

    def show(self) -> dict:
        """How it is now."""
        return asdict(self)


pace = Pace()
