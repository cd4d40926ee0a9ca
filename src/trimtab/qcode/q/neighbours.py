"""What stands beside an item, and in place of a null? ``^ fills prev next xprev differ``."""

from __future__ import annotations

from typing import Any

import numpy as np

from trimtab.qcode.q.atomic import lengths, result, spread2
from trimtab.qcode.q.comparison import near, simple
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.indexing import take_at
from trimtab.qcode.q.listops import whole
from trimtab.qcode.q.lists import as_list, collect, is_null_atom, keyed, mask_of
from trimtab.qcode.q.promotion import COMMON, convert, meet
from trimtab.qcode.q.registry import PRIMS, dyad, monad
from trimtab.qcode.q.values import ATOMS, BOOL, ENUM, FLOATS, Dict, Q, Table, Vec, qtype


@dyad("^", infix=False)
def fill(x: Q, y: Q) -> Q:
    """``y`` with its nulls replaced by ``x``."""
    if type(x) is Dict and type(y) is Dict:
        if keyed(x):
            return PRIMS["ujf"].fns[2](x, y)
        from trimtab.qcode.q.atomic import merge

        return merge(fill, x, y)
    tx, ty = abs(qtype(x)), abs(qtype(y))
    if not (0 < tx <= ENUM and 0 < ty <= ENUM):
        if type(y) in ATOMS and type(x) is Vec and is_null_atom(y) is False and x.t == 0:
            return collect([fill(v, y) for v in x.a])
        return spread2(fill, x, y)
    shaped = lengths(x, y)
    if type(y) is Vec and not len(y):
        return Vec(y.t, y.a, "", y.dom)
    if ENUM in (tx, ty):
        return fill(simple(x), simple(y))
    t = tx if tx == ty else meet(COMMON, tx, ty)
    yv = as_list(y)
    null = np.broadcast_to(np.asarray(mask_of(yv), dtype=bool), (max(len(yv), len(as_list(x)) if shaped else 1),))
    a = as_list(x).a if tx == t else convert(as_list(x).a, tx, t)
    b = yv.a if ty == t else convert(yv.a, ty, t)
    out = np.where(null, a, b)
    return result(t, out if shaped else out.tolist()[0], shaped)


@monad("fills")
def fills(x: Q) -> Q:
    """Nulls replaced by what precedes them."""
    if type(x) is Dict:
        return Dict(x.k, fills(x.v))
    if type(x) is Table:
        return Table(x.names, [as_list(fills(c)) for c in x.cols])
    if type(x) is not Vec:
        return x
    if x.t == 0:
        out: list[Q] = []
        for v in x.a:
            out.append(fill(out[-1], v) if out else v)
        return collect(out)
    last = np.maximum.accumulate(np.where(np.asarray(mask_of(x), dtype=bool), -1, np.arange(len(x))))
    return take_at(x, last) if len(x) else x


def _shifted(n: int, x: Q) -> Q:
    if type(x) is Dict:
        return Dict(x.k, _shifted(n, x.v))
    if type(x) not in (Vec, Table):
        return x
    got = take_at(x, _inside(np.arange(len(x)) - n, len(x)))
    return Vec(0, list(got.a)) if type(got) is Vec and got.t == 0 else got


def _inside(where: Any, n: int) -> Any:
    return np.where((where < 0) | (where >= n), -1, where)


@monad("prev")
def prev(x: Q) -> Q:
    """What precedes each item."""
    return _shifted(1, x)


@monad("next")
def next_(x: Q) -> Q:
    """What follows each item."""
    return _shifted(-1, x)


@dyad("xprev")
def xprev(x: Q, y: Q) -> Q:
    """What stands n places before each item."""
    return _shifted(whole(x), y)


@monad("differ")
def differ(x: Q) -> Q:
    """Whether each item differs from the one before."""
    from trimtab.qcode.q.finding import codes

    if type(x) not in (Vec, Table):
        raise QError("type")
    if type(x) is Vec and x.t in FLOATS and len(x):
        a = x.a.astype(np.float64)
        return Vec(BOOL, np.r_[True, ~near(a[1:], a[:-1])])
    keys = codes(x)
    return Vec(BOOL, np.array([i == 0 or keys[i] != keys[i - 1] for i in range(len(keys))], dtype=bool))
