"""How does q read and write JSON? ``.j.j`` and ``.j.k``."""

from __future__ import annotations

import json as standard
from typing import Any

from trimtab.qcode.q import formats
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.lists import collect, items, keyed
from trimtab.qcode.q.patterns import data_of
from trimtab.qcode.q.registry import function
from trimtab.qcode.q.values import (
    ATOMS,
    BOOL,
    CHAR,
    DATE,
    DATETIME,
    EMPTY,
    ENUM,
    FLOAT,
    MONTH,
    NAN,
    NULL,
    REAL,
    TIMESTAMP,
    Dict,
    Q,
    Table,
    Vec,
    chars,
    is_string,
    qtype,
    raw,
    syms,
    text_of,
)

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


@function(".j.j", 1)
def to_json(x: Q) -> Q:
    """A value as JSON."""
    return chars(_write(x))


@function(".j.jd", 1)
def to_json_with(x: Q) -> Q:
    """``(value;options)``: a value as JSON, infinities as null where the option ``null0w`` is set."""
    if type(x) is not Vec or len(x) != 2:
        raise QError("type")
    value, options = items(x)
    if type(options) is not Dict:
        raise QError("type")
    return chars(_write(_without_infinities(value) if "null0w" in items(options.k) else value))


def _without_infinities(x: Q) -> Q:
    if type(x) is Vec:
        return collect([_without_infinities(v) for v in items(x)])
    if type(x) is Dict:
        return Dict(x.k, _without_infinities(x.v))
    if type(x) is Table:
        return Vec(0, [_without_infinities(v) for v in items(x)])
    endless = type(x) in ATOMS and formats.bare(-qtype(x), raw(x)).lstrip("-") in ("0w", "0W")
    return NULL if endless else x


def _quoted(text: str) -> str:
    return '"' + "".join([_ESCAPES.get(c, c if c >= " " else f"\\u{ord(c):04x}") for c in text]) + '"'


def _write(x: Q) -> str:
    if x is NULL:
        return "null"
    if type(x) in ATOMS:
        return _atom(x)
    if is_string(x):
        return _quoted(text_of(x))
    if type(x) is Table:
        return "[" + ",\n ".join([_write(v) for v in items(x)]) + "]"
    if type(x) is Vec:
        return "[" + ",".join([_write(v) for v in items(x)]) + "]"
    if type(x) is Dict:
        if keyed(x):
            whole = Table([*x.k.names, *x.v.names], [*x.k.cols, *x.v.cols])
            return _write(whole)
        pairs = zip(items(x.k), items(x.v), strict=True)
        return "{" + ",".join([_quoted(_key(k)) + ":" + _write(v) for k, v in pairs]) + "}"
    return _quoted(formats.one_line(x))


def _key(k: Q) -> str:
    if is_string(k):
        return text_of(k)
    return formats.bare(-qtype(k), raw(k)) if type(k) in ATOMS else formats.one_line(k)


def _atom(x: Q) -> str:
    t, v = -qtype(x), raw(x)
    if t == BOOL:
        return "true" if v else "false"
    if t == ENUM:
        return _atom(formats.enum_symbol(x))
    text = formats.bare(t, v)
    if type(x) is str or t == CHAR:
        return _quoted(text)
    if t in (DATE, TIMESTAMP, DATETIME, MONTH):
        return _quoted(text.replace(".", "-", 2 if t != MONTH else 1)) if text else '""'
    if t > 11:
        return _quoted(text)
    if t in (FLOAT, REAL) and text.endswith("w"):
        return '"' + text + '"'
    return text or "null"


@function(".j.k", 1)
def from_json(x: Q) -> Q:
    """The value of a JSON text: objects are dictionaries with symbol keys, numbers floats, null 0n."""
    text = data_of(x).decode("utf-8", "surrogateescape")
    try:
        parsed = standard.loads(text, object_pairs_hook=_Pairs, parse_int=float)
    except (ValueError, RecursionError):
        raise QError("type") from None
    return _read(parsed)


class _Pairs(list[tuple[str, Any]]):
    """The members of a JSON object, in order."""


def _read(v: Any) -> Q:
    if v is None:
        return NAN
    if isinstance(v, str):
        return chars(v)
    if isinstance(v, _Pairs):
        return Dict(syms([k for k, _ in v]), collect([_read(w) for _, w in v]))
    if isinstance(v, list):
        found: list[Any] = v
        return collect([_read(w) for w in found]) if found else EMPTY
    return v
