"""What do many numbers come to? Sums, extremes, means and spreads, running and over moving windows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.lists import as_list, collect, items, keyed, mask_of
from trimtab.qcode.q.promotion import convert
from trimtab.qcode.q.registry import PRIMS, dyad, function, monad
from trimtab.qcode.q.values import (
    ATOMS,
    BITS,
    BOOL,
    BYTE,
    CHAR,
    DTYPES,
    ENUM,
    FLOAT,
    FLOATS,
    GUID,
    INFINITIES,
    INT,
    LONG,
    NULLS,
    REAL,
    SHORT,
    SYM,
    Dict,
    Q,
    Table,
    Vec,
    box,
    floats,
    longs,
    raw,
    syms,
)

Reduction = Callable[[Vec], Q]


def _values(x: Q) -> Q:
    return x.v if type(x) is Dict and not keyed(x) else x


def _reduction(name: str, typed: Reduction, fold: str) -> None:
    """Enter an aggregate: of a typed list; of lists item by item (by the operator ``fold``); of a table by column."""

    def f(x: Q) -> Q:
        if keyed(x):
            return f(x.v)
        x = _values(x)
        if type(x) is Table:
            return Dict(syms(x.names), collect([f(c) for c in x.cols]))
        if type(x) is Vec and x.t:
            return typed(x)
        if type(x) is not Vec:
            return typed(as_list(x)) if type(x) in ATOMS else _fail()
        if not x.a:
            return typed(Vec(LONG, np.empty(0, dtype=np.int64)))
        op = PRIMS[fold].fns[2]
        out = x.a[0]
        if len(x.a) == 1:
            return op(out, out) if fold in "&|" else out
        for v in x.a[1:]:
            out = op(out, v)
        return out

    monad(name)(f)


def _fail() -> Q:
    raise QError("type")


def _numeric(x: Vec) -> None:
    if x.t in (SYM, GUID, CHAR, ENUM):
        raise QError("type")


def _sum_type(t: int) -> int:
    return INT if t in (BOOL, BYTE, SHORT) else t


def _sum(x: Vec) -> Q:
    _numeric(x)
    if x.t in FLOATS:
        with np.errstate(all="ignore"):
            return box(x.t, _in_order(np.where(np.isnan(x.a), 0.0, x.a)))
    a = x.a.astype(np.int64)
    if x.t in BITS:
        null = x.a == NULLS[x.t]
        a = np.where(null, 0, a) if null.any() else a
    t = _sum_type(x.t)
    return box(t, np.asarray(a.sum()).astype(DTYPES[t]))


def _in_order(a: Any) -> Any:
    """A sum of floats from left to right, as q adds; of very many, as numpy does, which differs in the last digits."""
    return np.cumsum(a, dtype=np.float64)[-1] if 0 < len(a) <= 100_000 else a.astype(np.float64).sum()


def _prd(x: Vec) -> Q:
    _numeric(x)
    if x.t in FLOATS:
        with np.errstate(all="ignore"):
            return box(x.t, np.nanprod(x.a.astype(np.float64)))
    a = np.where(np.asarray(mask_of(x), dtype=bool), 1, x.a.astype(np.int64))
    t = LONG if x.t in (BOOL, BYTE, SHORT, LONG, INT) else x.t
    with np.errstate(all="ignore"):
        return box(
            INT if x.t in (BOOL, BYTE, SHORT, INT) else t,
            np.asarray(a.prod()).astype(DTYPES[INT if x.t == INT else LONG]),
        )


def _extreme(top: bool) -> Reduction:
    def f(x: Vec) -> Q:
        if x.t in (SYM, GUID, ENUM):
            raise QError("type")
        kept = x.a[~np.asarray(mask_of(x), dtype=bool)] if x.t not in (BOOL, BYTE, CHAR) else x.a
        if not len(kept):
            if x.t not in INFINITIES:
                return box(x.t, 0 if top else 255) if x.t != BOOL else not top
            return box(x.t, -INFINITIES[x.t] if top else INFINITIES[x.t])
        return box(x.t, kept.max() if top else kept.min())

    return f


def as_floats(x: Vec) -> Any:
    """A typed list as floats, nulls as nan; temporal ones in their own unit."""
    if x.t in (SYM, GUID, ENUM, CHAR):
        raise QError("type")
    if x.t in FLOATS:
        return x.a.astype(np.float64)
    a = x.a.astype(np.float64)
    if x.t in BITS:
        a[x.a == NULLS[x.t]] = np.nan
        a[x.a == INFINITIES[x.t]] = np.inf
        a[x.a == -INFINITIES[x.t]] = -np.inf
    return a


def _spread(op: Callable[[Any], float]) -> Callable[[Q], Q]:
    """An aggregate that gives a float, from the items that are not null."""

    def f(x: Q) -> Q:
        if keyed(x):
            return f(x.v)
        x = _values(x)
        if type(x) is Table:
            return Dict(syms(x.names), collect([f(c) for c in x.cols]))
        x = as_list(x)
        if x.t == 0 and x.a:
            return collect([f(c) for c in items(PRIMS["flip"].fns[1](x))])
        a = as_floats(x) if x.t else np.empty(0)
        a = a[~np.isnan(a)]
        with np.errstate(all="ignore"):
            return float(op(a)) if len(a) else float("nan")

    return f


def _avg(x: Q) -> Q:
    if keyed(x):
        return _avg(x.v)
    x = _values(x)
    if type(x) is Table:
        return Dict(syms(x.names), collect([_avg(c) for c in x.cols]))
    if type(x) is Vec and x.t == 0 and x.a:
        if all(type(v) in ATOMS for v in x.a):
            return PRIMS["%"].fns[2](PRIMS["sum"].fns[1](PRIMS["$"].fns[2]("float", x)), len(x))
        return PRIMS["%"].fns[2](PRIMS["sum"].fns[1](x), len(x))
    return _spread(np.mean)(x)


_reduction("sum", _sum, "+")
_reduction("prd", _prd, "*")
_reduction("max", _extreme(True), "|")
_reduction("min", _extreme(False), "&")
monad("avg")(_avg)
monad("med")(_spread(np.median))
monad("var")(_spread(np.var))
monad("dev")(_spread(np.std))
monad("svar")(_spread(lambda a: float(np.var(a, ddof=1)) if len(a) > 1 else float("nan")))
monad("sdev")(_spread(lambda a: float(np.std(a, ddof=1)) if len(a) > 1 else float("nan")))


def _truths(x: Q) -> Any:
    x = _values(x)
    if type(x) is Vec and x.t and x.t not in (SYM, GUID):
        return x.a.astype(np.float64) != 0
    raise QError("type")


@monad("all")
def all_(x: Q) -> Q:
    """Whether no item is zero."""
    return _boolean(x, "&", all_, np.all)


@monad("any")
def any_(x: Q) -> Q:
    """Whether an item is not zero."""
    return _boolean(x, "|", any_, np.any)


def _boolean(x: Q, fold: str, again: Callable[[Q], Q], op: Callable[[Any], Any]) -> Q:
    if type(x) is Table:
        return Dict(syms(x.names), collect([again(c) for c in x.cols]))
    x = _values(x)
    if type(x) in ATOMS:
        return bool(raw(x) != 0) if type(x) is not str else _fail()
    if type(x) is Vec and x.t == 0:
        if not x.a:
            return fold == "&"
        out = PRIMS["<>"].fns[2](x.a[0], 0)
        for v in x.a[1:]:
            out = PRIMS[fold].fns[2](out, PRIMS["<>"].fns[2](v, 0))
        return out
    return bool(op(_truths(x)))


def _running(name: str, shown: str, typed: Callable[[Vec], Q], fold: str) -> None:
    def f(x: Q) -> Q:
        if type(x) is Dict:
            return Dict(x.k, f(x.v))
        if type(x) is Table:
            return Table(x.names, [as_list(f(c)) for c in x.cols])
        if type(x) is not Vec:
            return x
        if x.t:
            return typed(x)
        op = PRIMS[fold].fns[2]
        out: list[Q] = []
        for v in x.a:
            out.append(op(out[-1], v) if out else v)
        return collect(out) if out else x

    monad(name, shown)(f)


def _sums(x: Vec) -> Q:
    _numeric(x)
    t = _sum_type(x.t)
    if x.t in FLOATS:
        return Vec(x.t, np.cumsum(np.nan_to_num(x.a, nan=0.0, posinf=np.inf, neginf=-np.inf)).astype(DTYPES[x.t]))
    a = np.where(np.asarray(mask_of(x), dtype=bool), 0, x.a.astype(np.int64))
    return Vec(t, np.cumsum(a).astype(DTYPES[t]))


def _prds(x: Vec) -> Q:
    _numeric(x)
    a = np.where(np.asarray(mask_of(x), dtype=bool), 1, x.a if x.t in FLOATS else x.a.astype(np.int64))
    t = x.t if x.t in FLOATS else INT if x.t in (BOOL, BYTE, SHORT, INT) else x.t
    with np.errstate(all="ignore"):
        return Vec(t, np.cumprod(a).astype(DTYPES[t]))


def _extremes(top: bool) -> Callable[[Vec], Q]:
    def f(x: Vec) -> Q:
        if x.t in (SYM, GUID):
            raise QError("type")
        a = x.a
        if x.t in INFINITIES:
            low = -INFINITIES[x.t] if top else INFINITIES[x.t]
            a = np.where(np.asarray(mask_of(x), dtype=bool), low, a).astype(a.dtype)
        return Vec(x.t, (np.maximum if top else np.minimum).accumulate(a) if len(a) else a)

    return f


_running("sums", "+\\", _sums, "+")
_running("prds", "*\\", _prds, "*")
_running("maxs", "|\\", _extremes(True), "|")
_running("mins", "&\\", _extremes(False), "&")


@monad("avgs")
def avgs(x: Q) -> Q:
    """Running means of the items that are not null."""
    if type(x) is Dict:
        return Dict(x.k, avgs(x.v))
    if type(x) is Table:
        return Table(x.names, [as_list(avgs(c)) for c in x.cols])
    if type(x) is not Vec:
        return float(as_floats(as_list(x))[0]) if type(x) in ATOMS else x
    if x.t == 0:
        return PRIMS["%"].fns[2](PRIMS["sums"].fns[1](x), longs(np.arange(1, len(x) + 1)))
    a = as_floats(x)
    known = ~np.isnan(a)
    with np.errstate(all="ignore"):
        return floats(np.cumsum(np.where(known, a, 0)) / np.cumsum(known))


def _pairwise(name: str, op: str) -> None:
    def f(x: Q) -> Q:
        if type(x) is Dict:
            return Dict(x.k, f(x.v))
        if type(x) is Table:
            return Table(x.names, [as_list(f(c)) for c in x.cols])
        if type(x) is not Vec or not len(x):
            return x
        fn = PRIMS[op].fns[2]
        if x.t and x.t <= FLOAT:
            rest = fn(Vec(x.t, x.a[1:]), Vec(x.t, x.a[:-1]))
            return PRIMS[","].fns[2](convert_to(x, rest.t, 1), rest)
        values = items(x)
        return collect([values[0], *[fn(b, a) for a, b in pairwise(values)]])

    def since(first: Q, x: Q) -> Q:
        fn = PRIMS[op].fns[2]
        values = items(x)
        before = [first, *values[:-1]]
        return collect([fn(b, a) for a, b in zip(before, values, strict=True)])

    monad(name, op + "':")(f)
    function(name, 2)(since)


def convert_to(x: Vec, t: int, n: int) -> Vec:
    """The first items of a list as another type."""
    return Vec(t, np.asarray(convert(x.a[:n], x.t, t), dtype=DTYPES[t]))


_pairwise("deltas", "-")
_pairwise("ratios", "%")


def _numbers(x: Q) -> Any:
    """The numbers of a list, typed or not, as floats; 'type for anything else."""
    if type(x) is Dict:
        return _numbers(x.v)
    if type(x) not in ATOMS and type(x) is not Vec:
        raise QError("type")
    x = as_list(x)
    if x.t:
        return as_floats(x)
    if not all(type(v) in ATOMS for v in x.a):
        raise QError("type")
    return np.array([as_floats(as_list(v))[0] for v in x.a], dtype=np.float64)


