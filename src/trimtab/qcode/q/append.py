"""What may ``x,:y`` append? What keeps the type of ``x``: items of its type, records of a table, members of a domain."""

from __future__ import annotations

from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.lists import as_list, items, keyed
from trimtab.qcode.q.registry import PRIMS
from trimtab.qcode.q.values import ATOMS, ENUM, SYM, Dict, Q, Table, Vec, qtype


def appended(x: Q, y: Q) -> Q:
    """``x,y`` as an assignment keeps it: of the type of ``x``."""
    if type(x) is Vec:
        return _list(x, y)
    if type(x) is Table or keyed(x):
        return _records(x, y)
    got = PRIMS[","].fns[2](x, y)
    if type(x) is Dict and type(got) is Dict and not _same(x, got):
        raise QError("type")
    return got


def _same(x: Dict, got: Dict) -> bool:
    """Whether keys and values of a dictionary that is not empty keep their types."""
    if type(x.k) is not Vec or type(x.v) is not Vec or not len(x.k):
        return True
    return (x.k.t, x.v.t) == (got.k.t, got.v.t) or 0 in (x.k.t, x.v.t)


def _list(x: Vec, y: Q) -> Q:
    join = PRIMS[","].fns[2]
    if x.t == 0 or (type(y) is Vec and not len(y) and y.t == 0):
        return Vec(0, [*x.a, y]) if _next_row(x, y) else join(x, y)
    t = abs(qtype(y))
    if x.t == ENUM and t == SYM:
        return join(x, PRIMS["$"].fns[2](x.dom, y))
    if x.t == SYM and t == ENUM:
        return join(x, PRIMS["value"].fns[1](y))
    if t != x.t or (type(y) is not Vec and type(y) not in ATOMS):
        raise QError("type")
    got = join(x, y)
    return _with_attribute_of(x, got) if x.attr in ("s", "u", "g") else got


def _with_attribute_of(x: Vec, got: Q) -> Q:
    """A list that has grown keeps the attribute that still holds of it."""
    try:
        return PRIMS["#"].fns[2](x.attr, got)
    except QError:
        return got


def _next_row(x: Vec, y: Q) -> bool:
    """Whether ``y`` is one more row of a matrix."""
    if type(y) is not Vec or not y.t or not x.a:
        return False
    return all(type(v) is Vec and v.t == y.t and len(v) == len(y) for v in x.a)


def _records(x: Q, y: Q) -> Q:
    """Records for a table: dictionaries, tables, a row, or a list of rows."""
    upsert = PRIMS["upsert"].fns[2]
    if type(y) is Vec and y.t == 0 and y.a and all(type(v) is Vec for v in y.a):
        for record in items(y):
            x = upsert(x, record)
        return x
    if type(y) not in (Vec, Table, Dict):
        y = as_list(y)
    return upsert(x, y)
