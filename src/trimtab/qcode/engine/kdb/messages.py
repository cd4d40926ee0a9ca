"""What travels between q processes? Requests and replies in the published format (KX, "IPC protocol").

A header of eight bytes (order, kind, compressed, zero, length), then one serialised value; an error is type -128, a text.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from trimtab.qcode.q import squeeze
from trimtab.qcode.q.errors import QError, Unsupported
from trimtab.qcode.q.serial import deserialized, serialized
from trimtab.qcode.q.values import Q

HEADER = 8
MOST_BYTES = 64 << 20
_ERROR = 0x80


class Kind(IntEnum):
    """The second byte of a message."""

    ASYNC = 0
    SYNC = 1
    RESPONSE = 2


class BadMessage(RuntimeError):
    """What the other side sent is no kdb+ message that can be read here."""


class TooLong(RuntimeError):
    """A message of more bytes than are taken."""


def framed(value: Q, kind: Kind = Kind.SYNC) -> bytes:
    """The message of a value. Raises Unsupported for a value that cannot be serialised."""
    message = bytearray(serialized(value))
    message[1] = kind
    return bytes(message)


def framed_error(text: str) -> bytes:
    """The response that signals ``'text``."""
    body = bytes([_ERROR]) + text.encode("utf-8", "surrogateescape") + b"\0"
    return struct.pack("<BBBBi", 1, Kind.RESPONSE, 0, 0, HEADER + len(body)) + body


def header(data: bytes, most_bytes: int = MOST_BYTES) -> tuple[Kind, int]:
    """The kind of a message and its length in bytes, header included. Raises BadMessage, TooLong."""
    order, kind, packed, _, size = struct.unpack("<BBBBI", data)
    if order == 0 and kind in tuple(Kind):
        raise BadMessage("a big-endian kdb+ message: only little-endian processes can be asked")
    if order != 1 or kind not in tuple(Kind) or packed > 1 or size <= HEADER:
        raise BadMessage(f"no kdb+ message: it begins with 0x{data.hex()}")
    if size > most_bytes:
        raise TooLong(f"a message of {size} bytes: at most {most_bytes} are taken")
    return Kind(kind), size


def value(message: bytes, most_bytes: int = MOST_BYTES) -> Q:
    """The value of a whole message. Raises QError for an error, BadMessage, TooLong, Unsupported."""
    message = _plain(message, most_bytes)
    if message[HEADER] == _ERROR:
        if message[-1] != 0:
            raise BadMessage("an error whose text does not end")
        raise QError(message[HEADER + 1 : -1].decode("utf-8", "surrogateescape"))
    try:
        return deserialized(message)
    except QError as error:
        if error.text != "badmsg":
            raise Unsupported(f"a value that cannot be read here ('{error})") from None
        raise BadMessage("a damaged kdb+ message") from None


def _plain(message: bytes, most_bytes: int) -> bytes:
    """A message, expanded where it is compressed."""
    if message[2] == 0:
        return message
    size = struct.unpack_from("<I", message, HEADER)[0] if len(message) >= HEADER + 4 else 0
    if size > most_bytes:
        raise TooLong(f"a message of {size} bytes, sent compressed: at most {most_bytes} are taken")
    if size <= HEADER:
        raise BadMessage(f"a compressed message that says it has {size} bytes")
    try:
        return squeeze.expanded(message)
    except QError:
        raise BadMessage("a damaged compressed kdb+ message") from None
