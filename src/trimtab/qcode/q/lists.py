"""How are items taken out of q lists, and put together into the tightest list that holds them?"""

from __future__ import annotations

from typing import Any

import numpy as np

from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.values import (
    ATOMS,
    BOOL,
    BYTE,
    DTYPES,
    ENUM,
    FLOAT,
    FLOATS,
    GUID,
    INT,
    LONG,
    NULLS,
    SHORT,
    SYM,
    Atom,
    Dict,
    Q,
    Table,
    Vec,
    box,
    objects,
    qtype,
    raw,
    syms,
)


def at(x: Vec, i: int) -> Q:
    """The item at a position that exists."""
    t = x.t
    if t == LONG:
        return int(x.a[i])
    if t == 0 or t == SYM:
        return x.a[i]
    return box(t, x.a[i], x.dom)


def items(x: Q) -> list[Q]:
    """The items of a list, a table (its rows) or a dictionary (its values), as q values; an atom alone."""
    if type(x) is Vec:
        t = x.t
        if t == 0:
            return x.a
        if t in (LONG, FLOAT, SYM, BOOL):
            return x.a.tolist()
        dom = x.dom
        return [Atom(t, v, dom) for v in x.a.tolist()]
    if type(x) is Table:
        return [row(x, i) for i in range(len(x))]
    if type(x) is Dict:
        return items(x.v)
    return [x]


def row(x: Table, i: int) -> Dict:
    """A row of a table, as a dictionary."""
    return Dict(syms(x.names), collect([at(c, i) for c in x.cols]))


_KINDS = {int: LONG, float: FLOAT, bool: BOOL, str: SYM}


def collect(values: list[Q]) -> Q:
    """A list of values as the tightest list: a vector of equal atoms, a table of like dictionaries, or a general list."""
    if not values:
        return Vec(0, [])
    kinds = set(map(type, values))
    if len(kinds) > 1:
        return Vec(0, values)
    kind = kinds.pop()
    if kind in _KINDS:
        t = _KINDS[kind]
        return Vec(t, objects(values) if t == SYM else np.array(values, dtype=DTYPES[t]))
    if kind is Atom:
        first = values[0]
        t, dom = first.t, first.dom
        if all(v.t == t and v.dom == dom for v in values):
            raws = [v.v for v in values]
            return Vec(t, objects(raws) if t == GUID else np.array(raws, dtype=DTYPES[t]), "", dom)
    if kind is Dict:
        return rows_to_table(values)
    return Vec(0, values)


def rows_to_table(values: list[Q]) -> Q:
    """Like dictionaries with symbol keys as a table; otherwise a general list."""
    first = values[0]
    if type(first.k) is not Vec or first.k.t != SYM or not len(first.k):
        return Vec(0, values)
    names = first.k.a.tolist()
    if len(set(names)) < len(names):
        return Vec(0, values)
    rows: list[list[Q]] = []
    for d in values:
        if type(d.k) is not Vec or d.k.t != SYM or d.k.a.tolist() != names or type(d.v) is not Vec:
            return Vec(0, values)
        rows.append(items(d.v))
    return Table(list(names), [as_list(collect([r[i] for r in rows])) for i in range(len(names))])


def as_list(x: Q) -> Vec:
    """A value as a list: atoms and functions enlisted, a list of dictionaries (a table) kept as a general list."""
    if type(x) is Vec:
        return x
    if type(x) is Table:
        return Vec(0, items(x))
    return enlist(x)


def enlist(x: Q) -> Q:
    """A list of one item (a table, of one dictionary with symbol keys)."""
    if type(x) is Dict:
        return collect([x])
    if type(x) in ATOMS:
        return collect([x])
    return Vec(0, [x])


def same_shape(x: Vec, a: Any) -> Vec:
    """A vector like ``x`` with other items (no attribute)."""
    return Vec(x.t, a, "", x.dom)


def positions(x: Q, n: int) -> Any:
    """An index (or indexes) of a list of ``n`` items, as an array; 'type for what is none, 'length outside."""
    x = as_list(x)
    if type(x) is not Vec or (x.t not in (BOOL, BYTE, SHORT, INT, LONG) and len(x)):
        raise QError("type")
    at = np.asarray(x.a, dtype=np.int64)
    if len(at) and (at.min() < 0 or at.max() >= n):
        raise QError("length")
    return at


def pick(x: Q, index_: Any) -> Q:
    """Items at positions that all exist (a numpy array of ints), of a list, table or dictionary."""
    if type(x) is Vec:
        if x.t == 0:
            a = x.a
            got = [a[i] for i in index_.tolist()]
            return collect(got) if got else Vec(0, [])
        return Vec(x.t, x.a[index_], "", x.dom)
    if type(x) is Table:
        return Table(x.names, [pick_raw(c, index_) for c in x.cols])
    if type(x) is Dict:
        return Dict(pick(x.k, index_), pick(x.v, index_))
    raise QError("type")


def pick_raw(x: Vec, index_: Any) -> Vec:
    """As ``pick``, for a column: a general list stays a list, never a table."""
    got = pick(x, index_)
    return got if type(got) is Vec else Vec(0, [x.a[i] for i in index_.tolist()])


def mask_of(x: Vec) -> Any:
    """Where a typed vector is null, as a boolean array."""
    t = x.t
    if t in FLOATS:
        return np.isnan(x.a)
    if t == SYM:
        return x.a == ""
    if t in (BOOL, BYTE):
        return np.zeros(len(x.a), dtype=bool)
    if t == ENUM:
        return x.a < 0
    return x.a == NULLS[t]


def is_null_atom(x: Q) -> bool:
    """Whether an atom is its type's null."""
    v = raw(x)
    t = -qtype(x)
    if t in FLOATS:
        return v != v
    return t not in (BOOL, BYTE) and v == NULLS.get(t)


def keyed(x: Q) -> bool:
    """Whether a value is a keyed table."""
    return type(x) is Dict and type(x.k) is Table and type(x.v) is Table
