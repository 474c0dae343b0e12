"""A DNS server for the names of RDS's endpoints, as long as the local AWS runs: what functions ask (DNS_SERVER).

It answers questions for an IPv4 address over UDP, and nothing else. The lab's
own server, which knows Route 53's records too, runs only while a client does.
"""

import random
import socket
import struct
import threading

import rds_names
import settings

# RDS says 5 s; here an answer is as old as it is.
TTL_SECONDS = 1
ADDRESS_RECORD, INTERNET = 1, 1
NO_ERROR, FORMAT_ERROR, NO_NAME, NOT_IMPLEMENTED = 0, 1, 3, 4
# Of the header: this is an answer, from who knows, and recursion is as good as available.
FLAGS = 0x8400 | 0x0080
POINTER_TO_QUESTION = 0xC00C


def answer(asked: bytes) -> bytes:
    """The answer to one question. Raises struct.error or ValueError for what is none."""
    number, flags, questions = struct.unpack_from("!HHH", asked)
    name, end = _name(asked, 12)
    kind, family = struct.unpack_from("!HH", asked, end)
    question = asked[12:end + 4]
    if flags >> 11 & 0xF or questions != 1:
        return _message(number, flags, NOT_IMPLEMENTED, question, [])
    addresses = rds_names.show().get(name, [])
    if not addresses:
        return _message(number, flags, NO_NAME, question, [])
    wanted = addresses if (kind, family) == (ADDRESS_RECORD, INTERNET) else []
    return _message(number, flags, NO_ERROR, question, random.sample(wanted, len(wanted)))


def _name(asked: bytes, at: int) -> tuple[str, int]:
    """The name that begins there, in lower case, and where it ends."""
    labels = []
    while length := asked[at]:
        if length > 63:
            raise ValueError("a question has no compressed name")
        labels.append(asked[at + 1:at + 1 + length].decode("ascii").lower())
        at += 1 + length
    return ".".join(labels), at + 1


def _message(number: int, flags: int, code: int, question: bytes, addresses: list[str]) -> bytes:
    records = b"".join(
        struct.pack("!HHHIH", POINTER_TO_QUESTION, ADDRESS_RECORD, INTERNET, TTL_SECONDS, 4) + socket.inet_aton(address)
        for address in addresses)
    # What the asker wants of recursion is said back.
    return struct.pack("!HHHHHH", number, FLAGS | flags & 0x0100 | code, 1, len(addresses), 0, 0) + question + records


def _serve(listening: socket.socket) -> None:
    while True:
        asked, who = listening.recvfrom(4096)
        try:
            said = answer(asked)
        except (struct.error, ValueError, IndexError):
            said = asked[:2] + struct.pack("!HHHHH", FLAGS | FORMAT_ERROR, 0, 0, 0, 0)
        listening.sendto(said, who)


def install() -> None:
    """Answers from now on."""
    host, _, port = settings.DNS_SERVER.rpartition(":")
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.bind((host, int(port)))
    threading.Thread(target=_serve, args=(listening,), name="rds-dns", daemon=True).start()
