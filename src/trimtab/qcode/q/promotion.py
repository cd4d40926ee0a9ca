"""Which type do two operands meet in, and how do numbers, times and dates convert to it?

The tables are those of q's reference pages for add, subtract and the like: rows and columns in the order of ``LETTERS``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.values import (
    BITS,
    BOOL,
    BYTE,
    CHAR,
    CHARS,
    DATE,
    DATETIME,
    DTYPES,
    FLOAT,
    FLOATS,
    INFINITIES,
    INT,
    LONG,
    MINUTE,
    MONTH,
    NULLS,
    REAL,
    SECOND,
    SHORT,
    TIME,
    TIMESPAN,
    TIMESTAMP,
)

NANOSECONDS = {
    TIMESTAMP: 1,
    TIMESPAN: 1,
    TIME: 1_000_000,
    SECOND: 1_000_000_000,
    MINUTE: 60_000_000_000,
    DATE: 86_400_000_000_000,
    DATETIME: 86_400_000_000_000,
}
"""How long a unit of each temporal type is; months have no fixed length."""
LETTERS = "bxhijefcpmdznuvt"

_ADD = """
iiiijef.pmdznuvt
iiiijef.pmdznuvt
iiiijef.pmdznuvt
iiiijef.pmdznuvt
jjjjjef.pmdznuvt
eeeeeef.pmdznuvt
fffffff.ffzzffff
........pmdznuvt
pppppppp....pppp
mmmmmmfm........
ddddddzd....pppp
zzzzzzzz....zzzz
nnnnnnfnp.pznnnn
uuuuuufup.pznuvt
vvvvvvfvp.pznvvt
ttttttftp.pznttt
"""
_SUBTRACT = {("p", "p"): "n", ("m", "m"): "i", ("d", "d"): "i", ("z", "z"): "f", ("p", "d"): "n", ("d", "p"): "n"}
_SUBTRACT.update({("p", "z"): "n", ("z", "p"): "n", ("d", "z"): "f", ("z", "d"): "f"})


def _table(text: str) -> dict[tuple[int, int], int]:
    rows = text.split()
    numbers = [CHARS.index(c) for c in LETTERS]
    return {
        (a, b): CHARS.index(rows[i][j])
        for i, a in enumerate(numbers)
        for j, b in enumerate(numbers)
        if rows[i][j] != "."
    }


ADD = _table(_ADD)
SUBTRACT = ADD | {(CHARS.index(a), CHARS.index(b)): CHARS.index(r) for (a, b), r in _SUBTRACT.items()}
MULTIPLY = {k: v for k, v in ADD.items() if CHAR not in k}


def _common() -> dict[tuple[int, int], int]:  # noqa: C901 one case after another
    """The wider of two types, as for ``&``, ``|`` and ``^``: what both are compared in."""
    order = [BOOL, BYTE, SHORT, INT, LONG, REAL, FLOAT]
    out: dict[tuple[int, int], int] = {}
    for i, a in enumerate(order):
        for j, b in enumerate(order):
            out[a, b] = order[max(i, j)]
    temporal = [MONTH, DATE, DATETIME, TIMESTAMP, MINUTE, SECOND, TIME, TIMESPAN]
    for t in temporal:
        out[t, t] = t
        for a in [*order, CHAR]:
            out[a, t] = out[t, a] = t if a not in (REAL, FLOAT) or t == DATETIME else FLOAT
    spans = [MINUTE, SECOND, TIME, TIMESPAN]
    for i, a in enumerate(spans):
        for j, b in enumerate(spans):
            out[a, b] = spans[max(i, j)]
    for a in (DATE, TIMESTAMP, MONTH):
        for b in (DATE, TIMESTAMP, MONTH):
            out[a, b] = a if a == b else TIMESTAMP if TIMESTAMP in (a, b) else DATE
    for a in (DATE, TIMESTAMP, MONTH):
        out[a, DATETIME] = out[DATETIME, a] = DATETIME
    for a in (DATE, TIMESTAMP):
        for b in spans:
            out[a, b] = out[b, a] = b
    for a in [*order, CHAR]:
        out[CHAR, a] = out[a, CHAR] = a if a in (REAL, FLOAT) else CHAR
    return out


COMMON = _common()


def meet(table: dict[tuple[int, int], int], tx: int, ty: int) -> int:
    """The type of the result; 'type where there is none."""
    t = table.get((tx, ty))
    if t is None:
        raise QError("type")
    return t


def convert(a: Any, source: int, target: int) -> Any:
    """Numbers of one type as those of another: nulls and infinities kept, units of time changed. Arrays or scalars."""
    if source == target:
        return a
    unit, wanted = NANOSECONDS.get(source), NANOSECONDS.get(target)
    scale = unit / wanted if unit and wanted and unit != wanted else 1
    if type(a) is np.ndarray:
        return _array(a, source, target, scale)
    return _array(np.array([a], dtype=DTYPES[source]), source, target, scale)[0].item()


def _array(a: Any, source: int, target: int, scale: float) -> Any:
    if source == MONTH and target in (DATE, TIMESTAMP, DATETIME):
        a, source = _month_starts(a), DATE
        unit, wanted = NANOSECONDS[DATE], NANOSECONDS[target]
        scale = unit / wanted
        if target == DATE:
            return a
    if target in FLOATS:
        out = a.astype(DTYPES[target])
        if source in BITS:
            out = _float_limits(out, a, source)
        return out * scale if scale != 1 else out
    if source in FLOATS:
        return _from_float(a * scale, target)
    if target in (BOOL, BYTE, CHAR):
        return a.astype(DTYPES[target])
    return _integers(a, source, target, scale)


def _float_limits(out: Any, a: Any, source: int) -> Any:
    top = INFINITIES[source]
    low = a <= -top
    if low.any() or (a == top).any():
        out[a == NULLS[source]] = np.nan
        out[a == top] = np.inf
        out[a == -top] = -np.inf
    return out


def _from_float(a: Any, target: int) -> Any:
    top = INFINITIES[target]
    with np.errstate(invalid="ignore"):
        whole = np.floor(a)
        fits = np.isfinite(a) & (np.abs(whole) < float(top))
        out = np.where(fits, whole, 0).astype(DTYPES[target])
    out[np.isnan(a)] = NULLS[target]
    out[~fits & (a > 0)] = top
    out[~fits & (a < 0)] = -top
    return out


def _integers(a: Any, source: int, target: int, scale: float) -> Any:
    wide = a.astype(np.int64)
    out = wide * int(scale) if scale >= 1 else np.floor_divide(wide, round(1 / scale))
    out = out.astype(DTYPES[target])
    if source in BITS:
        top = INFINITIES[source]
        out[wide == NULLS[source]] = NULLS[target]
        out[wide == top] = INFINITIES[target]
        out[wide == -top] = -INFINITIES[target]
    return out


def _month_starts(months: Any) -> Any:
    """Days since 2000.01.01 of the first days of months since 2000.01."""
    starts = (months.astype("int64") + 360).astype("datetime64[M]").astype("datetime64[D]").astype("int64") - 10957
    starts = starts.astype(np.int32)
    starts[months == NULLS[MONTH]] = NULLS[DATE]
    return starts
