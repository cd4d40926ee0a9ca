"""Functions of one number: sign, rounding, roots, logarithms, trigonometry, not, null."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trimtab.qcode.q.atomic import raw_of, result, spread1
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.lists import is_null_atom, mask_of
from trimtab.qcode.q.promotion import convert
from trimtab.qcode.q.registry import monad
from trimtab.qcode.q.values import (
    BITS,
    BOOL,
    BYTE,
    CHAR,
    DATETIME,
    DTYPES,
    ENUM,
    FLOAT,
    FLOATS,
    GUID,
    INT,
    LONG,
    NJ,
    SYM,
    Func,
    Q,
    Vec,
    bools,
    qtype,
)


def numeric(name: str, shown: str, op: Callable[[Any, int], tuple[int, Any]]) -> None:
    """Enter an atomic function: ``op(array, type) -> type, array`` on typed values, 'type on text."""

    def f(x: Q) -> Q:
        t = qtype(x)
        if not 0 < abs(t) < 20:
            return spread1(f, x)
        if abs(t) in (GUID, CHAR, SYM):
            raise QError("type")
        with np.errstate(all="ignore"):
            out_t, out = op(np.asarray(raw_of(x), dtype=DTYPES[abs(t)]), abs(t))
        return result(out_t, out if t > 0 else np.asarray(out)[()], t > 0)

    monad(name, shown)(f)


def _signed(t: int) -> int:
    return INT if t in (BOOL, BYTE) else t


def _neg(a: Any, t: int) -> tuple[int, Any]:
    return _signed(t), -(a.astype(np.int32) if t in (BOOL, BYTE) else a)


def _abs(a: Any, t: int) -> tuple[int, Any]:
    return _signed(t), np.abs(a.astype(np.int32) if t in (BOOL, BYTE) else a)


def _signum(a: Any, t: int) -> tuple[int, Any]:
    if t in FLOATS:
        return INT, np.where(np.isnan(a), -1, np.sign(a)).astype(np.int32)
    return INT, np.sign(a.astype(np.int64)).astype(np.int32)


def _rounded(op: Callable[[Any], Any]) -> Callable[[Any, int], tuple[int, Any]]:
    def f(a: Any, t: int) -> tuple[int, Any]:
        if t == DATETIME:
            return t, op(a)
        if t not in FLOATS:
            return (INT, a.astype(np.int32)) if t in (BOOL,) else (t, a)
        out = np.atleast_1d(np.asarray(op(a), dtype=np.float64))
        return LONG, convert(out, FLOAT, LONG).reshape(a.shape)

    return f


def floats(op: Callable[[Any], Any]) -> Callable[[Any, int], tuple[int, Any]]:
    """An operation on floats, for ``numeric``."""

    def f(a: Any, t: int) -> tuple[int, Any]:
        wide = convert(np.atleast_1d(a), t, FLOAT) if t in BITS else np.atleast_1d(a.astype(np.float64))
        return FLOAT, np.asarray(op(wide)).reshape(a.shape)

    return f


numeric("neg", "-:", _neg)
numeric("abs", "abs", _abs)
numeric("signum", "signum", _signum)
numeric("ceiling", "-_-:", _rounded(np.ceil))
_floor = _rounded(np.floor)
numeric("sqrt", "sqrt", floats(np.sqrt))
numeric("exp", "exp", floats(np.exp))
numeric("log", "log", floats(np.log))
numeric("sin", "sin", floats(np.sin))
numeric("cos", "cos", floats(np.cos))
numeric("tan", "tan", floats(np.tan))
numeric("asin", "asin", floats(np.arcsin))
numeric("acos", "acos", floats(np.arccos))
numeric("atan", "atan", floats(np.arctan))


@monad("floor", "_:")
def floor(x: Q) -> Q:
    """``floor x``; text in lower case, as ``lower``."""
    t = abs(qtype(x))
    if t in (CHAR, SYM):
        from trimtab.qcode.q.registry import PRIMS

        return PRIMS["lower"].fns[1](x)
    if type(x) is float and -(2.0**62) < x < 2.0**62:
        return int(np.floor(x))
    if not 0 < t < 20:
        return spread1(floor, x)
    if t == GUID:
        raise QError("type")
    out_t, out = _floor(np.asarray(raw_of(x), dtype=DTYPES[t]), t)
    return result(out_t, out, type(x) is Vec)


@monad("reciprocal", "%:")
def reciprocal(x: Q) -> Q:
    """``1%x``."""
    from trimtab.qcode.q.arithmetic import divide

    return divide(1, x)


@monad("not", "~:")
def not_(x: Q) -> Q:
    """Whether a number is zero."""
    if type(x) is bool:
        return not x
    t = qtype(x)
    if t == -LONG:
        return x == 0
    if 0 < abs(t) < 20:
        if abs(t) in (SYM, GUID):
            raise QError("type")
        return bools(x.a == 0) if t > 0 else bool(raw_of(x) == 0)
    return spread1(not_, x)


@monad("null", "^:")
def null(x: Q) -> Q:
    """Whether an item is its type's null."""
    t = qtype(x)
    if -21 < t < 0:
        return raw_of(x) == NJ if t == -ENUM else bool(is_null_atom(x))
    if 0 < t <= 20:
        return bools(mask_of(x))
    if isinstance(x, Func):
        return t == 101 and repr(x) == "::"
    if type(x) is Vec:
        from trimtab.qcode.q.lists import collect

        return collect([null(v) for v in x.a]) if x.a else Vec(BOOL, np.empty(0, dtype=bool))
    return spread1(null, x)