def _paired(x: Q, y: Q) -> tuple[Any, Any]:
    a, b = _numbers(x), _numbers(y)
    if len(a) != len(b):
        if 1 not in (len(a), len(b)):
            raise QError("length")
        a, b = np.broadcast_arrays(a, b)
    known = ~(np.isnan(a) | np.isnan(b))
    return a[known], b[known]


def _two(name: str, op: Callable[[Any, Any], float]) -> None:
    def f(x: Q, y: Q) -> Q:
        x, y = _values(x), _values(y)
        if name[0] == "w" and any(type(v) is Table or (type(v) is Vec and v.t == 0 and v.a) for v in (x, y)):
            total = PRIMS["sum"].fns[1](PRIMS["*"].fns[2](x, y))
            return total if name == "wsum" else PRIMS["%"].fns[2](total, PRIMS["sum"].fns[1](x))
        if type(x) is Vec and x.t == 0 and x.a and type(x.a[0]) is Vec:
            return collect([f(v, y) for v in x.a])
        if type(y) is Vec and y.t == 0 and y.a and type(y.a[0]) is Vec:
            return collect([f(x, v) for v in items(PRIMS["flip"].fns[1](y) if name[0] == "w" else y)])
        if name == "wsum" and type(x) in ATOMS:
            return PRIMS["sum"].fns[1](PRIMS["*"].fns[2](x, y))
        a, b = _paired(_values(x), _values(y))
        with np.errstate(all="ignore"):
            return float(op(a, b)) if len(a) else (0.0 if name == "wsum" else float("nan"))

    dyad(name)(f)


