"""How are two tables joined? By keys (``lj ij uj pj ej``), as of a time (``aj asof``), and over windows (``wj``)."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from trimtab.qcode.q import apply, formats
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.indexing import prototype, take_at
from trimtab.qcode.q.lists import as_list, collect, items, mask_of, pick_raw
from trimtab.qcode.q.registry import PRIMS, dyad, function
from trimtab.qcode.q.values import ENUM, SYM, Dict, Q, Table, Vec, empty, qtype


def is_keyed(x: Q) -> bool:
    """Whether a value is a keyed table."""
    return type(x) is Dict and type(x.k) is Table and type(x.v) is Table


def unkeyed(x: Q) -> Table:
    """A table without its key; 'type for what is no table."""
    if type(x) is Table:
        return x
    if is_keyed(x):
        return Table([*x.k.names, *x.v.names], [*x.k.cols, *x.v.cols])
    raise QError("type")


def rekeyed(x: Table, like: Q) -> Q:
    """A table keyed as another was."""
    if not is_keyed(like):
        return x
    names = like.k.names
    rest = [i for i, name in enumerate(x.names) if name not in names]
    return Dict(subtable(x, names), Table([x.names[i] for i in rest], [x.cols[i] for i in rest]))


def subtable(x: Table, names: list[str]) -> Table:
    """Some columns of a table, in the order asked for."""
    try:
        return Table(list(names), [x.col(name) for name in names])
    except KeyError as error:
        raise QError(str(error.args[0])) from None


def hashed(c: Vec) -> list[Hashable]:
    """The items of a column as things that Python compares and hashes as q does."""
    if c.t == ENUM:
        c = formats.enum_symbol(c)
    if c.t == 0:
        return [(qtype(v), formats.one_line(v)) for v in c.a]
    values: list[Any] = c.a.tolist()
    return [None if v != v else v for v in values] if c.a.dtype.kind == "f" else values


def rows_of(x: Table) -> list[Hashable]:
    """The rows of a table, hashable."""
    return list(zip(*[hashed(c) for c in x.cols], strict=True)) if x.cols else []


def positions(keys: Table, x: Table) -> Any:
    """For each row of ``x`` where the same row first is in ``keys``, -1 where it is not."""
    first: dict[Hashable, int] = {}
    for i, key in enumerate(rows_of(keys)):
        first.setdefault(key, i)
    return np.array([first.get(key, -1) for key in rows_of(x)], dtype=np.int64)


def gathered(c: Vec, where: Any) -> Vec:
    """Items of a column at positions; nulls where -1."""
    if c.t == ENUM and (where < 0).any() and not len(c):
        return Vec(ENUM, np.full(len(where), -1, dtype=np.int64), "", c.dom)
    got = take_at(c, where)
    return got if type(got) is Vec else as_list(got)


def _overlaid(old: Vec | None, new: Vec, where: Any, fill: bool) -> Vec:
    """A column of the result: what the right table has where it matches, else what was there."""
    taken = gathered(new, where)
    if old is None:
        return taken
    use = where >= 0
    if fill:
        nulls = mask_of(taken) if taken.t else np.array([False] * len(taken))
        use = use & ~np.asarray(nulls, dtype=bool)
    if use.all():
        return taken
    if old.t == taken.t and old.t and old.dom == taken.dom:
        return Vec(old.t, np.where(use, taken.a, old.a), "", old.dom)
    values = [a if u else b for u, a, b in zip(use.tolist(), items(taken), items(old), strict=True)]
    return as_list(collect(values)) if values else old


def overlay(x: Table, y: Table, where: Any, fill: bool = False) -> Table:
    """``x`` with the columns of ``y``, row ``where[i]`` beside row i."""
    names, cols = list(x.names), list(x.cols)
    for name, c in zip(y.names, y.cols, strict=True):
        if name in names:
            i = names.index(name)
            cols[i] = _overlaid(cols[i], c, where, fill)
        else:
            names.append(name)
            cols.append(_overlaid(None, c, where, fill))
    return Table(names, cols)


def _left(x: Q, y: Q, fill: bool) -> Q:
    if not is_keyed(y):
        raise QError("type")
    base = unkeyed(x)
    where = positions(y.k, subtable(base, y.k.names))
    return rekeyed(overlay(base, y.v, where, fill), x)


@dyad("lj")
def lj(x: Q, y: Q) -> Q:
    """Left join: every row of x, with what the keyed table y has for it."""
    return _left(x, y, False)


@dyad("ljf")
def ljf(x: Q, y: Q) -> Q:
    """Left join in which nulls of y do not replace."""
    return _left(x, y, True)


def _inner(x: Q, y: Q, fill: bool) -> Q:
    if not is_keyed(y):
        raise QError("type")
    base = unkeyed(x)
    where = positions(y.k, subtable(base, y.k.names))
    kept = np.flatnonzero(where >= 0)
    found = Table(base.names, [pick_raw(c, kept) for c in base.cols])
    return rekeyed(overlay(found, y.v, where[kept], fill), x)


