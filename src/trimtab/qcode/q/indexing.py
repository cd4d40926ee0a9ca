"""What is the item of a list, dictionary or table at an index, or at several levels of indexes?"""

from __future__ import annotations

from typing import Any

import numpy as np

from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.lists import as_list, at, collect, items, keyed, pick, row
from trimtab.qcode.q.values import (
    ATOMS,
    BOOL,
    BYTE,
    ELIDED,
    EMPTY,
    ENUM,
    INT,
    LONG,
    NULL,
    NULLS,
    SHORT,
    SYM,
    Atom,
    Dict,
    Func,
    Q,
    Table,
    Vec,
    empty,
    null_of,
    qtype,
)

INDEX_TYPES = frozenset((BOOL, BYTE, SHORT, INT, LONG))


def prototype(x: Q) -> Q:
    """What stands for a missing item of a list: the null of its type, or something like its first item without content."""
    if type(x) is Vec:
        if x.t:
            return Atom(ENUM, NULLS[ENUM], x.dom) if x.t == ENUM else null_of(x.t)
        return hollow(x.a[0]) if x.a else EMPTY
    if type(x) is Table:
        return Dict(Vec(SYM, np.array(x.names, dtype=object)), collect([prototype(c) for c in x.cols]))
    if type(x) is Dict:
        return prototype(x.v)
    return NULL


def hollow(x: Q) -> Q:
    """A value's like without content: null atom, empty list, dictionary or record of nulls."""
    if type(x) in ATOMS:
        return Atom(ENUM, NULLS[ENUM], x.dom) if qtype(x) == -ENUM else null_of(qtype(x))
    if type(x) is Vec:
        return empty(x.t) if x.t != ENUM else Vec(ENUM, x.a[:0], "", x.dom)
    if type(x) is Table:
        return Table(x.names, [hollow(c) for c in x.cols])
    if type(x) is Dict:
        return (
            Dict(x.k, collect([hollow(v) for v in items(x.v)])) if type(x.k) is Vec else Dict(hollow(x.k), hollow(x.v))
        )
    return NULL


def index1(x: Q, i: Q) -> Q:
    """Index at the top level."""
    if type(x) is Vec:
        return _list(x, i)
    if type(x) is Table:
        return _table(x, i)
    if type(x) is not Dict:
        raise QError("type")
    return _dict(x, i)


def _list(x: Vec, i: Q) -> Q:
    c = type(i)
    if c is int:
        return at(x, i) if 0 <= i < len(x.a) else prototype(x)
    if c is Vec:
        if i.t in INDEX_TYPES:
            return take_at(x, i.a.astype(np.int64, copy=False))
        if i.t == 0:
            return collect([_list(x, j) for j in i.a])
        raise QError("type")
    if c is bool or (c is Atom and i.t in INDEX_TYPES):
        n = int(i.v if c is Atom else i)
        return at(x, n) if 0 <= n < len(x.a) else prototype(x)
    if i is NULL or i is ELIDED:
        return x
    if c is Dict:
        return Dict(i.k, index1(x, i.v))
    if c is Table:
        return Table(i.names, [as_list(index1(x, col)) for col in i.cols])
    if x.t == 0 and x.a and c is str and all(type(v) in (Dict, Table) for v in x.a):
        return collect([index1(v, i) for v in x.a])
    raise QError("type")


def take_at(x: Q, index: Any) -> Q:
    """Items at positions of an int64 array; those outside are missing items."""
    n = len(x)
    outside = (index < 0) | (index >= n)
    if not outside.any():
        return pick(x, index)
    if type(x) is Vec and x.t == 0:
        none = prototype(x)
        return collect([none if o else x.a[i] for i, o in zip(index.tolist(), outside.tolist(), strict=True)])
    if type(x) is Table:
        return Table(x.names, [as_list(take_at(c, index)) for c in x.cols])
    if type(x) is Dict:
        return Dict(take_at(x.k, index), take_at(x.v, index))
    if not n:
        return Vec(x.t, np.full(len(index), NULLS[x.t], dtype=x.a.dtype), "", x.dom)
    got = x.a[np.where(outside, 0, index)]
    got[outside] = NULLS[x.t]
    return Vec(x.t, got, "", x.dom)


def _table(x: Table, i: Q) -> Q:
    c = type(i)
    if c is int or c is bool or (c is Atom and i.t in INDEX_TYPES):
        n = int(i.v if c is Atom else i)
        return row(x, n) if 0 <= n < len(x) else prototype(x)
    if c is str:
        try:
            return x.col(i)
        except KeyError:
            raise QError(i) from None
    if c is Vec:
        if i.t == SYM:
            return collect([_table(x, s) for s in i.a]) if len(i) else EMPTY
        if i.t in INDEX_TYPES:
            return take_at(x, i.a.astype(np.int64, copy=False))
        if i.t == 0:
            return collect([_table(x, j) for j in i.a])
    if i is NULL or i is ELIDED:
        return x
    if c is Dict:
        return Dict(i.k, index1(x, i.v))
    raise QError("type")


