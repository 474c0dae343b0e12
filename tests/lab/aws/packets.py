"""Dropping packets, as a dead host, a cut cable or a closed network does.

A killed process still says goodbye: the kernel sends FIN or RST for its
connections and refuses new ones. A dead host says nothing. So where root and
nft are at hand, packets to and from its address are dropped.

A cut needs more. All of the lab shares one loopback interface, and what a
member or a function itself connects to elsewhere carries the source address
127.0.0.1, as does everybody's. So a sender is told by its control group (see
cgroups.py), which marks its packets, and by the member's address; a receiver
by the group of its socket, and by the member's address. Without cgroups only
connections made to a member can be cut, not those it makes;
`can_cut_outbound` says which.
"""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import settings
from cgroups import FUNCTIONS, LEVEL, cgroups

# "un" in ASCII: the upper half of the mark of every packet that a party of a cut sends.
MARKS = 0x756E0000
# The metadata service too is a port of this machine; on EC2 it is the hypervisor's, not across any network.
AWS_PORTS = f"{{ {settings.GATEWAY_PORT}, {settings.CONTROL_PORT} }}"

# The chains exist from the start; what is in them changes with every cut, all at once.
# Filtered on arrival: a packet refused when sent would tell its sender so.
CHAINS = """
    chain leaving { type filter hook output priority filter; policy accept; }
    chain arriving { type filter hook input priority filter; policy accept; }
"""

# What cuts a member off, and from whom; `dead` is for good, until it boots.
DEAD, ISOLATE, PARTITION, CUT_FUNCTIONS, CUT_AWS = "dead", "isolate", "partition", "cut-functions", "cut-aws"
KEPT_FROM_AWS = {DEAD, ISOLATE, PARTITION, CUT_AWS}
# What a security group and a network ACL keep from a database: new connections, or every packet.
NEW, ALL = "new", "all"
# From these everybody but strangers sends: functions and the lab's own, and RDS's own.
OWN = f"{{ {settings.ADDRESS}, {settings.RDS_NETWORK}.0/24, {settings.RDS_OTHER_NETWORK}.0/24 }}"


@dataclass
class Party:
    """Who sends and receives: a member, or all functions together."""

    name: str
    mark: int
    address: str = ""
    # Whether nft can tell its control group.
    grouped: bool = True
    cuts: set[str] = field(default_factory=set)

    def sends(self) -> Iterator[str]:
        """What tells a packet that it sent."""
        if self.address:
            yield f"ip saddr {self.address}"
        if self.grouped:
            yield f"meta mark {self.mark:#x}"

    def receives(self) -> Iterator[str]:
        """What tells a packet that it receives."""
        if self.address:
            yield f"ip daddr {self.address}"
        if self.grouped:
            yield self.group()

    def group(self) -> str:
        """What tells a socket of it."""
        return f'socket cgroupv2 level {LEVEL} "{cgroups.path(self.name)}"'


