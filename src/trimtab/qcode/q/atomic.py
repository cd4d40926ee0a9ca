"""How does a function of atoms spread over lists, dictionaries and tables?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.lists import as_list, collect, items
from trimtab.qcode.q.values import ATOMS, Atom, Dict, Q, Table, Vec, box

Unary = Callable[[Q], Q]
Binary = Callable[[Q, Q], Q]


def spread1(f: Unary, x: Q) -> Q:
    """``f`` of every item of what is neither an atom nor a typed list."""
    if type(x) is Vec and x.t == 0:
        return collect([f(v) for v in x.a]) if len(x.a) else x
    if type(x) is Dict:
        return Dict(x.k, f(x.v))
    if type(x) is Table:
        return Table(x.names, [as_list(f(c)) for c in x.cols])
    raise QError("type")


def spread2(f: Binary, x: Q, y: Q) -> Q:
    """``f`` of corresponding items, where one side at least is a general list, a dictionary or a table."""
    cx, cy = type(x), type(y)
    if cx is Dict or cy is Dict:
        return _dicts(f, x, y)
    if cx is Table or cy is Table:
        return _tables(f, x, y)
    if cx is Vec:
        if cy is Vec:
            if len(x) != len(y):
                raise QError("length")
            pairs = zip(items(x), items(y), strict=True)
            return collect([f(a, b) for a, b in pairs]) if len(x) else x
        if cy in ATOMS:
            return collect([f(a, y) for a in items(x)]) if len(x) else x
    elif cy is Vec and cx in ATOMS:
        return collect([f(x, b) for b in items(y)]) if len(y) else y
    raise QError("type")


def _dicts(f: Binary, x: Q, y: Q) -> Q:
    if type(x) is not Dict:
        return Dict(y.k, f(x, y.v))
    if type(y) is not Dict:
        return Dict(x.k, f(x.v, y))
    return merge(f, x, y)


def merge(f: Binary, x: Dict, y: Dict) -> Dict:
    """``f`` of the values of common keys; values of other keys as they are."""
    from trimtab.qcode.q import finding, indexing
    from trimtab.qcode.q.comparison import match
    from trimtab.qcode.q.registry import PRIMS

    if match(x.k, y.k):
        return Dict(x.k, f(x.v, y.v))
    if type(x.k) is not type(y.k):
        raise QError("type")
    alone = PRIMS["neg"].fns[1] if f is PRIMS["-"].fns[2] else None
    join = PRIMS[","].fns[2]
    at = finding.find(x.k, y.k)
    if type(at) is Vec and at.t == 7 and len(at) == len(y.k):
        at = at.a
    else:
        at = np.array([finding.position_of(x.k, k) for k in items(y.k)], dtype=np.int64)
    new = at == len(x.k)
    keys = join(x.k, indexing.index1(y.k, Vec(7, np.flatnonzero(new))))
    if type(x.v) is Table:
        return _merge_keyed(f, x, y, keys)
    values = items(x.v)
    for k, v in zip(at.tolist(), items(y.v), strict=True):
        if k < len(x.k):
            values = [*values[:k], f(values[k], v), *values[k + 1 :]]
        else:
            values = [*values, alone(v) if alone else v]
    return Dict(keys, collect(values))


def _merge_keyed(f: Binary, x: Dict, y: Dict, keys: Q) -> Dict:
    """Keyed tables: rows of common keys are combined column by column."""
    from trimtab.qcode.q import finding, indexing

    ix, iy = finding.find(x.k, keys).a, finding.find(y.k, keys).a
    both = np.flatnonzero((ix < len(x.k)) & (iy < len(y.k)))
    cols: list[Vec] = []
    names = [*x.v.names, *[n for n in y.v.names if n not in x.v.names]]
    for n in names:
        left = indexing.take_at(x.v.col(n), ix) if n in x.v.names else None
        right = indexing.take_at(y.v.col(n), iy) if n in y.v.names else None
        if left is None or right is None:
            cols.append(as_list(left if left is not None else right))
            continue
        out = [a if i < len(x.k) else b for a, b, i in zip(items(left), items(right), ix.tolist(), strict=True)]
        for p in both.tolist():
            out[p] = f(items(left)[p], items(right)[p])
        cols.append(as_list(collect(out)))
    return Dict(keys, Table(names, cols))


def _tables(f: Binary, x: Q, y: Q) -> Q:
    if type(x) is Table and type(y) is Table:
        if set(x.names) != set(y.names):
            raise QError("type" if len(x) == len(y) else "length")
        return Table(x.names, [as_list(f(c, y.col(n))) for n, c in zip(x.names, x.cols, strict=True)])
    if type(x) is Table:
        return Table(x.names, [as_list(f(c, y)) for c in x.cols])
    return Table(y.names, [as_list(f(x, c)) for c in y.cols])


def raw_of(x: Q) -> Any:
    """The numpy array of a typed list, or the Python scalar of an atom."""
    c = type(x)
    return x.a if c is Vec else x.v if c is Atom else x


def result(t: int, value: Any, shaped: bool) -> Q:
    """A typed list (``shaped``) or atom of what numpy computed."""
    return Vec(t, value) if shaped else box(t, value)


def lengths(x: Q, y: Q) -> bool:
    """Whether the result of two typed operands is a list; 'length where two lists differ in size."""
    if type(x) is Vec:
        if type(y) is Vec and len(x.a) != len(y.a):
            raise QError("length")
        return True
    return type(y) is Vec
