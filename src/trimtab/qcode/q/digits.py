"""How is a value split into parts and put together again? ``vs``, ``sv``: texts, symbols, digits, bytes, bits."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.lists import as_list, collect, items
from trimtab.qcode.q.patterns import data_of
from trimtab.qcode.q.registry import PRIMS, dyad
from trimtab.qcode.q.values import (
    ATOMS,
    BITS,
    BOOL,
    BYTE,
    CHAR,
    DATETIME,
    ENUM,
    FLOAT,
    GUID,
    INT,
    LONG,
    REAL,
    SHORT,
    SYM,
    Atom,
    Dict,
    Q,
    Table,
    Vec,
    bools,
    box,
    chars,
    is_string,
    longs,
    qtype,
    raw,
    syms,
    vec,
)

_INTEGERS = (BOOL, BYTE, SHORT, INT, LONG)
_SIZES = {2: SHORT, 4: INT, 8: LONG, 16: GUID}


@dyad("vs")
def vs(x: Q, y: Q) -> Q:
    """``x vs y``: y split at x, or the digits of y in the base x."""
    tx = qtype(x)
    if tx == -SYM:
        return _split_symbol(x, y)
    if tx in (-CHAR, CHAR):
        return _split_text(data_of(x), y)
    if abs(tx) == BYTE:
        data = bytes((x.v,)) if tx < 0 else x.a.tobytes()
        if type(y) is Vec and y.t == BYTE and data != b"\0":
            return Vec(0, [vec(BYTE, part) for part in y.a.tobytes().split(data)])
        return _each(lambda v: vec(BYTE, _big_endian(v)), y)
    if tx == -BOOL:
        return _each(lambda v: bools([c == "1" for b in _big_endian(v) for c in f"{b:08b}"]), y)
    if abs(tx) in _INTEGERS or abs(tx) == FLOAT:
        return _digits(x, y)
    raise QError("type")


def _each(f: Any, y: Q) -> Q:
    if type(y) in ATOMS:
        return f(y)
    if type(y) is Vec:
        return collect([_each(f, v) for v in items(y)])
    if type(y) is Dict:
        return Dict(y.k, _each(f, y.v))
    raise QError("type")


def _split_text(separator: bytes, y: Q) -> Q:
    if type(y) is Dict:
        return Dict(y.k, collect([_split_text(separator, v) for v in items(y.v)]))
    if type(y) is Vec and y.t == BYTE:
        data = y.a.tobytes()
    else:
        data = data_of(y)
    if not separator:
        raise QError("length")
    return Vec(0, [chars(part) for part in data.split(separator)])


def _split_symbol(x: str, y: Q) -> Q:
    if x:
        raise QError("type")
    if type(y) is str:
        if y.startswith(":"):
            head, slash, tail = y.rpartition("/")
            return syms([head, tail] if slash else [":", y[1:]])
        return syms(y.split("."))
    if type(y) is Vec and y.t == BYTE:
        y = vec(CHAR, y.a)
    if is_string(y) or qtype(y) == -CHAR:
        parts = data_of(y).replace(b"\r\n", b"\n").split(b"\n")
        return Vec(0, [chars(part) for part in (parts[:-1] if parts[-1] == b"" else parts)])
    if type(y) is Vec and y.t in (0, SYM):
        return collect([_split_symbol(x, v) for v in items(y)])
    raise QError("type")


def _big_endian(x: Q) -> bytes:
    t, v = -qtype(x), raw(x)
    if t == REAL:
        return struct.pack(">f", v)
    if t in (FLOAT, DATETIME):
        return struct.pack(">d", v)
    if t == GUID:
        return int(v).to_bytes(16, "big")
    if t in (BYTE, CHAR, BOOL):
        return bytes((int(v),))
    if t in BITS:
        return int(v).to_bytes(BITS[t] // 8, "big", signed=True)
    raise QError("type")


def _digits(x: Q, y: Q) -> Q:
    """Digits in a base: of an atom a vector; of a list a matrix with a column for each item."""
    if type(y) is Vec and y.t == 0:
        return _digits_of_nested(x, y)
    values = _wholes(y)
    if type(x) is Vec:
        rows = _mixed_radix([int(b) for b in _wholes(x)], values)
    else:
        rows = _in_base(int(_wholes(x)[0]), values)
    if type(y) in ATOMS:
        return longs([int(r[0]) for r in rows])
    return collect([longs(r) for r in rows])


def _digits_of_nested(x: Q, y: Vec) -> Q:
    flat: list[Q] = []
    for v in y.a:
        flat += items(as_list(v))
    rows = items(_digits(x, collect(flat))) if flat else []
    out: list[Q] = []
    for row in rows:
        values, parts = items(row), list[Q]()
        for v in y.a:
            n = len(as_list(v))
            parts.append(values[0] if type(v) in ATOMS else collect(values[:n]))
            values = values[n:]
        out.append(collect(parts))
    return collect(out)


def _wholes(y: Q) -> Any:
    t = abs(qtype(y))
    if t not in _INTEGERS and t not in BITS and t != FLOAT:
        raise QError("type")
    from trimtab.qcode.q.promotion import convert

    a = np.atleast_1d(np.asarray(raw(y) if type(y) in ATOMS else y.a))
    return np.asarray(convert(a, FLOAT, LONG)) if t == FLOAT else a.astype(np.int64)


def _in_base(base: int, values: Any) -> list[Any]:
    if base < 2:
        raise QError("domain")
    rows: list[Any] = []
    rest = values
    while not rows or (len(rest) and (rest != 0).any() and (rest != -1).any()):
        rows.append(np.mod(rest, base))
        rest = rest // base
        if len(rows) > 64:
            break
    return rows[::-1]


def _mixed_radix(bases: list[int], values: Any) -> list[Any]:
    rows: list[Any] = []
    rest = values
    for base in reversed(bases):
        if base == 0:
            rows.append(rest)
            rest = rest * 0
        else:
            rows.append(np.mod(rest, base))
            rest = rest // base
    return rows[::-1]


@dyad("sv")
def sv(x: Q, y: Q) -> Q:
    """``x sv y``: parts joined by x, or the number whose digits in the base x they are."""
    tx = qtype(x)
    if tx in (-CHAR, CHAR):
        return chars(data_of(x).join([data_of(v) for v in _parts(y)]))
    if tx == -SYM:
        return _join_symbol(x, y)
    if abs(tx) == BYTE:
        if type(y) is Vec and y.t == BYTE:
            return _from_bytes(y.a.tobytes())
        data = bytes((x.v,)) if tx < 0 else x.a.tobytes()
        if type(y) is Vec and y.t == 0:
            return vec(BYTE, data.join([_bytes(v) for v in y.a]))
        raise QError("type")
    if tx == -BOOL:
        return _from_bits(y)
    return _evaluate(x, y)


def _parts(y: Q) -> list[Q]:
    if type(y) is not Vec or y.t not in (0, CHAR):
        raise QError("type")
    return items(y)


def _bytes(v: Q) -> bytes:
    if type(v) is Vec and v.t == BYTE:
        return v.a.tobytes()
    if type(v) is Atom and v.t == BYTE:
        return bytes((v.v,))
    raise QError("type")


def _join_symbol(x: str, y: Q) -> Q:
    if x or type(y) is not Vec:
        raise QError("type")
    if y.t == ENUM:
        from trimtab.qcode.q import enums

        y = enums.symbols(y)
    if y.t == SYM:
        names = y.a.tolist()
        return ("/" if names and names[0].startswith(":") else ".").join(names)
    return chars(b"".join([data_of(v) + b"\n" for v in _parts(y)]))


def _from_bytes(data: bytes) -> Q:
    if len(data) not in _SIZES:
        raise QError("length")
    return box(_SIZES[len(data)], int.from_bytes(data, "big", signed=len(data) < 16))


def _from_bits(y: Q) -> Q:
    if type(y) is not Vec or y.t != BOOL:
        raise QError("type")
    data = np.packbits(y.a).tobytes()
    if len(y) == 8:
        return Atom(BYTE, data[0])
    if len(y) % 8:
        raise QError("length")
    return _from_bytes(data)


def _evaluate(x: Q, y: Q) -> Q:
    """Digits to a number: by one base, or by a base for each digit."""
    if type(y) in (Table, Dict):
        raise QError("type")
    digits = items(as_list(y))
    if type(x) is Vec and len(x) != len(digits):
        raise QError("length")
    bases = items(x) if type(x) is Vec else [x] * len(digits)
    add, times = PRIMS["+"].fns[2], PRIMS["*"].fns[2]
    total: Q = 0
    for base, digit in zip(bases, digits, strict=True):
        total = add(times(total, _long(base)), _long(digit))
    return total


def _long(v: Q) -> Q:
    if type(v) in ATOMS and abs(qtype(v)) in (BOOL, BYTE, SHORT, INT):
        return int(raw(v))
    return v
