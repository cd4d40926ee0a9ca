"""How do a grader and a confined process talk? In frames: four bytes of length, then so many bytes.

The process's side blocks; it has nothing else to do, and dies when its time is up. The grader's side never waits: it
is given what has arrived (``Frames``) and refuses more bytes than were agreed.
"""

from __future__ import annotations

import os
import struct

_LENGTH = struct.Struct(">I")


class TooLong(ValueError):
    """More bytes than agreed were sent, or announced."""


def framed(data: bytes) -> bytes:
    """``data`` with its length before it."""
    return _LENGTH.pack(len(data)) + data


def send(descriptor: int, data: bytes) -> None:
    """Write one frame, whole."""
    view = memoryview(framed(data))
    while view:
        view = view[os.write(descriptor, view) :]


def _exactly(descriptor: int, count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        part = os.read(descriptor, min(count, 1 << 20))
        if not part:
            raise EOFError("the grader closed its end")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def receive(descriptor: int) -> bytes:
    """Read one frame from the grader, waiting for it. Raises EOFError where the other end is closed."""
    (count,) = _LENGTH.unpack(_exactly(descriptor, _LENGTH.size))
    return _exactly(descriptor, count)


class Frames:
    """Bytes from a confined process, cut into frames as they arrive; ``most_bytes`` in all."""

    def __init__(self, most_bytes: int) -> None:
        self.left = most_bytes
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that ``data`` completes. Raises TooLong once there is more than agreed, or is to be."""
        self.left -= len(data)
        self._held += data
        found: list[bytes] = []
        start = 0
        while len(self._held) - start >= _LENGTH.size:
            (count,) = _LENGTH.unpack_from(self._held, start)
            end = start + _LENGTH.size + count
            if self.left < 0 or end - len(self._held) > self.left:
                raise TooLong("more bytes than a program may return")
            if end > len(self._held):
                break
            found.append(bytes(self._held[start + _LENGTH.size : end]))
            start = end
        del self._held[:start]
        if self.left < 0:
            raise TooLong("more bytes than a program may return")
        return found
