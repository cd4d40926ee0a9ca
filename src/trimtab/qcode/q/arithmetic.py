"""Add, subtract, multiply, divide, powers and remainders: with q's types, nulls, and wrapping integers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from trimtab.qcode.q.atomic import Binary, lengths, raw_of, result, spread2
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.promotion import ADD, MULTIPLY, NANOSECONDS, SUBTRACT, convert, meet
from trimtab.qcode.q.registry import dyad
from trimtab.qcode.q.values import (
    BITS,
    CHAR,
    DATE,
    DATETIME,
    DTYPES,
    FLOAT,
    FLOATS,
    GUID,
    INF,
    INT,
    LONG,
    MONTH,
    NAN,
    NJ,
    NULLS,
    REAL,
    SYM,
    TIMESPAN,
    TIMESTAMP,
    Q,
    qtype,
)

HALF = 2**62
"""Sums of longs below this need no care."""


def plain(x: Q, y: Q) -> bool:
    """Whether both are atoms or typed lists."""
    return 0 < abs(qtype(x)) < 20 and 0 < abs(qtype(y)) < 20


def whole(op: Callable[[Any, Any], Any], a: Any, b: Any, t: int) -> Any:
    """An operation on integers of type ``t``: wraps at its width; null where either is."""
    null = NULLS[t]
    a, b = np.asarray(a, dtype=DTYPES[t]), np.asarray(b, dtype=DTYPES[t])
    with np.errstate(over="ignore"):
        out = np.asarray(op(a, b))
    nulls = (a == null) | (b == null)
    return np.where(nulls, null, out) if nulls.any() else out


def _operate(table: dict[tuple[int, int], int], op: Callable[[Any, Any], Any], x: Q, y: Q) -> Q:
    tx, ty = abs(qtype(x)), abs(qtype(y))
    t = meet(table, tx, ty)
    shaped = lengths(x, y)
    if t in BITS:
        common = _span(tx, ty, t)
        return result(t, whole(op, convert(raw_of(x), tx, common), convert(raw_of(y), ty, common), t), shaped)
    common = DATETIME if t == FLOAT and DATETIME in (tx, ty) and max(tx, ty) < 16 and min(tx, ty) > 9 else t
    with np.errstate(all="ignore"):
        out = op(_floats(x, tx, common, t), _floats(y, ty, common, t))
    return result(t, np.asarray(out, dtype=DTYPES[t]) if shaped else out, shaped)


def _floats(x: Q, t: int, common: int, target: int) -> Any:
    a = convert(raw_of(x), t, common)
    return np.asarray(a, dtype=DTYPES[target])


def _span(tx: int, ty: int, t: int) -> int:
    """The type in which an integer result is computed: differences of dates and times in their common unit."""
    if t == TIMESPAN and (tx in (DATE, TIMESTAMP, DATETIME) or ty in (DATE, TIMESTAMP, DATETIME)):
        return TIMESTAMP
    if t == INT and tx == ty and tx in (DATE, MONTH):
        return tx
    return t


@dyad("+")
def add(x: Q, y: Q) -> Q:
    """``x+y``."""
    cx, cy = type(x), type(y)
    if cx is int and cy is int:
        return x + y if -HALF < x < HALF and -HALF < y < HALF else _slow(x, y, x + y)
    if cx is float and (cy is float or cy is int):
        return x + (y if cy is float else as_float(y))
    if plain(x, y):
        return _operate(ADD, np.add, x, y)
    return spread2(add, x, y)


def as_float(x: int) -> float:
    """A long as a float, null and infinities kept."""
    if -HALF < x < HALF:
        return float(x)
    return NAN if x == NJ else INF if x == -NJ - 1 else -INF if x == NJ + 1 else float(x)


def _slow(x: int, y: int, r: int) -> int:
    """A result that may wrap."""
    if x == NJ or y == NJ:
        return NJ
    return (r + 2**63) % 2**64 - 2**63


@dyad("-")
def subtract(x: Q, y: Q) -> Q:
    """``x-y``."""
    cx, cy = type(x), type(y)
    if cx is int and cy is int:
        return x - y if -HALF < x < HALF and -HALF < y < HALF else _slow(x, y, x - y)
    if cx is float and (cy is float or cy is int):
        return x - (y if cy is float else as_float(y))
    if plain(x, y):
        return _operate(SUBTRACT, np.subtract, x, y)
    return spread2(subtract, x, y)


@dyad("*")
def multiply(x: Q, y: Q) -> Q:
    """``x*y``."""
    cx, cy = type(x), type(y)
    if cx is int and cy is int:
        r = x * y
        return r if -HALF < r < HALF and x != NJ and y != NJ else _slow(x, y, r)
    if cx is float and (cy is float or cy is int):
        return x * (y if cy is float else as_float(y))
    if plain(x, y):
        return _operate(MULTIPLY, np.multiply, x, y)
    return spread2(multiply, x, y)


def quotient(x: float, y: float) -> float:
    """A float divided by a float: infinite or null by zero."""
    if y:
        return x / y
    return NAN if x == 0 or x != x or y != y else math.copysign(INF, x) * math.copysign(1.0, y)


@dyad("%")
def divide(x: Q, y: Q) -> Q:
    """``x%y``: always a float (a real where a real meets no float)."""
    cx, cy = type(x), type(y)
    if (cx is int or cx is float) and (cy is int or cy is float):
        return quotient(as_float(x) if cx is int else x, as_float(y) if cy is int else y)
    if plain(x, y):
        return _divide(x, y)
    return spread2(divide, x, y)


def _divide(x: Q, y: Q) -> Q:
    tx, ty = abs(qtype(x)), abs(qtype(y))
    if not {tx, ty}.isdisjoint((GUID, CHAR, SYM)):
        raise QError("type")
    t = REAL if REAL in (tx, ty) and max(tx, ty) <= REAL else FLOAT
    shaped = lengths(x, y)
    a, b = raw_of(x), raw_of(y)
    if tx != ty and tx in NANOSECONDS and ty in NANOSECONDS:
        a, b = convert(a, tx, TIMESPAN), convert(b, ty, TIMESPAN)
        tx = ty = TIMESPAN
    with np.errstate(all="ignore"):
        out = np.divide(np.asarray(convert(a, tx, t), DTYPES[t]), np.asarray(convert(b, ty, t), DTYPES[t]))
    return result(t, out, shaped)


def _by_whole(op: Callable[[Any, Any], Any], x: Q, y: Q, keeps: bool) -> Q:
    """Integer division or remainder, rounding down; null by zero."""
    tx, ty = abs(qtype(x)), abs(qtype(y))
    if not {tx, ty}.isdisjoint((GUID, CHAR, SYM)):
        raise QError("type")
    if keeps and (tx in FLOATS or ty in FLOATS) and tx < 12 and ty < 12:
        t = LONG
    elif tx >= 12 or ty >= 12:
        t = tx if tx >= 12 else ty
        t = FLOAT if t == DATETIME else t
        if not keeps and BITS.get(t) == 32 and min(tx, ty) < 12:
            t = INT
    else:
        t = meet(MULTIPLY, tx, ty)
    shaped = lengths(x, y)
    if tx in FLOATS or ty in FLOATS:
        with np.errstate(all="ignore"):
            out = op(np.asarray(convert(raw_of(x), tx, FLOAT)), np.asarray(convert(raw_of(y), ty, FLOAT)))
        out = convert(np.atleast_1d(np.where(np.isfinite(out), out, NAN)), FLOAT, t)
        return result(t, out if shaped else out[0], shaped)
    mixed = tx != ty and tx in NANOSECONDS and ty in NANOSECONDS
    common = (TIMESPAN if mixed else t) if max(tx, ty) >= 12 else LONG
    a = np.asarray(convert(raw_of(x), tx, common), dtype=np.int64)
    b = np.asarray(convert(raw_of(y), ty, common), dtype=np.int64)
    null = NULLS[common]
    bad = (b == 0) | (a == null) | (b == null)
    out = np.where(bad, NJ, op(a, np.where(b == 0, 1, b)))
    final = LONG if mixed and keeps else t
    out = convert(np.atleast_1d(out), common if mixed and not keeps else LONG, final)
    return result(final, out if shaped else out[0], shaped)


@dyad("div")
def div(x: Q, y: Q) -> Q:
    """``x div y``: the quotient rounded down."""
    if type(x) is int and type(y) is int and y > 0 and x != NJ:
        return x // y
    if plain(x, y):
        return _by_whole(_floor_quotient, x, y, True)
    return spread2(div, x, y)


def _floor_quotient(a: Any, b: Any) -> Any:
    return np.floor(a / b) if a.dtype.kind == "f" or b.dtype.kind == "f" else np.floor_divide(a, b)


@dyad("mod")
def mod(x: Q, y: Q) -> Q:
    """``x mod y``: the remainder with the sign of ``y``."""
    if type(x) is int and type(y) is int and y > 0 and x != NJ:
        return x % y
    if plain(x, y):
        return _by_whole(np.mod, x, y, False)
    return spread2(mod, x, y)


@dyad("xbar", t=100)
def xbar(x: Q, y: Q) -> Q:
    """``x xbar y``: ``y`` rounded down to a multiple of ``x``."""
    if not plain(x, y):
        return spread2(xbar, x, y)
    tx, ty = abs(qtype(x)), abs(qtype(y))
    if tx >= 12 and ty >= 12 and tx != ty and tx in NANOSECONDS and ty in NANOSECONDS:
        return _xbar_mixed(x, y, tx, ty)
    if not {tx, ty}.isdisjoint((GUID, CHAR, SYM)):
        raise QError("type")
    t = ty if ty >= 12 and tx not in FLOATS else meet(MULTIPLY, tx, ty)
    shaped = lengths(x, y)
    if t in FLOATS:
        a, b = (np.asarray(convert(raw_of(v), s, FLOAT)) for v, s in ((x, tx), (y, ty)))
        with np.errstate(all="ignore"):
            out = a * np.floor(b / a)
        return result(t, out.astype(DTYPES[t]) if shaped else out, shaped)
    a = np.asarray(raw_of(x) if tx not in FLOATS else convert(raw_of(x), tx, LONG), dtype=np.int64)
    b = np.asarray(convert(raw_of(y), ty, t), dtype=np.int64)
    size = np.where(a == 0, 1, a)
    out = np.where(b == NULLS[t], b, np.floor_divide(b, size) * size).astype(DTYPES[t])
    return result(t, out, shaped)


def _xbar_mixed(x: Q, y: Q, tx: int, ty: int) -> Q:
    step = np.asarray(convert(raw_of(x), tx, TIMESPAN), dtype=np.int64)
    step = np.where(step == 0, 1, step)
    a = np.atleast_1d(np.asarray(convert(raw_of(y), ty, TIMESTAMP), dtype=np.int64))
    out = np.where(a == NJ, NJ, np.floor_divide(a, step) * step)
    out = convert(out, TIMESTAMP, ty)
    shaped = lengths(x, y)
    return result(ty, out if shaped else out[0], shaped)


def floating(op: Callable[[Any, Any], Any]) -> Binary:
    """A dyad on floats."""

    def f(x: Q, y: Q) -> Q:
        if not plain(x, y):
            return spread2(f, x, y)
        tx, ty = abs(qtype(x)), abs(qtype(y))
        if tx > 9 or ty > 9:
            raise QError("type")
        shaped = lengths(x, y)
        a, b = (np.asarray(convert(raw_of(v), s, FLOAT), np.float64) for v, s in ((x, tx), (y, ty)))
        with np.errstate(all="ignore"):
            return result(FLOAT, op(a, b), shaped)

    return f


def _power(a: Any, b: Any) -> Any:
    return np.where(np.isnan(a) | np.isnan(b), np.nan, np.power(a, b))


xexp = dyad("xexp", t=100)(floating(_power))
xlog = dyad("xlog", t=100)(floating(lambda a, b: np.log(b) / np.log(a)))