def _cov(a: Any, b: Any) -> float:
    return float(np.mean(a * b) - np.mean(a) * np.mean(b))


_two("cov", _cov)
_two("scov", lambda a, b: _cov(a, b) * len(a) / (len(a) - 1) if len(a) > 1 else float("nan"))
_two("cor", lambda a, b: float(_cov(a, b) / (np.std(a) * np.std(b))))
_two("wavg", lambda a, b: float(np.sum(a * b) / np.sum(a)))
_two("wsum", lambda a, b: float(np.sum(a * b)))


def _window(n: int, a: Any) -> list[Any]:
    return [a[max(0, i - n + 1) : i + 1] for i in range(len(a))]


def _moving(name: str, op: Callable[[int, Vec], Q]) -> None:
    def f(x: Q, y: Q) -> Q:
        if type(y) is Dict:
            if type(y.v) is Vec and y.v.t == 0 and y.v.a and all(type(v) is Vec for v in y.v.a):
                columns = [f(x, c) for c in items(PRIMS["flip"].fns[1](y.v))]
                return Dict(y.k, PRIMS["flip"].fns[1](Vec(0, columns)))
            return Dict(y.k, f(x, y.v))
        if type(y) is Table:
            return Table(y.names, [as_list(f(x, c)) for c in y.cols])
        n = raw(x)
        if type(n) is not int or type(x) is str:
            raise QError("type")
        if type(y) is not Vec:
            raise QError("type" if type(y) in ATOMS else "rank")
        if y.t == 0:
            if not y.a:
                return y
            columns = [f(x, c) for c in items(PRIMS["flip"].fns[1](y))]
            return PRIMS["flip"].fns[1](Vec(0, columns))
        return op(n, y)

    dyad(name)(f)


