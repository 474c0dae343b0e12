"""A DNS server for the tests: `dns.py ADDRESS PORT FILE`.

FILE is read anew for each question; its lines are `NAME A ADDRESS` and `NAME CNAME NAME`. A chain of names is answered
whole, each with a time to live of 1 s; a name that is not there, by NXDOMAIN.
"""

import ipaddress
import pathlib
import socketserver
import struct
import sys

A, CNAME = 1, 5
TTL_S = 1


def encoded(name: str) -> bytes:
    """A name in its parts, each after its length."""
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def asked(packet: bytes) -> tuple[str, int, bytes]:
    """Name and type of the first question, and the question itself."""
    parts, at = [], 12
    while length := packet[at]:
        parts.append(packet[at + 1 : at + 1 + length].decode().lower())
        at += 1 + length
    return ".".join(parts), struct.unpack("!H", packet[at + 1 : at + 3])[0], packet[12 : at + 5]


def answers(name: str, kind: int) -> tuple[list[bytes], bool]:
    """The records of the chain that begins with a name, and whether there is such a name."""
    lines = [line.split() for line in pathlib.Path(sys.argv[3]).read_text().splitlines()]
    found, known = [], False
    for _ in range(8):
        there = [line for line in lines if line[0] == name]
        known = known or bool(there)
        for _, what, value in there:
            data = encoded(value) if what == "CNAME" else ipaddress.ip_address(value).packed
            if what == "CNAME" or kind == A:
                head = struct.pack("!HHIH", CNAME if what == "CNAME" else A, 1, TTL_S, len(data))
                found.append(encoded(name) + head + data)
        following = [value for _, what, value in there if what == "CNAME"]
        if not following:
            break
        name = following[0]
    return found, known


class Dns(socketserver.BaseRequestHandler):
    """UDP."""

    def handle(self) -> None:
        """Answers one question."""
        packet, socket = self.request
        name, kind, question = asked(packet)
        found, known = answers(name, kind)
        flags = 0x8580 | (0 if known else 3)
        head = packet[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0)
        socket.sendto(head + question + b"".join(found), self.client_address)


if __name__ == "__main__":
    socketserver.ThreadingUDPServer((sys.argv[1], int(sys.argv[2])), Dns).serve_forever()
