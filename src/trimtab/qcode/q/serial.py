"""What bytes does q send for a value? ``-8!`` and ``-9!``: the serialisation of messages between q processes.

Little-endian: a header of eight bytes (order, kind, two zeros, length), then each value with its type; see the published
description of the format (KX, "Serialization examples" and the C interface).
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from trimtab.qcode.q import enums, squeeze
from trimtab.qcode.q.errors import QError, Unsupported
from trimtab.qcode.q.functions import Lambda
from trimtab.qcode.q.lists import as_list, items
from trimtab.qcode.q.values import (
    ATOMS,
    BOOL,
    BYTE,
    CHAR,
    DTYPES,
    ENUM,
    GUID,
    NULL,
    SYM,
    Dict,
    Q,
    Table,
    Vec,
    box,
    chars,
    objects,
    qtype,
    syms,
    text_of,
)

_ATTRIBUTES = ("", "s", "u", "p", "g")
_DEEPEST = 200


def serialized(x: Q) -> bytes:
    """The message of a value."""
    body = _value(x)
    return struct.pack("<BBBBi", 1, 0, 0, 0, len(body) + 8) + body


def _value(x: Q) -> bytes:
    if type(x) in ATOMS:
        return struct.pack("<b", qtype(enums.symbols(x) if -qtype(x) == ENUM else x)) + _items(as_list(x))
    if type(x) is Vec:
        if x.t == ENUM:
            x = enums.symbols(x)
        head = struct.pack("<bBi", x.t, _ATTRIBUTES.index(x.attr), len(x))
        return head + (b"".join([_value(v) for v in x.a]) if x.t == 0 else _items(x))
    if type(x) is Table:
        return b"\x62" + bytes([_ATTRIBUTES.index(x.attr)]) + _value(Dict(syms(x.names), Vec(0, list(x.cols))))
    if type(x) is Dict:
        stepped = x.attr == "s" or (type(x.k) is Table and x.k.attr == "s")
        return (b"\x7f" if stepped else b"\x63") + _value(x.k) + _value(x.v)
    if isinstance(x, Lambda):
        return b"\x64" + x.space.lstrip(".").encode() + b"\0" + _value(chars(x.source))
    if x is NULL:
        return b"\x65\0"
    raise Unsupported("serialisation of functions other than lambdas (-8!)")


def _items(x: Vec) -> bytes:
    if x.t == ENUM:
        x = enums.symbols(x)
    if x.t == SYM:
        return b"".join([v.encode("utf-8", "surrogateescape") + b"\0" for v in x.a])
    if x.t == GUID:
        return b"".join([int(v).to_bytes(16, "big") for v in x.a])
    return x.a.astype(np.dtype(DTYPES[x.t]).newbyteorder("<")).tobytes()


class _Reader:
    """Bytes, read from the front; 'badmsg where they end early."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.depth = 0

    def take(self, n: int) -> bytes:
        if n < 0 or self.at + n > len(self.data):
            raise QError("badmsg")
        self.at += n
        return self.data[self.at - n : self.at]

    def number(self, form: str) -> int:
        return struct.unpack("<" + form, self.take(struct.calcsize(form)))[0]

    def name(self) -> str:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise QError("badmsg")
        text = self.take(end - self.at).decode("utf-8", "surrogateescape")
        self.at += 1
        return text

    def value(self) -> Q:
        """The value that begins here."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise QError("stack")
        t = self.number("b")
        out = self._typed(t)
        self.depth -= 1
        return out

    def _typed(self, t: int) -> Q:
        if t < 0:
            if -t not in DTYPES or -t == ENUM:
                raise QError("badmsg")
            return box(-t, self._array(-t, 1)[0])
        if t == 98:
            self.take(1)
            return _table(self.value())
        if t in (99, 127):
            keys = self.value()
            return Dict(keys, self.value(), "s" if t == 127 and type(keys) is not Table else "")
        if t == 101 and self.number("B") == 0:
            return NULL
        if t == 100:
            return _lambda(self.name(), self.value())
        if t > 19:
            raise Unsupported("serialised functions (-9!)")
        return self._list(t)

    def _list(self, t: int) -> Vec:
        attribute, n = self.number("B"), self.number("i")
        if attribute >= len(_ATTRIBUTES) or n < 0 or n > len(self.data) or (t and t not in DTYPES):
            raise QError("badmsg")
        if t == 0:
            return Vec(0, [self.value() for _ in range(n)])
        return Vec(t, self._array(t, n), _ATTRIBUTES[attribute])

    def _array(self, t: int, n: int) -> Any:
        if t == SYM:
            return objects([self.name() for _ in range(n)])
        if t == GUID:
            return objects([int.from_bytes(self.take(16), "big") for _ in range(n)])
        kind = np.dtype(DTYPES[t]).newbyteorder("<")
        data = self.take(n * kind.itemsize)
        return np.frombuffer(data, dtype=np.uint8 if t == BOOL else kind).astype(DTYPES[t])


def _lambda(space: str, source: Q) -> Q:
    from trimtab.qcode.q.parser import parse_tree

    found = parse_tree(text_of(source), "." + space)
    if not isinstance(found, Lambda):
        raise QError("badmsg")
    return found


def _table(x: Q) -> Table:
    if type(x) is not Dict or type(x.k) is not Vec or x.k.t != SYM or type(x.v) is not Vec:
        raise QError("badmsg")
    columns = [as_list(c) for c in items(x.v)]
    if len(columns) != len(x.k) or len({len(c) for c in columns}) > 1:
        raise QError("badmsg")
    return Table(x.k.a.tolist(), columns)


def deserialized(data: bytes) -> Q:
    """The value of a message; 'badmsg for what is none."""
    reader = _Reader(data)
    order, _, _, _ = reader.take(4)
    length = reader.number("i")
    if order != 1 or length != len(data):
        raise QError("badmsg")
    value = reader.value()
    if reader.at != len(data):
        raise QError("badmsg")
    return value


def bytes_of(x: Q) -> Vec:
    """``-8!x``."""
    return Vec(BYTE, np.frombuffer(serialized(x), dtype=np.uint8))


def compressed_bytes(x: Q) -> Vec:
    """``-18!x``."""
    return Vec(BYTE, np.frombuffer(squeeze.compressed(serialized(x)), dtype=np.uint8))


def value_of(x: Q) -> Q:
    """``-9!x``."""
    if type(x) is not Vec or x.t not in (BYTE, CHAR):
        raise QError("type")
    data = x.a.tobytes()
    return deserialized(squeeze.expanded(data) if data[2:3] == b"\1" else data)