def _msum(n: int, y: Vec) -> Q:
    total = _sums(y)
    a = total.a
    if n <= 0:
        return Vec(total.t, np.zeros_like(a))
    out = a.copy()
    with np.errstate(all="ignore"):
        out[n:] = a[n:] - a[:-n] if n < len(a) else a[n:]
    return Vec(total.t, out)


def _mcount(n: int, y: Vec) -> Any:
    known = np.cumsum(~np.asarray(mask_of(y), dtype=bool)).astype(np.int32)
    out = known.copy()
    if 0 < n < len(known):
        out[n:] = known[n:] - known[:-n]
    return out


def _mavg(n: int, y: Vec) -> Q:
    a = as_floats(y)
    if n <= 0:
        return floats(np.full(len(a), np.nan))
    with np.errstate(all="ignore"):
        return floats(_msum(n, floats(a)).a / _mcount(n, y))


def _mdev(n: int, y: Vec) -> Q:
    known = [w[~np.isnan(w)] for w in _window(n, as_floats(y))]
    with np.errstate(all="ignore"):
        return floats([float(np.std(w)) if len(w) else float("nan") for w in known])


def _sliding(best: Any, n: int, a: Any) -> Any:
    """The best of the last ``n`` items at each place, from windows of doubled width."""
    out, width = a.copy(), 1
    n = min(n, len(a))
    while width < n:
        step = min(width, n - width)
        grown = out.copy()
        grown[step:] = best(out[step:], out[:-step])
        out, width = grown, width + step
    return out