@dyad("ij")
def ij(x: Q, y: Q) -> Q:
    """Inner join: the rows of x that the keyed table y has."""
    return _inner(x, y, False)


@dyad("ijf")
def ijf(x: Q, y: Q) -> Q:
    """Inner join in which nulls of y do not replace."""
    return _inner(x, y, True)


@dyad("pj")
def pj(x: Q, y: Q) -> Q:
    """Plus join: what y has is added to columns of x, nulls as zeros."""
    if not is_keyed(y):
        raise QError("type")
    base = unkeyed(x)
    where = positions(y.k, subtable(base, y.k.names))
    names, cols = list(base.names), list(base.cols)
    fill, add = PRIMS["^"].fns[2], PRIMS["+"].fns[2]
    for name, c in zip(y.v.names, y.v.cols, strict=True):
        taken = fill(0, gathered(c, where))
        if name in names:
            i = names.index(name)
            cols[i] = as_list(add(cols[i], taken))
        else:
            names.append(name)
            cols.append(as_list(taken))
    return rekeyed(Table(names, cols), x)


def _nulls(c: Vec, n: int) -> Vec:
    if c.t == 0:
        return Vec(0, [prototype(c)] * n)
    return gathered(Vec(c.t, c.a[:0], "", c.dom), np.full(n, -1, dtype=np.int64))


def _joined(a: Vec, b: Vec) -> Vec:
    if not len(a):
        return b
    if not len(b):
        return a
    return as_list(PRIMS[","].fns[2](a, b))


def union(x: Table, y: Table) -> Table:
    """All rows of two tables, with all columns of both."""
    names = [*x.names, *[n for n in y.names if n not in x.names]]
    cols: list[Vec] = []
    for name in names:
        a = x.col(name) if name in x.names else _nulls(y.col(name), len(x))
        b = y.col(name) if name in y.names else _nulls(x.col(name), len(y))
        cols.append(_joined(a, b))
    return Table(names, cols)


def _union_keyed(x: Dict, y: Dict, fill: bool) -> Q:
    if x.k.names != y.k.names:
        raise QError("mismatch")
    names = x.k.names
    where = positions(y.k, x.k)
    base = overlay(unkeyed(x), y.v, where, fill)
    new = np.flatnonzero(positions(x.k, y.k) < 0)
    rest = unkeyed(y)
    added = Table(rest.names, [pick_raw(c, new) for c in rest.cols])
    return rekeyed(union(base, added), Dict(Table(names, x.k.cols), x.v))


@dyad("uj")
def uj(x: Q, y: Q) -> Q:
    """Union join: rows and columns of both; keyed tables by key, the right one's values first."""
    if is_keyed(x) and is_keyed(y):
        return _union_keyed(x, y, False)
    if is_keyed(x) or is_keyed(y):
        raise QError("type")
    return union(unkeyed(x), unkeyed(y))


@dyad("ujf")
def ujf(x: Q, y: Q) -> Q:
    """Union join in which nulls of y do not replace."""
    if is_keyed(x) and is_keyed(y):
        return _union_keyed(x, y, True)
    return uj(x, y)


def column_names(x: Q) -> list[str]:
    """Names given as a symbol or symbols."""
    if type(x) is str:
        return [x]
    if type(x) is Vec and x.t == SYM:
        return x.a.tolist()
    raise QError("type")


@function("ej", 3)
def ej(c: Q, x: Q, y: Q) -> Q:
    """Equi join: every pair of rows that agree on the columns."""
    names = column_names(c)
    left, right = unkeyed(x), unkeyed(y)
    where: dict[Hashable, list[int]] = {}
    for i, key in enumerate(rows_of(subtable(right, names))):
        where.setdefault(key, []).append(i)
    pairs = [(i, j) for i, key in enumerate(rows_of(subtable(left, names))) for j in where.get(key, ())]
    at = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    base = Table(left.names, [pick_raw(col, at[:, 0]) for col in left.cols])
    rest = [n for n in right.names if n not in names]
    return overlay(base, subtable(right, rest), at[:, 1])


def _times(c: Vec) -> Any:
    """A column as numbers in its order."""
    if c.t in (0, SYM):
        order = {v: i for i, v in enumerate(sorted({str(h) for h in hashed(c)}))}
        return np.array([order[str(h)] for h in hashed(c)])
    return c.a


def _groups(x: Table) -> dict[Hashable, list[int]]:
    out: dict[Hashable, list[int]] = {}
    rows = rows_of(x) if x.cols else [()] * 0
    for i, key in enumerate(rows):
        out.setdefault(key, []).append(i)
    return out


def _common_times(a: Vec, b: Vec) -> tuple[Any, Any]:
    """Two time columns in one unit."""
    if a.t == b.t or a.t in (0, SYM) or b.t in (0, SYM):
        return _times(a), _times(b)
    from trimtab.qcode.q.promotion import COMMON, convert, meet

    t = meet(COMMON, a.t, b.t)
    return convert(a.a, a.t, t), convert(b.a, b.t, t)


