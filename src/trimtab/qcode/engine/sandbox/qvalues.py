"""How do q values cross between processes? As JSON: bare longs, floats, booleans and symbols, all else under a tag.

``{"a": [type, value]}`` an atom, ``{"v": [type, items, attribute]}`` a typed list (chars as one text), ``{"l":
[items, attribute]}`` a general list, ``{"d": [keys, values, attribute]}``, ``{"t": [names, columns, attribute]}``,
``{"f": text}`` a function, ``{"n": 0}`` the generic null, ``{"h": 0}`` an elided item. Enumerations cross as ``{"e":
their symbols}``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from trimtab.qcode.q.enums import symbols
from trimtab.qcode.q.formats import one_line
from trimtab.qcode.q.functions import Lambda
from trimtab.qcode.q.values import (
    CHAR,
    DTYPES,
    ELIDED,
    ENUM,
    GUID,
    NULL,
    SYM,
    Atom,
    Dict,
    Q,
    Table,
    Vec,
    objects,
    qtype,
)

MOST_DEPTH = 100
_JSON = json.JSONEncoder(separators=(",", ":"))


class Enumerated(ValueError):
    """The value holds an enumeration, whose text on a console needs a variable of the program."""


def _vector(x: Vec) -> Any:
    if x.t == CHAR:
        return {"v": [CHAR, x.a.tobytes().decode("latin-1"), x.attr]}
    return {"v": [x.t, x.a.tolist(), x.attr]}


def _plain(x: Q, depth: int) -> Any:
    if depth > MOST_DEPTH:
        raise ValueError(f"a value nested more than {MOST_DEPTH} deep cannot be passed on")
    kind = type(x)
    if kind in (bool, int, float, str):
        return x
    if abs(qtype(x)) == ENUM:
        return {"e": _plain(symbols(x), depth + 1)}
    if kind is Atom:
        return {"a": [x.t, x.v]}
    if kind is Vec:
        return _vector(x) if x.t else {"l": [[_plain(item, depth + 1) for item in x.a], x.attr]}
    if kind is Dict:
        return {"d": [_plain(x.k, depth + 1), _plain(x.v, depth + 1), x.attr]}
    if kind is Table:
        return {"t": [list(x.names), [_plain(column, depth + 1) for column in x.cols], x.attr]}
    if x is NULL or x is ELIDED:
        return {"n" if x is NULL else "h": 0}
    return {"f": one_line(x)}


def encode(x: Q) -> bytes:
    """A q value as bytes. Raises ValueError where it is nested too deep."""
    return _JSON.encode(_plain(x, 0)).encode()


def _typed(content: list[Any]) -> Vec:
    t, items, attr = content
    if t == CHAR:
        return Vec(t, np.frombuffer(items.encode("latin-1"), dtype=np.uint8), attr)
    if t in (SYM, GUID):
        return Vec(t, objects(items), attr)
    return Vec(t, np.array(items, dtype=DTYPES[t]), attr)


def _general(content: list[Any]) -> Vec:
    items, attr = content
    return Vec(0, [_value(item) for item in items], attr)


def _dictionary(content: list[Any]) -> Dict:
    keys, values, attr = content
    return Dict(_value(keys), _value(values), attr)


def _table(content: list[Any]) -> Table:
    names, columns, attr = content
    columns_ = [cast("Vec", _value(column)) for column in columns]
    if len({len(column) for column in columns_}) > 1 or len(names) != len(columns_):
        raise ValueError("a table of unequal columns")
    return Table([str(name) for name in names], columns_, attr)


def _function(text: str) -> Lambda:
    return Lambda(str(text), [], [], [], ".")


_TAGS: dict[str, Callable[[Any], Q]] = {
    "a": lambda content: Atom(int(content[0]), content[1]),
    "v": _typed,
    "l": _general,
    "d": _dictionary,
    "t": _table,
    "f": _function,
    "e": lambda content: _value(content),
    "n": lambda _: NULL,
    "h": lambda _: ELIDED,
}


def _value(plain: Any) -> Q:
    if isinstance(plain, dict):
        ((tag, content),) = cast("dict[str, Any]", plain).items()
        return _TAGS[tag](content)
    if not isinstance(plain, (bool, int, float, str)):
        raise TypeError("a bare list or null")
    return plain


def decode(data: bytes) -> Q:
    """The value that ``encode`` wrote; functions come as their text, enumerations as symbols. Raises ValueError."""
    try:
        return _value(json.loads(data))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError) as error:
        raise ValueError(f"no q value ({type(error).__name__}: {str(error)[:80]})") from None


def enumerated(data: bytes) -> bool:
    """Whether an encoded value holds an enumeration."""
    return b'{"e":' in data