def _mextreme(top: bool) -> Callable[[int, Vec], Q]:
    """Nulls are ignored by ``mmax``; they are the least of all for ``mmin``."""
    pick = _extreme(top)
    best: Any = np.maximum if top else np.minimum

    def f(n: int, y: Vec) -> Q:
        if y.t in (BOOL, BYTE, CHAR) or y.t in BITS or y.t in FLOATS:
            if top and mask_of(y).any():
                return collect([pick(Vec(y.t, w)) for w in _window(max(n, 1), y.a)])
            return Vec(y.t, _sliding(best, n, y.a))
        return collect([pick(Vec(y.t, w)) for w in _window(max(n, 1), y.a)]) if len(y.a) else y

    return f


_moving("msum", _msum)
_moving("mavg", _mavg)
_moving("mcount", lambda n, y: Vec(INT, _mcount(n, y)))
_moving("mdev", _mdev)
_moving("mmax", _mextreme(True))
_moving("mmin", _mextreme(False))


@dyad("ema")
def ema(x: Q, y: Q) -> Q:
    """Exponential moving average."""
    values = items(y)
    rates = items(x) if type(x) is Vec else [x] * len(values)
    out: list[Q] = []
    times, plus, minus = PRIMS["*"].fns[2], PRIMS["+"].fns[2], PRIMS["-"].fns[2]
    for rate, v in zip(rates, values, strict=False):
        out.append(plus(times(rate, v), times(minus(1, rate), out[-1])) if out else times(1.0, v))
    return collect(out) if out else y


def matrix(x: Q) -> Any:
    """A list of lists (or a list) of numbers as a float array; 'type or 'length where it is none."""
    if type(x) is Vec and x.t:
        return as_floats(x)
    if type(x) is not Vec or not x.a or not all(type(v) is Vec and v.t for v in x.a):
        raise QError("type")
    if len({len(v) for v in x.a}) > 1:
        raise QError("length")
    return np.array([as_floats(v) for v in x.a])


def unmatrix(a: Any) -> Q:
    """An array as q lists of floats."""
    if a.ndim == 0:
        return float(a)
    return floats(a) if a.ndim == 1 else Vec(0, [floats(row) for row in a])


def _of_floats(x: Q) -> bool:
    """Whether a list, or each list in it, is of floats: matrix functions take no other numbers."""
    if type(x) is not Vec:
        return False
    return x.t in (REAL, FLOAT) if x.t else all(type(v) is Vec and v.t in (REAL, FLOAT) for v in x.a)


@dyad("mmu")
def mmu(x: Q, y: Q) -> Q:
    """Matrix product."""
    if not (_of_floats(x) and _of_floats(y)):
        raise QError("type")
    try:
        return unmatrix(matrix(x) @ matrix(y))
    except ValueError:
        raise QError("length") from None


@monad("inv")
def inv(x: Q) -> Q:
    """Inverse of a matrix; nulls where there is none."""
    if not _of_floats(x):
        raise QError("type")
    a = matrix(x)
    if a.ndim != 2 or a.shape[0] != a.shape[1]:
        raise QError("length")
    try:
        return unmatrix(np.linalg.inv(a))
    except np.linalg.LinAlgError:
        return unmatrix(np.full(a.shape, np.nan))


@dyad("lsq")
def lsq(x: Q, y: Q) -> Q:
    """Least squares: ``z`` with ``z mmu y`` near x."""
    a, b = matrix(x), matrix(y)
    try:
        got = np.linalg.lstsq(b.T, np.atleast_2d(a).T, rcond=None)[0].T
    except (ValueError, np.linalg.LinAlgError):
        raise QError("length") from None
    return unmatrix(got[0] if a.ndim == 1 else got)