def as_of(names: list[str], x: Table, y: Table) -> Any:
    """For each row of ``x`` the last row of ``y`` that agrees on all but the last name and is not later; -1 without."""
    if not names:
        raise QError("length")
    *equal, last = names
    xt, yt = _common_times(subtable(x, [last]).cols[0], subtable(y, [last]).cols[0])
    if not equal:
        return np.searchsorted(yt, xt, side="right") - 1
    groups = {key: np.array(rows) for key, rows in _groups(subtable(y, equal)).items()}
    out = np.full(len(x), -1, dtype=np.int64)
    for key, rows in _groups(subtable(x, equal)).items():
        theirs = groups.get(key)
        if theirs is None:
            continue
        at = np.searchsorted(yt[theirs], xt[rows], side="right") - 1
        out[rows] = np.where(at >= 0, theirs[np.maximum(at, 0)], -1)
    return out


def _aj(c: Q, x: Q, y: Q, keep_time: bool, fill: bool) -> Q:
    names = column_names(c)
    left, right = unkeyed(x), unkeyed(y)
    where = as_of(names, left, right)
    drop = names if keep_time else names[:-1]
    rest = [n for n in right.names if n not in drop]
    return rekeyed(overlay(left, subtable(right, rest), where, fill), x)


@function("aj", 3)
def aj(c: Q, x: Q, y: Q) -> Q:
    """As-of join: beside each row of x the last of y that is not later; times are those of x."""
    return _aj(c, x, y, True, False)


@function("aj0", 3)
def aj0(c: Q, x: Q, y: Q) -> Q:
    """As-of join; times are those of y."""
    return _aj(c, x, y, False, False)


@function("ajf", 3)
def ajf(c: Q, x: Q, y: Q) -> Q:
    """As-of join in which nulls of y do not replace."""
    return _aj(c, x, y, True, True)


@function("ajf0", 3)
def ajf0(c: Q, x: Q, y: Q) -> Q:
    """As-of join with the times of y, in which nulls of y do not replace."""
    return _aj(c, x, y, False, True)


@dyad("asof")
def asof(x: Q, y: Q) -> Q:
    """The other columns of the last rows of x that agree with y and are not later."""
    table = unkeyed(x)
    if type(y) is Dict and type(y.k) is Vec:
        one = Table(y.k.a.tolist(), [as_list(collect([v])) for v in items(y.v)])
        got = asof(table, one)
        from trimtab.qcode.q.lists import row

        return row(got, 0)
    keys = unkeyed(y)
    where = as_of(keys.names, keys, table)
    rest = subtable(table, [n for n in table.names if n not in keys.names])
    return Table(rest.names, [gathered(c, where) for c in rest.cols])


def _windows(w: Q, n: int) -> tuple[Vec, Vec]:
    bounds = items(w)
    if len(bounds) != 2 or type(bounds[0]) is not Vec or type(bounds[1]) is not Vec or len(bounds[0]) != n:
        raise QError("length")
    return bounds[0], bounds[1]


def _wj(w: Q, c: Q, x: Q, spec: Q, prevailing: bool) -> Q:
    """Aggregates of the rows of a table in the window of each row of ``x``."""
    names = column_names(c)
    left = unkeyed(x)
    source, *aggregates = items(spec)
    right = unkeyed(source)
    low, high = _windows(w, len(left))
    *equal, last = names
    groups = {key: np.array(rows) for key, rows in _groups(subtable(right, equal)).items()}
    keys = rows_of(subtable(left, equal))
    times = subtable(right, [last]).cols[0]
    lows, rt = _common_times(low, times)
    highs, _ = _common_times(high, times)
    picked: list[Any] = []
    for i in range(len(left)):
        rows = groups.get(keys[i], np.empty(0, dtype=np.int64)) if equal else np.arange(len(right))
        start = int(np.searchsorted(rt[rows], lows[i], side="left"))
        end = int(np.searchsorted(rt[rows], highs[i], side="right"))
        if prevailing and start and (start >= len(rows) or rt[rows][start] != lows[i]):
            start -= 1
        picked.append(rows[start:end])
    out = left
    for aggregate in aggregates:
        out = _with_aggregate(out, right, picked, items(aggregate))
    return rekeyed(out, x)


def _with_aggregate(out: Table, right: Table, picked: list[Any], parts: list[Q]) -> Table:
    f, *columns = parts
    sources = subtable(right, [name for name in columns if type(name) is str]).cols
    values = [apply.call(f, [pick_raw(s, rows) for s in sources]) for rows in picked]
    column = as_list(collect(values)) if values else empty(0)
    name = columns[-1]
    if name in out.names:
        i = out.names.index(name)
        return Table(out.names, [*out.cols[:i], column, *out.cols[i + 1 :]])
    return Table([*out.names, name], [*out.cols, column])


@function("wj", 4)
def wj(w: Q, c: Q, x: Q, spec: Q) -> Q:
    """Window join: with the row that prevails at the window's start."""
    return _wj(w, c, x, spec, True)


@function("wj1", 4)
def wj1(w: Q, c: Q, x: Q, spec: Q) -> Q:
    """Window join of the rows in the window alone."""
    return _wj(w, c, x, spec, False)