class Packets:
    """This lab's nft table; nothing at all for an ordinary user."""

    def __init__(self) -> None:
        self.can_drop = False
        self.can_cut_outbound = False
        self._lock = threading.Lock()
        self._functions = Party(FUNCTIONS, MARKS)
        self._members: dict[str, Party] = {}
        self._apart: set[frozenset[str]] = set()  # pairs of members
        self._closed: dict[str, tuple[str, int, str]] = {}  # by database: address, port, how

    def open(self) -> None:
        """Makes the table anew. Leaves both abilities False where the kernel or the user lacks them."""
        self.close()
        cgroups.open()
        if not _may_filter():
            return
        self.can_drop = _try(_table(CHAINS))
        if self.can_drop and cgroups.there:
            probe = [f"{self._functions.group()} accept"]
            self.can_cut_outbound = _try(_table(_chain("leaving", probe) + _chain("arriving", probe)) + _flush())

    def close(self) -> None:
        """Removes the table, with every drop in it, and the cgroups, with every process in them."""
        if _may_filter():
            # Declared first, because deleting a table that is not there fails.
            _nft(f"{_table('')}delete table inet {settings.PACKETS_NAME}\n")
        self.can_drop = self.can_cut_outbound = False
        cgroups.close()

    def cut(self, name: str, address: str, how: str) -> bool:
        """Cuts a member off in one of the ways above; says whether it can."""
        whole = how not in (DEAD, PARTITION)  # these two are worth having by half
        if not (self.can_cut_outbound if whole else self.can_drop):
            return False
        with self._lock:
            self._member(name, address).cuts.add(how)
            self._apply()
        return True

    def part(self, name: str, address: str, other: str, other_address: str) -> bool:
        """Cuts two members off from each other; says whether it can."""
        if not self.can_cut_outbound:
            return False
        with self._lock:
            self._member(name, address), self._member(other, other_address)
            self._apart.add(frozenset((name, other)))
            self._apply()
        return True

    def close_to_others(self, name: str, address: str, port: int, how: str | None) -> None:
        """Keeps strangers from a port at an address, in one of the two ways, or no longer."""
        wanted = (address, port, how) if how else None
        with self._lock:
            if not self.can_drop or self._closed.get(name) == wanted:
                return
            self._closed.pop(name, None)
            if wanted:
                self._closed[name] = wanted
            self._apply()

    def heal(self, name: str) -> None:
        """Undoes every cut of a member."""
        with self._lock:
            if name not in self._members:
                return
            self._members[name].cuts.clear()
            self._apart = {pair for pair in self._apart if name not in pair}
            self._apply()

    def keeps_from_aws(self, name: str) -> bool:
        """Whether a cut keeps a member from AWS, and AWS from it."""
        with self._lock:
            return name in self._members and bool(self._members[name].cuts & KEPT_FROM_AWS)

    def _member(self, name: str, address: str) -> Party:
        return self._members.setdefault(name, Party(
            name, MARKS + 1 + len(self._members), address, self.can_cut_outbound))

    def _apply(self) -> None:
        """Replaces all rules by those of the present cuts, at one instant."""
        apart = [sorted(pair) for pair in self._apart]
        concerned = [member for member in self._members.values()
                     if member.cuts or any(member.name in pair for pair in apart)]
        leaving = []
        if self.can_cut_outbound:
            leaving = [f"{party.group()} meta mark set {party.mark:#x}" for party in [self._functions, *concerned]]
        # Whom nothing reaches comes first; a partition, which lets some through, last.
        arriving = [rule for member in concerned if DEAD in member.cuts for rule in _alone(member)]
        for address, port, how in self._closed.values():
            arriving += _closed(address, port, how)
        for one, other in apart:
            arriving += _between(self._members[one], self._members[other])
        for member in concerned:
            if CUT_FUNCTIONS in member.cuts:
                arriving += _between(member, self._functions)
            if CUT_AWS in member.cuts:
                arriving += _from_ports(member, AWS_PORTS, "drop")
        for how in (ISOLATE, PARTITION):
            for member in concerned:
                if how in member.cuts:
                    arriving += [*_to_itself(member), *(_exempt(member) if how == PARTITION else ()), *_alone(member)]
        _nft(_flush() + _table(_chain("leaving", leaving) + _chain("arriving", arriving)))


def _closed(address: str, port: int, how: str) -> Iterator[str]:
    """Nothing from strangers to a port: no new connection, or no packet at all, in either direction."""
    to_it = f"ip saddr != {OWN} ip daddr {address} tcp dport {port}"
    if how == NEW:
        yield f"{to_it} tcp flags & (syn | ack) == syn drop"
    else:
        yield f"{to_it} drop"
        yield f"ip saddr {address} tcp sport {port} ip daddr != {OWN} drop"


def _alone(member: Party) -> Iterator[str]:
    """Nothing from it, nothing to it."""
    for packet in (*member.sends(), *member.receives()):
        yield f"{packet} drop"


def _between(one: Party, other: Party) -> Iterator[str]:
    """Nothing from one to the other, in either direction."""
    for sender, receiver in ((one, other), (other, one)):
        for sent in sender.sends():
            for received in receiver.receives():
                yield f"{sent} {received} drop"


def _to_itself(member: Party) -> Iterator[str]:
    for sent in member.sends():
        for received in member.receives():
            yield f"{sent} {received} accept"


def _from_ports(member: Party, ports: str, verdict: str) -> Iterator[str]:
    """What goes from a member to ports of this machine, and what comes back."""
    for sent in member.sends():
        yield f"{sent} ip daddr {settings.ADDRESS} tcp dport {ports} {verdict}"
    for received in member.receives():
        yield f"{received} ip saddr {settings.ADDRESS} tcp sport {ports} {verdict}"


def _exempt(member: Party) -> Iterator[str]:
    """What a partition lets through: the lab's client and the metadata service."""
    yield f"ip saddr {settings.CLIENT_ADDRESS} ip daddr {member.address} accept"
    yield f"ip saddr {member.address} ip daddr {settings.CLIENT_ADDRESS} accept"
    yield from _from_ports(member, str(settings.CONTROL_PORT), "accept")


def _table(body: str) -> str:
    return f"table inet {settings.PACKETS_NAME} {{ {body} }}\n"


def _chain(name: str, rules: list[str]) -> str:
    return "".join((f"chain {name} {{\n", *(f"{rule}\n" for rule in rules), "}\n"))


def _flush() -> str:
    return f"flush table inet {settings.PACKETS_NAME}\n"


def _may_filter() -> bool:
    return os.getuid() == 0 and shutil.which("nft") is not None


def _try(script: str) -> bool:
    """Runs a script of nft; False if this kernel does not know what is in it."""
    try:
        _nft(script)
    except RuntimeError as refused:
        print(f"nft: {refused}", flush=True)
        return False
    return True


def _nft(script: str) -> None:
    """Runs a script of nft: all of it or nothing."""
    done = subprocess.run(["nft", "-f", "-"], input=script, text=True, capture_output=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())


packets = Packets()
