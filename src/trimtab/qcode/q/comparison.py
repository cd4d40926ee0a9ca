"""Which of two values is larger, and do they match? ``= <> < > <= >= & | ~``, with q's tolerance for floats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trimtab.qcode.q.atomic import lengths, raw_of, result, spread2
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.functions import Composition, Derived, Iterator, Lambda, Prim, Projection
from trimtab.qcode.q.promotion import COMMON, convert, meet
from trimtab.qcode.q.registry import dyad
from trimtab.qcode.q.values import (
    ATOMS,
    DTYPES,
    ENUM,
    FLOATS,
    GUID,
    INF,
    SYM,
    Atom,
    Dict,
    Q,
    Table,
    Vec,
    qtype,
    raw,
)

TOLERANCE = 2.0**-43
MOMENTS, CLOCKS = frozenset((12, 15)), frozenset((16, 17, 18, 19))
"""Types with a date and a time of day, and those with a time of day alone."""
Operation = Callable[[Any, Any], Any]


def near(a: Any, b: Any) -> Any:
    """Whether floats are equal within the tolerance; nulls equal nulls."""
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(a), np.abs(b))
        close = (np.abs(a - b) <= TOLERANCE * size) & np.isfinite(size)
    return close | (a == b) | (np.isnan(a) & np.isnan(b))


def _floats_less(a: Any, b: Any) -> Any:
    return ((a < b) | (np.isnan(a) & ~np.isnan(b))) & ~near(a, b)


_FLOAT: dict[str, Operation] = {
    "=": near,
    "<>": lambda a, b: ~near(a, b),
    "<": _floats_less,
    ">": lambda a, b: _floats_less(b, a),
    "<=": lambda a, b: ~_floats_less(b, a),
    ">=": lambda a, b: ~_floats_less(a, b),
}
_PLAIN: dict[str, Operation] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


def _numbers(name: str, a: float, b: float) -> bool:
    """A comparison of two Python floats, as ``near`` and its like make it."""
    if a == b or (a != a and b != b):
        same = True
    else:
        size = max(abs(a), abs(b))
        same = size != INF and abs(a - b) <= TOLERANCE * size
    if name in ("=", "<>"):
        return same == (name == "=")
    if name in ("<", ">="):
        less = not same and (a < b or (a != a and b == b))
        return less == (name == "<")
    more = not same and (b < a or (b != b and a == a))
    return more == (name == ">")


def simple(x: Q) -> Q:
    """An enumerated value as its symbols; others as they are."""
    if abs(qtype(x)) == ENUM:
        from trimtab.qcode.q import enums

        return enums.symbols(x)
    return x


def _objects(x: Q) -> Any:
    return x.a if type(x) is Vec else np.array([raw(x)], dtype=object)


def compare(name: str, x: Q, y: Q) -> Q:
    """A comparison of atoms and typed lists, spread over anything else."""
    cx, cy = type(x), type(y)
    if (cx is int and cy is int) or (cx is str and cy is str):
        return _PLAIN[name](x, y)
    if cx is float and cy is float:
        return _numbers(name, x, y)
    tx, ty = abs(qtype(x)), abs(qtype(y))
    if not (0 < tx <= ENUM and 0 < ty <= ENUM):
        return spread2(lambda a, b: compare(name, a, b), x, y)
    if ENUM in (tx, ty):
        return compare(name, simple(x), simple(y))
    shaped = lengths(x, y)
    if SYM in (tx, ty) or GUID in (tx, ty):
        if tx != ty:
            raise QError("type")
        a, b = np.broadcast_arrays(_objects(x), _objects(y))
        op = _PLAIN[name]
        out = np.fromiter((op(i, j) for i, j in zip(a.tolist(), b.tolist(), strict=True)), dtype=bool, count=len(a))
        return result(1, out if shaped else out[0], shaped)
    t = meet(COMMON, tx, ty)
    if tx != ty and t in CLOCKS and (tx in MOMENTS or ty in MOMENTS):
        from trimtab.qcode.q.casts import cast

        return compare(name, cast(t, x) if tx in MOMENTS else x, cast(t, y) if ty in MOMENTS else y)
    if tx == ty and t not in FLOATS:
        return result(1, _PLAIN[name](raw_of(x), raw_of(y)), shaped)
    a, b = convert(raw_of(x), tx, t), convert(raw_of(y), ty, t)
    if t in FLOATS:
        out = _FLOAT[name](np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
        return result(1, out, shaped)
    return result(1, _PLAIN[name](a, b), shaped)


def _enter(name: str) -> None:
    def f(x: Q, y: Q) -> Q:
        return compare(name, x, y)

    dyad(name, {"<>": "~=", "<=": "~>", ">=": "~<"}.get(name, ""))(f)


for _name in _PLAIN:
    _enter(_name)


def _lesser(a: Any, b: Any, t: int) -> Any:
    if t in FLOATS:
        return np.where(np.isnan(a) | np.isnan(b), np.nan, np.minimum(a, b))
    return np.minimum(a, b)


def _greater(a: Any, b: Any, t: int) -> Any:
    return np.fmax(a, b) if t in FLOATS else np.maximum(a, b)


def _extreme(name: str, op: Callable[[Any, Any, int], Any], python: Callable[[int, int], int]) -> None:
    def f(x: Q, y: Q) -> Q:
        if type(x) is int and type(y) is int:
            return python(x, y)
        tx, ty = abs(qtype(x)), abs(qtype(y))
        if not (0 < tx < ENUM and 0 < ty < ENUM):
            return spread2(f, x, y)
        if SYM in (tx, ty) or GUID in (tx, ty):
            raise QError("type")
        shaped = lengths(x, y)
        t = meet(COMMON, tx, ty)
        a = np.asarray(convert(raw_of(x), tx, t)).astype(DTYPES[t])
        b = np.asarray(convert(raw_of(y), ty, t)).astype(DTYPES[t])
        out = op(a, b, t)
        return result(t, np.asarray(out, dtype=DTYPES[t]) if shaped else np.asarray(out)[()], shaped)

    dyad(name)(f)
    dyad({"&": "and", "|": "or"}[name], shown=name)(f)


_extreme("&", _lesser, min)
_extreme("|", _greater, max)


@dyad("~")
def match_(x: Q, y: Q) -> Q:
    """Whether two values are the same."""
    return match(x, y)


def match(x: Q, y: Q) -> bool:
    """Whether two values are the same in type, shape and content."""
    if x is y:
        return True
    cx = type(x)
    if cx is not type(y):
        return False
    if cx in ATOMS:
        return _match_atoms(x, y)
    if cx is Vec:
        return _match_lists(x, y)
    if cx is Table:
        return x.names == y.names and all(match(a, b) for a, b in zip(x.cols, y.cols, strict=True))
    if cx is Dict:
        return match(x.k, y.k) and match(x.v, y.v)
    if cx is Lambda:
        return x.source == y.source
    if cx is Projection:
        return match(x.f, y.f) and _all(x.args, y.args)
    if cx is Composition:
        return _all(x.fs, y.fs)
    if cx is Derived:
        return x.iterator == y.iterator and match(x.f, y.f)
    if cx is Prim:
        return x.shown == y.shown and x.t == y.t
    return cx is Iterator and x.iterator == y.iterator


def _all(xs: list[Q], ys: list[Q]) -> bool:
    return len(xs) == len(ys) and all(match(a, b) for a, b in zip(xs, ys, strict=True))


def _match_atoms(x: Q, y: Q) -> bool:
    if type(x) is Atom and (x.t != y.t or x.dom != y.dom):
        return False
    a, b = raw(x), raw(y)
    return bool(near(np.float64(a), np.float64(b))) if type(a) is float else a == b


def _match_lists(x: Vec, y: Vec) -> bool:
    if x.t != y.t or len(x.a) != len(y.a) or x.dom != y.dom:
        return False
    if x.t == 0:
        return _all(x.a, y.a)
    if x.t in FLOATS:
        return bool(near(x.a.astype(np.float64), y.a.astype(np.float64)).all())
    return bool((x.a == y.a).all())
