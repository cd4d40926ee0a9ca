"""In which order do values stand? Grades, sorts, ranks, binary search, groups and sets."""

from __future__ import annotations

from typing import Any

import numpy as np

from trimtab.qcode.q.comparison import match, simple
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.finding import codes, find, first_positions
from trimtab.qcode.q.grouping import parts, stable_order
from trimtab.qcode.q.indexing import index1
from trimtab.qcode.q.listops import whole
from trimtab.qcode.q.lists import as_list, collect, items, keyed, pick
from trimtab.qcode.q.promotion import COMMON, convert, meet
from trimtab.qcode.q.registry import PRIMS, dyad, monad
from trimtab.qcode.q.state import current
from trimtab.qcode.q.values import (
    ATOMS,
    BOOL,
    ENUM,
    FLOATS,
    GUID,
    SYM,
    Dict,
    Q,
    Table,
    Vec,
    bools,
    count,
    longs,
    qtype,
    raw,
)


def order_key(v: Q) -> Any:
    """What Python sorts a value of a general list by: type, then content."""
    t = qtype(v)
    if type(v) in ATOMS:
        r = raw(simple(v))
        return (1, abs(t), (r == r, r if r == r else 0.0))
    if type(v) is Vec:
        if v.t == 0:
            return (2, 0, [order_key(w) for w in v.a])
        values = simple(v).a.tolist()
        return (2, v.t, [(r == r, r if r == r else 0.0) for r in values])
    return (3, abs(t), repr(v))


def grade_up(x: Q) -> Any:
    """Positions that sort a list or table upwards; equal items stay in order."""
    if type(x) is Table:
        if not x.cols:
            return np.arange(0)
        order = np.arange(len(x))
        for c in reversed(x.cols):
            order = order[grade_up(as_list(pick(c, order)))]
        return order
    x = simple(x)
    if x.t in FLOATS:
        nulls = np.isnan(x.a)
        if not nulls.any():
            return np.argsort(x.a, kind="stable")
        rest = np.flatnonzero(~nulls)
        return np.concatenate([np.flatnonzero(nulls), rest[np.argsort(x.a[rest], kind="stable")]])
    if x.t in (SYM, GUID):
        values = x.a.tolist()
        return np.array(sorted(range(len(values)), key=values.__getitem__), dtype=np.int64)
    if x.t:
        return stable_order(x.a)
    keys = [order_key(v) for v in x.a]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)


def grade_down(x: Q) -> Any:
    """Positions that sort a list or table downwards; equal items stay in order."""
    if not len(x):
        return np.arange(0)
    back = np.arange(len(x))[::-1]
    return back[grade_up(pick(x, back) if type(x) is Table else as_list(pick(x, back)))][::-1]


def _gradable(x: Q) -> Q:
    if type(x) is Dict:
        return x.v
    if type(x) not in (Vec, Table):
        raise QError("rank")
    return x


@monad("iasc", "<:")
def iasc(x: Q) -> Q:
    """Positions (keys of a dictionary) in ascending order."""
    order = longs(grade_up(_gradable(x)))
    return index1(x.k, order) if type(x) is Dict else order


@monad("idesc", ">:")
def idesc(x: Q) -> Q:
    """Positions (keys of a dictionary) in descending order."""
    order = longs(grade_down(_gradable(x)))
    return index1(x.k, order) if type(x) is Dict else order


def _sorted(x: Q, order: Any, attr: str) -> Q:
    if type(x) is Dict:
        got = Dict(pick(x.k, order), pick(x.v, order))
        if attr and type(got.v) is Vec and got.v.t:
            got.v = Vec(got.v.t, got.v.a, attr, got.v.dom)
        return got
    got = pick(x, order)
    if type(got) is Vec:
        return Vec(got.t, got.a, attr if got.t else "", got.dom)
    if type(got) is Table and attr and got.cols and got.cols[0].t:
        c = got.cols[0]
        got.cols = [Vec(c.t, c.a, attr if len(got.cols) == 1 else "p" if len(c) else "", c.dom), *got.cols[1:]]
    return got


@monad("asc")
def asc(x: Q) -> Q:
    """Sorted upwards."""
    if type(x) in ATOMS:
        raise QError("rank")
    return _sorted(x, grade_up(_gradable(x)), "s")


@monad("desc")
def desc(x: Q) -> Q:
    """Sorted downwards."""
    if type(x) in ATOMS:
        raise QError("rank")
    return _sorted(x, grade_down(_gradable(x)), "")


@monad("rank")
def rank(x: Q) -> Q:
    """Where each item stands when sorted."""
    return longs(np.argsort(grade_up(_gradable(x)), kind="stable"))