def _dict(x: Dict, i: Q) -> Q:
    if i is NULL or i is ELIDED:
        return x
    if type(i) is Dict and type(x.k) is not Table:
        return Dict(i.k, index1(x, i.v))
    if keyed(x) or type(x.k) is Table:
        return _keyed(x, i)
    from trimtab.qcode.q import finding

    where = _step(x.k, i) if x.attr == "s" else finding.find(x.k, i)
    return _at_positions(x.v, where)


def _step(keys: Q, i: Q) -> Q:
    """Positions in the keys of a step function: of the last key that is not above."""
    from trimtab.qcode.q.registry import PRIMS

    at_ = PRIMS["bin"].fns[2](keys, i)
    return PRIMS["?"].fns[3](PRIMS["<"].fns[2](at_, 0), len(keys), at_)


def _at_positions(values: Q, where: Q) -> Q:
    """Items of a dictionary's values at the positions that a search of its keys gave."""
    if type(where) is int:
        if type(values) is Vec:
            return at(values, where) if where < len(values.a) else prototype(values)
        return index1(values, where)
    if type(where) is Vec and where.t == 0:
        return collect([_at_positions(values, w) for w in where.a])
    if type(where) is not Vec:
        raise QError("type")
    return take_at(values, where.a)


def _keyed(x: Dict, i: Q) -> Q:
    """A record (or records) of a keyed table by the value of its key."""
    from trimtab.qcode.q import finding

    keys: Table = x.k
    if type(i) is Table:
        return _at_positions(x.v, finding.find(keys, i))
    if type(i) is Dict:
        return _at_positions(x.v, finding.find(keys, i))
    width = len(keys.names)
    if type(i) in ATOMS:
        if width > 1:
            raise QError("length")
        parts = [i]
    else:
        parts = items(as_list(i))
        if width == 1 and type(i) is Vec and len(parts) != 1:
            return _at_positions(x.v, finding.find(keys.cols[0], i))
        if len(parts) != width:
            raise QError("length")
    if any(type(p) in (Vec, Table) for p in parts) and type(i) is Vec and i.t == 0:
        columns = [as_list(p) for p in parts]
        size = max(len(c) for c in columns)
        full = [c if len(c) == size else pick(c, np.zeros(size, dtype=np.int64)) for c in columns]
        if not any(c.t == 0 for c in keys.cols):
            return _at_positions(x.v, finding.find(keys, Table(keys.names, full)))
    names = Vec(SYM, np.array(keys.names, dtype=object))
    return _at_positions(x.v, finding.find(keys, Dict(names, collect(parts))))


def index(x: Q, path: list[Q]) -> Q:  # noqa: C901 one case after another
    """Index at depth: an elided level means all of it, a list at a level keeps its shape."""
    if not path:
        return x
    i, rest = path[0], path[1:]
    if not rest:
        return x if i is ELIDED else index1(x, i)
    if type(x) not in (Vec, Dict, Table):
        return _applied(x, path)
    if i is ELIDED or i is NULL:
        return _all(x, rest)
    if type(x) is Table and type(rest[0]) in (str, Vec) and len(rest) == 1 and type(i) is not str:
        return _cells(x, i, rest[0])
    if type(i) is Table and type(x) is Dict and type(x.k) is Table:
        return index(index1(x, i), [Vec(LONG, np.arange(len(i))), *rest])
    if type(i) is Vec and not (type(x) is Dict and type(x.k) is Table and len(x.k.names) > 1):
        return collect([index(index1(x, j), rest) for j in items(i)]) if len(i) else EMPTY
    if type(i) is Dict:
        return Dict(i.k, index(x, [i.v, *rest]))
    inner = index1(x, i)
    if type(inner) in (Vec, Dict, Table) or isinstance(inner, Func):
        return _apply(inner, rest)
    if all(r is ELIDED or r is NULL for r in rest):
        return inner
    if type(x) is Vec and x.t:
        raise QError("rank")
    return _apply(inner, rest)


def _applied(x: Q, path: list[Q]) -> Q:
    if isinstance(x, Func) or type(x) is str:
        from trimtab.qcode.q import apply

        return apply.call(x, path)
    raise QError("rank" if type(x) in ATOMS else "type")


def _apply(x: Q, path: list[Q]) -> Q:
    if isinstance(x, Func):
        from trimtab.qcode.q import apply

        return apply.call(x, path)
    return index(x, path)


def _all(x: Q, rest: list[Q]) -> Q:
    if type(x) is Dict:
        return Dict(x.k, _all(x.v, rest))
    if type(x) is Table:
        first = rest[0]
        if type(first) is str:
            return index(index1(x, first), rest[1:])
        if type(first) is Vec and first.t == SYM:
            return index(Table(first.a.tolist(), [index1(x, s) for s in first.a]), [NULL, *rest[1:]])
        if first is NULL or first is ELIDED:
            return x
    return collect([_apply(v, rest) for v in items(x)]) if len(x) else x


def _cells(x: Table, i: Q, names: Q) -> Q:
    if type(names) is str:
        return index1(index1(x, names), i)
    if type(names) is Vec and names.t == SYM:
        if type(i) is Vec:
            return collect([collect([index1(index1(x, s), j) for s in names.a]) for j in items(i)])
        return collect([index1(index1(x, s), i) for s in names.a])
    raise QError("type")
