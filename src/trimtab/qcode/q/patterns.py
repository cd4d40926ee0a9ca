"""Where does a pattern match? ``like``, ``ss``, ``ssr``: ``?`` any character, ``*`` any text, ``[a-z]`` and ``[^a-z]``."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from trimtab.qcode.q import apply
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.registry import dyad, function
from trimtab.qcode.q.values import CHAR, ENUM, SYM, Atom, Dict, Q, Table, Vec, bools, chars, is_string, longs, qtype


def data_of(x: Q) -> bytes:
    """The bytes of a string or char; 'type for anything else."""
    if is_string(x):
        return x.a.tobytes()
    if type(x) is Atom and x.t == CHAR:
        return bytes((x.v,))
    raise QError("type")


@lru_cache(maxsize=512)
def regex(pattern: bytes, whole: bool) -> re.Pattern[bytes]:
    """A q pattern as a regular expression; of a whole text, or (without ``*``) of a part of one."""
    out: list[bytes] = []
    i = 0
    while i < len(pattern):
        c = pattern[i : i + 1]
        i += 1
        if c == b"?":
            out.append(b".")
        elif c == b"*" and whole:
            out.append(b".*")
        elif c == b"[":
            end = pattern.find(b"]", i + 1 + (pattern[i : i + 1] == b"^"))
            if end < 0:
                raise QError("length")
            out.append(_set(pattern[i:end]))
            i = end + 1
        else:
            out.append(re.escape(c))
    if whole and sum(part == b".*" for part in out) > 8:
        raise QError("nyi")
    return re.compile(b"".join(out), re.DOTALL)


def _set(body: bytes) -> bytes:
    negated = body[:1] == b"^" and len(body) > 1
    body = body[1:] if negated else body
    parts: list[bytes] = []
    i = 0
    while i < len(body):
        low = body[i : i + 1]
        if body[i + 1 : i + 2] == b"-" and i + 2 < len(body):
            high = body[i + 2 : i + 3]
            if low <= high:
                parts.append(re.escape(low) + b"-" + re.escape(high))
            i += 3
        else:
            parts.append(re.escape(low))
            i += 1
    if not parts:
        return b"(?!)"
    return b"[" + (b"^" if negated else b"") + b"".join(parts) + b"]"


@dyad("like")
def like(x: Q, y: Q) -> Q:
    """Whether texts match a pattern: symbols, strings, lists of them, values of a dictionary."""
    matches = regex(data_of(y), True).fullmatch
    if type(x) is str:
        return matches(x.encode("utf-8", "surrogateescape")) is not None
    if is_string(x):
        return matches(x.a.tobytes()) is not None
    if type(x) is Atom and x.t == CHAR:
        return matches(bytes((x.v,))) is not None
    if type(x) is Dict:
        return Dict(x.k, like(x.v, y))
    if abs(qtype(x)) == ENUM:
        from trimtab.qcode.q import enums

        return like(enums.symbols(x), y)
    if type(x) is Vec and x.t == SYM:
        return bools([matches(v.encode("utf-8", "surrogateescape")) is not None for v in x.a])
    if type(x) is Vec and x.t == 0:
        return bools([_one(v, y) for v in x.a])
    raise QError("type")


def _one(x: Q, y: Q) -> bool:
    found = like(x, y) if type(x) is not Table else None
    if type(found) is not bool:
        raise QError("type")
    return found


@dyad("ss")
def ss(x: Q, y: Q) -> Q:
    """Where a pattern begins in a string."""
    return longs(np.array([m.start() for m in _matches(data_of(x), y)], dtype=np.int64))


def _matches(data: bytes, pattern: Q) -> list[re.Match[bytes]]:
    text = data_of(pattern)
    if not text:
        raise QError("length")
    return list(regex(text, False).finditer(data))


@function("ssr", 3)
def ssr(x: Q, y: Q, z: Q) -> Q:
    """A string with every match of a pattern replaced, by a text or by a function of the match."""
    data = data_of(x)
    out: list[bytes] = []
    end = 0
    for m in _matches(data, y):
        new = z if is_string(z) or qtype(z) == -CHAR else apply.call(z, [chars(m.group())])
        out += [data[end : m.start()], data_of(new)]
        end = m.end()
    return chars(b"".join([*out, data[end:]]))