@dyad("xrank")
def xrank(x: Q, y: Q) -> Q:
    """Items dealt into n buckets by rank."""
    n = whole(x)
    order = np.argsort(grade_up(_gradable(y)), kind="stable")
    got = longs(order * n // max(len(y), 1))
    return Dict(y.k, got) if type(y) is Dict else got


def _by_columns(x: Q, y: Q, down: bool) -> Q:
    names = [x] if type(x) is str else x.a.tolist() if type(x) is Vec and x.t == SYM else None
    if names is None:
        if type(x) is Vec and not len(x):
            return y
        raise QError("type")
    if type(y) is str:
        from trimtab.qcode.q.variables import lookup

        current().names[y] = _by_columns(x, lookup(current(), y), down)
        return y
    table = _simple(y)
    for name in names:
        if name not in table.names:
            raise QError(name)
    if not names:
        return y
    order = (grade_down if down else grade_up)(Table(names, [table.col(n) for n in names]))
    cols = [as_list(pick(c, order)) if c.t else Vec(0, [c.a[i] for i in order.tolist()]) for c in table.cols]
    if not down:
        i = table.names.index(names[0])
        if cols[i].t:
            cols[i] = Vec(cols[i].t, cols[i].a, "s" if len(names) == 1 else "", cols[i].dom)
    got = Table(table.names, cols)
    return PRIMS["xkey"].fns[2](as_names(y.k), got) if keyed(y) else got


def as_names(x: Table) -> Q:
    """The names of a table's columns."""
    from trimtab.qcode.q.values import syms

    return syms(x.names)


def _simple(y: Q) -> Table:
    from trimtab.qcode.q.joins import unkeyed

    return unkeyed(y)


@dyad("xasc")
def xasc(x: Q, y: Q) -> Q:
    """A table sorted upwards by columns."""
    return _by_columns(x, y, False)


@dyad("xdesc")
def xdesc(x: Q, y: Q) -> Q:
    """A table sorted downwards by columns."""
    return _by_columns(x, y, True)


def _one_row(y: Any) -> Table:
    return Table(y.k.a.tolist(), [as_list(collect([v])) for v in items(y.v)])


def _search(x: Q, y: Q, side: str) -> Q:
    if type(x) is Dict:
        return index1(x.v, _search(x.k, y, side))
    if type(x) is Table:
        from trimtab.qcode.q.joins import as_of

        if type(y) is not Table and (type(y) is not Dict or type(y.k) is not Vec or y.k.t != SYM):
            raise QError("type")
        table = y if type(y) is Table else _one_row(y)
        got = longs(as_of(table.names, table, x))
        return got if type(y) is Table else int(got.a[0])
    if type(y) in (Dict, Table) or (type(y) is Vec and y.t == 0 and len(y.a)):
        if type(y) is Dict:
            return Dict(y.k, _search(x, y.v, side))
        return collect([_search(x, v, side) for v in items(y)])
    x, y = simple(x), simple(y)
    if type(x) is not Vec:
        raise QError("type")
    tx, ty = abs(qtype(x)), abs(qtype(y))
    if SYM in (tx, ty):
        if tx != ty:
            raise QError("type")
        import bisect

        values = x.a.tolist()
        cut = bisect.bisect_right if side == "right" else bisect.bisect_left
        got = [cut(values, v) - (side == "right") for v in items(as_list(y))]
    else:
        t = meet(COMMON, tx, ty)
        a, b = convert(as_list(x).a, tx, t), convert(as_list(y).a, ty, t)
        got = (np.searchsorted(a, b, side="right") - 1 if side == "right" else np.searchsorted(a, b)).tolist()
    return longs(got) if type(y) is Vec else got[0]


@dyad("bin")
def bin_(x: Q, y: Q) -> Q:
    """The last position whose item is not larger; -1 without."""
    return _search(x, y, "right")


@dyad("binr")
def binr(x: Q, y: Q) -> Q:
    """The first position whose item is not smaller."""
    return _search(x, y, "left")


@monad("distinct", "?:")
def distinct(x: Q) -> Q:
    """Items without repetitions."""
    if type(x) is Dict:
        return distinct(x.v)
    if type(x) not in (Vec, Table):
        raise QError("type") if type(x) in ATOMS else QError("rank")
    if type(x) is Vec and x.t not in (0, SYM, GUID, *FLOATS) and len(x.a) > 32:
        _, first = np.unique(x.a, return_index=True)
        return pick(x, np.sort(first))
    return pick(x, np.array(first_positions(codes(x))[0], dtype=np.int64))


@monad("group", "=:")
def group(x: Q) -> Q:
    """Positions by distinct item."""
    if type(x) is Dict:
        got = group(x.v)
        return Dict(got.k, Vec(0, [index1(x.k, v) for v in items(got.v)]))
    if type(x) not in (Vec, Table):
        raise QError("type")
    if type(x) is Vec and x.t not in (0, SYM, GUID, *FLOATS) and len(x.a) > 32:
        return _group_typed(x)
    first, groups = first_positions(codes(x))
    return Dict(pick(x, np.array(first, dtype=np.int64)), Vec(0, [longs(g) for g in groups.values()]))


def _group_typed(x: Vec) -> Dict:
    first, rows = parts(x.a)
    by_first = np.argsort(first, kind="stable")
    return Dict(pick(x, first[by_first]), Vec(0, [longs(rows[i]) for i in by_first.tolist()]))


@dyad("in")
def in_(x: Q, y: Q) -> Q:
    """Whether each item is among those of y."""
    if type(y) is Dict and not keyed(y):
        raise QError("type")
    if keyed(y):
        y = y.k
    if type(x) is Dict and type(y) is not Table:
        return Dict(x.k, in_(x.v, y))
    if type(y) in ATOMS:
        y = as_list(y)
    if type(y) is Vec and y.t and type(x) is Vec and x.t == 0:
        return collect([in_(v, y) for v in x.a]) if x.a else bools([])
    if (
        type(x) is Vec
        and x.t
        and type(y) is Vec
        and y.t
        and (SYM in (x.t, y.t))
        and x.t != y.t
        and ENUM not in (x.t, y.t)
    ):
        return bools(np.zeros(len(x), dtype=bool))
    types = (y.t, -qtype(x)) if type(y) is Vec and y.t and type(x) in ATOMS else (0, 0)
    if SYM in types and types[0] != types[1] and ENUM not in types:
        return False
    where = find(y, x)
    n = len(y)
    return _less(where, n)


def _less(where: Q, n: int) -> Q:
    if type(where) is int:
        return where < n
    if type(where) is not Vec:
        raise QError("type")
    if where.t == 0:
        return collect([_less(w, n) for w in where.a])
    return bools(where.a < n)


@dyad("within")
def within(x: Q, y: Q) -> Q:
    """Whether each item lies between two bounds, which belong to it."""
    low, high = [*items(y), None, None][:2] if type(y) is Vec else (None, None)
    if low is None or high is None:
        raise QError("length" if type(y) is Vec else "type")
    return PRIMS["&"].fns[2](PRIMS[">="].fns[2](x, low), PRIMS["<="].fns[2](x, high))


@dyad("except")
def except_(x: Q, y: Q) -> Q:
    """Items of x that y has not."""
    found = in_(x, y if type(y) in (Vec, Table, Dict) else as_list(y))
    return pick(x, np.flatnonzero(~found.a)) if type(found) is Vec and found.t == BOOL else _general_except(x, y)


def _general_except(x: Q, y: Q) -> Q:
    return pick(
        x, np.array([i for i, v in enumerate(items(x)) if not any(match(v, w) for w in items(y))], dtype=np.int64)
    )


@dyad("inter")
def inter(x: Q, y: Q) -> Q:
    """Items of x that y has too."""
    if type(x) is Dict and type(y) is Dict:
        return inter(x.v, y.v)
    found = in_(x, y)
    if type(found) is not Vec or found.t != BOOL:
        return pick(
            x, np.array([i for i, v in enumerate(items(x)) if any(match(v, w) for w in items(y))], dtype=np.int64)
        )
    return pick(x, np.flatnonzero(found.a))


@dyad("union")
def union(x: Q, y: Q) -> Q:
    """Distinct items of both."""
    return distinct(PRIMS[","].fns[2](x, y))


@dyad("cross")
def cross(x: Q, y: Q) -> Q:
    """Every item of x joined with every item of y."""
    join = PRIMS[","].fns[2]
    if type(x) is Table or type(y) is Table:
        a, b = _simple(x), _simple(y)
        current().allow(len(a) * len(b))
        i, j = np.divmod(np.arange(len(a) * len(b)), max(len(b), 1))
        return Table(
            [*a.names, *b.names], [as_list(pick(c, i)) for c in a.cols] + [as_list(pick(c, j)) for c in b.cols]
        )
    if type(x) is Dict and type(y) is Dict:
        return Dict(cross(x.k, y.k), cross(x.v, y.v))
    current().allow(8 * count(x) * count(y))
    return Vec(0, [join(a, b) for a in items(as_list(x)) for b in items(as_list(y))])
