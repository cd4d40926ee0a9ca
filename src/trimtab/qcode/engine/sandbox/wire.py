"""What do a grader's worker and its server say to each other? Short messages on a socket that keeps their borders.

Worker: fork a process (its channel comes along as a descriptor), end it (CLOSED: it has closed its channel, so that
it is most likely about to die by itself), tell how long it had to wait for a processor. Server: ready, ended, waited,
failed. Programs and tests never pass here; a program's process does not have this socket.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

MOST_BYTES = 4096
FORK, END, CLOSED, WAITED, READY, FAILED, NO_LEVEL = b"F", b"E", b"C", b"W", b"R", b"X", b"L"

_SLOT = struct.Struct("<cB")
_ENDED = struct.Struct("<cBi??dQ")
_WAITED = struct.Struct("<cBd")
SLOTS = (0, 1)
"""A program's process, and that of its assertions."""


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    slot: int
    wait_status: int
    confined: bool
    """Whether it came as far as running the program."""
    alive: bool
    """Whether it still ran when it was to end: then the server killed it."""
    cpu_seconds: float
    peak_bytes: int
    """Of its resident memory."""

    def packed(self) -> bytes:
        flags = (self.confined, self.alive)
        return _ENDED.pack(END, self.slot, self.wait_status, *flags, self.cpu_seconds, self.peak_bytes)


@dataclass(frozen=True)
class Waited:
    """For how long a process was ready to run while no processor was free."""

    slot: int
    seconds: float

    def packed(self) -> bytes:
        return _WAITED.pack(WAITED, self.slot, self.seconds)


def order(kind: bytes, slot: int) -> bytes:
    """FORK, END, CLOSED or WAITED, to the server."""
    return _SLOT.pack(kind, slot)


def read_reply(message: bytes) -> Ended | Waited:
    """A server's message, other than READY and FAILED."""
    if message[:1] == END:
        return Ended(*_ENDED.unpack(message)[1:])
    _, slot, seconds = _WAITED.unpack(message)
    return Waited(slot, seconds)
